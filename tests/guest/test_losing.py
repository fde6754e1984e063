# SPDX-License-Identifier: GPL-2.0-only
"""Guests that die, stand still, complain or do not start: each is told apart, none outlives us."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from guest_support import (
    PATIENCE,
    SEEDS,
    built,
    environment,
    runner_of,
    session_of,
    visible_files,
    watched,
)

from zsfuzz.boot import boot
from zsfuzz.console.complaints import find_splats
from zsfuzz.errors import GuestHang, GuestKilled, HarnessError, KernelSplat
from zsfuzz.guest.machine import Machine
from zsfuzz.guest.process import UmlOptions, UmlProcess
from zsfuzz.guest.uml import Uml
from zsfuzz.outcome import Outcome
from zsfuzz.text import parse_program

GOOD = SEEDS[0].program.wire
# Takes seconds: each operation makes or removes a directory in the guest.
LONG = parse_program("c7 = cgroup_create(parent=c2)\ncgroup_remove(c7)\n" * 500).wire

STARVED = 1000  # looks at the scheduler's figures, in which the guest only waits

Boot = Callable[..., Machine]


class Interrupted:
    """A target in whose programs something happens, once it has begun to run them."""

    def __init__(self, guest: Machine, happen: Callable[[Machine], object]) -> None:
        self._guest = guest
        self._happen = happen

    def __getattr__(self, name: str) -> object:
        return getattr(self._guest, name)

    def post(self, wire: bytes) -> None:
        before = self._guest.ring.info("heartbeat")
        self._guest.post(wire)
        while self._guest.ring.info("heartbeat") == before:
            assert self._guest._uml.alive
        self._happen(self._guest)


# ---- in mid-program ------------------------------------------------------------------------


def test_a_guest_killed_in_mid_program_is_lost(machine: Boot) -> None:
    guest = machine()
    target = Interrupted(guest, lambda g: os.kill(g.pid, signal.SIGKILL))
    target.post(LONG)
    with pytest.raises(GuestKilled, match="was killed by SIGKILL in mid-program"):
        guest.collect()


def test_a_program_whose_guest_was_killed_from_outside_is_run_again(machine: Boot) -> None:
    guest = machine()
    runner = runner_of(guest)

    def kill(guest: Machine) -> None:
        runner.lockstep.target = guest
        os.kill(guest.pid, signal.SIGKILL)

    runner.lockstep.target = Interrupted(guest, kill)
    assert runner.run(LONG) is None
    assert (runner.killed, guest.starts) == (1, 2)


def test_after_a_lost_guest_the_next_program_agrees(machine: Boot) -> None:
    guest = machine()
    runner = runner_of(guest)
    runner.lockstep.target = Interrupted(guest, lambda g: os.kill(g.pid, signal.SIGABRT))
    with watched(session_of(guest.pid)) as old:
        trouble = runner.run(LONG)
        assert trouble is not None
        assert (trouble.outcome, trouble.title) == (Outcome.GUEST_LOST, "guest went away")
        assert "VFS: Mounted root" in trouble.console
        assert old.wait() == set()
    runner.lockstep.target = guest
    assert guest.starts == 2
    assert runner.run(GOOD) is None
    assert runner.audit() is None


def test_a_guest_that_stands_still_hangs(machine: Boot) -> None:
    guest = machine(deadline=1.0)
    os.kill(guest.pid, signal.SIGSTOP)
    with pytest.raises(GuestHang, match=r"no operation was finished for 1 s"):
        guest.run(GOOD)


def test_a_guest_that_gets_no_cpu_does_not_hang(
    machine: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still here: what the host's scheduler says of it is invented."""
    guest = machine(deadline=0.1)
    looks: list[float] = []

    def starved(_self: object) -> float:
        looks.append(time.monotonic() if len(looks) < STARVED else looks[-1])
        return looks[-1]

    monkeypatch.setattr(UmlProcess, "starved", property(starved))
    os.kill(guest.pid, signal.SIGSTOP)
    with pytest.raises(GuestHang):
        guest.run(GOOD)
    assert len(looks) > STARVED


