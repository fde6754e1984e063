# SPDX-License-Identifier: GPL-2.0-only
"""Console logs: each gets the title, kind and verdict on truncation that it says on top."""

from pathlib import Path

import pytest

from zsfuzz.console import find_splats

LOGS = sorted((Path(__file__).parent / "console").glob("*.log"))


def test_there_are_logs():
    assert len(LOGS) >= 15


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_the_first_complaint_of_a_log_is_what_its_head_says(path):
    head, _, console = path.read_text().partition("\n\n")
    expected = dict(line.split(": ", 1) for line in head.replace(":\n", ": \n").splitlines())
    splat = find_splats(console)[0]
    assert splat.title == expected["TITLE"]
    assert splat.kind == expected["KIND"]
    assert splat.truncated == expected.get("TRUNCATED", "")


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_has_one_complaint(path):
    _, _, console = path.read_text().partition("\n\n")
    assert len(find_splats(console)) == 1
