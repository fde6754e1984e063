# SPDX-License-Identifier: GPL-2.0-only
"""Say what is wrong in a kernel developer's words: the titles by which findings are told apart.

A title has no numbers, names or addresses, so that the same fault has the same title wherever it
shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from errno import EBADMSG, EFAULT, ENXIO

from zsfuzz.values import LEFTOVERS, Value, errno_word
from zsmodel.design import HELD, KEPT, POINTER
from zsmodel.wire import (
    BAD_HEADER,
    FOREIGN,
    IN_MEMORY,
    IN_ZSWAP,
    NONE8,
    NONE16,
    NOWHERE,
    ON_DEVICE,
    ON_DISK,
)


@dataclass(frozen=True)
class Difference:
    """Hold one field on which the two sides differ; None is a record that is absent.

    `slot_free` tells, of an owner entry, that the model has no object there.
    """

    path: str
    subject: str
    name: str
    kind: str
    model: Value | None
    kernel: Value | None
    op: int | None = None
    slot_free: bool = False


# What a member is called, by (operation or record, member); then by member alone.
WORDS: dict[object, str] = {
    ("compact", "value"): "count of freed pages",
    ("shrink", "value"): "count of freed pages",
    ("shrink", "tags"): "count of freeable pages",
    ("compact", "inuse"): "count of moved objects",
    ("shrink", "inuse"): "count of moved objects",
    ("pool", "pages"): "pages of the pool",
    ("pool", "compacted"): "pages_compacted",
    ("pool", "aware"): "memcg awareness of the pool",
    ("class", "allocated"): "ZS_OBJS_ALLOCATED",
    ("class", "inuse"): "ZS_OBJS_INUSE",
    ("class", "zspages"): "order of zspages in a fullness list",
    ("zspage", "free"): "free list",
    ("object", "zspage"): "zspage of an object",
    ("object", "index"): "slot of an object",
    ("object", "length"): "length of an object",
    ("classes", "value"): "pages_used in the classes file",
    ("classes", "inuse"): "obj_used in the classes file",
    ("classes", "tags"): "freeable in the classes file",
    ("may_zswap", "value"): "verdict on the limit of zswap",
    ("cgroup", "incompressible"): "count of incompressible objects",
    ("cgroup", "zswap_max"): "limit of zswap",
    ("writeback", "value"): "count of pages written back",
    ("writeback", "inuse"): "count of pages left in zswap",
    ("swap_compact", "value"): "count of freed pages",
    ("swap_compact", "inuse"): "count of moved objects",
    ("stat_files", "index"): "count of incompressible objects",
    ("page", "zspage"): "zspage of a swapped page",
    ("page", "index"): "slot of a swapped page",
    ("page", "length"): "length of a swapped page",
    ("events", "zswpin"): "zswpin of a cgroup",
    ("events", "zswpout"): "zswpout of a cgroup",
    ("events", "zswpwb"): "zswpwb of a cgroup",
    "zspage": "zspage",
    "class": "size class",
    "index": "slot",
    "group": "fullness group",
    "inuse": "count of objects in the zspage",
    "value": "pages of the pool",
    "faults": "count of allocations",
    "zspages": "NR_ZSPAGES",
}


def title_of(difference: Difference) -> str:
    """Give the title of a finding whose first difference this is."""
    if difference.op is not None:
        return f"{difference.subject}: {_result_title(difference)}"
    return _snapshot_title(difference)


def _result_title(diff: Difference) -> str:
    new = (diff.subject, diff.name, diff.model) == ("malloc", "owner", NONE8)
    if new and diff.kernel != FOREIGN:  # that may be of something beyond the array
        return "new object has an owner already"
    special = RESULT_TITLES.get((diff.subject, diff.name)) or RESULT_TITLES.get(diff.name)
    return special(diff) if special else _plain_title(diff)


def _snapshot_title(diff: Difference) -> str:
    special = SNAPSHOT_TITLES.get((diff.subject, diff.name)) or SNAPSHOT_TITLES.get(diff.name)
    special = special or SNAPSHOT_TITLES.get(diff.subject)
    return special(diff) if special else _plain_title(diff)


def _existence_title(diff: Difference) -> str:
    known = {"class": "a size class in use", "object": "a live object"}
    what = known.get(diff.subject, f"a {diff.subject}")
    return f"{what} is missing" if diff.kernel is None else f"{what} that should not exist"


def _array_title(diff: Difference) -> str:
    if not diff.model:
        return "owner array where there should be none"
    return "owner array differs in size" if diff.kernel else "owner array is missing"


def _tags_title(diff: Difference) -> str:
    kernel, model = _numbers(diff)
    if model == 0:
        return "memcg_data is not zero"
    if diff.name == "tags":
        return "page without its owner array" if kernel < model else "memcg_data is not zero"
    return (
        "owner array without the tag OBJEXTS" if not kernel & 16 else "memcg_data has another tag"
    )


def _page_state_title(diff: Difference) -> str:
    kernel, model = _numbers(diff)
    if model == 0:
        return "memcg_data is not zero"
    if not kernel & POINTER:
        return (
            "page without its owner array" if not kernel else "tag in memcg_data without an array"
        )
    return "owner array without the tag OBJEXTS" if not kernel & 1 else "memcg_data has another tag"


def _plain_title(diff: Difference) -> str:
    word = WORDS.get((diff.subject, diff.name)) or WORDS.get(diff.name, diff.name)
    if diff.kind in ("number", "short") and NONE16 not in (diff.kernel, diff.model):
        return f"{word} is too {_side(diff, 'high', 'low')}"
    return f"{word} differs"


def _side(diff: Difference, more: str, less: str) -> str:
    kernel, model = _numbers(diff)
    return more if kernel > model else less


def _numbers(diff: Difference) -> tuple[int, int]:
    if isinstance(diff.kernel, int) and isinstance(diff.model, int):
        return diff.kernel, diff.model
    raise TypeError(f"{diff.path}: a number on each side was expected")


def _errno_title(diff: Difference) -> str:
    kernel, model = _numbers(diff)
    if kernel == -EFAULT:  # of the module's: no function of zsmalloc's returns it
        return "handle leads to no object"
    if model == 0:
        return f"fails with {errno_word(kernel)}"
    if kernel == 0:
        return f"succeeds, not {errno_word(model)}"
    return f"fails with {errno_word(kernel)}, not {errno_word(model)}"


def _owner_title(diff: Difference) -> str:
    if diff.kernel == FOREIGN:
        return "owner is a pointer to something else"
    if diff.slot_free:
        return "free slot keeps an owner"
    if diff.kernel == NONE8:
        return "owner lost"
    return "object without owner has one" if diff.model == NONE8 else "owner is another cgroup"


def _tail_title(diff: Difference) -> str:
    return f"{_owner_title(diff)} in the array of its second page"


def _charge_title(diff: Difference) -> str:
    """Charges are counters of the kernel's, which may fall below 0."""
    objects = diff.name in ("inuse", "zswapped")
    bits = 16 if objects else 32
    kernel, model = ((value ^ 1 << bits - 1) - (1 << bits - 1) for value in _numbers(diff))
    if objects:
        return f"cgroup counts too {'many' if kernel > model else 'few'} zswapped objects"
    return f"cgroup charged too {'much' if kernel > model else 'little'}"


