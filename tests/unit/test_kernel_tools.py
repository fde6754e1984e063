# SPDX-License-Identifier: GPL-2.0-only
"""Missing programs, failing commands, locks and progress."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from zstools.cache import builder_lock
from zstools.command import run
from zstools.errors import CommandError, ToolMissingError
from zstools.progress import Bar, Plain, Silent, quoted
from zstools.toolchain import TOOLS, check_tools

TRY_LOCK = """
import fcntl, sys
with open(sys.argv[1]) as stream:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(1)
"""


def test_missing_programs_give_one_line_to_paste() -> None:
    absent = {"flex", "bc", "xz"}
    with pytest.raises(ToolMissingError) as caught:
        check_tools(lambda tool: None if tool in absent else f"/usr/bin/{tool}")
    line = "sudo apt-get install --no-install-recommends bc flex xz-utils"
    assert str(caught.value).endswith(line)


def test_a_machine_with_everything_passes() -> None:
    check_tools(lambda tool: f"/usr/bin/{tool}" if tool in TOOLS else None)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolMissingError, match="zsfuzz-no-such-program"):
        run(["zsfuzz-no-such-program"])


def test_a_failed_command_can_be_pasted_and_shows_its_errors() -> None:
    script = "echo fine; echo 'x.c:1: error: bad'; exit 3"
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", script])
    message = str(caught.value)
    assert "exit status 3" in message
    assert quoted(["sh", "-c", script]) in message
    assert "x.c:1: error: bad" in message
    assert "\nfine" not in message


def test_an_interrupt_stops_the_whole_group_and_waits_for_it(tmp_path: Path) -> None:
    script = (
        f"trap 'echo stopped > {tmp_path}/log; exit 1' TERM; "
        f"echo ready; read -r _ < {tmp_path}/fifo"
    )
    subprocess.run(["mkfifo", tmp_path / "fifo"], check=True)

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["bash", "-c", script], on_line=interrupt)
    assert (tmp_path / "log").read_text() == "stopped\n"


def _is_locked(cache: Path) -> bool:
    command = [sys.executable, "-c", TRY_LOCK, str(cache / "lock")]
    return subprocess.run(command, check=False).returncode == 1


def test_one_builder_at_a_time(tmp_path: Path) -> None:
    with builder_lock(tmp_path, Silent()):
        assert _is_locked(tmp_path)
    assert not _is_locked(tmp_path)


def test_a_child_that_outlives_the_builder_keeps_the_lock(tmp_path: Path) -> None:
    with builder_lock(tmp_path, Silent()) as lock:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock,))
    try:
        assert _is_locked(tmp_path)
    finally:
        child.communicate()
    assert not _is_locked(tmp_path)


def test_commands_are_printed_quoted_when_verbose() -> None:
    for verbose in (True, False):
        out = io.StringIO()
        Plain(Console(file=out), verbose).command(["make", "O=a b"])
        assert out.getvalue() == ("$ make 'O=a b'\n" if verbose else "")


def test_the_bar_shows_the_step_as_make_wrote_it_and_goes_away() -> None:
    out = io.StringIO()
    bar = Bar(Console(file=out, force_terminal=True, width=100))
    bar.begin("build Linux", 1)
    for name in ("main", "ops"):
        bar.step(f"CC [M] {name}.o")
    bar.end()
    assert "CC [M] ops.o" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")
