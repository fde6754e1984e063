# SPDX-License-Identifier: GPL-2.0-only
"""Take what libFuzzer keeps in a worker's folder of inputs over into a corpus."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from zsfuzz.mutation.rawbytes import decode
from zsfuzz.program import Program


class InputKeeper:
    """Look for new inputs, and `save` each as a program that people and other versions can read.

    What `save` raises passes through; the input then comes again at the next look.
    """

    def __init__(self, inputs: Path, limit: int, save: Callable[[Program], object]) -> None:
        self.inputs = inputs
        self.known: dict[str, str] = {}  # names, and digests of those saved; "": need not be
        self.new: set[str] = set()  # digests of that for which `save` said True
        self._limit = limit
        self._save = save

    def keep(self) -> int:
        """Save what is new; returns how many inputs that were."""
        try:
            with os.scandir(self.inputs) as entries:
                names = {entry.name for entry in entries} - self.known.keys()
        except FileNotFoundError:
            return 0
        return sum(self._keep(name) for name in sorted(names))

    def _keep(self, name: str) -> bool:
        try:
            data = (self.inputs / name).read_bytes()
        except FileNotFoundError:  # libFuzzer has replaced it by a shorter one
            return False
        # libFuzzer names inputs by their hash; until that fits, it has not written all.
        if hashlib.sha1(data, usedforsecurity=False).hexdigest() != name:
            return False
        program = Program.from_wire(decode(data, self._limit)).canonical()
        if self._save(program) is True:
            self.new.add(program.digest)
        self.known[name] = program.digest
        return True

    def present(self) -> set[str]:
        """Give the digests of what was saved and is still there: libFuzzer replaces inputs."""
        with os.scandir(self.inputs) as entries:
            return {digest for entry in entries if (digest := self.known.get(entry.name))}
