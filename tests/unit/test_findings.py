# SPDX-License-Identifier: GPL-2.0-only
"""Saving findings: whole or not at all, once, and counted; one run to a directory."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from zsfuzz import corpusfile
from zsfuzz.errors import OutputBusy, OutputLost
from zsfuzz.findings.finding import Finding
from zsfuzz.findings.store import (
    FindingStore,
    fold_sightings,
    list_findings,
    locked_output,
    sightings,
)
from zsfuzz.outcome import Outcome
from zsfuzz.text import parse_program

PROGRAM = parse_program("o0 = malloc(p0, size=64, owner=c1)\nfree(o0)\n")
FINDING = Finding(
    Outcome.DIVERGENCE, "owner lost", PROGRAM, kernel={"design": "zspage"}, console="line\n", seed=7
)
FILES = {
    "program.msgpack",
    "program.txt",
    "report.txt",
    "report.html",
    "report.json",
    "console.log",
    "kernel.json",
    "finding.json",
}


def contents(path):
    return {p.name for p in path.iterdir() if not p.name.startswith("seen-")}


def test_a_finding_is_saved_with_all_its_files(tmp_path):
    saved = FindingStore(tmp_path).save(FINDING)
    assert saved.new
    assert contents(saved.path) == FILES
    assert corpusfile.load(saved.path / "program.msgpack").program == PROGRAM
    assert parse_program((saved.path / "program.txt").read_text()) == PROGRAM
    assert (saved.path / "console.log").read_text() == "line\n"
    assert json.loads((saved.path / "kernel.json").read_text()) == {"design": "zspage"}
    assert f"zsfuzz replay {saved.path}/program.msgpack" in (saved.path / "report.txt").read_text()


def test_a_known_title_is_counted_and_not_saved_again(tmp_path):
    store = FindingStore(tmp_path)
    first = store.save(FINDING)
    again = store.save(replace(FINDING, program=parse_program("read(o1)")))
    store.close()
    assert (first.new, again.new) == (True, False)
    assert first.path == again.path
    assert corpusfile.load(first.path / "program.msgpack").program == PROGRAM
    assert [found["seen"] for found in list_findings(tmp_path)] == [2]


def test_another_title_or_outcome_is_another_finding(tmp_path):
    store = FindingStore(tmp_path)
    store.save(FINDING)
    assert store.save(replace(FINDING, title="owner found")).new
    assert store.save(replace(FINDING, outcome=Outcome.FLAKY)).new
    assert len(list_findings(tmp_path)) == 3


def test_a_new_store_knows_what_is_on_disk(tmp_path):
    FindingStore(tmp_path).save(FINDING)
    store = FindingStore(tmp_path)
    assert store.known(FINDING.outcome, FINDING.title)
    assert not store.known(FINDING.outcome, "another")
    assert not store.save(FINDING).new


def count_files(folder, processes, seen=3):
    """Make the files of processes that have long ended, and return how often they met it."""
    for number in range(processes):
        (folder / f"seen-{socket.gethostname()}-{2**22 + number}-{token_hex(4)}").write_text(
            f"{seen}\n"
        )
    return processes * seen


def test_counts_of_ended_processes_are_folded_into_one_file(tmp_path):
    store = FindingStore(tmp_path)
    saved = store.save(FINDING)
    expected = 1 + count_files(saved.path, 100)
    elsewhere = saved.path / f"seen-another-machine-{2**22}-abcd"
    elsewhere.write_text("5\n")
    for _ in range(2):
        fold_sightings(saved.path)
        assert sightings(saved.path) == expected + 5
        # Its own process lives, and of another machine's nobody can tell.
        assert len(list(saved.path.glob("seen-*"))) == 2
    expected += count_files(saved.path, 100, seen=1)
    fold_sightings(saved.path)
    assert sightings(saved.path) == expected + 5


def test_a_kill_while_counts_are_folded_counts_nothing_twice(tmp_path, monkeypatch):
    saved = FindingStore(tmp_path).save(FINDING)
    expected = 1 + count_files(saved.path, 100)
    real, left = Path.unlink, 50

    def unlink(self, missing_ok=False):
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        fold_sightings(saved.path)
    assert sightings(saved.path) == expected
    fold_sightings(saved.path)
    assert sightings(saved.path) == expected
    assert len(list(saved.path.glob("seen-*"))) == 1


def test_few_counts_are_left_alone(tmp_path):
    saved = FindingStore(tmp_path).save(FINDING)
    count_files(saved.path, 5)
    fold_sightings(saved.path)
    assert sightings(saved.path) == 16
    assert len(list(saved.path.glob("seen-*"))) == 6


def test_counts_of_several_processes_add_up(tmp_path):
    for times in (1, 2, 4):
        store = FindingStore(tmp_path)
        for _ in range(times):
            store.save(FINDING)
        store.close()
    assert list_findings(tmp_path)[0]["seen"] == 7


def test_a_kill_loses_half_of_the_counts_at_worst(tmp_path):
    store = FindingStore(tmp_path)
    for _ in range(1000):
        store.save(FINDING)
    assert list_findings(tmp_path)[0]["seen"] >= 500


def test_of_many_that_save_at_once_one_wins(tmp_path):
    stores = [FindingStore(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda store: store.save(FINDING), stores))
    assert sum(s.new for s in saved) == 1
    assert [p.name for p in (tmp_path / "findings").iterdir()] == [FINDING.id]


def test_a_better_account_takes_the_place_of_the_first(tmp_path):
    store = FindingStore(tmp_path)
    saved = store.save(FINDING)
    store.rewrite(replace(FINDING, flavours=("plain", "kasan")))
    assert list_findings(tmp_path)[0]["flavours"] == ["plain", "kasan"]
    assert contents(saved.path) == FILES


@pytest.mark.parametrize("fail_at", range(1, 9))
def test_a_full_disk_is_told_and_leaves_no_part_of_a_finding(tmp_path, monkeypatch, fail_at):
    calls = iter(range(1, 100))
    real = os.fsync

    def full(descriptor):
        if next(calls) == fail_at:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputLost, match="no space left on device"):
        FindingStore(tmp_path).save(FINDING)
    monkeypatch.undo()
    whole = [contents(p) for p in (tmp_path / "findings").iterdir()]
    assert whole in ([], [FILES])


# Saves the finding and is killed at the n-th step of it.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{here!r}]
steps = iter(range(1, 1000))
def deadly(real):
    def call(*args, **kwargs):
        if next(steps) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
for name in ("fsync", "rename", "open", "mkdir"):
    setattr(os, name, deadly(getattr(os, name)))
import io
io.open = deadly(io.open)
from test_findings import FINDING
from zsfuzz.findings.store import FindingStore
FindingStore(Path(sys.argv[1])).save(FINDING)
"""


