# SPDX-License-Identifier: GPL-2.0-only
"""Corpus files as text: the program, below comments that say what else the file says.

# what the program is for
# design: zspage
# shows free-keeps-owner: free slot keeps an owner
o0 = malloc(p0, size=457, owner=c1)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from zsfuzz.corpusfile import Entry
from zsfuzz.errors import BadCorpusFile, BadProgram
from zsfuzz.terminal import one_line
from zsfuzz.text import format_program, parse_program

SUFFIX = ".txt"
_DESIGN = re.compile(r"design: (\w+)")
_FLAVOUR = re.compile(r"flavour: (\w+)")
_SHOWS = re.compile(r"shows ([\w-]+): (.+)")


def to_text(entry: Entry) -> str:
    """Write an entry; what else `extra` holds is left out."""
    lines = entry.note.splitlines()
    if entry.design:
        lines.append(f"design: {entry.design}")
    if flavour := entry.extra.get("flavour"):
        lines.append(f"flavour: {flavour}")
    for bug, titles in bugs_of(entry).items():
        lines += [f"shows {bug}: {title}" for title in titles]
    # Each in a line of its own: what follows a newline would be an operation.
    head = "".join(f"# {one_line(line)}\n" for line in lines)
    return head + format_program(entry.program)


def bugs_of(entry: Entry) -> dict[str, list[str]]:
    """Give the titles under which planted bugs show, by bug; empty if that makes no sense."""
    bugs = entry.extra.get("bugs")
    if not isinstance(bugs, dict):
        return {}
    return {
        str(bug): list(map(str, titles)) for bug, titles in bugs.items() if isinstance(titles, list)
    }


def from_text(text: str, path: Path) -> Entry:
    """Read an entry; BadCorpusFile says what is wrong with it."""
    note, design = [], ""
    extra: dict[str, Any] = {}
    bugs: dict[str, list[str]] = {}
    for line in _head(text):
        if found := _DESIGN.fullmatch(line):
            design = found[1]
        elif found := _FLAVOUR.fullmatch(line):
            extra["flavour"] = found[1]
        elif found := _SHOWS.fullmatch(line):
            bugs.setdefault(found[1], []).append(found[2])
        else:
            note.append(line)
    try:
        program = parse_program(text)
    except BadProgram as error:
        raise BadCorpusFile(path, str(error), "see docs/PROGRAM.md for the text form") from error
    if bugs:
        extra["bugs"] = bugs
    return Entry(program, "\n".join(note), design, extra, path)


def _head(text: str) -> list[str]:
    """List the comments before the first operation."""
    lines = []
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            break
        if line:
            lines.append(line[1:].strip())
    return lines
