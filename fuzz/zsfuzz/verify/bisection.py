# SPDX-License-Identifier: GPL-2.0-only
"""Find the commit from which on a finding shows, whatever it takes to test one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zsfuzz.errors import HarnessError, ZsfuzzError
from zsfuzz.verify.cannotshow import CannotShow
from zsfuzz.verify.checkout import Checkout, Commit, OnlySkipped
from zsfuzz.verify.trial import Trial
from zstools.errors import (
    BuildInterruptedError,
    DiskFullError,
    ToolMissingError,
    ZsToolsError,
)

# The tree is checked out: build it, and run the program as often as needed.  The text is the
# finding's title, "" if it is not known yet.
Test = Callable[[str], Trial]
Say = Callable[[str], None]

# Not what a commit does: the next one would end in the same way.
_OURS = (BuildInterruptedError, DiskFullError, ToolMissingError)


class CannotBisect(ZsfuzzError):
    """One of the two ends is not as was said, so that there is nothing between them to find."""


@dataclass(frozen=True)
class Culprit:
    """The first bad commit, or those that it may be if none of them can be tested.

    `before` is the trial of its parent, `after` its own; None if that was not tested.
    """

    commits: tuple[Commit, ...]
    before: Trial | None = None
    after: Trial | None = None
    skipped: tuple[str, ...] = ()


@dataclass
class Bisection:
    """Bisect between two commits of a checkout; `say` gets a line for each step."""

    checkout: Checkout
    test: Test
    say: Say
    title: str = ""
    _trials: dict[str, Trial] = field(default_factory=dict)
    _skipped: list[str] = field(default_factory=list)

    def find(self, good: str, bad: str) -> Culprit:
        """Test both ends, then what lies between.

        Raises CannotBisect if the ends are not good and bad, or whatever building them raises.
        """
        self._check_bad(bad)
        self._check_good(good)
        try:
            found = self.checkout.start(good, bad)
            while found is None:
                found = self.checkout.mark(self._verdict(self.checkout.head()))
        except OnlySkipped as left:
            commits = tuple(self.checkout.describe(commit) for commit in left.commits)
            return Culprit(commits, skipped=tuple(self._skipped))
        parents = self.checkout.parents(found)
        before = self._trials.get(parents[0]) if parents else None
        commit = self.checkout.describe(found)
        return Culprit((commit,), before, self._trials.get(found), tuple(self._skipped))

    # ---- the ends ----------------------------------------------------------------------------

    def _check_bad(self, commit: str) -> None:
        trial = self._tried(commit)
        if trial.clean:
            raise CannotBisect(
                f"BAD ({self.checkout.describe(commit)}) {trial}: give a commit that has it, "
                "or more --runs"
            )
        if not trial.hits:
            # Seen on another tree or flavour, it may have another title here.
            self.title = next(iter(trial.others))
            self.say(f"  looking for that from now on, not for {trial.title!r}")
            self._trials[commit] = self._tried(commit)
        self.title = self._trials[commit].title

    def _check_good(self, commit: str) -> None:
        trial = self._tried(commit)
        if not trial.clean:
            raise CannotBisect(
                f"GOOD ({self.checkout.describe(commit)}) {trial}: give an older commit"
            )

    def _tried(self, commit: str) -> Trial:
        self.checkout.go_to(commit)
        try:
            trial = self._trials[commit] = self.test(self.title)
        except CannotShow as error:
            raise CannotBisect(f"{self.checkout.describe(commit)}: {error}") from error
        self._say(commit, str(trial))
        return trial

    # ---- between them ------------------------------------------------------------------------

    def _verdict(self, commit: str) -> str:
        """Test what is checked out; what does not build, or shows something else, tells nothing."""
        try:
            trial = self.test(self.title)
        except (ZsToolsError, HarnessError, CannotShow) as error:
            if isinstance(error, _OURS):
                raise
            return self._skip(commit, _reason(error))
        self._trials[commit] = trial
        if trial.hits or trial.clean:
            self._say(commit, str(trial))
            return "bad" if trial.hits else "good"
        return self._skip(commit, str(trial))

    def _skip(self, commit: str, reason: str) -> str:
        self._skipped.append(commit)
        self._say(commit, f"skipped: {reason}")
        return "skip"

    def _say(self, commit: str, text: str) -> None:
        self.say(f"{self.checkout.describe(commit)}: {text}")


def _reason(error: Exception) -> str:
    """Give the line that says most: the compiler's first error, else the first line."""
    lines = str(error).splitlines()
    return next((line for line in lines if "error:" in line), lines[0])
