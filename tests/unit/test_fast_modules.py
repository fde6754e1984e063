# SPDX-License-Identifier: GPL-2.0-only
"""Compiled modules: what makes them be compiled again."""

from __future__ import annotations

import pytest

from zstools import fastmodules
from zstools.paths import project_root

pytestmark = pytest.mark.unit


def compiler_input() -> set[str]:
    return {str(p.relative_to(project_root())) for p in fastmodules._compiler_input()}


def test_what_compiled_modules_import_is_compiled_in_too() -> None:
    # libFuzzer's mutator is compiled, and imports the opcodes.
    assert {"fuzz/zsfuzz/mutation/mutator.py", "fuzz/zsfuzz/program.py"} <= compiler_input()


def test_modules_that_compiled_ones_do_not_import_may_change() -> None:
    assert "fuzz/zsfuzz/cli.py" not in compiler_input()


def test_all_of_the_model_is_compiled() -> None:
    model = (project_root() / "reference").rglob("*.py")
    assert {str(p.relative_to(project_root())) for p in model} <= compiler_input()


def test_compiled_modules_import_our_packages_from_their_top_only() -> None:
    # Other forms of import are not followed.
    for path in fastmodules._compiler_input():
        assert "\nimport zs" not in path.read_text(), path
