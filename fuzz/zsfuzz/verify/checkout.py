# SPDX-License-Identifier: GPL-2.0-only
"""A checkout of our own that borrows a repository's objects and writes nothing into it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from zstools.command import run
from zstools.errors import CommandError, SourceError
from zstools.owntree import GIT_PLACES

_FIRST_BAD = re.compile(r"^([0-9a-f]{40,64}) is the first bad commit", re.MULTILINE)
_ONLY_SKIPPED = "only 'skip'ped commits left"
# What the user's own settings might do to a checkout that is not theirs.
_SETTINGS = ("core.hooksPath=/dev/null", "advice.detachedHead=false", "core.autocrlf=false")


@dataclass(frozen=True)
class Commit:
    """One commit; `date` is the author's, as in 2026-11-25."""

    id: str
    subject: str
    author: str
    date: str

    def __str__(self) -> str:
        return f"{self.id[:12]} {self.subject}"


class Checkout:
    """A work tree in `place`; it stays there, so that the next time little is written.

    Raises SourceError if `repository` is none, CommandError for what else git says.
    """

    def __init__(self, repository: Path, place: Path) -> None:
        self.tree = place
        self._repository = repository.resolve()
        try:
            found = self._ask("rev-parse", "--path-format=absolute", "--git-path", "objects")
        except CommandError as error:
            raise SourceError(
                f"{repository} is not a git repository that can be read: give one with both "
                f"commits, or use `zsfuzz verify`\n{error}"
            ) from error
        self._borrow(Path(found))

    def _borrow(self, objects: Path) -> None:
        if not (self.tree / ".git").is_dir():
            self.tree.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--template=")
        info = self.tree / ".git" / "objects" / "info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "alternates").write_text(f"{objects}\n")
        shallow = Path(self._ask("rev-parse", "--path-format=absolute", "--git-path", "shallow"))
        cut = self.tree / ".git" / "shallow"
        cut.unlink(missing_ok=True)  # the repository may have got its history since
        if shallow.is_file():
            shutil.copy(shallow, cut)
        if (self.tree / ".git" / "BISECT_START").exists():
            self._git("bisect", "reset", "HEAD")  # somebody interrupted the last one

    def resolve(self, revision: str) -> str:
        """Find the commit that a name means in the repository; SourceError if none."""
        try:
            return self._ask("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        except CommandError as error:
            raise SourceError(f"no commit {revision!r} in {self._repository}") from error

    def go_to(self, commit: str) -> None:
        """Check a commit out; what an interrupted run left in the tree is overwritten."""
        self._git("checkout", "--quiet", "--force", "--detach", commit)

    def describe(self, commit: str) -> Commit:
        """Read who made a commit, when, and what its subject is."""
        text = self._git("show", "--no-patch", "--format=%H%n%s%n%an%n%as", commit)
        return Commit(*text.splitlines()[:4])

    def parents(self, commit: str) -> list[str]:
        """List a commit's parents; none for the first one, or where the history was cut off."""
        return self._git("show", "--no-patch", "--format=%P", commit).split()

    def files(self, commit: str) -> str:
        """List the files that a commit changes, with the number of changed lines, as git does."""
        return self._git("show", "--stat=100", "--format=", commit).rstrip()

    # ---- bisecting ---------------------------------------------------------------------------

    def start(self, good: str, bad: str) -> str | None:
        """Begin; the commit to test next is checked out, or the first bad one is returned."""
        return _first_bad(self._git("bisect", "start", bad, good, "--"))

    def mark(self, word: str) -> str | None:
        """Call what is checked out "good", "bad" or "skip"; the first bad commit once it is known.

        Raises OnlySkipped if the commits left cannot be tested.
        """
        try:
            return _first_bad(self._git("bisect", word))
        except CommandError as error:
            if _ONLY_SKIPPED in error.output:
                raise OnlySkipped(self._left()) from None
            raise

    def head(self) -> str:
        """Name the commit that is checked out."""
        return self._git("rev-parse", "HEAD").strip()

    def _left(self) -> list[str]:
        goods = self._git("for-each-ref", "--format=%(refname)", "refs/bisect/good-*").split()
        return self._git("rev-list", "refs/bisect/bad", "--not", *goods).split()

    # ---- git ---------------------------------------------------------------------------------

    def _git(self, *arguments: str) -> str:
        settings = (part for setting in _SETTINGS for part in ("-c", setting))
        return run(["git", *settings, *arguments], cwd=self.tree, env=_ENVIRONMENT)

    def _ask(self, *arguments: str) -> str:
        """Ask the repository itself, in ways that write nothing."""
        return run(["git", *arguments], cwd=self._repository, env=_ENVIRONMENT).strip()


# Git must not look beyond the folders that it is given, nor wait for anybody at a terminal.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat",
    **dict.fromkeys(GIT_PLACES),
}  # fmt: skip


class OnlySkipped(Exception):
    """The first bad commit is one of `commits`, newest first, and none of these can be tested."""

    def __init__(self, commits: list[str]) -> None:
        super().__init__(f"{len(commits)} commits are left")
        self.commits = commits


def _first_bad(output: str) -> str | None:
    found = _FIRST_BAD.search(output)
    return found[1] if found else None
