# SPDX-License-Identifier: GPL-2.0-only
"""Programs: what one is, its canonical form, and its wire form."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from hashlib import blake2s
from typing import NamedTuple

from zsfuzz.errors import BadProgram
from zsmodel.wire import CGROUPS, MAX_OPS, NAME_CGROUP, NO_OWNER, OP, PAGES, PATTERNS, POOLS

OP_SIZE = OP.size  # bytes


class Opcode(IntEnum):
    """Number the operations as enum zsfuzz_opcode does."""

    POOL_CREATE = 0
    POOL_DESTROY = 1
    MALLOC = 2
    WRITE = 3
    READ = 4
    FREE = 5
    COMPACT = 6
    MIGRATE = 7
    SHRINK = 8
    LOCK_PAGE = 9
    READ_LOCK = 10
    FLUSH = 11
    FAIL_NEXT = 12
    STAT = 13
    CGROUP_CREATE = 14
    CGROUP_REMOVE = 15
    CLASSES = 16
    ZSWAP_MAX = 17
    MAY_ZSWAP = 18
    COMPACT_MEMORY = 19
    PAGE_WRITE = 20
    PAGE_OUT = 21
    PAGE_IN = 22
    PAGE_DROP = 23
    PAGE_EXIT = 24
    WRITEBACK = 25
    SWAP_COMPACT = 26
    STAT_FILES = 27

    @property
    def word(self) -> str:
        """Give the operation's name in the text form."""
        return self.name.lower()


CGROUP_OPS = frozenset(Opcode(op) for op in NAME_CGROUP)
PAGE_OPS = frozenset((Opcode.PAGE_WRITE, Opcode.PAGE_OUT, Opcode.PAGE_IN, Opcode.PAGE_DROP))
OWNER_OPS = frozenset((Opcode.MALLOC, Opcode.WRITE))

# What each operation reads, besides its opcode, and what it makes of `arg`.
USES: dict[Opcode, frozenset[str]] = {
    Opcode.POOL_CREATE: frozenset(("pool", "arg")),
    Opcode.POOL_DESTROY: frozenset(("pool",)),
    Opcode.MALLOC: frozenset(("object", "pool", "owner", "size", "arg")),
    Opcode.WRITE: frozenset(("object", "owner", "size", "arg")),
    Opcode.READ: frozenset(("object", "arg")),
    Opcode.FREE: frozenset(("object",)),
    Opcode.COMPACT: frozenset(("pool",)),
    Opcode.MIGRATE: frozenset(("object", "arg")),
    Opcode.SHRINK: frozenset(("pool",)),
    Opcode.LOCK_PAGE: frozenset(("object", "arg")),
    Opcode.READ_LOCK: frozenset(("object",)),
    Opcode.FLUSH: frozenset(("pool",)),
    Opcode.FAIL_NEXT: frozenset(("arg",)),
    Opcode.STAT: frozenset(("owner",)),
    Opcode.CGROUP_CREATE: frozenset(("owner", "arg")),
    Opcode.CGROUP_REMOVE: frozenset(("owner",)),
    Opcode.CLASSES: frozenset(("pool",)),
    Opcode.ZSWAP_MAX: frozenset(("owner", "arg")),
    Opcode.MAY_ZSWAP: frozenset(("owner",)),
    Opcode.COMPACT_MEMORY: frozenset(),
    Opcode.PAGE_WRITE: frozenset(("object", "owner", "arg")),
    Opcode.PAGE_OUT: frozenset(("object",)),
    Opcode.PAGE_IN: frozenset(("object", "arg")),
    Opcode.PAGE_DROP: frozenset(("object",)),
    Opcode.PAGE_EXIT: frozenset(("owner",)),
    Opcode.WRITEBACK: frozenset(),
    Opcode.SWAP_COMPACT: frozenset(("arg",)),
    Opcode.STAT_FILES: frozenset(("owner",)),
}
ARG_MODULUS = {
    Opcode.POOL_CREATE: 2,
    Opcode.MALLOC: PATTERNS,
    Opcode.WRITE: PATTERNS,
    Opcode.READ: 2,
    Opcode.FAIL_NEXT: 256,
    Opcode.PAGE_WRITE: PATTERNS,
    Opcode.PAGE_IN: 2,
    Opcode.SWAP_COMPACT: 2,
}


