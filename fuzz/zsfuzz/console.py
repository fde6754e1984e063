# SPDX-License-Identifier: GPL-2.0-only
"""Find what the kernel complains about in its console output: KASAN, WARN, lockdep, and so on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_LINES = 120  # of one report


@dataclass(frozen=True)
class Splat:
    """Hold one complaint; `truncated` says what of it is missing, or ""."""

    kind: str
    title: str  # without numbers or addresses
    lines: tuple[str, ...]
    truncated: str = ""


@dataclass(frozen=True)
class Rule:
    """Say by which line a complaint is known, and what its title is.

    {what} is the group of that name, {func} the first function that tells something.
    """

    kind: str
    pattern: re.Pattern[str]
    title: str
    one_line: bool = False


def _rule(kind: str, pattern: str, title: str, one_line: bool = False) -> Rule:
    return Rule(kind, re.compile(pattern), title, one_line)


_LOCKDEP = (
    r"possible circular locking dependency detected|possible recursive locking detected"
    r"|inconsistent lock state|possible irq lock inversion dependency detected"
    r"|\S+-safe -> \S+-unsafe lock order detected|Nested lock was not taken"
    r"|bad unlock balance detected|bad contention detected|held lock freed|chain_key collision"
    r"|lock held when returning to user space|suspicious RCU usage"
)

_NOT_EMPTY = "zsmalloc: pool is not empty"

# The first that fits a line wins.
RULES = (
    _rule("kasan", r"BUG: KASAN: (?P<what>[\w-]+)", "KASAN: {what} in {func}"),
    _rule("kasan", r"KASAN: (?P<what>[\w-]+) in range", "KASAN: {what} in {func}"),
    _rule("ubsan", r"UBSAN: (?P<what>[\w-]+) in ", "UBSAN: {what} in {func}"),
    _rule("list corruption", r"\blist_(?:add|del) corruption", "list corruption in {func}"),
    _rule("refcount", r"refcount_t: (?P<what>[a-z -]+)", "refcount: {what} in {func}"),
    _rule("lockdep", rf"WARNING: (?P<what>{_LOCKDEP})", "lockdep: {what} in {func}"),
    _rule("lockdep", r"WARNING: .* (?P<what>still has locks held)", "lockdep: task {what}"),
    _rule("lockdep", r"BUG: (?P<what>Invalid wait context)", "lockdep: {what} in {func}"),
    _rule("lockdep", r"INFO: (?P<what>trying to register non-static key)", "lockdep: {what}"),
    _rule("warning", r"\bWARNING: (?:CPU: \d+ PID: \d+ )?(?:at |\S+:\d+)", "WARNING in {func}"),
    _rule("bad page", r"BUG: Bad page state", "bad page state in {func}"),
    _rule("atomic", r"BUG: (?P<what>sleeping function) called", "{what} while atomic in {func}"),
    _rule("atomic", r"BUG: (?P<what>scheduling while atomic)", "{what} in {func}"),
    _rule("bug", r"kernel BUG at ", "kernel BUG in {func}"),
    _rule("lockup", r"BUG: (?P<what>soft lockup|workqueue lockup)", "{what} in {func}"),
    _rule("stall", r"INFO: \S+ (?:self-)?detected (?:expedited )?stall", "RCU stall in {func}"),
    _rule("hung task", r"INFO: task .* blocked .*for more than", "hung task in {func}"),
    _rule("fault", r"BUG: (?P<what>kernel NULL pointer dereference)", "{what} in {func}"),
    _rule("fault", r"BUG: (?P<what>unable to handle [a-z ]+)", "{what} in {func}"),
    _rule("fault", r"(?P<what>general protection fault)", "{what} in {func}"),
    _rule("kmemleak", r"kmemleak: \d+ new suspected memory leaks", "memory leak", True),
    _rule("kmemleak", r"unreferenced object 0x", "memory leak in {func}"),
    _rule("leftover", r"Class-\d+ fullness group \d+ is not empty", _NOT_EMPTY, True),
    _rule("leftover", r"Freeing non-empty class", _NOT_EMPTY, True),
    _rule("panic", r"Kernel panic - not syncing: (?P<what>.*)", "kernel panic: {what}"),
    _rule("bug", r"^BUG: (?P<what>[A-Za-z -]+)", "BUG: {what} in {func}"),
)

_PREFIX = re.compile(r"^(?:<\d+>)?(?:\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?)?")
_FUNCTION = re.compile(r"(?P<unsure>\?\s+)?(?P<name>[A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+")
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm)\b.*")
_NUMBERS = re.compile(r"\s*(?:at addr|\b0x|\d|:).*")
_END = re.compile(r"---\[ end ")
_RULER = re.compile(r"^={20,}$")
# Lines that lockdep adds in front of a trace: where locks were taken, and interrupts changed.
_ASIDE = re.compile(r"^ *#\d+: |\blast +(?:en|dis)abled at ")
# Functions that only report, or that everything passes through.
_DULL = re.compile(
    r"_*(?:asan|kasan|hwasan|kcsan|ubsan)_|_*(?:dump_stack|show_stack|print_|report_|warn\b|panic)"
    r"|check_(?:noncircular|prev|memory|region)|handle_bug|exc_|asm_|die|_*might_(?:sleep|resched)"
    r"|_*(?:mem(?:cpy|set|move|cmp)|str\w+)$|_*list_\w+valid\w*|refcount_warn_saturate|_raw_"
    r"|do_raw_|lock_|mark_lock|validate_chain|_*lock_acquire|lockdep_|register_lock_class"
    r"|bad_page|free_page_is_bad|_*schedule(?:_\w+)?$|_*mutex_|rwsem_|rwbase_|down_|wait_for_|segv|bad_segv|fatal_sigsegv|sig_handler"
    r"|kmem_cache_alloc|_*kmalloc|kmemleak|_*alloc_pages|slab_post|stack_trace|_*free_pages_prepare"
    r"|_*kfree|kmem_cache_free|_*free_(?:pages|frozen|unref)|put_page|unmap_"
    r"|um_[gs]et_signals|_printk|_*sanitizer_cov_"
)


def strip_prefix(line: str) -> str:
    """Drop printk's level, time and caller from the front of a line."""
    return _PREFIX.sub("", line.rstrip("\r\n"))


