# SPDX-License-Identifier: GPL-2.0-only
"""Reproducers as text: what is in them, and what cannot be one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from zsfuzz.cli import main
from zsfuzz.corpusfile import Entry, load_dir, save
from zsfuzz.errors import BadProgram
from zsfuzz.records import RESULT
from zsfuzz.repro import swapping
from zsfuzz.repro.cli import render
from zsfuzz.repro.tables import expected_of, snapshot_records
from zsfuzz.text import parse_program
from zsmodel import Kernel
from zsmodel.designs import DESIGNS
from zstools.paths import begin_dirs

ALL_SEEDS = [entry for folder in begin_dirs() for entry in load_dir(folder)[0]]
SEEDS = [entry for entry in ALL_SEEDS if not swapping.swaps(entry.program)]
SWAPPING = Entry(parse_program("page_write(v0, owner=c4, pattern=9)\npage_out(v0)\n"))
ENTRY = Entry(
    parse_program("o0 = malloc(p0, size=100, owner=c1)\n"), 'a "note" */ \\ of\ntwo', "zpdesc"
)


@pytest.mark.parametrize("design", DESIGNS)
def test_c_is_compiled_without_a_warning(design: str, tmp_path: Path) -> None:
    for entry in (ENTRY, SWAPPING, max(SEEDS, key=lambda entry: len(entry.program))):
        source = tmp_path / "r.c"
        source.write_text(render(entry, "c", design))
        options = ["-O2", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
        subprocess.run(["gcc", *options, source], check=True)


EVIL = (
    "**// int evil; /* x",
    "enum { GOOD x",
    "/* @data@ */ # @data@",
    "a\0b\x1b",
    "two\nfree(o0)\n",
    '""" + evil + """',
)


@pytest.mark.parametrize("note", EVIL)
def test_a_note_is_nothing_but_a_comment(note: str, tmp_path: Path) -> None:
    entry = Entry(ENTRY.program, note)
    for form, name in (("c", "r.c"), ("python", "r.py"), ("text", "r.txt")):
        (tmp_path / name).write_text(render(entry, form))
    assert parse_program((tmp_path / "r.txt").read_text()) == ENTRY.program
    compile((tmp_path / "r.py").read_text(), "r.py", "exec")
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run(["gcc", *options, tmp_path / "r.c"], check=True)
    plain = render(replace(entry, note="a note"), "c").split("*/", 1)[1]
    assert (tmp_path / "r.c").read_text().split("*/", 1)[1] == plain


@pytest.mark.parametrize("entry", [ENTRY, *SEEDS], ids=lambda entry: entry.program.digest)
def test_python_can_be_read(entry: Entry) -> None:
    compile(render(entry, "python"), "reproducer.py", "exec")


def test_where_there_is_no_guest_it_cannot_be_tried(tmp_path: Path) -> None:
    script = tmp_path / "r.py"
    script.write_text(render(ENTRY, "python"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "reproducer: cannot be tried: " in done.stdout


def test_the_file_says_whose_answers_to_expect() -> None:
    assert '#define DESIGN_NAME\t"zpdesc"' in render(ENTRY, "c")
    assert '#define DESIGN_NAME\t"stock"' in render(ENTRY, "c", "stock")


def test_programs_that_swap_pages_are_for_c_alone() -> None:
    entry = Entry(parse_program("free(o0)\npage_out(v0)\n"))
    assert "#define SWAPS\t\t1" in render(entry, "c")
    with pytest.raises(BadProgram, match="op 2: page_out swaps pages"):
        render(entry, "python")
    assert render(entry, "text").endswith("page_out(v0)\n")


def test_what_no_file_of_the_kernel_does_is_refused() -> None:
    assert render(Entry(parse_program("swap_compact(disk=1)\n")), "c")
    with pytest.raises(BadProgram, match="op 1: no file of the kernel compacts zswap's pool"):
        render(Entry(parse_program("swap_compact()\n")), "c")


SWAPPED = parse_program("""
page_write(v0, owner=c4, pattern=9)
page_out(v0)
o0 = malloc(p0, size=100)
page_in(v0)
""")


def test_of_pages_the_accounts_are_expected_wherever_they_change() -> None:
    size = 1856  # of the class in which 1,845 bytes are
    out = [(2, c, size, 1, 0, 0, 1, 0) for c in (1, 3, 4)]
    back = [(4, c, 0, 0, 0, 1, 1, 0) for c in (1, 3, 4)]
    root = [(2, 0, 0, 0, 0, 0, 1, 0), (4, 0, 0, 0, 0, 1, 1, 0)]
    found = expected_of(Entry(SWAPPED), Kernel("zspage")).changes
    assert sorted(found) == sorted((*out, *back, *root))


def test_zspages_are_numbered_without_those_of_zswap() -> None:
    expected = expected_of(Entry(SWAPPED), Kernel("zspage"))
    number = RESULT.fields.index("zspage")
    assert RESULT.struct.unpack(expected.steps[2][2])[number] == 0
    kinds = {at for at, name, _ in snapshot_records() if name in ("page", "events")}
    assert not kinds & {kind for kind, _, _ in swapping._records(expected.snapshot)}


def test_the_command_writes_each_form(tmp_path: Path) -> None:
    path = save(tmp_path, ENTRY)
    for option, mark in (
        ("--c", "int main(void)"),
        ("--python", "def main()"),
        ("--text", "o0 = "),
    ):
        done = CliRunner().invoke(main, ["repro", option, str(path)])
        assert done.exit_code == 0
        assert mark in done.stdout
