# SPDX-License-Identifier: GPL-2.0-only
"""Replay: all programs run whatever happens, in parts and in parallel, and each has its verdict."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_target import WARNING, WARNING_TITLE
from guest_support import PATIENCE, ROOT, built, machine_of, zsfuzz

from zsfuzz.corpusfile import Entry, save
from zsfuzz.errors import BootFailed, GuestKilled, HarnessError
from zsfuzz.guest.machine import Machine
from zsfuzz.manifest import finding_manifest
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.replay import pipeline, worker
from zsfuzz.replay.alone import BATCH_TITLE, Judge, Task
from zsfuzz.replay.pipeline import AHEAD, BATCH, BATCH_OPERATIONS, Pipeline, take_batch
from zsfuzz.replay.run import Shard, replay
from zsfuzz.replay.verdict import Verdict
from zsfuzz.replay.worker import ReplayWorker
from zsfuzz.runner import ORPHAN_TITLE, Runner
from zsfuzz.smoke import mutated
from zsfuzz.text import parse_program
from zsfuzz.workerconfig import WorkerConfig, start_machine, worker_config
from zsmodel import Kernel, Model

CORPUS = ROOT / "corpus"
COMPLAINT = "the kernel complained while it booted: WARNING in obj_cgroup_release"
MARK = parse_program("o0 = malloc(p0, size=77)\nshrink(p3)").wire
LEAK = parse_program("o0 = malloc(p0, size=78)").wire
RESULT_AREA = 1_433_600  # bytes, in the ring
FULL = parse_program("fail_next(nth=1)\n" * 1024).wire


@pytest.mark.parametrize("design", ["zspage", "zpdesc"])
def test_the_corpus_brings_no_trouble_on_a_clean_kernel(design: str) -> None:
    report = replay(built(design, "plain"), [CORPUS])
    assert report.troubled == ()
    assert report.exit_code == 0
    assert {verdict.path for verdict in report.verdicts} == set(CORPUS.rglob("*.msgpack"))


def test_every_part_is_run_once_in_parallel(tmp_path: Path) -> None:
    programs = [Program.from_wire(wire) for wire in mutated(Kernel("zspage"), 1500)]
    paths = {save(tmp_path, Entry(program), durable=False) for program in programs}
    found: list[Path] = []
    for number in (1, 2, 3):
        report = replay(built("zspage", "plain"), [tmp_path], shard=Shard(number, 3), jobs=2)
        assert (report.troubled, report.errors, report.jobs) == ((), (), 2)
        found += [verdict.path for verdict in report.verdicts]
    assert sorted(found) == sorted(paths)


# ---- batches -------------------------------------------------------------------------------


def tasks_of(*wires: bytes) -> list[Task]:
    return [Task(Path(f"{number}.msgpack"), wire) for number, wire in enumerate(wires)]


def test_batches_hold_all_tasks_in_their_order_and_fit_the_ring() -> None:
    tasks = tasks_of(*[MARK] * 100, *[FULL] * 20, *[MARK] * 100)
    batch, rest = take_batch(iter(tasks))
    seen = []
    while batch:
        assert len(batch) <= BATCH
        assert sum(len(task.wire) // 8 for task in batch) <= BATCH_OPERATIONS
        seen += batch
        batch, rest = take_batch(rest)
    assert seen == tasks


# ---- verdicts ------------------------------------------------------------------------------


class WrongModel(Model):
    """Predicts nonsense for one program, as if the kernel were broken."""

    def run(self, ops: bytes, words=None) -> bytes:  # type: ignore[no-untyped-def]
        answer = super().run(ops, words)
        return answer[:2] + bytes([answer[2] ^ 1]) + answer[3:] if ops == MARK else answer


class Moody(Machine):
    """Misbehaves when it gets its first batch."""

    mood: Callable[[list[bytes]], list[bytes]] | signal.Signals | None = None

    def collect_many(self) -> list[bytes]:
        mood, self.mood = self.mood, None
        if mood is None:
            return super().collect_many()
        if isinstance(mood, signal.Signals):
            os.kill(self.pid, mood)
            return super().collect_many()
        return mood(super().collect_many())


def garbled(answers: list[bytes]) -> list[bytes]:
    """Change what the third program answers first."""
    answers[2] = bytes([answers[2][0] ^ 2]) + answers[2][1:]
    return answers


def verdicts_of(
    folder: Path, model: type[Model], tasks: list[Task], mood=None, kind: type[Machine] = Moody
) -> list[Verdict]:
    kernel = built("zspage", "plain")
    config = worker_config(kernel, name="replay", role="replay", work=folder, output=folder)
    machine = machine_of(kernel, folder / "console")
    machine.__class__ = kind
    machine.mood = mood  # type: ignore[attr-defined]
    with machine:
        runner = Runner(machine, model(machine.kernel))
        judge = Judge(runner, finding_manifest(kernel), config)
        Pipeline(machine, runner, judge).run(iter(tasks))
        return judge.verdicts


OTHERS = tuple(mutated(Kernel("zspage"), 150))


def test_only_the_programs_that_differ_are_in_trouble(tmp_path: Path) -> None:
    tasks = tasks_of(*OTHERS[:70], MARK, *OTHERS[70:], MARK)
    verdicts = verdicts_of(tmp_path, WrongModel, tasks)
    assert [verdict.path for verdict in verdicts] == [Path("70.msgpack"), Path("151.msgpack")]
    assert {verdict.outcome for verdict in verdicts} == {Outcome.DIVERGENCE}
    # The second one has a title that is known already.
    assert [(verdict.hits, verdict.tries) for verdict in verdicts] == [(3, 3), (1, 1)]
    assert "  > o0 = malloc(p0, size=77)" in verdicts[0].text


class Ahead(Machine):
    """Has always answered, so that batches are fetched as far ahead as may be."""

    @property
    def answered(self) -> bool:
        return True


def test_what_was_run_ahead_of_a_program_that_differs_runs_again_once(tmp_path: Path) -> None:
    kernel = built("zspage", "plain")
    wires = list(mutated(Kernel("zspage"), BATCH * (AHEAD + 3)))
    tasks = tasks_of(*wires[:5], MARK, *wires[5:])
    config = worker_config(kernel, name="replay", role="replay", work=tmp_path, output=tmp_path)
    machine = machine_of(kernel, tmp_path / "console")
    machine.__class__ = Ahead
    with machine:
        runner = Runner(machine, WrongModel(machine.kernel))
        judge = Judge(runner, finding_manifest(kernel), config)
        pipeline = Pipeline(machine, runner, judge)
        pipeline.run(iter(tasks))
    assert [verdict.path for verdict in judge.verdicts] == [tasks[5].path]
    others = [task.path for task in tasks if task.wire != MARK]
    assert [path for path in others if pipeline.settled[path] != 1] == []


class Leaky(Machine):
    """A guest on which LEAK leaves an owner behind, which an audit sees."""

    leaks = False

    def post(self, wire: bytes) -> None:
        self.leaks |= wire == LEAK
        super().post(wire)

    def post_many(self, programs: Sequence[bytes]) -> None:
        self.leaks |= LEAK in programs
        super().post_many(programs)

    def restart(self) -> None:
        super().restart()
        self.leaks = False

    def audit(self) -> int:
        return super().audit() + self.leaks


def test_a_program_that_leaks_is_seen_though_another_one_takes_its_guest_down(
    tmp_path: Path,
) -> None:
    tasks = tasks_of(*OTHERS[:20], LEAK, *OTHERS[20:70], MARK, *OTHERS[70:])
    verdicts = verdicts_of(tmp_path, WrongModel, tasks, kind=Leaky)
    assert [(verdict.path.stem, verdict.outcome) for verdict in verdicts] == [
        ("71", Outcome.DIVERGENCE), ("20", Outcome.DIVERGENCE),
    ]  # fmt: skip
    assert verdicts[1].title == ORPHAN_TITLE


class LeakyTwice(Machine):
    """One program makes the kernel warn at the next audit, another one leaves an owner behind."""

    seen: tuple[bytes, ...] = ()

    def post(self, wire: bytes) -> None:
        self.seen += (wire,)
        super().post(wire)

    def post_many(self, programs: Sequence[bytes]) -> None:
        self.seen += tuple(programs)
        super().post_many(programs)

    def restart(self) -> None:
        super().restart()
        self.seen = ()

    def console(self) -> str:
        return super().console() + (WARNING if OTHERS[3] in self.seen else "")

    def audit(self) -> int:
        return super().audit() + (LEAK in self.seen)


def test_two_programs_that_leave_different_things_behind_are_both_found(tmp_path: Path) -> None:
    tasks = tasks_of(*OTHERS[:20], LEAK, *OTHERS[20:], LEAK)
    verdicts = verdicts_of(tmp_path, Model, tasks, kind=LeakyTwice)
    assert {verdict.path.stem: verdict.title for verdict in verdicts} == {
        "3": WARNING_TITLE, "20": ORPHAN_TITLE, "151": ORPHAN_TITLE,
    }  # fmt: skip
    assert {verdict.hits for verdict in verdicts} <= {1, 3}


class Disturbing(Leaky):
    """Answers wrongly, once, when a program runs alone for the first time."""

    runs = 0

    def post(self, wire: bytes) -> None:
        self.runs += wire == OTHERS[18]
        self.wrong = wire == OTHERS[18] and self.runs == 1
        super().post(wire)

    def collect(self) -> bytes:
        answer = super().collect()
        return bytes([answer[0] ^ 2]) + answer[1:] if self.wrong else answer


def test_a_leak_is_found_though_other_trouble_comes_while_it_is_looked_for(tmp_path: Path) -> None:
    tasks = tasks_of(*OTHERS[:20], LEAK, *OTHERS[20:])
    verdicts = verdicts_of(tmp_path, Model, tasks, kind=Disturbing)
    assert [(verdict.path.stem, verdict.outcome) for verdict in verdicts] == [
        ("18", Outcome.FLAKY), ("20", Outcome.DIVERGENCE),
    ]  # fmt: skip
    assert verdicts[1].title == ORPHAN_TITLE


class Failing(Machine):
    """The harness fails when its second batch is to be run, or at the first audit."""

    at_audit = False
    batches = 0

    def post_many(self, programs: Sequence[bytes]) -> None:
        self.batches += 1
        if self.batches > 1 and not self.at_audit:
            raise HarnessError("no space on /dev/shm")
        super().post_many(programs)

    def audit(self) -> int:
        if self.at_audit:
            raise HarnessError("no space on /dev/shm")
        return super().audit()


class FailingAtAudit(Failing):
    at_audit = True


class FailingWhenRunAgain(Failing):
    """The harness fails in the second pass, of programs that no audit has told of yet."""

    at_audit = True
    audits = 0

    def audit(self) -> int:
        self.audits += 1
        return super().audit() if self.audits > 1 else 0


class Refusing(Failing):
    """The kernel complains when another guest boots for the second time."""

    at_audit = True
    boots = 0

    def restart(self) -> None:
        self.boots += 1
        if self.boots > 1:
            raise BootFailed(COMPLAINT, "")
        super().restart()


def result_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Machine],
    wires: Sequence[bytes] = (*OTHERS[:10], MARK, *OTHERS[10:]),
) -> dict[str, Any]:  # fmt: skip
    """Replay programs, of which MARK is in trouble, in a worker on such a machine."""
    kernel = built("zspage", "plain")
    files = [str(save(folder, Entry(Program.from_wire(wire)), durable=False)) for wire in wires]
    (folder / "replay.list").write_text(json.dumps(files))

    def start(config: WorkerConfig, *, console: str) -> Machine:
        machine = start_machine(config, console=console)
        machine.__class__ = kind
        return machine

    monkeypatch.setattr(worker, "start_machine", start)
    monkeypatch.setattr(worker, "Model", WrongModel)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    config = worker_config(kernel, name="replay", role="replay", work=folder, output=folder)
    ReplayWorker(config).run()
    result: dict[str, Any] = json.loads((folder / "replay.results").read_text())
    mark = files[wires.index(MARK)]
    return result | {"mark": mark, "others": {*files} - {mark}}


@pytest.mark.parametrize("kind", [Failing, FailingAtAudit])
def test_what_was_decided_before_the_harness_fails_still_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Machine]
) -> None:
    result = result_of(tmp_path, monkeypatch, kind)
    assert result["failed"] == "no space on /dev/shm"
    assert [verdict["path"] for verdict in result["verdicts"]] == [result["mark"]]
    assert set(result["undecided"]) == result["others"]  # nobody knows of them


def test_programs_whose_second_run_was_cut_short_did_not_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = result_of(tmp_path, monkeypatch, FailingWhenRunAgain)
    assert result["failed"] == "no space on /dev/shm"
    # Those that shared a guest with the one in trouble; an audit told of the others.
    assert set(result["undecided"]) < result["others"]
    assert result["undecided"]


def test_a_kernel_that_complains_when_it_boots_once_more_is_no_failure_of_the_harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = result_of(tmp_path, monkeypatch, Refusing)
    assert (result["failed"], result["complaint"]) == ("", COMPLAINT)
    assert set(result["undecided"]) == result["others"]
    (verdict,) = result["verdicts"]  # its first replay had shown it once more
    assert (verdict["path"], verdict["outcome"]) == (result["mark"], Outcome.DIVERGENCE.value)
    assert (verdict["hits"], verdict["tries"]) == (1, 1)


def test_the_last_program_of_all_may_end_in_a_boot_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = result_of(tmp_path, monkeypatch, Refusing, [MARK])
    assert [verdict["path"] for verdict in result["verdicts"]] == [result["mark"]]
    assert (result["complaint"], result["undecided"]) == (COMPLAINT, [])


class AlwaysKilled(Machine):
    """Somebody ends each guest when it is looked at."""

    def audit(self) -> int:
        raise GuestKilled("the guest was killed by SIGKILL")


def test_programs_of_which_no_audit_ever_tells_did_not_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = result_of(tmp_path, monkeypatch, AlwaysKilled)
    assert result["failed"] == ""
    assert set(result["undecided"]) == result["others"]


def test_a_difference_that_does_not_come_again_is_flaky(tmp_path: Path) -> None:
    (verdict,) = verdicts_of(tmp_path, Model, tasks_of(*OTHERS), mood=garbled)
    assert verdict.path == Path("2.msgpack")
    assert (verdict.outcome, verdict.hits, verdict.tries) == (Outcome.FLAKY, 0, 3)


def test_a_guest_that_dies_once_is_flaky_and_nobody_knows_which_program_it_was(
    tmp_path: Path,
) -> None:
    (verdict,) = verdicts_of(tmp_path, Model, tasks_of(*OTHERS), mood=signal.SIGABRT)
    assert (verdict.outcome, verdict.title) == (Outcome.FLAKY, BATCH_TITLE)
    assert verdict.others == BATCH - 1


def test_a_guest_that_was_killed_from_outside_says_nothing_of_any_program(tmp_path: Path) -> None:
    assert verdicts_of(tmp_path, Model, tasks_of(*OTHERS), mood=signal.SIGKILL) == []


def test_answers_that_do_not_fit_the_ring_are_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "BATCH_OPERATIONS", 1 << 20)
    rows = "".join(f"p{n} = pool_create()\n" for n in (2, 3))
    for number in range(254):
        rows += f"o{number} = malloc(p{number % 4}, size={16 * number + 1})\n"
    rows += "".join(f"classes(p{n})\n" for n in range(4))
    wire = parse_program(rows).wire
    answer = len(Model(Kernel("zspage")).run(wire))
    assert BATCH * answer > RESULT_AREA
    assert verdicts_of(tmp_path, Model, tasks_of(*[wire] * 64)) == []


# ---- the command ---------------------------------------------------------------------------


def test_a_broken_file_is_an_error_of_its_own_in_each_format(tmp_path: Path) -> None:
    good = save(tmp_path / "corpus", Entry(Program.from_wire(MARK)))
    bad = good.with_name(os.fsdecode(b"\xff bad.msgpack"))
    bad.write_bytes(good.read_bytes()[:30])
    for form, mark in (("junit", "<error"), ("ktap", "# ERROR"), ("json", '"errors": [')):
        done = zsfuzz(
            "replay", "--flavour", "plain", "--format", form, "--output", "out", "corpus",
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stdout == "1 programs, 0 in trouble, 1 files that could not be used\n"
        assert "bad.msgpack: truncated after 30 bytes" in done.stderr
        text = (tmp_path / "out").read_text()
        assert mark in text
        assert "truncated after 30 bytes" in text
    assert json.loads(text)["programs"] == 1


# ---- pytest --------------------------------------------------------------------------------


def pytest_of(corpus: Path, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "zsfuzz.pytestplugin",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, "--zsfuzz-corpus", str(corpus), "-v", *options],
        cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_pytest_has_one_test_for_each_program_and_an_error_for_a_broken_file(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "corpus"
    good = [save(folder / name, Entry(Program.from_wire(wire)))
            for name, wire in (("a", MARK), ("b", OTHERS[0]))]  # fmt: skip
    (folder / "bad.msgpack").write_bytes(good[0].read_bytes()[:30])
    (tmp_path / "test_other.py").write_text("def test_other(): assert False\n")
    done = pytest_of(folder, tmp_path)
    assert done.returncode == 1
    assert "2 passed, 1 error in" in done.stdout
    assert "error, not a verdict on the kernel: " in done.stdout
    assert all(path.stem in done.stdout for path in good)


FAILS_ONCE = """\
from unittest.mock import patch
from zsfuzz.errors import HarnessError
from zsfuzz.guest.machine import Machine
def audit(machine, audits=[]):
    audits.append(1)
    if len(audits) == 2:
        raise HarnessError("no space on /dev/shm")
    return len(audits) == 1  # an owner is left
patch.object(Machine, "audit", audit).start()
"""


def test_pytest_shows_a_failure_of_the_harness_as_an_error_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    for wire in (MARK, *OTHERS[:2]):
        save(folder, Entry(Program.from_wire(wire)))
    (tmp_path / "conftest.py").write_text(FAILS_ONCE)
    done = pytest_of(folder, tmp_path)
    assert "1 failed, 1 passed, 1 error in" in done.stdout
    assert ORPHAN_TITLE in done.stdout
    assert "error, not a verdict on the kernel: no space on /dev/shm" in done.stdout


def test_pytest_without_a_corpus_is_left_alone(tmp_path: Path) -> None:
    done = pytest_of(tmp_path / "nothing", tmp_path)
    assert done.returncode == 4
    assert "there is no such file or folder" in done.stderr
