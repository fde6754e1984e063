# SPDX-License-Identifier: GPL-2.0-only
"""In what trees may differ lawfully: named options, each with its default and what else it may be.

The first value of an option is its default: what the series of this project do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

CLASS, PAYLOAD, REQUEST = "class", "payload", "request"
WRITE, MALLOC, ZSWAP = "write", "malloc", "zswap"
REPLACE, KEEP, CLEAR, RECHARGE = "replace", "keep", "clear", "recharge"
STORE, IGNORE, CHARGE = "store", "ignore", "charge"
LENGTH, NONE = "length", "none"
EACH, ONE = "each", "one"
BOTH, FIRST = "both", "first"
AWARE, ALL, ARRAYS = "aware", "all", "arrays"

# What a tree does with each value, as one reads it after "the kernel".
OPTIONS: Final[dict[str, dict[str, str]]] = {
    "charge-unit": {
        CLASS: "charges the class size",
        PAYLOAD: "charges the payload that is written, not the class size",
        REQUEST: "charges the size that was asked for, not the class size",
    },
    "charge-time": {
        WRITE: "charges an object when it is written",
        MALLOC: "takes owner and charge at zs_malloc(), not at zs_obj_write()",
        ZSWAP: "leaves charging to zswap: zsmalloc keeps owners, but charges nobody",
    },
    "rewrite": {
        REPLACE: "replaces owner and charge at a second write",
        KEEP: "keeps the first owner and its charge at a second write",
    },
    "unowned-write": {
        CLEAR: "empties the entry at a write without owner",
        KEEP: "keeps owner and charge at a write without owner",
    },
    "same-owner-write": {
        KEEP: "keeps the charge when an object's owner writes it again",
        RECHARGE: "charges anew when an object's owner writes it again",
    },
    "root-owner": {
        STORE: "enters the root cgroup as an owner, and does not charge it",
        IGNORE: "does not enter the root cgroup as an owner",
        CHARGE: "charges the root cgroup as any other",
    },
    "incompressible": {
        LENGTH: "counts a page as incompressible when its compressed length is a page",
        CHARGE: "counts an object as incompressible when its charge is a page",
        NONE: "counts no incompressible pages",
    },
    "array-allocations": {
        EACH: "allocates each owner array by itself",
        ONE: "allocates the owner entries of a zspage at once",
        NONE: "allocates no owner arrays of their own",
    },
    "span-entries": {
        BOTH: "enters an object that lies in two pages in the arrays of both",
        FIRST: "enters an object that lies in two pages in the array of the first only",
    },
    "pools": {
        AWARE: "keeps owners in memcg-aware pools only",
        ALL: "keeps owners in all pools",
        ARRAYS: "has owner arrays in all pools, and owners in memcg-aware ones only",
    },
}
DEFAULT_NAME: Final = "default"
# What is more likely a bug than a choice: it has to be given.
_UNLIKELY: Final = {("span-entries", FIRST), ("pools", ALL)}


@dataclass(frozen=True)
class Profile:
    """Hold a value for each option; raises ValueError for a value that an option has not."""

    charge_unit: str = CLASS
    charge_time: str = WRITE
    rewrite: str = REPLACE
    unowned_write: str = CLEAR
    same_owner_write: str = KEEP  # shows only if something else than the class size is charged
    root_owner: str = STORE
    incompressible: str = LENGTH
    array_allocations: str = EACH
    span_entries: str = BOTH
    pools: str = AWARE

    def __post_init__(self) -> None:
        for name, values in OPTIONS.items():
            if self.value(name) not in values:
                raise ValueError(f"{name}={self.value(name)}: use one of {', '.join(values)}")

    def value(self, option: str) -> str:
        """Look up an option by its name, as in "charge-unit"."""
        return str(getattr(self, option.replace("-", "_")))

    def differences(self) -> dict[str, str]:
        """List the options that are not at their defaults."""
        values = {name: self.value(name) for name in OPTIONS}
        return {name: value for name, value in values.items() if value != _default(name)}

    @property
    def unlikely(self) -> tuple[str, ...]:
        """Name the options whose values have to be given, as a bug is more likely.

        Arrays in all pools are no choice where each is allocated: what is it for?
        """
        named = [o for o, value in self.differences().items() if (o, value) in _UNLIKELY]
        if self.pools == ARRAYS and self.array_allocations != NONE:
            named.append("pools")
        return tuple(named)

    def without(self, *options: str) -> Profile:
        """Put options back to their defaults."""
        names = (option.replace("-", "_") for option in options)
        return replace(self, **{name: _default(name.replace("_", "-")) for name in names})

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.differences().items())

    @property
    def usual_writes(self) -> bool:
        """Tell whether writing and freeing follow the defaults, so that the short rules hold."""
        written = (self.charge_unit, self.charge_time, self.rewrite, self.unowned_write)
        usual = written == (CLASS, WRITE, REPLACE, CLEAR) and self.root_owner == STORE
        return usual and self.incompressible != CHARGE and self.pools != ARRAYS


def parse_profile(text: str) -> Profile:
    """Read "charge-unit=payload,rewrite=keep"; "" and "default" are the defaults.

    Raises ValueError, which names what there is.
    """
    values: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if part == DEFAULT_NAME:
            continue
        if name not in OPTIONS:
            raise ValueError(f"no option {name!r}: use one of {', '.join(OPTIONS)}")
        values[name.replace("-", "_")] = value
    return Profile(**values)


def explain(option: str, value: str) -> str:
    """Say in a line what a tree does, and which profile states it."""
    return f"{OPTIONS[option][value]}: profile {option}={value}"


def _default(option: str) -> str:
    return next(iter(OPTIONS[option]))


assert [field.name.replace("_", "-") for field in fields(Profile)] == list(OPTIONS)  # noqa: S101
