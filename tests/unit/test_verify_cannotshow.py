# SPDX-License-Identifier: GPL-2.0-only
"""What could not show on a kernel does not pass for fixed there, nor for good in a history."""

from __future__ import annotations

import json
import subprocess
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fake_target import ON_SOURCE, FakeTarget, Fault, free_keeps_owner

from zsfuzz import manifest
from zsfuzz.cli import main
from zsfuzz.corpusfile import Entry, pack
from zsfuzz.outcome import EXIT_CLEAN, EXIT_HARNESS_ERROR
from zsfuzz.text import parse_program
from zsfuzz.verify import cli
from zsfuzz.verify.cli import spec_for
from zsfuzz.verify.saved import load_finding
from zsmodel import Kernel, Model
from zstools.kernel import AUTO, KernelSpec

pytestmark = pytest.mark.unit

OWNED = parse_program("o0 = malloc(p0, size=2040)\no1 = malloc(p0, size=2040, owner=c1)\nfree(o1)")
SWAPS = parse_program("page_write(v0, owner=c1)\npage_out(v0)")
TITLE = "free slot keeps an owner"
NO_SWAP = "the kernel has no memcg_events"


def save(folder: Path, program: Any = OWNED, **kernel: Any) -> Path:
    folder.mkdir()
    (folder / "program.msgpack").write_bytes(pack(Entry(program, design="zspage")))
    (folder / "finding.json").write_text(json.dumps({"title": TITLE, "flavours": ["plain"]}))
    facts = {"design": "zspage", "flavour": "plain", **kernel}
    (folder / "kernel.json").write_text(json.dumps(facts))
    return folder


class Guest(FakeTarget):
    """A guest that is what its model says, but for a fault."""

    def __init__(self, kernel: Kernel, fault: Fault = nullcontext) -> None:
        super().__init__(fault)
        self.kernel = kernel

    def answer(self, wire: bytes) -> bytes:
        return Model(self.kernel).run(wire)


def write_tree(folder: Path, text: str = "") -> Path:
    (folder / "mm").mkdir(parents=True)
    (folder / "mm" / "zsmalloc.c").write_text(text)
    (folder / ".config").write_text("")
    (folder / "layout.json").write_text(json.dumps({"no_swap": NO_SWAP}))
    return folder


def kernel_in(tree: Path, spec: KernelSpec, design: str) -> Any:
    return SimpleNamespace(
        spec=replace(spec, design=design), version="7.2.13", source=tree, build=tree,
        layout=tree / "layout.json", manifest={},
    )  # fmt: skip


def verify(
    finding: Path, tree: Path, facts: Kernel, monkeypatch: pytest.MonkeyPatch, *options: str,
    fault: Fault = nullcontext,
) -> Result:  # fmt: skip
    """Verify a finding on a tree, of which a guest says such facts."""
    monkeypatch.setattr(cli, "take_kernel", lambda spec: kernel_in(tree, spec, facts.design))
    monkeypatch.setattr(cli, "boot", lambda *_: Guest(facts, fault))
    monkeypatch.setattr(cli, "_report", lambda *_: "")
    arguments = ["verify", str(finding), "--linux", str(tree), "--runs", "1", *options]
    return CliRunner().invoke(main, arguments)


# ---- which kernel is taken ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "asked", "taken"),
    [
        ({"foreign": False}, "", "zspage"),
        ({"foreign": False, "design": "zpdesc"}, "", "zpdesc"),
        ({"foreign": True}, "", AUTO),
        ({}, "", AUTO),
        ({"foreign": False, "design": "stock"}, "", AUTO),
        ({"foreign": False}, "zpdesc", "zpdesc"),
        ({"foreign": False}, AUTO, AUTO),
    ],
)
def test_our_series_goes_on_a_tree_for_what_was_found_on_it(
    facts: dict[str, Any], asked: str, taken: str, tmp_path: Path
) -> None:
    saved = load_finding(save(tmp_path / "f", **facts))
    assert spec_for(KernelSpec(asked, "", tmp_path), saved).design == taken


