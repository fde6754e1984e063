# SPDX-License-Identifier: GPL-2.0-only
"""Kernels and guests for tests; what is booted is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guest_support import Runners, built, machine_of

from zsfuzz.guest.machine import Machine
from zstools.kernel import Kernel


@pytest.fixture(scope="session")
def kernel() -> Callable[..., Kernel]:
    """Give the built kernel of a design, a flavour, and perhaps patches."""
    return built


@pytest.fixture(scope="session")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runners]:
    """Share one guest of each kernel; tests leave it in order, and it runs anew after trouble."""
    shared = Runners(tmp_path_factory.mktemp("consoles"))
    yield shared
    shared.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Boot guests that are the test's own."""
    booted: list[Machine] = []

    def make(design: str = "zspage", flavour: str = "plain", **options: float) -> Machine:
        console = tmp_path / f"console-{len(booted)}"
        booted.append(machine_of(built(design, flavour), console, **options))
        return booted[-1]

    yield make
    for guest in booted:
        guest.close()
