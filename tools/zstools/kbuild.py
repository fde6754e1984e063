# SPDX-License-Identifier: GPL-2.0-only
"""Configure and compile a kernel by its own build system, as User Mode Linux."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zstools.command import run
from zstools.errors import CommandError, ConfigError
from zstools.kconfig import overlay, verify
from zstools.progress import BuildProgress

_STEP = re.compile(r"^  ([A-Z]{2,}(?: \[M\])?) +(\S.*)$")
# The same inputs shall give the same kernel.
_ENVIRONMENT = {
    "KBUILD_BUILD_TIMESTAMP": "@0",
    "KBUILD_BUILD_USER": "zsfuzz",
    "KBUILD_BUILD_HOST": "zsfuzz",
    "KBUILD_BUILD_VERSION": "1",
}
# Coverage of this one file; of all others it would be noise.
_INSTRUMENT = "KCOV_INSTRUMENT_zsmalloc.o=y"
# What a kernel with CONFIG_GCOV_KERNEL (variant gcov) counts; others ignore it.
COUNTED = ("mm/zsmalloc.c", "mm/zswap.c", "mm/memcontrol.c")
_COUNT = tuple(f"GCOV_PROFILE_{Path(name).stem}.o=y" for name in COUNTED)
_RUNNING, _STOPPED = "running", "stopped"


def make_command(build: Path, jobs: int) -> list[str]:
    """Begin a make of kbuild for an object directory, which lies in its source tree.

    Not make -C BUILD: the Makefile there has the tree's path, and the cache may have been moved.
    """
    return ["make", "-C", str(build.parent), f"O={build.name}", "ARCH=um", f"-j{jobs}"]


@dataclass
class Kbuild:
    """One object directory inside its source tree, so that all of kbuild's paths are relative."""

    build: Path
    progress: BuildProgress
    lock: int  # descriptor of the cache's lock
    steps: int = field(default=0, init=False)

    def discard_broken(self) -> None:
        """Remove an object directory in which make did not end by itself."""
        if self.build.is_dir() and self._read_state() == _RUNNING:
            shutil.rmtree(self.build)

    def forget_options(self) -> None:
        """Let configure() begin with tinyconfig, so that no default of a sibling stays.

        What kbuild knows of the options that the objects were made with stays: include/config.
        """
        (self.build / ".config").unlink(missing_ok=True)

    def mark_stopped(self) -> None:
        """Declare that the objects in the directory are whole as far as they go."""
        self._write_state(_STOPPED)

    def configure(self, options: Mapping[str, str]) -> None:
        """Write .config; raise ConfigError if an option does not hold."""
        config = self.build / ".config"
        if not config.is_file():
            self.make("tinyconfig")
        config.write_text(overlay(config.read_text(), options))
        try:
            self.make("olddefconfig")
        except CommandError as error:
            raise ConfigError(f"olddefconfig failed: {error}") from error
        verify(config.read_text(), options)

    def compile(self) -> None:
        """Build vmlinux and what modules need; on an interrupt the same call goes on later."""
        self._write_state(_RUNNING)
        try:
            self.make("vmlinux", "modules", jobs=os.cpu_count() or 1)
        except (KeyboardInterrupt, CommandError):
            # make has stopped by itself and removed half-written targets.
            self.mark_stopped()
            raise
        self.mark_stopped()

    def make(self, *targets: str, jobs: int = 1) -> None:
        """Run make in the tree; raise CommandError with the compiler's errors."""
        command = [*make_command(self.build, jobs), _INSTRUMENT, *_COUNT, *targets]
        run(
            command,
            progress=self.progress,
            on_line=self._on_line,
            env=_ENVIRONMENT,
            keep_open=(self.lock,),
        )

    def _on_line(self, line: str) -> None:
        found = _STEP.match(line)
        if found is not None:
            self.steps += 1
            self.progress.step(f"{found[1]} {found[2]}")

    def _state(self) -> Path:
        return self.build / ".zsfuzz-state"

    def _read_state(self) -> str:
        try:
            return self._state().read_text()
        except OSError:
            return _RUNNING

    def _write_state(self, state: str) -> None:
        self._state().write_text(state)
