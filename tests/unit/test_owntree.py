# SPDX-License-Identifier: GPL-2.0-only
"""A tree of the user's is followed, not changed, and only what changed is copied again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from toykernel import PATCH, write_tree

from zstools.errors import PatchError, SourceError
from zstools.owntree import remember, scan_tree, sync_copy
from zstools.progress import Silent
from zstools.series import apply_patches, files_of
from zstools.tree import link_tree


def git(tree: Path, *arguments: str) -> None:
    names = ["-c", "user.name=zsfuzz", "-c", "user.email=zsfuzz@localhost"]
    subprocess.run(["git", "-C", tree, *names, *arguments], check=True, capture_output=True)


def state(tree: Path) -> dict[str, tuple[bytes, int]]:
    files = (p for p in tree.rglob("*") if p.is_file())
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def test_the_tree_stays_as_it_is_and_an_edit_changes_one_file(tmp_path: Path) -> None:
    tree, copy = write_tree(tmp_path / "mine"), tmp_path / "copy"
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "first")
    (tree / "COPYING").write_text("otherwise\n")
    before = state(tree)
    first = scan_tree(tmp_path, tree)
    assert first.commit.endswith("+")
    assert sync_copy(first, [], copy, Silent()) == 3
    assert sync_copy(first, [], copy, Silent()) == 0
    assert state(tree) == before
    times = {p.name: p.stat().st_mtime_ns for p in copy.rglob("*") if p.is_file()}
    (tree / "mm" / "zsmalloc.c").write_text("int x;\n")
    remember(tmp_path, first)
    second = scan_tree(tmp_path, tree)
    assert second.digest != first.digest
    assert sync_copy(second, [], copy, Silent()) == 1
    now = {p.name: p.stat().st_mtime_ns for p in copy.rglob("*") if p.is_file()}
    assert [name for name in now if now[name] != times[name]] == ["zsmalloc.c"]


def test_equal_contents_are_the_same_kernel_whatever_their_times(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "mine")
    first = scan_tree(tmp_path, tree).digest
    os.utime(tree / "COPYING", ns=(1, 1))
    assert scan_tree(tmp_path, tree).digest == first


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path) -> None:
    tree, copy = write_tree(tmp_path / "mine"), tmp_path / "copy"
    first = scan_tree(tmp_path, tree)
    sync_copy(first, [], copy, Silent())
    remember(tmp_path, first)
    path = tree / "mm" / "zsmalloc.c"
    before, text = path.stat(), path.read_text()
    path.write_text(text.replace("100", "101"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (tree / "COPYING").chmod(0o755)
    second = scan_tree(tmp_path, tree)
    assert second.digest != first.digest
    assert sync_copy(second, [], copy, Silent()) == 2


@pytest.mark.parametrize("prefixes", [("a", "b"), ("i", "w"), ("linux.orig", "linux")])
def test_a_patch_counts_whatever_its_folders_are_called(
    prefixes: tuple[str, str], tmp_path: Path
) -> None:
    tree, copy, patch = write_tree(tmp_path / "mine"), tmp_path / "copy", tmp_path / "p.patch"
    old, new = prefixes
    patch.write_text(PATCH.replace("--- a/", f"--- {old}/").replace("+++ b/", f"+++ {new}/"))
    sync_copy(scan_tree(tmp_path, tree), [patch], copy, Silent())
    assert "#define ZSPAGE" in (copy / "mm" / "zsmalloc.c").read_text()


def test_a_patch_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    tree, patch = write_tree(tmp_path / "mine"), tmp_path / "p.patch"
    patch.write_text("no patch at all\n")
    with pytest.raises(PatchError, match="changes no file"):
        sync_copy(scan_tree(tmp_path, tree), [patch], tmp_path / "copy", Silent())


def test_a_patch_may_change_what_is_not_copied(tmp_path: Path) -> None:
    tree, copy, patch = write_tree(tmp_path / "mine"), tmp_path / "copy", tmp_path / "p.patch"
    (tree / "Documentation").mkdir()
    (tree / "Documentation" / "zswap.rst").write_text("one\n")
    more = "--- a/Documentation/zswap.rst\n+++ b/Documentation/zswap.rst\n@@ -1 +1 @@\n-one\n+two\n"
    patch.write_text(PATCH + more)
    sync_copy(scan_tree(tmp_path, tree), [patch], copy, Silent())
    assert "#define ZSPAGE" in (copy / "mm" / "zsmalloc.c").read_text()
    assert not (copy / "Documentation").exists()
    linked = tmp_path / "linked"
    link_tree(tree, linked, files_of([patch]))
    apply_patches(linked, [patch])
    assert (linked / "Documentation" / "zswap.rst").read_text() == "two\n"


def test_what_a_build_in_the_tree_left_is_not_copied(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "mine")
    clean = scan_tree(tmp_path, tree)
    for name in (".config", "mm/zsmalloc.o", "mm/tables.h", "mm/.tables.h.cmd"):
        (tree / name).write_text("made\n")
    assert scan_tree(tmp_path, tree).files.keys() == clean.files.keys()


def test_patches_are_applied_to_the_copy_only(tmp_path: Path) -> None:
    tree, copy = write_tree(tmp_path / "mine"), tmp_path / "copy"
    patch = tmp_path / "one.patch"
    patch.write_text(PATCH)
    scan = scan_tree(tmp_path, tree)
    sync_copy(scan, [patch], copy, Silent())
    assert "#define ZSPAGE" in (copy / "mm" / "zsmalloc.c").read_text()
    assert "#define ZSPAGE" not in (tree / "mm" / "zsmalloc.c").read_text()
    assert sync_copy(scan, [patch], copy, Silent()) == 0


def test_a_file_that_is_gone_goes_from_the_copy(tmp_path: Path) -> None:
    tree, copy = write_tree(tmp_path / "mine"), tmp_path / "copy"
    sync_copy(scan_tree(tmp_path, tree), [], copy, Silent())
    (tree / "COPYING").unlink()
    sync_copy(scan_tree(tmp_path, tree), [], copy, Silent())
    assert not (copy / "COPYING").exists()


def test_a_tree_that_changes_meanwhile_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    tree, copy = write_tree(tmp_path / "mine"), tmp_path / "copy"
    scan = scan_tree(tmp_path, tree)
    (tree / "COPYING").write_text("changed in between\n")
    with pytest.raises(SourceError, match="changed while it was copied"):
        sync_copy(scan, [], copy, Silent())
    sync_copy(scan_tree(tmp_path, tree), [], copy, Silent())
    assert (copy / "COPYING").read_text() == "changed in between\n"


def test_a_checkout_that_ignores_the_kernel_is_read_as_a_folder(tmp_path: Path) -> None:
    """Debian's source has such a .gitignore; whoever puts it under git tracks nothing of it."""
    tree = write_tree(tmp_path / "mine")
    wanted = scan_tree(tmp_path, tree).files.keys()
    (tree / ".gitignore").write_text("/*\n")
    git(tree, "init", "-q")
    assert scan_tree(tmp_path, tree).files.keys() - {".gitignore"} == wanted
