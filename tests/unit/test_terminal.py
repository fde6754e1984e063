# SPDX-License-Identifier: GPL-2.0-only
"""What strangers wrote cannot act on a terminal, and stays in its place."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import msgpack
import pytest
from click.testing import CliRunner

from zsfuzz import corpusfile
from zsfuzz.cli import main
from zsfuzz.console.complaints import find_splats
from zsfuzz.corpus.textfile import to_text
from zsfuzz.corpusfile import Entry
from zsfuzz.errors import BadCorpusFile
from zsfuzz.outcome import Outcome
from zsfuzz.replay.formats import to_junit, to_ktap
from zsfuzz.replay.verdict import BadFile, ReplayReport, Verdict
from zsfuzz.terminal import one_line, visible
from zsfuzz.text import parse_program

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\r"
PROGRAM = parse_program("o0 = malloc(p0, size=100)\n")


def harmless(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)


def test_only_visible_characters_newlines_and_tabs_stay():
    assert visible("a\tb\n\u00fc" + ESCAPES) == "a\tb\n\u00fc" + "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in ESCAPES
    )
    assert one_line("a\nb\tc") == "a b c"


def test_show_prints_no_escapes_of_a_note_or_a_name(tmp_path: Path):
    path = tmp_path / f"x{ESCAPES}.msgpack"
    path.write_bytes(corpusfile.pack(Entry(PROGRAM, f"first{ESCAPES}\nfree(o0)")))
    done = CliRunner().invoke(main, ["show", str(path)])
    assert done.exit_code == 0
    assert harmless(done.output)
    assert "# free(o0)\n" in done.output


def test_an_error_prints_no_escapes_of_a_name(tmp_path: Path):
    done = CliRunner().invoke(main, ["show", str(tmp_path / ESCAPES)])
    assert done.exit_code == 2
    assert harmless(done.output)


@pytest.mark.parametrize("extra", [{"flavour": "x\nfree(o0)"}, {"bugs": {"b": ["t\nfree(o0)"]}}])
def test_what_goes_with_a_program_cannot_become_part_of_it(extra):
    entry = Entry(PROGRAM, "note\x0bfree(o0)", "zspage\nfree(o0)", extra)
    assert parse_program(to_text(entry)) == PROGRAM


@pytest.mark.parametrize("bugs", [7, ["x"], {"b": 3}, {"b": {"c": 1}}])
def test_bugs_of_another_type_are_left_out(bugs):
    assert parse_program(to_text(Entry(PROGRAM, extra={"bugs": bugs}))) == PROGRAM


def test_a_title_made_of_a_console_has_no_escapes():
    said = f"Kernel panic - not syncing: worse {ESCAPES} than ever\n"
    assert [splat.title for splat in find_splats(said)]
    assert all(splat.title.isprintable() for splat in find_splats(said))


def test_reports_for_machines_hold_any_name():
    path = Path(f"folder{ESCAPES}") / f"x{ESCAPES}.msgpack"
    verdicts, errors = (Verdict(path, Outcome.AGREE),), (BadFile(path, f"format {ESCAPES!r}"),)
    report = ReplayReport(verdicts, errors, "kernel", 1.0, 1)
    Xml.fromstring(to_junit(report))
    assert harmless(to_ktap(report))


# ---- files that are more than they seem ----------------------------------------------------------


def refused(data: bytes) -> str:
    with pytest.raises(BadCorpusFile) as caught:
        corpusfile.unpack(data, Path("x"))
    return caught.value.reason


def test_deep_nesting_is_refused():
    assert "not msgpack" in refused(b"\x91" * 100_000 + b"\xc0")


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_a_file_that_announces_gigabytes_is_refused(head):
    refused(head + b"\xff\xff\xff\xff" + b"\x01" * 16)


def test_a_file_of_a_mebibyte_is_not_even_read(tmp_path: Path):
    path = tmp_path / "x.msgpack"
    path.write_bytes(bytes(corpusfile.MAX_BYTES + 1))
    with pytest.raises(BadCorpusFile, match="more than"):
        corpusfile.load(path)


def test_names_of_saved_programs_are_made_from_what_they_do(tmp_path: Path):
    # Nothing that a stranger's file says can lead to another place.
    content = msgpack.unpackb(corpusfile.pack(Entry(PROGRAM)))
    content |= {"digest": "../../../etc/passwd"}
    assert "digest" in refused(msgpack.packb(content))
    saved = corpusfile.save(tmp_path, Entry(PROGRAM, "../../x", "../y"))
    assert saved == tmp_path / f"{PROGRAM.digest}.msgpack"
