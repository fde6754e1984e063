# SPDX-License-Identifier: GPL-2.0-only
"""Corpus files: what is saved can be loaded, and what cannot be loaded says why."""

import os
from pathlib import Path

import msgpack
import pytest

from zsfuzz.corpusfile import (
    Entry,
    load,
    load_dir,
    load_wire,
    pack,
    program_files,
    save,
    unpack,
)
from zsfuzz.errors import BadCorpusFile, OutputLost
from zsfuzz.text import parse_program

PROGRAM = parse_program("o0 = malloc(p0, size=2720, owner=c1)\nfree(o0)\nstat(c1)\n")


def rewritten(tmp_path, **changes):
    """Save a good file and change some of its top-level values."""
    path = save(tmp_path, Entry(PROGRAM, "note"))
    content = msgpack.unpackb(path.read_bytes()) | changes
    path.write_bytes(msgpack.packb({k: v for k, v in content.items() if v is not ...}))
    return path


def test_what_was_saved_is_loaded(tmp_path):
    path = save(tmp_path / "new", Entry(PROGRAM, "a note", "zspage", {"seed": 5}))
    entry = load(path)
    assert (entry.program, entry.note, entry.design) == (PROGRAM, "a note", "zspage")
    assert entry.extra == {"seed": 5}
    assert entry.path == path


def test_files_are_named_after_what_the_program_does(tmp_path):
    one = save(tmp_path, Entry(PROGRAM, "one"))
    again = save(tmp_path, Entry(PROGRAM, "again"))
    assert one == again
    assert load(one).note == "one"
    assert len(list(tmp_path.iterdir())) == 1


def test_files_say_what_they_are():
    content = msgpack.unpackb(pack(Entry(PROGRAM, "x")))
    assert (content["format"], content["version"]) == ("zsfuzz-program", 1)
    assert content["ops"][0] == ["malloc", 0, 0, 1, 2720, 0]


def test_a_file_cut_anywhere_is_told_to_be_truncated(tmp_path):
    data = pack(Entry(PROGRAM, "note"))
    for length in range(len(data)):
        with pytest.raises(BadCorpusFile, match=r"truncated after|is empty"):
            unpack(data[:length], tmp_path)


def test_no_flipped_bit_goes_unnoticed_in_a_program(tmp_path):
    data = pack(Entry(PROGRAM, ""))
    for at in range(len(data)):
        for bit in range(8):
            damaged = data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
            try:
                assert unpack(damaged, tmp_path).program.canonical() == PROGRAM
            except BadCorpusFile:
                continue


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "elf"}, "format 'elf', not 'zsfuzz-program'"),
        ({"format": ...}, "format None"),
        ({"version": 2}, "version 2, but this zsfuzz knows 1: update zsfuzz"),
        ({"version": "1"}, "version '1' is no version"),
        ({"ops": ...}, "'ops' is missing"),
        ({"ops": [["frob", 0, 0, 0, 0, 0]]}, "'frob' is missing or unknown"),
        ({"ops": [["free", 0, 0, 0]]}, "its digest is not"),
        ({"ops": [["free", 0, 7, 0, 0, 0]]}, "op 1: pool 7"),
        ({"ops": [["free", "x", 0, 0, 0, 0]]}, "another type"),
        ({"ops": [[]]}, "another type"),
        ({"ops": 5}, "another type"),
        ({"note": 7}, "note or design is no text"),
        ({"extra": 7}, "another type"),
        ({"extra": {"seed": "1"}}, "'seed' in extra has another type"),
        ({"extra": {"flavour": 1}}, "'flavour' in extra has another type"),
        ({"extra": {"bugs": ["b"]}}, "'bugs' in extra has another type"),
        ({"extra": {"bugs": {"b": 1}}}, "'bugs' in extra has another type"),
        ({"extra": {b"a": 1}}, "b'a' in extra has another type"),
        ({"extra": {"profile": "of-a-later=version"}}, "'profile' in extra has another type"),
        ({"extra": {"profile": 1}}, "'profile' in extra has another type"),
    ],
)
def test_what_is_wrong_is_said_with_the_next_step(tmp_path, changes, reason):
    path = rewritten(tmp_path, **changes)
    with pytest.raises(BadCorpusFile) as caught:
        load(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize("data", [b"", b"\x7fELF" + bytes(60), b"hello", b"\x93\1\2\3", b"\xc1"])
def test_foreign_files_are_refused(tmp_path, data):
    path = tmp_path / "foreign"
    path.write_bytes(data)
    with pytest.raises(BadCorpusFile):
        load(path)


def test_huge_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "huge"
    path.write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(BadCorpusFile, match="more than 1048576 bytes"):
        load(path)
    with pytest.raises(BadCorpusFile, match="no such file"):
        load(tmp_path / "missing")
    with pytest.raises(BadCorpusFile, match="no such file"):
        load_dir(tmp_path / "missing")


def test_a_broken_file_does_not_keep_the_others_from_being_loaded(tmp_path):
    good = save(tmp_path, Entry(PROGRAM))
    (tmp_path / "0-broken.msgpack").write_bytes(good.read_bytes()[:-3])
    (tmp_path / "README.md").write_text("not a program")
    (tmp_path / ".tmp-x").write_text("left by a kill")
    (tmp_path / "subdirectory").mkdir()
    entries, errors = load_dir(tmp_path)
    assert [entry.path for entry in entries] == [good]
    assert [error.path.name for error in errors] == ["0-broken.msgpack"]


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputLost, match="no space left on device: free some space"):
        save(tmp_path, Entry(PROGRAM))
    assert list(tmp_path.iterdir()) == []