def _content_title(diff: Difference) -> str:
    if diff.kernel == BAD_HEADER:
        return "object header corrupted"
    return "object content corrupted"


def _page_content_title(_: Difference) -> str:
    return "page has another content after swapping in"


def _where(value: int) -> str:
    return {IN_MEMORY: "in memory", IN_ZSWAP: "in zswap", ON_DEVICE: "on the disk"}.get(
        value, "in no object"
    )


def _where_title(diff: Difference) -> str:
    kernel, model = _numbers(diff)
    return f"page is {_where(kernel)}, not {_where(model)}"


def _object_place_title(diff: Difference) -> str:
    return "handle leads to no object" if diff.kernel == NONE16 else _plain_title(diff)


def _page_out_title(diff: Difference) -> str:
    kernel, model = (_place_of(value) for value in _numbers(diff))
    if kernel == model:
        return "length of a swapped page differs"
    return f"page goes {_where(kernel)}, not {_where(model)}"


def _place_of(value: int) -> int:
    if value == NONE16:
        return NOWHERE
    return ON_DEVICE if value & ON_DISK else IN_ZSWAP


def _files_title(diff: Difference) -> str:
    if diff.kernel == -EBADMSG:
        return "files of the cgroup differ from its statistics"
    return _errno_title(diff)


def _shrink_title(diff: Difference) -> str:
    if NONE16 in _numbers(diff):
        stops = "stops, though pages were freed" if diff.kernel == NONE16 else "goes on in vain"
        return f"shrinker {stops}"
    return _plain_title(diff)


def _migrate_title(diff: Difference) -> str:
    return "page is not movable" if diff.kernel == -ENXIO else _errno_title(diff)


def _old_page_title(diff: Difference) -> str:
    state = _numbers(diff)[0]
    if state & ~(HELD | KEPT):
        return "old page keeps memcg_data"
    return (
        "old page is not let go" if state & HELD else "old page is still marked as one of a zspage"
    )


def _leftover_title(diff: Difference) -> str:
    if diff.name == "zswap":
        return "charge left after everything was freed"
    left = [word for bit, word in LEFTOVERS.items() if _numbers(diff)[0] & bit]
    return f"{' and '.join(left) or 'something'} left after everything was freed"


# By (operation or record, member); then by member; then, in the snapshot, by record.
RESULT_TITLES: dict[object, Callable[[Difference], str]] = {
    ("stat", "value"): _charge_title,
    ("stat", "inuse"): _charge_title,
    ("read", "value"): _content_title,
    ("page_in", "value"): _page_content_title,
    ("page_out", "value"): _page_out_title,
    ("stat_files", "value"): _charge_title,
    ("stat_files", "inuse"): _charge_title,
    ("stat_files", "ret"): _files_title,
    ("migrate", "ret"): _migrate_title,
    ("migrate", "value"): _old_page_title,
    ("shrink", "value"): _shrink_title,
    ("shrink", "tags"): _plain_title,
    ("classes", "tags"): _plain_title,
    "ret": _errno_title,
    "owner": _owner_title,
    "tail": _tail_title,
    "tags": _tags_title,
    "tag_bits": _tags_title,
}
SNAPSHOT_TITLES: dict[object, Callable[[Difference], str]] = {
    ("class", "bad_groups"): (
        lambda _: "counter of a fullness group is not the length of its list"
    ),
    ("cgroup", "zswap"): _charge_title,
    ("cgroup", "zswapped"): _charge_title,
    ("object", "pattern"): _content_title,
    ("page", "where"): _where_title,
    ("object", "zspage"): _object_place_title,
    ("zspage", "pages"): lambda _: "pages of a zspage are not linked",
    ("page", "owner"): _owner_title,
    "exists": _existence_title,
    "owners": _owner_title,
    "tail_owners": _tail_title,
    "owner_bytes": _array_title,
    "page_states": _page_state_title,
    "row": lambda _: "classes file differs from the classes",
    "end": _leftover_title,
}