def test_after_a_hang_the_next_program_agrees_and_no_process_is_left(machine: Boot) -> None:
    guest = machine(deadline=1.0)
    runner = runner_of(guest)
    runner.lockstep.target = Interrupted(guest, lambda g: os.kill(g.pid, signal.SIGSTOP))
    with watched(session_of(guest.pid)) as old:
        trouble = runner.run(LONG)
        assert trouble is not None
        assert (trouble.outcome, trouble.title) == (Outcome.GUEST_HANG, "guest does not answer")
        assert old.wait() == set()
    runner.lockstep.target = guest
    assert runner.run(GOOD) is None


def test_a_slow_program_is_no_hang(machine: Boot) -> None:
    guest = machine(deadline=1.0)
    assert len(set(guest.run_many([LONG] * 5))) == 1


def test_a_use_after_free_is_a_splat_with_a_title(machine: Boot) -> None:
    guest = machine("zspage", "kasan")
    with pytest.raises(KernelSplat) as caught:
        guest.trip()
    (splat,) = find_splats(caught.value.console)
    assert (splat.kind, splat.title) == ("kasan", "KASAN: slab-use-after-free in ring_ioctl")
    assert splat.truncated == ""
    guest.restart()
    assert runner_of(guest).run(GOOD) is None


def test_a_splat_while_a_program_runs_is_that_programs_trouble(machine: Boot) -> None:
    guest = machine("zspage", "kasan")
    runner = runner_of(guest)
    with suppress(KernelSplat):
        guest.trip()
    trouble = runner.run(GOOD)
    assert trouble is not None
    assert trouble.outcome is Outcome.KERNEL_SPLAT
    assert trouble.title == "KASAN: slab-use-after-free in ring_ioctl"
    assert runner.run(GOOD) is None


# ---- ways out ------------------------------------------------------------------------------

PARENT = """\
import json, signal, sys
from pathlib import Path
from guest_support import built, machine_of, session_of
from zsfuzz.guest.process import UmlOptions
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
guest = machine_of(built("zspage", "plain"), Path(sys.argv[1]))
guest.run(b"")
print(json.dumps(session_of(guest.pid)), flush=True)
how = sys.stdin.readline().strip()
if how == "exception":
    raise RuntimeError("on purpose")
if how == "close":
    guest.close()
    print("closed", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def parent(tmp_path: Path):
    """A process that has booted a guest, and the guest's processes by number."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "console")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL,
        env=environment(),
    )  # fmt: skip
    yield process, {int(pid): name for pid, name in json.loads(process.stdout.readline()).items()}
    process.kill()
    process.communicate()


def tell(process: subprocess.Popen[str], how: str) -> None:
    process.stdin.write(how + "\n")
    process.stdin.flush()


def test_a_guest_consists_of_its_kernel_and_the_processes_of_its_user_space(parent) -> None:
    _, guest = parent
    assert len(guest) >= 2
    assert "uml-userspace" in guest.values()


def test_close_ends_all_processes_of_the_guest(parent) -> None:
    process, guest = parent
    with watched(guest) as watch:
        tell(process, "close")
        assert process.stdout.readline() == "closed\n"
        assert watch.wait() == set()
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "vm_file" not in maps


def test_an_exception_ends_the_guest(parent) -> None:
    process, guest = parent
    with watched(guest) as watch:
        tell(process, "exception")
        assert process.wait(PATIENCE) == 1
        assert watch.wait() == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_parent_ends_the_guest(parent, number: signal.Signals) -> None:
    process, guest = parent
    with watched(guest) as watch:
        process.send_signal(number)
        process.wait(PATIENCE)
        assert watch.wait() == set()


def test_a_guest_that_is_stopped_ends_with_its_parent_too(parent) -> None:
    process, guest = parent
    with watched(guest) as watch:
        for pid in guest:
            os.kill(pid, signal.SIGSTOP)
        process.kill()
        assert watch.wait() == set()


def test_the_memory_of_a_guest_has_no_name_that_could_stay(machine: Boot) -> None:
    assert visible_files(machine().pid) == set()


