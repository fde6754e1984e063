# SPDX-License-Identifier: GPL-2.0-only
"""New trouble is saved at once, then small; what does not come again is kept as flaky."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_target import (
    ON_SOURCE,
    WARNING_TITLE,
    FakeTarget,
    free_keeps_owner,
    has_in_order,
    runner_on,
)

from zsfuzz.bootfailure import give_up
from zsfuzz.errors import HarnessError
from zsfuzz.findings import followup
from zsfuzz.findings.store import list_findings
from zsfuzz.findings.triage import TROUBLES, Triage
from zsfuzz.history import Auditor
from zsfuzz.mutation.rawbytes import decode
from zsfuzz.outcome import EXIT_HARNESS_ERROR, Outcome
from zsfuzz.program import Program
from zsfuzz.runner import ORPHAN_TITLE, Trouble
from zsfuzz.stats import Stats
from zsfuzz.text import parse_program
from zsfuzz.workerconfig import WorkerConfig

pytestmark = ON_SOURCE

WIRE = parse_program("""
read(o1)
o0 = malloc(p0, size=64, owner=c4, pattern=2)
o1 = malloc(p0, size=64)
stat(c1)
free(o0)
o2 = malloc(p0, size=64)
compact(p0)
""").wire


def config_in(folder: Path) -> WorkerConfig:
    manifest = folder / "manifest"
    manifest.write_text(json.dumps({"version": "7.2.13", "design": "zspage"}))
    return WorkerConfig(
        name="explore", role="explore", kernel="", root="", wire="", layout="",
        manifest=str(manifest), flavour="plain", memory=0, guest_cpu=None, host_cpu=None,
        inputs="", output=str(folder), work=str(folder),
    )  # fmt: skip


class Desk:
    """A triage on a target, in a folder."""

    def __init__(
        self, folder: Path, target: FakeTarget, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.folder = folder
        self.runner = runner_on(target)
        self.stats = Stats(folder / "stats", create=True)
        self.triage = Triage(self.runner, self.stats, config_in(folder), stopping)

    def handle(self, trouble: Trouble | None) -> dict[str, object]:
        """Handle trouble, and give the one finding that is saved then."""
        assert trouble is not None
        self.triage.handle(trouble)
        self.triage.write_counts()
        (finding,) = list_findings(self.folder)
        return finding

    def report(self) -> str:
        (path,) = self.folder.glob("findings/*/report.txt")
        return path.read_text()


def compacts(program: Program) -> bool:
    return has_in_order(program, "compact")


def test_a_new_finding_is_minimised_and_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner))
    finding = desk.handle(desk.runner.run(WIRE))
    assert finding["title"] == "malloc: new object has an owner already"
    assert finding["operations"] == 4
    assert finding["reproduced"] == [10, 10]
    assert (
        f"(minimised from 7 in {finding['minimised'][1]} runs), reproduced 10/10" in desk.report()
    )
    assert desk.stats["settled"] == 1


def test_a_finding_of_an_audit_is_minimised(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(leaks=compacts))
    finding = desk.handle(desk.runner.run_and_audit(WIRE))
    assert (finding["title"], finding["operations"]) == (ORPHAN_TITLE, 1)


def test_a_splat_is_reported_with_the_first_difference(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner, warns=compacts), stopping=lambda: True)
    finding = desk.handle(desk.runner.run(WIRE))
    assert (finding["outcome"], finding["title"]) == ("kernel splat", WARNING_TITLE)
    assert finding["step"] == 6
    assert "first difference: op 6: owner" in desk.report()
    assert "console: WARNING in obj_cgroup_release" in desk.report()


def test_what_does_not_come_again_is_kept_with_likely_causes(tmp_path: Path) -> None:
    trouble = runner_on(FakeTarget(free_keeps_owner)).run(WIRE)
    desk = Desk(tmp_path, FakeTarget())
    finding = desk.handle(trouble)
    assert finding["outcome"] == Outcome.FLAKY.value
    assert finding["reproduced"] == [0, 10]
    assert finding["operations"] == 7
    assert "not in 10 replays on fresh guests; likely causes:" in desk.report()


def test_what_comes_again_later_replaces_the_flaky_finding_and_both_count(tmp_path: Path) -> None:
    target = FakeTarget()
    desk = Desk(tmp_path, target)
    trouble = runner_on(FakeTarget(free_keeps_owner)).run(WIRE)
    assert desk.handle(trouble)["outcome"] == Outcome.FLAKY.value
    ran = len(target.wires)
    assert (desk.handle(trouble)["outcome"], desk.handle(trouble)["seen"]) == ("flaky", 3)
    assert len(target.wires) == ran + 10  # after the second sighting, but not after the third
    target.fault = free_keeps_owner
    finding = desk.handle(trouble)
    assert (finding["outcome"], finding["seen"]) == (Outcome.DIVERGENCE.value, 4)
    assert finding["reproduced"] == [10, 10]
    assert desk.handle(trouble)["seen"] == 5


def test_trouble_without_a_program_is_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget())
    finding = desk.handle(Trouble(Outcome.FLAKY, ORPHAN_TITLE, b"", "1 owner stayed"))
    assert finding["reproduced"] is None
    assert "with no program alone" in desk.report()


def test_a_run_that_ends_saves_what_it_has(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner), stopping=lambda: True)
    finding = desk.handle(desk.runner.run(WIRE))
    assert finding["operations"] == 7
    assert "(not minimised), reproduced 1/1" in desk.report()


class Later:
    """False at first, and True after some looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_a_run_that_ends_meanwhile_has_the_best_so_far(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner), stopping=Later(5))
    desk.triage._others = {"kasan": lambda: pytest.fail("a boot")}
    finding = desk.handle(desk.runner.run(WIRE))
    assert 4 < finding["operations"] < 7
    assert "minimising was stopped early" in desk.report()


