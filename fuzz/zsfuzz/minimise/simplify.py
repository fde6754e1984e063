# SPDX-License-Identifier: GPL-2.0-only
"""Passes that leave the length as it is and make the operations simpler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from zsfuzz.minimise.rank import OWNERS, Ops
from zsfuzz.minimise.search import Search
from zsfuzz.minimise.things import Thing, things
from zsfuzz.program import USES, Op, Opcode
from zsmodel.wire import NO_OWNER, POOLS

SHORT = 24  # operations, in programs of which each single size is tried
FEW_SIZES = 4  # otherwise
MOST_ARGUMENTS = 16  # values below the present one that are tried
# What is never without its cgroup.
_NEEDS_CGROUP = frozenset(op for op in Opcode if "owner" in USES[op]) - {
    Opcode.MALLOC,
    Opcode.WRITE,
}


def simplify_sizes(search: Search) -> None:
    """Give all mallocs one size, then each size, and each malloc, the simplest that will do."""
    sizes = search.rank.sizes
    _first(search, (_replaced(search.best, "size", size, _is_malloc) for size in sizes))
    _each_value(search, "size", _is_malloc, lambda _: sizes)
    if len(search.best) > SHORT:
        sizes = sizes[:FEW_SIZES]
    _each_op(search, "size", lambda _: sizes)


def simplify_owners(search: Search) -> None:
    """Let operations name no owner, or the first cgroups that will do."""
    _each_op(search, "owner", lambda op: (NO_OWNER,) if _may_lack_owner(op) else ())
    _each_value(search, "owner", _names_owner, lambda _: OWNERS[1:])
    _each_op(search, "owner", lambda op: OWNERS[1:] if _names_owner(op) else ())


def simplify_arguments(search: Search) -> None:
    """Make patterns, pages, nths and so on small: each value wherever it is, then each alone."""
    _each_value(search, "arg", lambda op: "arg" in USES[op.op], _below)
    _each_op(search, "arg", lambda op: _below(op.arg))


def simplify_pools(search: Search) -> None:
    """Use the first pools that will do."""
    _each_value(search, "pool", lambda op: "pool" in USES[op.op], lambda _: range(POOLS))


def rename_objects(search: Search) -> None:
    """Give objects numbers in order of appearance; to each malloc a new one, if that will do."""
    if not search.attempt(_numbered(search.best, again=True)):
        search.attempt(_numbered(search.best, again=False))


def retarget(search: Search) -> None:
    """Let operations work on an earlier object than the one they name."""
    _each_op(search, "object", lambda op: () if _is_malloc(op) else range(op.object))


def reorder(search: Search) -> None:
    """Swap neighbours where that is simpler."""
    for at in range(len(search.best) - 1):
        ops = search.best
        if at + 1 < len(ops):
            search.attempt((*ops[:at], ops[at + 1], ops[at], *ops[at + 2 :]))


# ---- how values are tried ----------------------------------------------------------------------


def _first(search: Search, candidates: Iterable[Ops]) -> None:
    any(search.attempt(ops) for ops in candidates)


def _each_value(
    search: Search,
    field: str,
    chosen: Callable[[Op], bool],
    values: Callable[[int], Iterable[int]],
) -> None:
    """Replace each value of a field, everywhere at once, by the first other one that will do."""
    for old in sorted({getattr(op, field) for op in search.best if chosen(op)}, reverse=True):
        ops = search.best

        def takes(op: Op, old: int = old) -> bool:
            return chosen(op) and getattr(op, field) == old

        _first(search, (_replaced(ops, field, new, takes) for new in values(old)))


def _each_op(search: Search, field: str, values: Callable[[Op], Sequence[int]]) -> None:
    """Replace the field of each operation by the first value that will do."""
    for at in range(len(search.best)):
        ops = search.best
        if at < len(ops) and field in USES[ops[at].op]:
            _first(search, _at(ops, at, field, values(ops[at])))


def _at(ops: Ops, at: int, field: str, values: Iterable[int]) -> Iterator[Ops]:
    for value in values:
        yield (*ops[:at], _set(ops[at], field, value), *ops[at + 1 :])


def _replaced(ops: Ops, field: str, new: int, takes: Callable[[Op], bool]) -> Ops:
    return tuple(_set(op, field, new) if takes(op) else op for op in ops)


def _set(op: Op, field: str, value: int) -> Op:
    return Op(**(op._asdict() | {field: value}))


def _below(value: int) -> Sequence[int]:
    return range(min(value, MOST_ARGUMENTS))


def _may_lack_owner(op: Op) -> bool:
    return "owner" in USES[op.op] and op.op not in _NEEDS_CGROUP


def _names_owner(op: Op) -> bool:
    return "owner" in USES[op.op] and op.owner != NO_OWNER


def _numbered(ops: Ops, *, again: bool) -> Ops:
    """Give objects and pages numbers from 0; with `again`, each malloc makes another object."""
    names: dict[Thing, int] = {}
    counts: Counter[str] = Counter()
    renamed = []
    for op in ops:
        named = things(op)
        thing = named.get("object") or named.get("page")
        if thing is not None:
            if thing not in names or (again and _is_malloc(op)):
                names[thing] = counts[thing.kind]
                counts[thing.kind] += 1
            op = op._replace(object=names[thing])  # noqa: PLW2901
        renamed.append(op)
    return tuple(renamed)


def _is_malloc(op: Op) -> bool:
    return op.op is Opcode.MALLOC
