# SPDX-License-Identifier: GPL-2.0-only
"""Console logs of real guests: each gets the title, kind and truncation that it says on top.

console/provoke/provoke.py makes them again.
"""

from pathlib import Path

import pytest

from zsfuzz.console.complaints import Splat, find_splats

LOGS = sorted((Path(__file__).parent / "console").glob("*.log"))
# Deaths and hangs of which the console says nothing, and what the agent itself says.
SILENT = {"silent-death", "silent-hang", "init-killed"}
TELLING = [path for path in LOGS if path.stem not in SILENT]
# The fault does not end the guest, or ends it twice: what follows is another complaint.
FOLLOWED = {"scheduling"}
# The kernel looks again and says it again.
REPEATED = {"hung-task", "hung-task-on-mutex", "ubsan"}
NUMBER = set("0123456789")


def read(path: Path) -> tuple[dict[str, str], str]:
    """The head, and the console."""
    head, _, console = path.read_text().partition("\n\n")
    return dict(line.split(": ", 1) for line in head.replace(":\n", ": \n").splitlines()), console


def first(console: str) -> Splat | None:
    return next(iter(find_splats(console)), None)


def by_stem(path: Path) -> str:
    return path.stem


def test_there_is_a_log_of_each_kind():
    kinds = {read(path)[0]["KIND"] for path in TELLING}
    assert kinds >= {
        "atomic", "bad page", "bug", "debug objects", "fault", "host", "hung task", "kasan",
        "kmemleak", "leftover", "list corruption", "lockdep", "out of memory", "panic", "refcount",
        "ubsan", "warning",
    }  # fmt: skip


def test_silent_logs_have_no_complaint():
    assert {path.stem for path in LOGS} >= SILENT
    for path in LOGS:
        if path.stem in SILENT:
            assert find_splats(read(path)[1]) == [], path


@pytest.mark.parametrize("path", TELLING, ids=by_stem)
def test_the_first_complaint_of_a_log_is_what_its_head_says(path):
    expected, console = read(path)
    splat = first(console)
    assert splat is not None
    assert splat.title == expected["TITLE"]
    assert splat.kind == expected["KIND"]
    assert splat.truncated == expected.get("TRUNCATED", "")


@pytest.mark.parametrize("path", TELLING, ids=by_stem)
def test_a_title_has_no_numbers(path):
    assert not NUMBER & set(first(read(path)[1]).title)


@pytest.mark.parametrize("path", TELLING, ids=by_stem)
def test_parsed_from_its_end_a_log_does_not_have_the_same_complaint_again(path):
    console = read(path)[1]
    splat = first(console)
    rest = find_splats("\n".join(console.split("\n")[splat.end :]))
    if path.stem not in REPEATED:
        assert splat.title not in {other.title for other in rest}
        assert path.stem in FOLLOWED or not rest
    assert all(other.lines != splat.lines for other in rest)


@pytest.mark.parametrize("path", TELLING, ids=by_stem)
def test_a_complaint_on_its_own_gets_the_same_title(path):
    splat = first(read(path)[1])
    assert first("\n".join(splat.lines)).title == splat.title


@pytest.mark.parametrize("path", TELLING, ids=by_stem)
def test_wherever_a_log_is_cut_off_what_is_left_has_one_complaint_or_none(path):
    lines = read(path)[1].split("\n")
    whole = first("\n".join(lines))
    for at in range(whole.end):
        found = find_splats("\n".join(lines[:at]))
        assert len(found) <= 1
        if found and not found[0].truncated and found[0].kind != whole.kind:
            # The line that tells more comes later: until then a plainer kind is right.
            assert whole.kind in ("refcount", "list corruption", "debug objects", "panic")
