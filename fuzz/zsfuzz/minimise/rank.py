# SPDX-License-Identifier: GPL-2.0-only
"""What "simpler" means: a total order of programs, in which minimising only ever goes down."""

from __future__ import annotations

from collections.abc import Sequence

from zsfuzz.program import USES, Op, Opcode
from zsmodel.classes import HANDLE_SIZE, distinct_classes
from zsmodel.kernel import Kernel
from zsmodel.wire import CGROUPS, NO_OWNER

Ops = tuple[Op, ...]
# No owner is the simplest, then c1, c2...; the root cgroup is never charged and comes last.
OWNERS = (NO_OWNER, *range(1, CGROUPS), 0)
_OWNER_RANK = {owner: rank for rank, owner in enumerate(OWNERS)}


def simple_sizes(kernel: Kernel) -> tuple[int, ...]:
    """List the payloads, in bytes, that fill a slot to the last byte, simplest first.

    Zspages of few pages and few objects come first, as it takes few operations to fill one; the
    huge class, which works in its own way, comes last.
    """
    shapes = sorted(distinct_classes(kernel), key=lambda s: (s.huge, s.pages, s.objs))
    return tuple(s.size if s.huge else s.size - HANDLE_SIZE for s in shapes)


class Rank:
    """Compare programs: fewer operations, then simpler sizes, owners, arguments, pools, names.

    A name of its own for each object comes before a low number.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.sizes = (0, *simple_sizes(kernel))
        self._size_rank = {size: rank for rank, size in enumerate(self.sizes)}

    def __call__(self, ops: Sequence[Op]) -> tuple[object, ...]:
        """Give the key by which programs in canonical form are ordered."""
        return (
            len(ops),
            [self._of_size(op.size) for op in ops],
            [_OWNER_RANK[op.owner] for op in ops if "owner" in USES[op.op]],
            [op.arg for op in ops],
            [op.pool for op in ops],
            _reused(ops),
            [op.object for op in ops],
            ops,
        )

    def _of_size(self, size: int) -> int:
        return self._size_rank.get(size, len(self.sizes) + size)


def _reused(ops: Sequence[Op]) -> int:
    """Count the mallocs that use a name again."""
    made = [op.object for op in ops if op.op is Opcode.MALLOC]
    return len(made) - len(set(made))
