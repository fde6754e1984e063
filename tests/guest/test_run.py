# SPDX-License-Identifier: GPL-2.0-only
"""The command line from end to end: runs, their ways out, and what they are given."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from guest_support import PATIENCE, SEEDS, built, command, descendants, watched, zsfuzz

from zsfuzz import cli
from zsfuzz.corpusfile import load_dir
from zsfuzz.outcome import Outcome
from zsfuzz.replay import cli as replay_cli
from zsfuzz.text import format_program

FEW = ("--operations", 2000)


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    """Skip all of this where there is no kernel."""
    built("zspage", "plain")


@dataclass(frozen=True)
class Finished:
    """A run that has ended."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def summary(self) -> dict[str, object]:
        return json.loads((self.folder / "summary.json").read_text())


def run(folder: Path, *options: object) -> Finished:
    """Run on the plain kernel, into `folder`, to the end."""
    fixed = ("run", "--flavour", "plain", "--output", "out", "--json", "summary.json")
    return Finished(zsfuzz(*fixed, *options, cwd=folder), folder)


def truncated(folder: Path) -> Path:
    path = folder / "truncated.msgpack"
    path.write_bytes(SEEDS[0].path.read_bytes()[:-20])
    return path


def foreign(folder: Path) -> Path:
    path = folder / "foreign.msgpack"
    path.write_bytes(b"\x89PNG\r\n\x1a\n not one of ours")
    return path


# ---- a run to its end ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Three seconds of fuzzing, from a corpus of which two files cannot be used."""
    folder = tmp_path_factory.mktemp("run")
    corpus = folder / "corpus"
    corpus.mkdir()
    for entry in SEEDS[:3]:
        shutil.copy(entry.path, corpus)
    truncated(corpus)
    foreign(corpus)
    return run(folder, "--time", 3, "--corpus", corpus)


def test_a_run_on_the_clean_kernel_ends_clean(finished: Finished) -> None:
    assert finished.done.returncode == 0, finished.done.stderr
    assert "no findings" in finished.done.stdout
    assert finished.summary["findings"] == []


def test_the_summary_counts_what_was_done(finished: Finished) -> None:
    summary = finished.summary
    assert summary["seconds"] >= 3
    assert summary["programs"] > 100
    assert summary["operations"] > summary["programs"]
    assert set(summary["outcomes"]) == {outcome.value for outcome in Outcome}
    assert summary["outcomes"]["agree"] == summary["programs"]
    kinds = summary["operations_by_kind"]
    assert sum(kinds.values()) == summary["operations"]
    assert all(kinds[word] for word in ("malloc", "free", "write", "read", "compact", "migrate"))
    assert summary["audits"] >= 1


def test_the_summary_measures_coverage_of_the_kernel(finished: Finished) -> None:
    coverage = finished.summary["coverage"]
    for what in ("lines", "branches"):
        reached, total = coverage[what]["reached"], coverage[what]["total"]
        assert 0.5 * total < reached <= total
        assert f"{what} {reached} of {total}" in finished.done.stdout


def test_corpus_files_that_cannot_be_used_are_named_and_the_rest_is_used(
    finished: Finished,
) -> None:
    bad = finished.summary["bad_files"]
    assert len(bad) == 2
    assert "foreign.msgpack: not msgpack" in bad[0] or "foreign.msgpack: it holds" in bad[0]
    assert "truncated.msgpack: truncated after" in bad[1]
    assert finished.done.stdout.count("left out  ") == 2
    inputs = {path.name for path in (finished.output / "work" / "inputs").iterdir()}
    assert {f"seed-{entry.program.digest}" for entry in SEEDS[:3]} <= inputs


