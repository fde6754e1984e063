# SPDX-License-Identifier: GPL-2.0-only
"""Merge and minimise folders of programs by what they reach on a kernel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from zsfuzz.corpus.cover import choose, union
from zsfuzz.corpus.measure import Reached, measure
from zsfuzz.corpusfile import Entry, load, load_wire, save
from zsfuzz.coverage import Coverage, CoverageMap
from zsfuzz.errors import BadCorpusFile
from zsfuzz.replay.run import find_files
from zsfuzz.replay.verdict import BadFile
from zstools.kernel import Kernel

FOUND = "found by zsfuzz run"  # how notes begin that say nothing of the program itself
NAMED = 6  # functions in a note
VERIFY = 10  # rounds in which what was chosen may fail to reach all by itself


class By(Enum):
    """What programs are chosen by."""

    ALL = "all"  # coverage sites of the kernel, and situations of the model
    SITES = "sites"


@dataclass(frozen=True)
class Edited:
    """What became of a corpus."""

    programs: int  # looked at
    kept: tuple[Path, ...]
    coverage: Coverage
    situations: int
    troubled: tuple[Path, ...]
    errors: tuple[BadFile, ...]
    by_chance: int = 0  # places that no program reaches by itself


def load_all(paths: Sequence[Path], errors: list[BadFile]) -> Iterator[Entry]:
    """Load all programs of files and folders; what cannot be used is added to `errors`."""
    for path in find_files(paths, errors):
        try:
            yield load(path)
        except BadCorpusFile as error:
            errors.append(BadFile(path, str(error)))


def read_programs(paths: Sequence[Path], errors: list[BadFile]) -> list[tuple[Path, bytes]]:
    """Read all programs of files and folders, the shortest first, each of them once."""
    found: dict[bytes, Path] = {}
    for path in find_files(paths, errors):
        try:
            found.setdefault(load_wire(path), path)
        except BadCorpusFile as error:
            errors.append(BadFile(path, str(error)))
    return sorted(((path, wire) for wire, path in found.items()), key=lambda p: (len(p[1]), p[1]))


def merge(kernel: Kernel, target: Path, sources: Sequence[Path], by: By = By.ALL) -> Edited:
    """Add to `target` the programs of `sources` that reach what those in it do not."""
    errors: list[BadFile] = []
    old = read_programs([target], errors) if any(target.glob("*")) else []
    known = {wire for _, wire in old}
    new = [p for p in read_programs(sources, errors) if p[1] not in known]
    reached = _measure(kernel, [*old, *new])
    sets = _what_counts(reached, by)
    before = union(sets[path] for path, _ in old)
    kept = choose({path: sets[path] for path, _ in new}, before)
    whole = [path for path, _ in old] + kept
    for path in kept:
        save(target, _noted(kernel, reached, whole, path))
    return _edited(kernel, reached, kept, errors)


def minimize(
    kernel: Kernel, sources: Sequence[Path], output: Path | None, by: By = By.ALL
) -> Edited:
    """Choose the fewest programs that reach all that all do; verified on a fresh guest.

    They are saved in `output`, with a note that says what each alone reaches; None: nowhere.
    """
    errors: list[BadFile] = []
    programs = read_programs(sources, errors)
    reached = _measure(kernel, programs)
    kept, missing = _verified(kernel, reached, dict(programs), by)
    if output is not None:
        for path in kept:
            save(output, _noted(kernel, reached, kept, path))
    return _edited(kernel, reached, kept, errors, missing)


def _verified(
    kernel: Kernel, reached: Reached, wires: dict[Path, bytes], by: By
) -> tuple[list[Path], int]:
    """Choose, run the chosen ones alone, and choose more for what was not reached then.

    Counts the places that were reached among all the programs, but not so.
    """
    sets = _what_counts(reached, by)
    whole = union(sets.values())
    for _ in range(VERIFY):
        kept = choose(sets)
        again = _what_counts(_measure(kernel, [(path, wires[path]) for path in kept]), by)
        sets |= again  # what they reach by themselves
        missing = whole & ~union(again.values())
        if not missing & union(sets.values()):  # the rest was reached by chance
            break
    return kept, missing.bit_count()


def _what_counts(reached: Reached, by: By) -> dict[Path, int]:
    sites = (1 << 8 * reached.sites) - 1
    return {p: one & sites if by is By.SITES else one for p, one in reached.sets.items()}


def _measure(kernel: Kernel, programs: Iterable[tuple[Path, bytes]]) -> Reached:
    with tempfile.TemporaryDirectory(prefix="zsfuzz-corpus-") as scratch:
        return measure(kernel, programs, Path(scratch))


def _noted(kernel: Kernel, reached: Reached, kept: Sequence[Path], path: Path) -> Entry:
    entry = load(path)
    if entry.note and not entry.note.startswith(FOUND):
        return entry
    others = union(reached.sets[other] for other in kept if other != path)
    alone = reached.sets[path] & ~others
    functions = sorted(CoverageMap(kernel.layout).functions(reached.hits(alone)))
    sites, situations = sum(reached.hits(alone)), reached.situations(alone)
    parts = [f"{situations} situations of zspages"] if situations else []
    if sites:
        more = ", ..." if len(functions) > NAMED else ""
        parts.insert(0, f"{sites} sites of {', '.join(functions[:NAMED])}{more}")
    return replace(entry, note=f"reaches what no other seed does: {' and '.join(parts)}")


def _edited(
    kernel: Kernel,
    reached: Reached,
    kept: Sequence[Path],
    errors: Sequence[BadFile],
    by_chance: int = 0,
) -> Edited:
    whole = union(reached.sets.values())
    return Edited(
        len(reached.sets),
        tuple(kept),
        reached.measure(kernel, whole),
        reached.situations(whole),
        reached.troubled,
        tuple(errors),
        by_chance,
    )
