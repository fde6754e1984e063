# SPDX-License-Identifier: GPL-2.0-only
"""Why lines are never reached: a table kept by hand in unreached.toml.

Lines are known by file, function and text, not by number: patches move them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.errors import HarnessError
from zsfuzz.reached.lines import Line, Lines

TABLE = Path(__file__).with_name("unreached.toml")
Key = tuple[str, str, str]  # file, function, text


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
    """Give the lines that never ran, by key, with one of their numbers.

    A line whose text comes again in the same function counts as reached only if all of them are.
    """
    return {_key(line, source): line.number for line in _sorted(lines) if not line.count}


def reached(lines: Lines, source: Path) -> set[Key]:
    """Give the lines of which each copy in their function ran."""
    ran = {_key(line, source) for line in _sorted(lines) if line.count}
    return ran - unreached(lines, source).keys()


def _sorted(lines: Lines) -> Iterable[Line]:
    return [lines[key] for key in sorted(lines)]


_texts: dict[Path, list[str]] = {}


def _key(line: Line, source: Path) -> Key:
    path = source / line.file
    if path not in _texts:
        _texts[path] = path.read_text().splitlines()
    return line.file, line.function, _texts[path][line.number - 1].strip()


@dataclass(frozen=True)
class Check:
    """What of the table is not true: lines without a reason, and reasons without a line."""

    without_reason: tuple[Key, ...]
    reached_after_all: tuple[Key, ...]

    @property
    def clean(self) -> bool:
        """Tell whether the table is right."""
        return not self.without_reason and not self.reached_after_all


def check(lines: Lines, source: Path, reasons: Reasons) -> Check:
    """Compare what was reached with the table."""
    missing = unreached(lines, source)
    done = reached(lines, source)
    stale = {key for key in reasons.keys() & done if _always(reasons, key)}
    stale |= {key for key in done if key[:2] in reasons.whole_functions()}
    return Check(
        tuple(sorted(key for key in missing if reasons.of(key) is None)), tuple(sorted(stale))
    )


def _always(reasons: Reasons, key: Key) -> bool:
    reason = reasons.of(key)
    return reason is not None and reason.always
