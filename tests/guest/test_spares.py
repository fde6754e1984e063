# SPDX-License-Identifier: GPL-2.0-only
"""Guests that boot ahead: each is fresh, on the CPU of the guest, and none is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guest_support import built

from zsfuzz.boot import boot
from zsfuzz.errors import HarnessError
from zsfuzz.guest.machine import Machine
from zsfuzz.text import parse_program

ALLOCATES = parse_program("o0 = malloc(p0, size=100, owner=c1)").wire
TWO_CPUS = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="on one CPU no guest boots ahead"
)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with boot(built("zspage", "plain"), tmp_path / "console") as machine:
        yield machine


@pytest.fixture
def guests(machine: Machine) -> Callable[[], set[int]]:
    """Return the guests of this test alone: those of other tests' fixtures live on beside them."""
    others = kernels() - {machine.pid}
    return lambda: kernels() - others


def kernels() -> set[int]:
    """Return the kernels that this process has started and not ended."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        int(child) for child in children if "vmlinux" in Path(f"/proc/{child}/cmdline").read_text()
    }


def test_each_restart_gives_a_fresh_guest_that_answers_alike(machine: Machine) -> None:
    expected, pids = machine.run(ALLOCATES), {machine.pid}
    with machine.boot_ahead():
        for _ in range(5):
            machine.restart()
            assert machine.run(ALLOCATES) == expected
            pids.add(machine.pid)
    assert len(pids) == 6


@TWO_CPUS
def test_none_boots_ahead_before_the_first_restart_and_two_after_it(
    machine: Machine, guests: Callable[[], set[int]]
) -> None:
    with machine.boot_ahead():
        assert guests() == {machine.pid}
        machine.restart()
        assert len(guests()) == 3


@TWO_CPUS
def test_one_that_booted_elsewhere_moves_to_the_cpu_of_the_guest(machine: Machine) -> None:
    before = os.sched_getaffinity(machine.pid)
    with machine.boot_ahead():
        for _ in range(3):
            machine.restart()
            assert os.sched_getaffinity(machine.pid) == before


def test_they_leave_nothing_but_the_console_of_the_present_guest(
    machine: Machine, guests: Callable[[], set[int]], tmp_path: Path
) -> None:
    with machine.boot_ahead(), machine.boot_ahead():
        for _ in range(3):
            machine.restart()
    assert guests() == {machine.pid}
    assert {path.name for path in tmp_path.glob("console*")} == {"console"}
    assert machine.console().startswith((tmp_path / "console").read_text()[:100])
    machine.run(ALLOCATES)


@TWO_CPUS
def test_those_that_do_not_fit_are_done_without(
    machine: Machine, guests: Callable[[], set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise HarnessError("/dev/shm has 0 MiB free")

    with machine.boot_ahead():
        machine.restart()
        monkeypatch.setattr("zsfuzz.guest.process._check_space", full)
        for _ in range(2):
            machine.restart()
            machine.run(ALLOCATES)
        assert guests() == {machine.pid}
        with pytest.raises(HarnessError, match="0 MiB free"):
            machine.restart()


@TWO_CPUS
def test_one_that_was_killed_while_it_waited_is_not_taken(
    machine: Machine, guests: Callable[[], set[int]]
) -> None:
    with machine.boot_ahead():
        machine.restart()
        killed = guests() - {machine.pid}
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        machine.restart()
        assert machine.pid not in killed
        machine.run(ALLOCATES)