# ---- read quickly, and below folders -------------------------------------------------------


def test_the_quick_way_reads_the_same_program(tmp_path):
    path = save(tmp_path, Entry(PROGRAM, "note"))
    assert load_wire(path) == load(path).program.wire


def test_whatever_byte_is_damaged_the_quick_way_reads_what_the_slow_way_does(tmp_path):
    path = save(tmp_path, Entry(PROGRAM, "note"))
    data = path.read_bytes()
    for at in range(len(data)):
        for value in (0, 0xFF, data[at] ^ 1):
            path.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
            assert read(load_wire, path) == read(lambda p: load(p).program.wire, path)


def read(reader, path):
    try:
        return reader(path)
    except BadCorpusFile as error:
        return str(error)


def test_programs_below_a_folder_are_found_and_hidden_files_are_not(tmp_path):
    inner = tmp_path / "b" / "c"
    paths = [save(tmp_path, Entry(PROGRAM)), save(inner, Entry(PROGRAM))]
    (tmp_path / "README.md").write_text("not a program")
    (inner / ".tmp-1.msgpack").write_bytes(b"")
    assert program_files(tmp_path) == sorted(paths)


def test_a_folder_that_cannot_be_read_is_an_error_of_its_own(tmp_path, monkeypatch):
    save(tmp_path, Entry(PROGRAM, "note"))
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    errors = []
    assert len(program_files(tmp_path, errors)) == 1
    assert [error.path.name for error in errors] == ["closed"]
    with pytest.raises(BadCorpusFile, match="closed: permission denied"):
        program_files(tmp_path)
    with pytest.raises(BadCorpusFile, match="closed: permission denied"):
        program_files(tmp_path / "closed", errors)


def test_a_file_that_was_cut_short_is_written_again(tmp_path):
    path = save(tmp_path, Entry(PROGRAM, "note"))
    whole = path.read_bytes()
    for broken in (b"", whole[:20]):
        path.write_bytes(broken)
        assert save(tmp_path, Entry(PROGRAM, "note")) == path
        assert path.read_bytes() == whole


def test_a_folder_without_programs_is_refused(tmp_path):
    with pytest.raises(BadCorpusFile, match=r"no \*\.msgpack in it"):
        program_files(tmp_path)
    with pytest.raises(BadCorpusFile, match="no such file or directory"):
        program_files(tmp_path / "nothing")
