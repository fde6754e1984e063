# SPDX-License-Identifier: GPL-2.0-only
"""Corpus files as text, and back, with all that they say."""

from __future__ import annotations

from errno import ENOSPC
from pathlib import Path

import pytest
from click.testing import CliRunner

from zsfuzz import atomic
from zsfuzz.cli import main
from zsfuzz.corpus.textfile import from_text, to_text
from zsfuzz.corpusfile import Entry, load, load_dir, save
from zsfuzz.errors import BadCorpusFile
from zsfuzz.text import parse_program
from zstools.paths import begin_dirs

CORPUS = Path(__file__).parents[2] / "corpus"
FOLDERS = (*begin_dirs(), CORPUS / "regressions")
ENTRIES = [entry for folder in FOLDERS for entry in load_dir(folder)[0]]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path.stem)
def test_text_says_all_that_the_file_does(entry: Entry) -> None:
    again = from_text(to_text(entry), Path("x.txt"))
    assert again.program == entry.program.canonical()
    assert (again.note, again.design) == (entry.note, entry.design)
    assert again.extra.get("bugs") == entry.extra.get("bugs")
    assert again.extra.get("flavour") == entry.extra.get("flavour")


def test_a_bad_line_is_named_with_its_file() -> None:
    with pytest.raises(BadCorpusFile, match=r"x\.txt: line 2: 'fre'"):
        from_text("# note\nfre(o0)\n", Path("x.txt"))


def test_comments_within_the_program_are_not_its_note() -> None:
    entry = from_text("# why\n\nfree(o0)  # an answer\n# design: stock\n", Path("x.txt"))
    assert (entry.note, entry.design) == ("why", "")


def test_convert_goes_both_ways_and_on_past_what_is_broken(tmp_path: Path) -> None:
    entry = Entry(parse_program("free(o0)"), "a note", "zspage", {"bugs": {"b": ["t"]}})
    path = save(tmp_path, entry)
    broken = tmp_path / "broken.msgpack"
    broken.write_bytes(path.read_bytes()[:20])
    done = CliRunner().invoke(main, ["corpus", "convert", str(tmp_path), "--output", str(tmp_path)])
    assert done.exit_code == 2
    assert f"error: {broken}: truncated" in done.stderr
    text = path.with_suffix(".txt")
    assert done.stdout == f"{text}\n"
    data = path.read_bytes()
    path.unlink()
    done = CliRunner().invoke(main, ["corpus", "convert", str(text)])
    assert (done.exit_code, done.stdout) == (0, f"{path}\n")
    assert path.read_bytes() == data


def test_convert_that_cannot_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, Entry(parse_program("free(o0)"), "old"))
    text = tmp_path / "new.txt"
    text.write_text("# new\nfree(o0)\n")

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_synced", full)
        done = CliRunner().invoke(main, ["corpus", "convert", str(text)])
    assert done.exit_code == 2
    assert "no space left on device: free some space there" in done.stderr
    assert load(path).note == "old"
    assert CliRunner().invoke(main, ["corpus", "convert", str(text)]).exit_code == 0
    assert load(path).note == "new"


def test_what_is_shown_can_be_read_again_whatever_the_note_says(tmp_path: Path) -> None:
    note = "first line\nfree(o9)\x1b[2J"
    path = save(tmp_path, Entry(parse_program("free(o0)"), note, "zpdesc"))
    done = CliRunner().invoke(main, ["show", str(path)])
    assert done.stdout == (
        f"# {path}\n# first line\n# free(o9)\ufffd[2J\n# design: zpdesc\nfree(o0)\n\n"
    )
    assert parse_program(done.stdout) == parse_program("free(o0)")


def test_stats_count_programs_copies_and_broken_files(tmp_path: Path) -> None:
    entry = Entry(parse_program("free(o0)\nfree(o1)"), "a note")
    path = save(tmp_path, entry)
    (tmp_path / "copy.msgpack").write_bytes(path.read_bytes())
    (tmp_path / "broken.msgpack").write_bytes(b"")
    done = CliRunner().invoke(main, ["corpus", "stats", str(tmp_path)])
    assert done.exit_code == 2
    counts = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    assert (counts["programs"], counts["the same as another"]) == ("2", "1")
    assert (counts["files that cannot be used"], counts["  free"]) == ("1", "4")
