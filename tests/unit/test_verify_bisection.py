# SPDX-License-Identifier: GPL-2.0-only
"""Bisecting real git histories whose commits say themselves what they would show."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from zsfuzz.outcome import Outcome
from zsfuzz.runner import Trouble
from zsfuzz.verify.bisection import Bisection, CannotBisect, Culprit
from zsfuzz.verify.checkout import Checkout
from zsfuzz.verify.trial import Trial
from zstools.errors import CommandError, DiskFullError, SourceError

pytestmark = pytest.mark.unit

TITLE = "free slot keeps an owner"
NEVER, SHOWS, OTHER, BROKEN, FULL = "never", "shows", "other", "does not build", "disk full"


def git(tree: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Example", "-c", "user.email=dev@example.org")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=tree, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class History:
    """A repository of one file, which says what a kernel of each commit does."""

    def __init__(self, folder: Path, *states: str) -> None:
        self.tree = folder / "linux"
        self.tree.mkdir()
        git(self.tree, "init", "--quiet", "--template=")
        self.ids = [self._commit(n, state) for n, state in enumerate(states)]
        self.checkout = Checkout(self.tree, folder / "ours")
        self.said: list[str] = []
        self.tested: list[int] = []

    def _commit(self, number: int, state: str) -> str:
        (self.tree / "state").write_text(f"{state}\n{number}\n")
        git(self.tree, "add", "state")
        git(self.tree, "commit", "--quiet", "-m", f"mm: change {number}")
        return git(self.tree, "rev-parse", "HEAD")

    def test(self, title: str) -> Trial:
        state, number = (self.checkout.tree / "state").read_text().splitlines()
        self.tested.append(int(number))
        if state == BROKEN:
            raise CommandError("exit status 2 from make")
        if state == FULL:
            raise DiskFullError("no space left")
        if state == NEVER:
            return Trial(title, 3, 0)
        found = TITLE if state == SHOWS else "something else"
        trouble = Trouble(Outcome.DIVERGENCE, found, b"")
        if title in {"", found}:
            return Trial(found, 1, 1, trouble=trouble)
        return Trial(title, 3, 0, Counter({found: 3}), trouble)

    def bisect(self, good: int = 0, bad: int = -1, title: str = TITLE) -> Culprit:
        bisection = Bisection(self.checkout, self.test, self.said.append, title)
        return bisection.find(self.ids[good], self.ids[bad])

    def number_of(self, culprit: Culprit) -> list[int]:
        return [self.ids.index(commit.id) for commit in culprit.commits]


@pytest.mark.parametrize("first", range(1, 9))
def test_the_first_bad_commit_is_found_wherever_it_is(tmp_path: Path, first: int) -> None:
    history = History(tmp_path, *[NEVER] * first, *[SHOWS] * (9 - first))
    culprit = history.bisect()
    assert history.number_of(culprit) == [first]
    assert culprit.before is not None
    assert culprit.before.clean
    assert culprit.after is not None
    assert culprit.after.hits


def test_what_does_not_build_is_skipped(tmp_path: Path) -> None:
    states = [NEVER, NEVER, BROKEN, NEVER, BROKEN, NEVER, SHOWS, SHOWS, SHOWS]
    history = History(tmp_path, *states)
    culprit = history.bisect()
    assert history.number_of(culprit) == [6]
    # Which of them git wants to try depends on the commits' names.
    assert set() < set(culprit.skipped) <= {history.ids[2], history.ids[4]}
    assert any("skipped: exit status 2 from make" in line for line in history.said)


def test_what_shows_something_else_is_skipped(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, NEVER, OTHER, NEVER, SHOWS, SHOWS)
    assert history.number_of(history.bisect()) == [4]


def test_commits_that_cannot_be_told_apart_are_all_named(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, BROKEN, BROKEN, SHOWS)
    assert sorted(history.number_of(history.bisect())) == [1, 2, 3]


def test_many_commits_that_cannot_be_told_apart_are_all_named(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, *[BROKEN] * 20, SHOWS)
    assert sorted(history.number_of(history.bisect())) == list(range(1, 22))


def test_why_a_commit_is_skipped_is_the_compilers_first_error(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, BROKEN, NEVER, SHOWS)
    real = history.test

    def test(title: str) -> Trial:
        try:
            return real(title)
        except CommandError:
            text = "exit status 2 from\nmake\nmm/a.c:1: error: no x\nmake: *** Error 1"
            raise CommandError(text) from None

    history.test = test
    history.bisect()
    skipped = [line for line in history.said if "skipped" in line]
    assert all(line.endswith("skipped: mm/a.c:1: error: no x") for line in skipped)


def test_variables_of_a_hook_do_not_lead_to_the_users_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(tmp_path, NEVER, NEVER, SHOWS, SHOWS)
    head = (history.tree / ".git" / "HEAD").read_text()
    monkeypatch.setenv("GIT_DIR", str(history.tree / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(history.tree))
    assert history.number_of(history.bisect()) == [2]
    assert (history.tree / ".git" / "HEAD").read_text() == head


def test_a_history_that_has_become_whole_is_bisected_as_a_whole(tmp_path: Path) -> None:
    history = History(tmp_path, *[NEVER] * 2, *[SHOWS] * 6)
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=3", f"file://{history.tree}", str(shallow))
    Checkout(shallow, tmp_path / "checkout")
    git(shallow, "fetch", "--quiet", "--unshallow")
    history.checkout = Checkout(shallow, tmp_path / "checkout")
    assert history.number_of(history.bisect()) == [2]


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError):
        History(tmp_path, NEVER, FULL, SHOWS).bisect()


def test_ends_that_are_not_good_and_bad_are_refused(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, SHOWS, NEVER, SHOWS)
    with pytest.raises(CannotBisect, match=r"BAD .* does not show in 3 runs"):
        history.bisect(0, 2)
    with pytest.raises(CannotBisect, match=r"GOOD .* shows in 1 of 1 runs"):
        history.bisect(1, 3)


def test_a_title_that_is_another_one_on_this_tree_is_taken_from_bad(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, NEVER, OTHER, OTHER)
    assert history.number_of(history.bisect()) == [2]
    assert history.said[1].startswith("  looking for that from now on")


def test_nothing_is_written_into_the_users_tree(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, NEVER, SHOWS, SHOWS)
    (history.tree / "state").write_text("an edit of the user's\n")

    def contents() -> dict[Path, bytes]:
        files = (path for path in history.tree.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files}

    before = contents()
    history.bisect()
    assert contents() == before


def test_a_checkout_is_used_again(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, NEVER, SHOWS, SHOWS)
    history.bisect()
    history.checkout = Checkout(history.tree, history.checkout.tree)
    assert history.number_of(history.bisect()) == [2]


def test_an_interrupted_bisection_is_forgotten(tmp_path: Path) -> None:
    history = History(tmp_path, NEVER, NEVER, NEVER, SHOWS, SHOWS)
    history.checkout.go_to(history.ids[0])
    history.checkout.start(history.ids[0], history.ids[4])
    history.checkout = Checkout(history.tree, history.checkout.tree)
    assert history.number_of(history.bisect()) == [3]


def test_a_folder_that_is_no_repository_and_an_unknown_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceError, match="is not a git repository"):
        Checkout(tmp_path / "plain", tmp_path / "ours")
    history = History(tmp_path, NEVER)
    with pytest.raises(SourceError, match=r"no commit 'v9\.9'"):
        history.checkout.resolve("v9.9")
