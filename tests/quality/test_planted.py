# SPDX-License-Identifier: GPL-2.0-only
"""Planted bugs are found from nothing, and what is saved of them shows them again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from guest_support import built, zsfuzz

from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, Outcome
from zsfuzz.planted import planted_patch
from zsfuzz.replay.run import replay
from zsfuzz.runner import ORPHAN_TITLE

TIME = 60  # seconds that a run may take; it ends with the first finding

# What a planted bug may be called: that depends on where it shows first.  The word of the operation
# that showed it is left out.
BUGS = {
    "free-keeps-owner": {
        "free slot keeps an owner",
        "new object has an owner already",
        "object without owner has one",
        "cgroup charged too little",
    },
    "free-keeps-reference": {ORPHAN_TITLE},
    "compaction-loses-owner": {"owner lost", "cgroup charged too little"},
}


@dataclass(frozen=True)
class Hunt:
    """A run on a kernel with one planted bug, which has ended."""

    bug: str
    exit_code: int
    summary: dict[str, object]

    @property
    def patch(self) -> Path:
        return planted_patch("zspage", self.bug)

    @property
    def found(self) -> list[tuple[str, Path]]:
        """First lines of reports of what could be seen again, with the folders of the findings."""
        return [
            (f"{finding['outcome']}: {finding['title']}", Path(finding["path"]))
            for finding in self.summary["findings"]
            if finding["outcome"] != Outcome.FLAKY.value
        ]


@pytest.fixture(scope="module", params=BUGS)
def hunt(request, tmp_path_factory: pytest.TempPathFactory) -> Hunt:
    bug, folder = request.param, tmp_path_factory.mktemp("hunt")
    patch = planted_patch("zspage", bug)
    built("zspage", "plain", patch)
    options = ("--flavour", "plain", "--patch", patch, "--time", TIME, "--until-finding")
    done = zsfuzz("run", *options, "--output", "out", "--json", "summary.json", cwd=folder)
    assert done.returncode in (EXIT_CLEAN, EXIT_FINDINGS), done.stderr
    return Hunt(bug, done.returncode, json.loads((folder / "summary.json").read_text()))


def test_the_bug_is_found_and_goes_by_its_name(hunt: Hunt) -> None:
    assert hunt.exit_code == EXIT_FINDINGS
    assert {line.rpartition(": ")[2] for line, _ in hunt.found} & BUGS[hunt.bug]


def test_the_finding_shows_again_on_its_kernel_and_not_on_the_clean_one(hunt: Hunt) -> None:
    programs = [path / "program.msgpack" for _, path in hunt.found]
    broken = replay(built("zspage", "plain", hunt.patch), programs)
    assert broken.exit_code == EXIT_FINDINGS
    lines = [verdict.text.partition("\n")[0] for verdict in broken.verdicts]
    assert lines == [line for line, _ in hunt.found]
    clean = replay(built("zspage", "plain"), programs)
    assert clean.exit_code == EXIT_CLEAN
    assert [verdict.outcome for verdict in clean.verdicts] == [Outcome.AGREE] * len(programs)


def test_a_finding_is_saved_whole(hunt: Hunt) -> None:
    for line, path in hunt.found:
        assert (path / "report.txt").read_text().startswith(f"{line}\n")
        kernel = json.loads((path / "kernel.json").read_text())
        assert f"{hunt.bug}.patch" in {patch["name"] for patch in kernel["patches"]}
        assert "VFS: Mounted root" in (path / "console.log").read_text()
