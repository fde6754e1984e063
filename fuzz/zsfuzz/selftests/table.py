# SPDX-License-Identifier: GPL-2.0-only
"""Show the results: one table for people, one object for programs."""

from __future__ import annotations

from typing import Any

from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.selftests.compare import CONTROL, Results, find_complaints, find_differences
from zsfuzz.selftests.guest import WHOLE
from zsfuzz.selftests.output import Verdict

_MARK = "*"
_NO_END = (Verdict.TIMEOUT, Verdict.LOST, Verdict.SKIP, Verdict.NOT_RUN)


def render(results: Results) -> str:
    """Lay out case by design, differences marked, and below it what there is to say of each."""
    differ = {(d.program, d.found.name) for d in find_differences(results)}
    lines = [("", "test", "case", *results.designs)]
    for program in results.programs:
        for name in results.names(program):
            verdicts = (results.case(d, program, name).verdict.value for d in results.designs)
            mark = _MARK if (program, name) in differ else ""
            lines.append((mark, str(program), name, *verdicts))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    table = [
        "  ".join(f"{text:{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([*table, "", *_notes(results)])


def _notes(results: Results) -> list[str]:
    differences, complaints = find_differences(results), find_complaints(results)
    notes = [f"difference: {one.title}" for one in differences]
    notes += [f"kernel splat: {one.title}" for one in complaints]
    notes += [f"on {CONTROL} already: {text}" for text in _troubles(results)]
    cases = sum(len(results.names(program)) for program in results.programs)
    if not _something_passed(results):
        notes.append(f"nothing passed on {CONTROL}: there is nothing to compare with")
    for name in _unfinished(results):
        notes.append(f"{name} has no result on {CONTROL}: it is not compared")
    if len(results.designs) > 1:
        notes.append(f"{cases} cases; different from {CONTROL}: {len(differences)}")
    else:
        notes.append(f"{cases} cases; no design to compare {CONTROL} with")
    return notes


def _troubles(results: Results) -> list[str]:
    found = []
    for program in results.programs:
        for name in results.names(program):
            case = results.case(CONTROL, program, name)
            if case.verdict not in (Verdict.PASS, Verdict.NOT_RUN):
                why = f": {case.detail}" if case.detail else ""
                found.append(f"{program} {name}: {case.verdict.value}{why}")
    return found


def _something_passed(results: Results) -> bool:
    """Tell whether stock is a control at all: where nothing passes, all designs are alike."""
    return any(
        results.case(CONTROL, program, name).verdict is Verdict.PASS
        for program in results.programs
        for name in results.names(program)
    )


def _unfinished(results: Results) -> list[str]:
    """Name the programs that did not come to an end of their own on stock, or told of nothing."""
    return [
        str(program)
        for program in results.programs
        if results.case(CONTROL, program, WHOLE).verdict in _NO_END
        or results.names(program) in ([], [WHOLE])
    ]


def exit_code_of(results: Results) -> int:
    """Tell 2 from 1 from 0.

    2 if nothing passed on stock, or a program has no result there; 1 if a design differs or a
    kernel complained; otherwise 0.
    """
    if not _something_passed(results) or _unfinished(results):
        return EXIT_HARNESS_ERROR
    troubled = find_differences(results) or find_complaints(results)
    return EXIT_FINDINGS if troubled else EXIT_CLEAN


def as_dict(results: Results) -> dict[str, Any]:
    """Give what programs want to know."""
    return {
        "designs": list(results.designs),
        "cases": [
            {
                "program": str(program),
                "case": name,
                "verdicts": {
                    d: results.case(d, program, name).verdict.value for d in results.designs
                },
                "details": {
                    d: detail
                    for d in results.designs
                    if (detail := results.case(d, program, name).detail)
                },
            }
            for program in results.programs
            for name in results.names(program)
        ],
        "differences": [
            {
                "design": d.design,
                "program": str(d.program),
                "case": d.found.name,
                "times": d.times,
                "tries": d.tries,
                "title": d.title,
            }
            for d in find_differences(results)
        ],
        "splats": [
            {"design": c.design, "program": str(c.program), "title": c.splat.title}
            for c in find_complaints(results)
        ],
        "seconds": {
            design: round(
                sum(one.seconds for p in results.programs for one in results.attempts[design, p]), 1
            )
            for design in results.designs
        },
    }
