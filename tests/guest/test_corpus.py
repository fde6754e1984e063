# SPDX-License-Identifier: GPL-2.0-only
"""Merge and minimise keep what is reached, by few programs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from guest_support import ROOT, built, zsfuzz

from zsfuzz.corpus.cover import union
from zsfuzz.corpus.edit import By, merge, minimize, read_programs
from zsfuzz.corpus.measure import measure
from zsfuzz.corpusfile import Entry, load_dir, save
from zsfuzz.text import parse_program

SEEDS = ROOT / "corpus" / "seeds"
EXAMPLES = ROOT / "corpus" / "examples"
NOTHING_NEW = "o0 = malloc(p0, size=2720, owner=c1, pattern=1)\nfree(o0)\n"


def reach_of(folder: Path, scratch: Path, by: By) -> object:
    found = measure(built("zspage", "plain"), read_programs([folder], []), scratch)
    assert found.troubled == ()
    whole = union(found.sets.values())
    return whole if by is By.ALL else found.hits(whole)


@pytest.mark.parametrize("by", By)
def test_a_minimal_corpus_reaches_all_with_fewer_programs(by: By, tmp_path: Path) -> None:
    edited = minimize(built("zspage", "plain"), [EXAMPLES], tmp_path / "min", by)
    entries, _ = load_dir(tmp_path / "min")
    assert len(entries) == len(edited.kept) < edited.programs == len(list(EXAMPLES.iterdir()))
    assert reach_of(tmp_path / "min", tmp_path, by) == reach_of(EXAMPLES, tmp_path, by)


def test_the_seeds_reach_all_sites_of_the_examples_and_each_of_them_is_needed() -> None:
    needed: set[Path] = set()
    for design in ("zspage", "zpdesc"):
        kernel = built(design, "plain")
        whole = minimize(kernel, [SEEDS, EXAMPLES], None, By.SITES).coverage
        edited = minimize(kernel, [SEEDS], None, By.SITES)
        assert edited.coverage.sites == whole.sites
        needed.update(edited.kept)
    assert needed == set(SEEDS.iterdir())


def test_only_what_reaches_something_new_is_merged(tmp_path: Path) -> None:
    target, source = tmp_path / "target", tmp_path / "source"
    shutil.copytree(EXAMPLES, target)
    missing = next(p for p in sorted(target.iterdir()) if "classes file" in note_of(p))
    missing.unlink()
    save(source, Entry(parse_program(NOTHING_NEW)))
    shutil.copy(EXAMPLES / missing.name, source)
    (source / "broken.msgpack").write_bytes(b"")
    edited = merge(built("zspage", "plain"), target, [source])
    assert [path.name for path in edited.kept] == [missing.name]
    assert [error.path.name for error in edited.errors] == ["broken.msgpack"]
    assert {p.name for p in target.iterdir()} == {p.name for p in EXAMPLES.iterdir()}


def note_of(path: Path) -> str:
    return next(e.note for e in load_dir(path.parent)[0] if e.path == path)


def test_a_program_says_what_it_alone_reaches_if_it_says_nothing_else(tmp_path: Path) -> None:
    save(tmp_path / "in", Entry(parse_program("compact_memory()"), "found by zsfuzz run"))
    wanted = "o0 = malloc(p0, size=2720, owner=c1)\nmigrate(o0, page=1)\nfree(o0)\n"
    path = save(tmp_path / "in", Entry(parse_program(wanted), "found by zsfuzz run"))
    minimize(built("zspage", "plain"), [tmp_path / "in"], tmp_path / "out")
    note = note_of(tmp_path / "out" / path.name)
    assert note.startswith("reaches what no other seed does: ")
    assert " sites of " in note


def test_a_program_that_reaches_nothing_is_no_trouble_and_not_needed(tmp_path: Path) -> None:
    save(tmp_path, Entry(parse_program("free(o0)")))
    edited = minimize(built("zspage", "plain"), [tmp_path], None)
    assert (edited.programs, edited.kept, edited.troubled) == (1, (), ())


def test_needless_programs_are_deleted_if_that_is_asked_for(tmp_path: Path) -> None:
    programs = ("free(o0)", NOTHING_NEW, NOTHING_NEW + "read(o0)\n" + NOTHING_NEW)
    paths = [save(tmp_path / "in", Entry(parse_program(text))) for text in programs]
    done = zsfuzz("corpus", "minimize", "--by", "sites", "--delete", "in", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 programs are enough" in done.stdout
    assert [path.exists() for path in paths] == [False, True, False]
