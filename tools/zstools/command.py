# SPDX-License-Identifier: GPL-2.0-only
"""Run an external command, line by line, and turn its failure into one clear error."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from zstools.errors import CommandError, DiskFullError, ToolMissingError
from zstools.progress import BuildProgress, Silent, quoted

_TAIL = 15  # lines of output in an error message
_DISK_FULL = "No space left on device"


def run(
    arguments: Sequence[str],
    *,
    progress: BuildProgress | None = None,
    on_line: Callable[[str], None] | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    keep_open: Sequence[int] = (),
) -> str:
    """Run a command to its end and return its output, standard error included.

    @env has variables of the environment to set, or not to have if they are None.
    It runs in a process group of its own, which is told to stop if we are interrupted, and
    inherits the descriptors @keep_open, so that a lock lives as long as the last child. Raises
    ToolMissingError, DiskFullError or CommandError.
    """
    (progress or Silent()).command(arguments)
    process = _start(arguments, cwd, env, keep_open)
    lines: list[str] = []
    try:
        for line in process.stdout or ():
            lines.append(line)
            if on_line is not None:
                on_line(line.rstrip("\n"))
        code = process.wait()
    except BaseException:
        _stop(process)
        raise
    if code:
        raise _failure(arguments, code, lines)
    return "".join(lines)


def _start(
    arguments: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str | None] | None,
    keep_open: Sequence[int],
) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=cwd,
            env=_environment(env or {}),
            pass_fds=tuple(keep_open),
            process_group=0,
        )
    except FileNotFoundError as error:
        raise ToolMissingError(f"{arguments[0]} is not installed: run `make setup`") from error


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    wanted = {**os.environ, "LC_ALL": "C", **changes}
    return {name: value for name, value in wanted.items() if value is not None}


def _stop(process: subprocess.Popen[str]) -> None:
    """End the whole group and wait, so that make can remove half-written targets."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)  # nobody has it ignored, unlike SIGINT
    if process.stdout is not None:
        process.stdout.read()
    process.wait()


def _failure(arguments: Sequence[str], code: int, lines: list[str]) -> Exception:
    text = "".join(lines)
    if _DISK_FULL in text:
        return DiskFullError(f"{_DISK_FULL.lower()} while running {arguments[0]}")
    errors = deque((line for line in lines if "error" in line.lower()), maxlen=_TAIL)
    shown = "".join(errors or lines[-_TAIL:]).rstrip()
    return CommandError(f"exit status {code} from\n{quoted(arguments)}\n{shown}", text)
