# SPDX-License-Identifier: GPL-2.0-only
"""What a guest can reach: tried by its root user, and by whoever has taken over its kernel."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from guest_support import PATIENCE, built

from zsfuzz.guest import process
from zsfuzz.guest.confine import Needs, confinement
from zsfuzz.guest.landlock import landlock_version
from zsfuzz.guest.process import UmlOptions, UmlProcess

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
ON_FILES = (
    "read-secret", "write-secret", "write-data", "create-in-root", "create-beside-secret",
    "remove-secret", "list-host", "passwords",
)  # fmt: skip
needs_landlock = pytest.mark.skipif(
    not landlock_version(), reason="no Landlock: run on Linux 5.13 or later, with lsm=landlock,..."
)


@pytest.fixture(scope="module")
def intruder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest's root with nothing in it but the intruder as init, and mount points."""
    root = tmp_path_factory.mktemp("intruder") / "root"
    for name in ("dev", "sys"):
        (root / name).mkdir(parents=True)
    (root / "data").write_text("whole")
    source = Path(__file__).with_name("intruder.c")
    compiler = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static"]
    subprocess.run([*compiler, source, "-o", root / "init"], check=True)
    return root


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "secret"
    path.parent.mkdir()
    path.write_text("of the user")
    return path


def attempts(options: UmlOptions, folder: Path) -> dict[str, int]:
    """Run a guest, or what is in its place, to its end; errno by attempt."""
    folder.mkdir(exist_ok=True)
    uml = UmlProcess(options, folder / "console")
    try:
        uml._process.wait(PATIENCE)
        found = re.findall(r"^intruder: (\S+) (\d+)\r?$", uml.console_text(), re.MULTILINE)
    finally:
        uml.kill()
    assert found, uml.console_text()
    return {name: int(number) for name, number in found}


def on_the_host(root: Path, secret: Path, folder: Path) -> dict[str, int]:
    """What a process in the place of the guest's kernel may do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        arguments = ("--", str(secret), port, str(os.getpid()))
        previous = signal.signal(signal.SIGURG, signal.SIG_IGN)
        try:
            return attempts(UmlOptions(root / "init", root, arguments=arguments), folder)
        finally:
            signal.signal(signal.SIGURG, previous)


def in_a_guest(root: Path, folder: Path) -> dict[str, int]:
    kernel = built("zspage", "plain")
    return attempts(UmlOptions(kernel.linux, root), folder)


@pytest.fixture
def unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "confiner", lambda _: (lambda: None, lambda: None))


# ---- who has taken over the kernel ---------------------------------------------------------------


@needs_landlock
def test_a_guests_process_reaches_no_file_that_is_none_of_its_business(intruder, secret, tmp_path):
    found = on_the_host(intruder, secret, tmp_path / "work")
    assert {name: found[name] for name in ON_FILES if found[name] not in REFUSED} == {}
    assert found["read-data"] == 0
    assert secret.read_text() == "of the user"


@needs_landlock
def test_a_guests_process_reaches_no_other_process(intruder, secret, tmp_path):
    found = on_the_host(intruder, secret, tmp_path / "work")
    assert found["parent-environment"] in REFUSED
    assert found["parent-memory"] in REFUSED
    if landlock_version() >= 6:
        assert found["signal-parent"] in REFUSED


def test_a_guests_process_has_no_network_and_no_rights(intruder, secret, tmp_path):
    needs = Needs(intruder / "init", intruder, tmp_path / "work" / "x", Path("/dev/shm"), 0)
    (tmp_path / "work").mkdir()
    if not confinement(needs).no_network:
        pytest.skip("no network namespaces here: allow user namespaces, or run as root")
    found = on_the_host(intruder, secret, tmp_path / "work")
    assert found["tcp"]
    assert found["udp"]


def test_unconfined_the_same_attempts_succeed(intruder, secret, tmp_path, unconfined):
    found = on_the_host(intruder, secret, tmp_path / "work")
    let = {"read-secret", "write-secret", "write-data", "create-in-root", "list-host", "passwords"}
    let |= {"signal-parent", "tcp", "udp"}
    assert {name: found[name] for name in let if found[name]} == {}
    assert not secret.exists()
    (intruder / "written").unlink()


# ---- the guest's root user -----------------------------------------------------------------------


def test_a_guest_sees_nothing_of_the_host_but_its_root(intruder, tmp_path):
    found = in_a_guest(intruder, tmp_path / "work")
    assert found["write-root"] == errno.EROFS
    assert found["hostfs"] == 0
    assert found["hostfs/etc"] == errno.ENOENT
    assert found["socket"] == errno.ENOSYS


@needs_landlock
def test_a_guest_that_mounts_its_root_again_cannot_change_it(intruder, tmp_path):
    found = in_a_guest(intruder, tmp_path / "work")
    assert found["remount"] == 0
    tried = ("write-root-remounted", "write-data-remounted", "hostfs/data")
    assert {name: found[name] for name in tried if found[name] not in REFUSED} == {}
    assert found["hostfs-above/etc"]
    assert sorted(path.name for path in intruder.iterdir()) == ["data", "dev", "init", "sys"]


def test_unconfined_a_guest_can_change_its_root(intruder, tmp_path, unconfined):
    found = in_a_guest(intruder, tmp_path / "work")
    assert found["write-root-remounted"] == 0
    (intruder / "written").unlink()
