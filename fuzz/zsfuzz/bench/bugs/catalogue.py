# SPDX-License-Identifier: GPL-2.0-only
"""Read planted bugs: each is a patch whose first lines say what breaks and what it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.errors import BadPatch
from zsfuzz.planted import planted_root
from zsmodel.designs import DESIGNS

EITHER = "both"  # the folder of bugs that fit all designs with owners
PLANTED, CONTROL = "Planted bug", "Control"
SHOWS_ON = "Shows-on"  # a line of its own: the flavour that sees it, if plain cannot
UPSTREAM = "Upstream"  # a line of its own: the kernel's commit that mended this very bug
TITLE = "Title"  # a line of its own, again for each title that tells what is wrong


@dataclass(frozen=True)
class Bug:
    """One planted bug on one design; a control changes nothing that anyone could see."""

    name: str
    design: str
    patch: Path
    breaks: str
    control: bool = False
    shows_on: str = "plain"  # for readers: the fuzzer is not told
    upstream: str = ""
    titles: tuple[str, ...] = ()  # without the operation that shows it; none: any will do

    def is_named_by(self, title: str) -> bool:
        """Tell whether a finding's title says what is wrong."""
        return not self.titles or title in self.titles or title.rpartition(": ")[2] in self.titles

    @property
    def key(self) -> str:
        """Name it so that no other bug, on whatever design, has that name."""
        return f"{self.design}/{self.name}"


def catalogue(designs: Sequence[str] = ("zspage", "zpdesc", "stock")) -> list[Bug]:
    """List all planted bugs, those that fit several designs once for each; raises BadPatch."""
    bugs = []
    for design in designs:
        folders = (design,) if design == "stock" else (design, EITHER)
        for folder in folders:
            patches = sorted((planted_root() / folder).glob("*.patch"))
            bugs += [read_bug(patch, design) for patch in patches]
    return bugs


def read_bug(patch: Path, design: str) -> Bug:
    """Read what a patch says of itself; one from elsewhere need say nothing.

    Raises BadPatch if it cannot be read.
    """
    try:
        text = patch.read_text(errors="replace")
    except OSError as error:
        raise BadPatch(patch, f"{error}") from error
    if design not in DESIGNS:
        raise BadPatch(patch, f"no design {design!r}: there is {', '.join(DESIGNS)}")
    head = text.partition("\n---\n")[0]
    kind, breaks = _first_words(head)
    return Bug(
        patch.stem,
        design,
        patch,
        breaks or f"what {patch.name} changes",
        control=kind == CONTROL,
        shows_on=next(iter(_lines(head, SHOWS_ON)), "plain"),
        upstream=next(iter(_lines(head, UPSTREAM)), ""),
        titles=tuple(_lines(head, TITLE)),
    )


def _first_words(head: str) -> tuple[str, str]:
    found = re.search(rf"^({PLANTED}|{CONTROL}): (.*?)(?:\n\n|\Z)", head, re.MULTILINE | re.DOTALL)
    return (found[1], " ".join(found[2].split())) if found else ("", "")


def _lines(head: str, name: str) -> list[str]:
    return re.findall(rf"^{name}: (.+?)\s*$", head, re.MULTILINE)
