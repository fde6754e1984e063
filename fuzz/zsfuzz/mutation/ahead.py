# SPDX-License-Identifier: GPL-2.0-only
"""Mutate ahead of time: make libFuzzer's next input while the guest still runs the present one.

libFuzzer mostly mutates the input that it has just run, so that one is mutated before it asks.  On
the slower kernels mutation then costs nothing.  What comes out depends on seeds and inputs only,
never on who was quicker.
"""

from __future__ import annotations

from zsfuzz.mutation.lcg import Lcg
from zsfuzz.mutation.mutator import Mutator

PARTNERS = 64  # inputs that are kept to be crossed with
CROSS_ONE_IN = 3


class AheadMutator:
    """A mutator for libFuzzer; `think` is to be called with each input while the guest runs it."""

    def __init__(self, mutator: Mutator, seed: int, max_size: int) -> None:
        self._mutator = mutator
        self._random = Lcg(seed)
        self._max_size = max_size  # bytes
        self._partners = [b""] * PARTNERS
        self._of = b""
        self._next = b""

    def think(self, data: bytes) -> None:
        """Make an offspring of `data`, in case that libFuzzer asks for one."""
        self._of = data
        self._next = self._offspring(data, self._max_size)

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Hand out the offspring of `data`; what libFuzzer mutates on top is a good partner."""
        if data == self._of and len(self._next) <= max_size:
            self._of = b""
            return self._next
        self._partners[seed % PARTNERS] = data
        return self._offspring(data, max_size)

    def _offspring(self, data: bytes, max_size: int) -> bytes:
        rng = self._random
        seed = rng.below(1 << 31)
        partner = self._partners[seed % PARTNERS]
        if partner and rng.below(CROSS_ONE_IN) == 0:
            return self._mutator.crossover(data, partner, max_size, seed)
        return self._mutator.mutate(data, max_size, seed)
