# SPDX-License-Identifier: GPL-2.0-only
"""Text of strangers, made harmless for terminals: notes, names of files, what a console said."""

from __future__ import annotations

import click

from zsfuzz.text import printable


def visible(text: str) -> str:
    """Make each line printable; newlines and tabs stay.

    Escape sequences can retitle a terminal, clear it or type into it; marks of direction can show
    text in another order than it has.
    """
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def one_line(text: str) -> str:
    """Make text printable, and put a space for what would begin a new line."""
    return printable(text.replace("\n", " ").replace("\t", " "))


def say(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print text that strangers may have had a part in."""
    click.echo(visible(text), nl=nl, err=err)
