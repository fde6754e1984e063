# SPDX-License-Identifier: GPL-2.0-only
"""Owners that no object shows: a place that was mistaken, unless the unpatched tree shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_target import FakeTarget

from zsfuzz.errors import BootFailed, HarnessError
from zsfuzz.guest.machine import Machine
from zsfuzz.probe import kernel as probe_kernel
from zsfuzz.probe import owners
from zsfuzz.probe.kernel import ask, probed
from zstools.discovery import CREATE_POOL, Discovery, Parameter, Place, Prototype
from zstools.kernel import AUTO, Kernel, KernelSpec

pytestmark = pytest.mark.unit

TREE = Path("/home/me/linux")
FOUND = Discovery(
    "zspage",
    "write",
    "none",
    {CREATE_POOL: Prototype("zs_create_pool", "struct zs_pool *", (Parameter("n", "char *"),))},
    Place("zspage", "zspage->decoy", (64,)),
    notes=("zs_pool_begin() may make a pool aware",),
)


class Guest(FakeTarget):
    """A guest whose module has looked for owners."""

    def __init__(self, seen: bool | None) -> None:
        super().__init__()
        self.owners_seen = seen


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    path = tmp_path / "layout.json"
    path.write_text(json.dumps({"discovery": FOUND.to_dict()}))
    return path


def built(layout: Path, *patches: str) -> Any:
    spec = KernelSpec("zspage", "plain", TREE, tuple(map(Path, patches)))
    return SimpleNamespace(spec=spec, layout=layout, manifest={"foreign": True})


def boots(monkeypatch: pytest.MonkeyPatch, seen: bool | None, unpatched: object = None) -> None:
    """Let guests see owners or not; that of the unpatched tree as `unpatched`, if it was built."""

    def boot(kernel: Kernel, _console: Path) -> Guest:
        if kernel.spec.extra_patches or unpatched is None:
            return Guest(seen)
        if isinstance(unpatched, BaseException):
            raise unpatched
        return Guest(unpatched is True)

    def find_kernel(spec: KernelSpec) -> object:
        assert (spec.design, spec.extra_patches) == (AUTO, ())
        return None if unpatched is None else SimpleNamespace(spec=spec)

    for module in (probe_kernel, owners):
        monkeypatch.setattr(module, "boot", boot)
    monkeypatch.setattr(owners, "find_kernel", find_kernel)


@pytest.mark.parametrize("seen", [True, None])
def test_a_kernel_that_shows_owners_or_was_not_tried_is_probed(
    seen: bool | None, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, seen)
    found, _ = ask(built(layout))
    assert not found.doubts


def test_owners_that_are_nowhere_are_an_error_with_the_place_and_the_cure(
    layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, False)
    with pytest.raises(HarnessError) as raised:
        ask(built(layout))
    said = str(raised.value)
    assert said.startswith("owners are not found at zspage->decoy, where this tree was taken to")
    assert "--adapter (docs/OWN-KERNEL.md)" in said
    assert "\n  struct zs_pool *zs_create_pool(char *n)" in said
    assert "\nnote: zs_pool_begin() may make a pool aware" in said


@pytest.mark.parametrize("seen", [True, False])
def test_a_profile_that_is_given_does_not_say_where_owners_are(
    seen: bool, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, seen)
    kernel = built(layout)
    kernel.spec = replace(kernel.spec, profile="")
    if seen:
        assert probed(kernel) is kernel
        return
    with pytest.raises(HarnessError, match="owners are not found at zspage->decoy"):
        probed(kernel)


def test_with_a_patch_it_is_a_bug_if_the_tree_without_it_shows_owners(
    layout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    boots(monkeypatch, False, unpatched=True)
    ask(built(layout, "bug.patch"))
    assert "shows no owner at zspage->decoy, but without its patches it" in capsys.readouterr().err


@pytest.mark.parametrize("unpatched", [None, False, BootFailed("the kernel complained", "")])
def test_with_a_patch_it_is_an_error_if_nothing_says_that_the_tree_shows_them(
    unpatched: object, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, False, unpatched)
    with pytest.raises(HarnessError, match="owners are not found at zspage->decoy"):
        ask(built(layout, "bug.patch"))


@pytest.mark.parametrize(("word", "seen"), [(0, None), (1, True), (2, False)])
def test_the_guest_says_in_a_word_of_the_ring_what_its_module_saw(
    word: int, seen: bool | None
) -> None:
    names = {"OWNERS_UNTRIED": 0, "OWNERS_SEEN": 1, "OWNERS_NOT_SEEN": 2}
    machine = Machine.__new__(Machine)
    machine.ring = SimpleNamespace(info={"owners": word}.__getitem__)  # type: ignore[assignment]
    machine._abi = SimpleNamespace(constant=names.__getitem__)  # type: ignore[assignment]
    assert machine.owners_seen is seen
