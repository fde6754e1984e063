# SPDX-License-Identifier: GPL-2.0-only
"""Write a finding for people, as text: what, where, how to see it again, the program, the evidence.

The same as a page and for programs: webpage.py, data.py.
"""

from collections.abc import Iterator
from pathlib import Path

from zsfuzz.console.frames import places_of
from zsfuzz.findings.finding import Finding
from zsfuzz.report.account import Account, Compared, Complaint, Function, Stated, Step, account_of
from zsfuzz.report.drawing import draw

SPLAT_LINES = 60
ANSWER_COLUMN = 44
FRAME_COLUMN = 60


def render(finding: Finding, program_file: Path) -> str:
    """Write the report; `program_file` is where the program can be replayed from."""
    return render_account(account_of(finding, program_file, places_of(finding.kernel)))


def render_account(account: Account) -> str:
    """Write the report from what it is to tell."""
    blocks = [
        [f"{account.outcome}: {account.title}", *_facts(account)],
        list(_program_lines(account)),
        list(_difference(account)),
        list(_drawing(account)),
        list(_evidence(account)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _facts(account: Account) -> Iterator[str]:
    yield f"  {', '.join(account.where)}"
    yield f"  replay: {account.replay}"
    yield f"  {account.kernel}"


# ---- the program ---------------------------------------------------------------------------


def _program_lines(account: Account) -> Iterator[str]:
    if account.hidden_before:
        yield f"    ({account.hidden_before} operations before: see program.txt)"
    yield from map(_program_line, account.program)
    if account.hidden_after:
        yield f"    ({account.hidden_after} operations after: see program.txt)"
    if account.aftermath:
        yield f"  > {account.aftermath}"


def _program_line(step: Step) -> str:
    if not step.differs:
        return f"    {step.text}"
    if step.answers is None:
        return f"  > {step.text}"
    model, kernel = step.answers
    return f"  > {step.text:<{ANSWER_COLUMN}}  model: {model}, kernel: {kernel}"


# ---- the evidence --------------------------------------------------------------------------


def _difference(account: Account) -> Iterator[str]:
    if account.first:
        yield f"  first difference: {account.first.path}"
        yield f"    model   {account.first.model}"
        yield f"    kernel  {account.first.kernel}"
    if account.rule:
        yield from _rule_lines(account.rule)
    if account.reached:
        yield f"  reached by this step: {', '.join(f.name for f in account.reached)}"


def _rule_lines(rule: Stated) -> Iterator[str]:
    yield f"  rule: {rule.text}"
    if rule.model:
        yield f"    model   {rule.model}"
    if rule.kernel:
        yield f"    kernel  {', '.join(map(_function_text, rule.kernel))}"


def _function_text(function: Function) -> str:
    return f"{function}, not reached by this step" if function.reached is False else str(function)


def _drawing(account: Account) -> Iterator[str]:
    if account.zspage:
        yield from (f"  {line}" for line in draw(account.zspage))


def _evidence(account: Account) -> Iterator[str]:
    if account.truncated:
        yield f"  truncated: {account.truncated}"
    if account.first:
        yield from _others(account)
    if account.seen:
        yield f"  seen: {account.seen}"
    if account.not_compared:
        yield f"  not compared: {'; '.join(account.not_compared)}"
    if account.complaint:
        yield from _console_lines(account.complaint)
    else:
        quiet = "no complaint from the kernel" if account.console else "nothing was captured"
        yield f"  console: {quiet}"


def _others(account: Account) -> Iterator[str]:
    if not account.others:
        yield "  also different: nothing"
        return
    yield "  also different:"
    for other in account.others:
        yield f"    {_one_line(other)}"
    if account.more:
        yield f"    and {account.more} more"


def _one_line(compared: Compared) -> str:
    return f"{compared.path}: model {compared.model}, kernel {compared.kernel}"


def _console_lines(complaint: Complaint) -> Iterator[str]:
    yield f"  console: {complaint.title}"
    if complaint.truncated:
        yield f"  truncated: {complaint.truncated}"
    if complaint.culprit and complaint.culprit.place:
        yield f"  where: {complaint.culprit}"
    places = {frame.line: frame.place for frame in complaint.frames if frame.place}
    for number, line in enumerate(complaint.lines[:SPLAT_LINES]):
        place = places.get(number, "")
        yield f"    {line:<{FRAME_COLUMN}}  {place}".rstrip() if place else f"    {line}".rstrip()
    if len(complaint.lines) > SPLAT_LINES:
        yield f"    ({len(complaint.lines) - SPLAT_LINES} more lines: see console.log)"
