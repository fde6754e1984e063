# SPDX-License-Identifier: GPL-2.0-only
"""Seeds and examples: programs, each with a purpose, that use every operation."""

from struct import unpack_from

import pytest

from zsfuzz.corpusfile import load_dir
from zsfuzz.mutation.rawbytes import decode, encode
from zsfuzz.program import Opcode
from zsfuzz.records import RESULT_SIZE
from zsmodel import Kernel, Model
from zstools.paths import begin_dirs

LOADED = [load_dir(folder) for folder in begin_dirs()]
ENTRIES = [entry for entries, _ in LOADED for entry in entries]


def test_all_seeds_can_be_loaded():
    assert [errors for _, errors in LOADED] == [[], []]
    assert all(entries for entries, _ in LOADED)
    assert len(ENTRIES) >= 15


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path.stem)
def test_each_seed_says_what_it_is_for_and_is_named_after_what_it_does(entry):
    assert len(entry.note) > 20
    assert entry.path.stem == entry.program.digest


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path.stem)
def test_each_seed_survives_as_raw_bytes(entry):
    assert decode(encode(entry.program.wire)) == entry.program.wire


def test_each_operation_succeeds_in_some_seed_and_fails_in_some():
    model = Model(Kernel("zspage"))
    seen = set()
    for entry in ENTRIES:
        answer = model.run(entry.program.wire)
        for number, op in enumerate(entry.program):
            (ret,) = unpack_from("<h", answer, number * RESULT_SIZE)
            seen.add((op.op, ret == 0))
    assert {op for op, good in seen if good} == set(Opcode)
    never_fail = {Opcode.FAIL_NEXT, Opcode.COMPACT, Opcode.SHRINK, Opcode.FLUSH, Opcode.READ}
    never_fail |= {Opcode.COMPACT_MEMORY, Opcode.WRITEBACK, Opcode.SWAP_COMPACT}
    assert {op for op, good in seen if not good} >= set(Opcode) - never_fail
