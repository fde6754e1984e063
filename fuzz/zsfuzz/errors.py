# SPDX-License-Identifier: GPL-2.0-only
"""All exceptions of zsfuzz, each with who is at fault and what usually causes it."""

from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsfuzz.runner import Trouble


class ZsfuzzError(Exception):
    """Anything that zsfuzz raises on purpose; the text is for the user, and says what to do.

    `unsaved` are the troubles that programs were in, if the error came while they were looked into.
    """

    unsaved: "tuple[Trouble, ...]" = ()


# ---- what the user gave us -----------------------------------------------------------------


class BadProgram(ZsfuzzError):
    """A program is not well-formed: the fault of who wrote it, or of a damaged file.

    `line` counts lines of text and `op` operations, both from 1; either may be None.
    """

    def __init__(self, reason: str, *, line: int | None = None, op: int | None = None) -> None:
        where = f"line {line}: " if line is not None else f"op {op}: " if op is not None else ""
        super().__init__(where + reason)
        self.reason = reason
        self.line = line
        self.op = op


class BadCorpusFile(ZsfuzzError):
    """A corpus file cannot be used: truncated by a full disk, from a newer zsfuzz, or not ours."""

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        super().__init__(f"{path}: {reason}: {advice}")
        self.path = path
        self.reason = reason
        self.advice = advice


class BadPatch(ZsfuzzError):
    """A planted bug's patch cannot be used: it is not there, or says something unknown."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class OutputBusy(ZsfuzzError):
    """Another run holds the output directory: nobody's fault, the user started two."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            f"{path} is in use by another run ({holder}): stop that one, or name another directory"
        )
        self.path = path
        self.holder = holder


class OutputLost(ZsfuzzError):
    """A finding or corpus file could not be written: a full or read-only disk, or no rights."""

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        full = error.errno in (ENOSPC, EDQUOT)
        advice = f"{'free some space there' if full else 'allow to write there'}, or name another"
        super().__init__(f"{path}: {reason.lower()}: {advice}")
        self.path = path


class KernelBuildMissing(ZsfuzzError):
    """No built kernel fits what was asked: usually nothing was built yet for this design."""


# ---- our own machinery ---------------------------------------------------------------------


class HarnessError(ZsfuzzError):
    """zsfuzz itself failed: never evidence against the kernel.

    Usual causes: the module was built for another kernel, no space on /dev/shm, a bug of ours.
    """


class GuestRefused(HarnessError):
    """The module refused a request as a whole: the host wrote something malformed into the ring."""


# ---- what became of the guest --------------------------------------------------------------


class Unanswered(ZsfuzzError):
    """The guest left a request without an answer: see GuestLost and GuestHang.

    `results` are those of the operations that were finished before.
    """

    def __init__(self, reason: str, console: str = "", results: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.console = console
        self.results = results


class GuestLost(Unanswered):
    """The guest went away in mid-program: a kernel panic, usually."""


class GuestKilled(GuestLost, HarnessError):
    """The guest was ended by SIGKILL, which no kernel sends itself: no evidence against it.

    Usual causes: the host's OOM killer, a limit of a container, a user.
    """


class GuestHang(Unanswered):
    """The guest is alive but did not answer in time: a loop or deadlock in the kernel, usually."""


class BootFailed(ZsfuzzError):
    """The kernel complained before the first program could be run: usually a bug in the kernel.

    A guest that does not get ready without a complaint of its kernel is a HarnessError.
    """

    def __init__(self, reason: str, console: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.console = console


class KernelSplat(ZsfuzzError):
    """The kernel answered, but warned, oopsed or found a bad page: usually a bug in the kernel.

    `answer` is what it said to the program, None if it was asked something else.
    """

    def __init__(self, reason: str, console: str = "", answer: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.console = console
        self.answer = answer
