# SPDX-License-Identifier: GPL-2.0-only
"""A short, repeatable look at one kernel: all seeds, mutated programs, and what they left."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zsfuzz.history import Auditor
from zsfuzz.mutation.mutator import Mutator
from zsfuzz.mutation.rawbytes import decode
from zsfuzz.runner import Runner, Trouble
from zsmodel.classes import distinct_classes
from zsmodel.kernel import Kernel as Facts

STEP = 2  # mutations from one program of `mutated` to the next
KEPT = 32  # programs that mutations start from
CROSSED = 0.1  # of the programs, those that are crossed with another one
AUDIT_EVERY = 500  # programs
SWAP_EVERY = 20  # programs: a swap operation takes as long as hundreds of others
SWAP_OPERATIONS = 48  # in a program that swaps


@dataclass(frozen=True)
class Smoke:
    """How many programs were run, and the first trouble, if there was any."""

    programs: int
    trouble: Trouble | None


def mutations(mutator: Mutator, max_size: int, seed: int) -> Iterator[bytes]:
    """Make raw bytes by the mutator from nothing, without end, keeping some at random."""
    rng = random.Random(seed)  # noqa: S311 - choices, not secrets
    kept = [b""]
    while True:
        data = rng.choice(kept)
        for _ in range(STEP):
            data = mutator.mutate(data, max_size, rng.getrandbits(32))
        if len(kept) > 1 and rng.random() < CROSSED:
            data = mutator.crossover(data, rng.choice(kept), max_size, rng.getrandbits(32))
        kept.append(data)
        if len(kept) > KEPT:
            kept.pop(rng.randrange(KEPT))
        yield data


def mutated(facts: Facts, count: int, seed: int = 1) -> Iterator[bytes]:
    """Make programs in wire form by the mutator from nothing; the same ones for the same seed.

    Every SWAP_EVERY-th one swaps pages, which the others do hardly ever.
    """
    mutator = Mutator(distinct_classes(facts))
    others = mutations(mutator, 1 + 8 * 128, seed)
    for number in range(1, count + 1):
        if number % SWAP_EVERY == 0:
            yield decode(mutator.swap(1 + 8 * SWAP_OPERATIONS, seed * count + number))
        else:
            yield decode(next(others))


def smoke_test(runner: Runner, seeds: Sequence[bytes], count: int) -> Smoke:
    """Run the seeds, then `count` mutated programs, with audits; stop at the first trouble."""
    auditor, programs = Auditor(runner), 0
    for wire in _programs(runner.target.kernel, seeds, count):
        programs += 1
        trouble = runner.run(wire)
        auditor.note(wire)
        if trouble is None and programs % AUDIT_EVERY == 0:
            trouble = auditor.audit(0)
        if trouble is not None:
            return Smoke(programs, trouble)
    return Smoke(programs, auditor.audit(0))


def _programs(facts: Facts, seeds: Sequence[bytes], count: int) -> Iterator[bytes]:
    yield from seeds
    yield from mutated(facts, count)
