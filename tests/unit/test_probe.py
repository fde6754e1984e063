# SPDX-License-Identifier: GPL-2.0-only
"""Probing kernels that are models themselves, each by another profile."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from fake_target import FakeTarget

from zsfuzz.errors import GuestKilled
from zsfuzz.probe import kernel as kernel_module
from zsfuzz.probe.kernel import FEW, _likely, probed, say
from zsfuzz.probe.probe import Probed, differences_from, probe
from zsfuzz.program import Opcode, Program
from zsmodel import Kernel, Model
from zsmodel.cgroups import Cgroup
from zsmodel.profile import OPTIONS, Profile, parse_profile
from zstools.discovery import Discovery, Place
from zstools.kernel import KernelSpec

pytestmark = pytest.mark.unit

# What cannot be seen while the class size is charged.
NEEDS = {"same-owner-write": "charge-unit=payload,"}
VALUES = [(option, value) for option, values in OPTIONS.items() for value in list(values)[1:]]


class Tree(FakeTarget):
    """A kernel of another profile, of which the prober is not told."""

    def __init__(self, profile: str, design: str = "zspage", **facts: bool) -> None:
        super().__init__()
        self.kernel = Kernel(design, **facts)
        self.model = Model(replace(self.kernel, profile=parse_profile(profile)))

    def answer(self, wire: bytes) -> bytes:
        return self.model.run(wire)


def nobody_is_uncharged() -> AbstractContextManager[object]:
    return patch.object(Cgroup, "uncharge", lambda _self, _size: None)


class TwoMinds(Tree):
    """Charges the class size, but the payload of objects above a limit."""

    def __init__(self) -> None:
        super().__init__("")
        self.other = Model(replace(self.kernel, profile=parse_profile("charge-unit=payload")))

    def answer(self, wire: bytes) -> bytes:
        large = any(op.size > 3000 for op in Program.from_wire(wire))
        return (self.other if large else self.model).run(wire)


def test_our_series_have_the_default_profile() -> None:
    found = probe(Tree(""))
    assert found == Probed()
    assert not found.lines


@pytest.mark.parametrize(("option", "value"), VALUES)
def test_each_lawful_difference_is_found_by_itself(option: str, value: str) -> None:
    text = f"{NEEDS.get(option, '')}{option}={value}"
    found = probe(Tree(text, "zpdesc"))
    assert found.profile == parse_profile(text)
    assert not found.doubts
    assert any(line.endswith(f": profile {option}={value}") for line in found.lines)


def test_several_differences_are_found_at_once() -> None:
    text = "charge-unit=payload,rewrite=keep,root-owner=ignore,incompressible=none"
    assert str(probe(Tree(text)).profile) == text


def test_who_counts_incompressible_pages_is_told_where_the_payload_is_charged() -> None:
    """zswap's own pages do not tell: what is written there is as long as what is charged."""
    text = "charge-unit=payload,incompressible=charge"
    assert str(probe(Tree(text)).profile) == text


def test_a_tree_that_takes_owners_at_malloc_is_recognised() -> None:
    assert str(probe(Tree("charge-time=malloc")).profile) == "charge-time=malloc"


def test_answers_that_contradict_one_another_are_told() -> None:
    found = probe(TwoMinds())
    assert found.profile == Profile()
    first = found.doubts[0]
    assert first.text.startswith("contradicts itself in charge-time, charge-unit: ")
    assert "charge-unit=payload with 3257 of 3300 bytes" in first.text


def test_what_no_profile_explains_stays_at_the_default_and_is_told_with_its_program() -> None:
    found = probe(FakeTarget(nobody_is_uncharged))
    assert found.profile == Profile()
    assert [doubt.question.options[0] for doubt in found.doubts] == ["rewrite"]
    assert found.doubts[0].programs


class BadRewrite(Tree):
    """Keeps owners at writes without one, and does nonsense at those with another."""

    def __init__(self) -> None:
        super().__init__("unowned-write=keep")

    def answer(self, wire: bytes) -> bytes:
        answer = super().answer(wire)
        other = any(op.op is Opcode.WRITE and op.owner == 2 for op in Program.from_wire(wire))
        return answer[:-9] + bytes([answer[-9] ^ 1]) + answer[-8:] if other else answer


