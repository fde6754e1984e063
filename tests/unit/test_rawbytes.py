# SPDX-License-Identifier: GPL-2.0-only
"""Raw bytes: every string is a valid program, and every program has a string."""

import random

import pytest
from test_text import random_op

from zsfuzz.errors import BadProgram
from zsfuzz.mutation.rawbytes import (
    CGROUP_TREE_OPS,
    COMMON,
    DEAR_OPS,
    MARK,
    POOL_OPS,
    SWAP_OPS,
    WITH_CGROUPS,
    WITH_POOLS,
    WITH_SWAP,
    decode,
    encode,
    is_dear,
)
from zsfuzz.program import Op, Opcode, Program
from zsmodel.wire import check_program

DEAR = set(POOL_OPS + DEAR_OPS)


def test_every_byte_string_is_a_program_that_the_module_accepts():
    rng = random.Random(9)
    for length in range(600):
        check_program(decode(rng.randbytes(length)))


def test_every_header_and_byte_value_gives_a_program_that_the_module_accepts():
    rng = random.Random(1)
    for header in range(256):
        check_program(decode(bytes((header,)) + rng.randbytes(8 * 64)))


def test_every_canonical_program_survives_the_way_there_and_back():
    rng = random.Random(10)
    for _ in range(300):
        wire = Program.of(random_op(rng) for _ in range(rng.randrange(40))).canonical().wire
        assert decode(encode(wire)) == wire


def test_decoding_is_idempotent():
    wire = decode(random.Random(2).randbytes(8 * 200))
    assert decode(encode(wire)) == wire


def test_common_headers_allow_no_dear_operation():
    rng = random.Random(3)
    seen = set()
    for header in range(MARK):
        seen |= set(decode(bytes((header,)) + rng.randbytes(8 * 256))[::8])
    assert seen == set(Opcode) - DEAR


def test_marked_headers_allow_what_their_flags_say():
    everything = bytes(range(len(Opcode))) * 12
    body = b"".join(bytes((op, 0, 0, 0, 0, 0, 0, 0)) for op in everything)
    pools = set(decode(bytes((MARK | WITH_POOLS,)) + body)[::8])
    cgroups = set(decode(bytes((MARK | WITH_CGROUPS,)) + body)[::8])
    assert pools & DEAR == set(POOL_OPS)
    swap = set(decode(bytes((MARK | WITH_SWAP,)) + body)[::8])
    assert cgroups & DEAR == set(CGROUP_TREE_OPS)
    assert swap & DEAR == set(SWAP_OPS)


def test_random_bytes_under_the_header_for_swap_swap_pages():
    wire = decode(bytes((MARK | WITH_SWAP,)) + random.Random(5).randbytes(8 * 256))
    assert sum(op in SWAP_OPS for op in wire[::8]) > 64


def test_programs_with_swap_operations_are_known_as_dear_by_their_header():
    swap = bytes((Opcode.PAGE_WRITE, 0, 0, 0, 0, 0, 0, 0))
    for header, dear in ((COMMON, False), (MARK | WITH_POOLS, False), (MARK | WITH_SWAP, True)):
        data = bytes((header,)) + swap
        assert is_dear(data, decode(data)) is dear


def test_random_sizes_rarely_exceed_a_page():
    wire = decode(b"\0" + random.Random(4).randbytes(8 * 1000), limit=1000)
    sizes = [op.size for op in Program.from_wire(wire)]
    assert max(sizes) < 4352
    assert sum(size > 4096 for size in sizes) < 50


def test_the_number_of_operations_is_limited():
    assert len(decode(bytes(1 + 8 * 300))) == 8 * 256
    assert len(decode(bytes(1 + 8 * 300), limit=64)) == 8 * 64
    with pytest.raises(BadProgram, match="300 operations: raw bytes hold at most 256"):
        encode(bytes(8 * 300))


def test_a_trailing_part_of_a_record_is_ignored():
    assert decode(b"\0" + bytes(8) + b"1234567") == decode(b"\0" + bytes(8))


@pytest.mark.parametrize("size", [0, 65535])
def test_sizes_at_the_ends_survive(size):
    wire = Program.of([Op(Opcode.MALLOC, size=size, owner=1)]).wire
    assert decode(encode(wire)) == wire
