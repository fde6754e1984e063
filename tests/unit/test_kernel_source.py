# SPDX-License-Identifier: GPL-2.0-only
"""Sources: the machine's own mirror is found, trees share files, and patches break the links."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import pytest
from toykernel import PATCH, write_tree

from zstools.apt import Mirror, PrivateApt, find_mirror
from zstools.errors import PatchError, SourceError
from zstools.paths import series_dir
from zstools.progress import Silent
from zstools.series import apply_patches, find_patches, patches_hash, supported_versions
from zstools.source import tree_version
from zstools.tree import adopt_objects, link_tree, source_files

DEB822 = """\
Types: deb deb-src
# an old snapshot
URIs: https://vendor.example/repository
Suites: nodistro
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg
"""


def _apt(path: Path, name: str, content: str) -> Path:
    (path / "sources.list.d").mkdir(exist_ok=True)
    (path / name).write_text(content)
    return path


def test_the_mirror_and_keyring_of_deb822_sources_are_used(tmp_path: Path) -> None:
    etc = _apt(tmp_path, "sources.list.d/debian.sources", DEB822)
    assert find_mirror(etc) == Mirror(
        "http://mirror.example/debian", "/usr/share/keyrings/some.gpg"
    )


def test_the_mirror_of_a_one_line_list_is_used(tmp_path: Path) -> None:
    lines = (
        "# deb http://not.example/debian trixie main\n"
        "deb http://security.example/debian-security trixie-security main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main contrib\n"
    )
    etc = _apt(tmp_path, "sources.list", lines)
    assert find_mirror(etc) == Mirror("http://mirror.example/debian", "/k.gpg")


@pytest.mark.parametrize("content", ["", "deb http://vendor.example/x nodistro main\n"])
def test_a_machine_without_debian_mirror_is_told_what_else_there_is(
    tmp_path: Path, content: str
) -> None:
    etc = _apt(tmp_path, "sources.list", content)
    with pytest.raises(SourceError, match="--linux DIR"):
        find_mirror(etc)


def test_apt_is_kept_in_its_own_directory(tmp_path: Path) -> None:
    PrivateApt(tmp_path, Mirror("http://mirror.example/debian", "/k.gpg"), Silent())
    config = (tmp_path / "apt.conf").read_text()
    values = [line.split('"')[1] for line in config.splitlines() if '"/' in line]
    assert all(v == "/dev/null" or v.startswith(str(tmp_path)) for v in values)
    assert "Dir::State" in config


def test_linked_trees_share_files_until_a_patch_changes_one(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "a")
    before = (source / "mm" / "zsmalloc.c").read_text()
    (tmp_path / "zspage.patch").write_text(PATCH)
    link_tree(source, tmp_path / "b")
    apply_patches(tmp_path / "b", [tmp_path / "zspage.patch"])
    assert (tmp_path / "b" / "COPYING").samefile(source / "COPYING")
    assert "#define ZSPAGE" in (tmp_path / "b" / "mm" / "zsmalloc.c").read_text()
    assert (source / "mm" / "zsmalloc.c").read_text() == before


def test_what_no_guest_compiles_is_left_out_of_linked_trees(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "a")
    left_out = ["arch/arm64/mm/init.c", "drivers/net/tun.c", "Documentation/mm/zsmalloc.rst"]
    kept = [
        "arch/um/kernel/um_arch.c",
        "arch/Kconfig",
        "drivers/net/Kconfig",
        "drivers/net/Makefile",
    ]
    for name in (*left_out, *kept):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    link_tree(source, tmp_path / "b")
    assert [name for name in kept if not (tmp_path / "b" / name).exists()] == []
    assert [name for name in left_out if (tmp_path / "b" / name).exists()] == []


def test_a_patch_of_ours_with_other_context_is_not_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zstools.series.project_root", lambda: tmp_path)
    tree = write_tree(tmp_path / "a")
    (tmp_path / "fuzzy.patch").write_text(PATCH.replace(" struct obj_cgroup;", " struct other;"))
    with pytest.raises(PatchError, match=r"fuzzy\.patch does not apply to mm/zsmalloc\.c"):
        apply_patches(tree, [tmp_path / "fuzzy.patch"])


def test_a_patch_from_elsewhere_may_need_fuzz_and_that_is_told(tmp_path: Path) -> None:
    class Titles(Silent):
        seen: ClassVar[list[str]] = []

        def begin(self, title: str, total: int | None = None) -> None:
            self.seen.append(title)

    tree = write_tree(tmp_path / "a")
    (tmp_path / "fuzzy.patch").write_text(PATCH.replace(" struct obj_cgroup;", " struct other;"))
    apply_patches(tree, [tmp_path / "fuzzy.patch"], Titles())
    assert Titles.seen == ["fuzzy.patch applies with fuzz: see that it is where it belongs"]


def test_a_file_that_is_no_patch_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.patch").write_text("hello\n")
    with pytest.raises(PatchError, match=r"odd\.patch"):
        apply_patches(write_tree(tmp_path / "a"), [tmp_path / "odd.patch"])


def test_built_files_in_a_users_tree_are_no_source(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "a")
    built = [
        ".config",
        "vmlinux",
        "mm/zsmalloc.o",
        "mm/.zsmalloc.o.cmd",
        "include/config/auto.conf",
    ]
    built += ["include/generated/autoconf.h", ".git/HEAD", "build-plain/vmlinux"]
    for name in built:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    found = sorted(source_files(tree))
    assert found == ["COPYING", "Makefile", "mm/zsmalloc.c"]


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_adopted_objects_are_older_than_exactly_the_sources_that_differ(tmp_path: Path) -> None:
    one, two = write_tree(tmp_path / "one"), tmp_path / "two"
    (one / "build-plain").mkdir()
    (one / "build-plain" / "zsmalloc.o").touch()
    link_tree(one, two)
    for name, text in (("mm/zsmalloc.c", "int other;\n"), ("COPYING", "as you like\n")):
        (two / name).unlink()
        (two / name).write_text(text)
    adopt_objects(one / "build-plain", two / "build-plain")
    object_time = _time(two / "build-plain" / "zsmalloc.o")
    assert object_time == _time(one / "build-plain" / "zsmalloc.o")
    assert _time(two / "mm" / "zsmalloc.c") > object_time
    assert _time(two / "COPYING") <= object_time
    assert _time(two / "Makefile") <= object_time


def test_where_other_objects_are_no_file_becomes_older(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for tree in (theirs, ours):
        (tree / "mm").mkdir(parents=True)
        (tree / "mm" / "same.c").write_text("same")
    (theirs / "build-kasan").mkdir()
    os.utime(theirs / "mm" / "same.c", ns=(1, 1))
    reverted = (ours / "mm" / "same.c").stat().st_mtime_ns
    adopt_objects(theirs / "build-kasan", ours / "build-kasan", shared=True)
    assert (ours / "mm" / "same.c").stat().st_mtime_ns == reverted
    adopt_objects(theirs / "build-kasan", ours / "build-other")
    assert (ours / "mm" / "same.c").stat().st_mtime_ns == 1


def test_only_files_that_may_differ_are_looked_at(tmp_path: Path) -> None:
    one, two = write_tree(tmp_path / "one"), tmp_path / "two"
    (one / "build-plain").mkdir()
    (one / "build-plain" / "zsmalloc.o").touch()
    link_tree(one, two)
    names = ("mm/zsmalloc.c", "COPYING")
    for name in names:
        (two / name).unlink()
        (two / name).write_text("int other;\n")
        os.utime(two / name, ns=(0, 0))
    adopt_objects(one / "build-plain", two / "build-plain", {Path(names[0]), Path("mm/gone.c")})
    assert _time(two / "mm" / "zsmalloc.c") > _time(two / "build-plain" / "zsmalloc.o")
    assert _time(two / "COPYING") == 0


@pytest.mark.parametrize("version", supported_versions(series_dir()))
def test_every_series_in_the_repository_is_found_in_order(version: str) -> None:
    assert find_patches(series_dir(), version, "stock") == ()
    found = find_patches(series_dir(), version, "zspage")
    folders = [path.parent.name for path in found]
    assert folders == sorted(folders)
    assert {"common", "zspage"} == set(folders)


def test_the_usual_version_comes_first_and_then_newer_ones(tmp_path: Path) -> None:
    for name in ("7.9", "7.10", "7.2"):
        (tmp_path / name).mkdir()
    assert supported_versions(tmp_path) == ["7.2", "7.10", "7.9"]


def test_the_hash_of_a_series_depends_on_its_order(tmp_path: Path) -> None:
    paths = [tmp_path / "1", tmp_path / "2"]
    for path in paths:
        path.write_text(path.name)
    assert patches_hash(paths) != patches_hash(reversed(paths))


def test_the_version_of_a_tree_is_read_from_its_makefile(tmp_path: Path) -> None:
    assert tree_version(write_tree(tmp_path / "a")) == "7.2.99"


def test_an_unreadable_tree_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"{tmp_path}/nothing"):
        tree_version(tmp_path / "nothing")


def test_a_kernel_without_zsmalloc_is_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "a")
    (tree / "mm" / "zsmalloc.c").unlink()
    with pytest.raises(SourceError, match=r"without mm/zsmalloc\.c"):
        tree_version(tree)


def test_the_hash_of_a_patch_is_that_of_its_changes(tmp_path: Path) -> None:
    change = "--- a/mm/zsmalloc.c\n+++ b/mm/zsmalloc.c\n@@ -1 +1 @@\n-one\n+two\n"
    patch = tmp_path / "bug.patch"
    patch.write_text(f"What it is for.\n---\n{change}")
    before = patches_hash([patch])
    patch.write_text(f"What it is for, said better.\n---\n mm/zsmalloc.c | 2 +-\n\n{change}")
    assert patches_hash([patch]) == before
    patch.write_text(f"What it is for.\n---\n{change.replace('two', 'three')}")
    assert patches_hash([patch]) != before
