# SPDX-License-Identifier: GPL-2.0-only
"""Notice a disk that is about to be full, while all that was found can still be saved."""

from __future__ import annotations

import os
from pathlib import Path


class DiskWatch:
    """Full below `reserve` MiB; free again above twice as much."""

    def __init__(self, folder: Path, reserve: int) -> None:
        self._folder = folder
        self._reserve = reserve
        self.full = False

    def look(self) -> bool:
        """Look at the disk; returns whether it is full."""
        facts = os.statvfs(self._folder)
        free = facts.f_bavail * facts.f_frsize >> 20
        limit = self._reserve * (2 if self.full else 1)
        no_files = facts.f_files > 0 and facts.f_favail == 0
        self.full = free < limit or no_files
        return self.full
