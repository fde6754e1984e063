# SPDX-License-Identifier: GPL-2.0-only
"""Builds are whole or not there: the builder, on a toy kernel that builds in a second."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from toykernel import write_project, write_tree

from zstools import cache as store
from zstools.errors import (
    BuildInterruptedError,
    CommandError,
    ConfigError,
    DiskFullError,
    LayoutError,
    PatchError,
    SourceError,
    ZsToolsError,
)
from zstools.inspect import facts_of
from zstools.kernel import AUTO, Kernel, KernelSpec, ensure_kernel, list_kernels
from zstools.paths import cache_dir
from zstools.progress import Silent
from zstools.wire import load_wire


class Recorder(Silent):
    """Remember what was reported; do @trick at the first step that begins with @at."""

    def __init__(self, at: str = "", trick: BaseException | None = None) -> None:
        self.commands: list[str] = []
        self.steps: list[str] = []
        self._at, self._trick = at, trick

    def command(self, arguments: Sequence[str]) -> None:
        self.commands.append(" ".join(arguments))

    def step(self, text: str) -> None:
        self.steps.append(text)
        if self._trick is not None and text.startswith(self._at):
            trick, self._trick = self._trick, None
            raise trick

    @property
    def compiled(self) -> bool:
        return any(step.startswith("CC mm/") for step in self.steps)


@pytest.fixture(autouse=True)
def _toy_is_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's one file has all designs in it, so its text says nothing."""
    monkeypatch.setattr("zstools.plan.mentions_owners", lambda _tree: False)


class Workshop:
    """A project, a kernel tree and a cache, all of a test's own."""

    def __init__(self, path: Path) -> None:
        self.tree = write_tree(path / "cache" / "sources" / "debian-7.2.99-1")
        self.kmod = write_project(path / "kmod")
        self.cache = path / "cache"
        self.makefile = self.tree / "Makefile"

    def build(self, design: str = "zspage", progress: Silent | None = None, *extra: Path) -> Kernel:
        return ensure_kernel(KernelSpec(design, "plain", None, extra), progress)

    def variant(self, *names: str, progress: Silent | None = None) -> Kernel:
        return ensure_kernel(KernelSpec("zspage", "plain", variants=names), progress)

    def entries(self) -> list[Path]:
        return [p.parent for p in self.cache.glob("kernels/*/manifest.json")]

    def forget(self, variant: str) -> None:
        for path in (*self.cache.glob(f"*/*-{variant}-*"),):
            shutil.rmtree(path)

    def spoil(self, old: str, new: str) -> None:
        text = self.makefile.read_text()
        assert old in text
        self.makefile.write_text(text.replace(old, new))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    workshop = Workshop(tmp_path)
    monkeypatch.setenv("ZSFUZZ_CACHE", str(workshop.cache))
    series, config = workshop.kmod / "kernel" / "series", workshop.kmod / "kernel" / "config"
    monkeypatch.setattr("zstools.module.kmod_dir", lambda: workshop.kmod)
    monkeypatch.setattr("zstools.kernel.series_dir", lambda: series)
    monkeypatch.setattr("zstools.plan.series_dir", lambda: series)
    monkeypatch.setattr("zstools.plan.config_dir", lambda: config)
    monkeypatch.setattr("zstools.build.check_tools", lambda: None)
    return workshop


def test_a_kernel_has_all_its_parts(shop: Workshop) -> None:
    kernel = shop.build()
    assert os.access(kernel.linux, os.X_OK)
    assert json.loads(kernel.layout.read_text())["design"] == "zspage"
    assert sorted(p.name for p in kernel.guest_root.iterdir()) == [
        "cgroup", "dev", "init", "proc", "sys", "tmp", "zsfuzz.ko",
    ]  # fmt: skip
    assert load_wire(kernel.wire).structs["zsfuzz_op"].size == 4
    assert kernel.version == "7.2.99"


def test_the_manifest_says_what_went_in(shop: Workshop) -> None:
    manifest = shop.build().manifest
    assert [p["name"] for p in manifest["patches"]] == ["0001-zspage.patch"]
    assert manifest["options"] == {"CONFIG_BASE": "y", "CONFIG_DEBUG": "n"}
    assert "gcc" in manifest["compiler"]
    assert list_kernels() == [manifest]


