# SPDX-License-Identifier: GPL-2.0-only
"""Owners and prototypes are told from DWARF, whatever a kernel calls them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from toykernel import ZSMALLOC

from zstools.adapterfile import read_adapter
from zstools.discovery import from_dict
from zstools.dwarf import open_elf
from zstools.errors import LayoutError
from zstools.header import render_header
from zstools.inspect import render_facts
from zstools.layout import Hints, Layout, read_layout, symbol_addresses

OWNERS = "struct obj_cgroup **owners;"
WRITE = "void *mem, size_t len OWNER)"
CREATE = "zs_create_pool(const char *name)"
STRUCT = "struct zspage_lock { int lock, cnt; };"
PAGE = "struct page { "
ARGS = "struct zs_args { _Bool memcg; };"


def read(
    folder: Path, *edits: tuple[str, str], hints: Hints | None = None, memcontrol: str = ""
) -> Layout:
    """Compile the toy with owners in its zspages, changed as asked, and read it."""
    text = ZSMALLOC.replace("\tzs_create_pool(argv[0]);\n", "")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder / "mm").mkdir()
    (folder / "mm" / "zsmalloc.c").write_text(text)
    options = ["-g", "-gdwarf-5", "-O1", "-no-pie", "-Wl,--build-id", "-DZSPAGE"]
    (folder / "mm" / "memcontrol.c").write_text(memcontrol)
    command = ["gcc", *options, "mm/zsmalloc.c", "mm/memcontrol.c", "-o", "vmlinux"]
    subprocess.run(command, cwd=folder, check=True)
    return read_layout(folder / "vmlinux", hints)


@pytest.mark.parametrize(
    ("before", "member", "path", "steps", "base", "stride", "entry"),
    [
        ("", "struct obj_cgroup **mine;", "zspage->mine", 1, 0, 8, 0),
        ("struct ext { int nr; struct obj_cgroup **list; };", "struct ext *ext;",
         "zspage->ext->list", 2, 0, 8, 0),
        ("struct ext { int nr; struct obj_cgroup *list[]; };", "struct ext *ext;",
         "zspage->ext->list[]", 1, 8, 8, 0),
        ("struct one { long charged; struct obj_cgroup *of; };", "struct one *all;",
         "zspage->all", 1, 0, 16, 8),
        ("", "struct { int nr; struct obj_cgroup **list; } cg;", "zspage->cg.list", 1, 0, 8, 0),
        ("", "unsigned long objcg_word;", "zspage->objcg_word", 1, 0, 8, 0),
        ("struct one { struct obj_cgroup *of; unsigned long memcg_bytes; };", "struct one *all;",
         "zspage->all", 1, 0, 16, 0),
    ],
)  # fmt: skip
def test_an_array_of_owners_is_found_wherever_it_hangs(
    tmp_path: Path,
    before: str,
    member: str,
    path: str,
    steps: int,
    base: int,
    stride: int,
    entry: int,
) -> None:
    layout = read(tmp_path, (OWNERS, member), (STRUCT, f"{STRUCT}\n{before}"))
    place = layout.discovery.place
    assert place is not None
    assert layout.design == "zspage"
    found = (place.path, len(place.steps), place.base, place.stride, place.entry)
    assert found == (path, steps, base, stride, entry)


@pytest.mark.parametrize(
    ("old", "new", "call"),
    [
        (WRITE, "struct obj_cgroup *o, size_t len, void *mem)",
         "zs_obj_write(pool, handle, objcg, size, mem)"),
        (CREATE, "zs_create_pool(const char *name, _Bool b)", "zs_create_pool(name, aware)"),
        (CREATE, "zs_create_pool(gfp_t g, const char *name)", "zs_create_pool(GFP_KERNEL, name)"),
        (CREATE, "zs_create_pool(const char *name, unsigned int flags)",
         "zs_create_pool(name, (aware ? ZS_WITH_OBJCG : 0))"),
        ("int main(", ("unsigned long zs_malloc_objcg(struct zs_pool *p, size_t size, gfp_t gfp,"
         " struct obj_cgroup *o) { return size + (o != 0) + gfp + (p != 0); }\nint main("),
         "objcg ? zs_malloc_objcg(pool, size, gfp, objcg) : zs_malloc(pool, size, gfp, nid)"),
        ("int main(", ("int zs_charge_objcg(struct zs_pool *pool, struct obj_cgroup *o,"
         " size_t size, gfp_t gfp) { return size + gfp + (o != 0) + (pool != 0); }\nint main("),
         "zs_malloc(pool, size, gfp, nid)"),
        (CREATE, "zs_create_pool(const char *name, const struct zs_args *args)",
         ("zs_create_pool(name, ({ static struct zs_args blocks[2] = { [1] = { .memcg = true } };"
          " &blocks[aware]; }))")),
        (CREATE, "zs_create_pool(const char *name, int nid)", "zs_create_pool(name, NUMA_NO_NODE)"),
        ("nid", "where", "zs_malloc(pool, size, gfp, nid)"),
        ("int main(", ("unsigned long zs_pool_memcg_bytes(struct zs_pool *pool)"
         " { return pool != 0; }\nint main("), "zs_create_pool(name)"),
    ],
)  # fmt: skip
def test_arguments_are_passed_by_role_and_not_by_place(
    tmp_path: Path, old: str, new: str, call: str
) -> None:
    hints = Hints(macros=("ZS_OTHER", "ZS_WITH_OBJCG"))
    layout = read(tmp_path, (old, new), (STRUCT, f"{STRUCT}\n{ARGS}"), hints=hints)
    assert f"return {call};" in render_header(layout) or f"\t{call};" in render_header(layout)


def test_a_flag_is_found_in_an_enumeration_that_no_parameter_names(tmp_path: Path) -> None:
    flags = "enum zs_pool_flags { ZS_POOL_OTHER = 1, ZS_POOL_MEMCG = 2 } some_flags;"
    create = "zs_create_pool(const char *name, unsigned int flags)"
    layout = read(tmp_path, (CREATE, create), (STRUCT, f"{STRUCT}\n{flags}"))
    assert "zs_create_pool(name, (aware ? ZS_POOL_MEMCG : 0))" in render_header(layout)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gfp_t gfp, const int nid)", "gfp_t gfp, const int nid, _Bool can_sleep)",
         "'can_sleep' to zs_malloc"),
        (WRITE, "void *mem, size_t len OWNER, unsigned int flags)", "'flags' to zs_obj_write"),
        (CREATE, "zs_create_pool(const char *name, int max_order)", "'max_order' to zs_create_po"),
    ],
)  # fmt: skip
def test_what_a_parameter_is_for_is_not_guessed(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    called = "return zs_malloc(0, argc > 1 ? 100 : 1, 0, 0) > 100;"
    with pytest.raises(LayoutError, match=said):
        read(tmp_path, (old, new), (called, ""), hints=Hints(macros=("ZS_WITH_OBJCG",)))


IN_ZPDESC = "unsigned int first_obj_offset, refcount;\n#ifdef ZPDESC"


def test_an_array_by_type_counts_more_than_a_number_by_name(tmp_path: Path) -> None:
    array = IN_ZPDESC.replace("\n", "\n\tstruct obj_cgroup **mine;\n")
    layout = read(tmp_path, (OWNERS, "unsigned long nr_objcgs;"), (IN_ZPDESC, array))
    assert layout.discovery.place is not None
    assert (layout.design, layout.discovery.place.path) == ("zpdesc", "zpdesc->mine")


@pytest.mark.parametrize("member", ["struct obj_cgroup **mine", "unsigned long mine"])
def test_what_hangs_on_a_page_counts_more_than_where_all_of_a_zspage_begins(
    tmp_path: Path, member: str
) -> None:
    layout = read(tmp_path, (IN_ZPDESC, IN_ZPDESC.replace("\n", f"\n\t{member};\n")))
    assert layout.discovery.place is not None
    assert (layout.design, layout.discovery.place.path) == ("zpdesc", "zpdesc->mine")


@pytest.mark.parametrize(
    ("member", "stride", "entry"),
    [
        ("void **mine", 8, 0),
        ("void *mine", 8, 0),
        ("unsigned long *mine", 8, 0),
        ("struct unknown *mine", 8, 0),
        ("const struct elsewhere *mine", 16, 8),
        ("struct atomic mine", 8, 0),
    ],
)
def test_whatever_lies_over_memcg_data_is_where_the_owners_are(
    tmp_path: Path, member: str, stride: int, entry: int
) -> None:
    header = """
