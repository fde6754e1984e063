# SPDX-License-Identifier: GPL-2.0-only
"""Write the C functions through which the module calls a kernel's zsmalloc, whatever it looks like.

The module calls zsl_create_pool(), zsl_malloc(), zsl_write() and zsl_free(); what they pass on, and
in which order, is decided here from the roles of parameters, or said in an adapter file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zstools.adapterfile import EMPTY, AdapterFile
from zstools.discovery import (
    CLEAR_OWNER,
    CREATE_POOL,
    FREE,
    MALLOC,
    SET_AWARE,
    SET_OWNER,
    WRITE,
    Prototype,
)
from zstools.errors import LayoutError
from zstools.prototypes import (
    AWARE,
    FLAGS,
    HANDLE,
    MEM,
    OBJCG,
    PARAMS,
    POOL,
    STAT,
    Functions,
    names_owners,
    takes_owner_only,
)

# Role of the function: return type, and parameters of the module's own function.
_WRAPPERS = {
    CREATE_POOL: ("struct zs_pool *", "const char *name, bool aware"),
    MALLOC: (
        "unsigned long ",
        """struct zs_pool *pool, size_t size, gfp_t gfp, int nid, struct obj_cgroup *objcg,
	bool aware""",
    ),
    WRITE: (
        "void ",
        """struct zs_pool *pool, unsigned long handle, void *mem, size_t size,
	struct obj_cgroup *objcg""",
    ),
    FREE: (
        "void ",
        "struct zs_pool *pool, unsigned long handle, size_t size, struct obj_cgroup *objcg",
    ),
}
_EXTRA = {CREATE_POOL: {"gfp": "GFP_KERNEL", "nid": "NUMA_NO_NODE", "size": "0"}}
_HINT = (
    "say how to call it in a file, and give that with --adapter (docs/OWN-KERNEL.md): "
    '{role} = "{name}(...)", with any of {words}'
)


@dataclass(frozen=True)
class Calls:
    """How each function is called, as C expressions in the words of the module's functions."""

    expressions: dict[str, str]

    def uses(self, role: str, word: str) -> bool:
        """Tell whether the call passes on a word such as objcg."""
        return word in _words(self.expressions[role])

    def functions(self) -> list[str]:
        """Name what is called, by name."""
        found = (re.findall(r"([A-Za-z_]\w*)\s*\(", text) for text in self.expressions.values())
        return sorted({name for names in found for name in names})


@dataclass(frozen=True)
class Kinds:
    """How to look types up, and the macros of zsmalloc's header: a flag may be among them."""

    enumerators: Callable[[str], dict[str, int]]  # of an enumeration, by its name; "": of all ZS_
    members: Callable[[str], list[tuple[str, str]]]  # of a structure: (name, type)
    macros: tuple[str, ...] = ()


def decide_calls(functions: Functions, given: AdapterFile, kinds: Kinds) -> Calls:
    """Decide how to call each function; raise LayoutError that lists what cannot be told."""
    chooser = _Chooser(functions, kinds)
    expressions, problems = {}, []
    for role in _WRAPPERS:
        if role in given.calls:
            expressions[role] = given.calls[role]
            continue
        try:
            expressions[role] = chooser.call(role, expressions)
        except LayoutError as error:
            problems.append(str(error))
    if problems:
        raise LayoutError("\n".join((*problems, *_shown(functions))))
    return Calls(expressions)


def offer_write(functions: Functions, kinds: Kinds) -> str:
    """Return how to write if exactly one function may take the owner, whatever its name; or ""."""
    takers = [f for f in functions.external if _may_take_owner(f)]
    return _Chooser(functions, kinds).offer(takers[0]) if len(takers) == 1 else ""


def _may_take_owner(function: Prototype) -> bool:
    takes = all(function.has(role) for role in (POOL, HANDLE, OBJCG))
    return takes and "free" not in function.name


