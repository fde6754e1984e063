# SPDX-License-Identifier: GPL-2.0-only
"""Read a saved finding: its program, its title, and the kernel on which it was seen."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsfuzz.corpusfile import Entry, load
from zsfuzz.errors import BadCorpusFile
from zsfuzz.findings.store import PROGRAM, SUMMARY
from zsfuzz.outcome import Outcome
from zsfuzz.repro.swapping import swaps
from zsmodel.designs import DESIGNS

KERNEL = "kernel.json"
_FEWEST, _MOST = 3, 50  # runs that tell whether a kernel has it
_MEMCG = "CONFIG_MEMCG"
_MISSED = 0.01  # likelihood of not seeing it in so many runs


@dataclass(frozen=True)
class SavedFinding:
    """Hold what was saved; `title` is "" if the program came without one.

    `reproduced` is (times, of tries), None if that is not known.  `foreign` tells whether the
    kernel was a tree without our series, None if nobody knows; `no_swap` is why it could not swap.
    """

    program_file: Path
    entry: Entry
    title: str = ""
    design: str = ""
    flavour: str = ""
    variants: tuple[str, ...] = ()
    reproduced: tuple[int, int] | None = None
    fragments: tuple[Path, ...] = ()
    adapter: Path | None = None
    foreign: bool | None = None
    has_memcg: bool = True
    no_swap: str = ""

    @property
    def keeps_owners(self) -> bool:
        """Tell whether its design is one that keeps owners."""
        return self.design in DESIGNS and DESIGNS[self.design].keeps_owners

    @property
    def is_of_our_series(self) -> bool:
        """Tell whether it was our series that kept the owners."""
        return self.keeps_owners and self.foreign is False

    @property
    def needs_owners(self) -> bool:
        """Tell whether it was found where objects had owners."""
        return self.keeps_owners and self.has_memcg

    @property
    def needs_swap(self) -> bool:
        """Tell whether its program swaps pages, and was found where they can be swapped."""
        return swaps(self.entry.program) and not self.no_swap

    @property
    def runs(self) -> int:
        """Count the runs after which one that never showed it has it in 1 of 100 cases at most."""
        hits, tries = self.reproduced or (0, 0)
        if not 0 < hits < tries:
            return _FEWEST
        return min(_MOST, max(_FEWEST, math.ceil(math.log(_MISSED) / math.log(1 - hits / tries))))


def load_finding(path: Path) -> SavedFinding:
    """Read a finding's folder, or a program file; raises BadCorpusFile.

    A program file that lies in a finding's folder brings what is saved beside it.
    """
    file = path
    if path.is_dir():
        file = path / PROGRAM
        if not file.is_file():
            advice = "give the folder of a finding, or a program file"
            raise BadCorpusFile(path, f"no {PROGRAM} in it", advice)
    entry = load(file)
    beside = file.name == PROGRAM
    summary = _read(file.with_name(SUMMARY)) if beside else {}
    kernel = _read(file.with_name(KERNEL)) if beside else {}
    flavours = summary.get("flavours") or [kernel.get("flavour", "")]
    reproduced = summary.get("reproduced")
    return SavedFinding(
        file,
        entry,
        str(summary.get("title") or _title_of(entry.note)),
        str(kernel.get("design") or entry.design),
        str(flavours[0]),
        tuple(kernel.get("variants", ())),
        (int(reproduced[0]), int(reproduced[1])) if reproduced else None,
        tuple(map(Path, kernel.get("fragments", ()))),
        Path(kernel["adapter"]) if kernel.get("adapter") else None,
        kernel.get("foreign"),
        kernel.get("options", {}).get(_MEMCG) != "n",
        str(kernel.get("no_swap", "")),
    )


def _title_of(note: str) -> str:
    """Find the title in the note of a program that zsfuzz minimise wrote."""
    outcome, separator, title = note.partition(": ")
    return title if separator and outcome in {known.value for known in Outcome} else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadCorpusFile(path, f"cannot be read ({error})", "restore it, or delete it") from None
    if not isinstance(content, dict):
        raise BadCorpusFile(path, "it holds no JSON object", "restore it, or delete it")
    return content
