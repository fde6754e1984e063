# SPDX-License-Identifier: GPL-2.0-only
"""Text of strangers, made harmless for terminals: notes, names of files, what a console said."""

from __future__ import annotations

import click

_KEPT = "\n\t"


def printable(text: str) -> str:
    """Put a replacement character for all that is no visible character, newline or tab.

    Escape sequences can retitle a terminal, clear it or type into it; marks of direction can show
    text in another order than it has.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in _KEPT else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def one_line(text: str) -> str:
    """Make text printable, and put a space for what would begin a new line."""
    return printable(text.replace("\n", " ").replace("\t", " "))


def say(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print text that strangers may have had a part in."""
    click.echo(printable(text), nl=nl, err=err)
