# SPDX-License-Identifier: GPL-2.0-only
"""What a sibling's objects are worth: kbuild's records of what they were made from are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from zstools.series import touched_files
from zstools.sibling import count_outdated

RECORDS = {
    "mm/.zsmalloc.o.cmd": """\
deps_mm/zsmalloc.o := \\
    $(wildcard include/config/ZSMALLOC_CHAIN_SIZE) \\
    $(wildcard include/config/MEMCG) \\
  ../include/linux/memcontrol.h \\
    $(wildcard include/config/MEMCG_V1) \\
  ../include/linux/zsmalloc.h
""",
    "mm/.memcontrol.o.cmd": "x := $(wildcard include/config/MEMCG) ../include/linux/memcontrol.h\n",
    "fs/.open.o.cmd": "x := $(wildcard include/config/MEMCG_V1) ../include/linux/memcontrol.hpp\n",
    "fs/.open.lds.cmd": "x := $(wildcard include/config/MEMCG)\n",
}


@pytest.mark.parametrize(
    ("options", "files", "outdated"),
    [
        ((), (), 0),
        (("CONFIG_MEMCG",), (), 2),
        (("CONFIG_MEMCG", "CONFIG_MEMCG_V1"), (), 3),
        (("CONFIG_ZSMALLOC_CHAIN_SIZE",), (), 1),
        (("CONFIG_CHAIN_SIZE", "CONFIG_NOWHERE"), (), 0),
        ((), ("include/linux/memcontrol.h",), 2),
        ((), ("include/linux/zsmalloc.h",), 1),
        (("CONFIG_ZSMALLOC_CHAIN_SIZE",), ("include/linux/memcontrol.h",), 2),
    ],
)
def test_objects_made_from_an_option_or_a_file_are_counted(
    tmp_path: Path, options: tuple[str, ...], files: tuple[str, ...], outdated: int
) -> None:
    for name, text in RECORDS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert count_outdated(tmp_path, options, files) == outdated


def test_a_patch_names_the_files_that_it_changes_makes_and_removes(tmp_path: Path) -> None:
    patch = tmp_path / "x.patch"
    patch.write_text(
        "--- a/mm/a.c\n+++ b/mm/a.c\n@@ -1 +1 @@\n-x\n+y\n"
        "--- /dev/null\n+++ b/mm/new.c\n@@ -0,0 +1 @@\n+x\n"
        "--- a/mm/old.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    )
    assert touched_files(patch) == ("mm/a.c", "mm/new.c", "mm/old.c")
