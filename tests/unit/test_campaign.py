# SPDX-License-Identifier: GPL-2.0-only
"""The parts of a campaign: schedule, back-off, pool, state, disk, clocks, status, metrics."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import sqlite3
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from fake_campaign import fake_kernel, spawner
from rich.console import Console

from zsfuzz.campaign import crew, disk, metrics, supervisor
from zsfuzz.campaign.cli import _last_options, default_jobs
from zsfuzz.campaign.corpusstore import LOOKS, CorpusStore
from zsfuzz.campaign.database import CampaignDamaged, CampaignMissing
from zsfuzz.campaign.distiller import Distiller
from zsfuzz.campaign.found import Found
from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.metrics import Endpoint
from zsfuzz.campaign.options import Options
from zsfuzz.campaign.recorder import Recorder
from zsfuzz.campaign.schedule import Assignment, Schedule
from zsfuzz.campaign.slot import LONGEST_PAUSE, Backoff
from zsfuzz.campaign.state import State
from zsfuzz.campaign.status import read_status, status_of, supervisor_of
from zsfuzz.campaign.stopping import stop
from zsfuzz.campaign.supervisor import Supervisor
from zsfuzz.campaign.view import Screen, plain_line, render, spark
from zsfuzz.campaign.worker import LocalWorker, pairs_of_cpus
from zsfuzz.corpusfile import Entry, load, save
from zsfuzz.errors import BadCorpusFile, HarnessError, OutputLost
from zsfuzz.mutation.faults import FaultMutator
from zsfuzz.mutation.rawbytes import decode, encode
from zsfuzz.pool import Incoming, Offer, PoolReader, PoolWriter
from zsfuzz.program import Op, Opcode, Program

PROGRAM = Program((Op(Opcode.MALLOC, 1, 0, 1, 100),))
OTHER = Program((Op(Opcode.MALLOC, 1, 0, 1, 200), Op(Opcode.FREE, 1)))


# ---- schedule and back-off -----------------------------------------------------------------


def test_time_is_shared_by_weight(tmp_path: Path) -> None:
    kernels = [fake_kernel(tmp_path / f, flavour=f) for f in ("plain", "kasan", "lockdep")]
    pairs = [Assignment(kernel, "usual") for kernel in kernels]
    schedule, had = Schedule(pairs, 10), Counter()
    for _ in range(70):
        chosen = schedule.take()
        had[chosen.kernel.spec.flavour] += 1
        schedule.give_back(chosen, 10)
    assert had == {"plain": 40, "kasan": 20, "lockdep": 10}


def test_a_kernel_that_does_not_boot_gets_its_share_and_no_more(tmp_path: Path) -> None:
    kernels = [fake_kernel(tmp_path / f, flavour=f) for f in ("plain", "kasan", "lockdep")]
    schedule = Schedule([Assignment(kernel, "usual") for kernel in kernels], 10)
    had: Counter[str] = Counter()
    for _ in range(70):
        chosen = schedule.take()
        flavour = chosen.kernel.spec.flavour
        had[flavour] += 1
        schedule.give_back(chosen, 1 if flavour == "lockdep" else 10, died=flavour == "lockdep")
    assert had == {"plain": 40, "kasan": 20, "lockdep": 10}


def test_workers_at_the_same_time_get_different_work(tmp_path: Path) -> None:
    kernels = [fake_kernel(tmp_path / d, design=d) for d in ("zspage", "zpdesc")]
    schedule = Schedule([Assignment(kernel, "usual") for kernel in kernels], 10)
    assert {schedule.take().kernel.key for _ in range(2)} == {k.key for k in kernels}


def test_pauses_double_up_to_a_limit_and_are_forgotten_after_a_healthy_life() -> None:
    backoff = Backoff()
    pauses = [backoff.died(now=0, lived=1) for _ in range(12)]
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert pauses[-1] == LONGEST_PAUSE
    assert not backoff.over(LONGEST_PAUSE - 1)
    assert backoff.over(LONGEST_PAUSE)
    assert backoff.died(now=0, lived=1000) == 0.5
    assert backoff.died(now=0, lived=1) == 1
    backoff.lived()
    assert backoff.died(now=0, lived=1) == 0.5


@pytest.mark.parametrize(("cpus", "jobs"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_a_worker_needs_two_cpus(cpus: int, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    assert default_jobs() == jobs


def test_cpus_are_given_out_only_if_there_are_two_for_each_worker() -> None:
    assert pairs_of_cpus([0, 1, 2, 3], 2) == [(0, 1), (2, 3)]
    assert pairs_of_cpus([0, 1], 2) == [None, None]


# ---- programs between workers --------------------------------------------------------------


def test_what_is_added_to_the_pool_is_read_once(tmp_path: Path) -> None:
    writer, reader = PoolWriter(tmp_path / "pool"), PoolReader(tmp_path / "pool")
    writer.add(b"one")
    writer.add(b"")
    assert reader.take() == [b"one", b""]
    writer.add(b"two")
    assert reader.take() == [b"two"]
    assert reader.take() == []


def test_a_program_that_is_half_written_comes_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    PoolWriter(path).add(b"whole")
    whole = path.read_bytes()
    reader = PoolReader(path)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert reader.take() == []
    path.write_bytes(whole)
    assert reader.take() == [b"whole"]


def test_a_pool_that_could_not_grow_stays_readable(tmp_path: Path, monkeypatch) -> None:
    writer, reader = PoolWriter(tmp_path / "pool"), PoolReader(tmp_path / "pool")
    real = os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        real(fd, data[:3], at)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        writer.add(b"lost")
    monkeypatch.setattr(os, "pwrite", real)
    writer.add(b"kept")
    assert reader.take() == [b"kept"]


def test_a_program_for_which_there_was_no_time_is_handed_out_again(tmp_path: Path) -> None:
    PoolWriter(tmp_path / "pool").add(b"dear")
    incoming = Incoming(tmp_path / "pool")
    incoming.look()
    assert incoming.next(100) == b"dear"
    incoming.postpone(b"dear")
    assert incoming.next(100) == b""
    incoming.look()
    assert incoming.next(100) == b"dear"


def test_more_faults_leave_a_program_well_formed_and_within_its_limit() -> None:
    data = encode(OTHER.wire)
    mutator = FaultMutator(lambda data, size, seed: data, seed=1)
    found = [mutator.mutate(data, 1 + 8 * 4, seed) for seed in range(50)]
    assert all(len(made) <= 1 + 8 * 4 for made in found)
    planted = [decode(made)[::8].count(Opcode.FAIL_NEXT) for made in found]
    assert min(planted) == 0
    assert max(planted) == 2


# ---- corpus --------------------------------------------------------------------------------


def store_in(folder: Path) -> CorpusStore:
    store = CorpusStore(folder / "corpus", 256, folder / "damaged")
    store.open_pool(folder / "pool")
    return store


def test_a_corpus_is_taken_up_again_the_shortest_first(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.add(OTHER)
    assert store.add(PROGRAM)
    assert not store.add(PROGRAM)
    assert len(store_in(tmp_path)) == 2
    wires = [decode(data) for data in PoolReader(tmp_path / "pool").take()]
    assert wires == [PROGRAM.canonical().wire, OTHER.canonical().wire]


def test_a_corpus_file_that_was_cut_short_can_be_found_again(tmp_path: Path) -> None:
    store_in(tmp_path).add(PROGRAM)
    (path,) = (tmp_path / "corpus").iterdir()
    os.truncate(path, 20)
    store = store_in(tmp_path)
    assert len(store) == 0
    assert "truncated after 20 bytes" in store.take_bad()[0]
    assert not store.take_bad()
    assert store.add(PROGRAM)
    assert load(path).program == PROGRAM.canonical()


def test_programs_from_outside_are_taken_up(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    save(tmp_path / "corpus", Entry(PROGRAM))
    assert store.look_now() == 1
    assert len(PoolReader(tmp_path / "pool").take()) == 1
    assert store.look_now() == 0


def test_a_file_that_is_copied_slowly_is_taken_up_when_it_is_whole(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    whole = save(tmp_path, Entry(PROGRAM)).read_bytes()
    path = tmp_path / "corpus" / "mine.msgpack"
    path.write_bytes(whole[:20])
    for _ in range(LOOKS - 1):
        assert store.look_now() == 0
    path.write_bytes(whole)
    assert store.look_now() == 1
    assert store.take_bad() == []
    assert len(store) == 1
    assert store.look_now() == 0


def test_a_file_that_stays_unreadable_is_set_aside_and_told_of_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    (tmp_path / "corpus" / "mine.msgpack").write_bytes(b"no program")
    for _ in range(2 * LOOKS):
        store.look_now()
    assert len(store.take_bad()) == 1
    assert (tmp_path / "damaged" / "mine.msgpack").is_file()


def test_each_worker_gets_all_programs_and_those_that_come(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.add(PROGRAM)
    store.open_pool(tmp_path / "second")
    store.add(OTHER)
    expected = [encode(program.canonical().wire, 256) for program in (PROGRAM, OTHER)]
    for name in ("pool", "second"):
        assert PoolReader(tmp_path / name).take() == expected
        digests = store.close_pool(tmp_path / name)
        assert digests == [program.canonical().digest for program in (PROGRAM, OTHER)]
        assert store.close_pool(tmp_path / name) == []
        assert not (tmp_path / name).exists()


def test_a_program_that_is_retired_may_be_found_again(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = PROGRAM.canonical().digest
    store.add(PROGRAM)
    store.add(OTHER)
    store.retire({digest})
    assert set(store.digests) == {OTHER.canonical().digest}
    assert store.look_now() == 0
    store.open_pool(tmp_path / "second")
    assert store.close_pool(tmp_path / "second") == [OTHER.canonical().digest]
    assert store.add(PROGRAM)
    assert len(list((tmp_path / "corpus").iterdir())) == 2


def test_a_file_with_a_name_of_its_own_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "corpus" / "mine.msgpack"
    store = store_in(tmp_path)
    save(tmp_path, Entry(PROGRAM)).rename(path)
    assert store.look_now() == 1
    store.retire({PROGRAM.canonical().digest})
    assert path.is_file()
    assert len(store) == 0
    assert store.look_now() == 0


def test_what_no_assignment_keeps_is_redundant() -> None:
    distiller = Distiller([("a", "usual"), ("b", "usual")])
    distiller.ended(("a", "usual"), {"1", "2", "3", "4"}, kept={"1"}, found=set())
    assert distiller.redundant() == set()  # nobody knows of the other one
    distiller.ended(("b", "usual"), {"1", "2", "3"}, kept={"2"}, found=set())
    assert distiller.redundant() == {"3"}
    distiller.ended(("b", "usual"), {"1", "2", "3"}, kept={"3"}, found=set())
    assert distiller.redundant() == {"2"}
    distiller.forget({"2"})
    assert distiller.redundant() == set()


def test_what_its_finder_has_replaced_is_redundant() -> None:
    distiller = Distiller([("a", "usual"), ("b", "usual")])
    distiller.ended(("a", "usual"), set(), kept={"9"}, found={"8", "9"})
    assert distiller.redundant() == {"8"}
    distiller.forget({"8"})
    assert distiller.redundant() == set()


def test_a_worker_says_what_it_took_and_had_no_time_for(tmp_path: Path) -> None:
    assert Offer.load(tmp_path / "none") is None
    (tmp_path / "broken").write_text("[]")
    assert Offer.load(tmp_path / "broken") is None
    writer, incoming = PoolWriter(tmp_path / "pool"), Incoming(tmp_path / "pool")
    for data in (b"run", b"dear", b"waits"):
        writer.add(data)
    incoming.look()
    assert [incoming.next(100), incoming.next(100)] == [b"run", b"dear"]
    incoming.postpone(b"dear")
    assert (incoming.read, incoming.left()) == (3, [b"waits", b"dear"])
    offer = Offer(incoming.read, frozenset({"x", "y"}))
    offer.write(tmp_path / "offer")
    assert Offer.load(tmp_path / "offer") == offer


# ---- a supervisor in this process ----------------------------------------------------------


class Bench:
    """A supervisor of one fake worker; `step` is called at each of its pauses."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> None:
        monkeypatch.setenv("JOURNAL", str(folder / "journal"))
        self.root = folder / "campaign"
        self.root.mkdir(exist_ok=True)
        self.options = replace(Options(jobs=1, slice_seconds=60, reserve=0), **options)
        self.kernel = fake_kernel(folder / "kernel")
        self.limit = time.monotonic() + 120

    def run(self, until, spawn=None, wait=time.sleep, show=lambda: None) -> Supervisor:
        """Run until `until(supervisor)` holds."""
        one = Supervisor(
            self.root, self.options, [self.kernel], lambda s: self._wait(one, s, until, wait)
        )
        one.open()
        one.run(spawn or spawner(self.root), None, show)
        return one

    def _wait(self, one: Supervisor, seconds: float, until, wait) -> None:
        assert time.monotonic() < self.limit, "it never came to pass"
        if not one._stop_asked and until(one):
            one.stop()
        wait(min(seconds, 0.02))

    def journal(self) -> list[str]:
        return (self.root.parent / "journal").read_text().splitlines()

    def events(self) -> list[str]:
        with State.read(self.root) as state:
            return [f"{r['kind']}: {r['text']}" for r in state.rows("SELECT * FROM events")]


