# SPDX-License-Identifier: GPL-2.0-only
"""Which findings are planted bugs that the corpus knows, by the titles under which they show."""

from __future__ import annotations

from zsfuzz.corpus.textfile import bugs_of
from zsfuzz.corpusfile import load, program_files
from zsfuzz.errors import BadCorpusFile
from zstools.paths import project_root


def known_bugs() -> dict[str, list[str]]:
    """Give the names of planted bugs by title; empty where the corpus is not installed."""
    found: dict[str, list[str]] = {}
    try:
        paths = program_files(project_root() / "corpus")
    except BadCorpusFile:
        return found
    for path in paths:
        try:
            bugs = bugs_of(load(path))
        except BadCorpusFile:
            continue
        for bug, titles in bugs.items():
            for title in titles:
                if bug not in found.setdefault(title, []):
                    found[title].append(bug)
    return found
