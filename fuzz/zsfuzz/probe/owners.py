# SPDX-License-Identifier: GPL-2.0-only
"""Owners that are nowhere to be seen: a place that was mistaken, or a bug of a patch."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from zsfuzz.boot import boot
from zsfuzz.errors import BootFailed, HarnessError
from zstools.discovery import Discovery, load_discovery
from zstools.errors import ZsToolsError
from zstools.kernel import AUTO, Kernel, find_kernel


def check_place(kernel: Kernel) -> None:
    """Raise HarnessError for a kernel of which no object shows its owner.

    Only say so of patches on a tree that shows them: there it is a bug, for a run to find.
    """
    found = load_discovery(kernel.layout)
    if _seen_unpatched(kernel):
        click.echo(
            f"this kernel shows no owner at {_path(found)}, but without its patches it does: "
            "taken for a bug",
            err=True,
        )
        return
    raise HarnessError(_not_found(found))


def _seen_unpatched(kernel: Kernel) -> bool:
    """Tell whether the tree as it is shows owners, as far as it was built before."""
    if not kernel.spec.extra_patches:
        return False
    with suppress(ZsToolsError, BootFailed):
        tree = find_kernel(replace(kernel.spec, design=AUTO, extra_patches=()))
        return tree is not None and _shows_owners(tree)
    return False


def _shows_owners(kernel: Kernel) -> bool:
    with (
        tempfile.TemporaryDirectory(prefix="zsfuzz-probe-") as work,
        boot(kernel, Path(work) / "console") as machine,
    ):
        return machine.owners_seen is True


def _path(found: Discovery) -> str:
    return found.place.path if found.place is not None else "the place of owners"


def _not_found(found: Discovery) -> str:
    shown = "\n".join(f"  {function}" for function in found.functions.values())
    notes = "".join(f"\nnote: {note}" for note in found.notes)
    return (
        f"owners are not found at {_path(found)}, where this tree was taken to keep them: no "
        "object that was given an owner shows it there. Say in a file where they are, or how an "
        "owner is given, and give that with --adapter (docs/OWN-KERNEL.md): "
        f'owners = "zspage->member", write = "zs_obj_write(...)"\nfound:\n{shown}{notes}'
    )
