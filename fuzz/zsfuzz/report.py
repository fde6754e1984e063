# SPDX-License-Identifier: GPL-2.0-only
"""Write a finding for people: what, where, how to see it again, the program, the evidence."""

from collections.abc import Iterator
from pathlib import Path

from zsfuzz.console import find_splats
from zsfuzz.finding import Finding
from zsfuzz.oracle import Divergence
from zsfuzz.outcome import Outcome
from zsfuzz.text import format_op
from zsfuzz.titles import Difference
from zsfuzz.values import show
from zsmodel.rules import rule_for

WHOLE_PROGRAM = 96  # operations; of longer ones only the surroundings of the step are shown
BEFORE, AFTER = 48, 8  # operations around the step
SPLAT_LINES = 60
ANSWER_COLUMN = 44
# What no answer has in it, since it is not the same from run to run.
NEVER_COMPARED = ("handles, page frames and nodes", "memory.current")


def render(finding: Finding, program_file: Path) -> str:
    """Write the report; `program_file` is where the program can be replayed from."""
    blocks = [
        [f"{finding.outcome.value}: {finding.title}", *_facts(finding, program_file)],
        list(_program_lines(finding)),
        list(_evidence(finding)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


# ---- where, and how to see it again --------------------------------------------------------


def _facts(finding: Finding, program_file: Path) -> Iterator[str]:
    parts = [_where(finding) + _minimised(finding)]
    if finding.reproduced:
        parts.append("reproduced {}/{}".format(*finding.reproduced))
    if finding.flavours:
        parts.append(f"shows on {_flavours(finding)}")
    parts.append("fault: undecided")
    yield "  " + ", ".join(parts)
    variants = "".join(f"--variant {name} " for name in finding.kernel.get("variants", ()))
    yield f"  replay: zsfuzz replay {variants}{program_file}"
    yield "  " + _kernel(finding)


def _where(finding: Finding) -> str:
    steps = len(finding.program)
    if finding.step is not None:
        return f"step {finding.step} of {steps}"
    if finding.outcome is Outcome.DIVERGENCE:
        return f"after all {steps} steps"
    return f"in a program of {steps} steps"


def _minimised(finding: Finding) -> str:
    if finding.minimised is None:
        return " (not minimised)"
    return " (minimised from {} in {} runs)".format(*finding.minimised)


def _flavours(finding: Finding) -> str:
    silent = f", not on {' or '.join(finding.silent_on)}" if finding.silent_on else ""
    return " and ".join(finding.flavours) + silent


def _kernel(finding: Finding) -> str:
    facts = {key: finding.kernel.get(key, "unknown") for key in ("version", "design", "guest")}
    config = str(finding.kernel.get("config", "unknown"))[:12]
    protocol = finding.kernel.get("protocol", "unknown")
    kernel = "kernel {version}, design {design} ({guest})".format(**facts)
    return f"{kernel}, config {config}, module protocol {protocol}, seed {finding.seed:#x}"


# ---- the program ---------------------------------------------------------------------------


def _program_lines(finding: Finding) -> Iterator[str]:
    first, last = _shown(finding)
    total = len(finding.program)
    if first:
        yield f"    ({first} operations before: see program.txt)"
    for number, op in enumerate(finding.program.canonical().ops[first:last], first + 1):
        yield _program_line(finding, format_op(op), number)
    if last < total:
        yield f"    ({total - last} operations after: see program.txt)"
    if finding.outcome is Outcome.DIVERGENCE and finding.step is None:
        yield "  > " + _aftermath(finding.divergence)


def _shown(finding: Finding) -> tuple[int, int]:
    total = len(finding.program)
    if total <= WHOLE_PROGRAM:
        return 0, total
    step = finding.step or total
    return max(0, step - BEFORE), min(total, step + AFTER)


def _program_line(finding: Finding, text: str, number: int) -> str:
    if number != finding.step:
        return f"    {text}"
    answers = finding.divergence.answers if finding.divergence else None
    if answers is None:
        return f"  > {text}"
    return f"  > {text:<{ANSWER_COLUMN}}  model: {answers[0]}, kernel: {answers[1]}"


def _aftermath(divergence: Divergence | None) -> str:
    first = divergence.first if divergence else None
    if first and first.subject != "end":
        return "(snapshot, with everything still in place)"
    return "(end, after everything was freed)" if first or not divergence else "(end)"


# ---- the evidence --------------------------------------------------------------------------


def _evidence(finding: Finding) -> Iterator[str]:
    if finding.divergence:
        yield from _divergence_lines(finding.divergence)
    if finding.detail:
        yield f"  seen: {finding.detail}"
    if finding.divergence or finding.not_compared:
        yield f"  not compared: {'; '.join((*finding.not_compared, *NEVER_COMPARED))}"
    yield from _console_lines(finding)


def _divergence_lines(divergence: Divergence) -> Iterator[str]:
    first = divergence.first
    if first:
        yield f"  first difference: {first.path}"
        yield f"    model   {show(first.model, first.kind)}"
        yield f"    kernel  {show(first.kernel, first.kind)}"
        yield f"  rule: {rule_text(first)}"
    if divergence.stopped:
        yield f"  truncated: {divergence.stopped}"
    yield from _others(divergence)


def rule_text(diff: Difference) -> str:
    """Name the model's rule for the field that differs, and where both sides state it."""
    operation = diff.subject if diff.op is not None else f"snap_{diff.subject}"
    field = diff.subject if diff.name == "exists" else diff.name
    if diff.name == "zspages":
        operation, field = "snap_zspage", "order"
    try:
        rule = rule_for(operation, field)
    except KeyError:
        return "none is on record"
    return f"{rule.text} ({rule.model}; kernel: {rule.kernel})"


def _others(divergence: Divergence) -> Iterator[str]:
    if not divergence.others:
        yield "  also different: nothing"
        return
    yield "  also different:"
    for other in divergence.others:
        yield f"    {_one_line(other)}"
    if divergence.more:
        yield f"    and {divergence.more} more"


def _one_line(diff: Difference) -> str:
    sides = f"model {show(diff.model, diff.kind)}, kernel {show(diff.kernel, diff.kind)}"
    return f"{diff.path}: {sides}"


def _console_lines(finding: Finding) -> Iterator[str]:
    splat = finding.splat or next(iter(find_splats(finding.console)), None)
    if splat is None:
        quiet = "no complaint from the kernel" if finding.console else "nothing was captured"
        yield f"  console: {quiet}"
        return
    yield f"  console: {splat.title}"
    if splat.truncated:
        yield f"  truncated: {splat.truncated}"
    for line in splat.lines[:SPLAT_LINES]:
        yield f"    {line}".rstrip()
    if len(splat.lines) > SPLAT_LINES:
        yield f"    ({len(splat.lines) - SPLAT_LINES} more lines: see console.log)"
