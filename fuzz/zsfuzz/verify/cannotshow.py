# SPDX-License-Identifier: GPL-2.0-only
"""Why a finding could not show on a kernel: that it does not says nothing then."""

from __future__ import annotations

from collections.abc import Callable

from zsfuzz.errors import ZsfuzzError
from zsfuzz.swappath import why_no_swap
from zsfuzz.verify.saved import SavedFinding
from zsmodel import Kernel as Facts
from zstools.inspect import owners_left_out
from zstools.kernel import Kernel

Reason = Callable[[SavedFinding, Kernel, Facts], str]  # "" if it does not hold


class CannotShow(ZsfuzzError):
    """The kernel that was given is not one on which the finding could show: give another one."""


def no_swap_path(saved: SavedFinding, kernel: Kernel, facts: Facts) -> str:
    """Tell whether the program needs a swap path that the kernel has not."""
    if facts.has_swap or not saved.needs_swap:
        return ""
    return (
        f"the program swaps pages, which {describe(kernel)} cannot: {why_no_swap(kernel.layout)}; "
        "turn on with --config what is missing"
    )


def owners_not_built(saved: SavedFinding, kernel: Kernel, facts: Facts) -> str:
    """Tell whether the kernel lacks owners only because of how it was built."""
    if facts.has_owners or not saved.needs_owners:
        return ""
    return owners_left_out(kernel)


def no_owners(saved: SavedFinding, kernel: Kernel, facts: Facts) -> str:
    """Tell whether the kernel keeps no owners, unlike the finding's."""
    if facts.has_owners or not saved.needs_owners:
        return ""
    cure = f"give a tree that keeps them, or --design {saved.design} for our series on top"
    if not facts.has_memcg:
        cure = "build it with CONFIG_MEMCG=y"
    return f"it was found with owners of objects, and {describe(kernel)} keeps none: {cure}"


def other_design(saved: SavedFinding, kernel: Kernel, _: Facts) -> str:
    """Tell whether owners are kept in another place than on the finding's kernel."""
    here = kernel.spec.design
    if saved.design in ("", here):
        return ""
    return (
        f"it was found on design {saved.design}, and {describe(kernel)} is another one: "
        f"give a kernel of that design, or --design {here} if this one is meant"
    )


def other_code(saved: SavedFinding, kernel: Kernel, _: Facts) -> str:
    """Tell whether the kernel is our own series, and the finding is of somebody's tree."""
    if not saved.foreign or kernel.spec.own_tree is not None:
        return ""
    return (
        f"it was found on a tree of somebody's own, and {describe(kernel)} is not that tree: "
        "give the tree with --linux"
    )


# A history may begin without owners: that a finding of theirs does not show there is to be seen.
IN_HISTORY: tuple[Reason, ...] = (no_swap_path, owners_not_built)
ANYWHERE: tuple[Reason, ...] = (*IN_HISTORY, no_owners, other_code)


def refuse_blind(
    saved: SavedFinding, kernel: Kernel, facts: Facts | None, reasons: tuple[Reason, ...]
) -> None:
    """Raise CannotShow if one of the reasons holds; @facts is None if no guest got ready."""
    told = (reason(saved, kernel, facts) for reason in reasons if facts is not None)
    for why in filter(None, told):
        raise CannotShow(f"that it does not show says nothing: {why}")


def describe(kernel: Kernel) -> str:
    """Name a kernel in a few words."""
    return f"{kernel.version} {kernel.spec.design} {kernel.spec.configuration}"