#line 1 "include/linux/memcontrol.h"
struct elsewhere { long ref; struct obj_cgroup *objcg; }; struct atomic { long counter; };
#line 100 "mm/zsmalloc.c"
"""
    over = IN_ZPDESC.replace("\n", f"\n\t{member};\n")
    layout = read(tmp_path, (OWNERS, ""), (IN_ZPDESC, over), (PAGE, header + PAGE))
    place = layout.discovery.place
    assert place is not None
    assert (layout.design, place.path, len(place.steps)) == ("zpdesc", "zpdesc->mine", 1)
    assert (place.stride, place.entry) == (stride, entry)


def test_one_owner_of_a_page_is_no_array(tmp_path: Path) -> None:
    over = IN_ZPDESC.replace("\n", "\n\tstruct obj_cgroup *mine;\n")
    with pytest.raises(LayoutError, match=r"no array of struct obj_cgroup pointers"):
        read(tmp_path, (OWNERS, ""), (IN_ZPDESC, over))


def test_an_adapter_file_may_name_memcg_data_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('owners = "page->memcg_data"\n')
    (tmp_path / "tree").mkdir()
    layout = read(tmp_path / "tree", (OWNERS, ""), hints=Hints(read_adapter(path)))
    place = layout.discovery.place
    assert place is not None
    assert (layout.design, place.struct, place.path) == ("zpdesc", "zpdesc", "page->memcg_data")
    memcg_data = layout.structs["page"].find("memcg_data")
    assert memcg_data is not None
    assert place.steps == (memcg_data.offset,)


@pytest.mark.parametrize("path", ["page->flags", "page", "zspage", "pool->owners", ""])
def test_owners_begin_where_the_module_can_look(tmp_path: Path, path: str) -> None:
    (tmp_path / "mine.toml").write_text(f'owners = "{path}"\n')
    (tmp_path / "tree").mkdir()
    with pytest.raises(LayoutError, match="begin with zspage-> or zpdesc->, or say page->memcg"):
        read(tmp_path / "tree", hints=Hints(read_adapter(tmp_path / "mine.toml")))


def test_the_namesake_of_memcg_data_has_no_owners_that_a_zspage_has(tmp_path: Path) -> None:
    namesake = IN_ZPDESC.replace("\n", "\n\tunsigned long memcg_data;\n")
    assert read(tmp_path, (IN_ZPDESC, namesake)).design == "zspage"


def test_of_two_places_none_is_taken(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"at zspage->owners and at zspage->others; say") as why:
        read(tmp_path, (OWNERS, f"{OWNERS} struct obj_cgroup **others;"))
    assert 'owners = "zspage->owners"' in str(why.value)


def test_two_names_of_one_place_are_one(tmp_path: Path) -> None:
    union = f"union {{ {OWNERS} struct obj_cgroup **others; }};"
    assert read(tmp_path, (OWNERS, union)).design == "zspage"


def test_an_array_of_a_page_that_is_not_over_memcg_data_is_explained(tmp_path: Path) -> None:
    lru = "struct list_head lru; unsigned long movable_ops;"
    union = "union { struct list_head lru; struct obj_cgroup **mine; }; unsigned long movable_ops;"
    with pytest.raises(LayoutError, match="zpdesc->mine has owners, but does not lie over"):
        read(tmp_path, (OWNERS, ""), (lru, union))


def test_a_function_may_say_that_a_pool_has_owners(tmp_path: Path) -> None:
    setter = "void zs_pool_enable_memcg(struct zs_pool *pool) { one_zspage.pool = pool; }"
    layout = read(tmp_path, ("int main(", f"{setter}\nint main("))
    assert layout.discovery.aware_at == "setter"
    assert "if (pool && aware) zs_pool_enable_memcg(pool);" in render_header(layout)


@pytest.mark.parametrize(
    ("setter", "call"),
    [
        ("void zs_pool_set_memcg(struct zs_pool *pool, _Bool enable)",
         "if (pool) zs_pool_set_memcg(pool, aware);"),
        ("void zs_pool_set_memcg(struct zs_pool *pool, int on)",
         "if (pool) zs_pool_set_memcg(pool, aware);"),
        ("void zs_pool_enable_charging(struct zs_pool *pool)",
         "if (pool && aware) zs_pool_enable_charging(pool);"),
        ("int zs_pool_track_cgroups(struct zs_pool *pool)",
         "if (pool && aware) { int ret = zs_pool_track_cgroups(pool); (void)ret; };"),
        ("void zs_pool_set_memcg_stats(struct zs_pool *pool, enum stat bytes, enum stat objects)",
         "if (pool && aware) zs_pool_set_memcg_stats(pool, MEMCG_ZSWAP_B, MEMCG_ZSWAPPED);"),
    ],
)  # fmt: skip
def test_what_makes_a_pool_aware_has_many_names(tmp_path: Path, setter: str, call: str) -> None:
    stats = "enum stat { MEMCG_ZSWAP_B, MEMCG_ZSWAPPED } some_stat;"
    body = "return 0;" if setter.startswith("int") else ""
    defined = f"{stats}\n{setter} {{ one_zspage.pool = pool; {body} }}\nint main("
    layout = read(tmp_path, ("int main(", defined))
    assert layout.discovery.aware_at == "setter"
    assert call in render_header(layout)
    assert layout.discovery.notes == ()


@pytest.mark.parametrize(
    "name", ["is_memcg", "nr_charged", "uncharge", "untrack", "disable_memcg", "drain_objcgs"]
)
def test_what_asks_or_undoes_makes_no_pool_aware(tmp_path: Path, name: str) -> None:
    function = f"int zs_pool_{name}(struct zs_pool *pool) {{ return pool != 0; }}"
    layout = read(tmp_path, ("int main(", f"{function}\nint main("))
    assert layout.discovery.aware_at == "none"


AWARE = "void zs_pool_enable_memcg(struct zs_pool *pool) { one_zspage.pool = pool; }"


def test_of_two_functions_that_may_make_a_pool_aware_none_is_taken(tmp_path: Path) -> None:
    other = AWARE.replace("enable_memcg", "track_cgroups")
    both = ("int main(", f"{AWARE}\n{other}\nint main(")
    with pytest.raises(LayoutError, match="which of these makes a pool memcg-aware") as why:
        read(tmp_path, both)
    assert "\n  void zs_pool_enable_memcg(struct zs_pool *pool)\n" in str(why.value)
    assert "\n  void zs_pool_track_cgroups(struct zs_pool *pool)\n" in str(why.value)
    line = str(why.value).partition("such as ")[2].partition("\n")[0]
    (tmp_path / "mine.toml").write_text(line)
    (tmp_path / "again").mkdir()
    layout = read(tmp_path / "again", both, hints=Hints(read_adapter(tmp_path / "mine.toml")))
    assert "if (pool && aware) zs_pool_enable_memcg(pool); pool; });" in render_header(layout)


def test_where_nothing_makes_a_pool_aware_there_is_a_note_of_what_may(tmp_path: Path) -> None:
    function = AWARE.replace("enable_memcg", "arm")
    (note,) = read(tmp_path, ("int main(", f"{function}\nint main(")).discovery.notes
    assert note.endswith("\n  void zs_pool_arm(struct zs_pool *pool)")
    assert "if (pool && aware) zs_pool_arm(pool); pool; })" in note


def test_a_note_is_shown_with_the_facts(tmp_path: Path) -> None:
    function = AWARE.replace("enable_memcg", "arm")
    found = read(tmp_path, ("int main(", f"{function}\nint main(")).discovery
    others = {
        "version": "7.2",
        "commit": "",
        "configuration": "plain",
        "no_swap": "",
        "left_out": "",
    }
    shown = render_facts({**found.to_dict(), **others, "prototypes": {}, "calls": {}})
    assert f"\nnote: {found.notes[0]}" in shown


def test_what_makes_a_pool_may_do_that_too(tmp_path: Path) -> None:
    create = (CREATE, "zs_create_pool(const char *name, _Bool memcg)")
    both = f"{AWARE}\n{AWARE.replace('enable_memcg', 'track_cgroups')}\nint main("
    layout = read(tmp_path, create, ("int main(", both))
    assert (layout.discovery.aware_at, layout.discovery.notes) == ("create", ())


SETTER = "zs_obj_set_owner(struct zs_pool *pool, unsigned long handle, struct obj_cgroup *o)"
OTHER = SETTER.replace("set", "assign")
FREE = "zs_free(struct zs_pool *pool, unsigned long handle)"


def test_of_two_functions_that_may_set_the_owner_none_is_taken(tmp_path: Path) -> None:
    setters = f"void {SETTER} {{ }}\nvoid {OTHER} {{ }}\n"
    plain = WRITE.replace(" OWNER", "")
    with pytest.raises(LayoutError, match="no function takes an owner"):
        read(tmp_path, (WRITE, plain), ("int main(", f"{setters}\nint main("))


def test_a_function_that_frees_an_object_sets_no_owner(tmp_path: Path) -> None:
    free = FREE.replace(")", ", struct obj_cgroup *o)")
    plain = WRITE.replace(" OWNER", "")
    with pytest.raises(LayoutError, match="no function takes an owner"):
        read(tmp_path, (WRITE, plain), (FREE, free))


def test_a_function_may_set_the_owner(tmp_path: Path) -> None:
    setter = f"int {SETTER} {{ return pool && handle && o; }}\n"
    plain = WRITE.replace(" OWNER", "")
    layout = read(tmp_path, (WRITE, plain), ("int main(", f"{setter}\nint main("))
    assert layout.discovery.owner_at == "write"
    assert (
        "({ zs_obj_write(pool, handle, mem, size); if (objcg)"
        " { int ret = zs_obj_set_owner(pool, handle, objcg); (void)ret; }; });"
    ) in render_header(layout)


def defined(*prototypes: str) -> tuple[str, str]:
    """Edit the toy so that it has more functions."""
    body = "{ one_page.flags = handle; one_zspage.pool = pool; return 0; }"
    bodies = (body if p.startswith("int") else body.replace("return 0; ", "") for p in prototypes)
    functions = "\n".join(f"{p} {b}" for p, b in zip(prototypes, bodies, strict=True))
    return "typedef unsigned int gfp_t;", f"typedef unsigned int gfp_t;\n{functions}"


HAND = SETTER.replace("zs_obj_set_owner", "zs_hand_over")


@pytest.mark.parametrize(
    ("prototype", "offer"),
    [
        (f"void {HAND}",
         ("({ zs_obj_write(pool, handle, mem, size);"
          " if (objcg) zs_hand_over(pool, handle, objcg); })")),
        (f"void {HAND}".replace("handle,", "handle, void *mem, size_t size,"),
         "zs_hand_over(pool, handle, mem, size, objcg)"),
        (f"void {HAND}".replace("handle,", "handle, void (*mystery)(void),"), "zs_hand_over(...)"),
    ],
)  # fmt: skip
def test_the_one_function_that_may_take_an_owner_is_offered(
    tmp_path: Path, prototype: str, offer: str
) -> None:
    edits = ((WRITE, WRITE.replace(" OWNER", "")), defined(prototype))
    with pytest.raises(LayoutError, match="no function takes an owner") as why:
        read(tmp_path, *edits)
    line = next(part for part in str(why.value).split(": ") if part.startswith("write = "))
    assert line.partition("\n")[0] == f'write = "{offer}"'
    assert "\n  void zs_hand_over(struct zs_pool *pool, unsigned long handle" in str(why.value)


def test_whatever_may_take_an_owner_is_shown(tmp_path: Path) -> None:
    others = (f"void {HAND}", f"void {HAND.replace('hand_over', 'bind')}",
              "void mark(struct zs_pool *pool, unsigned long handle)")  # fmt: skip
    with pytest.raises(LayoutError, match="no function takes an owner") as why:
        read(tmp_path, (WRITE, WRITE.replace(" OWNER", "")), defined(*others))
    assert 'write = "zs_obj_write(pool, handle, mem, size, objcg)"' in str(why.value)
    shown = str(why.value).partition("\nfound:\n")[2].split("\n")
    assert len(shown) == len(set(shown))
    for name in ("zs_hand_over", "zs_bind", "mark"):
        assert any(f" {name}(struct zs_pool *pool" in line for line in shown)


CLEAR = "zs_obj_clear_owner(struct zs_pool *pool, unsigned long handle)"
SET_APART = (
    (WRITE, WRITE.replace(" OWNER", "")),
    ("int main(", f"void {SETTER} {{ one_page.flags = pool && handle && o; }}\nint main("),
)


@pytest.mark.parametrize(
    ("clear", "call"),
    [
        (f"void {CLEAR}", "zs_obj_clear_owner(pool, handle)"),
        (f"int {CLEAR}", "{ int ret = zs_obj_clear_owner(pool, handle); (void)ret; }"),
        ("void zs_obj_uncharge(struct zs_pool *pool, unsigned long handle)",
         "zs_obj_uncharge(pool, handle)"),
        ("void zs_put_objcg(struct zs_pool *pool, unsigned long handle)",
         "zs_put_objcg(pool, handle)"),
    ],
)  # fmt: skip
def test_an_owner_that_was_set_apart_is_taken_away_before_the_object_is_freed(
    tmp_path: Path, clear: str, call: str
) -> None:
    header = render_header(read(tmp_path, *SET_APART, defined(clear)))
    assert f"({{ if (objcg) {call}; zs_free(pool, handle); }});" in header
    assert "#define ZSL_FREE_TAKES_OWNER 1" in header


def test_an_owner_that_is_given_with_the_data_is_left_to_what_frees(tmp_path: Path) -> None:
    layout = read(tmp_path, defined(f"void {CLEAR}"))
    assert layout.calls.expressions["free"] == "zs_free(pool, handle)"


def test_of_two_functions_that_may_take_the_owner_away_none_is_taken(tmp_path: Path) -> None:
    both = defined(f"void {CLEAR}", f"void {CLEAR.replace('clear', 'drop')}")
    with pytest.raises(LayoutError, match="which of these is called before an object") as why:
        read(tmp_path, *SET_APART, both)
    assert "\n  void zs_obj_drop_owner(struct zs_pool *pool, unsigned long handle)" in str(
        why.value
    )
    line = str(why.value).partition("such as ")[2].partition("\n")[0]
    (tmp_path / "mine.toml").write_text(line)
    (tmp_path / "again").mkdir()
    hints = Hints(read_adapter(tmp_path / "mine.toml"))
    layout = read(tmp_path / "again", *SET_APART, both, hints=hints)
    assert "if (objcg) zs_obj_drop_owner(pool, handle); zs_free" in render_header(layout)


def test_a_setter_of_the_file_has_its_counterpart_too(tmp_path: Path) -> None:
    write = "({ zs_obj_write(pool, handle, mem, size); zs_obj_hand(pool, handle, objcg); })"
    (tmp_path / "mine.toml").write_text(f'write = "{write}"\n')
    hand = f"void {SETTER.replace('set_owner', 'hand')}"
    (tmp_path / "tree").mkdir()
    hints = Hints(read_adapter(tmp_path / "mine.toml"))
    edits = (SET_APART[0], defined(hand, f"void {CLEAR}"))
    layout = read(tmp_path / "tree", *edits, hints=hints)
    assert "if (objcg) zs_obj_clear_owner(pool, handle);" in render_header(layout)


# What the header needs of the kernel's, and a module that calls the setter and what frees.
MODULE = """\
#include <stddef.h>
typedef _Bool bool; typedef unsigned int gfp_t; struct zs_pool; struct obj_cgroup;
struct zs_pool *zs_create_pool(const char *name);
unsigned long zs_malloc(struct zs_pool *pool, size_t size, gfp_t gfp, int nid);
void zs_obj_write(struct zs_pool *pool, unsigned long handle, void *mem, size_t size);
int zs_obj_set_owner(struct zs_pool *pool, unsigned long handle, struct obj_cgroup *o);
void zs_free(struct zs_pool *pool, unsigned long handle);
#define READ_ONCE_NOCHECK(x) x
#include "zsfuzz_layout.h"
int zs_obj_set_owner(struct zs_pool *pool, unsigned long handle, struct obj_cgroup *o);
void try_write(struct zs_pool *pool, void *objcg) { zsl_write(pool, 1, 0, 2, objcg); }
void try_free(struct zs_pool *pool) { zsl_free(pool, 1, 2, NULL); }
"""


def test_a_function_that_is_not_exported_is_called_by_its_distance(tmp_path: Path) -> None:
    exported = "int __ksymtab_zs_malloc, __ksymtab_zs_obj_write, __ksymtab_zs_free;"
    edit = ("int main(", f"{exported}\nint {SETTER} {{ return pool && handle && o; }}\nint main(")
    layout = read(tmp_path, (WRITE, WRITE.replace(" OWNER", "")), edit)
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux" / "memcontrol.h").write_text("")
    (tmp_path / "zsfuzz_layout.h").write_text(render_header(layout))
    (tmp_path / "module.c").write_text(MODULE)
    compiler = ["gcc", "-O1", "-fno-pic", "-Wall", "-Werror", "-I.", "-c", "module.c"]
    subprocess.run(compiler, cwd=tmp_path, check=True)
    listed = subprocess.check_output(["nm", "-u", "module.o"], cwd=tmp_path, text=True)
    assert set(listed.split()) - {"U"} == {"zs_malloc", "zs_obj_write", "zs_free"}
    with open_elf(tmp_path / "vmlinux") as elf:
        addresses = symbol_addresses(elf)
    distance = addresses["zs_obj_set_owner"] - addresses["zs_malloc"]
    assert f"#define ZSL_SYM_zs_obj_set_owner ({distance}L)" in render_header(layout)


def test_what_cannot_be_told_is_shown_with_the_prototypes(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"'mystery' to zs_create_pool") as failure:
        read(tmp_path, (CREATE, "zs_create_pool(const char *name, void (*mystery)(void))"))
    assert "--adapter" in str(failure.value)
    assert "zs_malloc(struct zs_pool *pool, size_t size, gfp_t gfp, int nid)" in str(failure.value)


def test_owners_that_are_nowhere_are_no_stock_kernel(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"no array of struct obj_cgroup pointers"):
        read(tmp_path, (OWNERS, "void *elsewhere;"))


def test_the_owner_of_a_lock_owns_no_objects(tmp_path: Path) -> None:
    lock = """
