# SPDX-License-Identifier: GPL-2.0-only
"""Whether the reproducer of each planted bug fails on the kernel with the bug, and only there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.bench.bugs.catalogue import catalogue
from zsfuzz.corpusfile import Entry, load_dir
from zsfuzz.planted import planted_patch
from zsfuzz.repro.attempt import Attempt, attempt
from zsfuzz.text import parse_program
from zstools.kernel import Kernel
from zstools.paths import project_root

DESIGNS = ("zspage", "zpdesc")
# With these no guest gets ready, or any program shows it: there is none in corpus/regressions.
AT_BOOT = {
    bug: Entry(parse_program(text), note, extra={"rarely": True} if rarely else {})
    for bug, rarely, text, note in (
        (
            "array-not-cleared", True,
            "".join(f"o{n} = malloc(p0, size=2720)\n" for n in range(6)),
            "a new object has no owner",
        ),
        (
            "page-size-refused", True,
            "o0 = malloc(p0, size=4096)\n",
            "zs_malloc() takes objects of a page",
        ),
        (
            "refill-takes-size", True,
            "o0 = malloc(p0, size=1000, owner=c4)\nfree(o0)\n",
            "what is charged in pages and what lies in the stock add up",
        ),
        (
            "tag-without-array", False,
            "o0 = malloc(p1, size=1000)\nfree(o0)\n",
            "a page that has no array of owners has no tag either",
        ),
        (
            "zswap-frees-before-list", True,
            "page_write(v0, owner=c4, pattern=1)\npage_out(v0)\npage_in(v0)\n",
            "zswap asks for the owner of an object before it frees it",
        ),
    )
}  # fmt: skip

Build = Callable[[str, str, tuple[Path, ...]], Kernel]  # design, flavour, patches


@dataclass(frozen=True)
class Pair:
    """Name a planted bug, the design under it, and the flavour on which it shows."""

    bug: str
    design: str
    flavour: str
    entry: Entry


@dataclass(frozen=True)
class Row:
    """Say what became of one bug's reproducer on the two kernels."""

    pair: Pair
    clean: Attempt
    buggy: Attempt

    @property
    def good(self) -> bool:
        """Tell whether it fails on the bug, and on nothing else."""
        return self.clean.passes and self.buggy.fails

    @property
    def tried(self) -> bool:
        """Tell whether each of the two gave a verdict."""
        return all(one.passes or one.fails for one in (self.clean, self.buggy))


def programs() -> dict[str, Entry]:
    """Find the program of each planted bug, by the bug's name."""
    entries = load_dir(project_root() / "corpus" / "regressions")[0]
    found = {bug: entry for entry in entries for bug in entry.extra.get("bugs", {})}
    return {**found, **AT_BOOT}


def pairs() -> list[Pair]:
    """List the planted bugs that have a program, on all designs that they fit, by name."""
    entries, found = programs(), []
    for design in DESIGNS:
        for bug in _planted(design) & entries.keys():
            entry = entries[bug]
            flavour = str(entry.extra.get("flavour", "plain"))
            found.append(Pair(bug, design, flavour, entry))
    return sorted(found, key=lambda pair: (pair.flavour, pair.bug, pair.design))


def without_program() -> list[str]:
    """List the planted bugs that no program of corpus/regressions is for; controls need none."""
    bugs = set.union(*map(_planted, DESIGNS))
    return sorted(bugs - programs().keys())


def _planted(design: str) -> set[str]:
    return {bug.name for bug in catalogue((design,)) if not bug.control}


def check(pair: Pair, build: Build, folder: Path) -> Row:
    """Run one bug's reproducer on the clean kernel and on the one with the bug."""
    patch = planted_patch(pair.design, pair.bug)
    clean = build(pair.design, pair.flavour, ())
    buggy = build(pair.design, pair.flavour, (patch,))
    return Row(
        pair,
        attempt(clean, pair.entry, folder / "clean"),
        attempt(buggy, pair.entry, folder / "bug"),
    )


def check_all(chosen: Iterable[Pair], build: Build) -> Iterator[Row]:
    """Check one after the other."""
    for pair in chosen:
        with tempfile.TemporaryDirectory(prefix="zsfuzz-repro-") as folder:
            yield check(pair, build, Path(folder))