def test_what_is_new_becomes_corpus_that_the_next_run_starts_from(finished: Finished) -> None:
    found, errors = load_dir(finished.output / "corpus")
    assert errors == []
    assert len(found) > 10
    again = run(finished.folder, *FEW)
    assert again.done.returncode == 0, again.done.stderr
    inputs = {path.name for path in (again.output / "work" / "inputs").iterdir()}
    digests = {entry.program.digest for entry in found}
    assert {f"seed-{digest}" for digest in digests} <= inputs
    kept = load_dir(again.output / "corpus")[0]
    assert digests <= {entry.program.digest for entry in kept}


# ---- ways out ------------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run without limits, that has run programs already."""
    process = subprocess.Popen(
        command("run", "--flavour", "plain", "--output", "out", "--json", "summary.json"),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = ""
    while " programs " not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_order(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    workers = descendants(running.pid)
    assert len(workers) >= 3  # a worker, its guest, and that one's user space
    with watched(workers) as watch:
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=PATIENCE)
        assert watch.wait() == set()
    assert running.returncode == 0, stderr
    assert "mm/zsmalloc.c" in stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["outcomes"]["agree"] == summary["programs"] > 0


def test_a_second_run_on_the_same_output_is_refused_and_the_first_unharmed(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    second = zsfuzz("run", "--flavour", "plain", "--output", "out", *FEW, cwd=tmp_path)
    assert second.returncode == 2
    assert f"out is in use by another run (process {running.pid})" in second.stderr
    assert "name another directory" in second.stderr
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, stderr
    assert "no findings" in stdout


def test_a_killed_run_leaves_no_process_and_an_output_that_can_be_used(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    with watched(descendants(running.pid)) as watch:
        running.kill()
        assert watch.wait() == set()
    again = run(tmp_path, *FEW)
    assert again.done.returncode == 0, again.done.stderr


def test_an_interrupt_before_there_is_a_result_is_no_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replay_cli, "take_kernel", interrupted)
    done = CliRunner().invoke(cli.main, ["replay", str(SEEDS[0].path)])
    assert (done.exit_code, done.stdout) == (2, "")


# ---- what it is given ----------------------------------------------------------------------


def test_a_folder_that_is_no_kernel_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    done = run(tmp_path, "--linux", tmp_path / "tree", *FEW).done
    assert done.returncode == 2
    assert str(tmp_path / "tree") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kernel_tree_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--linux", tmp_path / "nothing", *FEW).done
    assert done.returncode == 2
    assert "nothing' does not exist" in done.stderr


def test_a_corpus_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--corpus", tmp_path / "nothing", *FEW).done
    assert done.returncode == 2
    assert "no such folder" in done.stderr


def test_an_output_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    done = run(tmp_path, *FEW).done
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_replay_runs_what_can_be_used_and_names_the_rest(tmp_path: Path) -> None:
    good, bad = SEEDS[0].path, [truncated(tmp_path), foreign(tmp_path)]
    done = zsfuzz("replay", "--flavour", "plain", *bad, good, cwd=tmp_path)
    assert done.returncode == 2
    assert f"{good}: agree" in done.stdout
    assert "1 programs, 0 in trouble, 2 files that could not be used" in done.stdout
    assert [f"error: {path}: " in done.stderr for path in bad] == [True, True]


def test_replay_of_good_programs_ends_clean(tmp_path: Path) -> None:
    folders = {entry.path.parent for entry in SEEDS}
    done = zsfuzz("replay", "--flavour", "plain", "--times", 2, *folders, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(SEEDS)} programs, 0 in trouble, 0 files" in done.stdout


def test_show_prints_what_can_be_read_and_names_the_rest(tmp_path: Path) -> None:
    entry, bad = SEEDS[0], [truncated(tmp_path), foreign(tmp_path)]
    done = zsfuzz("show", *bad, entry.path, cwd=tmp_path)
    assert done.returncode == 2
    assert entry.note in done.stdout
    assert format_program(entry.program) in done.stdout
    assert [f"error: {path}: " in done.stderr for path in bad] == [True, True]
    assert zsfuzz("show", entry.path, cwd=tmp_path).returncode == 0