def test_a_finding_is_there_before_it_is_minimised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise HarnessError("no guest")

    monkeypatch.setattr(followup, "minimise_trouble", fails)
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner))
    with pytest.raises(HarnessError):
        desk.handle(desk.runner.run(WIRE))
    (finding,) = list_findings(tmp_path)
    assert (finding["operations"], finding["reproduced"]) == (7, [1, 1])


def test_a_known_title_is_only_counted(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner))
    trouble = desk.runner.run(WIRE)
    desk.handle(trouble)
    ran = len(desk.runner.target.wires)
    assert desk.handle(trouble)["seen"] == 2
    assert len(desk.runner.target.wires) == ran
    assert desk.stats["settled"] == 1


def test_a_finding_that_another_worker_has_saved_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    first, second = (Desk(tmp_path, FakeTarget(free_keeps_owner)) for _ in range(2))
    trouble = first.runner.run(WIRE)
    second.triage._store.known = lambda *_: False  # as if it had looked before
    first.handle(trouble)
    report = first.report()
    second.handle(trouble)
    assert len(second.runner.target.wires) == 1
    assert second.report() == report
    assert second.stats["settled"] == 1  # the first one's, in the same file


def test_other_flavours_are_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner))
    desk.triage._others = {
        "kasan": lambda: FakeTarget(free_keeps_owner), "lockdep": FakeTarget,
    }  # fmt: skip
    finding = desk.handle(desk.runner.run(WIRE))
    assert finding["flavours"] == ["plain", "kasan"]
    assert finding["silent_on"] == ["lockdep"]
    assert "shows on plain and kasan, not on lockdep" in desk.report()


def test_a_program_is_in_a_file_while_it_is_looked_into(tmp_path):
    target = FakeTarget(warns=compacts)
    desk, seen = Desk(tmp_path, target), []
    restart = target.restart

    def look() -> None:
        seen.extend(path.read_bytes() for path in (tmp_path / TROUBLES).glob("*"))
        restart()

    trouble = desk.runner.run(parse_program("compact(p0)").wire)
    target.restart = look
    desk.handle(trouble)
    assert trouble.wire == decode(seen[0])
    assert not list((tmp_path / TROUBLES).iterdir())


# ---- when nothing more can be found out ------------------------------------------------------


def test_trouble_is_saved_though_no_other_guest_comes_up(tmp_path: Path) -> None:
    target = FakeTarget(free_keeps_owner)
    desk = Desk(tmp_path, target)
    trouble = desk.runner.run(WIRE)
    target.starts_left = 0
    with pytest.raises(HarnessError) as raised:
        desk.handle(trouble)
    assert list_findings(tmp_path) == []
    assert give_up(config_in(tmp_path), raised.value) == EXIT_HARNESS_ERROR
    (finding,) = list_findings(tmp_path)
    assert (finding["title"], finding["outcome"]) == (trouble.title, Outcome.FLAKY.value)
    assert "not looked into any further: no space on /dev/shm" in desk.report()


def test_what_an_audit_saw_is_saved_though_its_cause_cannot_be_looked_for(tmp_path: Path) -> None:
    target = FakeTarget(leaks=lambda program: has_in_order(program, "compact"))
    auditor = Auditor(runner_on(target))
    assert auditor._runner.check(WIRE) is None
    auditor.note(WIRE)
    target.starts_left = 1
    with pytest.raises(HarnessError) as raised:
        auditor.audit(0.0)
    give_up(config_in(tmp_path), raised.value)
    (finding,) = list_findings(tmp_path)
    assert (finding["title"], finding["outcome"]) == (ORPHAN_TITLE, Outcome.FLAKY.value)


def test_what_is_known_is_not_counted_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner))
    trouble = desk.runner.run(WIRE)
    desk.handle(trouble)
    error = HarnessError("no space on /dev/shm")
    error.unsaved = (trouble,)
    give_up(config_in(tmp_path), error)
    (finding,) = list_findings(tmp_path)
    assert finding["seen"] == 1


def test_a_full_disk_at_the_end_is_told_and_no_kernel_is_blamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, FakeTarget(free_keeps_owner))
    error = HarnessError("no space on /dev/shm")
    error.unsaved = (desk.runner.run(WIRE),)
    (tmp_path / "findings").write_text("")  # no folder can be made there
    assert give_up(config_in(tmp_path), error) == EXIT_HARNESS_ERROR
    assert str(tmp_path / "findings") in capsys.readouterr().err