def test_nothing_runs_a_second_time(shop: Workshop) -> None:
    first = shop.build()
    again = Recorder()
    assert shop.build(progress=again) == first
    assert again.commands == []


def test_the_users_tree_is_not_changed(shop: Workshop) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        files = [p for p in shop.tree.rglob("*") if p.is_file()]
        return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}

    before = state()
    shop.build("zspage")
    shop.build("stock")
    assert state() == before


def test_a_second_design_starts_from_the_first_ones_objects(shop: Workshop) -> None:
    stock = shop.build("stock")
    progress = Recorder()
    zspage = shop.build("zspage", progress)
    assert zspage.manifest["objects_from"] == stock.manifest["name"]
    assert not any("tinyconfig" in command for command in progress.commands)
    assert progress.compiled


@pytest.mark.parametrize(("first", "second"), [("stock", "zspage"), ("zspage", "stock")])
def test_copied_objects_of_changed_sources_are_rebuilt(
    shop: Workshop, first: str, second: str
) -> None:
    """Also backwards: the unpatched source is older than the objects of the patched one."""
    shop.build(first)
    layout = json.loads(shop.build(second).layout.read_text())
    assert layout["design"] == second


def test_a_variant_is_a_kernel_of_its_own(shop: Workshop) -> None:
    plain, long = shop.build(), shop.variant("long")
    assert plain.key != long.key
    assert long.manifest["variants"] == ["long"]
    assert "-plain-long-" in long.manifest["name"]
    assert long.manifest["options"] == {**plain.manifest["options"], "CONFIG_LONG": "y"}


def test_an_unknown_variant_is_refused_with_those_there_are(shop: Workshop) -> None:
    with pytest.raises(ZsToolsError, match=r"'lang': there is long, quiet, still"):
        shop.variant("lang")


@pytest.mark.parametrize(("variant", "compiled"), [("long", True), ("quiet", False)])
def test_a_variant_compiles_what_its_options_change_and_nothing_else(
    shop: Workshop, variant: str, compiled: bool
) -> None:
    plain, progress = shop.build(), Recorder()
    built = shop.variant(variant, progress=progress)
    assert built.manifest["objects_from"] == plain.manifest["name"]
    assert progress.compiled == compiled


def test_no_default_of_a_sibling_stays_in_the_configuration(shop: Workshop) -> None:
    fresh = (shop.variant("quiet").build / ".config").read_text()
    long = shop.variant("long")
    assert "CONFIG_LONG_DEFAULT=y" in (long.build / ".config").read_text()
    shop.forget("quiet")
    again = shop.variant("quiet")
    assert again.manifest["objects_from"] == long.manifest["name"]
    assert (again.build / ".config").read_text() == fresh


def test_the_sibling_with_the_fewest_outdated_objects_is_taken(shop: Workshop) -> None:
    """Not the one with the fewest other options, nor the newest."""
    long = shop.variant("long")
    shop.variant("quiet", "still")
    last = shop.variant("long", "quiet", "still")
    assert last.manifest["objects_from"] == long.manifest["name"]


@pytest.mark.parametrize(("file", "compiled"), [("mm/zsmalloc.c", True), ("mm/readahead.c", False)])
def test_a_tree_like_another_one_begins_with_the_objects_of_that(
    shop: Workshop, tmp_path: Path, file: str, compiled: bool
) -> None:
    """Not with those of Debian's source, however new, from which both may differ in much."""
    spec = KernelSpec("zspage", "plain", write_tree(tmp_path / "mine"))
    first = ensure_kernel(spec)
    shop.build()
    other = write_tree(tmp_path / "other") / file
    with other.open("a") as text:
        text.write("/* no more */\n")
    progress = Recorder()
    second = ensure_kernel(replace(spec, linux=tmp_path / "other"), progress)
    assert second.key != first.key
    assert second.manifest["objects_from"] == first.manifest["name"]
    assert progress.compiled == compiled
    source = tmp_path / "mine" / "mm" / "zsmalloc.c"  # the first one still goes its own way
    source.write_text(source.read_text().replace("size > 10", "size > 11"))
    progress = Recorder()
    third = ensure_kernel(spec, progress)
    assert third.build == first.build
    assert progress.compiled
    assert "size > 11" not in (tmp_path / "other" / "mm" / "zsmalloc.c").read_text()


