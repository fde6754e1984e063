# SPDX-License-Identifier: GPL-2.0-only
"""Figures about planted bugs: read from patches, shared among flavours, added up, and blamed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_target import KERNEL, FakeTarget, free_keeps_owner

from zsfuzz.bench.bugs import blame, cli, measure, trial, worker
from zsfuzz.bench.bugs.blame import blame_of, take_blame
from zsfuzz.bench.bugs.catalogue import Bug, catalogue, read_bug
from zsfuzz.bench.bugs.measure import Series
from zsfuzz.bench.bugs.oracles import oracle_of
from zsfuzz.bench.bugs.plot import survival, write_plot
from zsfuzz.bench.bugs.stagerun import Ended
from zsfuzz.bench.bugs.stages import stages
from zsfuzz.bench.bugs.table import line_of, summary_lines
from zsfuzz.bench.bugs.trial import Trial, run_trial
from zsfuzz.cli import main
from zsfuzz.console.complaints import Splat
from zsfuzz.errors import BadPatch, HarnessError
from zsfuzz.findings.titles import Difference
from zsfuzz.oracle import Divergence
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR, Outcome
from zsfuzz.runner import Trouble
from zsfuzz.strategy import Strategy
from zsfuzz.text import parse_program
from zsmodel import Model
from zstools.errors import PatchError
from zstools.paths import project_root
from zstools.plan import FLAVOURS

FULL, SANITIZERS = Strategy.FULL, Strategy.SANITIZERS
BUG = Bug("wrong", "zspage", Path("wrong.patch"), "something", titles=("owner lost",))
CONTROL = replace(BUG, name="same", control=True)
KEPT = parse_program(
    "o0 = malloc(p0, size=2040)\no1 = malloc(p0, size=2040, owner=c1)\nfree(o1)"
).wire
MISS = Trial(False, 60.0, 9000)


def hit(seconds: float, title: str = "read: owner lost", oracle: str = "operation") -> Trial:
    return Trial(True, seconds, int(100 * seconds), title, "divergence", oracle, "plain")


def series(*trials: Trial, bug: Bug = BUG, error: str = "") -> Series:
    return Series(bug, FULL, 60.0, trials, error)


# ---- patches ------------------------------------------------------------------------------------


def test_every_planted_bug_says_what_it_is() -> None:
    for bug in catalogue():
        assert not bug.breaks.startswith("what "), bug.patch
        assert bug.shows_on in FLAVOURS, bug.patch


def test_every_mutant_says_what_it_is() -> None:
    mutants = sorted((project_root() / "tools" / "mutants").glob("*.patch"))
    assert len(mutants) >= 40
    for path in mutants:
        bug = read_bug(path, "zspage")
        assert not bug.breaks.startswith("what "), path
        assert bug.shows_on in FLAVOURS, path


def test_no_bug_is_there_twice() -> None:
    changes: dict[tuple[str, ...], Path] = {}
    mutants = (project_root() / "tools" / "mutants").glob("*.patch")
    for design in ("zspage", "zpdesc"):
        planted = [bug.patch for bug in catalogue((design,))]
        for path in planted + (list(mutants) if design == "zspage" else []):
            lines = tuple(
                line for line in path.read_text().partition("\n---\n")[2].splitlines()
                if line[:1] in "+-" and line[:3] not in ("+++", "---")
            )  # fmt: skip
            key = (design, *lines)
            assert key not in changes, (path, changes[key])
            changes[key] = path


@pytest.mark.parametrize("design", ["zspage", "zpdesc"])
def test_the_table_in_docs_has_each_bug_that_plain_sees(design: str) -> None:
    text = (project_root() / "docs" / "BENCH.md").read_text()
    table = text.partition(f"\n### {design}\n")[2].partition("\n#")[0]
    measured = re.findall(r"^\| ([a-z-]+) \| [\d-]", table, re.MULTILINE)
    seen = [bug for bug in catalogue((design,)) if not bug.control and bug.shows_on == "plain"]
    assert sorted(measured) == sorted(bug.name for bug in seen)


def test_there_are_enough_bugs_and_controls() -> None:
    patches = {bug.patch: bug for bug in catalogue()}.values()
    assert sum(not bug.control for bug in patches) >= 40
    upstream = [bug.upstream for bug in patches if bug.upstream]
    assert len(set(upstream)) >= 10
    assert len({title for title in upstream if not title.startswith("near ")}) >= 6
    assert sum(bug.control for bug in patches) >= 5


def test_a_patch_from_elsewhere_needs_no_words(tmp_path: Path) -> None:
    patch = tmp_path / "mine.patch"
    patch.write_bytes(b"--- a/x\n+++ b/x\n\xff")
    bug = read_bug(patch, "zpdesc")
    assert (bug.name, bug.design, bug.control) == ("mine", "zpdesc", False)
    assert bug.is_named_by("whatever")
    with pytest.raises(BadPatch, match="not-there"):
        read_bug(tmp_path / "not-there.patch", "zpdesc")


def test_a_title_counts_whatever_operation_showed_it() -> None:
    assert BUG.is_named_by("owner lost")
    assert BUG.is_named_by("compact: owner lost")
    assert not BUG.is_named_by("owner is another cgroup")


# ---- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("flavours", [("plain",), ("kasan", "plain"), FLAVOURS])
def test_flavours_share_the_whole_time_and_no_more(strategy, flavours) -> None:
    shared = list(stages(strategy, 60.0, flavours))
    assert sum(stage.seconds for stage in shared) == pytest.approx(60.0)
    if strategy is SANITIZERS and flavours != ("plain",):
        assert "plain" not in {stage.flavour for stage in shared}
    else:
        assert {stage.flavour for stage in shared} == set(flavours)


class FakeKernels:
    """Kernels that need no building; notes what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def broken(self, flavour: str) -> str:
        self.asked.append(flavour)
        return flavour

    def clean(self, flavour: str) -> str:
        return f"clean {flavour}"


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Trial, list[str]]]:
    """Run one trial whose stages end as given."""

    def run(*ends: Ended) -> tuple[Trial, list[str]]:
        kernels, left = FakeKernels(), iter(ends)
        monkeypatch.setattr(trial, "_config", lambda *_: _FakeConfig())
        monkeypatch.setattr(trial, "replace", lambda config, **_: config)
        monkeypatch.setattr(trial, "run_stage", lambda _: next(left))
        return run_trial(kernels, FULL, stages(FULL, 60.0), 1), kernels.asked

    return run


