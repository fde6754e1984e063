# SPDX-License-Identifier: GPL-2.0-only
"""Size classes: how large, of how many pages, and which request goes where."""

from dataclasses import dataclass
from functools import cache

from zsmodel.kernel import Kernel

HANDLE_SIZE = 8  # ZS_HANDLE_SIZE: each object's header, in bytes
CLASS_BITS = 8
FULL = 11  # ZS_INUSE_RATIO_100
GROUPS = 12  # NR_FULLNESS_GROUPS


@dataclass(frozen=True)
class ClassShape:
    """Describe a size class; size is in bytes, header included (struct size_class)."""

    index: int
    size: int
    pages: int  # pages_per_zspage
    objs: int  # objs_per_zspage
    page_size: int

    @property
    def huge(self) -> bool:
        """Tell whether a zspage is one page with one object (create_page_chain)."""
        return self.pages == 1 and self.objs == 1

    @property
    def tail_waste(self) -> int:
        """Count the bytes after the last object of a zspage."""
        return self.pages * self.page_size - self.objs * self.size

    def spans(self, index: int) -> bool:
        """Tell whether object `index` lies in two pages."""
        first = index * self.size // self.page_size
        last = ((index + 1) * self.size - 1) // self.page_size
        return first != last


def chain_size(kernel: Kernel, size: int) -> int:
    """Choose the pages of a zspage: least waste, then fewest (calculate_zspage_chain_size)."""
    if size & (size - 1) == 0:
        return 1
    return min(range(1, kernel.chain_size + 1), key=lambda pages: pages * kernel.page_size % size)


def slot_count(kernel: Kernel) -> int:
    """Count the entries of a pool's size_class[] (ZS_SIZE_CLASSES)."""
    delta = kernel.page_size >> CLASS_BITS
    return -(-(kernel.page_size - kernel.min_alloc_size) // delta) + 1


def slot_index(kernel: Kernel, payload: int) -> int:
    """Find the entry of size_class[] for a request of `payload` bytes (lookup_size_class)."""
    delta = kernel.page_size >> CLASS_BITS
    above = payload + HANDLE_SIZE - kernel.min_alloc_size
    return min(slot_count(kernel) - 1, max(0, -(-above // delta)))


def slot_shape(kernel: Kernel, index: int) -> ClassShape:
    """Shape entry `index` of size_class[] before any merging (zs_create_pool)."""
    delta = kernel.page_size >> CLASS_BITS
    size = min(kernel.min_alloc_size + index * delta, kernel.page_size)
    pages = chain_size(kernel, size)
    return ClassShape(index, size, pages, pages * kernel.page_size // size, kernel.page_size)


@cache
def build_slots(kernel: Kernel) -> tuple[ClassShape, ...]:
    """Build size_class[]: from the largest down, equal neighbours merge (can_merge).

    A merged entry holds the class above it, so `slots[i].index != i` marks an alias.
    """
    slots: list[ClassShape] = []
    for index in reversed(range(slot_count(kernel))):
        shape = slot_shape(kernel, index)
        if slots and (slots[-1].pages, slots[-1].objs) == (shape.pages, shape.objs):
            shape = slots[-1]
        slots.append(shape)
    return tuple(reversed(slots))


def distinct_classes(kernel: Kernel) -> list[ClassShape]:
    """List the classes without their aliases, smallest first."""
    return [shape for index, shape in enumerate(build_slots(kernel)) if shape.index == index]


@cache
def shapes_by_payload(kernel: Kernel) -> tuple[ClassShape, ...]:
    """List the class of a request of 0, 1, 2... up to a page of bytes."""
    slots = build_slots(kernel)
    return tuple(slots[slot_index(kernel, payload)] for payload in range(kernel.page_size + 1))


def huge_class_size(kernel: Kernel) -> int:
    """Compute the smallest payload, in bytes, that ends in the huge class (zs_huge_class_size).

    Zero if no class has several pages and several objects.
    """
    for index in reversed(range(slot_count(kernel))):
        shape = slot_shape(kernel, index)
        if shape.pages != 1 and shape.objs != 1:
            return shape.size - (HANDLE_SIZE - 1)
    return 0


def fullness_group(inuse: int, objs: int) -> int:
    """Compute the fullness group, 0 to 11, of a zspage (get_fullness_group)."""
    if inuse == 0:
        return 0
    if inuse == objs:
        return FULL
    return 100 * inuse // objs // 10 + 1
