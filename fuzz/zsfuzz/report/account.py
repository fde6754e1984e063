# SPDX-License-Identifier: GPL-2.0-only
"""What a report tells of a finding, in order, before it becomes text, HTML or JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.console.complaints import Splat, find_splats
from zsfuzz.console.frames import Frame, Places, frames_of
from zsfuzz.findings.finding import Finding
from zsfuzz.findings.titles import Difference
from zsfuzz.outcome import Outcome
from zsfuzz.report.zspageview import ZspageView, zspage_of
from zsfuzz.text import format_op, printable
from zsfuzz.values import show
from zsmodel.profile import DEFAULT_NAME, parse_profile
from zsmodel.rules import Rule, rule_for

WHOLE_PROGRAM = 96  # operations; of longer ones only the surroundings of the step are shown
BEFORE, AFTER = 48, 8  # operations around the step
# What no answer has in it, since it is not the same from run to run.
NEVER_COMPARED = ("handles, page frames and nodes", "memory.current")


@dataclass(frozen=True)
class Step:
    """One operation of the program; `answers` are the model's `ret` and the kernel's, if known."""

    number: int
    text: str
    differs: bool = False
    answers: tuple[str, str] | None = None


@dataclass(frozen=True)
class Compared:
    """One field on which the sides differ, as people read it."""

    path: str
    model: str
    kernel: str


@dataclass(frozen=True)
class Function:
    """A function of the kernel; `place` is "mm/zsmalloc.c:1544" or "" if that is not known."""

    name: str
    place: str = ""
    reached: bool | None = None  # by the step that differs; None: coverage was not asked

    def __str__(self) -> str:
        return f"{self.name} ({self.place})" if self.place else self.name


@dataclass(frozen=True)
class Stated:
    """The rule for the first difference: in words, in the model, in the kernel."""

    text: str
    model: str
    kernel: tuple[Function, ...]


@dataclass(frozen=True)
class Complaint:
    """What the kernel said on its console; `frames` are its stack, as far as it is known."""

    title: str
    truncated: str
    lines: tuple[str, ...]
    frames: tuple[Frame, ...]
    culprit: Function | None  # the first frame that matters


@dataclass(frozen=True)
class Account:
    """Everything that a report tells, in the order in which it does."""

    outcome: str
    title: str
    where: tuple[str, ...]  # "step 3 of 3 (not minimised)", "reproduced 10/10" ...
    replay: str
    kernel: str
    hidden_before: int  # operations that are not shown
    hidden_after: int
    program: tuple[Step, ...]
    aftermath: str  # where the sides differ if not at an operation, or ""
    first: Compared | None
    zspage: ZspageView | None
    rule: Stated | None
    reached: tuple[Function, ...]  # of mm/zsmalloc.c, by the step that differs
    truncated: str
    others: tuple[Compared, ...]
    more: int  # differences beyond `others`
    seen: str  # what the harness saw of a hang or a lost guest
    not_compared: tuple[str, ...]
    complaint: Complaint | None
    console: bool  # whether anything was captured


def account_of(finding: Finding, program_file: Path, places: Places) -> Account:
    """Work out what to tell; `places` finds source lines, `program_file` is for the replay."""
    divergence = finding.divergence
    first, last = _shown(finding)
    difference = divergence.first if divergence else None
    untold = (*finding.not_compared, *NEVER_COMPARED)
    reached = tuple(Function(name, places.function(name), True) for name in finding.reached)
    return Account(
        outcome=finding.outcome.value,
        title=finding.title,
        where=tuple(_where(finding)),
        replay=_replay(finding, program_file),
        kernel=_kernel(finding),
        hidden_before=first,
        hidden_after=len(finding.program) - last,
        program=tuple(_steps(finding, first, last)),
        aftermath=_aftermath(finding),
        first=_compared(difference) if difference else None,
        zspage=zspage_of(finding.program, divergence) if divergence else None,
        rule=_stated(difference, finding, places) if difference else None,
        reached=reached,
        truncated=divergence.stopped if divergence else "",
        others=tuple(map(_compared, divergence.others)) if divergence else (),
        more=divergence.more if divergence else 0,
        seen=finding.detail,
        not_compared=untold if divergence or finding.not_compared else (),
        complaint=_complaint(finding, places),
        console=bool(finding.console),
    )


# ---- where, and how to see it again --------------------------------------------------------


def _where(finding: Finding) -> Iterator[str]:
    yield _position(finding) + _minimised(finding)
    if finding.reproduced:
        yield "reproduced {}/{}".format(*finding.reproduced)
    if finding.flavours:
        silent = f", not on {' or '.join(finding.silent_on)}" if finding.silent_on else ""
        yield f"shows on {' and '.join(finding.flavours)}{silent}"
    yield "fault: undecided"


def _position(finding: Finding) -> str:
    steps = len(finding.program)
    if not steps:
        return "before any program" if finding.outcome is Outcome.KERNEL_SPLAT else "no program"
    if finding.step is not None:
        return f"step {finding.step} of {steps}"
    if finding.outcome is Outcome.DIVERGENCE:
        return f"after all {steps} steps"
    return f"in a program of {steps} steps"


def _minimised(finding: Finding) -> str:
    if not finding.program:
        return ""
    if finding.minimised is None:
        return " (not minimised)"
    return " (minimised from {} in {} runs)".format(*finding.minimised)


def _replay(finding: Finding, program_file: Path) -> str:
    arguments = finding.kernel.get("arguments", ())  # the kernel on which it was found
    command = "replay" if finding.program else "verify"
    return shlex.join(["zsfuzz", command, *arguments, str(program_file)])


def _kernel(finding: Finding) -> str:
    facts = {key: finding.kernel.get(key, "unknown") for key in ("version", "design", "guest")}
    config = str(finding.kernel.get("config", "unknown"))[:12]
    protocol = finding.kernel.get("protocol", "unknown")
    kernel = "kernel {version}, design {design} ({guest})".format(**facts)
    given = finding.kernel.get("profile", "")
    profile = f", profile {given}" if given not in ("", DEFAULT_NAME) else ""
    return f"{kernel}, config {config}, module protocol {protocol}, seed {finding.seed:#x}{profile}"


# ---- the program ---------------------------------------------------------------------------


def _shown(finding: Finding) -> tuple[int, int]:
    total = len(finding.program)
    if total <= WHOLE_PROGRAM:
        return 0, total
    step = finding.step or total
    return max(0, step - BEFORE), min(total, step + AFTER)


def _steps(finding: Finding, first: int, last: int) -> Iterator[Step]:
    answers = finding.divergence.answers if finding.divergence else None
    for number, op in enumerate(finding.program.canonical().ops[first:last], first + 1):
        differs = number == finding.step
        yield Step(number, format_op(op), differs, answers if differs else None)


def _aftermath(finding: Finding) -> str:
    if finding.outcome is not Outcome.DIVERGENCE or finding.step is not None:
        return ""
    divergence = finding.divergence
    first = divergence.first if divergence else None
    if first and first.subject != "end":
        return "(snapshot, with everything still in place)"
    return "(end, after everything was freed)" if first or not divergence else "(end)"


# ---- the evidence --------------------------------------------------------------------------


def _compared(diff: Difference) -> Compared:
    return Compared(diff.path, show(diff.model, diff.kind), show(diff.kernel, diff.kind))


def rule_of(diff: Difference, profile: str = "") -> Rule | None:
    """Find the model's rule for the field that differs; None if none is on record."""
    operation = diff.subject if diff.op is not None else f"snap_{diff.subject}"
    field = diff.subject if diff.name == "exists" else diff.name
    if diff.name == "zspages" and diff.op is None:
        operation, field = "snap_zspage", "order"
    try:
        return rule_for(operation, field, parse_profile(profile))
    except KeyError:
        return None


def _stated(diff: Difference, finding: Finding, places: Places) -> Stated:
    rule = rule_of(diff, str(finding.kernel.get("profile", "")))
    if rule is None:
        return Stated("none is on record", "", ())
    names = [name for name in rule.kernel.split(", ") if name != "none"]
    reached = finding.reached
    functions = (Function(n, places.function(n), n in reached if reached else None) for n in names)
    return Stated(rule.text, rule.model, tuple(functions))


def _complaint(finding: Finding, places: Places) -> Complaint | None:
    splat = finding.splat or next(iter(find_splats(finding.console)), None)
    if splat is None:
        return None
    frames = tuple(frames_of(splat.lines, places))
    lines = tuple(map(printable, splat.lines))
    return Complaint(splat.title, splat.truncated, lines, frames, _culprit(splat, frames))


def _culprit(splat: Splat, frames: tuple[Frame, ...]) -> Function | None:
    for frame in frames:
        if frame.function == splat.function:
            return Function(frame.function, frame.place)
    return Function(splat.function) if splat.function else None
