# SPDX-License-Identifier: GPL-2.0-only
"""The text form of programs, one operation a line (docs/PROGRAM.md)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zsfuzz.errors import BadProgram
from zsfuzz.program import Op, Opcode, Program
from zsmodel.wire import CGROUPS, NO_OWNER, OBJECTS, PAGES, POOLS


@dataclass(frozen=True)
class Form:
    """Say how one operation is written: what it names, and its keywords with their fields."""

    result: str = ""  # kind of name before the '=': o, p, c
    first: str = ""  # kind of name that is the first argument
    keywords: tuple[tuple[str, str], ...] = ()  # (keyword, field of Op)
    optional: frozenset[str] = frozenset()  # keywords not shown when zero (owner: none)


def _form(result: str, first: str, keywords: str, optional: str = "") -> Form:
    pairs = (keyword.split(":") for keyword in keywords.split())
    return Form(result, first, tuple((k, f) for k, f in pairs), frozenset(optional.split()))


FORMS = {
    Opcode.POOL_CREATE: _form("p", "", "aware:arg"),
    Opcode.POOL_DESTROY: _form("", "p", ""),
    Opcode.MALLOC: _form("o", "p", "size:size owner:owner pattern:arg", "owner pattern"),
    Opcode.WRITE: _form("", "o", "length:size owner:owner pattern:arg", "length owner pattern"),
    Opcode.READ: _form("", "o", "sg:arg", "sg"),
    Opcode.FREE: _form("", "o", ""),
    Opcode.COMPACT: _form("", "p", ""),
    Opcode.MIGRATE: _form("", "o", "page:arg"),
    Opcode.SHRINK: _form("", "p", ""),
    Opcode.LOCK_PAGE: _form("", "o", "page:arg"),
    Opcode.READ_LOCK: _form("", "o", ""),
    Opcode.FLUSH: _form("", "p", ""),
    Opcode.FAIL_NEXT: _form("", "", "nth:arg"),
    Opcode.STAT: _form("", "c", ""),
    Opcode.CGROUP_CREATE: _form("c", "", "parent:arg"),
    Opcode.CGROUP_REMOVE: _form("", "c", ""),
    Opcode.PAGE_WRITE: _form("", "v", "owner:owner pattern:arg", "pattern"),
    Opcode.PAGE_OUT: _form("", "v", ""),
    Opcode.PAGE_IN: _form("", "v", "own:arg", "own"),
    Opcode.PAGE_DROP: _form("", "v", ""),
    Opcode.PAGE_EXIT: _form("", "c", ""),
    Opcode.WRITEBACK: _form("", "", ""),
    Opcode.SWAP_COMPACT: _form("", "", "disk:arg", "disk"),
    Opcode.STAT_FILES: _form("", "c", ""),
    Opcode.CLASSES: _form("", "p", ""),
    Opcode.ZSWAP_MAX: _form("", "c", "pages:arg"),
    Opcode.MAY_ZSWAP: _form("", "c", ""),
    Opcode.COMPACT_MEMORY: _form("", "", ""),
}
WORDS = {opcode.word: opcode for opcode in Opcode}

# Kind of name -> (field of Op, how many there are, what they are called).
NAMES = {
    "o": ("object", OBJECTS, "objects"),
    "p": ("pool", POOLS, "pools"),
    "c": ("owner", CGROUPS, "cgroups"),
    "v": ("object", PAGES, "pages"),
}
CGROUP_KEYWORDS = frozenset(("owner", "parent"))

_LINE = re.compile(r"(?:(?P<result>[^=(\s]+)\s*=\s*)?(?P<word>\w+)\s*\((?P<args>[^()]*)\)")
_NAME = re.compile(r"(?P<kind>[opcv])(?P<number>[0-9]{1,3})")
_NUMBER = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]{1,8})|(?P<decimal>[0-9]{1,8})")


# ---- formatting ----------------------------------------------------------------------------


def format_op(op: Op) -> str:
    """Write one operation as a line of text, without a newline."""
    form = FORMS[op.op]
    args = [_name_of(form.first, op)] if form.first else []
    args += _keywords_of(form, op)
    result = f"{_name_of(form.result, op)} = " if form.result else ""
    return f"{result}{op.op.word}({', '.join(args)})"


def format_program(program: Program) -> str:
    """Write a program as text; parse_program() gives back its canonical form."""
    return "".join(format_op(op) + "\n" for op in program.canonical())


def _name_of(kind: str, op: Op) -> str:
    return f"{kind}{getattr(op, NAMES[kind][0])}"


def _keywords_of(form: Form, op: Op) -> Iterator[str]:
    for keyword, field in form.keywords:
        value = getattr(op, field)
        absent = NO_OWNER if keyword == "owner" else 0
        if value == absent and keyword in form.optional:
            continue
        yield f"{keyword}=c{value}" if keyword in CGROUP_KEYWORDS else f"{keyword}={value}"


# ---- parsing -------------------------------------------------------------------------------


def parse_program(text: str) -> Program:
    """Read a program; raises BadProgram with the line, the token and what was expected."""
    ops = []
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("#", 1)[0].strip()
        if code:
            ops.append(parse_op(code, number))
    return Program.of(ops)


def parse_op(code: str, line: int) -> Op:
    """Read one operation without comment; `line` is for the error."""
    match = _LINE.fullmatch(code)
    if not match:
        raise BadProgram(f"{code!r}: expected an operation such as free(o0)", line=line)
    opcode = WORDS.get(match["word"])
    if opcode is None:
        raise BadProgram(f"{match['word']!r}: expected one of {', '.join(WORDS)}", line=line)
    form = FORMS[opcode]
    owner = NO_OWNER if any(keyword == "owner" for keyword, _ in form.keywords) else 0
    fields = {"owner": owner}
    fields |= _parse_result(form, opcode, match["result"], line)
    fields |= _parse_args(form, opcode, match["args"], line)
    return Op(opcode, **fields)


def _parse_result(form: Form, opcode: Opcode, token: str | None, line: int) -> dict[str, int]:
    if not form.result:
        if token is not None:
            raise BadProgram(f"{token!r}: {opcode.word}() gives no name, drop it", line=line)
        return {}
    if token is None:
        wanted = f"{form.result}0 = {opcode.word}(...)"
        raise BadProgram(f"{opcode.word!r}: expected a name, as in {wanted}", line=line)
    return {NAMES[form.result][0]: parse_name(form.result, token, line)}


def _parse_args(form: Form, opcode: Opcode, args: str, line: int) -> dict[str, int]:
    tokens = [token.strip() for token in args.split(",")] if args.strip() else []
    fields = {}
    if form.first:
        if not tokens:
            raise BadProgram(f"{opcode.word}(): expected {form.first}0 or another", line=line)
        fields[NAMES[form.first][0]] = parse_name(form.first, tokens.pop(0), line)
    return fields | _parse_keywords(form, opcode, tokens, line)


def _parse_keywords(form: Form, opcode: Opcode, tokens: list[str], line: int) -> dict[str, int]:
    known = dict(form.keywords)
    fields: dict[str, int] = {}
    for token in tokens:
        keyword, equals, value = (part.strip() for part in token.partition("="))
        if not equals or keyword not in known:
            wanted = ", ".join(f"{name}=" for name in known) or "nothing more"
            raise BadProgram(f"{token!r} in {opcode.word}(): expected {wanted}", line=line)
        if known[keyword] in fields:
            raise BadProgram(f"{token!r}: {keyword}= is given twice", line=line)
        fields[known[keyword]] = _parse_value(keyword, value, line)
    return fields


def _parse_value(keyword: str, value: str, line: int) -> int:
    if keyword in CGROUP_KEYWORDS:
        return parse_name("c", value, line)
    number = _number(value)
    if number is None or number > 0xFFFF:
        raise BadProgram(f"{keyword}={value}: expected a number from 0 to 65535", line=line)
    return number


def _number(token: str) -> int | None:
    match = _NUMBER.fullmatch(token)
    if not match:
        return None
    return int(match["hex"], 16) if match["hex"] else int(match["decimal"])


def parse_name(kind: str, token: str, line: int) -> int:
    """Read the number of a name such as o17; `kind` is o, p or c."""
    _, count, what = NAMES[kind]
    match = _NAME.fullmatch(token)
    if not match or match["kind"] != kind or int(match["number"]) >= count:
        raise BadProgram(f"{token!r}: {what} are {kind}0 to {kind}{count - 1}", line=line)
    return int(match["number"])


def printable(line: str) -> str:
    """Replace what a terminal would obey: consoles, and files of others, may hold anything."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