class _FakeConfig:
    pass


def test_a_bug_that_plain_sees_needs_no_other_kernel(play) -> None:
    found, asked = play(Ended(True, 2.0, 50, "owner lost", "divergence", "operation"))
    assert (found.found, found.seconds, found.operations, found.flavour) == (True, 2.0, 50, "plain")
    assert asked == ["plain"]


def test_seconds_and_operations_of_all_stages_are_added_up(play) -> None:
    nothing = Ended(False, 15.0, 1000)
    found, asked = play(nothing, nothing, Ended(True, 1.0, 10, "memory leak", oracle="splat"))
    assert (found.seconds, found.operations, found.flavour) == (31.0, 2010, "lockdep")
    assert asked == ["plain", "kasan", "lockdep"]


def test_what_does_not_come_again_counts_if_nothing_better_comes(play) -> None:
    nothing, flaky = Ended(False, 7.5, 10), Ended(True, 3.0, 5, "odd", "divergence", flaky=True)
    found, _ = play(flaky, nothing, nothing, nothing, nothing, nothing)
    assert (found.found, found.title, found.seconds) == (True, "odd", 3.0)
    found, _ = play(flaky, Ended(True, 1.0, 5, "owner lost", "divergence"))
    assert (found.title, found.flavour) == ("owner lost", "kasan")


# ---- blame --------------------------------------------------------------------------------------


def test_a_kernel_that_does_not_boot_is_found() -> None:
    dead = Ended(False, 0.0, 0, failed="the guest ended before it was ready")
    assert blame_of(dead).oracle == "start"
    splat = blame_of(replace(dead, splat="NULL pointer in zs_malloc"))
    assert (splat.oracle, splat.outcome) == ("splat", Outcome.KERNEL_SPLAT.value)
    assert splat.title == "no guest gets ready: NULL pointer in zs_malloc"
    assert blame_of(replace(dead, wire="00")).oracle == "unreadable answer"


NOT_READY = Ended(False, 0.0, 0, failed="not ready")


@pytest.fixture
def fails(monkeypatch) -> Callable[[dict[str, str]], None]:
    """Let kernels fail to boot, by name, for the reason given."""

    def set_up(reasons: dict[str, str]) -> None:
        def start(name: str, **_: object) -> AbstractContextManager[None]:
            if name in reasons:
                raise HarnessError(reasons[name])
            return nullcontext()

        monkeypatch.setattr(blame, "worker_config", lambda kernel, **_: kernel)
        monkeypatch.setattr(blame, "start_machine", start)

    return set_up


def test_what_fails_without_the_patch_as_well_is_a_failure_of_the_harness(fails) -> None:
    fails({"broken": "no space on /dev/shm", "clean": "no space on /dev/shm"})
    with pytest.raises(HarnessError, match=r"not ready; without the patch: no space"):
        take_blame(NOT_READY, "broken", "clean")


