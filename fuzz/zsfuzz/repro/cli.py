# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz repro`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from zsfuzz.atomic import replace_file
from zsfuzz.corpus.textfile import to_text
from zsfuzz.corpusfile import Entry, load
from zsfuzz.errors import HarnessError
from zsfuzz.repro.ccode import to_c
from zsfuzz.repro.pythoncode import to_python
from zsfuzz.repro.tables import expected_of, refuse_swap
from zsfuzz.terminal import say
from zsmodel import Kernel
from zsmodel.designs import DESIGNS
from zsmodel.profile import parse_profile
from zstools.paths import project_root

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--c", "form", flag_value="c", default=True, help="One C file.  [default]")
@click.option("--python", "form", flag_value="python", help="One Python script.")
@click.option("--text", "form", flag_value="text", help="The program as text.")
@click.option(
    "--design", type=click.Choice(tuple(DESIGNS)),
    help="Whose answers to expect.  [default: the design that the file names, or zspage]",
)  # fmt: skip
@click.option("--output", type=_FILE, help="Where to write it.  [default: stdout]")
def repro(file: Path, form: str, design: str | None, output: Path | None) -> None:
    """Write a stand-alone reproducer of a saved program.

    It performs the program in a guest that has the module, needs nothing of zsfuzz, and says which
    answers are not those of the model.  Its exit code is 1 if there are any.
    """
    text = render(load(file), form, design)
    if output is None:
        say(text, nl=False)
    else:
        replace_file(output, text.encode())


def render(entry: Entry, form: str, design: str | None = None) -> str:
    """Write a program as "c", "python" or "text"."""
    if form == "text":
        return to_text(entry)
    chosen = design or entry.design or "zspage"
    if form == "python":
        refuse_swap(entry)
    write = to_c if form == "c" else to_python
    kernel = Kernel(chosen, profile=parse_profile(str(entry.extra.get("profile", ""))))
    return write(expected_of(entry, kernel), protocol_version(), DESIGNS[chosen].number)


def protocol_version() -> int:
    """Read the version that the module says in debugfs zsfuzz/info."""
    header = project_root() / "kmod" / "zsfuzz_abi.h"
    found = re.search(r"#define ZSFUZZ_VERSION\s+(\d+)", header.read_text())
    if found is None:
        raise HarnessError(f"{header} does not say ZSFUZZ_VERSION: restore it")
    return int(found[1])