# ---- verify ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("foreign", "code"), [(True, EXIT_HARNESS_ERROR), (False, EXIT_CLEAN)])
def test_our_own_code_says_nothing_of_what_was_found_in_another_tree(
    foreign: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "source")
    finding = save(tmp_path / "f", foreign=foreign)
    monkeypatch.setattr(cli, "take_kernel", lambda spec: kernel_in(tree, spec, "zspage"))
    monkeypatch.setattr(cli, "boot", lambda *_: Guest(Kernel("zspage")))
    done = CliRunner().invoke(main, ["verify", str(finding), "--runs", "1"])
    assert done.exit_code == code, done.output
    assert ("give the tree with --linux" in done.output) == foreign


def test_on_the_same_design_what_does_not_show_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "linux")
    done = verify(save(tmp_path / "f"), tree, Kernel("zspage"), monkeypatch)
    assert done.exit_code == 0, done.output
    assert "does not show in 1 runs, on 7.2.13 zspage plain" in done.stdout


@pytest.mark.parametrize("options", [(), ("--design", "stock")])
def test_a_kernel_without_owners_says_nothing_of_theirs(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "linux")
    done = verify(save(tmp_path / "f"), tree, Kernel("stock"), monkeypatch, *options)
    assert done.exit_code == 2
    assert "that it does not show says nothing: it was found with owners" in done.stderr
    assert "7.2.13 stock plain keeps none: give a tree that keeps them, or --design" in done.stderr
    assert "does not show in" not in done.stdout


def test_owners_that_were_not_built_are_told_with_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "linux", "#ifdef CONFIG_OWN\nstruct obj_cgroup *o;\n#endif\n")
    done = verify(save(tmp_path / "f"), tree, Kernel("stock"), monkeypatch)
    assert done.exit_code == 2
    assert "it asks for CONFIG_OWN, off in .config" in done.stderr


def test_another_design_says_nothing_unless_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, finding = write_tree(tmp_path / "linux"), save(tmp_path / "f")
    done = verify(finding, tree, Kernel("zpdesc"), monkeypatch)
    assert done.exit_code == 2
    assert "found on design zspage, and 7.2.13 zpdesc plain is another one" in done.stderr
    assert verify(finding, tree, Kernel("zpdesc"), monkeypatch, "--design", AUTO).exit_code == 0


@ON_SOURCE
def test_what_shows_on_another_design_all_the_same_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = save(tmp_path / "f", design="zpdesc")
    tree = write_tree(tmp_path / "linux")
    done = verify(finding, tree, Kernel("zspage"), monkeypatch, fault=free_keeps_owner)
    assert done.exit_code == 1
    assert "shows in 1 of 1 runs" in done.stdout


def test_a_kernel_without_memcg_says_nothing_but_of_what_was_found_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, facts = write_tree(tmp_path / "linux"), Kernel("zspage", has_memcg=False)
    done = verify(save(tmp_path / "f"), tree, facts, monkeypatch)
    assert done.exit_code == 2
    assert "build it with CONFIG_MEMCG=y" in done.stderr
    same = save(tmp_path / "same", options={"CONFIG_MEMCG": "n"})
    assert verify(same, tree, facts, monkeypatch).exit_code == 0


def test_a_kernel_that_cannot_swap_says_nothing_of_swapped_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, facts = write_tree(tmp_path / "linux"), Kernel("zspage", has_swap=False)
    done = verify(save(tmp_path / "f", SWAPS), tree, facts, monkeypatch)
    assert done.exit_code == 2
    assert f"swaps pages, which 7.2.13 zspage plain cannot: {NO_SWAP}" in done.stderr
    assert verify(save(tmp_path / "other"), tree, facts, monkeypatch).exit_code == 0
    same = save(tmp_path / "same", SWAPS, no_swap="zswap is off")
    assert verify(same, tree, facts, monkeypatch).exit_code == 0


