# SPDX-License-Identifier: GPL-2.0-only
"""Which rule states a field of an answer: in words, in the model, in the kernel."""

from dataclasses import dataclass, replace
from typing import Final

from zsmodel.profile import OPTIONS, Profile
from zsmodel.wire import RECORDS

ANY: Final = "any"  # operations without a rule of their own


@dataclass(frozen=True)
class Rule:
    """Name one rule; `model` is "file: function", `kernel` a function or several."""

    text: str
    model: str
    kernel: str


def rule_for(operation: str, field: str, profile: Profile | None = None) -> Rule:
    """Find the rule for a field of zsfuzz_result or of a snapshot record.

    `operation` is an opcode's name or a record's ("snap_zspage").  The bytes after a zspage's
    record are its fields "free" and "owners"; a record's place is the field "order".
    What a profile that is not the default changes is added to the words.
    Raises KeyError for a field that nothing states.
    """
    rules = RULES.get(operation, {})
    rule = rules[field] if field in rules else RULES[ANY][field]
    return _as_by(profile, field, rule) if profile else rule


def _as_by(profile: Profile, field: str, rule: Rule) -> Rule:
    told = [
        f"{OPTIONS[option][value]} (profile {option}={value})"
        for option, value in profile.differences().items()
        if field in CONCERNS[option] or rule in CONCERNED[option]
    ]
    return replace(rule, text=f"{rule.text}; but this kernel {'; '.join(told)}") if told else rule


def _rule(text: str, model: str, kernel: str) -> Rule:
    return Rule(text, f"zsmodel/{model}", kernel)


_PLACE = _rule(
    "an object goes to the fullest zspage with room, the newest of them",
    "pool.py: Pool.malloc",
    "zs_malloc, find_get_zspage",
)
_UNMOVED = _rule("this operation moves no object", "state.py: State.describe", "obj_to_location")
_GROUP = _rule(
    "a zspage's group follows from the objects in use",
    "fullness.py: SizeClass.move",
    "get_fullness_group, fix_fullness_group",
)
_MOVED = _rule(
    "objects move from the emptiest zspage to the fullest",
    "compaction.py: migrate_zspage",
    "migrate_zspage",
)
_COMPACTED = _rule(
    "pages count as freed when their zspage is empty, even if freeing is deferred",
    "compaction.py: compact_class",
    "__zs_compact",
)
_CHARGED = _rule(
    "a cgroup has its own charges and those of its descendants, removed ones too",
    "cgroups.py: Cgroup.total",
    "memcg_page_state, memcg_reparent_objcgs",
)
_NUMBER = _rule(
    "zspages are numbered in order of appearance", "pool.py: Pool.alloc_zspage", "alloc_zspage"
)

_FILE = _rule(
    "the classes file says what the classes have",
    "snapshot.py: class_rows",
    "zs_stats_size_show",
)
_ARRAYS = _rule(
    "memcg_data of a zspage's pages has what the design puts there, and is zero else",
    "designs/zpdesc.py: DESIGN.page_states",
    "alloc_zspage, zs_page_migrate",
)

_STORED = _rule(
    "zswap takes a page while its cgroup is below its limits or a page can be written back, else "
    "the disk does; pages of zeros take up nothing",
    "swap_operations.py: SwapOperations.put_out",
    "swap_writeout, zswap_store, obj_cgroup_may_zswap, shrink_memcg",
)
_SWAP_OWNER = _rule(
    "the cgroup that was charged for the page owns its object in zswap; on the disk nobody does",
    "swap.py: Swap.store",
    "get_obj_cgroup_from_folio, zswap_compress, zs_obj_write",
)
_SWAP_LEFT = _rule(
    "a page that comes back, or goes away, leaves zswap and its slot on the disk",
    "swap_operations.py: SwapOperations.take_in",
    "zswap_load, zswap_invalidate, zram_slot_free_notify",
)
_WRITTEN_BACK = _rule(
    "the worker goes through the cgroups in turn; each page has a second chance",
    "swap.py: Swap.shrink_round",
    "shrink_worker, shrink_memcg, shrink_memcg_cb",
)
_EVENT = _rule(
    "the owner has a zswpout for each store, a zswpin for each load, a zswpwb for each writeback",
    "swap.py: Swap.count",
    "zswap_store, zswap_load, zswap_writeback_entry",
)

