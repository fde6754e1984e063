# SPDX-License-Identifier: GPL-2.0-only
"""Read gcov's counters of a running User Mode Linux kernel out of its memory.

The guest takes no part in it, so a fuzzing guest and one that runs the kernel's own tests are
counted alike, in any task and in any context.  Only the parent of the guest's process may read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsfuzz.errors import HarnessError
from zstools.dwarf import Struct, find_unit, open_elf

VARIANT = "gcov"  # of the configuration
_UNIT = "kernel/gcov/gcc_4_7.c"
_HEAD = "gcov_info_head"
# The file format: "gcda", a function's record, and the records of its counters by kind.
_MAGIC, _FUNCTION, _COUNTER = 0x67636461, 0x01000000, 0x01A10000
_FUNCTION_BYTES = 12
_MOST = 1 << 20  # more functions or counters than that are no counters
# A function's ident and two checksums, then kind and values of each group of its counters.
Function = tuple[tuple[int, int, int], list[tuple[int, list[int]]]]


@dataclass(frozen=True)
class Profile:
    """The counters of one object file; `stamp` must be that of the .gcno beside it."""

    path: str  # of the .gcda that gcov would have written
    version: int
    stamp: int
    functions: tuple[Function, ...]

    def plus(self, other: Profile) -> Profile:
        """Add up the counters of two guests with the same kernel."""
        pairs = zip(self.functions, other.functions, strict=True)
        return Profile(
            self.path, self.version, self.stamp, tuple(_add(one, two) for one, two in pairs)
        )

    def gcda(self) -> bytes:
        """Write it in gcov's file format (convert_to_gcda)."""
        data = struct.pack("<IIII", _MAGIC, self.version, self.stamp, 0)
        for facts, groups in self.functions:
            data += struct.pack("<II3I", _FUNCTION, _FUNCTION_BYTES, *facts)
            for kind, values in groups:
                tag = _COUNTER + (kind << 17)
                data += struct.pack(f"<II{len(values)}Q", tag, 8 * len(values), *values)
        return data


def _add(one: Function, two: Function) -> Function:
    groups = [
        (kind, [a + b for a, b in zip(mine, theirs, strict=True)])
        for (kind, mine), (_, theirs) in zip(one[1], two[1], strict=True)
    ]
    return one[0], groups


class CounterReader:
    """Knows where a kernel keeps its counters; HarnessError if it has none."""

    def __init__(self, linux: Path) -> None:
        with open_elf(linux) as elf:
            table: Any = elf.get_section_by_name(".symtab")
            symbols = table.get_symbol_by_name(_HEAD) if table else None
            if not symbols:
                raise HarnessError(f"{linux} counts nothing: build it with --variant gcov")
            self._head: int = symbols[0]["st_value"]
            unit = find_unit(elf, _UNIT)
            names = ("gcov_info", "gcov_fn_info", "gcov_ctr_info")
            found = [unit.struct(name) for name in names]
        self._info, self._function, self._group = (_offsets(one) for one in found)
        self._kinds = _count(found[0], "merge")
        self._group_size = found[2].size if found[2] else 0

    def read(self, pid: int) -> list[Profile]:
        """Read all counters of a kernel that runs, or is held; HarnessError if it has gone."""
        try:
            with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
                return list(self._profiles(_Memory(file.fileno())))
        except OSError as error:
            raise HarnessError(
                f"cannot read the memory of guest {pid}: {error.strerror}"
            ) from error

    def _profiles(self, memory: _Memory) -> Iterator[Profile]:
        at, info = memory.number(self._head, 8), self._info
        while at:
            kinds = [k for k in range(self._kinds) if memory.number(at + info["merge"] + 8 * k, 8)]
            array = memory.number(at + info["functions"], 8)
            count = min(memory.number(at + info["n_functions"], 4), _MOST)
            addresses = memory.numbers(array, count)
            yield Profile(
                memory.string(memory.number(at + info["filename"], 8)),
                memory.number(at + info["version"], 4),
                memory.number(at + info["stamp"], 4),
                tuple(self._read_function(memory, a, at, kinds) for a in addresses),
            )
            at = memory.number(at + info["next"], 8)

    def _read_function(self, memory: _Memory, at: int, owner: int, kinds: list[int]) -> Function:
        member = self._function
        if memory.number(at + member["key"], 8) != owner:
            raise HarnessError("a function's counters are of another file: is it built by clang?")
        names = ("ident", "lineno_checksum", "cfg_checksum")
        ident, lines, flow = (memory.number(at + member[name], 4) for name in names)
        groups, group = [], at + member["ctrs"]
        for kind in kinds:
            count = min(memory.number(group + self._group["num"], 4), _MOST)
            values = memory.number(group + self._group["values"], 8)
            groups.append((kind, memory.numbers(values, count)))
            group += self._group_size
        return (ident, lines, flow), groups


class _Memory:
    """The memory of a process, by address."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def _bytes(self, at: int, size: int) -> bytes:
        data = os.pread(self._fd, size, at)
        if len(data) != size:
            raise HarnessError(f"the guest's memory ends at {at + len(data):#x}")
        return data

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self._bytes(at, size), "little")

    def numbers(self, at: int, count: int) -> list[int]:
        return list(struct.unpack(f"<{count}Q", self._bytes(at, 8 * count))) if count else []

    def string(self, at: int) -> str:
        return self._bytes(at, 1024).partition(b"\0")[0].decode()


def _offsets(found: Struct | None) -> dict[str, int]:
    if found is None:
        raise HarnessError(
            f"no structures of gcov in {_UNIT}: build the kernel with gcc 5 or later"
        )
    return {member.name: member.offset for member in found.members}


def _count(found: Struct | None, name: str) -> int:
    member = found.find(name) if found else None
    return member.count if member else 0
