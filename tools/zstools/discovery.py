# SPDX-License-Identifier: GPL-2.0-only
"""What was found out about the ownership of objects in one built kernel.

This is the one place where such facts are kept: the builder, the module's adapter, the reports of
`zsfuzz kernel inspect` and the model's profiles all read them from here.  They are in layout.json
under "discovery".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zstools.errors import LayoutError

# Roles of functions.
CREATE_POOL, MALLOC, WRITE, FREE = "create_pool", "malloc", "write", "free"
OWNER_OF, SET_AWARE, SET_OWNER = "owner_of", "set_aware", "set_owner"
CLEAR_OWNER = "clear_owner"
CALLS = (CREATE_POOL, MALLOC, WRITE, FREE)


@dataclass(frozen=True)
class Parameter:
    """A parameter; the role is what the adapter passes, "" if it cannot be told."""

    name: str
    type: str
    role: str = ""


@dataclass(frozen=True)
class Prototype:
    """A function of mm/zsmalloc.c that other files can call."""

    name: str
    returns: str
    parameters: tuple[Parameter, ...]

    def has(self, role: str) -> bool:
        """Tell whether a parameter has the role."""
        return any(p.role == role for p in self.parameters)

    def __str__(self) -> str:
        """Spell it as C does."""
        parameters = ", ".join(_declare(p.type, p.name) for p in self.parameters)
        return f"{_declare(self.returns, self.name)}({parameters or 'void'})"


@dataclass(frozen=True)
class Place:
    """How to get from a zspage, or from a page, to its array of owners; offsets in bytes.

    Pointers are read at each of @steps in turn, tag bits cleared; what is found then is the
    array, or at distance @base from it.  Entries are @stride apart, the obj_cgroup at @entry.
    """

    struct: str  # zspage or zpdesc
    path: str  # as C would say it: zspage->ext->owners
    steps: tuple[int, ...]
    base: int = 0
    stride: int = 8
    entry: int = 0


@dataclass(frozen=True)
class Counter:
    """A memcg statistic; @unit: how many bytes one is, 4096 for what counts pages."""

    name: str
    unit: int


@dataclass(frozen=True)
class Discovery:
    """Design, prototypes, place of the owners, and the statistics that they are charged to."""

    design: str  # stock, zspage or zpdesc
    owner_at: str  # write, malloc, both or none: which call takes the obj_cgroup
    aware_at: str  # create, setter, malloc or none: which call says that there are owners at all
    functions: dict[str, Prototype]  # by role
    place: Place | None = None
    counters: dict[str, Counter] = field(default_factory=dict)  # zswap, zswapped, incompressible
    adapter: str | None = None  # the file that helped, if there was one
    notes: tuple[str, ...] = ()  # what may be wrong, and how to put it right

    def to_dict(self) -> dict[str, Any]:
        """Render for JSON."""
        return asdict(self)


def from_dict(facts: dict[str, Any]) -> Discovery:
    """Read what to_dict() gave."""
    functions = {
        role: Prototype(f["name"], f["returns"], tuple(Parameter(**p) for p in f["parameters"]))
        for role, f in facts["functions"].items()
    }
    place = facts["place"]
    return Discovery(
        facts["design"],
        facts["owner_at"],
        facts["aware_at"],
        functions,
        Place(**{**place, "steps": tuple(place["steps"])}) if place else None,
        {name: Counter(**counter) for name, counter in facts["counters"].items()},
        facts["adapter"],
        tuple(facts["notes"]),
    )


def load_discovery(layout: Path) -> Discovery:
    """Read it from a kernel's layout.json; raise LayoutError if that is an older one."""
    try:
        return from_dict(json.loads(layout.read_text())["discovery"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LayoutError(
            f"cannot read {layout} ({error}): run `zsfuzz kernel build` again"
        ) from error


def _declare(kind: str, name: str) -> str:
    return f"{kind}{name}" if kind.endswith("*") else f"{kind} {name}"
