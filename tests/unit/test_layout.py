# SPDX-License-Identifier: GPL-2.0-only
"""The layout of structures is read from DWARF as the compiler laid them out."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from toykernel import compile_image

from zstools.branches import Branch
from zstools.dwarf import Struct, find_unit, open_elf
from zstools.errors import LayoutError
from zstools.header import render_header
from zstools.layout import SWAP_ENUMERATORS, Layout, read_layout

TINY = """\
#include <stdio.h>
#include <stddef.h>
#include <string.h>
struct inner { char c; long l; };
struct tiny {
	signed char first;
	struct { unsigned int a:3, b:5, :4, c:20, d:9; };
	union { void *pointer; unsigned long word; };
	short array[3][2];
	struct inner inner;
	struct inner **list;
} tiny;
#define LOWEST(word) __builtin_ctz(word)
#define COUNT(word) __builtin_popcount(word)
static void bits(const char *name) {
	unsigned int words[sizeof(tiny) / 4];
	memcpy(words, &tiny, sizeof(words));
	for (int i = 0; i < sizeof(words) / 4; i++)
		if (words[i])
			printf("%s %d %d %d\\n", name, 4 * i, LOWEST(words[i]), COUNT(words[i]));
	memset(&tiny, 0, sizeof(tiny));
}
#define BITS(m) do { tiny.m = ~0; bits(#m); } while (0)
#define PLAIN(m) printf("%s %zu %zu\\n", #m, offsetof(struct tiny, m), sizeof(tiny.m))
int main(void) {
	BITS(a); BITS(b); BITS(c); BITS(d);
	PLAIN(first); PLAIN(pointer); PLAIN(word); PLAIN(array); PLAIN(inner); PLAIN(list);
	return 0;
}
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Struct, list[list[str]]]:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.c").write_text(TINY)
    subprocess.run(["gcc", "-g", "tiny.c", "-o", "tiny"], cwd=folder, check=True)
    said = subprocess.run([folder / "tiny"], capture_output=True, text=True, check=True).stdout
    with open_elf(folder / "tiny") as elf:
        struct = find_unit(elf, "tiny.c").struct("tiny")
    assert struct is not None
    return struct, [line.split() for line in said.splitlines()]


def test_offsets_sizes_and_bit_fields_are_those_the_program_sees(
    tiny: tuple[Struct, list[list[str]]],
) -> None:
    struct, facts = tiny
    for name, *numbers in facts:
        member = struct.find(name)
        assert member is not None, name
        if len(numbers) == 3:
            found = [member.offset, member.shift, member.width]
        else:
            found = [member.offset, member.size]
        assert found == [int(n) for n in numbers], name


def test_types_arrays_and_signs_are_told(tiny: tuple[Struct, list[list[str]]]) -> None:
    struct, _facts = tiny
    members = {m.name: m for m in struct.members}
    assert members["list"].type == "struct inner **"
    assert members["array"].count == 6
    assert members["array"].signed
    assert members["first"].signed
    assert not members["a"].signed


def test_a_unit_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.c").write_text("int x;\n")
    subprocess.run(["gcc", "-g", "-c", "empty.c"], cwd=tmp_path, check=True)
    with (
        pytest.raises(LayoutError, match=r"mm/zsmalloc\.c"),
        open_elf(tmp_path / "empty.o") as elf,
    ):
        find_unit(elf, "mm/zsmalloc.c")


@pytest.mark.parametrize("content", [b"", b"not an ELF file", b"\x7fELF" + bytes(60)])
def test_a_file_that_is_no_elf_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(content)
    with pytest.raises(LayoutError, match=str(path)):
        read_layout(path)


@pytest.mark.parametrize(
    ("flag", "design", "owner"),
    [("-DSTOCK", "stock", ""), ("-DZSPAGE", "zspage", "zspage"), ("-DZPDESC", "zpdesc", "zpdesc")],
)
def test_the_design_is_where_the_owner_array_is(
    tmp_path: Path, flag: str, design: str, owner: str
) -> None:
    layout = read_layout(compile_image(tmp_path / "tree", flag))
    place = layout.discovery.place
    assert layout.design == design
    assert (place.struct if place else "") == owner


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    image = compile_image(tmp_path / "tree", "-Dfreeobj=free_object")
    with pytest.raises(LayoutError, match="struct zspage has no freeobj"):
        read_layout(image)


