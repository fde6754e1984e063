# SPDX-License-Identifier: GPL-2.0-only
"""The model's records are those of the module's header."""

import re
from pathlib import Path

import pytest
from model_support import malloc, op

from zsmodel import Kernel, Model, wire

HEADER = Path(__file__).parents[2] / "kmod" / "zsfuzz_abi.h"
CODES = {"__u8": "B", "__u16": "H", "__s16": "h", "__u32": "I", "__s32": "i"}


def header() -> str:
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)


def struct_in(text: str, name: str) -> tuple[str, tuple[str, ...]]:
    body = re.search(rf"struct {name} \{{(.*?)\}};", text, re.DOTALL)
    assert body, f"no struct {name} in {HEADER}"
    members = re.findall(r"(\w+)\s+(\w+);", body[1])
    return "".join(CODES[c] for c, _ in members), tuple(field for _, field in members)


def constants_in(text: str) -> dict[str, int]:
    found = re.findall(r"(?:#define\s+)?ZSFUZZ_(\w+)\s*=?\s+(0x[0-9a-f]+|\d+)\b", text)
    return {name: int(value, 0) for name, value in found}


@pytest.mark.parametrize("name", wire.RECORDS)
def test_layout_is_the_headers(name: str) -> None:
    record = wire.RECORDS[name]
    assert struct_in(header(), name) == (record.codes, record.fields)


def test_a_drifted_layout_is_seen() -> None:
    drifted = header().replace("__u16	faults;", "__u32	faults;")
    assert struct_in(drifted, "zsfuzz_result")[0] != wire.RECORDS["zsfuzz_result"].codes


def test_constants_are_the_headers() -> None:
    constants = constants_in(header())
    names = [n for n in vars(wire) if n.isupper() and isinstance(getattr(wire, n), int)]
    assert len(names) > 30
    assert {n: getattr(wire, n) for n in names} == {n: constants[n] for n in names}


def test_opcodes_are_the_headers_in_order() -> None:
    constants = constants_in(header())
    assert constants["NR_OPCODES"] == len(wire.OPCODES)
    assert [constants[name.upper()] for name in wire.OPCODES] == list(range(len(wire.OPCODES)))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (wire.OP.pack(28, 0, 0, 8, 0, 0), "operation 0: op is 28"),
        (malloc(0, 1) + malloc(1, 1, pool=4), "operation 1: pool is 4"),
        (malloc(0, 1, owner=9), "operation 0: owner is 9"),
        (op("stat", owner=8), "operation 0: owner is 8"),
        (op("cgroup_remove", owner=8), "operation 0: owner is 8"),
        (op("cgroup_create", owner=1, arg=8), "operation 0: arg is 8"),
        (malloc(0, 1) * 1025, "1025 operations"),
        (b"\0" * 7, "7 bytes"),
    ],
)
def test_malformed_programs_are_refused(program: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model(Kernel("zspage")).check(program)


def test_well_formed_programs_are_not() -> None:
    Model(Kernel("zspage")).check(malloc(255, 65535, owner=8, pool=3) * 1024)


def test_the_empty_program_has_a_snapshot() -> None:
    data = Model(Kernel("stock")).run(b"")
    assert len(data) % 8 == 0
    assert data[0] == wire.SNAP_POOL


def test_unknown_designs_are_refused() -> None:
    with pytest.raises(ValueError, match="'slab'"):
        Kernel("slab")


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(0, 99, "op is 99"), (2, 4, "pool is 4"), (3, 9, "owner is 9"), (3, 8, "owner is 8")],
)
def test_what_the_module_refuses_is_refused(at: int, value: int, reason: str) -> None:
    good = bytearray(op("stat", owner=7) if at == 3 and value == 8 else malloc(0, 8))
    wire.check_program(bytes(good))
    good[at] = value
    with pytest.raises(ValueError, match=f"operation 1: {reason}"):
        wire.check_program(malloc(1, 8) + bytes(good))