def test_what_does_not_fail_once_more_is_a_failure_of_the_harness(fails) -> None:
    fails({})
    with pytest.raises(HarnessError, match=r"not ready; not once more"):
        take_blame(NOT_READY, "broken", "clean")


def test_what_fails_with_the_patch_only_is_the_patch(fails) -> None:
    fails({"broken": "it died"})
    assert take_blame(NOT_READY, "broken", "clean").title == "no guest gets ready"


def test_a_finding_that_shows_when_it_is_tried_again_is_called_by_its_name(monkeypatch) -> None:
    shown = Trouble(Outcome.GUEST_HANG, "guest does not answer", b"\0" * 8)
    monkeypatch.setattr(
        blame, "_what_fails", lambda kernel, _: shown if kernel == "broken" else None
    )
    blamed = take_blame(replace(NOT_READY, wire="00" * 8), "broken", "clean")
    assert (blamed.title, blamed.oracle) == ("guest does not answer", "hang")


@pytest.mark.parametrize(
    ("outcome", "oracle"),
    [
        (Outcome.KERNEL_SPLAT, "splat"),
        (Outcome.GUEST_HANG, "hang"),
        (Outcome.GUEST_LOST, "silent death"),
        (Outcome.DIVERGENCE, "audit"),
    ],
)
def test_what_saw_it_first(outcome: Outcome, oracle: str) -> None:
    assert oracle_of(Trouble(outcome, "title", b"")) == oracle


@pytest.mark.parametrize(
    ("subject", "name", "op", "oracle"),
    [
        ("malloc", "owner", 1, "operation"),
        ("zspage", "owners", None, "snapshot"),
        ("object", "pattern", None, "contents"),
        ("end", "left", None, "end"),
    ],
)
def test_a_wrong_answer_comes_before_the_end_of_the_guest(subject, name, op, oracle) -> None:
    first = Difference("path", subject, name, "number", 0, 1, op)
    trouble = Trouble(Outcome.DIVERGENCE, "title", b"", divergence=Divergence("title", first))
    assert oracle_of(trouble) == oracle
    died = replace(trouble, splat=Splat("NULL pointer in obj_free", "oops", ()))
    assert oracle_of(died) == oracle
    assert oracle_of(replace(died, outcome=Outcome.KERNEL_SPLAT)) == "splat"


# ---- who hears what, and when ------------------------------------------------------------------


