# SPDX-License-Identifier: GPL-2.0-only
"""Mark each test by the directory that it is in, so that `-m unit` means what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(item.path.relative_to(HERE).parts[0])
