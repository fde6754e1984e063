# SPDX-License-Identifier: GPL-2.0-only
"""Trees that keep owners in another way than ours are told for what they are, and agree.

tests/guest/foreign has a patch for each, on Linux 7.2 without any series of ours.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from guest_support import zsfuzz

from zsfuzz.boot import boot
from zsfuzz.runner import Runner
from zsfuzz.smoke import smoke_test
from zsmodel import Model
from zsmodel.profile import explain
from zstools.discovery import load_discovery
from zstools.kernel import AUTO, KernelSpec, ensure_kernel
from zstools.paths import cache_dir
from zstools.plan import make_plan
from zstools.progress import Silent
from zstools.series import apply_patches, patches_hash
from zstools.tree import link_tree

PATCHES = Path(__file__).parent / "foreign"
PROGRAMS = 300
# In what their semantics differ, besides names and signatures.
PROFILES = {
    "zspage-owner-at-malloc": "charge-time=malloc",
    "zpdesc-flag-at-malloc": "unowned-write=keep,incompressible=charge",
    "zspage-charge-records": "charge-unit=payload,same-owner-write=recharge,root-owner=ignore,"
    "incompressible=charge,array-allocations=none",
    "zspage-owner-set-apart": "unowned-write=keep,array-allocations=none",
    "zspage-owner-not-exported": "unowned-write=keep,array-allocations=none",
    "zspage-all-pools": "charge-time=zswap,root-owner=ignore,pools=arrays",
}
# Tree: design, path of the owners, who takes them, who is told that there are any.
TREES = {
    "zspage-stat-arguments": ("zspage", "zspage->objcgs", "write", "create"),
    "zspage-node-stats": ("zspage", "zspage->objcgs", "write", "create"),
    "zspage-owner-at-malloc": ("zspage", "zspage->ext->owners[]", "malloc", "setter"),
    "zpdesc-heads-only": ("zpdesc", "zpdesc->owner_table", "write", "create"),
    "zpdesc-flag-at-malloc": ("zpdesc", "zpdesc->objcgs", "write", "malloc"),
    "zspage-owner-set-apart": ("zspage", "zspage->owners[]", "write", "create"),
    "zspage-owner-not-exported": ("zspage", "zspage->owners[]", "write", "setter"),
    "zpdesc-tail-first": ("zpdesc", "zpdesc->objcg_data", "write", "create"),
    "zspage-charge-records": ("zspage", "zspage->charges[]", "write", "create"),
    "zspage-all-pools": ("zspage", "zspage->owners", "write", "none"),
}
IN_CI = {"zspage-owner-at-malloc", "zpdesc-heads-only"}


def foreign_tree(name: str) -> Path:
    """Make a tree of the user's, at the same place each time, so that its objects can be used."""
    patch = PATCHES / f"{name}.patch"
    place = cache_dir() / "test-trees" / f"{name}-{patches_hash([patch])}"
    if not place.is_dir():
        stock = make_plan(KernelSpec("stock", "plain"), cache_dir(), Silent(), False)
        partial = place.with_name(f"{place.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        link_tree(stock.source.path, partial)
        apply_patches(partial, [patch])
        partial.rename(place)
    return place


SLOW = pytest.mark.skipif(
    "ZSFUZZ_ALL_TREES" not in os.environ,
    reason="one tree for each design is enough in CI: set ZSFUZZ_ALL_TREES for all",
)
CHOSEN = [pytest.param(name, marks=() if name in IN_CI else SLOW) for name in TREES]


@pytest.mark.parametrize("name", CHOSEN)
def test_a_foreign_tree_is_found_out_and_agrees(name: str, tmp_path: Path) -> None:
    profile = PROFILES.get(name)
    kernel = ensure_kernel(KernelSpec(AUTO, "plain", foreign_tree(name), profile=profile))
    found = load_discovery(kernel.layout)
    assert found.place is not None
    told = (kernel.spec.design, found.place.path, found.owner_at, found.aware_at)
    assert told == TREES[name]
    with boot(kernel, tmp_path / "console") as machine:
        smoke = smoke_test(Runner(machine, Model(machine.kernel)), [], PROGRAMS)
    assert smoke.trouble is None, smoke.trouble
    run = ["run", "--linux", foreign_tree(name), "--flavour", "plain", "--operations", 20000]
    done = zsfuzz(*run, "--output", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in filter(None, (profile or "").split(",")):
        assert f"this kernel {explain(*part.split('='))}\n" in done.stderr
