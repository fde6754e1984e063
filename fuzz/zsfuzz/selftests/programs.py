# SPDX-License-Identifier: GPL-2.0-only
"""Name programs among the kernel tree's own tests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zsfuzz.errors import HarnessError

_NAME = re.compile(r"^(?P<folder>[\w-]+)/(?P<name>[\w.-]+)$")


@dataclass(frozen=True)
class Program:
    """One program of the tests: `folder` is below tools/testing/selftests."""

    folder: str
    name: str

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"


DEFAULT = (Program("cgroup", "test_zswap"), Program("zram", "zram.sh"))


def program_of(text: str) -> Program:
    """Read FOLDER/NAME; HarnessError if it is something else."""
    found = _NAME.match(text)
    if found is None:
        raise HarnessError(f"{text!r} is no test: write FOLDER/NAME, such as {DEFAULT[0]}")
    return Program(found["folder"], found["name"])