def test_why_a_kernel_cannot_swap_goes_with_its_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = kernel_in(write_tree(tmp_path / "linux"), KernelSpec("zspage", "plain"), "zspage")
    kernel.manifest = {"inputs": {"config": ""}}
    kernel.wire = None
    abi = SimpleNamespace(constant=lambda _: 3)
    monkeypatch.setattr(manifest, "read_abi", lambda _: abi)
    saved = load_finding(save(tmp_path / "f", SWAPS, **manifest.finding_manifest(kernel)))
    assert saved.no_swap == NO_SWAP


# ---- bisect ------------------------------------------------------------------------------------


def git(tree: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Example", "-c", "user.email=dev@example.org")
    done = subprocess.run(["git", *who, *arguments], cwd=tree, check=True, capture_output=True)
    return done.stdout.decode().strip()


KERNELS = {
    "clean": Kernel("zspage"),
    "bad": Kernel("zspage"),
    "stock": Kernel("stock"),
    "not built": Kernel("stock"),
    "no swap": Kernel("zspage", has_swap=False),
}


def bisect(
    finding: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *states: str
) -> tuple[Result, list[KernelSpec]]:
    """Bisect a history whose file says what a kernel of it is; return the specs taken as well."""
    tree = write_tree(folder / "linux")
    git(tree, "init", "--quiet", "--template=")
    commits = []
    for number, state in enumerate(states):
        mention = "obj_cgroup" if state == "not built" else ""
        (tree / "mm" / "zsmalloc.c").write_text(f"{number} {mention}\n")
        (tree / "state").write_text(state)
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", f"mm: {state}")
        commits.append(git(tree, "rev-parse", "HEAD"))
    taken: list[KernelSpec] = []
    state = ""

    def take(spec: KernelSpec) -> Any:
        nonlocal state
        assert spec.linux is not None
        taken.append(spec)
        state = (spec.linux / "state").read_text()
        return kernel_in(spec.linux, spec, KERNELS[state].design)

    def boot(*_: object) -> AbstractContextManager[FakeTarget]:
        return Guest(KERNELS[state], free_keeps_owner if state == "bad" else nullcontext)

    monkeypatch.setenv("ZSFUZZ_CACHE", str(folder / "cache"))
    monkeypatch.setattr(cli, "take_kernel", take)
    monkeypatch.setattr(cli, "boot", boot)
    monkeypatch.setattr(cli, "_report", lambda *_: "")
    arguments = ["bisect", str(finding), commits[0], commits[-1], "--linux", str(tree)]
    return CliRunner().invoke(main, arguments), taken


@ON_SOURCE
@pytest.mark.parametrize(
    ("foreign", "begins", "design"), [(False, "clean", "zspage"), (True, "stock", AUTO)]
)
def test_a_history_is_built_with_our_series_if_that_had_the_finding_else_as_it_is(
    foreign: bool, begins: str, design: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = save(tmp_path / "f", foreign=foreign)
    done, taken = bisect(finding, tmp_path, monkeypatch, begins, "bad")
    assert done.exit_code == 1, done.output
    assert {spec.design for spec in taken} == {design}


@ON_SOURCE
@pytest.mark.parametrize(("blind", "program"), [("no swap", SWAPS), ("not built", OWNED)])
def test_what_could_not_show_it_is_not_good(
    blind: str, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = save(tmp_path / "f", type(OWNED)((*OWNED, *program)), foreign=True)
    done, _ = bisect(finding, tmp_path, monkeypatch, "clean", blind, "bad")
    assert done.exit_code == 1, done.output
    assert "skipped: that it does not show says nothing" in done.stdout
    assert "one of these, which cannot be told apart" in done.stdout


@ON_SOURCE
def test_an_end_that_could_not_show_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = save(tmp_path / "f", type(OWNED)((*OWNED, *SWAPS)), foreign=True)
    done, _ = bisect(finding, tmp_path, monkeypatch, "no swap", "bad")
    assert done.exit_code == 2
    assert "mm: no swap: that it does not show says nothing: the program swaps" in done.stderr
