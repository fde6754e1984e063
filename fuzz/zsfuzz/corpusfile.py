# SPDX-License-Identifier: GPL-2.0-only
"""Programs on disk: msgpack files that say what they are, named after what they do."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

from zsfuzz.atomic import make_directory, replace_file
from zsfuzz.errors import BadCorpusFile, BadProgram
from zsfuzz.program import Op, Program, digest_of
from zsfuzz.text import WORDS
from zsmodel.profile import parse_profile
from zsmodel.wire import Packer, check_program

FORMAT = "zsfuzz-program"
VERSION = 1
SUFFIX = ".msgpack"
MAX_BYTES = 1 << 20  # a program of 1,024 operations takes about 20 KiB

# Spelt out, since the defaults follow from the file's size and take truncation for another fault.
_LIMITS = {f"max_{kind}_len": MAX_BYTES for kind in ("map", "array", "str", "bin", "ext")}

_CODES = {word: int(opcode) for word, opcode in WORDS.items()}
_PACKER = Packer("zsfuzz_op")

_FOREIGN = "give a file that zsfuzz has saved, or delete it"
_DAMAGED = "restore it from a copy, or delete it"


@dataclass(frozen=True)
class Entry:
    """Hold a program with what it is for; `extra` is whatever else was saved with it."""

    program: Program
    note: str = ""
    design: str = ""  # the ownership design it was found on, if that matters
    extra: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None


def pack(entry: Entry) -> bytes:
    """Serialise the canonical program; equal entries give equal bytes."""
    program = entry.program.canonical()
    content = {
        "format": FORMAT,
        "version": VERSION,
        "note": entry.note,
        "design": entry.design,
        "digest": program.digest,
        "ops": [[op.op.word, *op[1:]] for op in program],
        "extra": dict(sorted(entry.extra.items())),
    }
    data: bytes = msgpack.packb(content)
    return data


def unpack(data: bytes, path: Path) -> Entry:
    """Read what pack() made; raises BadCorpusFile, with `path`, the reason and the next step."""
    content = _unpack_map(data, path)
    if content.get("format") != FORMAT:
        raise BadCorpusFile(path, f"format {content.get('format')!r}, not {FORMAT!r}", _FOREIGN)
    version = content.get("version")
    if not isinstance(version, int) or version < 1:
        raise BadCorpusFile(path, f"version {version!r} is no version", _DAMAGED)
    if version > VERSION:
        reason = f"version {version}, but this zsfuzz knows {VERSION}"
        raise BadCorpusFile(path, reason, "update zsfuzz, or save the program again with this one")
    return _unpack_entry(content, path)


def _unpack_map(data: bytes, path: Path) -> dict[str, Any]:
    if not data:
        raise BadCorpusFile(path, "the file is empty", _DAMAGED)
    try:
        content = msgpack.unpackb(data, **_LIMITS)
    except (ValueError, msgpack.UnpackException) as error:
        raise BadCorpusFile(path, _why(error, data), _DAMAGED) from error
    if not isinstance(content, dict):
        raise BadCorpusFile(path, f"it holds {type(content).__name__}, not a map", _FOREIGN)
    return content


def _why(error: Exception, data: bytes) -> str:
    if "incomplete" in str(error):
        return f"truncated after {len(data)} bytes"
    return f"not msgpack ({str(error).lower() or type(error).__name__})"


def _unpack_entry(content: dict[str, Any], path: Path) -> Entry:
    try:
        program = Program.of(_unpack_op(row) for row in content["ops"])
        note, design = content["note"], content["design"]
        extra = dict(content["extra"])
    except BadProgram as error:
        raise BadCorpusFile(path, str(error), _DAMAGED) from error
    except KeyError as error:
        raise BadCorpusFile(path, f"{error.args[0]!r} is missing or unknown", _DAMAGED) from error
    except (TypeError, ValueError) as error:
        raise BadCorpusFile(path, f"a field has another type ({error})", _DAMAGED) from error
    if not isinstance(note, str) or not isinstance(design, str):
        raise BadCorpusFile(path, "note or design is no text", _DAMAGED)
    if wrong := _wrong_extra(extra):
        raise BadCorpusFile(path, f"{wrong!r} in extra has another type or value", _DAMAGED)
    if program.digest != content.get("digest"):
        raise BadCorpusFile(path, f"its digest is not {program.digest}", _DAMAGED)
    return Entry(program, note, design, extra, path)


def _wrong_extra(extra: Mapping[Any, Any]) -> object:
    """Name a member of `extra` that is not what its readers take it for."""
    for name in extra:
        if not isinstance(name, str):
            return name
    if type(extra.get("seed", 0)) is not int:
        return "seed"
    if not isinstance(extra.get("flavour", ""), str):
        return "flavour"
    if "profile" in extra and not _is_profile(extra["profile"]):
        return "profile"
    bugs = extra.get("bugs", {})
    return None if isinstance(bugs, dict) and all(map(_is_texts, bugs.values())) else "bugs"


def _is_profile(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(parse_profile(value))
    except ValueError:
        return False


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _unpack_op(row: list[Any]) -> Op:
    word, *fields = row
    if not all(type(value) is int for value in fields):
        raise TypeError(f"operation {row!r}")
    return Op(WORDS[word], *fields)


def load(path: Path) -> Entry:
    """Read one file; raises BadCorpusFile for whatever is wrong with it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise BadCorpusFile(path, reason, "check the path and its permissions") from error
    if len(data) > MAX_BYTES:
        raise BadCorpusFile(path, f"more than {MAX_BYTES} bytes", _FOREIGN)
    return unpack(data, path)


