# SPDX-License-Identifier: GPL-2.0-only
"""`zsfuzz minimise` writes a small program and reports it; what shows nothing is left alone."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from guest_support import built, zsfuzz

from zsfuzz.corpusfile import Entry, load, save
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.planted import planted_patch
from zsfuzz.text import format_program, parse_program

PATCH = planted_patch("zspage", "free-keeps-owner")
LONG = parse_program("""
compact(p0)
o7 = malloc(p0, size=100, owner=c4, pattern=2)
o8 = malloc(p0, size=100)
stat(c2)
free(o7)
read(o8)
o9 = malloc(p0, size=100)
free(o9)
""")
SHORT = """\
o0 = malloc(p0, size=2040)
o1 = malloc(p0, size=2040, owner=c1)
free(o1)
o2 = malloc(p0, size=2040)
"""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    built("zspage", "plain", PATCH)
    built("zspage", "plain")
    return save(tmp_path, Entry(LONG))


@pytest.mark.parametrize("word", ["minimise", "minimize"])
def test_a_small_program_is_written_next_to_the_long_one(saved: Path, word: str) -> None:
    done = zsfuzz(word, saved, "--flavour", "plain", "--patch", PATCH, cwd=saved.parent)
    assert done.returncode == EXIT_FINDINGS, done.stderr
    small = saved.with_name(f"{saved.stem}.min.msgpack")
    assert format_program(load(small).program) == SHORT
    assert done.stdout.startswith("divergence: malloc: new object has an owner already\n")
    assert "(minimised from 8 in " in done.stdout
    (line,) = re.findall("^  replay: zsfuzz (.+)$", done.stdout, re.MULTILINE)
    assert line.endswith(f" {small}")
    again = zsfuzz(*shlex.split(line), cwd=saved.parent)
    assert again.returncode == EXIT_FINDINGS, again.stderr
    assert "divergence: malloc: new object has an owner already\n" in again.stdout


def test_it_goes_where_it_was_told_to(saved: Path, tmp_path: Path) -> None:
    options = ("--flavour", "plain", "--patch", PATCH, "--output", tmp_path / "small")
    assert zsfuzz("minimise", saved, *options, cwd=tmp_path).returncode == EXIT_FINDINGS
    assert format_program(load(tmp_path / "small").program) == SHORT


def test_a_search_without_time_has_the_program_as_it_was(saved: Path) -> None:
    options = ("--flavour", "plain", "--patch", PATCH, "--time", "0.000001")
    done = zsfuzz("minimise", saved, *options, cwd=saved.parent)
    assert done.returncode == EXIT_FINDINGS, done.stderr
    assert "minimising was stopped early" in done.stdout
    small = saved.with_name(f"{saved.stem}.min.msgpack")
    assert load(small).program == LONG


def test_what_shows_nothing_is_left_alone(saved: Path) -> None:
    done = zsfuzz("minimise", saved, "--flavour", "plain", cwd=saved.parent)
    assert done.returncode == EXIT_CLEAN, done.stderr
    assert "nothing to minimise" in done.stdout
    assert list(saved.parent.iterdir()) == [saved]


def test_a_file_that_is_none_of_ours_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "other.msgpack"
    path.write_bytes(b"other")
    assert zsfuzz("minimise", path, cwd=tmp_path).returncode == EXIT_HARNESS_ERROR
