# SPDX-License-Identifier: GPL-2.0-only
"""What is found while coverage is measured ends the measurement, unless it does not come again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zsfuzz.errors import HarnessError
from zsfuzz.outcome import Outcome
from zsfuzz.reached.measure import raise_on_findings


def save(output: Path, outcome: Outcome) -> None:
    folder = output / "findings" / outcome.name
    folder.mkdir(parents=True)
    (folder / "finding.json").write_text(json.dumps({"outcome": outcome.value}))
    (folder / "report.txt").write_text("owner lost")


def test_a_finding_that_does_not_come_again_does_not_end_it(tmp_path: Path) -> None:
    save(tmp_path, Outcome.FLAKY)
    raise_on_findings(tmp_path)


def test_a_difference_ends_it_with_its_report(tmp_path: Path) -> None:
    save(tmp_path, Outcome.FLAKY)
    save(tmp_path, Outcome.DIVERGENCE)
    with pytest.raises(HarnessError, match=r"kernel and model differ.*owner lost"):
        raise_on_findings(tmp_path)