def render_adapter(
    calls: Calls, given: AdapterFile = EMPTY, hidden: Iterable[str] = ()
) -> list[str]:
    """Return the lines of C for zsfuzz_layout.h.

    What is @hidden is not exported, and called by its distance from what is: ZSL_SYM_ and its name.
    Other headers may declare it later, so the macros do not outlive the calls.
    """
    hidden = tuple(hidden)
    lines = [f"#include <{name}>" for name in ("linux/memcontrol.h", *given.include)]
    lines += [f"#define {name} {_at_distance(name)}" for name in hidden]
    for role, (returns, parameters) in _WRAPPERS.items():
        result = "" if returns == "void " else "return "
        lines += ["", f"static inline {returns}zsl_{role}({parameters})", "{"]
        lines += [f"\t{result}{calls.expressions[role]};", "}"]
    lines += [f"#undef {name}" for name in hidden]
    return ["", "/* Generated from the prototypes of this kernel. */", *lines]


class _Chooser:
    def __init__(self, functions: Functions, kinds: Kinds) -> None:
        self._functions = functions.by_role
        self._rivals = functions.rivals
        self._setters = {f.name for f in functions.external if takes_owner_only(f)}
        self._kinds = kinds

    def call(self, role: str, before: dict[str, str]) -> str:
        """Return the expression for a function, with those before it known."""
        function = self._functions.get(role)
        if function is None:
            raise LayoutError(_cannot(role, f"no function of mm/zsmalloc.c is {role}()"))
        call = self._one(role, function)
        plain = self._functions.get(f"plain_{role}")
        if plain is not None and "aware" not in _words(call):
            which = "objcg" if "objcg" in _words(call) else "aware"
            call = f"{which} ? {call} : {self._one(role, plain)}"
        if role == CREATE_POOL:
            return self._with_setter(call)
        if role == WRITE and "objcg" not in _words(call) and self._owner_is_set_apart():
            return self._with_owner(call, self._functions[SET_OWNER])
        if role == FREE and self._setters & _words(before.get(WRITE, "")):
            return self._with_clearing(call)
        return call

    def offer(self, taker: Prototype) -> str:
        """Say how to write with a function that nobody knows, as far as that can be told."""
        try:
            if taker.has(MEM):
                return self._one(WRITE, taker)
            return self._with_owner(self._one(WRITE, self._functions[WRITE]), taker)
        except (LayoutError, KeyError):
            return f"{taker.name}(...)"

    def _owner_is_set_apart(self) -> bool:
        """Tell whether a function of its own says whose an object is, and no other one does."""
        malloc = self._functions.get(MALLOC)
        return SET_OWNER in self._functions and not (malloc and malloc.has(OBJCG))

    def _with_owner(self, write: str, setter: Prototype) -> str:
        """Write, then set the owner if there is one: a setter need not take NULL.

        What it returns is not looked at: the snapshot shows the owner.
        """
        return f"({{ {write}; if (objcg) {_unused(setter, self._one(WRITE, setter))}; }})"

    def _with_clearing(self, free: str) -> str:
        """Take the owner away before an object is freed, if there is a function for that.

        It need not take an object without one.
        """
        rivals = self._rivals.get(CLEAR_OWNER)
        clear = rivals[0] if rivals else self._functions.get(CLEAR_OWNER)
        if clear is None:
            return free
        call = f"({{ if (objcg) {_unused(clear, self._one(FREE, clear))}; {free}; }})"
        if rivals:
            does = "is called before an object with an owner is freed"
            raise LayoutError(_which(FREE, rivals, does, call))
        return call

    def _with_setter(self, call: str) -> str:
        """Make a pool, and then memcg-aware, if there is a function for that."""
        rivals = self._rivals.get(SET_AWARE)
        setter = rivals[0] if rivals else self._functions.get(SET_AWARE)
        if setter is None:
            return call
        when = "pool" if setter.has(AWARE) else "pool && aware"
        do = _unused(setter, self._one(CREATE_POOL, setter, {POOL: "pool"}))
        call = f"({{ struct zs_pool *pool = {call}; if ({when}) {do}; pool; }})"
        if rivals:
            raise LayoutError(_which(CREATE_POOL, rivals, "makes a pool memcg-aware", call))
        return call

    def _one(self, role: str, function: Prototype, more: dict[str, str] | None = None) -> str:
        words = _words_of(role) | (more or {})
        values = []
        for index, parameter in enumerate(function.parameters):
            value = words.get(parameter.role) or self._special(function, index)
            if "aware" in _words(value) and "aware" not in words:
                value = ""
            if not value:
                raise LayoutError(
                    _cannot(role, f"what to pass as {parameter.name!r} to {function.name}()")
                )
            values.append(value)
        return f"{function.name}({', '.join(values)})"

    def _special(self, function: Prototype, index: int) -> str:
        parameter = function.parameters[index]
        if parameter.role == STAT:
            before = [p.role for p in function.parameters[:index]].count(STAT)
            return self._statistic(parameter.type, parameter.name, before == 0)
        if parameter.role == FLAGS:
            flag = self._flag(parameter.type)
            return f"(aware ? {flag} : 0)" if flag else ""
        if parameter.role == PARAMS:
            return self._block(parameter.type.removesuffix(" *"))
        return ""

    def _block(self, kind: str) -> str:
        """Fill in a structure that says what is to be counted; pools keep a pointer to it."""
        values, before, told = [], 0, False
        for name, member in self._kinds.members(kind.removeprefix("struct ")):
            if member.startswith("enum "):
                value = self._statistic(member, name, before == 0)
                before += 1
            else:
                value = "true" if member == "bool" and names_owners(name) else ""
                told = bool(value)
            if not value:
                return ""
            values.append(f".{name} = {value}")
        if told and not before:  # pools without owners may need one that says so
            block = f"static {kind} blocks[2] = {{ [1] = {{ {', '.join(values)} }} }}"
            return f"({{ {block}; &blocks[aware]; }})"
        block = f"static {kind} block = {{ {', '.join(values)} }}"
        return f"({{ {block}; aware ? &block : NULL; }})" if values else ""

    def _statistic(self, kind: str, name: str, first: bool) -> str:
        """Choose the statistic that a parameter is for: bytes first, then stored pages."""
        known = self._kinds.enumerators(kind.removeprefix("enum "))
        return choose_statistic([n for n in known if "ZSWAP" in n], name, first)

    def _flag(self, kind: str) -> str:
        own = self._kinds.enumerators(kind.removeprefix("enum "))
        known = [*own, *self._kinds.macros, *self._kinds.enumerators("")]
        marks = ("MEMCG", "OBJCG", "OWNER", "ACCOUNT")
        return next((n for n in known if n.startswith("ZS") and any(m in n for m in marks)), "")


