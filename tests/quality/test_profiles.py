# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that differ lawfully are recognised, cause no finding, and hide none.

The patches in profiles/ are named after the options that they set; several on one kernel save
builds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from guest_support import SEEDS, built, zsfuzz

from zsfuzz.boot import boot
from zsfuzz.planted import planted_patch
from zsfuzz.probe.kernel import ask, with_profile
from zsfuzz.runner import Runner
from zsfuzz.smoke import smoke_test
from zsmodel import Model
from zsmodel.profile import explain
from zstools.kernel import Kernel

pytestmark = pytest.mark.quality

PROFILES = Path(__file__).parents[1] / "guest" / "profiles"
PROGRAMS = 2000
KERNELS = [
    ("zspage", "charge-unit=payload"),
    ("zspage", "rewrite=keep,incompressible=charge,pools=all"),
]


def patches(profile: str) -> tuple[Path, ...]:
    parts = sorted(profile.split(","), reverse=True)
    return tuple(PROFILES / f"{part.replace('=', '-')}.patch" for part in parts)


@contextmanager
def runner_on(kernel: Kernel, profile: str, folder: Path) -> Iterator[Runner]:
    with boot(with_profile(kernel, profile), folder / "console") as machine:
        yield Runner(machine, Model(machine.kernel))


@pytest.mark.parametrize(("design", "profile"), KERNELS)
def test_the_probe_tells_in_what_a_kernel_differs(design: str, profile: str) -> None:
    found, differences = ask(built(design, "plain", *patches(profile)))
    assert str(found.profile) == profile
    assert not found.doubts
    assert differences == [explain(*part.split("=")) for part in profile.split(",")]


@pytest.mark.parametrize(("design", "profile"), KERNELS)
def test_by_its_profile_a_kernel_that_differs_has_no_finding(
    design: str, profile: str, tmp_path: Path
) -> None:
    kernel = built(design, "plain", *patches(profile))
    with runner_on(kernel, profile, tmp_path) as runner:
        done = smoke_test(runner, [entry.program.wire for entry in SEEDS], PROGRAMS)
    assert done.trouble is None, done.trouble.title
    assert done.programs == PROGRAMS + len(SEEDS)


@pytest.mark.parametrize(("design", "profile"), KERNELS)
def test_by_another_profile_it_has_one(design: str, profile: str, tmp_path: Path) -> None:
    kernel = built(design, "plain", *patches(profile))
    with runner_on(kernel, "", tmp_path) as runner:
        done = smoke_test(runner, [entry.program.wire for entry in SEEDS], PROGRAMS)
    assert done.trouble is not None


def test_a_bug_in_a_kernel_that_differs_is_found(tmp_path: Path) -> None:
    design, profile = KERNELS[0]
    bug = planted_patch(design, "compaction-loses-owner")
    kernel = built(design, "plain", *patches(profile), bug)
    found, _ = ask(kernel)
    assert str(found.profile) == profile
    with runner_on(kernel, profile, tmp_path) as runner:
        done = smoke_test(runner, [entry.program.wire for entry in SEEDS], PROGRAMS)
    assert done.trouble is not None


def test_of_our_series_a_difference_is_found_unless_it_is_meant(tmp_path: Path) -> None:
    design, profile = KERNELS[1]
    options = [word for patch in patches(profile) for word in ("--patch", patch)]
    built(design, "plain", *patches(profile))
    run = ["run", "--design", design, "--flavour", "plain", *options, "--time", 5]
    found = zsfuzz(*run, "--until-finding", "--output", tmp_path / "one", cwd=tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    for part in profile.split(","):
        assert f"this kernel {explain(*part.split('='))}\n" in found.stderr
    assert f"if that is meant, give --profile {profile}\n" in found.stderr
    meant = zsfuzz(*run, "--profile", profile, "--output", tmp_path / "out", cwd=tmp_path)
    assert meant.returncode == 0, meant.stdout + meant.stderr
    insisting = zsfuzz(*run, "--profile", "default", "--output", tmp_path / "two", cwd=tmp_path)
    assert insisting.returncode == 1
    lines = [line for line in insisting.stdout.splitlines() if line]
    assert len(lines) == len(profile.split(","))
    assert all(line.startswith("not as --profile says: this kernel ") for line in lines)


def test_a_finding_keeps_its_profile(tmp_path: Path) -> None:
    design, profile = KERNELS[0]
    bug = planted_patch(design, "compaction-loses-owner")
    kernel = built(design, "plain", *patches(profile), bug)
    options = [word for patch in (*patches(profile), bug) for word in ("--patch", patch)]
    common = ["--design", design, "--flavour", kernel.spec.flavour, *options]
    run = ["run", *common, "--until-finding", "--time", 60, "--output", tmp_path / "out"]
    run += ["--profile", profile]
    assert zsfuzz(*run, cwd=tmp_path).returncode == 1
    folder = next((tmp_path / "out" / "findings").glob("*/finding.json")).parent
    assert f", profile {profile}\n" in (folder / "report.txt").read_text()
    assert zsfuzz("verify", folder, *common, "--runs", 2, cwd=tmp_path).returncode == 1
    clean = ["--patch", patches(profile)[0], "--runs", 2]
    assert zsfuzz("verify", folder, *clean, cwd=tmp_path).returncode == 0
