# SPDX-License-Identifier: GPL-2.0-only
"""Long programs with a small one hidden in them, to measure and test minimising."""

from __future__ import annotations

import random

from zsfuzz.mutation.rawbytes import DEAR_OPS
from zsfuzz.program import Op, Program
from zsfuzz.runner import Runner, Trouble
from zsfuzz.smoke import mutated
from zsmodel.kernel import Kernel

LENGTH = 200  # operations
SEEDS = 20
FIRST = 200  # number of the small program's first object


def noise(facts: Kernel, length: int, seed: int) -> list[Op]:
    """Make operations from mutated programs, on objects below FIRST."""
    ops: list[Op] = []
    for wire in mutated(facts, 60, seed):
        kept = (op for op in Program.from_wire(wire) if op.op not in DEAR_OPS)
        ops += (op._replace(object=op.object % FIRST) for op in kept)
    return ops[:length]


def hidden(facts: Kernel, small: Program, seed: int) -> Program:
    """Put the operations of a small program here and there into a long one."""
    trigger = [op._replace(object=op.object + FIRST) for op in small]
    rest = noise(facts, LENGTH - len(trigger), seed)
    rng = random.Random(seed)  # noqa: S311 - the same each time
    places = sorted(rng.sample(range(len(rest) + 1), len(trigger)))
    for at, op in reversed(list(zip(places, trigger, strict=True))):
        rest.insert(at, op)
    return Program.of(rest)


def shown(runner: Runner, small: Program, title: str) -> Trouble | None:
    """Find a long program with the small one in it that shows this, and nothing else before."""
    for seed in range(SEEDS):
        trouble = runner.run_and_audit(hidden(runner.target.kernel, small, seed).wire)
        if trouble is not None and trouble.title == title:
            return trouble
    return None