#line 1 "include/linux/spinlock_types.h"
struct raw_spinlock { int raw; void *owner; };
#line 100 "mm/zsmalloc.c"
"""
    with pytest.raises(LayoutError, match=r"no array of struct obj_cgroup pointers"):
        read(tmp_path, (STRUCT, f"{STRUCT}{lock}"), (OWNERS, "struct raw_spinlock lock;"))


def test_what_keeps_owners_elsewhere_is_tested_without_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('write = "zs_obj_write(pool, handle, mem, size, NULL)"\n')
    (tmp_path / "tree").mkdir()
    hints = Hints(read_adapter(path))
    found = read(tmp_path / "tree", (OWNERS, "void *elsewhere;"), hints=hints).discovery
    assert (found.design, found.place, found.owner_at) == ("stock", None, "none")


def test_an_adapter_file_says_what_dwarf_does_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('owners = "zspage->elsewhere"\ncreate_pool = "zs_create_pool(name, 0)"\n')
    odd = (CREATE, "zs_create_pool(const char *name, void (*mystery)(void))")
    (tmp_path / "tree").mkdir()
    hints = Hints(read_adapter(path))
    layout = read(tmp_path / "tree", odd, (OWNERS, "void *elsewhere;"), hints=hints)
    assert layout.discovery.place is not None
    assert layout.discovery.place.path == "zspage->elsewhere"
    assert "return zs_create_pool(name, 0);" in render_header(layout)
    assert layout.discovery.adapter == str(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("desing = 'zspage'", "no key 'desing'"),
        ("design = 'slab'", "design 'slab' is none of"),
        ("owners = 3", "owners is a string"),
        ("owners", "is not TOML"),
    ],
)
def test_an_adapter_file_with_a_mistake_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(LayoutError, match=said):
        read_adapter(path)


def test_facts_survive_json(tmp_path: Path) -> None:
    found = read(tmp_path).discovery
    assert from_dict(found.to_dict()) == found


def test_statistics_of_a_cgroup_are_found_where_the_pool_knows_only_those_of_a_node(
    tmp_path: Path,
) -> None:
    stats = "enum node_stat_item { NR_ZSWAP_B = 7, NR_ZSWAPPED_B } node_stat;\n"
    memcontrol = "enum memcg_stat_item { MEMCG_ZSWAP_INCOMP = 3 } memcg_stat;\n"
    layout = read(tmp_path, (STRUCT, stats + STRUCT), memcontrol=memcontrol)
    names = {role: counter.name for role, counter in layout.discovery.counters.items()}
    assert names == {
        "zswap": "NR_ZSWAP_B",
        "zswapped": "NR_ZSWAPPED_B",
        "incompressible": "MEMCG_ZSWAP_INCOMP",
    }