@pytest.mark.parametrize(("old", "new"), [("size > 10", "size > 11"), ("main", "/**/ main")])
def test_a_changed_tree_is_another_kernel_from_the_same_objects(
    shop: Workshop, tmp_path: Path, old: str, new: str
) -> None:
    spec = KernelSpec("zspage", "plain", write_tree(tmp_path / "mine"))
    first = ensure_kernel(spec)
    source = tmp_path / "mine" / "mm" / "zsmalloc.c"
    source.write_text(source.read_text().replace(old, new))
    progress = Recorder()
    second = ensure_kernel(spec, progress)
    assert second.key != first.key
    assert second.build == first.build
    assert first.linux.is_file()
    assert progress.compiled
    assert shop.entries()


@pytest.mark.parametrize(("name", "asked"), [("mm/zsmalloc.c", False), ("mm/Kconfig", True)])
def test_an_edit_asks_for_the_configuration_only_if_it_may_change_it(
    shop: Workshop, tmp_path: Path, name: str, asked: bool
) -> None:
    spec = KernelSpec("zspage", "plain", write_tree(tmp_path / "mine"))
    ensure_kernel(spec)
    with (tmp_path / "mine" / name).open("a") as file:
        file.write("/* edited */\n")
    progress = Recorder()
    ensure_kernel(spec, progress)
    assert any("olddefconfig" in command for command in progress.commands) == asked


@pytest.mark.usefixtures("shop")
def test_owners_behind_an_option_that_is_off_are_told_of(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "mine")
    source = tree / "mm" / "zsmalloc.c"
    source.write_text(f"#ifdef CONFIG_TOY_OWNERS\n#define ZSPAGE\n#endif\n{source.read_text()}")
    facts = facts_of(ensure_kernel(KernelSpec(AUTO, "plain", tree)))
    assert facts["design"] == "stock"
    assert "it asks for CONFIG_TOY_OWNERS, off in .config" in facts["left_out"]
    source.write_text(source.read_text().replace("#ifdef CONFIG_TOY_OWNERS", "#if 1"))
    assert not facts_of(ensure_kernel(KernelSpec(AUTO, "plain", tree)))["left_out"]


@pytest.mark.parametrize("where", ["CC mm/", "LD"])
def test_an_interrupted_build_leaves_no_entry_and_goes_on(shop: Workshop, where: str) -> None:
    with pytest.raises(BuildInterruptedError, match="same command goes on"):
        shop.build(progress=Recorder(where, KeyboardInterrupt()))
    assert shop.entries() == []
    assert list_kernels() == []
    shop.build()
    assert len(shop.entries()) == 1


def test_objects_of_a_build_that_was_killed_are_not_trusted(shop: Workshop) -> None:
    """A killed compiler leaves half an object that make takes for new."""
    with pytest.raises(BuildInterruptedError):
        shop.build(progress=Recorder("LD", KeyboardInterrupt()))
    (build,) = shop.cache.glob("trees/*/build-*")
    (build / ".zsfuzz-state").write_text("running")
    (build / "zsmalloc.o").write_bytes(b"half")
    progress = Recorder()
    shop.build(progress=progress)
    assert progress.compiled


def test_an_entry_without_its_manifest_does_not_count(shop: Workshop) -> None:
    shop.build()
    (entry,) = shop.entries()
    (entry / "manifest.json").write_text('{"format": 1, ')
    assert list_kernels() == []
    progress = Recorder()
    shop.build(progress=progress)
    assert any("vmlinux" in command for command in progress.commands)


def test_an_entry_whose_objects_were_deleted_is_built_again(shop: Workshop) -> None:
    old = shop.build()
    old.layout.write_text("of the kernel that is gone")
    shutil.rmtree(old.build)
    again = shop.build()
    assert again.linux.is_file()
    assert "gone" not in again.layout.read_text()
    assert again.module.stat().st_mtime_ns >= again.linux.stat().st_mtime_ns


