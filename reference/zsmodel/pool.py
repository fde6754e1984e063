# SPDX-License-Identifier: GPL-2.0-only
"""A pool: where zs_malloc() puts an object, and what zs_free() gives back."""

from collections.abc import Iterator

from zsmodel.fullness import NOT_FULL, SizeClass
from zsmodel.zspage import Object, Zspage


class Pool:
    """Hold the size classes of one pool (struct zs_pool).

    `by_payload` has the class of a request of so many bytes; `numbers` names zspages in order of
    appearance, over all pools.
    """

    __slots__ = (
        "asked",
        "aware",
        "by_payload",
        "classes",
        "compacted",
        "numbers",
        "pages",
        "show_rows",
    )

    def __init__(self, by_payload: list[SizeClass]) -> None:
        self.by_payload = by_payload
        self.classes: dict[int, SizeClass] = {}  # those that had a zspage since open()
        self.open(False, iter(()))

    def open(self, aware: bool, numbers: Iterator[int], asked: bool | None = None) -> None:
        """Start anew, without zspages (zs_create_pool).

        `aware`: has owner entries; `asked`, if that is not the same: was created memcg-aware.
        """
        for size_class in self.classes.values():
            size_class.reset()
        self.classes.clear()
        self.aware = aware
        self.asked = aware if asked is None else asked
        self.numbers = numbers
        self.pages = 0  # zs_get_total_pages()
        self.compacted = 0  # zs_pool_stats.pages_compacted, in pages
        self.show_rows = False  # of the classes file, at the end

    def allocations(self, payload: int) -> int:
        """Count allocations: the handle, then perhaps zspage, pages, owners (alloc_zspage)."""
        size_class = self.by_payload[payload]
        if size_class.fullest(NOT_FULL):
            return 1
        return 2 + size_class.pages + (size_class.arrays if self.aware else 0)

    def malloc(self, obj: Object, payload: int) -> None:
        """Place `obj` in the fullest zspage with room, a new one if there is none (zs_malloc).

        That may be a zspage whose last object was freed, while its freeing is deferred.
        """
        size_class = self.by_payload[payload]
        roomy = size_class.occupied & NOT_FULL
        if roomy:
            zspage = size_class.lists[roomy.bit_length() - 1][-1]  # find_get_zspage
        else:
            zspage = self.alloc_zspage(size_class)
        size_class.inuse += 1
        zspage.inuse += 1
        obj.zspage = zspage
        obj.index = zspage.free.pop()  # the slot that was freed last (obj_malloc)
        group = size_class.groups[zspage.inuse]
        if group != zspage.group:
            size_class.move(zspage, group)

    def alloc_zspage(self, size_class: SizeClass) -> Zspage:
        """Make a zspage, in the list where its first object puts it (alloc_zspage)."""
        self.classes[size_class.index] = size_class
        self.pages += size_class.pages
        size_class.allocated += size_class.objs
        zspage = Zspage(next(self.numbers), size_class, self.aware)
        size_class.insert(zspage, size_class.groups[1])
        return zspage

    def free(self, obj: Object) -> bool:
        """Take `obj` out, and tell whether its zspage went with it (zs_free)."""
        zspage = obj.zspage
        size_class = zspage.size_class
        size_class.inuse -= 1
        zspage.obj_free(obj.index)
        group = size_class.groups[zspage.inuse]
        if group != zspage.group:
            size_class.move(zspage, group)
        return group == 0 and self.free_zspage(zspage)

    def free_zspage(self, zspage: Zspage) -> bool:
        """Free an empty zspage, or leave it in group 0 if a page is locked (free_zspage)."""
        if zspage.locked:
            return False
        size_class = zspage.size_class
        size_class.remove(zspage)
        size_class.allocated -= size_class.objs
        self.pages -= size_class.pages
        return True

    def flush(self) -> None:
        """Unlock all pages and zspages, and free what was deferred (async_free_zspage)."""
        for size_class in self.classes.values():
            for zspage in size_class.zspages():
                zspage.locked = zspage.readers = 0
                if not zspage.inuse:
                    self.free_zspage(zspage)