def test_a_kernel_without_the_swap_path_says_what_is_missing(tmp_path: Path) -> None:
    layout = read_layout(compile_image(tmp_path / "tree", "-DSTOCK"))
    assert layout.no_swap.startswith("no debug information for mm/zswap.c")
    assert json.loads(layout.to_json())["no_swap"] == layout.no_swap
    assert "zswap_entry" not in render_header(layout)


@pytest.mark.parametrize("name", ["memcg_events", "ZRAM_SAME", "struct zswap_entry"])
def test_whatever_is_missing_of_the_swap_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # All of it is asked of the one file of the toy kernel, which has all but `name`.
    word = name.removeprefix("struct ")
    monkeypatch.setattr("zstools.layout.SWAP_UNITS", {"mm/zsmalloc.c": {"zspage": "list"}})
    monkeypatch.setattr("zstools.layout.SWAP_ENUMERATORS", ("ZS_OBJS_INUSE",))
    monkeypatch.setattr("zstools.layout.SWAP_SYMBOLS", ("zs_malloc",))
    image = compile_image(tmp_path / "tree", "-DSTOCK")
    assert read_layout(image).no_swap == ""
    kind = "UNITS" if word != name else "ENUMERATORS" if name in SWAP_ENUMERATORS else "SYMBOLS"
    wanted = {"mm/zsmalloc.c": {word: ""}} if kind == "UNITS" else (word,)
    monkeypatch.setattr(f"zstools.layout.SWAP_{kind}", wanted)
    assert f"has no {name}" in read_layout(image).no_swap


def test_the_header_agrees_with_the_compiler(tmp_path: Path) -> None:
    """Compile the header together with the structures that it describes."""
    image = compile_image(tmp_path / "tree", "-DZSPAGE")
    layout = read_layout(image)
    # What calls the kernel needs the kernel's headers.
    numbers, calls = render_header(layout).split("/* Generated from the prototypes")
    sites = calls[calls.index("#ifdef ZSL_WANT_SITES") :]
    (tmp_path / "tree" / "layout.h").write_text(f"{numbers}\n{sites}")
    checks = [
        f'_Static_assert(ZSL_OFF_{name}_{m.name} == offsetof(struct {name}, {m.name}), "");'
        for name, struct in layout.structs.items()
        for m in struct.members
        if m.name and not m.width
    ]
    place = layout.discovery.place
    assert place is not None
    checks += [f'_Static_assert({place.steps[0]} == offsetof(struct zspage, owners), "");']
    checks += ['_Static_assert(ZSL_ENUM_ZS_OBJS_INUSE == ZS_OBJS_INUSE, "");']
    checks += ['_Static_assert(ZSL_SIZE_zspage == sizeof(struct zspage), "");']
    top = '#include <stddef.h>\n#include "mm/zsmalloc.c"\n#include "layout.h"\n'
    (tmp_path / "tree" / "check.c").write_text(top + "\n".join(checks) + "\n")
    command = ["gcc", "-DZSPAGE", "-DZSL_WANT_SITES", "-c", "check.c"]
    subprocess.run(command, cwd=tmp_path / "tree", check=True)
    assert len(checks) > 30


def _address(image: Path, symbol: str) -> int:
    done = subprocess.run(["nm", image], capture_output=True, text=True, check=True)
    return next(int(w[0], 16) for ln in done.stdout.splitlines() if (w := ln.split())[-1] == symbol)


def test_prototypes_and_symbols_are_counted_from_the_anchor(tmp_path: Path) -> None:
    image = compile_image(tmp_path / "tree")
    layout = read_layout(image)
    functions = layout.discovery.functions.values()
    counts = {function.name: len(function.parameters) for function in functions}
    assert counts == {"zs_create_pool": 1, "zs_malloc": 4, "zs_obj_write": 4, "zs_free": 2}
    assert layout.anchor == _address(image, "zs_malloc")
    assert layout.symbols == {"zsmalloc_mops": _address(image, "zsmalloc_mops") - layout.anchor}
    assert layout.size_classes == 255