def load_wire(path: Path) -> bytes:
    """Read only the operations of a file, in wire form: ten times as fast as load().

    The digest vouches for what is read; anything unusual is left to load(), and its errors.
    """
    try:
        content = msgpack.unpackb(_read_quickly(path), **_LIMITS)
        values: list[int] = []
        for row in content["ops"]:
            row[0] = _CODES[row[0]]
            values += row
        wire = _PACKER.pack(values)
        known = content["format"] == FORMAT and content["version"] == VERSION
        texts = isinstance(content["note"], str) and isinstance(content["design"], str)
        extra = content["extra"]
        whole = known and texts and isinstance(extra, dict) and not _wrong_extra(extra)
        if whole and content["digest"] == digest_of(wire):
            check_program(wire)
            return wire
    except Exception:  # noqa: BLE001, S110 - whatever is wrong, load() says it
        pass
    return load(path).program.wire


def _read_quickly(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)  # a third of the time of Path.read_bytes()
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def program_files(directory: Path, errors: list[BadCorpusFile] | None = None) -> list[Path]:
    """List the programs in and below a directory, in order of name; hidden files are none.

    Folders in it that cannot be read go into `errors`.  Raises BadCorpusFile if there is no
    program, or the directory cannot be read, or one in it and there are no `errors`.
    """
    unreadable: list[BadCorpusFile] = []
    found = sorted(_below(directory, unreadable))
    if unreadable and (errors is None or unreadable[0].path == directory):
        raise unreadable[0]
    if errors is not None:
        errors += unreadable
    if not found and not unreadable:
        raise BadCorpusFile(directory, f"no *{SUFFIX} in it", "give a folder of programs")
    return found


def _below(directory: Path, unreadable: list[BadCorpusFile]) -> Iterator[Path]:
    try:
        with os.scandir(directory) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if entry.name[0] != "."]
    except OSError as error:
        unreadable.append(_unreadable(directory, error))
        return
    for name, is_folder in found:
        if is_folder:
            yield from _below(directory / name, unreadable)
        elif name.endswith(SUFFIX):
            yield directory / name


def save(directory: Path, entry: Entry, *, durable: bool = True) -> Path:
    """Save a program under a name made from what it does; raises OutputLost.

    A whole file of that name is left as it is: it holds the same program.  Saving durably waits for
    the disk, some milliseconds a file.
    """
    path = directory / f"{entry.program.digest}{SUFFIX}"
    if not _is_whole(path):
        make_directory(directory)
        replace_file(path, pack(entry), durable=durable)
    return path


def _is_whole(path: Path) -> bool:
    try:
        load_wire(path)
    except BadCorpusFile:
        return False
    return True


def load_dir(directory: Path) -> tuple[list[Entry], list[BadCorpusFile]]:
    """Read all programs of a directory, in order of name, and go on past broken files.

    Hidden files and *.md are not meant to be programs.  Raises BadCorpusFile if the directory
    itself cannot be read.
    """
    entries, errors = [], []
    for path in _files(directory):
        try:
            entries.append(load(path))
        except BadCorpusFile as error:
            errors.append(error)
    return entries, errors


def _files(directory: Path) -> list[Path]:
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise _unreadable(directory, error) from error
    return [p for p in paths if not p.name.startswith(".") and p.suffix != ".md" and not p.is_dir()]


def _unreadable(directory: Path, error: OSError) -> BadCorpusFile:
    reason = (error.strerror or type(error).__name__).lower()
    return BadCorpusFile(directory, reason, "give an existing directory")
