# SPDX-License-Identifier: GPL-2.0-only
"""Find the functions that the module calls, and what to pass for each of their parameters.

Types decide first, then the names of parameters, then what is left over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from zstools.discovery import (
    CLEAR_OWNER,
    CREATE_POOL,
    FREE,
    MALLOC,
    OWNER_OF,
    SET_AWARE,
    SET_OWNER,
    WRITE,
    Parameter,
    Prototype,
)
from zstools.dwarf import Die, Unit, bare_type, name_of, spell, type_of

# Each parameter has one of these roles, or none that could be told.
POOL, NAME, AWARE, SIZE, GFP, NID = "pool", "name", "aware", "size", "gfp", "nid"
OBJCG, HANDLE, MEM, STAT, FLAGS, PARAMS = "objcg", "handle", "mem", "stat", "flags", "params"

_POOL_TYPE, _OBJCG_TYPE = "struct zs_pool *", "struct obj_cgroup *"
_BY_TYPE = {
    _POOL_TYPE: POOL,
    _OBJCG_TYPE: OBJCG,
    "char *": NAME,
    "void *": MEM,
    "gfp_t": GFP,
    "size_t": SIZE,
    "bool": AWARE,
}
_AWARE_NAME = re.compile(r"memcg|objcg|obj_cgroup|aware|account|(^|_)own", re.IGNORECASE)
_MAKES_AWARE = re.compile(rf"{_AWARE_NAME.pattern}|charg|cgroup|track", re.IGNORECASE)
_ASKS_OR_UNDOES = re.compile(
    r"(^|_)(is|has|get|nr|count|show|un[a-z]+|disable|clear|drop|put|free|destroy|drain|flush|"
    r"reclaim|shrink|reparent|offline)(_|$)"
)
_SETS_OWNER = re.compile(r"(^|_)(set|assign|store|attach)_\w*(own|objcg|obj_cgroup|memcg)")
_CLEARS_OWNER = re.compile(
    r"(^|_)((clear|drop|put|unset)_\w*(own|objcg|obj_cgroup|memcg)|uncharge(_|$))"
)
_BY_NAME = (
    (HANDLE, re.compile(r"^(handle|obj|object)$")),
    (NID, re.compile(r"nid|node")),
    (GFP, re.compile(r"gfp")),
    (SIZE, re.compile(r"size|len")),
    (FLAGS, re.compile(r"flags")),
)
_INTEGERS = {"int", "unsigned int", "long int", "unsigned long", "u32", "u64", "s32"}
_LONG = {"unsigned long", "long unsigned int"}
_ONE_ONLY = (SET_OWNER, SET_AWARE, CLEAR_OWNER)  # of two of them nobody knows which


@dataclass(frozen=True)
class Functions:
    """The functions that a unit defines for others, and what they are for."""

    by_role: dict[str, Prototype]
    rivals: dict[str, list[Prototype]]  # of a role for which there is no telling which
    external: list[Prototype]


def find_functions(unit: Unit) -> Functions:
    """Return the functions by role; a role that no function has is left out.

    Where a kernel has two functions for one role, that which knows of owners wins, and the other
    one is there as "plain_" and its role.
    """
    external = list(external_functions(unit))
    found: dict[str, Prototype] = {}
    rivals: dict[str, list[Prototype]] = {}
    for role, candidates in _candidates(external).items():
        ranked = sorted(candidates, key=_preference)
        if len(ranked) > 1 and role in _ONE_ONLY:
            rivals[role] = ranked
        elif ranked:
            found[role] = ranked[0]
        plain = [p for p in ranked[1:] if not knows_owners(p)]
        if plain and knows_owners(ranked[0]) and role in (CREATE_POOL, MALLOC, WRITE):
            found[f"plain_{role}"] = plain[0]
    if CREATE_POOL in found and knows_owners(found[CREATE_POOL]):
        found.pop(SET_AWARE, None)
        rivals.pop(SET_AWARE, None)
    return Functions(found, rivals, external)


def external_functions(unit: Unit) -> Iterator[Prototype]:
    """Yield the functions that the unit defines for others, with the roles of their parameters."""
    for die in unit.functions():
        parameters = [c for c in die.iter_children() if c.tag == "DW_TAG_formal_parameter"]
        typed = [_typed(c) for c in parameters]
        if _spell(type_of(die)) != _POOL_TYPE:  # any bool of what makes a pool may be meant
            typed = [p if p.type != "bool" else _named_aware(p) for p in typed]
        yield Prototype(name_of(die), _spell(type_of(die)), tuple(_left_over(typed)))


def knows_owners(function: Prototype) -> bool:
    """Tell whether a function takes an owner, or is told that there are owners."""
    if any(function.has(role) for role in (OBJCG, AWARE, STAT, PARAMS, FLAGS)):
        return True
    return _AWARE_NAME.search(function.name) is not None


def _candidates(functions: list[Prototype]) -> dict[str, list[Prototype]]:
    named = [f for f in functions if f.name.startswith("zs_")]
    return {
        CREATE_POOL: [f for f in named if f.returns == _POOL_TYPE and not f.has(POOL)],
        MALLOC: [f for f in named if _is_malloc(f)],
        WRITE: [f for f in named if _is_write(f)],
        FREE: [f for f in named if re.match(r"zs_(obj_)?free", f.name) and f.has(HANDLE)],
        OWNER_OF: [f for f in named if f.returns == _OBJCG_TYPE and f.has(HANDLE)],
        SET_AWARE: [_told_aware(f) for f in named if _is_setter(f)],
        SET_OWNER: [f for f in named if _sets_owner(f)],
        CLEAR_OWNER: [f for f in named if _clears_owner(f)],
    }


def _is_malloc(function: Prototype) -> bool:
    takes = function.has(POOL) and function.has(SIZE) and function.has(GFP)
    return takes and function.returns not in ("void", "bool", "int", "long int")


def _is_write(function: Prototype) -> bool:
    has = all(function.has(role) for role in (HANDLE, MEM, SIZE))
    return has and re.search(r"write|store", function.name) is not None


def _is_setter(function: Prototype) -> bool:
    name = function.name
    named = _MAKES_AWARE.search(name) is not None and _ASKS_OR_UNDOES.search(name) is None
    if not named or function.returns not in ("void", "int") or not function.has(POOL):
        return False
    others = [p for p in function.parameters if p.role != POOL]
    return all(p.role == STAT for p in others) or (len(others) == 1 and _is_switch(others[0]))


def _is_switch(parameter: Parameter) -> bool:
    return parameter.type in {"bool", *_INTEGERS} and parameter.role in ("", AWARE)


def _told_aware(setter: Prototype) -> Prototype:
    """Take the one number or bool of what makes a pool aware for that which says so."""
    parameters = (replace(p, role=AWARE) if _is_switch(p) else p for p in setter.parameters)
    return replace(setter, parameters=tuple(parameters))


def _sets_owner(function: Prototype) -> bool:
    roles = sorted(p.role for p in function.parameters)
    named = _SETS_OWNER.search(function.name) is not None
    return function.returns in ("void", "int") and named and roles == [HANDLE, OBJCG, POOL]


def takes_owner_only(function: Prototype) -> bool:
    """Tell whether a function is given an object and its owner, but not what to write."""
    return function.has(HANDLE) and function.has(OBJCG) and not function.has(MEM)


def _clears_owner(function: Prototype) -> bool:
    roles = sorted(p.role for p in function.parameters)
    named = _CLEARS_OWNER.search(function.name) is not None
    return function.returns in ("void", "int") and named and roles == [HANDLE, POOL]


def _preference(function: Prototype) -> tuple[bool, int]:
    return not knows_owners(function), len(function.name)


def _typed(die: Die) -> Parameter:
    kind = _spell(type_of(die))
    name = name_of(die)
    return Parameter(name, kind, _BY_TYPE.get(kind, "") or _by_kind(die, kind, name))


def _named_aware(parameter: Parameter) -> Parameter:
    fits = _AWARE_NAME.search(parameter.name) is not None
    return parameter if fits else replace(parameter, role="")


def _by_kind(die: Die, kind: str, name: str) -> str:
    if kind.startswith("enum "):
        return FLAGS if "flag" in kind else STAT
    if kind.startswith("struct ") and kind.endswith(" *"):
        target = bare_type(type_of(bare_type(type_of(die))))
        return PARAMS if target is not None and _tells_owners(target, f"{kind}{name}") else ""
    if bare_type(type_of(die)) is not None and _is_integer(die):
        for role, pattern in _BY_NAME:
            if pattern.search(name):
                return role
        return AWARE if _AWARE_NAME.search(name) and "stat" not in name else ""
    return ""


def _tells_owners(struct: Die, name: str) -> bool:
    """Tell whether a structure, or a member of it, is by its name about owners."""
    members = [name_of(c) for c in struct.iter_children() if c.tag == "DW_TAG_member"]
    return bool(members) and any(map(names_owners, (name, *members)))


def names_owners(name: str) -> bool:
    """Tell whether a name is about owners."""
    return _AWARE_NAME.search(name) is not None


def _is_integer(die: Die) -> bool:
    bare = bare_type(type_of(die))
    return bare is not None and bare.tag == "DW_TAG_base_type"


def _left_over(parameters: list[Parameter]) -> Iterator[Parameter]:
    """Give what names did not tell to the one role that is still free for such a type.

    A number may be a node, but only of what allocates: elsewhere it may be anything.
    """
    taken = {p.role for p in parameters}
    allocates = {POOL, SIZE, GFP} <= taken
    for one in parameters:
        role = one.role
        if not role and one.type in _LONG and HANDLE not in taken:
            role = HANDLE
        elif not role and one.type == "int" and allocates and NID not in taken:
            role = NID
        taken.add(role)
        yield replace(one, role=role)


def _spell(die: Die | None) -> str:
    """Spell a type so that one type has one spelling."""
    text = spell(die)
    usual = {"long unsigned int": "unsigned long", "_Bool": "bool", "zs_handle_t": "unsigned long"}
    return usual.get(text, text)
