# SPDX-License-Identifier: GPL-2.0-only
"""From counters to lines and branches, by the compiler's own gcov."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from zsfuzz.errors import HarnessError
from zsfuzz.reached.counters import Profile
from zstools.kbuild import COUNTED
from zstools.kernel import Kernel

# Of memcontrol.c those functions count that are about owners of objects; the rest is other work.
OWNERS = re.compile(r"objcg|obj_cgroup|obj_stock|zswap")
_BOOT = (".init.text", ".exit.text")  # run once at boot, or never


@dataclass(frozen=True)
class Line:
    """One line of source: how often it ran, and each way of its branches."""

    file: str
    number: int
    function: str
    count: int
    branches: tuple[int, ...]


@dataclass(frozen=True)
class Total:
    """Lines and ways of branches, reached and there."""

    lines: int
    lines_total: int
    branches: int
    branches_total: int


Lines = Mapping[tuple[str, int], Line]


def count_lines(kernel: Kernel, profiles: Iterable[Profile]) -> Lines:
    """Tell how often each line ran that is of interest; HarnessError if gcov fails."""
    boot = _boot_functions(kernel)
    found: dict[tuple[str, int], Line] = {}
    by_name = {Path(profile.path).stem: profile for profile in profiles}
    for file in COUNTED:
        profile = by_name.get(Path(file).stem)
        if profile is None:
            raise HarnessError(f"no counters of {file}: build the kernel with --variant gcov")
        for line in _lines_of(_run_gcov(kernel, file, profile), file):
            if line.function in boot or not _concerned(line):
                continue
            key = file, line.number
            found[key] = _merge(found[key], line) if key in found else line
    return found


def totals(lines: Lines) -> dict[str, Total]:
    """Add up by file."""
    return {file: _total([ln for ln in lines.values() if ln.file == file]) for file in COUNTED}


def _total(lines: list[Line]) -> Total:
    ways = [count for line in lines for count in line.branches]
    reached = sum(line.count > 0 for line in lines)
    return Total(reached, len(lines), sum(count > 0 for count in ways), len(ways))


def _concerned(line: Line) -> bool:
    return not line.file.endswith("memcontrol.c") or bool(OWNERS.search(line.function))


def _merge(one: Line, two: Line) -> Line:
    """Join copies of a line, as macros that make functions have."""
    function = one.function if one.count >= two.count else two.function
    branches = one.branches + two.branches
    return Line(one.file, one.number, function, one.count + two.count, branches)


def _run_gcov(kernel: Kernel, file: str, profile: Profile) -> Any:
    notes = (kernel.build / file).with_suffix(".gcno")
    with tempfile.TemporaryDirectory(prefix="zsfuzz-gcov-") as folder:
        shutil.copy(notes, folder)
        data = Path(folder) / notes.with_suffix(".gcda").name
        data.write_bytes(profile.gcda())
        command = ["gcov", "--json-format", "--branch-probabilities", data.name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        results = sorted(Path(folder).glob("*.gcov.json.gz"))
        if done.returncode or not results or "mismatch" in done.stderr:
            raise HarnessError(f"gcov cannot read {data.name}: {done.stderr.strip()}")
        return json.loads(gzip.decompress(results[0].read_bytes()))


def _lines_of(report: Any, file: str) -> Iterable[Line]:
    for one in report["files"]:
        if not one["file"].endswith(file):
            continue
        spans = [(f["start_line"], f["end_line"], f["name"]) for f in one["functions"]]
        for line in one["lines"]:
            branches = tuple(way["count"] for way in line["branches"])
            number = line["line_number"]
            name = line.get("function_name") or _function_at(spans, number)
            yield Line(file, number, name, line["count"], branches)


def _function_at(spans: Iterable[tuple[int, int, str]], number: int) -> str:
    """Name the function that a line is in: gcov does so only for some."""
    return next((name for start, end, name in spans if start <= number <= end), "")


def _boot_functions(kernel: Kernel) -> frozenset[str]:
    with kernel.linux.open("rb") as stream:
        elf = ELFFile(stream)
        boot = {elf.get_section_index(name) for name in _BOOT}
        table: Any = elf.get_section_by_name(".symtab")
        symbols = table.iter_symbols() if table else ()
        return frozenset(s.name for s in symbols if s["st_shndx"] in boot)
