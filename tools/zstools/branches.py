# SPDX-License-Identifier: GPL-2.0-only
"""Derive which way conditional jumps went from how often coverage sites were hit.

The compiler marks blocks, not ways between them. A way is known if one site is reached through it
and through nothing else. If only one way of a jump is known, the other can still be derived by
counting, provided that the jump has a site of its own: what went in and did not go the known way
went the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zstools.disassembly import Instruction, Listing
from zstools.lines import LineTable

_MAX_WALK = 256  # instructions


@dataclass(frozen=True)
class Branch:
    """A conditional jump; sites are given by pc, None where several ways share one."""

    pc: int
    line: int
    site: int | None  # hit exactly as often as the jump is executed
    taken: int | None  # hit exactly as often as the jump is taken
    passed: int | None  # hit exactly as often as it is not

    @property
    def is_derivable(self) -> bool:
        """Tell whether both ways can be known."""
        known = (self.taken is not None) + (self.passed is not None)
        return known == 2 or (known == 1 and self.site is not None)

    def times(self, hits: Mapping[int, int]) -> tuple[int, int]:
        """Count how often it was (taken, passed) from the hits of sites, by pc.

        Hits may saturate, but must not wrap, and must not be summed over programs once saturated.
        """
        taken = 0 if self.taken is None else hits.get(self.taken, 0)
        passed = 0 if self.passed is None else hits.get(self.passed, 0)
        total = 0 if self.site is None else hits.get(self.site, 0)
        if self.taken is None:
            taken = max(0, total - passed)
        elif self.passed is None:
            passed = max(0, total - taken)
        return taken, passed

    def ways_seen(self, hits: Mapping[int, int]) -> tuple[bool, bool]:
        """Tell whether it was (taken, passed) at all."""
        taken, passed = self.times(hits)
        return taken > 0, passed > 0


def find_branches(
    listing: Listing, table: LineTable, source: str, sites: set[int]
) -> tuple[tuple[Branch, ...], int]:
    """Return the derivable branches of the source file, and how many were left out."""
    owners = _owning_sites(listing, sites)
    found, left_out = [], 0
    for one in listing.instructions:
        where = table.at(one.address)
        if not one.is_conditional or where is None or where[0] != source:
            continue
        taken, passed = (_only_site(listing, sites, a) for a in (one.target, one.end))
        branch = Branch(one.address, where[1], owners.get(one.address), taken, passed)
        if branch.is_derivable:
            found.append(branch)
        else:
            left_out += 1
    return tuple(found), left_out


def _next(one: Instruction) -> int | None:
    if one.falls_through:
        return one.end
    return one.target if one.mnemonic == "jmp" else None


def _owning_sites(listing: Listing, sites: set[int]) -> dict[int, int]:
    """Map each conditional jump to the site from which a straight line leads to it."""
    owners = {}
    for site in sites:
        address: int | None = site
        for _ in range(_MAX_WALK):
            one = listing.only_way(address)
            if one is None or one.is_call_to(sites):
                break
            if one.is_conditional:
                owners[one.address] = site
                break
            address = _next(one)
    return owners


def _only_site(listing: Listing, sites: set[int], address: int | None) -> int | None:
    """Walk to the site that is reached through this way and no other, or give up."""
    for _ in range(_MAX_WALK):
        one = listing.only_way(address)
        if one is None or one.is_conditional:
            return None
        if one.is_call_to(sites):
            return one.end
        address = _next(one)
    return None
