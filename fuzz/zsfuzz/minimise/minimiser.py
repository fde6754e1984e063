# SPDX-License-Identifier: GPL-2.0-only
"""Minimise: all passes in turn, until none finds anything simpler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from zsfuzz.minimise.drop import drop_blocks, drop_pairs, drop_tail, drop_users, keep_related
from zsfuzz.minimise.rank import Ops, Rank
from zsfuzz.minimise.search import Search, Shows, Stop, Stopped
from zsfuzz.minimise.shorter import try_all_shorter
from zsfuzz.minimise.simplify import (
    rename_objects,
    reorder,
    retarget,
    simplify_arguments,
    simplify_owners,
    simplify_pools,
    simplify_sizes,
)
from zsfuzz.program import Program
from zsmodel.kernel import Kernel

Pass = Callable[[Search], None]


class Cost(Enum):
    """What it costs to see the finding once more."""

    CHEAP = "microseconds"  # the answers differ, and the guest goes on
    DEAR = "a boot"  # the kernel complains, dies or hangs, or an audit is needed


SHORTEN: tuple[Pass, ...] = (drop_tail, keep_related, drop_blocks, drop_users)
SIMPLIFY: tuple[Pass, ...] = (
    simplify_sizes,
    simplify_owners,
    simplify_arguments,
    simplify_pools,
    rename_objects,
    retarget,
    reorder,
)
# Passes that ask for much and find something now and then.
THOROUGH: tuple[Pass, ...] = (drop_pairs, try_all_shorter)
PASSES = {
    Cost.CHEAP: (*SHORTEN, *SIMPLIFY, *THOROUGH),
    Cost.DEAR: (*SHORTEN, *SIMPLIFY),
}


@dataclass(frozen=True)
class Minimised:
    """What came of it; `finished` tells whether all passes came to their end."""

    program: Program
    operations: int  # of the program that it began with
    runs: int
    finished: bool


@dataclass(frozen=True)
class Task:
    """What to minimise; `step` is the operation, from 1, that shows the finding, if one does."""

    program: Program
    shows: Shows
    kernel: Kernel
    cost: Cost
    step: int | None = None


def minimise(task: Task, stop: Stop = lambda: False) -> Minimised:
    """Find the simplest program that `shows` accepts, starting from one that it accepts.

    The result depends on the program and on what `shows` says, on nothing else, unless `stop` ends
    the search early; then it is the best so far.
    """
    ops = task.program.canonical().ops
    search = Search(ops, task.shows, Rank(task.kernel), stop, task.step)
    finished = True
    try:
        _run_passes(search, PASSES[task.cost])
    except Stopped:
        finished = False
    return Minimised(Program(search.best), len(ops), search.runs, finished)


def _run_passes(search: Search, passes: tuple[Pass, ...]) -> None:
    before: Ops | None = None
    while before != search.best:
        before = search.best
        for one in passes:
            one(search)