def test_a_patch_that_does_not_apply_is_named_with_its_file(shop: Workshop, tmp_path: Path) -> None:
    patch = tmp_path / "0009-wrong.patch"
    patch.write_text("--- a/COPYING\n+++ b/COPYING\n@@ -1 +1 @@\n-no such line\n+other\n")
    with pytest.raises(PatchError, match=r"0009-wrong\.patch.*COPYING.*Hunk #1 FAILED"):
        shop.build("zspage", None, patch)
    assert shop.entries() == []
    assert list(shop.cache.glob("trees/*-zspage-*")) == []
    shop.build("zspage")


def test_an_unknown_design_is_refused_with_those_there_are(shop: Workshop) -> None:
    with pytest.raises(PatchError, match=r"'zspgae'.*there is stock, zspage"):
        shop.build("zspgae")


def test_an_option_that_does_not_hold_is_named(shop: Workshop) -> None:
    base = shop.kmod / "kernel" / "config" / "base.config"
    base.write_text("CONFIG_BASE=y\nCONFIG_VANISHES=y\n")
    with pytest.raises(ConfigError, match=r"CONFIG_VANISHES=y \(is n\)") as caught:
        shop.build()
    assert "CONFIG_BASE" not in str(caught.value)
    assert shop.entries() == []


@pytest.mark.parametrize("by_make", [True, False])
def test_a_full_disk_is_told_as_such(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, by_make: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if by_make:
        shop.spoil("\tgcc $(CC_FLAGS) -c", "\techo 'as: No space left on device'; exit 1\n\tgcc")
    else:
        monkeypatch.setattr("zstools.build.link_tree", full)
    with pytest.raises(DiskFullError, match=r"no space left in the cache .*ZSFUZZ_CACHE"):
        shop.build()
    assert shop.entries() == []


def test_a_compilers_error_is_shown(shop: Workshop) -> None:
    source = shop.tree / "mm" / "zsmalloc.c"
    source.write_text(source.read_text() + "not C at all\n")
    with pytest.raises(CommandError, match=r"zsmalloc\.c:.*error:"):
        shop.build("stock")
    assert shop.entries() == []


def test_a_kernel_without_a_needed_member_is_no_entry(shop: Workshop) -> None:
    source = shop.tree / "mm" / "zsmalloc.c"
    source.write_text(source.read_text().replace("freeobj;", "free_object;"))
    with pytest.raises(LayoutError, match="freeobj"):
        shop.build("stock")
    assert shop.entries() == []


def test_a_directory_that_is_no_kernel_tree_is_refused(shop: Workshop) -> None:
    (shop.tree / "mm" / "zsmalloc.c").unlink()
    with pytest.raises(SourceError, match="a kernel without"):
        shop.build()


@pytest.mark.usefixtures("shop")
def test_a_directory_that_is_no_kernel_tree_is_told_while_another_builds(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "Makefile").write_text("all:\n")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with store.builder_lock(cache_dir(), Silent()), pytest.raises(SourceError, match="no kernel"):
        ensure_kernel(KernelSpec("stock", "plain", wrong))


def test_the_module_alone_is_rebuilt_when_its_source_changes(shop: Workshop) -> None:
    first = shop.build()
    (shop.kmod / "wire.c").write_text("struct zsfuzz_op { long size; };\n")
    progress = Recorder()
    second = shop.build(progress=progress)
    assert load_wire(second.wire).structs["zsfuzz_op"].size == 8
    assert second.key == first.key
    assert not any("vmlinux" in command for command in progress.commands)
    assert first.module.is_file()


def test_a_module_that_does_not_compile_leaves_the_kernel_whole(shop: Workshop) -> None:
    wire = (shop.kmod / "wire.c").read_text()
    (shop.kmod / "wire.c").write_text("not C\n")
    with pytest.raises(CommandError, match=r"wire\.c"):
        shop.build()
    (shop.kmod / "wire.c").write_text(wire)
    progress = Recorder()
    shop.build(progress=progress)
    assert not any("vmlinux" in command for command in progress.commands)


def test_a_cache_that_cannot_be_made_is_named(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZSFUZZ_CACHE", str(shop.makefile / "cache"))
    with pytest.raises(ZsToolsError, match="ZSFUZZ_CACHE"):
        shop.build()
