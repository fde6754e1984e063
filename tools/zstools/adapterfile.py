# SPDX-License-Identifier: GPL-2.0-only
"""Read an adapter file: what its author knows of a kernel that cannot be told from DWARF."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from zstools.discovery import CALLS
from zstools.errors import LayoutError

_DESIGNS = ("zspage", "zpdesc", "stock")
_COUNTERS = ("zswap", "zswapped", "incompressible")
_KNOWN = ("design", "owners", "include", *CALLS, *_COUNTERS)


@dataclass(frozen=True)
class AdapterFile:
    """What an adapter file says; everything is optional."""

    path: str | None = None
    design: str | None = None
    owners: str | None = None  # zspage->ext->owners
    calls: dict[str, str] = field(default_factory=dict)  # role: C expression
    counters: dict[str, str] = field(default_factory=dict)  # zswap, ...: enumerator
    include: tuple[str, ...] = ()  # headers that the expressions need


EMPTY = AdapterFile()


def read_adapter(path: Path | None) -> AdapterFile:
    """Read a TOML file; raise LayoutError that names what is wrong in it."""
    if path is None:
        return EMPTY
    try:
        facts = tomllib.loads(path.read_text())
    except OSError as error:
        raise LayoutError(f"cannot read adapter {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LayoutError(f"adapter {path} is not TOML: {error}") from error
    _check(path, facts)
    return AdapterFile(
        str(path),
        facts.get("design"),
        facts.get("owners"),
        {role: facts[role] for role in CALLS if role in facts},
        {name: facts[name] for name in _COUNTERS if name in facts},
        tuple(facts.get("include", ())),
    )


def adapter_hash(path: Path | None) -> str | None:
    """Return a hash of the file, for the key of a kernel; None if there is none."""
    if path is None:
        return None
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise LayoutError(f"cannot read adapter {path}: {error.strerror}") from error


def _check(path: Path, facts: dict[str, object]) -> None:
    for name, value in facts.items():
        if name not in _KNOWN:
            raise LayoutError(f"adapter {path}: no key {name!r}: there is {', '.join(_KNOWN)}")
        if name == "include":
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise LayoutError(f"adapter {path}: include is a list of header names")
        elif not isinstance(value, str):
            raise LayoutError(f"adapter {path}: {name} is a string, not {value!r}")
    if facts.get("design", "stock") not in _DESIGNS:
        raise LayoutError(
            f"adapter {path}: design {facts['design']!r} is none of {', '.join(_DESIGNS)}"
        )
