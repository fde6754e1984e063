# SPDX-License-Identifier: GPL-2.0-only
"""Find the first function in a kernel's complaint that tells something.

Without frame pointers User Mode Linux prints whatever on the stack looks like code, each with a
question mark, stale values among them.  What no call can have left there is passed over.
"""

import re
from collections.abc import Iterable, Iterator

_FUNCTION = re.compile(
    r"(?P<unsure>\?\s+)?(?P<name>[A-Za-z_][\w.]*)\+0x(?P<offset>[0-9a-f]+)/0x[0-9a-f]+"
)
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm)\b.*")
# Lines that lockdep adds in front of a trace: where locks were taken, and interrupts changed.
_ASIDE = re.compile(r"^ *#\d+: |\blast +(?:en|dis)abled at |^\s*hardirqs last|^Workqueue: ")
# What KASAN says after the trace that counts: where the memory came from.
_ELSEWHERE = re.compile(r"^(?:Allocated|Freed) by task|^Last potentially related work")
# Functions that only report, or that everything passes through.
_DULL = re.compile(
    r"_*(?:asan|kasan|hwasan|kcsan|ubsan)_|_*(?:dump_stack|show_stack|print_|report_|warn\b|v?panic)"
    r"|warn_slowpath|nmi_panic|vprintk|dump_header"
    r"|check_(?:noncircular|prev|memory|region)|handle_bug|exc_|asm_|die|_*might_(?:sleep|resched)"
    r"|_*(?:mem(?:cpy|set|move|cmp)|str\w+)$|_*list_\w+valid\w*|refcount_warn_saturate|_raw_"
    r"|do_raw_|lock_|mark_lock|validate_chain|_*lock_acquire|lockdep_|register_lock_class"
    r"|bad_page|free_page_is_bad|_*schedule(?:_\w+)?$|_*mutex_|rwsem_|rwbase_|down_|wait_for_"
    r"|segv|bad_segv|fatal_sigsegv|sig_handler|hard_handler|relay_signal|block_signals"
    r"|kmem_cache_alloc|_*kmalloc|kmemleak|kmem_cache_|set_track|_*(?:alloc|create)_object|_*alloc_(?:frozen_)?pages|slab_post|(?:save_)?stack_trace"
    r"|object_err|_*slab_(?:err|free|bug)|check_(?:bytes|object)|slab_fix|free_to_partial_list"
    r"|free_consistency|alloc_consistency|free_debug_processing|alloc_debug_processing"
    r"|_*kfree|kmem_cache_free|_*free_(?:pages|frozen|unref)|put_page|unmap_|_*free_pages_prepare"
    r"|alloc_from_new_slab|get_page_from_freelist|out_of_memory|oom_|finish_task_switch|__switch_to"
    r"|um_[gs]et_signals|_printk|_*sanitizer_cov_|write_comp_data|copy_chunk_|do_op_one_page|generic_write"
    r"|debug_(?:print_object|object|check_no_obj)|_*debug_"
)


def telling_function(lines: Iterable[str]) -> str:
    """Name the function of the first frame that matters, or "" if no line has one."""
    # Frames without "?" first.
    sure: list[str] = []
    unsure: list[str] = []
    for name, doubtful in _frames(lines):
        (unsure if doubtful else sure).append(name)
    return next(iter(sure or unsure), "")


def _frames(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    for line in lines:
        if _ELSEWHERE.search(line):
            return
        if _ASIDE.search(line):
            continue
        for match in _FUNCTION.finditer(line):
            name = _SUFFIX.sub("", match["name"])
            # Nothing returns to a function's first byte: that is a pointer to it.
            if int(match["offset"], 16) and not _DULL.match(name):
                yield name, bool(match["unsure"])
