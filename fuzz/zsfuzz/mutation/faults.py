# SPDX-License-Identifier: GPL-2.0-only
"""Let more allocations fail: put fail_next before operations of what another mutator made."""

from __future__ import annotations

from collections.abc import Callable

from zsfuzz.mutation.lcg import Lcg
from zsfuzz.mutation.patterns import record
from zsfuzz.program import OP_SIZE, Opcode

MOST = 4  # faults that are put into one program
DEEPEST = 6  # of the next operation's allocations, the last that may fail

Mutate = Callable[[bytes, int, int], bytes]


class FaultMutator:
    """Every second program gets one to MOST faults more."""

    def __init__(self, mutate: Mutate, seed: int) -> None:
        self._mutate = mutate
        self._random = Lcg(seed)

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Mutate as the other does, then plant faults; at most max_size bytes."""
        made = self._mutate(data, max_size, seed)
        rng = self._random
        if rng.below(2):
            for _ in range(1 + rng.below(MOST)):
                made = self._plant(made, max_size)
        return made

    def _plant(self, data: bytes, max_size: int) -> bytes:
        count = (len(data) - 1) // OP_SIZE
        if count < 1 or len(data) + OP_SIZE > max_size:
            return data
        at = 1 + OP_SIZE * self._random.below(count)
        fault = record(Opcode.FAIL_NEXT, arg=1 + self._random.below(DEEPEST))
        return data[:at] + fault + data[at:]