def choose_statistic(values: list[str], name: str, first: bool) -> str:
    """Choose among the enumerators that name zswap; "" if none fits."""
    lower = name.lower()
    stored = [n for n in values if "ZSWAPPED" in n]
    size = [n for n in values if "ZSWAP_B" in n]
    if "incomp" in lower:
        return next((n for n in values if "INCOMP" in n), "")
    if any(word in lower for word in ("uncomp", "zswapped", "stored", "orig", "count", "nr")):
        return stored[0] if stored else ""
    if any(word in lower for word in ("comp", "bytes", "size", "zswap")) or first:
        return size[0] if size else ""
    return stored[0] if stored else ""


def _at_distance(name: str) -> str:
    return f"((typeof(&{name}))((char *)zs_malloc + ZSL_SYM_{name}))"


def _words_of(role: str) -> dict[str, str]:
    words = {name: name for name in _words(_WRAPPERS[role][1])}
    return {**_EXTRA.get(role, {}), **words}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _unused(function: Prototype, call: str) -> str:
    """Drop what a function returns, which may have to be used."""
    return f"{{ int ret = {call}; (void)ret; }}" if function.returns == "int" else call


def _which(role: str, rivals: list[Prototype], does: str, call: str) -> str:
    shown = "".join(f"\n  {function}" for function in rivals)
    return (
        f"cannot tell which of these {does}: say so in a file, and give that with --adapter "
        f'(docs/OWN-KERNEL.md), such as {role} = "{call}"{shown}'
    )


def _cannot(role: str, what: str) -> str:
    words = ", ".join(p.split()[-1].lstrip("*") for p in _WRAPPERS[role][1].split(","))
    return f"cannot tell {what}: " + _HINT.format(role=role, name=f"zs_{role}", words=words)


def _shown(functions: Functions) -> Iterator[str]:
    yield "found in mm/zsmalloc.c:"
    for function in functions.by_role.values():
        yield f"  {function}"