@pytest.mark.parametrize("missing", ["", "the kernel has no zswap_trees"])
def test_the_module_is_told_of_a_whole_swap_path_only(tmp_path: Path, missing: str) -> None:
    layout = replace(read_layout(compile_image(tmp_path / "tree")), no_swap=missing)
    assert ("ZSL_HAS_SWAP" in render_header(layout)) == (not missing)


def test_the_build_id_is_where_the_running_image_has_it(tmp_path: Path) -> None:
    image = compile_image(tmp_path / "tree")
    layout = read_layout(image)
    assert len(layout.build_id) == 20
    with image.open("rb") as file:
        elf = ELFFile(file)
        (offset,) = elf.address_offsets(layout.anchor + layout.build_id_at, 20)
        file.seek(offset)
        assert file.read(20) == layout.build_id


@pytest.fixture(scope="module")
def covered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Layout]:
    folder = tmp_path_factory.mktemp("covered") / "tree"
    image = compile_image(folder, "-DCOVER", "-fsanitize-coverage=trace-pc")
    return image, read_layout(image)


def _run(image: Path, *arguments: str) -> list[int]:
    done = subprocess.run([image, *arguments], capture_output=True, text=True, check=False)
    return [int(line, 16) for line in done.stdout.splitlines()]


def test_each_recorded_pc_is_a_site(covered: tuple[Path, Layout]) -> None:
    image, layout = covered
    sites = {site.pc for site in layout.coverage.sites}
    recorded = _run(image) + _run(image, "more")
    assert recorded
    assert set(recorded) <= sites


def test_lines_of_hit_sites_are_those_that_ran(covered: tuple[Path, Layout]) -> None:
    image, layout = covered
    source = (image.parent / "mm" / "zsmalloc.c").read_text().splitlines()
    small = source.index("\treturn gfp + nid;") + 1
    large = source.index("\t\treturn pool ? NR_FULLNESS_GROUPS : ZS_OBJS_INUSE;") + 1
    lines = {s.pc: s.lines for s in layout.coverage.sites}
    without = {line for pc in _run(image) for line in lines[pc]}
    more = {line for pc in _run(image, "more") for line in lines[pc]}
    assert small in without
    assert large not in without
    assert large in more
    assert small not in more


def test_the_way_that_a_branch_went_is_derived(covered: tuple[Path, Layout]) -> None:
    image, layout = covered
    source = (image.parent / "mm" / "zsmalloc.c").read_text().splitlines()
    line = source.index("\tif (size > 10)") + 1
    branch = next(b for b in layout.coverage.branches if b.line == line)
    ways = []
    for arguments in ((), ("more",)):
        hits = dict.fromkeys(_run(image, *arguments), 1)
        ways.append(branch.ways_seen(hits))
    assert sorted(ways) == [(False, True), (True, False)]


def test_the_opening_of_a_function_counts_for_its_first_site(
    covered: tuple[Path, Layout],
) -> None:
    image, layout = covered
    source = (image.parent / "mm" / "zsmalloc.c").read_text().splitlines()
    opening = source.index("\tif (size > 10)")  # the brace before it
    first = min(s.pc for s in layout.coverage.sites if s.function == "zs_malloc")
    assert opening in next(s.lines for s in layout.coverage.sites if s.pc == first)


@pytest.mark.parametrize(
    ("hits", "ways"),
    [
        ({}, (False, False)),
        ({1: 5}, (True, False)),
        ({1: 5, 3: 5}, (False, True)),
        ({1: 5, 3: 2}, (True, True)),
        ({1: 255, 3: 255}, (False, True)),
    ],
)
def test_an_unmarked_way_is_what_the_marked_way_leaves(
    hits: dict[int, int], ways: tuple[bool, bool]
) -> None:
    assert Branch(pc=0, line=1, site=1, taken=None, passed=3).ways_seen(hits) == ways
    mirrored = Branch(pc=0, line=1, site=1, taken=3, passed=None).ways_seen(hits)
    assert mirrored == ways[::-1]
