# SPDX-License-Identifier: GPL-2.0-only
"""The ownership designs: each module has one, as DESIGN, numbered as in enum zsfuzz_design."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from zsmodel.design import Design

__all__ = ["DESIGNS", "design_by_number"]


def _find() -> dict[str, Design]:
    modules = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    designs: list[Design] = sorted((m.DESIGN for m in modules), key=lambda design: design.number)
    return {design.name: design for design in designs}


DESIGNS: Final = _find()  # by name, in order of their numbers


def design_by_number(number: int) -> Design:
    """Find the design that a kernel's module names; ValueError if it has no rules here."""
    for design in DESIGNS.values():
        if design.number == number:
            return design
    raise ValueError(f"design number {number} has no model: use one of {', '.join(DESIGNS)}")
