# SPDX-License-Identifier: GPL-2.0-only
"""Kernels for tests of quality; see tests/guest/guest_support.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest_support import built, machine_of, runner_of

from zsfuzz.runner import Runner


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Share a guest of the plain kernel and a model that is right."""
    console = tmp_path_factory.mktemp("plain") / "console"
    with machine_of(built("zspage", "plain"), console) as guest:
        yield runner_of(guest)
