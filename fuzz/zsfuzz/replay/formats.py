# SPDX-License-Identifier: GPL-2.0-only
"""Replay reports for machines: JUnit's XML, KTAP (Documentation/dev-tools/ktap.rst), JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from zsfuzz.outcome import Outcome
from zsfuzz.replay.verdict import BadFile, ReplayReport, Verdict

SUITE = "zsfuzz"
# What XML 1.0 cannot hold, such as the colours of a console.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


# ---- JUnit -----------------------------------------------------------------------------------


def to_junit(report: ReplayReport) -> str:
    """Write one test case a file: failures are programs in trouble, errors unusable files."""
    suite = TestSuite(SUITE)
    suite.add_property("kernel", report.kernel)
    for verdict in report.verdicts:
        case = _case(verdict.path)
        if verdict.troubled:
            case.result = [_failure(verdict)]
        elif verdict.unknown:
            case.result = [Error(_xml(verdict.title), verdict.outcome.value)]
        suite.add_testcase(case)
    for bad in report.errors:
        case = _case(bad.path)
        case.result = [Error(_xml(bad.reason), "bad corpus file")]
        suite.add_testcase(case)
    suite.time = round(report.seconds, 3)
    xml = JUnitXml(SUITE)
    xml.add_testsuite(suite)
    text: bytes = xml.tostring()  # type: ignore[no-untyped-call]
    return text.decode() + "\n"


def _case(path: Path) -> TestCase:
    return TestCase(_xml(path.stem), classname=_xml(str(path.parent)))


def _failure(verdict: Verdict) -> Failure:
    failure = Failure(_xml(verdict.title), verdict.outcome.value)
    failure.text = _xml(f"{verdict.words}\n{verdict.text}")
    return failure


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


# ---- KTAP ------------------------------------------------------------------------------------

_DIRECTIVES = {Outcome.GUEST_HANG: " # TIMEOUT"}


def to_ktap(report: ReplayReport) -> str:
    """Write one result a file, within one test named zsfuzz; reports are diagnostic lines."""
    results = [*map(_ktap_verdict, report.verdicts), *map(_ktap_error, report.errors)]
    lines = ["KTAP version 1", "1..1", "  KTAP version 1", f"  # Subtest: {SUITE}"]
    lines += [f"  # kernel: {report.kernel}", f"  1..{len(results)}"]
    for number, (good, name, directive, diagnostics) in enumerate(results, 1):
        lines += [f"  # {line}".rstrip() for line in diagnostics]
        lines.append(f"  {_ok(good)} {number} {name}{directive}")
    lines.append(f"{_ok(all(result[0] for result in results))} 1 {SUITE}")
    return "\n".join(lines) + "\n"


_Result = tuple[bool, str, str, list[str]]  # good, name, directive, diagnostic lines


def _ktap_verdict(verdict: Verdict) -> _Result:
    name = _ktap_name(str(verdict.path))
    if verdict.unknown:
        return False, name, " # ERROR undecided", f"{name}: {verdict.title}".splitlines()
    if not verdict.troubled:
        return True, name, "", []
    lines = [f"{name}: {verdict.words}", *verdict.text.splitlines()]
    return False, name, _DIRECTIVES.get(verdict.outcome, ""), lines


def _ktap_error(bad: BadFile) -> _Result:
    name = _ktap_name(str(bad.path))
    lines = f"{name}: {bad.reason}".splitlines()
    return False, name, " # ERROR the file cannot be used", lines


def _ktap_name(path: str) -> str:
    """Leave out what would begin a directive or a new line, and what cannot be written at all."""
    return "".join("_" if c in "#\\" or c.isspace() or not c.isprintable() else c for c in path)


def _ok(good: bool) -> str:
    return "ok" if good else "not ok"


# ---- JSON and text ---------------------------------------------------------------------------


def to_json(report: ReplayReport) -> str:
    """Write what there is to know; programs that agree are counted, not named."""
    facts = {
        "kernel": report.kernel,
        "programs": len(report.verdicts),
        "operations": report.operations,
        "seconds": round(report.seconds, 3),
        "jobs": report.jobs,
        "in_trouble": [verdict.as_dict() for verdict in report.troubled],
        "failures": list(report.failures),
        "complaints": list(report.complaints),
        "undecided": [{"path": str(v.path), "reason": v.title} for v in report.unknown],
        "errors": [{"path": str(bad.path), "reason": bad.reason} for bad in report.errors],
        "exit_code": report.exit_code,
    }
    return json.dumps(facts, indent=1) + "\n"


def to_text(report: ReplayReport, few: int) -> str:
    """Write what people want to read; of more than `few` programs, only those in trouble."""
    return "\n".join([*_text_lines(report, few), report.last_line]) + "\n"


def _text_lines(report: ReplayReport, few: int) -> Iterator[str]:
    for reason, count in Counter(verdict.title for verdict in report.unknown).items():
        yield f"{count} programs are undecided: {reason}"
    for verdict in report.verdicts:
        if verdict.troubled or len(report.verdicts) <= few:
            yield f"{verdict.path}: {verdict.words}"
        if verdict.text:
            yield verdict.text
