# SPDX-License-Identifier: GPL-2.0-only
"""Each planted bug, hidden in a long random program, comes down to its shortest program."""

from __future__ import annotations

from pathlib import Path

import pytest
from guest_support import built, runner_of
from test_planted_programs import BUGS, pairs

from zsfuzz.bench.hidden import LENGTH, shown
from zsfuzz.boot import boot
from zsfuzz.minimise.judge import minimise_trouble
from zsfuzz.outcome import Outcome
from zsfuzz.planted import planted_patch
from zsfuzz.runner import ORPHAN_TITLE
from zsfuzz.text import format_program, parse_program

ONE = "o0 = malloc(p0, size=2040, owner=c1)\n"
# Two zspages of two objects each, of which one and two are left; the object with an owner moves.
MOVED = """\
o0 = malloc(p0, size=2040)
o1 = malloc(p0, size=2040)
o2 = malloc(p0, size=2040, owner=c1)
free({freed})
compact(p0)
read(o2)
"""
# Two objects of three in two pages; the second one ends where the third begins.
PAIR = "o0 = malloc(p0, size=2712)\no1 = malloc(p0, size=2712)\n"
WARNS = "WARNING in obj_cgroup_release"

# Name: title, and the shortest program that has it.
SHORTEST = {
    "span-entry-missing": (
        "malloc: owner lost in the array of its second page",
        "o0 = malloc(p0, size=2712)\no1 = malloc(p0, size=2712, owner=c1)\n",
    ),
    "array-without-tag": (
        "malloc: owner array without the tag OBJEXTS",
        "o0 = malloc(p0, size=2040)\n",
    ),
    "migration-loses-tag": (
        "migrate: owner array without the tag OBJEXTS",
        "o0 = malloc(p0, size=2040)\nmigrate(o0, page=0)\n",
    ),
    "migration-loses-array": ("migrate: owner lost", ONE + "migrate(o0, page=0)\n"),
    "first-index-rounded-up": (
        "malloc: owner lost",
        PAIR + "o2 = malloc(p0, size=2712, owner=c1)\n",
    ),
    "free-keeps-owner": (
        # The zspage has to stay.
        "free slot keeps an owner",
        "o0 = malloc(p0, size=2040)\no1 = malloc(p0, size=2040, owner=c1)\nfree(o1)\n",
    ),
    "free-keeps-reference": (ORPHAN_TITLE, ONE),
    "free-uncharges-other-size": (
        "stat: cgroup charged too much",
        ONE + "free(o0)\nstat(c1)\n",
    ),
    "compaction-loses-owner": ("read: owner lost", MOVED.format(freed="o0")),
    "compaction-uses-source-index": ("read: owner lost", MOVED.format(freed="o1")),
    "rewrite-keeps-charge": (
        "stat: cgroup charged too much",
        ONE + "write(o0)\nstat(c1)\n",
    ),
    # c1 and c2 have children, and so cannot be removed; nor can c3.
    "removed-cgroup-keeps-charge": (WARNS, ONE.replace("c1", "c4") + "cgroup_remove(c4)\n"),
    "deferred-free-keeps-count": (
        "flush: NR_ZSPAGES is too high",
        "o0 = malloc(p0, size=2040)\nlock_page(o0, page=0)\nfree(o0)\nflush(p0)\n",
    ),
    # c4 is the first cgroup without children: processes may be in such only.
    "zswap-drops-owner": (
        "page_out: owner lost",
        "page_write(v0, owner=c4, pattern=1)\npage_out(v0)\n",
    ),
    "zswap-ignores-limit": (
        "page_out: page goes in zswap, not on the disk",
        "zswap_max(c1, pages=0)\npage_write(v0, owner=c4, pattern=2)\npage_out(v0)\n",
    ),
    "zswap-writeback-keeps-charge": (
        "stat: cgroup charged too much",
        "page_write(v0, owner=c4, pattern=1)\npage_out(v0)\nwriteback()\nstat(c1)\n",
    ),
    "zswap-loses-list": (
        "page_out: page goes on the disk, not in zswap",
        "zswap_max(c1, pages=1)\n"
        + "".join(
            f"page_write(v{page}, owner=c4, pattern={pattern})\npage_out(v{page})\n"
            for page, pattern in enumerate((14, 1, 2))
        ),
    ),
}


# The guest dies within the operation, of what differs from program to program.
NOT_ONE = {"migration-keeps-old-array"}


@pytest.mark.parametrize(("design", "name"), [p for p in pairs() if p[1] not in NOT_ONE])
def test_a_planted_bug_comes_down_to_its_shortest_program(
    design: str, name: str, tmp_path: Path
) -> None:
    title, text = SHORTEST[name]
    with boot(built(design, "plain", planted_patch(design, name)), tmp_path / "console") as machine:
        runner = runner_of(machine)
        trouble = shown(runner, BUGS[name].program, title)
        assert trouble is not None
        smaller = minimise_trouble(runner, trouble, lambda: False)
    assert smaller is not None
    assert format_program(smaller.minimised.program) == text
    assert smaller.minimised.operations == LENGTH
    assert (smaller.trouble.outcome, smaller.trouble.title) == (trouble.outcome, title)


def test_a_warning_does_not_hide_what_else_differs(tmp_path: Path) -> None:
    patch = planted_patch("zpdesc", "removed-cgroup-keeps-charge")
    text = ONE.replace("c1", "c4") + "cgroup_remove(c4)\nfree(o0)\nstat(c3)"
    with boot(built("zpdesc", "plain", patch), tmp_path / "console") as machine:
        trouble = runner_of(machine).run(parse_program(text).wire)
    assert trouble is not None
    assert (trouble.outcome, trouble.title) == (Outcome.KERNEL_SPLAT, WARNS)
    assert trouble.divergence is not None
    assert trouble.divergence.title == "stat: cgroup charged too much"


def test_every_bug_has_its_shortest_program() -> None:
    assert SHORTEST.keys() == BUGS.keys() - NOT_ONE
