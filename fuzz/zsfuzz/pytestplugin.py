# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: `pytest --zsfuzz-corpus corpus/` is one test for each program.

All run on one guest (a fresh one after each trouble), each with the dear check of what it left
behind, so that the test that fails is the culprit's; `zsfuzz replay` is a hundred times as fast.
A broken file is an error of its own.
Only pytest is imported until there is something to run, as this is loaded in each run of pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zsfuzz.runner import Runner, Trouble
    from zstools.kernel import Kernel

_CORPUS = "zsfuzz_corpus"
_SUFFIX = ".msgpack"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --zsfuzz-corpus, and options for the kernel like those of `zsfuzz replay`."""
    group = parser.getgroup("zsfuzz", "replay of programs on a kernel's zsmalloc")
    group.addoption("--zsfuzz-corpus", dest=_CORPUS, action="append", default=[], metavar="PATH",
                    help="Folder of programs, or one program; may be repeated.")  # fmt: skip
    group.addoption("--zsfuzz-design", default="zspage", help="zspage (default), zpdesc or stock.")
    group.addoption("--zsfuzz-flavour", default="plain", help="plain (default), kasan or lockdep.")
    group.addoption("--zsfuzz-linux", metavar="TREE", help="Kernel tree to copy.")
    group.addoption("--zsfuzz-patch", action="append", default=[], metavar="FILE",
                    help="Patch on top of the design; may be repeated.")  # fmt: skip
    group.addoption("--zsfuzz-profile", metavar="OPTION=VALUE,...",
                    help="As --profile of `zsfuzz replay`.")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Collect the corpus, and nothing else unless the command line names it."""
    corpora = [_absolute(config, name) for name in config.getoption(_CORPUS)]
    if not corpora:
        return
    for path in corpora:
        if not path.exists():
            raise pytest.UsageError(f"--zsfuzz-corpus {path}: there is no such file or folder")
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args = [*(config.args if named else ()), *map(str, corpora)]
    config.pluginmanager.register(Replay(config, corpora), "zsfuzz-replay")


def _absolute(config: pytest.Config, name: str) -> Path:
    return (config.invocation_params.dir / name).resolve()


class Replay:
    """What is there for a session with a corpus: its files as tests, and one guest."""

    def __init__(self, config: pytest.Config, corpora: list[Path]) -> None:
        self._config = config
        self._corpora = corpora
        self._scratch: TemporaryDirectory[str] | None = None
        self._runner: Runner | None = None
        self.kernel: Kernel | None = None

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """Take each program in and below the folders that were named."""
        wanted = any(path in (file_path, *file_path.parents) for path in self._corpora)
        if not wanted or file_path.suffix != _SUFFIX or file_path.name.startswith("."):
            return None
        collected: ProgramFile = ProgramFile.from_parent(parent, path=file_path)
        collected.replay = self
        return collected

    def trouble_of(self, wire: bytes) -> Trouble | None:
        """Run a program on the guest, which is booted when needed: after trouble and errors anew.

        What a failure of the harness has left of the old guest would look like a lost one.
        """
        from zsfuzz.bootfailure import boot_trouble  # noqa: PLC0415
        from zsfuzz.errors import BootFailed  # noqa: PLC0415

        try:
            self._runner = self._runner or self._boot()
            trouble = self._runner.examine(wire)
        except BootFailed as error:
            trouble = boot_trouble(error, wire)
        except BaseException:
            self._end_guest()
            raise
        if trouble is not None:
            self._end_guest()
        return trouble

    def _boot(self) -> Runner:
        from zsfuzz.boot import boot  # noqa: PLC0415
        from zsfuzz.runner import Runner  # noqa: PLC0415
        from zsmodel import Model  # noqa: PLC0415

        self.kernel = self.kernel or self._build()
        self._scratch = TemporaryDirectory(prefix="zsfuzz-pytest-")
        machine = boot(self.kernel, Path(self._scratch.name) / "console")
        return Runner(machine, Model(machine.kernel))

    def _build(self) -> Kernel:
        from zsfuzz.probe.kernel import probed  # noqa: PLC0415
        from zstools.kernel import KernelSpec, ensure_kernel, usual_design  # noqa: PLC0415

        option = self._config.getoption
        linux = option("--zsfuzz-linux")
        tree = _absolute(self._config, linux) if linux else None
        patches = [_absolute(self._config, name) for name in option("--zsfuzz-patch")]
        design = usual_design(option("--zsfuzz-design"), tree)
        profile = option("--zsfuzz-profile")
        spec = KernelSpec(design, option("--zsfuzz-flavour"), tree, tuple(patches), profile=profile)
        return probed(ensure_kernel(spec))

    def _end_guest(self) -> None:
        if self._runner is not None:
            self._runner.target.close()
        if self._scratch is not None:
            self._scratch.cleanup()
        self._runner = self._scratch = None

    def pytest_sessionfinish(self) -> None:
        """End the guest."""
        self._end_guest()


class InTrouble(AssertionError):
    """A program did not agree; the text is the report."""


class ProgramFile(pytest.File):
    """One corpus file."""

    replay: Replay

    def collect(self) -> Iterator[pytest.Item]:
        """Give its one test, which is named after the file."""
        yield ProgramTest.from_parent(self, name=self.path.stem)


class ProgramTest(pytest.Item):
    """Run one program beside the model, then look at what it left behind."""

    def setup(self) -> None:
        """Read the file and run the program: pytest calls what goes wrong here an error.

        So a fault of the harness is never shown as a failed test, which is for kernels.
        """
        from zsfuzz.corpusfile import load_wire  # noqa: PLC0415
        from zsfuzz.errors import ZsfuzzError  # noqa: PLC0415
        from zstools.errors import ZsToolsError  # noqa: PLC0415

        try:
            wire = load_wire(self.path)
            self._trouble = self._replay.trouble_of(wire)
        except (ZsfuzzError, ZsToolsError) as error:
            pytest.fail(f"error, not a verdict on the kernel: {error}", pytrace=False)

    def runtest(self) -> None:
        """Fail with a report if kernel and model differed."""
        if self._trouble is not None:
            raise InTrouble(self._report(self._trouble))

    @property
    def _replay(self) -> Replay:
        parent = self.parent
        assert isinstance(parent, ProgramFile)  # noqa: S101 - for the type checker
        return parent.replay

    def _report(self, trouble: Trouble) -> str:
        from zsfuzz.findings.followup import finding_of  # noqa: PLC0415
        from zsfuzz.manifest import finding_manifest  # noqa: PLC0415
        from zsfuzz.report.plaintext import render  # noqa: PLC0415

        kernel = self._replay.kernel
        assert kernel is not None  # noqa: S101 - for the type checker
        finding = finding_of(
            trouble,
            kernel=finding_manifest(kernel),
            flavours=(kernel.spec.flavour,),
        )
        return render(finding, self.path)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: object = None,  # noqa: ARG002 - pytest's
    ) -> str:
        """Show the report without a traceback."""
        if isinstance(excinfo.value, InTrouble):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the test by its file."""
        return self.path, None, self.name
