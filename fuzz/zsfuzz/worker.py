# SPDX-License-Identifier: GPL-2.0-only
"""The entry point of worker processes; zsfuzz.run starts them with the name of a JSON file."""

from __future__ import annotations

import sys
from pathlib import Path

from zsfuzz.checker import Checker
from zsfuzz.explorer import Explorer
from zsfuzz.workerconfig import WorkerConfig


def main() -> None:
    """Be the worker that the JSON file named on the command line describes."""
    config = WorkerConfig.load(Path(sys.argv[1]))
    worker = Explorer(config) if config.role == "explore" else Checker(config)
    worker.run()


if __name__ == "__main__":
    main()
