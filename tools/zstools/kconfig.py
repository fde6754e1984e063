# SPDX-License-Identifier: GPL-2.0-only
"""Merge configuration fragments over tinyconfig, and verify that every option really holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from zstools.errors import ConfigError

_SET = re.compile(r"^(CONFIG_\w+)=(.*)$")
_UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")


def parse_config(text: str) -> dict[str, str]:
    """Return options and values; "is not set" counts as n."""
    options = {}
    for line in text.splitlines():
        if found := _SET.match(line.strip()):
            options[found[1]] = found[2]
        elif found := _UNSET.match(line.strip()):
            options[found[1]] = "n"
    return options


def parse_fragment(text: str, name: str) -> dict[str, str]:
    """Return a fragment's options; raise ConfigError on a line that is no option."""
    options = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        found = _SET.match(content)
        if found is None:
            raise ConfigError(f"{name}:{number}: {line!r} is no option: write CONFIG_NAME=value")
        options[found[1]] = found[2].strip()
    return options


def fragment_names(directory: Path) -> tuple[str, ...]:
    """Name the fragments of a directory; none if it is not there."""
    return tuple(sorted(path.stem for path in directory.glob("*.config")))


def read_fragments(directory: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Merge <name>.config files; later ones win."""
    merged: dict[str, str] = {}
    for name in names:
        path = directory / f"{name}.config"
        try:
            merged |= parse_fragment(path.read_text(), path.name)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    return merged


def overlay(config: str, options: Mapping[str, str]) -> str:
    """Return the text of .config with our options instead of its own."""
    kept = [line for line in config.splitlines() if not _names_one_of(line, options)]
    ours = [f"# {k} is not set" if v == "n" else f"{k}={v}" for k, v in options.items()]
    return "\n".join([*kept, *ours]) + "\n"


def verify(config: str, options: Mapping[str, str]) -> None:
    """Raise ConfigError naming each option that does not have the requested value."""
    have = parse_config(config)
    wrong = {k: v for k, v in options.items() if have.get(k, "n") != v}
    if not wrong:
        return
    facts = ", ".join(f"{k}={v} (is {have.get(k, 'n')})" for k, v in sorted(wrong.items()))
    raise ConfigError(
        f"the kernel's configuration does not take {facts}: "
        "look up what each depends on (`depends on` in its Kconfig) and add that to the fragment"
    )


def _names_one_of(line: str, options: Mapping[str, str]) -> bool:
    found = _SET.match(line) or _UNSET.match(line)
    return found is not None and found[1] in options
