# SPDX-License-Identifier: GPL-2.0-only
"""Why lines are never reached: a table kept by hand in unreached.toml.

Lines are known by file, function and text, not by number: patches move them.  The second line with
the same text in a function has [2] after it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.errors import HarnessError
from zsfuzz.reached.lines import Line, Lines

TABLE = Path(__file__).with_name("unreached.toml")
Key = tuple[str, str, str]  # file, function, text
_HEAD = re.compile(r"^[a-z][\w\s*]*?(\w+)\(")  # the first line of a function


@dataclass(frozen=True)
class Reason:
    """Why some lines of a function are not reached, or not `always`."""

    text: str
    always: bool  # False: they may be reached, by chance or by longer runs
    lines: tuple[str, ...]  # their texts; none: all of the function


class Reasons:
    """The table; `of` finds a line's reason."""

    def __init__(self, table: Mapping[str, list[dict[str, object]]]) -> None:
        self._by_function: dict[tuple[str, str], list[Reason]] = {}
        for row in table["unreached"]:
            lines = row.get("lines", [])
            if not isinstance(lines, list):
                raise HarnessError(f"unreached.toml: {lines!r} is no list of lines")
            reason = Reason(str(row["reason"]), not row.get("sometimes"), tuple(lines))
            key = str(row["file"]), str(row["function"])
            self._by_function.setdefault(key, []).append(reason)

    def of(self, key: Key) -> Reason | None:
        """Find why a line is not reached; None if nobody has said."""
        file, function, text = key
        for reason in self._by_function.get((file, function), ()):
            if not reason.lines or text in reason.lines:
                return reason
        return None

    def keys(self) -> set[Key]:
        """List all lines that are named with their text."""
        return {
            (file, function, text)
            for (file, function), reasons in self._by_function.items()
            for reason in reasons
            for text in reason.lines
        }

    def whole_functions(self) -> set[tuple[str, str]]:
        """List the functions of which no line is reached."""
        found = self._by_function.items()
        return {key for key, reasons in found if any(not r.lines and r.always for r in reasons)}


def load_reasons(path: Path = TABLE) -> Reasons:
    """Read the table."""
    return Reasons(tomllib.loads(path.read_text()))


def unreached(lines: Lines, source: Path) -> dict[Key, int]:
    """Give the lines that never ran, by key, with their numbers."""
    return {key: line.number for key, line in _by_key(lines, source).items() if not line.count}


def reached(lines: Lines, source: Path) -> set[Key]:
    """Give the lines that ran."""
    return {key for key, line in _by_key(lines, source).items() if line.count}


def _by_key(lines: Lines, source: Path) -> dict[Key, Line]:
    texts = {file: (source / file).read_text().splitlines() for file in {f for f, _ in lines}}
    found: dict[Key, Line] = {}
    copies: Counter[Key] = Counter()
    for where in sorted(lines):
        line = lines[where]
        text = texts[line.file][line.number - 1].strip()
        key = line.file, line.function or _enclosing(texts[line.file], line.number), text
        copies[key] += 1
        found[(*key[:2], f"{text} [{copies[key]}]") if copies[key] > 1 else key] = line
    return found


def _enclosing(text: Sequence[str], number: int) -> str:
    """Name the function around a line: gcov does not, if all of it was inlined."""
    above = (_HEAD.match(line) for line in reversed(text[:number]))
    return next((found[1] for found in above if found), "")


@dataclass(frozen=True)
class Check:
    """What of the table is not true: lines without a reason, and reasons without a line."""

    without_reason: tuple[Key, ...]
    reached_after_all: tuple[Key, ...]
    without_line: tuple[Key, ...] = ()  # the text is empty where all of a function was meant

    @property
    def clean(self) -> bool:
        """Tell whether the table is right."""
        return not (self.without_reason or self.reached_after_all or self.without_line)


def check(lines: Lines, source: Path, reasons: Reasons) -> Check:
    """Compare what was reached with the table."""
    missing = unreached(lines, source)
    done = reached(lines, source)
    stale = {key for key in reasons.keys() & done if _always(reasons, key)}
    whole = reasons.whole_functions()
    stale |= {key for key in done if key[:2] in whole}
    there = done | missing.keys()
    gone = reasons.keys() - there
    gone |= {(*function, "") for function in whole - {key[:2] for key in there}}
    return Check(
        tuple(sorted(key for key in missing if reasons.of(key) is None)),
        tuple(sorted(stale)),
        tuple(sorted(gone)),
    )


def _always(reasons: Reasons, key: Key) -> bool:
    reason = reasons.of(key)
    return reason is not None and reason.always
