# SPDX-License-Identifier: GPL-2.0-only
"""Read machine instructions and their jumps through objdump, to know a function's basic blocks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zstools.errors import LayoutError, ToolMissingError

_LABEL = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(\S+)(?: +([0-9a-f]+) <)?(.*)$")
_PREFIXES = {"notrack", "bnd", "repz", "rep", "cs", "ds"}


@dataclass(frozen=True)
class Instruction:
    """One instruction; @target is the address a direct jump goes to."""

    address: int
    end: int  # address of the next instruction in the listing
    function: str  # symbol, so a .cold part is a function of its own
    mnemonic: str
    target: int | None

    @property
    def is_jump(self) -> bool:
        """Tell a jump of either kind."""
        return self.mnemonic.startswith("j")

    @property
    def is_conditional(self) -> bool:
        """Tell a conditional jump."""
        return self.is_jump and self.mnemonic != "jmp"

    @property
    def falls_through(self) -> bool:
        """Tell whether the next instruction can follow."""
        return self.mnemonic not in ("jmp", "ret", "ud2", "hlt")

    def is_call_to(self, returns: set[int]) -> bool:
        """Tell whether this is a call that comes back to one of these addresses."""
        return self.mnemonic == "call" and self.end in returns


class Listing:
    """The instructions of some address ranges, with the number of ways into each."""

    def __init__(self, instructions: Iterable[Instruction]) -> None:
        self.instructions = sorted(instructions, key=lambda i: i.address)
        self.at = {i.address: i for i in self.instructions}
        self.ways_in = self._count_ways()

    def only_way(self, address: int | None) -> Instruction | None:
        """Return the instruction at @address if exactly one way leads to it."""
        if address is None or self.ways_in[address] != 1:
            return None
        return self.at.get(address)

    def _count_ways(self) -> Counter[int]:
        ways = Counter(i.target for i in self.instructions if i.is_jump and i.target is not None)
        function, falls = "", True
        for one in self.instructions:
            starts = one.function != function
            # What nothing leads to is padding, and does not lead on.
            alive = starts or falls or ways[one.address] > 0
            function, falls = one.function, alive and one.falls_through
            if falls:
                ways[one.end] += 1
        return ways


def disassemble(image: Path, ranges: Iterable[tuple[int, int]]) -> Listing:
    """Disassemble [start, end) ranges; raise ToolMissingError without objdump."""
    if shutil.which("objdump") is None:
        raise ToolMissingError("objdump is missing: install the Debian package binutils")
    found: list[Instruction] = []
    for start, end in ranges:
        found += _parse(_objdump(image, start, end), end)
    return Listing(found)


def _objdump(image: Path, start: int, end: int) -> str:
    command = ["objdump", "-d", "--no-show-raw-insn"]
    command += [f"--start-address={start:#x}", f"--stop-address={end:#x}", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LayoutError(f"objdump cannot read {image}: {done.stderr.strip()}")
    return done.stdout


def _parse(listing: str, end: int) -> list[Instruction]:
    function = ""
    raw: list[tuple[int, str, str, int | None]] = []
    for line in listing.splitlines():
        if label := _LABEL.match(line):
            function = label[2]
        elif found := _INSTRUCTION.match(line):
            mnemonic = found[2]
            if mnemonic in _PREFIXES and found[4].split():
                mnemonic = found[4].split()[0]
            target = int(found[3], 16) if found[3] else None
            raw.append((int(found[1], 16), function, mnemonic, target))
    ends = [r[0] for r in raw[1:]] + [end]
    return [Instruction(a, stop, f, m, t) for (a, f, m, t), stop in zip(raw, ends, strict=True)]
