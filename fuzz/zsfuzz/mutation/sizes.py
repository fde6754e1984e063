# SPDX-License-Identifier: GPL-2.0-only
"""The sizes that are worth asking zs_malloc() for, with what the mutator must know of each."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from zsfuzz.mutation.lcg import Lcg
from zsmodel.classes import HANDLE_SIZE, ClassShape

TABLE_SIZE = 2048
LEARNED = 192  # entries of the table that learned values may take

# Class sizes that show much in few operations: spanning objects, few objects, merged slots, the
# ends of the range.
FAVOURITES = (2720, 480, 3264, 3408, 2048, 1360, 96, 48, 32, 4096, 3632)
FAVOURITE_SHARE = 5  # of 16
EDGE_SHARE = 11  # of 16; the others are any payload of the class
SMALL_ZSPAGE = 24  # objects: such zspages fill up within a usual program
ODD_SIZES = (0, 1, 4088, 4089, 4095, 4096, 4097)


class Size(NamedTuple):
    """Hold a payload in bytes, and the objects and pages of a zspage of its class."""

    payload: int
    objs: int
    pages: int


class SizeTable:
    """Draw sizes: mostly at the edges of classes, some learned from kernel comparisons."""

    def __init__(self, shapes: Sequence[ClassShape]) -> None:
        self._shapes = sorted(shapes, key=lambda shape: shape.size)
        self.entries: list[Size] = []
        self._fill(Lcg(1))
        self._known: set[int] = set()
        self._next = 0

    def _fill(self, rng: Lcg) -> None:
        shapes = self._shapes
        favourites = [i for i, shape in enumerate(shapes) if shape.size in FAVOURITES]
        small = [i for i, shape in enumerate(shapes) if shape.objs <= SMALL_ZSPAGE]
        odd = [self.size_of(payload) for payload in ODD_SIZES]
        while len(self.entries) < TABLE_SIZE:
            share = rng.below(16)
            if share == 15:
                self.entries.append(odd[rng.below(len(odd))])
                continue
            among = favourites if share < FAVOURITE_SHARE else small if share < 12 else None
            at = among[rng.below(len(among))] if among else rng.below(len(shapes))
            self.entries.append(self._payload(at, rng))

    def _payload(self, at: int, rng: Lcg) -> Size:
        shape = self._shapes[at]
        top = shape.size if shape.huge else shape.size - HANDLE_SIZE
        bottom = self._shapes[at - 1].size - HANDLE_SIZE + 1 if at else 1
        if rng.below(16) < EDGE_SHARE:
            payload = bottom if rng.below(3) == 0 else top
        else:
            payload = bottom + rng.below(top - bottom + 1)
        return Size(payload, shape.objs, shape.pages)

    def size_of(self, payload: int) -> Size:
        """Look up a payload, in bytes; what zs_malloc() refuses counts as the nearest class."""
        for shape in self._shapes:
            if payload <= shape.size - HANDLE_SIZE:
                return Size(payload, shape.objs, shape.pages)
        return Size(payload, self._shapes[-1].objs, self._shapes[-1].pages)

    def draw(self, rng: Lcg) -> Size:
        """Draw a size."""
        return self.entries[rng.below(TABLE_SIZE)]

    def learn(self, values: Iterable[int]) -> None:
        """Take up payloads, in bytes, that the kernel compared; the oldest ones give way.

        Values that are no size (0, or above 4097) are ignored.
        """
        for value in values:
            if not 0 < value <= 4097 or value in self._known:
                continue
            at = TABLE_SIZE - LEARNED + self._next
            if len(self._known) >= LEARNED:
                self._known.discard(self.entries[at].payload)
            self._known.add(value)
            self.entries[at] = self.size_of(value)
            self._next = (self._next + 1) % LEARNED
