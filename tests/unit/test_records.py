# SPDX-License-Identifier: GPL-2.0-only
"""Decoding answers: every field has a name, and no bytes can upset it."""

import random

from answers import KERNEL, answer_to

from zsfuzz.records import RESULT_SIZE, decode
from zsmodel import Kernel

TEXT = """
o0 = malloc(p0, size=2712, owner=c1, pattern=3)
o5 = malloc(p0, size=2712, owner=c2)
free(o0)
stat(c2)
compact(p0)
"""
PROGRAM, ANSWER = answer_to(TEXT)
CLASS = "p0.class[168 size=2720]"


def values():
    decoded = decode(ANSWER, PROGRAM, KERNEL)
    assert decoded.stopped == ""
    return {path: field.value for path, field in decoded.fields.items()}


def test_results_are_named_after_their_operation():
    seen = values()
    assert seen["op 1: ret"] == 0
    assert seen["op 1: owner"] == 1
    assert seen["op 2: index"] == 1
    assert seen["op 2: inuse"] == 2


def test_stat_is_shown_as_one_number_of_bytes():
    seen = values()
    assert seen["op 4: value"] == 2720
    assert "op 4: tags" not in seen


def test_snapshot_fields_are_named_after_where_they_are():
    seen = values()
    assert seen["p0.pages"] == 2
    assert seen[f"{CLASS}.allocated"] == 3
    assert seen[f"{CLASS}.z0.free"] == (0, 2)
    assert seen[f"{CLASS}.z0.owners[1]"] == 2
    assert seen[f"{CLASS}.z0.owners[0]"] == 0xFF
    assert seen[f"{CLASS}.group[4]"] == (0,)
    assert seen["o5.length"] == 2712
    assert seen["c2.zswap"] == 2720
    assert seen["end.left"] == 0


def test_a_class_that_the_kernel_should_not_have_is_shown_by_index():
    other = Kernel("zspage", chain_size=4)
    paths = decode(ANSWER, PROGRAM, other).fields
    assert any(path.startswith("p0.class[168") for path in paths)


def test_bytes_that_end_anywhere_are_decoded_up_to_there():
    whole = decode(ANSWER, PROGRAM, KERNEL).fields
    padding = len(ANSWER) - len(ANSWER.rstrip(b"\0"))
    for length in range(len(ANSWER) - padding):
        decoded = decode(ANSWER[:length], PROGRAM, KERNEL)
        assert decoded.stopped.startswith("byte "), length
        for path, field in decoded.fields.items():
            assert whole[path].value == field.value
        assert len(decoded.fields) >= min(length // RESULT_SIZE, 5) * 12


def test_where_decoding_stopped_is_told():
    cut = decode(ANSWER[: 5 * RESULT_SIZE + 3], PROGRAM, KERNEL)
    assert (
        cut.stopped
        == "byte 100: the bytes end within the next pool record (3 of 8 bytes are there)"
    )
    kind = ANSWER[: 5 * RESULT_SIZE] + b"\x9a" + ANSWER[5 * RESULT_SIZE + 1 :]
    assert decode(kind, PROGRAM, KERNEL).stopped == "byte 100: no record is of kind 0x9a"
    more = decode(ANSWER + bytes(8), PROGRAM, KERNEL)
    assert "bytes follow the end record" in more.stopped


def test_any_bytes_are_decoded_without_raising():
    rng = random.Random(11)
    for length in range(400):
        decode(rng.randbytes(length), PROGRAM, KERNEL)


def test_garbled_answers_are_decoded_without_raising():
    rng = random.Random(7)
    for _ in range(2000):
        data = bytearray(ANSWER)
        for _ in range(1 + rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        decode(bytes(data), PROGRAM, KERNEL)


def test_a_zspage_in_two_lists_is_shown_twice():
    decoded = decode(ANSWER, PROGRAM, KERNEL)
    at = ANSWER.index(bytes((3, 4, 0, 0, 1, 0)))
    size = 12 + 2 + 2 + 3 + 1
    twice = ANSWER[: at + size] + ANSWER[at:]
    again = decode(twice, PROGRAM, KERNEL)
    assert f"{CLASS}.z0 (again, 2)" in again.fields
    assert again.fields[f"{CLASS}.group[4]"].value == (0, 0)
    assert len(again.fields) > len(decoded.fields)