class Op(NamedTuple):
    """Hold one operation: struct zsfuzz_op, member for member (sizes in bytes)."""

    op: Opcode
    object: int = 0
    pool: int = 0
    owner: int = 0
    size: int = 0
    arg: int = 0

    def canonical(self) -> "Op":
        """Zero what the operation does not read, and reduce `arg` as the module does."""
        uses = USES[self.op]
        arg = self.arg % ARG_MODULUS.get(self.op, 1 << 16) if "arg" in uses else 0
        number = self.object if "object" in uses else 0
        if self.op in PAGE_OPS:
            number %= PAGES
        if self.op is Opcode.MALLOC and self.owner == NO_OWNER:
            arg = 0  # zs_malloc() only: nothing is written
        return Op(
            self.op,
            number,
            self.pool if "pool" in uses else 0,
            self.owner if "owner" in uses else 0,
            self.size if "size" in uses else 0,
            arg,
        )


def validate_op(op: Op, number: int | None = None) -> None:
    """Raise BadProgram if the module would refuse this operation; `number` counts from 1."""
    if not 0 <= op.pool < POOLS:
        raise BadProgram(f"pool {op.pool}: pools are p0 to p{POOLS - 1}", op=number)
    top = CGROUPS - 1 if op.op in CGROUP_OPS else NO_OWNER
    if not 0 <= op.owner <= top:
        raise BadProgram(f"owner {op.owner} of {op.op.word}: use 0 to {top}", op=number)
    if op.op is Opcode.CGROUP_CREATE and not 0 <= op.arg < CGROUPS:
        raise BadProgram(f"parent {op.arg}: cgroups are c0 to c{CGROUPS - 1}", op=number)
    if not (0 <= op.object < 256 and 0 <= op.size < 65536 and 0 <= op.arg < 65536):
        raise BadProgram(f"{tuple(op)}: a field does not fit its bytes", op=number)


@dataclass(frozen=True)
class Program:
    """Hold a well-formed program; raises BadProgram for one that the module would refuse."""

    ops: tuple[Op, ...] = ()

    def __post_init__(self) -> None:
        if len(self.ops) > MAX_OPS:
            raise BadProgram(f"{len(self.ops)} operations: a program has at most {MAX_OPS}")
        for number, op in enumerate(self.ops, 1):
            validate_op(op, number)

    def __len__(self) -> int:
        return len(self.ops)

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    def canonical(self) -> "Program":
        """Return the program with every unused field zero; it behaves the same."""
        return Program(tuple(op.canonical() for op in self.ops))

    @cached_property
    def wire(self) -> bytes:
        """Pack the operations as the module takes them: 8 bytes each."""
        return b"".join(OP.pack(*op) for op in self.ops)

    @property
    def digest(self) -> str:
        """Name the program's behaviour: equal for programs with equal canonical forms."""
        return digest_of(self.canonical().wire)

    @classmethod
    def of(cls, ops: Iterable[Op]) -> "Program":
        """Build a program of any iterable of operations."""
        return cls(tuple(ops))

    @classmethod
    def from_wire(cls, wire: bytes) -> "Program":
        """Unpack wire records; raises BadProgram for what the module would refuse."""
        if len(wire) % OP_SIZE:
            raise BadProgram(f"{len(wire)} bytes: operations have {OP_SIZE} bytes each")
        return cls(tuple(_unpack_ops(wire)))


def digest_of(wire: bytes) -> str:
    """Name what a canonical program in wire form does."""
    return blake2s(wire, digest_size=8).hexdigest()


def _unpack_ops(wire: bytes) -> Iterator[Op]:
    for number, (code, *fields) in enumerate(OP.iter_unpack(wire), 1):
        try:
            yield Op(Opcode(code), *fields)
        except ValueError:
            last = max(Opcode)
            raise BadProgram(f"opcode {code}: opcodes are 0 to {last:d}", op=number) from None
