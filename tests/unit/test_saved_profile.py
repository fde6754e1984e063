# SPDX-License-Identifier: GPL-2.0-only
"""The profile by which a finding was made goes with it, the default one as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zsfuzz import manifest
from zsfuzz.corpusfile import load
from zsfuzz.errors import BootFailed, ZsfuzzError
from zsfuzz.findings.finding import Finding
from zsfuzz.findings.store import FindingStore
from zsfuzz.kerneloptions import as_saved
from zsfuzz.outcome import Outcome
from zsfuzz.probe import kernel as asking
from zsfuzz.probe.kernel import probed
from zsfuzz.text import parse_program
from zsfuzz.verify.cli import spec_for
from zsfuzz.verify.saved import load_finding
from zstools.kernel import AUTO, KernelSpec

pytestmark = pytest.mark.unit

TREE = KernelSpec(AUTO, "plain", Path("linux"))
PROGRAM = parse_program("o0 = malloc(p0, size=64, owner=c1)")


def kernel_of(spec: KernelSpec) -> Any:
    facts = {"inputs": {"config": "9b1e"}, "foreign": True, "design": "zspage"}
    return SimpleNamespace(spec=spec, manifest=facts, wire=Path("wire.json"), layout=Path())


def finding_of(spec: KernelSpec, output: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Save a finding of such a kernel, and return its folder."""
    abi = SimpleNamespace(constant=lambda _: 3)
    monkeypatch.setattr(manifest, "read_abi", lambda _: abi)
    monkeypatch.setattr(manifest, "missing_for_swap", lambda _: "")
    kernel = manifest.finding_manifest(kernel_of(spec))
    finding = Finding(Outcome.DIVERGENCE, "owner lost", PROGRAM, kernel=kernel)
    return FindingStore(output).save(finding).path


@pytest.mark.parametrize(
    ("used", "saved", "again"),
    [
        ("", "default", ""),
        ("charge-unit=payload", "charge-unit=payload", "charge-unit=payload"),
        (None, None, None),
    ],
)
def test_the_profile_that_was_used_is_used_again(
    used: str | None,
    saved: str | None,
    again: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = finding_of(replace(TREE, profile=used), tmp_path, monkeypatch)
    assert load(folder / "program.msgpack").extra.get("profile") == saved
    assert as_saved(TREE, folder).profile == again
    assert spec_for(TREE, load_finding(folder)).profile == again
    assert (", profile " in (folder / "report.txt").read_text()) == bool(used)  # what differs


def test_a_kernel_is_not_probed_for_a_finding_of_the_default_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finding_of(replace(TREE, profile=""), tmp_path, monkeypatch)
    monkeypatch.setattr(asking, "ask", lambda _: pytest.fail("the kernel was probed"))
    monkeypatch.setattr(asking, "_look", lambda _: None)
    kernel = kernel_of(spec_for(TREE, load_finding(folder)))
    assert probed(kernel) is kernel


def test_a_kernel_is_probed_for_a_finding_without_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finding_of(TREE, tmp_path, monkeypatch)
    asked: list[Any] = []

    def ask(kernel: Any) -> Any:
        asked.append(kernel)
        raise BootFailed("died", "")

    monkeypatch.setattr(asking, "ask", ask)
    monkeypatch.setattr(asking, "with_profile", lambda kernel, _: kernel)
    probed(kernel_of(spec_for(TREE, load_finding(folder))))
    assert asked


def test_what_is_given_counts_more_than_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finding_of(replace(TREE, profile=""), tmp_path, monkeypatch)
    given = replace(TREE, profile="rewrite=keep")
    assert as_saved(given, folder) == given


def test_old_findings_go_with_those_of_the_default_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, profile in (("old", None), ("new", "")):
        finding_of(replace(TREE, profile=profile), tmp_path / name, monkeypatch)
    assert as_saved(TREE, tmp_path).profile == ""
    finding_of(replace(TREE, profile="rewrite=keep"), tmp_path / "other", monkeypatch)
    with pytest.raises(ZsfuzzError, match=r"several profiles \(default; rewrite=keep\)"):
        as_saved(TREE, tmp_path)
