# SPDX-License-Identifier: GPL-2.0-only
"""The machine: a program in, the bytes that the kernel must answer out."""

from collections.abc import Callable
from typing import Final

from zsmodel.faults import Words
from zsmodel.features import SITUATIONS, situation
from zsmodel.fullness import SizeClass
from zsmodel.kernel import Kernel
from zsmodel.snapshot import (
    END,
    cgroup_records,
    event_records,
    object_records,
    page_records,
    pool_records,
)
from zsmodel.swap_operations import SwapOperations
from zsmodel.wire import (
    FAIL_NEXT,
    FREE,
    MALLOC,
    OP,
    OPCODES,
    RECORDS,
    ZRAM_POOL,
    ZSWAP_POOL,
    Packer,
    check_program,
)

_FIELDS: Final = RECORDS["zsfuzz_result"].fields
FAULTS: Final = _FIELDS.index("faults") - len(_FIELDS)  # in `results`, of the last one

Handler = Callable[[int, int, int, int, int], int]


class Model(SwapOperations):
    """Predict what a kernel answers to programs.

    `features`, if given, is a writable buffer of 4,096 bytes: byte h becomes 1 when situation h is
    seen.  `tolerated` counts, by name and over all runs, where the kernel's word was taken.
    """

    def __init__(self, kernel: Kernel, features: bytearray | memoryview | None = None) -> None:
        super().__init__(kernel)
        if features is not None and len(features) != SITUATIONS:
            raise ValueError(f"features of {len(features)} bytes: pass {SITUATIONS}")
        self.features = features
        self.handlers: list[Handler] = [getattr(self, name) for name in OPCODES]
        self.packer = Packer("zsfuzz_result")

    def check(self, ops: bytes) -> None:
        """Refuse a malformed program; ValueError names the operation and the field."""
        check_program(ops)

    def run(self, ops: bytes, words: Words | None = None) -> bytes:
        """Answer a well-formed program of zsfuzz_op records as the module would.

        The bytes are those that follow zsfuzz_result_header.  `words` are the kernel's answers to
        armed operations, by index; without them slab is taken to need no memory of its own.
        """
        self.reset(words)
        handlers = self.handlers
        for op, number, pool, owner, size, arg in OP.iter_unpack(ops):
            armed = self.left = self.nth
            if op == MALLOC:
                errno = self.malloc(number, pool, owner, size, arg)
            elif op == FREE:
                errno = self.free(number, pool, owner, size, arg)
            else:
                errno = handlers[op](number, pool, owner, size, arg)
            if errno:
                self.fail(errno)
            if armed:
                self.report_fault(op)
        if self.features is not None:
            self.note_all_situations()
        answer = self.packer.pack(self.results) + self.snapshot()
        return answer + bytes(-len(answer) % 8)

    def report_fault(self, op: int) -> None:
        """Add to an armed operation's result what is left; only zs_malloc() uses up allocations."""
        self.results[FAULTS] = self.left
        if op != FAIL_NEXT:
            self.nth = 0

    def snapshot(self) -> bytes:
        """Record the state after the last operation."""
        records: list[bytes] = []
        for number, pool in enumerate(self.pools):
            if pool:
                records += pool_records(number, pool)
        swap = self.swap
        if swap.used:
            records += pool_records(ZSWAP_POOL, swap.zswap) + pool_records(ZRAM_POOL, swap.zram)
        records.append(object_records(self.live))
        if swap.used:
            records.append(page_records(swap.live_pages()))
        incompressibles = swap.used or not self.usual_writes
        records.append(cgroup_records(self.cgroups.names, incompressibles))
        if swap.used:
            records.append(event_records(self.cgroups.names, swap))
        records.append(END)
        return b"".join(records)

    def compact(self, _object: int, number: int, _owner: int, _size: int, _arg: int) -> int:
        """Note what is about to change, then run zs_compact()."""
        pool = self.pools[number]
        if pool and self.features is not None:
            for size_class in pool.classes.values():
                if size_class.can_compact():
                    self.note_situations(size_class, pool.aware)
        return super().compact(_object, number, _owner, _size, _arg)

    def note_all_situations(self) -> None:
        """Set the bytes of the situations at a program's end."""
        pools = self.pools
        if self.swap.used:
            pools = [*pools, self.swap.zswap, self.swap.zram]
        for pool in pools:
            if pool:
                for size_class in pool.classes.values():
                    self.note_situations(size_class, pool.aware)

    def note_situations(self, size_class: SizeClass, aware: bool) -> None:
        """Set the byte of each situation in which a zspage of one class is."""
        features = self.features
        if features is not None:
            for zspage in size_class.zspages():
                features[situation(zspage, aware)] = 1