def test_a_kill_at_any_step_leaves_a_whole_finding_or_none(tmp_path):
    script = KILLED.format(here=str(Path(__file__).parent))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = 0
    for step in range(1, 60, 3):
        output = tmp_path / str(step)
        argv = [sys.executable, "-c", script, str(output), str(step)]
        status = subprocess.run(argv, env=environment, check=False).returncode
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        with locked_output(output):
            found = list((output / "findings").glob("*"))
        assert [contents(path) for path in found] in ([], [FILES]), step
        assert FindingStore(output).save(FINDING).path.is_dir()
    assert killed >= 3


def test_a_second_run_in_the_same_directory_is_refused(tmp_path):
    with locked_output(tmp_path):
        match = f"process {os.getpid()}.*another directory"
        with pytest.raises(OutputBusy, match=match), locked_output(tmp_path):
            pass
    with locked_output(tmp_path):
        pass


def test_the_lock_goes_away_with_a_killed_run(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from zsfuzz.findings.store import locked_output\n"
        "with locked_output(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False)
    with locked_output(tmp_path):
        pass


def test_an_output_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputLost, match="file exists: allow to write there, or name another"),
        locked_output(tmp_path / "file"),
    ):
        pass


def test_damaged_directories_are_left_out_of_the_list(tmp_path):
    store = FindingStore(tmp_path)
    saved = store.save(FINDING)
    store.save(replace(FINDING, title="another"))
    (saved.path / "finding.json").write_text("{")
    assert [found["title"] for found in list_findings(tmp_path)] == ["another"]