def test_leaving_the_with_block_leaves_only_the_console(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        boot(built("zspage", "plain"), tmp_path / "console"),
    ):
        raise RuntimeError
    assert os.listdir(tmp_path) == ["console"]


# ---- guests that do not start --------------------------------------------------------------


def failure(kernel: Path, root: Path, console: Path) -> str:
    """What is said of a guest that cannot start."""
    before = set(os.listdir(console.parent))
    with pytest.raises(HarnessError) as caught:
        Uml(UmlOptions(kernel, root), console).ready()
    assert set(os.listdir(console.parent)) - before <= {console.name}
    return str(caught.value)


def test_a_module_of_another_kernel_is_named_as_the_cause(tmp_path: Path) -> None:
    kernel, other = built("zspage", "plain"), built("stock", "plain")
    message = failure(kernel.linux, other.guest_root, tmp_path / "console")
    assert "the guest ended before it was ready" in message
    assert "zsfuzz: built for another kernel; build it again against this one" in message


def test_a_root_without_module_is_named_as_the_cause(tmp_path: Path) -> None:
    kernel = built("zspage", "plain")
    root = tmp_path / "root"
    shutil.copytree(kernel.guest_root, root)
    (root / "zsfuzz.ko").unlink()
    message = failure(kernel.linux, root, tmp_path / "console")
    assert "zsfuzz-agent: /zsfuzz.ko: No such file or directory" in message


def test_a_console_that_is_named_outlives_the_temporary_folder_that_it_was_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with tempfile.TemporaryDirectory(prefix="zsfuzz-probe-") as work:
        root = built("stock", "plain").guest_root
        message = failure(built("zspage", "plain").linux, root, Path(work) / "console")
    kept = Path(message.rpartition("all of it: ")[2].rstrip(")"))
    assert "built for another kernel" in kept.read_text()


@pytest.mark.parametrize("path", ["/no/such/kernel", "/etc/passwd"])
def test_a_kernel_that_cannot_be_run_is_named(path: str, tmp_path: Path) -> None:
    root = built("zspage", "plain").guest_root
    message = failure(Path(path), root, tmp_path / "console")
    assert message.startswith(f"{path} cannot be started")
    assert "zsfuzz kernel build" in message


def test_a_program_that_is_no_kernel_is_a_harness_error(tmp_path: Path) -> None:
    root = built("zspage", "plain").guest_root
    message = failure(Path("/bin/true"), root, tmp_path / "console")
    assert message.startswith("the guest ended before it was ready")


def test_a_ring_of_another_version_is_refused(tmp_path: Path, monkeypatch) -> None:
    kernel = built("zspage", "plain")
    wire = json.loads(kernel.wire.read_text())
    wire["constants"]["ZSFUZZ_VERSION"] += 1
    (tmp_path / "wire.json").write_text(json.dumps(wire))
    with pytest.raises(HarnessError, match="no ring of version"):
        boot(replace(kernel, wire=tmp_path / "wire.json"), tmp_path / "console")


SMALL = """\
import sys
from pathlib import Path
from guest_support import built
from zsfuzz.boot import boot
from zsfuzz.errors import HarnessError
try:
    boot(built("zspage", "plain"), Path(sys.argv[1]))
except HarnessError as error:
    print(error)
"""


def in_small_shm(arguments: Sequence[str]) -> list[str]:
    """The command that runs another in a mount namespace in which /dev/shm has 1 MiB."""
    mount = 'mount -t tmpfs -o size=1m small /dev/shm && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh", *arguments]


def test_a_small_dev_shm_is_named_before_the_guest_starts(tmp_path: Path) -> None:
    if subprocess.run(in_small_shm(["true"]), capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made: run this test as root")
    done = subprocess.run(
        in_small_shm([sys.executable, "-c", SMALL, str(tmp_path / "console")]),
        env=environment(),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("/dev/shm has 1 MiB free, but the guest's memory takes 128 MiB")
    assert "mount it larger" in done.stdout
