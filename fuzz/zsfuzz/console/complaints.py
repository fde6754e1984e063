# SPDX-License-Identifier: GPL-2.0-only
"""Find what the kernel complains about in its console output: KASAN, WARN, lockdep, and so on.

tests/snapshots/console has a real log of each kind, and a script that makes them again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from zsfuzz.console.stackframes import telling_function
from zsfuzz.terminal import one_line

MAX_LINES = 120  # of one report
HOST = "host"  # the kind of complaints whose cause is the machine that the guest runs on


@dataclass(frozen=True)
class Splat:
    """Hold one complaint; `truncated` says what of it is missing, or ""."""

    kind: str
    title: str  # without numbers or addresses
    lines: tuple[str, ...]
    truncated: str = ""
    function: str = ""  # of the first frame that matters, or ""
    end: int = 0  # the console's line, from 0, after the last of this complaint


@dataclass(frozen=True)
class Rule:
    """Say by which line a complaint is known, and what its title is.

    {what} is the group of that name, {func} the group of that name or else the first function that
    tells something.  `better` are rules that the next lines may fit, for a title that says more.
    """

    kind: str
    pattern: re.Pattern[str]
    title: str
    one_line: bool = False
    better: tuple["Rule", ...] = ()


def _rule(
    kind: str, pattern: str, title: str, one_line: bool = False, better: Iterable[Rule] = ()
) -> Rule:
    return Rule(kind, re.compile(pattern), title, one_line, tuple(better))


_LOCKDEP = (
    r"possible circular locking dependency detected|possible recursive locking detected"
    r"|inconsistent lock state|possible irq lock inversion dependency detected"
    r"|\S+-safe -> \S+-unsafe lock order detected|Nested lock was not taken"
    r"|bad unlock balance detected|bad contention detected|held lock freed|chain_key collision"
    r"|lock held when returning to user space|suspicious RCU usage"
)

_NOT_EMPTY = "zsmalloc: pool is not empty"

# What a WARNING says in the line after it.
_WARNED = (
    _rule("refcount", r"^refcount_t: (?P<what>.*)", "refcount: {what} in {func}"),
    _rule(
        "list corruption",
        r"^list_(?:add|del) (?:corruption|double add)",
        "list corruption in {func}",
    ),
    _rule("debug objects", r"^ODEBUG: (?P<what>[a-z ]+)", "debug objects: {what} in {func}"),
)

# What User Mode Linux says of a fault of its own, some lines after the registers.
_FAULTED = (
    _rule("fault", r"Kernel mode fault at addr 0x[0-9a-f]{1,3},", "NULL pointer in {func}"),
    _rule("fault", r"Kernel mode fault at addr", "bad pointer in {func}"),
    _rule("fault", r"Kernel tried to access user memory", "access to user memory in {func}"),
    _rule("fault", r"Segfault with (?:no mm|pagefaults disabled)", "bad pointer in {func}"),
)

# The first that fits a line wins.
RULES = (
    _rule("kasan", r"BUG: KASAN: (?P<what>[\w-]+)", "KASAN: {what} in {func}"),
    _rule("kasan", r"KASAN: (?P<what>[\w-]+) in range", "KASAN: {what} in {func}"),
    _rule("ubsan", r"UBSAN: (?P<what>[\w-]+) in ", "UBSAN: {what} in {func}"),
    _rule(
        "list corruption",
        r"\blist_(?:add|del) (?:corruption|double add)",
        "list corruption in {func}",
    ),
    _rule("refcount", r"refcount_t: (?P<what>.*)", "refcount: {what} in {func}"),
    _rule("lockdep", rf"WARNING: (?P<what>{_LOCKDEP})", "lockdep: {what} in {func}"),
    _rule("lockdep", r"WARNING: .* (?P<what>still has locks held)", "lockdep: task {what}"),
    _rule("lockdep", r"BUG: (?P<what>Invalid wait context)", "lockdep: {what} in {func}"),
    _rule("lockdep", r"INFO: (?P<what>trying to register non-static key)", "lockdep: {what}"),
    _rule(
        "warning",
        r"\bWARNING: (?:CPU: \d+ PID: \d+ )?(?:at |\S+:\d+)",
        "WARNING in {func}",
        better=_WARNED,
    ),
    _rule("bad page", r"BUG: Bad page state", "bad page state in {func}"),
    _rule("atomic", r"BUG: (?P<what>sleeping function) called", "{what} while atomic in {func}"),
    _rule("atomic", r"BUG: (?P<what>scheduling while atomic)", "{what} in {func}"),
    _rule("bug", r"kernel BUG at ", "kernel BUG in {func}"),
    _rule("bug", r"^BUG: failure at \S+/(?P<func>\w+)\(\)!", "kernel BUG in {func}"),
    _rule("lockup", r"BUG: (?P<what>soft lockup|workqueue lockup)", "{what} in {func}"),
    _rule("stall", r"INFO: \S+ (?:self-)?detected (?:expedited )?stall", "RCU stall in {func}"),
    _rule("hung task", r"INFO: task .* blocked .*for more than", "hung task in {func}"),
    _rule("fault", r"BUG: (?P<what>kernel NULL pointer dereference)", "{what} in {func}"),
    _rule("fault", r"BUG: (?P<what>unable to handle [a-z ]+)", "{what} in {func}"),
    _rule("fault", r"(?P<what>general protection fault)", "{what} in {func}"),
    _rule("fault", r"^RIP: [0-9a-f]+:", "fault in {func}", better=_FAULTED),
    _rule("fault", r"Kernel mode signal 8$", "division error in {func}"),
    _rule(HOST, r"Bus error - the host", "the host has no memory left for the guest"),
    _rule(
        "out of memory",
        r"Kernel panic - not syncing: (?:System is deadlocked on memory|Out of memory)",
        "out of memory in {func}",
    ),
    _rule("kmemleak", r"kmemleak: \d+ new suspected memory leaks", "memory leak", True),
    _rule("kmemleak", r"unreferenced object 0x", "memory leak in {func}"),
    _rule("slab", r"^BUG \S+ \([^)]*\): (?P<what>[A-Za-z -]+)", "slab: {what} in {func}"),
    _rule("leftover", r"Class-\d+ fullness group \d+ is not empty", _NOT_EMPTY, True),
    _rule("leftover", r"Freeing non-empty class", _NOT_EMPTY, True),
    _rule("panic", r"Kernel panic - not syncing: (?P<what>.*)", "kernel panic: {what}"),
    _rule("bug", r"^BUG: (?P<what>[A-Za-z -]+)", "BUG: {what} in {func}"),
)
_BETTER_WITHIN = 24  # lines: User Mode Linux prints its registers first

_PREFIX = re.compile(r"^(?:<\d+>)?(?:\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?)?")
_NUMBERS = re.compile(r"\s*(?:at addr|\b0x|\d).*|\s*:.*of\s*$")
_END = re.compile(r"---\[ end ")
_BEGIN = re.compile(r"-\[ cut here \]-|^INFO: task ")
_RULER = re.compile(r"^={20,}$")
_DETAILS = re.compile(r"unreferenced object 0x")
_LAST_WORDS = re.compile(r"^zsfuzz-agent: (?P<what>[^:]+: [A-Za-z ]+)")
_POWER_DOWN = re.compile(r"^reboot: ")


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
        if not _comes_in_detail(rule, lines[end:]):
            splats.append(replace(_splat(rule, match, lines[at:end], complete), end=end))
        at = end
    return splats


def _comes_in_detail(rule: Rule, lines: Iterable[str]) -> bool:
    # kmemleak counts on its own; what it found is told when somebody asks.
    return rule.kind == "kmemleak" and rule.one_line and any(map(_DETAILS.search, lines))


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
        if _BEGIN.search(lines[at]) and _has_frames(lines[start:at]):
            return at, True  # the next one
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
    rule, match = _better(rule, match, lines)
    groups = match.groupdict()
    function = groups.get("func") or telling_function(lines)
    what = (groups.get("what") or "").replace(" 0;", " zero;")
    what = _NUMBERS.sub("", what).strip(" -!:;,.")
    if rule.kind == "bad page":
        what = next((line.partition("because: ")[2] for line in lines if "because: " in line), "")
        title = one_line(f"bad page: {what or 'state unknown'}")
        return Splat(rule.kind, title, tuple(lines), "", function)
    if rule.kind == "kmemleak" and not function:
        # User Mode Linux has no stack to tell of what is not running.
        return Splat(rule.kind, "memory leak", tuple(lines))
    # What the kernel quotes may be of anybody: a title goes to terminals and lists.
    title = one_line(rule.title.format(what=what, func=function or "an unknown function"))
    truncated = ""
    if "{func}" in rule.title and not function:
        truncated = "no stack frame names a function"
    elif not complete:
        truncated = "the console ends within the report"
    return Splat(rule.kind, title, tuple(lines), truncated, function)


def _better(rule: Rule, match: re.Match[str], lines: list[str]) -> tuple[Rule, re.Match[str]]:
    for line in lines[1:_BETTER_WITHIN]:
        for other in rule.better:
            found = other.pattern.search(line)
            if found:
                return other, found
    return rule, match


def last_words(console: str) -> str:
    """Say what the agent gave as its reason to end the guest, or ""."""
    lines = [strip_prefix(line) for line in console.split("\n")]
    for line, after in pairwise(lines):
        match = _LAST_WORDS.match(line)
        if match and _POWER_DOWN.match(after):
            return one_line(match["what"])
    return ""