def programs(one: Supervisor) -> int:
    return one.recorder.totals()["programs"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(supervisor, "RECORD_EVERY", 0.05)
    return Bench(tmp_path, monkeypatch)


def test_a_second_start_goes_on_with_counts_corpus_and_time(bench: Bench) -> None:
    bench.run(lambda one: programs(one) >= 20)
    first = read_status(bench.root)
    bench.run(lambda one: programs(one) >= first["programs"] + 20)
    second = read_status(bench.root)
    assert (first["state"], second["state"]) == ("stopped", "stopped")
    assert second["runs"] == 2
    assert second["programs"] >= first["programs"] + 20
    assert second["corpus"] >= first["corpus"]
    assert second["seconds"] > first["seconds"]
    reached = [s["coverage"]["sites"]["reached"] for s in (first, second)]
    assert 0 < reached[0] <= reached[1] <= second["coverage"]["sites"]["total"] == 40


def test_hits_are_neither_lost_nor_counted_twice(bench: Bench) -> None:
    for goal in (32, 64, 96):
        bench.run(lambda one, goal=goal: programs(one) >= goal)
    status = read_status(bench.root)
    with State.read(bench.root) as state:
        hits = sum(state.hits(bench.kernel.key))
    assert status["programs"] - 16 * 3 <= hits <= status["programs"]


def script(bench: Bench, folder: Path, text: str):
    path = folder / "script.py"
    path.write_text(text)
    return spawner(bench.root, path)


def test_a_worker_that_dies_is_started_again_with_its_last_words_kept(
    bench: Bench, tmp_path: Path
) -> None:
    spawn = script(bench, tmp_path, "import sys; sys.exit('no guest today')")
    with pytest.raises(HarnessError, match=r"no worker ran a program, and \d+ ended"):
        bench.run(lambda one: one.crew.died >= 2, spawn)
    died = [event for event in bench.events() if event.startswith("died")]
    assert "ended with 1: no guest today (next one in 0.5 s)" in died[0].splitlines()[0]
    assert "(next one in 1 s)" in died[1]


COMPLAINS = """
import sys
from pathlib import Path
from zsfuzz.findings.finding import Finding
from zsfuzz.findings.store import FindingStore
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.workerconfig import WorkerConfig

config = WorkerConfig.load(Path(sys.argv[1]))
store = FindingStore(Path(config.output), config.findings)
store.save(Finding(Outcome.KERNEL_SPLAT, "no guest gets ready", Program(())))
store.close()
sys.exit(3)
"""


def test_a_kernel_that_never_boots_is_a_finding_at_each_start(bench: Bench, tmp_path: Path) -> None:
    spawn = script(bench, tmp_path, COMPLAINS)
    for seen in (1, 2):
        bench.run(lambda one: one.crew.died >= 1, spawn)
        (found,) = read_status(bench.root)["findings"]
        assert found["seen"] >= seen


SHORTENS = """
import sys, time
from pathlib import Path
from fake_campaign_worker import FakeWorker
from zsfuzz.pool import Offer
from zsfuzz.workerconfig import WorkerConfig

config = WorkerConfig.load(Path(sys.argv[1]))
worker = FakeWorker(config)
for _ in range(30):
    worker.one()
inputs = sorted(Path(config.inputs).iterdir())
while len(list(Path(config.output, "corpus").glob("[!.]*"))) < len(inputs):
    time.sleep(0.01)
for path in inputs[5:]:
    path.unlink()  # as libFuzzer does when it has a shorter one
if "in order" in sys.argv[0]:
    Offer(0, frozenset()).write(Path(config.work) / "explore.pool")
worker.store.close()
"""


@pytest.mark.parametrize("how", ["in order", "cut short"])
def test_a_corpus_is_distilled_by_workers_that_end_in_order(
    how: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "FEW", 10)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    (tmp_path / how).mkdir()
    calls: list[int] = []
    shortens = script(bench, tmp_path / how, SHORTENS)

    def spawn(order):
        calls.append(order.worker)
        return shortens(order)

    one = bench.run(lambda _: len(calls) == 2, spawn)
    distilled = [event for event in bench.events() if event.startswith("distilled")]
    if how == "in order":
        assert re.fullmatch(r"distilled: \d+ of \d+ programs no kernel needs", distilled[0])
        assert len(list((bench.root / "corpus").iterdir())) == len(one.store)
    else:
        assert not distilled
    assert not list(bench.root.glob("pools/*"))


def test_a_worker_without_progress_is_replaced(bench: Bench, tmp_path: Path) -> None:
    bench.options = replace(bench.options, stall_seconds=0.5)
    calls: list[int] = []
    idle = script(bench, tmp_path, "import time; time.sleep(1000)")

    def spawn(order):
        calls.append(order.worker)
        return (idle if len(calls) == 1 else spawner(bench.root))(order)

    def until(one: Supervisor) -> bool:
        if len(calls) == 2:  # the second one may take its time to start
            one.crew.options = replace(one.crew.options, stall_seconds=60)
        return programs(one) >= 5

    one = bench.run(until, spawn)
    assert one.crew.died == 1
    assert any(
        event.startswith("stalled: stalled: no program for 0.5 s") for event in bench.events()
    )


def test_a_disk_that_refuses_loses_nothing_once_it_takes_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = CorpusStore.add, []

    def add(self: CorpusStore, program: Program, note: str = "") -> bool:
        if len(refused) < 5:
            refused.append(program)
            raise OutputLost(self.folder, OSError(28, "No space left on device"))
        return real(self, program, note)

    monkeypatch.setattr(CorpusStore, "add", add)
    bench.run(lambda one: len(refused) == 5 and programs(one) >= 50)
    corpus = {path.stem for path in (bench.root / "corpus").iterdir()}
    assert {program.digest for program in refused} <= corpus
    assert any(event.startswith("disk: cannot save") for event in bench.events())


def test_what_cannot_be_shown_does_not_end_a_campaign(bench: Bench) -> None:
    def show() -> None:
        raise OSError(28, "No space left on device")

    one = bench.run(lambda one: programs(one) >= 20, show=show)
    assert one.troubles.lines() == ["cannot show: [Errno 28] No space left on device"]
    assert read_status(bench.root)["state"] == "stopped"


def test_a_worker_that_cannot_be_named_does_not_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, unnamed, spawned = State.update, [], []

    def update(self: State, table: str, number: int, **columns: object) -> None:
        if columns.get("pid") and not unnamed:
            unnamed.append(Identity.of(columns["pid"]))
            raise sqlite3.OperationalError("database or disk is full")
        real(self, table, number, **columns)

    def spawn(order):
        spawned.append(order.worker)
        return spawner(bench.root)(order)

    monkeypatch.setattr(State, "update", update)
    bench.run(lambda one: len(spawned) == 2 and programs(one) >= 5, spawn)
    assert unnamed[0] is not None
    assert not unnamed[0].alive
    assert read_status(bench.root)["workers_ended"] == {
        "in order": 1, "not started: database or disk is full": 1,
    }  # fmt: skip


def test_what_fails_at_one_slot_does_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.options = replace(bench.options, jobs=2)
    real = LocalWorker.hits

    def hits(self: LocalWorker) -> list[int]:
        if self._work.name == "1":
            raise OSError("no answer")
        return real(self)

    def until(one: Supervisor) -> bool:
        second = one.crew.slots[1].running
        return second is not None and second.worker.counters().get("programs", 0) > 20

    with monkeypatch.context() as patch:
        patch.setattr(LocalWorker, "hits", hits)
        with pytest.raises(HarnessError, match="the end could not be saved: no answer"):
            bench.run(until)
    assert read_status(bench.root)["workers_ended"] == {"in order": 1}
    assert "disk: cannot run worker 0: no answer" in bench.events()
    ran = sum(1 for line in bench.journal() if line.startswith("program "))
    assert programs(bench.run(lambda _: True)) >= ran > 0


def test_coverage_that_could_not_be_written_is_written_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = State.insert, []

    def insert(self: State, table: str, **columns: object) -> int:
        if table == "coverage" and len(refused) < 3:
            refused.append(columns)
            raise sqlite3.OperationalError("database or disk is full")
        return real(self, table, **columns)

    monkeypatch.setattr(State, "insert", insert)
    bench.run(lambda one: len(refused) == 3 and programs(one) >= 100)
    status = read_status(bench.root)
    with State.read(bench.root) as state:
        hits = state.hits(bench.kernel.key)
    assert status["coverage"]["sites"]["reached"] == sum(1 for n in hits if n) > 0


def test_programs_to_begin_with_are_read_once(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    save(folder, Entry(PROGRAM))
    (folder / "broken.msgpack").write_bytes(b"no program")
    bench.options = replace(bench.options, corpus=(str(folder),))
    bench.run(lambda one: programs(one) >= 5)
    assert (bench.root / "corpus" / f"{PROGRAM.canonical().digest}.msgpack").is_file()
    assert sum("broken.msgpack" in event for event in bench.events()) == 1
    shutil.rmtree(folder)
    bench.run(lambda one: programs(one) >= 10)
    bench.options = replace(bench.options, corpus=(str(folder), str(folder)))
    with pytest.raises(BadCorpusFile, match="give an existing directory"):
        bench.run(lambda one: programs(one) >= 15)


def test_a_finding_whose_folder_is_gone_is_gone(bench: Bench) -> None:
    bench.run(lambda one: len(one.recorder.findings) >= 2)
    first, *others = read_status(bench.root)["findings"]
    shutil.rmtree(first["path"])
    broken = bench.root / "findings" / "zspage" / "broken"
    broken.mkdir()
    (broken / "finding.json").write_text("{}")
    with State.write(bench.root) as state:
        Found(state).look(0)
    assert [f["id"] for f in read_status(bench.root)["findings"]] == [f["id"] for f in others]


def test_an_end_that_cannot_be_saved_is_an_error_and_the_next_start_takes_it_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def write(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def until(one: Supervisor) -> bool:
        if programs(one) >= 20:
            monkeypatch.setattr(Recorder, "write", write)
            seen.append(programs(one))
        return one.troubles.lines() == ["cannot save: database or disk is full"]

    with pytest.raises(HarnessError, match="the end could not be saved: database or disk is full"):
        bench.run(until)
    monkeypatch.undo()
    monkeypatch.setenv("JOURNAL", str(bench.root.parent / "journal"))
    assert programs(bench.run(lambda _: True)) >= seen[0]


def test_an_end_with_a_worker_that_cannot_be_ended_says_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("STOP_LIMIT", "KILL_LIMIT"):
        monkeypatch.setattr(crew, limit, 0.1)
    started = []

    def spawn(order):
        started.append(script(bench, tmp_path, "import time; time.sleep(1000)")(order))
        for way in ("ask_to_stop", "kill"):
            monkeypatch.setattr(started[0], way, lambda: None)
        return started[0]

    try:
        with pytest.raises(HarnessError, match="could not be saved: worker 0 does not end"):
            bench.run(lambda _: bool(started), spawn)
    finally:
        monkeypatch.undo()
        started[0].kill()


def test_workers_wait_while_the_disk_is_nearly_full(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []

    def look(self: disk.DiskWatch) -> bool:
        self.full = 5 <= len(seen) < 60
        return self.full

    def until(one: Supervisor) -> bool:
        seen.append((one.disk.full, one.crew.slots[0].running is not None))
        return len(seen) > 60 and programs(one) > 20 and not one.troubles.lines()

    monkeypatch.setattr(disk.DiskWatch, "look", look)
    bench.run(until)
    assert (True, False) in seen
    assert seen[-1] == (False, True)
    told = [event for event in bench.events() if "workers wait for more" in event]
    assert len(told) == 1


def test_the_disk_watch_has_a_margin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs(tmp_path)
    mib = free.f_bavail * free.f_frsize >> 20
    assert not disk.DiskWatch(tmp_path, mib // 2 - 1).look()
    watch = disk.DiskWatch(tmp_path, mib + 1000)
    assert watch.look()
    watch._reserve = mib * 3 // 4  # more than once as much is free, but not twice
    assert watch.look()


def test_a_clock_that_jumps_back_changes_no_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run(lambda one: programs(one) >= 20)
    first = read_status(bench.root)
    monkeypatch.setattr(time, "time", lambda: 1000.0)  # 1970
    bench.run(lambda one: programs(one) >= first["programs"] + 20)
    second = read_status(bench.root)
    assert second["seconds"] > first["seconds"]
    assert second["programs_per_second"] >= 0
    assert second["seconds_since_new_coverage"] >= 0
    with State.read(bench.root) as state:
        rows = state.rows("SELECT at, wall FROM events ORDER BY id")
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert {row["wall"] for row in rows} > {1000.0}


# ---- status, stop, processes ---------------------------------------------------------------


def test_a_status_has_what_others_read(bench: Bench) -> None:
    bench.run(lambda one: programs(one) >= 20)
    status = read_status(bench.root)
    assert {"programs", "operations", "corpus", "findings", "coverage", "workers"} <= set(status)
    assert json.loads(json.dumps(status)) == status
    assert isinstance(status["corpus"], int)
    with State.read(bench.root) as state:
        assert status_of(state, state.totals()) == status_of(state)
    assert plain_line(status).count("  ") > 5
    with State.read(bench.root) as state:
        render(status, state)


def test_what_cannot_be_done_is_told_once_and_again_when_it_comes_back(bench: Bench) -> None:
    bench.run(lambda one: programs(one) >= 1)
    status, full = read_status(bench.root), ["cannot save: database or disk is full"]
    out = io.StringIO()
    with State.read(bench.root) as state, Screen(Console(file=out, width=200)) as screen:
        for troubles in ([], full, full, [], full):
            screen.show(status, state, troubles)
    assert out.getvalue().count(full[0]) == 2


def test_there_is_no_campaign_in_an_empty_folder(tmp_path: Path) -> None:
    for action in (read_status, stop):
        with pytest.raises(CampaignMissing, match="begin one with `zsfuzz campaign start`"):
            action(tmp_path)


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(CampaignDamaged, match="keeps the file and begins a new one"):
        read_status(tmp_path)


def test_options_and_the_reason_outlive_a_damaged_database(bench: Bench) -> None:
    bench.options = replace(bench.options, patches=("fix.patch",), flavours=("kasan",))
    bench.run(lambda one: programs(one) >= 20)
    path = bench.root / "state.sqlite"
    path.write_bytes(b"\0" * path.stat().st_size)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert _last_options(bench.root) == bench.options
    bench.run(lambda one: programs(one) >= 40)
    first, *others = bench.events()
    assert first.startswith("damage: the database was damaged (file is not a database)")
    assert any("the database had forgotten" in event for event in others)


def test_a_database_of_another_version_is_left_alone(tmp_path: Path) -> None:
    State.write(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "state.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(CampaignDamaged, match="version 99"):
        State.write(tmp_path)


def test_stop_of_a_campaign_that_has_ended_says_so(bench: Bench) -> None:
    bench.run(lambda one: programs(one) >= 5)
    assert stop(bench.root) == "it was not running"


def copy_if_there(source: str, target: str) -> None:
    """Copy a file of a campaign that runs, whose workers rename theirs."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def test_stop_in_a_copy_of_a_running_campaign_ends_nothing(bench: Bench, tmp_path: Path) -> None:
    copy, seen = tmp_path / "copy", []

    def until(one: Supervisor) -> bool:
        if programs(one) < 5:
            return False
        if not seen:
            shutil.copytree(bench.root, copy, copy_function=copy_if_there)
            seen.append(one.crew.running[0].worker.identity)
            assert stop(copy).startswith("it is a copy, whose original was left alone")
        assert supervisor_of(copy) is None
        assert not one._stop_asked
        return seen[0].alive

    bench.run(until)
    assert seen


def test_a_number_that_was_given_to_another_process_is_not_taken_for_the_old_one() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive
    assert not replace(me, birth="another boot").alive
    assert not replace(me, birth="another boot").send(9)


def test_spark_lines_have_one_bar_for_each_group() -> None:
    assert spark([]) == ""
    assert spark([0, 7]) == "▁█"
    assert len(spark(range(1000), 60)) <= 60


METRICS = {
        "programs": 7, "operations": 70, "restarts": 0, "killed": 0, "corpus": 3, "seconds": 1.5,
        "seconds_since_new_coverage": 0.5, "programs_per_second": 4.0, "findings": [1],
        "workers": [], "coverage": {"kernels": []},
}  # fmt: skip


def test_one_who_asks_for_metrics_slowly_is_cut_off(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "CLIENT_SECONDS", 0.2)
    endpoint, cut_off = Endpoint(0, lambda: METRICS), threading.Event()

    def ask() -> None:
        with socket.create_connection((metrics.LOOPBACK, endpoint.port)) as client:
            while not cut_off.wait(0.02):
                try:
                    client.send(b"G")
                except OSError:
                    cut_off.set()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        while not asked.done():
            endpoint.wait(0.05)
    endpoint.close()
    assert cut_off.is_set()
    assert capfd.readouterr().err == ""


def test_two_builds_of_one_kernel_are_one_metric() -> None:
    kernels = [
        {"design": "zspage", "flavour": "plain", "variant": "default"}
        | {what: {"reached": n, "total": 9} for what in ("lines", "branches", "sites")}
        for n in (3, 7, 5)
    ]
    endpoint = Endpoint(0, lambda: METRICS | {"coverage": {"kernels": kernels}})
    *_, coverage = endpoint.collect()
    endpoint.close()
    assert [sample.value for sample in coverage.samples] == [7, 7, 7]


def test_metrics_are_served_on_loopback_while_the_supervisor_waits() -> None:
    endpoint = Endpoint(0, lambda: METRICS)
    with ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{endpoint.port}/metrics"
        asked = pool.submit(lambda: urllib.request.urlopen(url, timeout=60).read().decode())
        while not asked.done():
            endpoint.wait(0.05)
    endpoint.close()
    assert "zsfuzz_programs_total 7.0" in asked.result()
    assert "zsfuzz_findings 1.0" in asked.result()


def test_options_survive_the_database() -> None:
    options = Options(designs=("zpdesc", "stock"), jobs=7, patches=("x.patch",))
    assert Options.from_json(options.as_json()) == options
    known = json.loads(options.as_json()) | {"of a later version": 1}
    assert Options.from_json(json.dumps(known)) == options


def test_kernels_of_a_schedule_are_all_combinations() -> None:
    options = Options(
        designs=("zspage", "zpdesc"), flavours=("plain",), variants=("default", "chain-4")
    )
    names = [(spec.design, spec.configuration) for spec in options.specs]
    assert names == [("zspage", "plain"), ("zpdesc", "plain"),
                     ("zspage", "plain-chain-4"), ("zpdesc", "plain-chain-4")]  # fmt: skip
