# SPDX-License-Identifier: GPL-2.0-only
"""Owners that a tree mentions and that were not built are told of, with what may leave them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zsfuzz import kerneloptions
from zsfuzz.kerneloptions import take_kernels
from zstools import kernel as kernels
from zstools.errors import ZsToolsError
from zstools.inspect import owners_left_out, render_facts
from zstools.kernel import AUTO, KernelSpec
from zstools.leftout import left_out

pytestmark = pytest.mark.unit

SOURCE = "#ifdef CONFIG_ZSMALLOC_OWNERS\nstruct obj_cgroup **owners;\n#endif\n"
HEADER = "#if IS_ENABLED(CONFIG_OTHER) && CONFIG_CHAIN > 2 && defined(CONFIG_MEMCG)\n#endif\n"
CONFIG = "CONFIG_MEMCG=y\nCONFIG_CHAIN=8\n# CONFIG_OTHER is not set\n"
LINE = (
    "this tree's zsmalloc mentions owners (obj_cgroup), but what was built keeps none: it asks for "
    "CONFIG_OTHER, CONFIG_ZSMALLOC_OWNERS, off in .config: turn on what the owners need with "
    "--config FRAGMENT"
)


def write_tree(folder: Path, source: str = SOURCE) -> Path:
    for name, text in (("mm/zsmalloc.c", source), ("include/linux/zsmalloc.h", HEADER)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "build").mkdir()
    (folder / "build" / ".config").write_text(CONFIG)
    return folder


def kernel_of(tree: Path, design: str = "stock", **more: Any) -> Any:
    spec = KernelSpec(design, "plain", tree, **more)
    return SimpleNamespace(spec=spec, build=tree / "build", source=tree.parent / "copy")


def test_options_that_are_off_are_named(tmp_path: Path) -> None:
    assert owners_left_out(kernel_of(write_tree(tmp_path / "linux"))) == LINE


def test_of_a_tree_without_owners_nothing_is_said(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "linux", "#ifdef CONFIG_ZSMALLOC_STAT\n#endif\n")
    assert not owners_left_out(kernel_of(tree))


def test_of_a_kernel_that_keeps_owners_nothing_is_said(tmp_path: Path) -> None:
    assert not owners_left_out(kernel_of(write_tree(tmp_path / "linux"), "zspage"))


def test_of_debians_source_nothing_is_said() -> None:
    for linux in (None, Path("linux-source-7.3")):
        kernel = SimpleNamespace(spec=KernelSpec("stock", "plain", linux))
        assert not owners_left_out(kernel)  # type: ignore[arg-type]


def test_owners_that_a_patch_brings_are_seen_in_the_copy(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "linux", "")
    write_tree(tmp_path / "copy")
    assert not owners_left_out(kernel_of(tree))
    assert owners_left_out(kernel_of(tree, extra_patches=(tmp_path / "p.patch",))) == LINE


def test_without_an_option_that_is_off_it_is_said_all_the_same(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "linux")
    (tree / "build" / ".config").unlink()
    line = left_out(tree, tree / "build" / ".config")
    assert line.endswith(
        "keeps none that can be found: docs/OWN-KERNEL.md says what is found, and how"
    )


def test_inspect_shows_the_line() -> None:
    facts = {
        "version": "7.2", "commit": "", "configuration": "plain", "design": "stock", "place": None,
        "owner_at": "none", "aware_at": "none", "prototypes": {}, "calls": {}, "counters": {},
        "no_swap": "", "adapter": "", "left_out": LINE, "notes": [],
    }  # fmt: skip
    assert LINE in render_facts(facts).splitlines()
    assert "mentions owners" not in render_facts({**facts, "left_out": ""})


def test_a_run_says_it_once_for_all_flavours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = kernel_of(write_tree(tmp_path / "linux"))

    def ensure(spec: KernelSpec, _: object) -> Any:
        return SimpleNamespace(**{**vars(kernel), "spec": replace(spec, design="stock")})

    monkeypatch.setattr(kerneloptions, "ensure_kernel", ensure)
    monkeypatch.setattr(kerneloptions, "probed", lambda kernel: kernel)
    spec = KernelSpec(AUTO, "", kernel.spec.linux, profile="rewrite=keep")
    taken = take_kernels(("plain", "kasan"), spec)
    assert [one.spec.flavour for one in taken] == ["plain", "kasan"]
    assert {one.spec.profile for one in taken} == {"rewrite=keep"}
    assert capsys.readouterr().err == f"{LINE}\n"


def test_our_series_is_not_refused_for_a_design_that_was_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What mentions owners gets no series on top: that it has none is to be told, and why."""
    tree = write_tree(tmp_path / "linux")
    found = SimpleNamespace(design="stock", counters={"zswap": 1})
    monkeypatch.setattr(kernels, "load_discovery", lambda _: found)
    source = SimpleNamespace(path=tree)
    plan: Any = SimpleNamespace(is_foreign=True, source=source, build=tree / "build", entry=tree)
    with pytest.raises(ZsToolsError) as refused:
        kernels._design(KernelSpec("zspage", "plain", tree), plan)
    assert str(refused.value) == LINE
    found.design = "zpdesc"
    with pytest.raises(ZsToolsError, match="keeps owners by design zpdesc, not zspage"):
        kernels._design(KernelSpec("zspage", "plain", tree), plan)
