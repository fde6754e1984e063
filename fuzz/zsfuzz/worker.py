# SPDX-License-Identifier: GPL-2.0-only
"""The entry point of worker processes, which are started with the name of a JSON file."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from zsfuzz.bootfailure import give_up
from zsfuzz.errors import ZsfuzzError
from zsfuzz.workerconfig import WorkerConfig

# Loaded when needed: libFuzzer, which the explorer brings along, is not for everybody.
ROLES = {
    "explore": ("zsfuzz.explorer", "Explorer"),
    "check": ("zsfuzz.checker", "Checker"),
    "replay": ("zsfuzz.replay.worker", "ReplayWorker"),
}


def main() -> None:
    """Be the worker that the JSON file named on the command line describes."""
    config = WorkerConfig.load(Path(sys.argv[1]))
    module, name = ROLES[config.role]
    try:
        getattr(import_module(module), name)(config).run()
    except ZsfuzzError as error:
        sys.exit(give_up(config, error))


if __name__ == "__main__":
    main()
