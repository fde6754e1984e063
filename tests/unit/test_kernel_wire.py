# SPDX-License-Identifier: GPL-2.0-only
"""The wire format that Python reads from DWARF is the one that the C compiler uses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from zstools.errors import WireError
from zstools.paths import kmod_dir
from zstools.wire import Wire, load_wire, read_module_structs, save_wire

FLAGS = ["-g", "-gdwarf-5", "-fno-eliminate-unused-debug-types"]


def _compile(folder: Path, source: Path, name: str) -> Path:
    command = ["gcc", *FLAGS, f"-I{kmod_dir()}", "-c", str(source), "-o", name]
    subprocess.run(command, cwd=folder, check=True)
    return folder / name


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Wire:
    folder = tmp_path_factory.mktemp("wire")
    return read_module_structs(_compile(folder, kmod_dir() / "wire.c", "wire.ko"))


def test_sizes_and_offsets_are_the_compilers(wire: Wire, tmp_path: Path) -> None:
    checks = [
        f'_Static_assert(sizeof(struct {s.name}) == {s.size}, "");' for s in wire.structs.values()
    ] + [
        f'_Static_assert(offsetof(struct {s.name}, {m.name}) == {m.offset}, "");'
        f'_Static_assert(sizeof(((struct {s.name} *)0)->{m.name}) == {m.size}, "");'
        for s in wire.structs.values()
        for m in s.members
    ]
    top = '#include <stddef.h>\n#include "zsfuzz_abi.h"\n'
    (tmp_path / "check.c").write_text(top + "\n".join(checks) + "\n")
    _compile(tmp_path, tmp_path / "check.c", "check.o")


def test_every_structure_of_the_header_is_there(wire: Wire) -> None:
    text = (kmod_dir() / "zsfuzz_abi.h").read_text()
    assert set(wire.structs) == set(re.findall(r"^struct (zsfuzz_\w+) \{", text, re.M))


def test_every_enumerator_and_numeric_macro_is_there(wire: Wire) -> None:
    text = (kmod_dir() / "zsfuzz_abi.h").read_text()
    names = set(re.findall(r"^\t(ZSFUZZ_\w+)\s*=", text, re.M))
    names |= set(re.findall(r"^#define (ZSFUZZ_\w+)\s+(?:0x)?[0-9a-f]+\b", text, re.M))
    assert names - set(wire.constants) == set()
    assert wire.constants["ZSFUZZ_MAGIC"] == 0x7A5F0225


def test_signs_are_told(wire: Wire) -> None:
    members = {m.name: m for m in wire.structs["zsfuzz_result"].members}
    assert members["ret"].signed
    assert not members["zspage"].signed


def test_what_is_saved_is_what_is_loaded(wire: Wire, tmp_path: Path) -> None:
    save_wire(wire, tmp_path / "wire.json")
    assert load_wire(tmp_path / "wire.json") == wire


@pytest.mark.parametrize("content", ["", "{}", '{"structs": {"a": 1}, "constants": {}}'])
def test_a_spoilt_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "wire.json").write_text(content)
    with pytest.raises(WireError, match=r"wire\.json.*kernel build"):
        load_wire(tmp_path / "wire.json")


def test_objects_that_disagree_are_refused(tmp_path: Path) -> None:
    for name, kind in (("a", "int"), ("b", "long")):
        (tmp_path / f"{name}.c").write_text(f"struct zsfuzz_op {{ {kind} size; }} {name};\n")
        _compile(tmp_path, tmp_path / f"{name}.c", f"{name}.o")
    subprocess.run(["ld", "-r", "a.o", "b.o", "-o", "ab.ko"], cwd=tmp_path, check=True)
    with pytest.raises(WireError, match="zsfuzz_op differs"):
        read_module_structs(tmp_path / "ab.ko")


def test_a_module_without_the_structures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("struct other { int x; } other;\n")
    with pytest.raises(WireError, match="zsfuzz_"):
        read_module_structs(_compile(tmp_path, tmp_path / "other.c", "other.ko"))
