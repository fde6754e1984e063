# SPDX-License-Identifier: GPL-2.0-only
"""Compaction: objects leave the emptiest zspages for the fullest."""

from collections.abc import Iterable

from zsmodel.fullness import SOME_USED, SizeClass
from zsmodel.pool import Pool
from zsmodel.zspage import Object, Zspage


def shrinker_count(pool: Pool) -> int:
    """Count the pages that compaction could free (zs_shrinker_count)."""
    return sum(size_class.can_compact() for size_class in pool.classes.values())


def compact(pool: Pool, objects: Iterable[Object]) -> tuple[int, int]:
    """Compact every class; return pages freed and objects moved (zs_compact).

    Pages whose freeing had to be deferred count as freed.  `objects` are all live ones.
    """
    freed = moved = 0
    for index in sorted(pool.classes, reverse=True):
        size_class = pool.classes[index]
        if size_class.can_compact():
            pages, count = compact_class(pool, size_class, objects)
            freed += pages
            moved += count
    pool.compacted += freed
    return freed, moved


def compact_class(pool: Pool, size_class: SizeClass, objects: Iterable[Object]) -> tuple[int, int]:
    """Compact one class; return pages freed and objects moved (__zs_compact).

    The destination stays until it is full.  A source that someone reads ends it all.
    """
    freed = moved = 0
    target: Zspage | None = None
    while size_class.can_compact():
        target = target or take(size_class, size_class.fullest(SOME_USED))
        source = take(size_class, size_class.emptiest(SOME_USED))
        if target is None or source is None:
            break
        if source.readers:
            size_class.put_back(source)
            break
        moved += migrate_zspage(source, target, objects)
        size_class.put_back(source)
        if not source.inuse:
            pool.free_zspage(source)
            freed += size_class.pages
        if not target.free:
            size_class.put_back(target)
            target = None
    if target:
        size_class.put_back(target)
    return freed, moved


def take(size_class: SizeClass, zspage: Zspage | None) -> Zspage | None:
    """Hold a zspage outside its list (isolate_src_zspage, isolate_dst_zspage)."""
    if zspage:
        size_class.remove(zspage)
    return zspage


def migrate_zspage(source: Zspage, target: Zspage, objects: Iterable[Object]) -> int:
    """Move objects with their owners until one side ends; return how many (migrate_zspage).

    In ascending order of slot at the source, in the order of the free list at the target.
    """
    residents = {obj.index: obj for obj in objects if obj.zspage is source}
    moved = 0
    for used in source.used():
        obj = residents[used]
        obj.index = target.obj_malloc()
        obj.zspage = target
        target.owners[obj.index] = source.owners[used]
        source.obj_free(used)
        moved += 1
        if not target.free:
            break
    return moved