# The fields that an option of the profile changes, and the rules whose fields it changes.
_OWNERS: Final = ("owner", "tail", "owners")
CONCERNS: Final[dict[str, tuple[str, ...]]] = {
    "charge-unit": (),
    "charge-time": _OWNERS,
    "rewrite": _OWNERS,
    "unowned-write": _OWNERS,
    "same-owner-write": (),
    "root-owner": _OWNERS,
    "incompressible": ("incompressible",),
    "array-allocations": ("faults",),
    "span-entries": ("tail", "tail_owners"),
    "pools": (*_OWNERS, "aware", "owner_bytes", "page_states", "tags", "tag_bits"),
}
_WRITES: Final = (
    "charge-unit", "charge-time", "rewrite", "unowned-write", "same-owner-write", "root-owner",
)  # fmt: skip
CONCERNED: Final[dict[str, tuple[Rule, ...]]] = {
    option: (_CHARGED,) if option in _WRITES else () for option in OPTIONS
}

RULES: Final[dict[str, dict[str, Rule]]] = {
    ANY: {
        "ret": _rule("rules apply from top to bottom", "state.py: State.fail", "none"),
        "zspage": _UNMOVED,
        "class": _UNMOVED,
        "index": _UNMOVED,
        "owner": _rule(
            "only writing and freeing change an owner",
            "state.py: State.describe",
            "zs_obj_write, obj_free",
        ),
        "group": _GROUP,
        "inuse": _rule(
            "only malloc, free and compaction change how many objects are in use",
            "state.py: State.describe",
            "mod_zspage_inuse",
        ),
        "tail": _rule(
            "with an array for each page, both entries of an object have the same owner",
            "designs/zpdesc.py: arrays",
            "obj_store_objcg, obj_move_objcg",
        ),
        "tags": _ARRAYS,
        "tag_bits": _ARRAYS,
        "zspages": _rule(
            "NR_ZSPAGES counts the pages of all zspages of all pools",
            "state.py: State.nr_zspages",
            "alloc_zpdesc, free_zpdesc",
        ),
        "value": _rule(
            "a pool's pages are those of its zspages",
            "pool.py: Pool.alloc_zspage",
            "zs_get_total_pages",
        ),
        "order": _rule("records come as listed", "machine.py: Model.snapshot", "none"),
        "faults": _rule(
            "an operation that allocates nothing leaves the armed fault as it was",
            "machine.py: Model.report_fault",
            "should_fail_ex",
        ),
    },
    "malloc": {
        "ret": _rule(
            "zs_malloc() fails for its size or for want of memory only",
            "object_operations.py: ObjectOperations.malloc",
            "zs_malloc",
        ),
        "zspage": _PLACE,
        "class": _rule(
            "a request goes to the smallest class that holds it and its header",
            "classes.py: slot_index",
            "lookup_size_class, get_size_class_index",
        ),
        "index": _rule(
            "the slot freed last is handed out first, a fresh zspage's from 0 up",
            "pool.py: Pool.malloc",
            "obj_malloc, init_zspage",
        ),
        "owner": _rule(
            "only a write with owner fills the entry",
            "object_operations.py: ObjectOperations.store",
            "zs_obj_write",
        ),
        "inuse": _PLACE,
        "value": _rule(
            "a new zspage adds its pages", "pool.py: Pool.alloc_zspage", "zs_get_total_pages"
        ),
        "faults": _rule(
            "the handle is allocated, then perhaps struct zspage, its pages and owner arrays",
            "pool.py: Pool.allocations",
            "cache_alloc_handle, alloc_zspage",
        ),
    },
    "write": {
        "ret": _rule(
            "an object that is not read-locked can be written",
            "object_operations.py: ObjectOperations.write",
            "zs_obj_write",
        ),
        "owner": _rule(
            "the owner of the last write is in the entry",
            "object_operations.py: ObjectOperations.store",
            "zs_obj_write",
        ),
    },
    "read": {
        "value": _rule(
            "what was written last is read",
            "object_operations.py: ObjectOperations.read",
            "zs_obj_read_begin, zs_obj_read_sg_begin",
        ),
    },
    "free": {
        "owner": _rule(
            "an object has its owner until it is freed",
            "object_operations.py: ObjectOperations.free",
            "obj_free",
        ),
        "group": _rule(
            "an empty zspage is freed unless a page of it is locked",
            "pool.py: Pool.free_zspage",
            "free_zspage, trylock_zspage",
        ),
        "inuse": _rule("one object less is in use", "pool.py: Pool.free", "obj_free"),
        "value": _rule(
            "a freed zspage gives back its pages", "pool.py: Pool.free_zspage", "__free_zspage"
        ),
    },
    "compact": {"value": _COMPACTED, "inuse": _MOVED},
    "shrink": {
        "value": _rule(
            "the pages of zspages that were emptied, SHRINK_STOP if there are none",
            "operations.py: Operations.shrink",
            "zs_shrinker_scan, __zs_compact",
        ),
        "inuse": _MOVED,
        "tags": _rule(
            "the unused slots of each class, in whole zspages",
            "fullness.py: SizeClass.can_compact",
            "zs_shrinker_count, zs_can_compact",
        ),
    },
    "migrate": {
        "ret": _rule(
            "a page moves unless it is locked or its zspage has a reader",
            "object_operations.py: ObjectOperations.migrate",
            "zs_page_migrate",
        ),
        "value": _rule(
            "the page that was replaced keeps no memcg_data",
            "object_operations.py: ObjectOperations.migrate",
            "zs_page_migrate, reset_zpdesc",
        ),
        "owner": _rule(
            "page migration changes no owner",
            "object_operations.py: ObjectOperations.migrate",
            "zs_page_migrate, replace_sub_page",
        ),
    },
    "flush": {
        "value": _rule(
            "deferred frees are done, and only those",
            "pool.py: Pool.flush",
            "async_free_zspage",
        ),
    },
    "stat": {"inuse": _CHARGED, "tags": _CHARGED, "value": _CHARGED},
    "classes": {"value": _FILE, "inuse": _FILE, "tags": _FILE},
    "zswap_max": {
        "ret": _rule(
            "every cgroup but the root has a limit",
            "operations.py: Operations.zswap_max",
            "zswap_max_write",
        ),
    },
    "may_zswap": {
        "value": _rule(
            "a cgroup may have more in zswap while it and its ancestors are below their limits",
            "cgroups.py: Cgroup.may_zswap",
            "obj_cgroup_may_zswap",
        ),
    },
    "compact_memory": {
        "ret": _rule(
            "compacting all memory moves pages, not objects",
            "operations.py: Operations.compact_memory",
            "compact_nodes, zs_page_migrate",
        ),
    },
    "page_write": {
        "ret": _rule(
            "only a cgroup without children has processes",
            "swap_operations.py: SwapOperations.new_page_error",
            "cgroup_subtree_control_write",
        ),
        "owner": _SWAP_OWNER,
        "group": _SWAP_LEFT,
        "inuse": _SWAP_LEFT,
    },
    "page_out": {
        "ret": _STORED,
        "zspage": _STORED,
        "class": _STORED,
        "index": _STORED,
        "value": _STORED,
        "owner": _SWAP_OWNER,
    },
    "page_in": {
        "owner": _SWAP_OWNER,
        "group": _SWAP_LEFT,
        "inuse": _SWAP_LEFT,
        "value": _rule(
            "a page has the content that was written last, wherever it was",
            "swap_operations.py: SwapOperations.page_in",
            "zswap_load, zswap_decompress, zram_read_page",
        ),
    },
    "page_drop": {"owner": _SWAP_OWNER, "group": _SWAP_LEFT, "inuse": _SWAP_LEFT},
    "page_exit": {
        "zspages": _rule(
            "a process that ends leaves nothing in swap",
            "swap_operations.py: SwapOperations.page_exit",
            "exit_mmap, zswap_invalidate",
        ),
    },
    "writeback": {"value": _WRITTEN_BACK, "inuse": _WRITTEN_BACK},
    "swap_compact": {"value": _COMPACTED, "inuse": _MOVED},
    "stat_files": {
        "ret": _rule(
            "the files of a cgroup say what its statistics do",
            "swap_operations.py: SwapOperations.stat_files",
            "zswap_current_read, memory_stat_format",
        ),
        "inuse": _CHARGED,
        "tags": _CHARGED,
        "value": _CHARGED,
        "index": _rule(
            "pages that zswap keeps as they are count as incompressible",
            "cgroups.py: Cgroup.total_incompressible",
            "obj_cgroup_mod_zswap_incomp",
        ),
    },
    "snap_page": {
        "page": _rule("only pages that exist are shown", "snapshot.py: page_records", "none"),
        "where": _STORED,
        "owner": _SWAP_OWNER,
        "zspage": _STORED,
        "index": _STORED,
        "length": _rule(
            "a page gets as long as pages of its pattern got when the guest started",
            "kernel.py: Kernel",
            "zswap_compress, zram_write_page",
        ),
    },
    "snap_events": {
        "cgroup": _rule("only living cgroups are shown", "snapshot.py: event_records", "none"),
        "zswpin": _EVENT,
        "zswpout": _EVENT,
        "zswpwb": _EVENT,
    },
    "snap_row": dict.fromkeys(RECORDS["zsfuzz_snap_row"].fields, _FILE),
    "snap_pool": {
        "pool": _rule("only existing pools are shown", "snapshot.py: pool_records", "none"),
        "aware": _rule(
            "a pool is memcg-aware as it was created",
            "state.py: State.open_pool",
            "zs_create_pool",
        ),
        "pages": _rule(
            "a pool's pages are those of its zspages",
            "pool.py: Pool.free_zspage",
            "zs_get_total_pages",
        ),
        "compacted": _COMPACTED,
    },
    "snap_class": {
        "class": _rule("only classes in use are shown", "snapshot.py: pool_records", "none"),
        "bad_groups": _rule(
            "a group's counter is the length of its list",
            "fullness.py: SizeClass.zspages",
            "insert_zspage, remove_zspage",
        ),
        "allocated": _rule(
            "each zspage counts with all its slots until it is freed",
            "pool.py: Pool.alloc_zspage",
            "class_stat_add, class_stat_sub",
        ),
        "inuse": _rule("each live object counts", "pool.py: Pool.malloc", "class_stat_add"),
    },
    "snap_zspage": {
        "order": _rule(
            "a zspage enters a list at its head, and stays while its group does",
            "fullness.py: SizeClass.move",
            "insert_zspage, fix_fullness_group, putback_zspage",
        ),
        "zspage": _NUMBER,
        "group": _GROUP,
        "free_bytes": _rule(
            "slots are in use or free", "zspage.py: Zspage.obj_free", "obj_malloc, obj_free"
        ),
        "owner_bytes": _rule(
            "zspages of memcg-aware pools have an owner array",
            "snapshot.py: zspage_record",
            "alloc_zspage",
        ),
        "free": _rule(
            "slots are handed out in the reverse order of their freeing",
            "zspage.py: Zspage.obj_free",
            "obj_free, set_freeobj",
        ),
        "pages": _rule(
            "a zspage has the pages of its class",
            "classes.py: chain_size",
            "calculate_zspage_chain_size",
        ),
        "page_states": _ARRAYS,
        "tail_owners": _rule(
            "an object that lies in two pages is entered in the arrays of both",
            "designs/zpdesc.py: arrays",
            "obj_store_objcg, obj_move_objcg",
        ),
        "owners": _rule(
            "each live object has the owner of its last write, a free slot has none",
            "zspage.py: Zspage.obj_free",
            "zs_obj_write, obj_free, migrate_zspage",
        ),
    },
    "snap_object": {
        "object": _rule("only live objects are shown", "snapshot.py: object_records", "none"),
        "index": _MOVED,
        "zspage": _MOVED,
        "pattern": _rule(
            "an object keeps its contents, wherever it is moved",
            "object_operations.py: ObjectOperations.store",
            "zs_obj_write, zs_object_copy",
        ),
        "length": _rule(
            "the last write's length counts",
            "object_operations.py: ObjectOperations.store",
            "zs_obj_write",
        ),
    },
    "snap_cgroup": {
        "cgroup": _rule("only living cgroups are shown", "snapshot.py: cgroup_records", "none"),
        "zswap": _CHARGED,
        "zswapped": _CHARGED,
        "incompressible": _rule(
            "pages that zswap keeps as they are count as incompressible",
            "snapshot.py: cgroup_records",
            "obj_cgroup_mod_zswap_incomp",
        ),
        "zswap_max": _rule(
            "a cgroup has the limit that it was given",
            "operations.py: Operations.zswap_max",
            "zswap_max_write",
        ),
    },
    "snap_end": {
        "left": _rule("nothing is left when all is freed", "machine.py: Model.snapshot", "zs_free"),
        "zswap": _rule(
            "no charge is left when all is freed", "machine.py: Model.snapshot", "zs_free"
        ),
    },
}
