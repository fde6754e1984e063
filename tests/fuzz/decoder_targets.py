# SPDX-License-Identifier: GPL-2.0-only
"""Fuzz targets for all that reads bytes of strangers: run as a program, one target a process.

    python tests/fuzz/decoder_targets.py TARGET FOLDER [libFuzzer's options]

FOLDER is filled with seeds.  A target lets through what its decoder promises to raise; all else
that it raises, and each assertion, ends the process, and leaves the input in the folder's parent.
With ZSFUZZ_PLANT=1 each decoder has a fault, to see that its target finds it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import mock

import atheris

with atheris.instrument_imports(include=["zsfuzz", "zsmodel"]):
    from zsfuzz import corpusfile, records, text
    from zsfuzz.console import complaints
    from zsfuzz.console.frames import frames_of
    from zsfuzz.corpus import textfile
    from zsfuzz.errors import BadCorpusFile, BadProgram
    from zsfuzz.findings import store
    from zsfuzz.mutation import rawbytes
    from zsfuzz.program import Program
    from zsmodel import Kernel, Model
    from zsmodel.wire import check_program
    from zstools.symbols import Symbols

ROOT = Path(__file__).parents[2]
FOLDER = Path(sys.argv[2])
HERE = Path("stranger")
KERNELS = (Kernel("stock"), Kernel("zspage"), Kernel("zpdesc"))
PLACES = Symbols(Path("/nonexistent"))


# ---- targets -----------------------------------------------------------------------------------


def corpus_file(data: bytes) -> None:
    """A msgpack file of a program; both readers agree."""
    path = FOLDER.parent / "one.msgpack"
    path.write_bytes(data)
    try:
        entry = corpusfile.unpack(data, HERE)
    except BadCorpusFile:
        try:
            corpusfile.load_wire(path)
        except BadCorpusFile:
            return
        raise AssertionError("load_wire() takes what unpack() refuses") from None
    assert corpusfile.load_wire(path) == entry.program.wire
    as_text = textfile.to_text(entry)
    assert as_text.replace("\n", "").replace("\t", "").isprintable()
    assert text.parse_program(as_text) == entry.program.canonical()
    if entry.program == entry.program.canonical():
        assert corpusfile.unpack(corpusfile.pack(entry), HERE).program == entry.program


def program_text(data: bytes) -> None:
    """The text form; what it means is the same when it is written and read again."""
    try:
        program = text.parse_program(data.decode(errors="replace"))
    except BadProgram:
        return
    check_program(program.wire)
    assert text.parse_program(text.format_program(program)) == program.canonical()


def corpus_text(data: bytes) -> None:
    """A corpus file as text; notes cannot become operations."""
    try:
        entry = textfile.from_text(data.decode(errors="replace"), HERE)
    except BadCorpusFile:
        return
    again = textfile.from_text(textfile.to_text(entry), HERE)
    assert again.program == entry.program.canonical()


def raw_bytes(data: bytes) -> None:
    """What libFuzzer proposes: every byte string is a valid program."""
    wire = rawbytes.decode(data)
    check_program(wire)
    assert rawbytes.decode(rawbytes.encode(wire)) == wire


def wire_form(data: bytes) -> None:
    """Records of operations: refused, or accepted by both checks."""
    try:
        program = Program.from_wire(data)
    except BadProgram:
        return
    check_program(program.wire)
    assert program.wire == data


def answers(data: bytes) -> None:
    """What a broken kernel answers: told, never raised."""
    at = 1 + 8 * (data[0] % 8) if data else 0
    program = Program.from_wire(rawbytes.decode(data[:at]))
    records.decode(data[at:], program, KERNELS[len(data) % 3])


def console(data: bytes) -> None:
    """What a guest's console said; titles are fit for a line of a list."""
    said = data.decode(errors="replace")
    for splat in complaints.find_splats(said):
        assert splat.title.isprintable(), repr(splat.title)
        list(frames_of(splat.lines, PLACES))
    complaints.last_words(said)


def finding_json(data: bytes) -> None:
    """Summaries of findings; broken ones are left out."""
    folder = FOLDER.parent / "output" / "findings" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / store.SUMMARY).write_bytes(data)
    for found in store.list_findings(FOLDER.parent / "output"):
        assert isinstance(found["seen"], int)


# ---- seeds -------------------------------------------------------------------------------------


def programs() -> list[Path]:
    return corpusfile.program_files(ROOT / "corpus")[::4]


def of_files(paths: Iterable[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def texts() -> list[bytes]:
    return [textfile.to_text(corpusfile.load(path)).encode() for path in programs()]


def wires() -> list[bytes]:
    return [corpusfile.load(path).program.wire for path in programs()]


def raws() -> list[bytes]:
    return [rawbytes.encode(wire) for wire in wires() if len(wire) <= 8 * rawbytes.DEFAULT_LIMIT]


def answered() -> list[bytes]:
    found = []
    for kernel in KERNELS:
        for wire in (wire[:56] for wire in wires()):
            head = bytes([len(wire) // 8]) + wire
            found.append(head + Model(kernel).run(rawbytes.decode(bytes(head))))
    return found


def logs() -> list[bytes]:
    return of_files(sorted((ROOT / "tests/snapshots/console").glob("*.log")))


def summaries() -> list[bytes]:
    return [b'{"id": "x", "outcome": "divergence", "title": "t", "step": 1}', b"[]", b"{}"]


Target = tuple[Callable[[bytes], None], Callable[[], list[bytes]]]
TARGETS: dict[str, Target] = {
    "corpus_file": (corpus_file, lambda: of_files(programs())),
    "program_text": (program_text, texts),
    "corpus_text": (corpus_text, texts),
    "raw_bytes": (raw_bytes, raws),
    "wire_form": (wire_form, wires),
    "answers": (answers, answered),
    "console": (console, logs),
    "finding_json": (finding_json, summaries),
}


# ---- faults to be found --------------------------------------------------------------------------


def plant() -> None:
    """Break what the decoders lean on, each as somebody might."""
    real_take, real_strip = records._Reader.take_bytes, complaints.strip_prefix

    def any_number(token: str) -> int:
        return int(token, 0)

    def short(self: records._Reader, size: int, what: str) -> bytes:
        taken = self.data[self.offset : self.offset + size]
        self.offset += size
        return taken if taken else real_take(self, size, what)

    def trusting(error: Exception, data: bytes) -> str:
        return str(error).split("incomplete")[1]

    def careless(line: str) -> str:
        return real_strip(line) + line[120]

    def unreadable(*_: object) -> int:
        raise RecursionError

    mock.patch.object(text, "_number", any_number).start()
    mock.patch.object(records._Reader, "take_bytes", short).start()
    mock.patch.object(corpusfile, "_why", trusting).start()
    mock.patch.object(complaints, "strip_prefix", careless).start()
    mock.patch.object(store, "sightings", unreadable).start()


def main() -> None:
    target, seeds = TARGETS[sys.argv[1]]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (FOLDER / f"seed-{number}").write_bytes(seed)
    if os.environ.get("ZSFUZZ_PLANT"):
        plant()
    arguments = [sys.argv[0], str(FOLDER), f"-artifact_prefix={FOLDER.parent}/", *sys.argv[3:]]
    atheris.Setup(arguments, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
