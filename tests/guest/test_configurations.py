# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of other configurations say so, agree with their own model, and with no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from guest_support import SEEDS, machine_of, runner_of

from zsfuzz.guest.machine import Machine
from zsfuzz.runner import Runner
from zsfuzz.smoke import mutated, smoke_test
from zsmodel import Model
from zstools.errors import SourceError, ToolMissingError
from zstools.kernel import Kernel, KernelSpec, ensure_kernel

# Only these two are built for the suite, a link each; `zsfuzz matrix` builds and tests all.
FACTS = {"chain-16": {"chain_size": 16}, "stat-n": {"has_classes": False}}
PROGRAMS = 1000


def variant_kernel(name: str) -> Kernel:
    try:
        return ensure_kernel(KernelSpec("zspage", "plain", variants=(name,)))
    except (SourceError, ToolMissingError) as error:
        pytest.skip(f"make it by `zsfuzz kernel build --flavour plain --variant {name}`: {error}")


@pytest.fixture(scope="module", params=FACTS)
def guest(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Machine, dict[str, Any]]]:
    console = tmp_path_factory.mktemp("variant") / "console"
    machine = machine_of(variant_kernel(request.param), console)
    yield machine, FACTS[request.param]
    machine.close()


Guest = tuple[Machine, dict[str, Any]]


def test_the_guest_says_what_is_different(guest: Guest, runners: Any) -> None:
    machine, facts = guest
    usual = runners("zspage", "plain").target.kernel
    assert machine.kernel == replace(usual, **facts) != usual


def test_it_agrees_with_its_own_model(guest: Guest) -> None:
    seeds = [entry.program.wire for entry in SEEDS]
    done = smoke_test(runner_of(guest[0]), seeds, PROGRAMS)
    assert done.trouble is None, (done.trouble.title, done.trouble.wire.hex())
    assert done.programs == len(seeds) + PROGRAMS


def test_it_does_not_agree_with_the_model_of_the_usual_kernel(guest: Guest, runners: Any) -> None:
    machine, _ = guest
    usual = runners("zspage", "plain").target.kernel
    runner = Runner(machine, Model(usual))
    assert any(runner.run(wire) is not None for wire in mutated(usual, PROGRAMS))
