# SPDX-License-Identifier: GPL-2.0-only
"""The last pass: try all shorter programs that are made of the same operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from zsfuzz.minimise.rank import Ops
from zsfuzz.minimise.search import Search
from zsfuzz.minimise.things import things
from zsfuzz.program import Op, Opcode

MOST = 4000  # programs; lengths that would take more are left out


def try_all_shorter(search: Search) -> None:
    """Look for programs that dropping alone does not lead to, shortest first.

    They are made of some of the operations in any order, on any objects, each made by a malloc.  If
    the last operation is where the finding shows, it stays the last.
    """
    last = search.best[-1:] if search.step is not None else ()
    parts = Counter(_part(op) for op in search.best[: len(search.best) - len(last)])
    left = MOST
    for length in range(len(last), len(search.best)):
        programs = list(islice(_programs(parts, length - len(last), last), left + 1))
        left -= len(programs)
        if left < 0 or any(search.attempt(ops) for ops in sorted(programs, key=search.rank)):
            return


def _part(op: Op) -> Op:
    # Objects are numbered in order: operations that differ in nothing else are the same.
    return op._replace(object=0) if "object" in things(op) else op


def _programs(parts: Counter[Op], length: int, last: Ops, made: int = 0) -> Iterator[Ops]:
    if not length:
        yield from ((op,) for part in last for op in _forms(_part(part), made))
        if not last:
            yield ()
        return
    for part in [part for part, count in parts.items() if count]:
        parts[part] -= 1
        for op in _forms(part, made):
            for rest in _programs(parts, length - 1, last, made + (op.op is Opcode.MALLOC)):
                yield (op, *rest)
        parts[part] += 1


def _forms(part: Op, made: int) -> Iterator[Op]:
    if "object" not in things(part):
        yield part
        return
    for name in (made,) if part.op is Opcode.MALLOC else range(made):
        yield part._replace(object=name)
