# SPDX-License-Identifier: GPL-2.0-only
"""Show how far a build is: a bar on a terminal, plain lines elsewhere, nothing by default."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class BuildProgress(Protocol):
    """What a build reports while it runs."""

    def begin(self, title: str, total: int | None = None) -> None:
        """Start a stage; @total is the expected number of steps, None if nobody knows."""

    def step(self, text: str) -> None:
        """Say what is being done now; one step of the stage."""

    def command(self, arguments: Sequence[str]) -> None:
        """Tell an external command before it runs."""

    def end(self) -> None:
        """End the stage."""


def quoted(arguments: Sequence[str]) -> str:
    """Return a command line that can be pasted into a shell."""
    return "$ " + shlex.join(arguments)


class Silent:
    """Report nothing."""

    def begin(self, title: str, total: int | None = None) -> None:
        """Do nothing."""

    def step(self, text: str) -> None:
        """Do nothing."""

    def command(self, arguments: Sequence[str]) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class Plain:
    """Write one line a stage, and each command if @verbose: for logs."""

    def __init__(self, console: Console, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose

    def begin(self, title: str, total: int | None = None) -> None:
        """Write the title, and nothing about @total."""
        del total
        self._write(title)

    def step(self, text: str) -> None:
        """Write the step only if verbose."""
        if self._verbose:
            self._write(f"  {text}")

    def command(self, arguments: Sequence[str]) -> None:
        """Write the command only if verbose."""
        if self._verbose:
            self._write(quoted(arguments))

    def end(self) -> None:
        """Do nothing."""

    def _write(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bar(Plain):
    """Draw a bar with the current step; commands go above it if @verbose."""

    def __init__(self, console: Console, verbose: bool = False) -> None:
        super().__init__(console, verbose)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._total: int | None = None
        self._done = 0

    def begin(self, title: str, total: int | None = None) -> None:
        """Draw the bar of a new stage."""
        self.end()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}", style="dim", markup=False),
        )
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task = self._progress.add_task(title, total=total, step="")
        self._total, self._done = total, 0
        self._progress.start()

    def step(self, text: str) -> None:
        """Advance by one and show @text; the estimate grows rather than claim to be done."""
        if self._progress is None:
            return
        self._done += 1
        if self._total is not None and self._done >= self._total:
            self._total = self._done + 1
        self._progress.update(self._task, total=self._total, completed=self._done, step=text)

    def end(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def for_console(console: Console, verbose: bool = False) -> BuildProgress:
    """Return what suits the console."""
    return Bar(console, verbose) if console.is_terminal else Plain(console, verbose)