def test_a_fresh_guest_is_not_waited_for(monkeypatch) -> None:
    target, clock = FakeTarget(free_keeps_owner), [10.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(target, "restart", lambda: clock.append(clock.pop() + 5.0))
    runner = worker.TrialRunner(target, Model(KERNEL))
    assert runner.run(KEPT) is not None
    assert (runner.noticed, clock) == (10.0, [15.0])


def test_without_a_model_only_the_kernel_is_heard() -> None:
    def alone(target: FakeTarget) -> worker.KernelAloneRunner:
        return worker.KernelAloneRunner(target, Model(KERNEL))

    assert alone(FakeTarget(free_keeps_owner)).run_and_audit(KEPT) is None
    assert alone(FakeTarget(leaks=lambda _: True)).run_and_audit(KEPT) is None
    warned = alone(FakeTarget(free_keeps_owner, warns=lambda _: True)).run(KEPT)
    assert warned is not None
    assert (warned.outcome, warned.divergence) == (Outcome.KERNEL_SPLAT, None)
    target = FakeTarget(free_keeps_owner, dies=lambda _: True)
    target.finishes = 3
    died = alone(target).run(KEPT)
    assert died is not None
    assert died.divergence is None
    assert "panic" in died.title


# ---- adding up ----------------------------------------------------------------------------------


def test_a_trial_without_finding_took_longer_than_any_other() -> None:
    one = series(hit(1.0), MISS, hit(5.0))
    assert (one.found, one.seconds, one.operations, one.spread) == (True, 5.0, 500, (1.0, 5.0))
    assert not series(hit(1.0), MISS).found
    assert series(hit(1.0), MISS, MISS).seconds is None


def test_json_has_one_object_for_each_bug() -> None:
    facts = series(hit(1.0), hit(2.0), hit(4.0, "stat: cgroup charged too much")).as_dict()
    wanted = {"name": "wrong", "control": False, "found": True, "seconds": 2.0, "operations": 200}
    wanted |= {"title": "read: owner lost", "oracle": "operation", "named": 2}
    assert facts.items() >= wanted.items()
    nothing = series(MISS).as_dict()
    assert [nothing[k] for k in ("seconds", "operations", "title", "oracle")] == [None] * 4
    json.dumps(facts)


def test_controls_are_counted_apart() -> None:
    lines = list(summary_lines([series(hit(1.0)), series(MISS), series(MISS, bug=CONTROL)]))
    assert lines[0] == (
        "full: 1 of 2 bugs found within 60 s at the median; 0 of 1 controls reported"
    )
    assert lines[1] == "seen first by: operation 1"
    assert line_of(series(hit(1.0))).endswith("1.0 (1.0 to 1.0) 1/1, read: owner lost")


def test_the_plot_rises_by_one_bug_at_a_time(tmp_path: Path) -> None:
    found = [series(hit(4.0)), series(hit(1.0)), series(MISS), series(MISS, bug=CONTROL)]
    assert survival(found, FULL) == [(1.0, pytest.approx(1 / 3)), (4.0, pytest.approx(2 / 3))]
    with pytest.raises(HarnessError, match=r"ends with \.svg"):
        write_plot(found, tmp_path / "plot.txt")
    pytest.importorskip("matplotlib")
    write_plot(found, tmp_path / "plot.svg")
    assert "seconds of fuzzing" in (tmp_path / "plot.svg").read_text()


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def bench(monkeypatch, tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, object]]]]:
    """Run `bench bugs` on patches of these names; a trial of "broken" cannot be built."""

    def fake(kernels: object, *_: object) -> Trial:
        name = kernels.bug.name
        if name == "broken":
            raise PatchError("broken.patch does not apply")
        if name == "flaky":
            return replace(hit(1.0), flaky=True)
        return MISS if name.startswith("same") else hit(1.0)

    monkeypatch.setattr(measure, "run_trial", fake)
    monkeypatch.setattr(cli, "ensure_kernel", None)

    def run(*names: str) -> tuple[int, list[dict[str, object]]]:
        arguments = ["bench", "bugs", "--design", "zpdesc", "--time", "5", "--json"]
        for name in names:
            path = tmp_path / f"{name}.patch"
            path.write_text("Control: nothing.\n---\n" if name.endswith("control") else "")
            arguments += ["--patch", str(path)]
        done = CliRunner().invoke(main, arguments)
        return done.exit_code, json.loads(done.stdout)

    return run


def test_a_patch_that_cannot_be_built_does_not_stop_the_others(bench) -> None:
    code, found = bench("broken", "good")
    assert code == EXIT_HARNESS_ERROR
    assert [one["found"] for one in found] == [False, True]
    assert "broken.patch does not apply" in str(found[0]["error"])


def test_trials_before_one_that_could_not_be_run_are_kept(monkeypatch) -> None:
    left = [hit(1.0), hit(2.0)]

    def run_trial(*_: object) -> Trial:
        if not left:
            raise HarnessError("no memory")
        return left.pop(0)

    monkeypatch.setattr(measure, "run_trial", run_trial)
    plan = measure.Plan(seeds=3)
    (series,) = measure.measure([BUG], plan, lambda _: FakeKernels())
    assert [trial.seconds for trial in series.trials] == [1.0, 2.0]
    assert "no memory" in series.error


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured() -> None:
    for option in ("--json", "--plot"):
        done = CliRunner().invoke(main, ["bench", "bugs", option, "/not/there.svg"])
        assert done.exit_code == EXIT_HARNESS_ERROR
        assert "no such folder" in done.output


def test_exit_codes_say_whether_all_is_as_it_should_be(bench) -> None:
    assert bench("good")[0] == EXIT_CLEAN
    assert bench("good", "same-control")[0] == EXIT_CLEAN
    assert bench("same")[0] == EXIT_FINDINGS
    assert bench("seen-control")[0] == EXIT_FINDINGS


def test_what_did_not_show_again_is_told_apart(bench) -> None:
    assert bench("good")[1][0]["flaky"] == 0
    assert bench("flaky")[1][0]["flaky"] == 1
    assert line_of(series(replace(hit(1.0), flaky=True), hit(2.0))).startswith(
        "zspage/wrong full: 1.5 (1.0 to 2.0) 2/2, 1 flaky, "
    )


def test_a_bug_of_ours_and_a_patch_are_not_asked_for_at_once() -> None:
    patch = str(next((project_root() / "tools" / "planted" / "both").glob("*.patch")))
    done = CliRunner().invoke(main, ["bench", "bugs", "--bug", "list-appends", "--patch", patch])
    assert done.exit_code == EXIT_HARNESS_ERROR
    assert "list-appends is a planted bug" in done.output
