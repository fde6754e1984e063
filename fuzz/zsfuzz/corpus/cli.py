# SPDX-License-Identifier: GPL-2.0-only
"""The commands `zsfuzz corpus merge|minimize|stats|convert`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from zsfuzz.atomic import make_directory, replace_file
from zsfuzz.corpus import textfile
from zsfuzz.corpus.edit import By, Edited, load_all, merge, minimize
from zsfuzz.corpusfile import SUFFIX, Entry, load, pack
from zsfuzz.errors import BadCorpusFile
from zsfuzz.kerneloptions import kernel_options, take_kernel
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.replay.run import find_files
from zsfuzz.replay.verdict import BadFile
from zsfuzz.terminal import say
from zstools.kernel import KernelSpec

_PATH = click.Path(path_type=Path)
_BY = click.option(
    "--by", type=click.Choice([by.value for by in By]), default=By.ALL.value, show_default=True,
    help="What to reach: coverage sites of the kernel and situations of the model, or sites alone.",
)  # fmt: skip
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def corpus() -> None:
    """Look after folders of programs."""


@corpus.command("merge")
@click.argument("target", type=_FOLDER)
@click.argument("sources", nargs=-1, required=True, type=_PATH)
@_BY
@kernel_options(flavour="plain")
@click.pass_context
def merge_command(
    ctx: click.Context, target: Path, sources: tuple[Path, ...], by: str, spec: KernelSpec
) -> None:
    """Add to TARGET the programs of SOURCES that reach something new."""
    make_directory(target)
    edited = merge(take_kernel(spec), target, sources, By(by))
    say(f"{len(edited.kept)} programs added to {target}")
    _tell(ctx, edited)


@corpus.command("minimize")
@click.argument("sources", nargs=-1, required=True, type=_PATH)
@click.option("--output", type=_FOLDER, help="Copy the programs that are needed to this folder.")
@click.option("--delete", is_flag=True, help="Delete all others, in SOURCES.")
@_BY
@kernel_options(flavour="plain")
@click.pass_context
def minimize_command(
    ctx: click.Context,
    sources: tuple[Path, ...],
    output: Path | None,
    delete: bool,
    by: str,
    spec: KernelSpec,
) -> None:
    """Find the fewest programs that reach all that those of SOURCES do."""
    before = find_files(sources, [])  # what comes later was not looked at
    edited = minimize(take_kernel(spec), sources, output, By(by))
    say(f"{len(edited.kept)} of {edited.programs} programs are enough")
    if delete and not edited.troubled:
        kept = {path.resolve() for path in edited.kept}
        bad = {error.path for error in edited.errors}
        for path in before:
            if path.resolve() not in kept and path not in bad:
                path.unlink()
    _tell(ctx, edited)


def _tell(ctx: click.Context, edited: Edited) -> None:
    found = edited.coverage
    say(
        f"reached: lines {found.lines} of {found.lines_total}, sites {found.sites} of "
        f"{found.sites_total}, situations of the model {edited.situations}"
    )
    if edited.by_chance:
        say(f"{edited.by_chance} places were reached among the others only, and not again")
    for path in edited.troubled:
        say(f"{path}: in trouble, not counted: see `zsfuzz replay`", err=True)
    _end(ctx, edited.errors, troubled=bool(edited.troubled))


def _end(ctx: click.Context, errors: Iterable[object], troubled: bool = False) -> None:
    code = EXIT_FINDINGS if troubled else EXIT_CLEAN
    for error in errors:
        say(f"error: {error}", err=True)
        code = EXIT_HARNESS_ERROR
    ctx.exit(code)


# ---- stats -----------------------------------------------------------------------------------


@corpus.command()
@click.argument("paths", nargs=-1, required=True, type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def stats(ctx: click.Context, paths: tuple[Path, ...], as_json: bool) -> None:
    """Count programs, operations, notes and files that cannot be used."""
    errors: list[BadFile] = []
    entries = list(load_all(paths, errors))
    facts = facts_of(entries, len(errors))
    if as_json:
        say(json.dumps(facts, indent=1))
    else:
        for name, value in facts.items():
            if name != "operations_by_kind":
                say(f"{name.replace('_', ' '):<24} {value:>10,}")
        for name, value in facts["operations_by_kind"].items():
            say(f"  {name:<22} {value:>10,}")
    _end(ctx, errors)


def facts_of(entries: list[Entry], broken: int) -> dict[str, Any]:
    """Count what is in a corpus."""
    lengths = sorted(len(entry.program) for entry in entries)
    kinds = Counter(op.op.word for entry in entries for op in entry.program)
    digests = {entry.program.digest for entry in entries}
    return {
        "programs": len(entries),
        "the_same_as_another": len(entries) - len(digests),
        "files_that_cannot_be_used": broken,
        "with_a_note": sum(1 for entry in entries if entry.note),
        "bytes": sum(entry.path.stat().st_size for entry in entries if entry.path),
        "operations": sum(lengths),
        "operations_median": lengths[len(lengths) // 2] if lengths else 0,
        "operations_most": lengths[-1] if lengths else 0,
        "operations_by_kind": dict(kinds.most_common()),
    }


# ---- convert ---------------------------------------------------------------------------------


@corpus.command()
@click.argument("paths", nargs=-1, required=True, type=_PATH)
@click.option("--output", type=_FOLDER, help="Where to write to.  [default: beside each file]")
@click.option("--note", help="What the programs are for, instead of what the files say.")
@click.pass_context
def convert(
    ctx: click.Context, paths: tuple[Path, ...], output: Path | None, note: str | None
) -> None:
    """Turn corpus files into text, and text (*.txt) into corpus files."""
    errors: list[BadFile] = []
    for path in find_files(paths, errors):
        try:
            say(str(_convert(path, output or path.parent, note)))
        except BadCorpusFile as error:
            errors.append(BadFile(path, str(error)))
    _end(ctx, errors)


def _convert(path: Path, folder: Path, note: str | None) -> Path:
    entry = _read_text(path) if path.suffix == textfile.SUFFIX else load(path)
    if note is not None:
        entry = Entry(entry.program, note, entry.design, entry.extra)
    make_directory(folder)
    if path.suffix == textfile.SUFFIX:
        # Replaced even if it is the same program: its note may be another.
        target, data = folder / f"{entry.program.digest}{SUFFIX}", pack(entry)
    else:
        target = folder / f"{path.stem}{textfile.SUFFIX}"
        data = textfile.to_text(entry).encode()
    replace_file(target, data)
    return target


def _read_text(path: Path) -> Entry:
    try:
        return textfile.from_text(path.read_text(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadCorpusFile(path, str(error).lower(), "give a text file") from error
