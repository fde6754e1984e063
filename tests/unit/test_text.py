# SPDX-License-Identifier: GPL-2.0-only
"""The text form: what docs/PROGRAM.md shows can be read, written and is explained when wrong."""

import random
import re
from pathlib import Path

import pytest

from zsfuzz.errors import BadProgram
from zsfuzz.program import CGROUP_OPS, Op, Opcode, Program
from zsfuzz.text import format_op, format_program, parse_op, parse_program
from zsmodel.wire import NO_OWNER

DOCS = Path(__file__).parents[2] / "docs" / "PROGRAM.md"


def random_op(rng):
    op = rng.choice(list(Opcode))
    owner = rng.randrange(8 if op in CGROUP_OPS else 9)
    arg = rng.choice((rng.randrange(8), 0 if op is Opcode.CGROUP_CREATE else rng.randrange(65536)))
    size = rng.choice((0, 1, 4096, 65535, rng.randrange(65536)))
    return Op(op, rng.randrange(256), rng.randrange(4), owner, size, arg)


def test_reading_what_was_written_gives_the_canonical_program():
    rng = random.Random(8)
    for _ in range(200):
        program = Program.of(random_op(rng) for _ in range(rng.randrange(30)))
        assert parse_program(format_program(program)) == program.canonical()


def test_the_examples_of_the_contract_are_read_and_written_as_they_stand():
    block = re.search(r"## Text form\n.*?\n\n((?:    [^\n]+\n)+)", DOCS.read_text(), re.S)
    assert block
    lines = [line.split("#")[0].strip() for line in block[1].splitlines()]
    assert len(lines) >= 16
    assert format_program(parse_program("\n".join(lines))).splitlines() == lines


def test_fields_that_are_not_shown_are_zero_and_owners_none():
    assert parse_op("o1 = malloc(p0, size=9)", 1) == Op(Opcode.MALLOC, 1, 0, NO_OWNER, 9)
    assert parse_op("write(o1)", 1) == Op(Opcode.WRITE, 1, owner=NO_OWNER)
    assert parse_op("p2 = pool_create()", 1) == Op(Opcode.POOL_CREATE, pool=2)
    assert parse_op("read(o1)", 1) == Op(Opcode.READ, 1)


def test_the_root_cgroup_as_owner_is_shown():
    assert format_op(Op(Opcode.WRITE, 1, owner=0)) == "write(o1, owner=c0)"


def test_numbers_may_be_hexadecimal_and_blanks_do_not_matter():
    assert parse_op("o1=malloc( p0,size = 0xAA0 )", 1).size == 2720


def test_comments_and_empty_lines_are_skipped():
    assert len(parse_program("# nothing\n\n  free(o1)  # really\n")) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("free(o1)\nfree o1", "line 2: 'free o1': expected an operation such as free(o0)"),
        ("fre(o1)", "line 1: 'fre': expected one of pool_create, "),
        ("free(o256)", "line 1: 'o256': objects are o0 to o255"),
        ("free(p1)", "line 1: 'p1': objects are o0 to o255"),
        ("free(o１)", "line 1: 'o１': objects are"),
        ("free()", "line 1: free(): expected o0 or another"),
        ("free(o1, o2)", "line 1: 'o2' in free(): expected nothing more"),
        ("o1 = free(o1)", "line 1: 'o1': free() gives no name, drop it"),
        ("malloc(p0, size=1)", "line 1: 'malloc': expected a name, as in o0 = malloc(...)"),
        ("o1 = malloc(p0, length=1)", "'length=1' in malloc(): expected size=, owner=, pattern="),
        ("o1 = malloc(p0, size=1, size=2)", "'size=2': size= is given twice"),
        ("o1 = malloc(p0, size=65536)", "size=65536: expected a number from 0 to 65535"),
        ("o1 = malloc(p0, size=" + "9" * 5000 + ")", "expected a number from 0 to 65535"),
        ("o1 = malloc(p0, size=1, owner=c8)", "'c8': cgroups are c0 to c7"),
        ("o1 = malloc(p4, size=1)", "'p4': pools are p0 to p3"),
        ("stat(none)", "'none': cgroups are c0 to c7"),
    ],
)
def test_errors_name_the_line_the_token_and_what_was_expected(text, error):
    with pytest.raises(BadProgram, match=re.escape(error)):
        parse_program(text)
