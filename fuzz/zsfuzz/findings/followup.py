# SPDX-License-Identifier: GPL-2.0-only
"""What is found out about trouble: whether it comes again, how small it can be, where it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zsfuzz.findings.finding import Finding
from zsfuzz.findings.verdict import Boot, Stop, flaky_causes, reproduce, try_elsewhere
from zsfuzz.minimise.judge import Smaller, minimise_trouble
from zsfuzz.minimise.limit import Limit
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.runner import Runner, Trouble


def finding_of(trouble: Trouble, **more: Any) -> Finding:
    """Make a finding; `more` are fields of Finding that the trouble itself does not tell."""
    facts = {
        "step": trouble.divergence.step if trouble.divergence else None,
        "divergence": trouble.divergence,
        "splat": trouble.splat,
        "detail": trouble.reason,
        "console": trouble.console,
    }
    program = Program.from_wire(trouble.wire).canonical()
    return Finding(trouble.outcome, trouble.title, program, **(facts | more))


def first_account(runner: Runner, trouble: Trouble, stop: Stop, **facts: Any) -> Finding:
    """Replay until it comes again; a finding that does not is FLAKY, with the likely causes."""
    seen = reproduce(runner, trouble, stop, enough=1)
    if seen.hits:
        return finding_of(trouble, reproduced=seen.pair, **facts)
    detail = "; ".join(filter(None, (trouble.reason, flaky_causes(trouble, seen))))
    flaky = replace(trouble, outcome=Outcome.FLAKY)
    return finding_of(flaky, detail=detail, reproduced=seen.pair, **facts)


def full_account(
    runner: Runner, finding: Finding, trouble: Trouble, limit: Limit, guests: Mapping[str, Boot]
) -> Finding:
    """Minimise a finding that came again, count replays of the result, and try other flavours."""
    with runner.target.boot_ahead():
        smaller = minimise_trouble(runner, trouble, limit)
        result = smaller.trouble if smaller else trouble
        seen = reproduce(runner, result, limit.asked)
        if smaller and not seen.hits:
            smaller, result = None, trouble
            seen = reproduce(runner, trouble, limit.asked)
    elsewhere = try_elsewhere(result, {} if limit.asked() else guests)
    facts = finding_of(result)
    return replace(
        facts,
        kernel=finding.kernel,
        seed=finding.seed,
        reproduced=seen.pair,
        minimised=_minimised(smaller),
        flavours=(*finding.flavours, *elsewhere.shows),
        silent_on=elsewhere.silent,
        detail="; ".join(filter(None, (facts.detail, *_notes(smaller), *elsewhere.notes))),
    )


def _minimised(smaller: Smaller | None) -> tuple[int, int] | None:
    return (smaller.minimised.operations, smaller.minimised.runs) if smaller else None


def _notes(smaller: Smaller | None) -> tuple[str, ...]:
    if smaller is None:
        return ("minimising found no program that shows it",)
    return () if smaller.minimised.finished else ("minimising was stopped early",)
