# SPDX-License-Identifier: GPL-2.0-only
"""The state of a program while it runs, and the forms that its results take."""

from itertools import count

from zsmodel import faults
from zsmodel.cgroups import CgroupTree
from zsmodel.classes import distinct_classes, shapes_by_payload
from zsmodel.fullness import SizeClass
from zsmodel.kernel import Kernel
from zsmodel.pool import Pool
from zsmodel.profile import AWARE, MALLOC
from zsmodel.swap import Swap
from zsmodel.wire import NONE8, NONE16, OBJECTS, POOLS
from zsmodel.zspage import Object


class State:
    """Hold the objects, pools and cgroups that a program names.

    `results` has the ten fields of each zsfuzz_result, one after the other.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.page_size = kernel.page_size
        self.usual_writes = kernel.profile.usual_writes
        self.owns_at_malloc = kernel.profile.charge_time == MALLOC
        self.spare_pools = [Pool(classes_by_payload(kernel)) for _ in range(POOLS)]
        self.objects = [Object(number) for number in range(OBJECTS)]
        self.live: dict[int, Object] = {}
        self.results: list[int] = []
        self.cgroups = CgroupTree(kernel.has_memcg, kernel.has_zswap)
        self.tolerated: dict[str, int] = {}
        self.swap = Swap(
            kernel, classes_by_payload(kernel), classes_by_payload(kernel), self.cgroups
        )
        self.reset(None)

    def reset(self, words: faults.Words | None) -> None:
        """Go back to what every program finds; `words` are for the program to come."""
        self.results.clear()
        for obj in self.live.values():
            obj.forget()
        self.live.clear()
        self.zspage_numbers = count()
        self.pools: list[Pool | None] = [None] * POOLS
        self.open_pool(0, True)
        self.open_pool(1, False)
        self.cgroups.reset()
        self.swap.reset()
        self.nth = 0  # the allocation that fails in the next operation
        self.left = 0
        self.words = words

    def open_pool(self, number: int, aware: bool) -> None:
        """Create p<number>, memcg-aware only on a kernel with owners (zs_create_pool).

        The profile may say that others have owner entries, too.
        """
        pool = self.pools[number] = self.spare_pools[number]
        keeps = aware or self.kernel.profile.pools != AWARE
        owners = self.kernel.has_owners
        pool.open(keeps and owners, self.zspage_numbers, aware and owners)

    def fail(self, errno: int) -> None:
        """Answer `errno` and nothing else."""
        self.results.extend(
            (-errno, NONE16, NONE8, NONE8, NONE8, NONE8, NONE8, 0, 0, 0, NONE16, NONE16)
        )
        self.results.append(self.nr_zspages())

    def succeed(self, value: int = NONE16, inuse: int = 0, tags: int = 0) -> None:
        """Answer about no object."""
        self.results.extend(
            (0, NONE16, NONE8, NONE8, NONE8, NONE8, NONE8, 0, inuse, tags, value, NONE16)
        )
        self.results.append(self.nr_zspages())

    def nr_zspages(self) -> int:
        """Count the pages of all pools (NR_ZSPAGES)."""
        pages = 0
        for pool in self.pools:
            if pool:
                pages += pool.pages
        if self.swap.used:
            pages += self.swap.zswap.pages + self.swap.zram.pages
        return pages

    def describe(self, obj: Object, value: int) -> None:
        """Answer with the place, the owner and the zspage of `obj`."""
        zspage, index = obj.zspage, obj.index
        size_class = zspage.size_class
        owner = zspage.owners[index]
        self.results.extend(
            (
                0,
                zspage.number,
                size_class.index,
                index,
                owner,
                owner if size_class.twice[index] else NONE8,
                zspage.group,
                zspage.tag_bits,
                zspage.inuse,
                zspage.tags,
                value,
                NONE16,
            )
        )
        self.results.append(self.nr_zspages())


def classes_by_payload(kernel: Kernel) -> list[SizeClass]:
    """List the class of a request of 0, 1, 2... bytes.

    Raises ValueError for a kernel whose objects' indexes do not fit zsfuzz_result.
    """
    shapes = distinct_classes(kernel)
    largest = max(shape.objs for shape in shapes)
    if largest > NONE8 + 1:
        raise ValueError(f"zspages of {largest} objects: an index has one byte; use smaller pages")
    design, profile = kernel.ownership, kernel.profile
    classes = {shape.index: SizeClass(shape, design, profile) for shape in shapes}
    return [classes[shape.index] for shape in shapes_by_payload(kernel)]
