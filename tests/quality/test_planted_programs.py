# SPDX-License-Identifier: GPL-2.0-only
"""Each planted bug is shown by a small program, under a title that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from guest_support import built

from zsfuzz.boot import boot
from zsfuzz.planted import planted_dirs, planted_patch
from zsfuzz.runner import ORPHAN_TITLE, Runner
from zsfuzz.text import parse_program
from zsmodel import Model

# Three objects in two pages; o1 lies in both.
SPAN = "".join(f"o{n} = malloc(p0, size=2712, owner=c{n + 1})\n" for n in range(3))
# Two zspages of two objects each, with o1 and o3 left in their second slots: o1 moves to a first.
MOVE = (
    "".join(f"o{n} = malloc(p0, size=2040, owner=c{n + 1})\n" for n in range(4))
    + "free(o0)\nfree(o2)\ncompact(p0)\nread(o1)\nread(o3)\n"
)
ONE = "o0 = malloc(p0, size=2040, owner=c4)\n"
HUGE = "o0 = malloc(p0, size=4096, owner=c1)\n"

SWAPPED = "page_write(v0, owner=c4, pattern=9)\npage_out(v0)\n"
FULL = "zswap_max(c4, pages=1)\n" + "".join(
    f"page_write(v{n}, owner=c4, pattern=14)\npage_out(v{n})\n" for n in range(4)
)

# Name: program, titles (without the operation) of which one must be given.
BUGS = {
    "span-entry-missing": (SPAN, {"owner lost in the array of its second page"}),
    "array-without-tag": (ONE, {"owner array without the tag OBJEXTS"}),
    "migration-loses-tag": (
        SPAN + "migrate(o1, page=1)", {"owner array without the tag OBJEXTS"}
    ),
    "migration-loses-array": (HUGE + "migrate(o0, page=0)", {"owner lost"}),
    "first-index-rounded-up": (SPAN, {"owner lost"}),
    "free-keeps-owner": (
        ONE + "o1 = malloc(p0, size=2040)\nfree(o0)", {"free slot keeps an owner"}
    ),
    "free-keeps-reference": (ONE + "free(o0)", {ORPHAN_TITLE}),
    "free-uncharges-other-size": (ONE + "free(o0)\nstat(c4)", {"cgroup charged too much"}),
    "compaction-loses-owner": (MOVE, {"owner lost"}),
    "compaction-uses-source-index": (MOVE, {"owner lost", "owner is another cgroup"}),
    "rewrite-keeps-charge": (ONE + "write(o0, owner=c5)\nstat(c4)", {"cgroup charged too much"}),
    "removed-cgroup-keeps-charge": (
        ONE + "cgroup_remove(c4)\nfree(o0)\nstat(c3)",
        # The kernel sees bytes left over, less than a page, when the last reference goes.
        {"cgroup charged too much", "WARNING in obj_cgroup_release"},
    ),
    "deferred-free-keeps-count": (
        ONE + "lock_page(o0, page=0)\nfree(o0)\nflush(p0)", {"NR_ZSPAGES is too high"}
    ),
    "zswap-drops-owner": (SWAPPED, {"owner lost"}),
    "zswap-ignores-limit": (
        "zswap_max(c4, pages=0)\n" + SWAPPED, {"page goes in zswap, not on the disk"}
    ),
    "zswap-writeback-keeps-charge": (
        SWAPPED + "writeback()\nstat(c4)", {"cgroup charged too much"}
    ),
    "zswap-loses-list": (FULL, {"page goes on the disk, not in zswap"}),
}  # fmt: skip
# What both designs have in common is tried on one of them, but for what differs in effect.
ON_ZSPAGE = ("compaction-uses-source-index",)


def pairs() -> list[tuple[str, str]]:
    return [("zpdesc", name) for name in BUGS] + [("zspage", name) for name in ON_ZSPAGE]


def title(design: str, patches: tuple[Path, ...], text: str, folder: Path) -> str | None:
    with boot(built(design, "plain", *patches), folder / "console") as machine:
        runner = Runner(machine, Model(machine.kernel))
        trouble = runner.run_and_audit(parse_program(text).wire)
    return trouble.title if trouble else None


@pytest.mark.parametrize(("design", "name"), pairs())
def test_a_small_program_shows_the_bug_by_its_name(design: str, name: str, tmp_path: Path) -> None:
    text, titles = BUGS[name]
    found = title(design, (planted_patch(design, name),), text, tmp_path)
    assert found is not None
    assert found.rpartition(": ")[2] in titles


@pytest.mark.parametrize("design", ["zspage", "zpdesc"])
def test_the_programs_show_nothing_on_a_clean_kernel(design: str, tmp_path: Path) -> None:
    with boot(built(design, "plain"), tmp_path / "console") as machine:
        runner = Runner(machine, Model(machine.kernel))
        for text, _ in BUGS.values():
            assert runner.run_and_audit(parse_program(text).wire) is None


def test_every_program_has_its_patch() -> None:
    there = {p.stem for folder in planted_dirs("zpdesc") for p in folder.glob("*.patch")}
    assert set(BUGS) <= there