def find_splats(console: str) -> list[Splat]:
    """List the complaints in a console's text, in order; a line belongs to one of them at most."""
    lines = [strip_prefix(line) for line in console.split("\n")]
    splats = []
    at = 0
    while at < len(lines):
        rule, match = _match(lines[at])
        if rule is None or match is None:
            at += 1
            continue
        end, complete = (at + 1, True) if rule.one_line else _end_of(lines, at)
        splats.append(_splat(rule, match, lines[at:end], complete))
        at = end
    return splats


def _match(line: str) -> tuple[Rule | None, re.Match[str] | None]:
    for rule in RULES:
        match = rule.pattern.search(line)
        if match:
            return rule, match
    return None, None


def _end_of(lines: list[str], start: int) -> tuple[int, bool]:
    # A report goes on to its own end mark; without one, to the console's end.
    for at in range(start + 1, min(len(lines), start + MAX_LINES)):
        if _END.search(lines[at]) or _RULER.match(lines[at]):
            return at + 1, True
        if not lines[at].strip() and _has_frames(lines[start:at]) and not _goes_on(lines, at):
            return at, True
    return min(len(lines), start + MAX_LINES), _has_frames(lines[start : start + MAX_LINES])


def _has_frames(lines: Iterable[str]) -> bool:
    return any("Call Trace" in line or "backtrace" in line for line in lines)


def _goes_on(lines: list[str], at: int) -> bool:
    # KASAN and lockdep separate the parts of one report by empty lines.
    ahead = lines[at + 1 : at + 80]
    return any(_RULER.match(line) or _END.search(line) for line in ahead)


def _splat(rule: Rule, match: re.Match[str], lines: list[str], complete: bool) -> Splat:
    function = _telling_function(lines)
    what = _NUMBERS.sub("", match.groupdict().get("what") or "").strip(" -!")
    if rule.kind == "bad page":
        what = next((line.partition("because: ")[2] for line in lines if "because: " in line), "")
        return Splat(rule.kind, f"bad page: {what or 'state unknown'}", tuple(lines))
    title = rule.title.format(what=what, func=function or "an unknown function")
    truncated = ""
    if "{func}" in rule.title and not function:
        truncated = "no stack frame names a function"
    elif not complete:
        truncated = "the console ends within the report"
    return Splat(rule.kind, title, tuple(lines), truncated)


def _telling_function(lines: list[str]) -> str:
    # Frames without "?" first; UML without frame pointers marks all of them.
    sure: list[str] = []
    unsure: list[str] = []
    for line in lines:
        for match in () if _ASIDE.search(line) else _FUNCTION.finditer(line):
            name = _SUFFIX.sub("", match["name"])
            if not _DULL.match(name):
                (unsure if match["unsure"] else sure).append(name)
    return next(iter(sure or unsure), "")