def test_what_is_not_explained_leaves_what_else_was_asked_with_it_alone() -> None:
    found = probe(BadRewrite())
    assert found.profile == parse_profile("unowned-write=keep")
    (doubt,) = found.doubts
    assert doubt.question.options[0] == "rewrite"


def test_a_kernel_without_owners_is_not_asked() -> None:
    found = probe(Tree("", "stock"))
    assert set(found.not_asked) == set(OPTIONS)
    assert not found.lines


def test_what_needs_the_swap_path_is_not_asked_without_it() -> None:
    assert probe(Tree("", has_swap=False)).not_asked == ["incompressible"]


def test_a_given_profile_is_compared_with_what_was_found() -> None:
    tree = Tree("rewrite=keep")
    given = replace(tree.kernel, profile=parse_profile("charge-unit=payload,rewrite=keep"))
    assert differences_from(given, probe(tree)) == [
        "charges the class size: profile charge-unit=class"
    ]


def test_the_guest_is_a_fresh_one_afterwards() -> None:
    tree = Tree("")
    probe(tree)
    assert not tree.since_start


def test_a_guest_that_is_killed_from_outside_is_no_doubt_about_the_kernel() -> None:
    target = FakeTarget(dies=lambda _: True)
    target.killed = 1
    with pytest.raises(GuestKilled):
        probe(target)


@pytest.mark.parametrize(
    ("found", "taken", "named"),
    [
        ("charge-unit=payload,pools=arrays", "charge-unit=payload", "pools"),
        ("array-allocations=none,pools=arrays", "array-allocations=none,pools=arrays", ""),
        ("root-owner=charge", "root-owner=charge", ""),
        ("span-entries=first,pools=all", "", "span-entries, pools"),
        ("root-owner=ignore", "root-owner=ignore", ""),
    ],
)
def test_what_is_more_likely_a_bug_has_to_be_given(
    found: str, taken: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _likely(parse_profile(found), has_aware=True) == parse_profile(taken)
    said = capsys.readouterr().err
    assert said == (
        f"taken for a bug ({named}); if it is meant, give --profile {parse_profile(found)}\n"
        if named
        else ""
    )


@pytest.mark.parametrize("pools", ["arrays", "all"])
def test_where_no_pool_can_be_made_aware_it_is_no_bug_that_all_are_alike(
    pools: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = parse_profile(f"pools={pools}")
    assert _likely(found, has_aware=False) == found
    assert not capsys.readouterr().err
    both = parse_profile(f"span-entries=first,pools={pools}")
    assert _likely(both, has_aware=False) == found
    assert "taken for a bug (span-entries)" in capsys.readouterr().err


@pytest.mark.parametrize(("aware_at", "taken"), [("none", "pools=arrays"), ("create", "")])
def test_discovery_says_whether_a_pool_can_be_made_aware(
    aware_at: str, taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = tmp_path / "layout.json"
    found = Discovery("zspage", "write", aware_at, {}, Place("zspage", "zspage->objcgs", (64,)))
    layout.write_text(json.dumps({"discovery": found.to_dict()}))
    spec = KernelSpec("zspage", "plain", tmp_path)
    kernel: Any = SimpleNamespace(spec=spec, layout=layout, manifest={"foreign": True})
    monkeypatch.setattr(kernel_module, "ask", lambda _: (Probed(parse_profile("pools=arrays")), []))
    monkeypatch.setattr(kernel_module, "with_profile", lambda _, profile: profile)
    assert str(probed(kernel)) == taken


def test_many_doubts_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = probe(FakeTarget(nobody_is_uncharged))
    say(found)
    assert capsys.readouterr().err.count("what no value of") == len(found.doubts) <= FEW
    say(replace(found, doubts=found.doubts * (FEW + 1)))
    assert capsys.readouterr().err.count("\n") == 1 + len(found.lines)
