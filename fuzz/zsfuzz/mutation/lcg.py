# SPDX-License-Identifier: GPL-2.0-only
"""A random number generator that costs nothing to seed, for code that runs once per program."""

_MULTIPLIER = 6364136223846793005
_INCREMENT = 1442695040888963407
_MASK = (1 << 64) - 1


class Lcg:
    """Draw small numbers; the same seed gives the same draws.

    random.Random takes longer to seed than a whole mutation may last.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        # Neighbouring seeds must not give neighbouring first draws: libFuzzer's seeds may count up.
        state = (seed ^ (seed >> 29)) * 0xBF58476D1CE4E5B9 & _MASK
        self._state = (state ^ (state >> 32)) * 0x94D049BB133111EB & _MASK

    def below(self, limit: int) -> int:
        """Draw a number from 0 to limit - 1; limit must be from 1 to 2^32."""
        self._state = state = (self._state * _MULTIPLIER + _INCREMENT) & _MASK
        return (state >> 32) * limit >> 32
