# SPDX-License-Identifier: GPL-2.0-only
"""Tell which programs of a campaign's corpus no kernel needs any more.

libFuzzer keeps the shortest program for each thing that it has reached, and lets go of longer ones.
A corpus that kept them all was more than twenty times as large after half an hour; workers, which
begin with all of it, would soon do nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

Key = tuple[str, str]  # of an assignment


class Distiller:
    """Gather what each assignment's last worker kept of what it was offered; names are digests."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._useless: dict[Key, set[str] | None] = dict.fromkeys(keys)
        self._replaced: set[str] = set()

    def ended(self, key: Key, offered: set[str], kept: set[str], found: set[str]) -> None:
        """Note what a worker ran of its pool, what it kept to the end, and what it found itself."""
        self._useless[key] = offered - kept
        self._replaced |= found - kept

    def redundant(self) -> set[str]:
        """Name what its finder has replaced by something shorter, and what no assignment kept."""
        last = [useless for useless in self._useless.values() if useless is not None]
        complete = len(last) == len(self._useless)
        return self._replaced | (set.intersection(*last) if complete and last else set())

    def forget(self, digests: set[str]) -> None:
        """Forget what is in the corpus no more."""
        self._replaced -= digests
        for useless in filter(None, self._useless.values()):
            useless.difference_update(digests)
