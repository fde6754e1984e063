# SPDX-License-Identifier: GPL-2.0-only
"""Read what a test of the kernel tree printed: TAP, or the lines of the scripts for zram."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum


class Verdict(Enum):
    """How a test case, or a whole program of them, ended; the value is the word in the table."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "expected failure"
    TIMEOUT = "timeout"
    LOST = "guest lost"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Case:
    """One test case; `detail` is what the test said of it, or "" if it passed."""

    name: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """The cases in order, and how many the program had announced, None if it did not."""

    cases: tuple[Case, ...]
    planned: int | None = None
    skipped: str = ""  # the reason, if the program skipped itself as a whole


_RESULT = re.compile(
    r"^(?P<not>not )?ok \d+(?: -)? *(?:# *(?P<early>SKIP|XFAIL|XPASS)\b *)?(?P<name>[^#]*?)"
    r" *(?:# *(?P<late>SKIP|XFAIL|TODO)\b *(?P<why>.*))?$"
)
_PLAN = re.compile(r"^1\.\.(?P<count>\d+)(?: *# *SKIP *(?P<why>.*))?$")
_DIRECTIVES = {"SKIP": Verdict.SKIP, "XFAIL": Verdict.XFAIL, "TODO": Verdict.XFAIL}
# zram_lib.sh: steps say that they are done, scripts how they ended, and what fails begins so.
_STEP = re.compile(r"^(?P<name>[^:]+):(?: .*:)? OK$")
_SCRIPT = re.compile(r"^(?P<name>\S+) : \[(?P<verdict>PASS|FAIL)\]$")
_FAILURE = re.compile(r"^FAIL (?P<what>.*)$")
_NOTHING = re.compile(r"^(?:TAP version \d+|# Totals:.*|)$")


def parse(text: str) -> Report:
    """Return the cases that @text tells of; text that tells of none gives an empty report."""
    lines = [line.rstrip() for line in text.splitlines()]
    planned, skipped = None, ""
    for line in lines:
        if found := _PLAN.match(line):
            planned, skipped = int(found["count"]), found["why"] or skipped
    has_tap = any(_RESULT.match(line) or _PLAN.match(line) for line in lines)
    cases = _tap(lines) if has_tap else _scripts(lines)
    return Report(tuple(_unlike(cases)), planned, skipped)


def _tap(lines: list[str]) -> Iterator[Case]:
    said: list[str] = []  # since the last result: a test explains itself before it fails
    for line in lines:
        found = _RESULT.match(line)
        if found is None:
            if not _PLAN.match(line) and not _NOTHING.match(line):
                said.append(line.removeprefix("# "))
            continue
        verdict = Verdict.FAIL if found["not"] else Verdict.PASS
        verdict = _DIRECTIVES.get(found["early"] or found["late"] or "", verdict)
        detail = "" if verdict is Verdict.PASS else found["why"] or "; ".join(said)
        yield Case(found["name"], verdict, detail)
        said = []


def _scripts(lines: list[str]) -> Iterator[Case]:
    """Yield the steps of each script, then the script itself.

    The scripts tell of a failure and then say OK, and [PASS] at the end: it is the failure that
    counts, for the step and for the script.
    """
    steps: list[Case] = []
    failures: list[str] = []  # since the last step
    for line in lines:
        if found := _FAILURE.match(line):
            failures.append(found["what"])
        elif found := _STEP.match(line):
            steps.append(_case(found["name"], failures))
            failures = []
        elif found := _SCRIPT.match(line):
            if failures or found["verdict"] == "FAIL":
                failures = failures or ["said [FAIL]"]
            yield from _script(found["name"], steps, failures)
            steps, failures = [], []
    if steps or failures:
        yield from _script("(cut off)", steps, ["did not end", *failures])


def _case(name: str, failures: list[str]) -> Case:
    return Case(name, Verdict.FAIL if failures else Verdict.PASS, "; ".join(failures))


def _script(name: str, steps: list[Case], failures: list[str]) -> Iterator[Case]:
    yield from (replace(step, name=f"{name}: {step.name}") for step in steps)
    yield _case(name, [*(step.detail for step in steps if step.detail), *failures])


def _unlike(cases: Iterator[Case]) -> Iterator[Case]:
    """Give names that come again a number, so that a name is one row."""
    seen: dict[str, int] = {}
    for case in cases:
        seen[case.name] = times = seen.get(case.name, 0) + 1
        yield case if times == 1 else replace(case, name=f"{case.name} ({times})")
