# SPDX-License-Identifier: GPL-2.0-only
"""Programs: canonical form, wire form, and what is refused."""

import pytest

from zsfuzz.errors import BadProgram
from zsfuzz.program import ARG_MODULUS, USES, Op, Opcode, Program
from zsmodel.wire import NO_OWNER, OPCODES


def test_opcodes_have_the_names_and_numbers_of_the_wire():
    assert [op.word for op in Opcode] == list(OPCODES)


def test_every_opcode_says_what_it_uses():
    assert set(USES) == set(Opcode)
    assert set(ARG_MODULUS) <= {op for op in Opcode if "arg" in USES[op]}


def test_wire_form_is_the_struct_member_for_member():
    program = Program.of([Op(Opcode.MALLOC, 3, 1, 2, 0x0AA0, 7)])
    assert program.wire == bytes((2, 3, 1, 2, 0xA0, 0x0A, 7, 0))
    assert Program.from_wire(program.wire) == program


def test_canonical_form_zeroes_what_is_not_read():
    messy = [Op(op, 9, 1, 3, 77, 5) for op in Opcode]
    for before, after in zip(messy, Program.of(messy).canonical(), strict=True):
        for field in ("object", "pool", "owner", "size"):
            kept = getattr(before, field) if field in USES[before.op] else 0
            assert getattr(after, field) == kept, (before.op, field)


@pytest.mark.parametrize(
    ("op", "arg", "canonical"),
    [
        (Opcode.MALLOC, 19, 3),
        (Opcode.WRITE, 16, 0),
        (Opcode.READ, 3, 1),
        (Opcode.POOL_CREATE, 2, 0),
        (Opcode.FAIL_NEXT, 257, 1),
        (Opcode.MIGRATE, 300, 300),
    ],
)
def test_canonical_form_reduces_arg_as_the_module_does(op, arg, canonical):
    assert Op(op, arg=arg).canonical().arg == canonical


def test_malloc_without_owner_has_no_pattern():
    assert Op(Opcode.MALLOC, owner=NO_OWNER, size=8, arg=5).canonical().arg == 0


def test_programs_that_behave_alike_have_one_digest():
    one = Program.of([Op(Opcode.FREE, 1)])
    other = Program.of([Op(Opcode.FREE, 1, pool=2, size=9)])
    assert one != other
    assert one.digest == other.digest
    assert one.digest != Program.of([Op(Opcode.FREE, 2)]).digest


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (bytes((28, 0, 0, 0, 0, 0, 0, 0)), "op 1: opcode 28"),
        (bytes((2, 0, 4, 0, 0, 0, 0, 0)), "op 1: pool 4"),
        (bytes((2, 0, 0, 9, 0, 0, 0, 0)), "op 1: owner 9 of malloc: use 0 to 8"),
        (bytes(8) + bytes((13, 0, 0, 8, 0, 0, 0, 0)), "op 2: owner 8 of stat: use 0 to 7"),
        (bytes((14, 0, 0, 1, 0, 0, 8, 0)), "op 1: parent 8"),
        (bytes(7), "7 bytes"),
        (bytes(8 * 1025), "1025 operations"),
    ],
)
def test_what_the_module_would_refuse_is_refused(wire, reason):
    with pytest.raises(BadProgram, match=reason):
        Program.from_wire(wire)
