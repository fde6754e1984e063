# SPDX-License-Identifier: GPL-2.0-only
"""Reproducers as text: what is in them, and what cannot be one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from zsfuzz.cli import main
from zsfuzz.corpusfile import Entry, load_dir, save
from zsfuzz.errors import BadProgram
from zsfuzz.mutation.rawbytes import SWAP_OPS
from zsfuzz.repro.cli import render
from zsfuzz.text import parse_program
from zsmodel.designs import DESIGNS

SEEDS = [
    entry
    for entry in load_dir(Path(__file__).parents[2] / "corpus" / "seeds")[0]
    if not any(op.op in SWAP_OPS for op in entry.program)
]
ENTRY = Entry(
    parse_program("o0 = malloc(p0, size=100, owner=c1)\n"), 'a "note" */ \\ of\ntwo', "zpdesc"
)


@pytest.mark.parametrize("design", DESIGNS)
def test_c_is_compiled_without_a_warning(design: str, tmp_path: Path) -> None:
    for entry in (ENTRY, max(SEEDS, key=lambda entry: len(entry.program))):
        source = tmp_path / "r.c"
        source.write_text(render(entry, "c", design))
        options = ["-O2", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
        subprocess.run(["gcc", *options, source], check=True)


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


def test_programs_that_swap_pages_are_refused() -> None:
    entry = Entry(parse_program("free(o0)\npage_out(v0)\n"))
    with pytest.raises(BadProgram, match="op 2: page_out swaps pages"):
        render(entry, "c")
    assert render(entry, "text").endswith("page_out(v0)\n")


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
