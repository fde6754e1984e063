# SPDX-License-Identifier: GPL-2.0-only
"""What the model must know of a kernel: the ownership design and the configuration."""

from dataclasses import dataclass, field
from typing import Final

from zsmodel.design import Design
from zsmodel.designs import DESIGNS
from zsmodel.profile import Profile

# What lzo and lzo-rle made of the patterns in 7.2.13.
ZSWAP_LENGTHS: Final = (
    *(0, 44, 70, 150, 300, 573, 869, 1214),
    *(1493, 1845, 2213, 2580, 3005, 3397, 3836, 4096),
)
DISK_LENGTHS: Final = (
    *(0, 0, 72, 152, 302, 575, 871, 1216),
    *(1495, 1847, 2215, 2582, 3007, 3399, 4096, 4096),
)


@dataclass(frozen=True)
class Kernel:
    """Describe one kernel; page_size and min_alloc_size are in bytes, chain_size in pages.

    min_alloc_size is ZS_MIN_ALLOC_SIZE as the kernel was built: it depends on the bits that the
    architecture leaves for an object's index.  Raises ValueError for a design without rules here.
    """

    design: str
    page_size: int = 4096
    chain_size: int = 8
    min_alloc_size: int = 32
    has_memcg: bool = True
    has_migration: bool = True
    has_faults: bool = True
    has_zswap: bool = True  # with memcg: owners are charged
    has_classes: bool = True  # the file zsmalloc/<pool>/classes
    has_swap: bool = True  # zswap before a zram disk
    has_entry_owners: bool = False  # zswap's entries have an owner, whatever zsmalloc has
    writeback_batch: int = 1  # entries of a cgroup that zswap looks at in one go: 32 in Linux 7.3
    # Bytes of a page of each pattern once it is compressed, by zswap and by the disk, as the guest
    # measured them when it started: here the kernel's word is taken.  0: it takes up no object.
    zswap_lengths: tuple[int, ...] = ZSWAP_LENGTHS
    disk_lengths: tuple[int, ...] = DISK_LENGTHS
    profile: Profile = field(default_factory=Profile)  # in what it differs from our own series

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ValueError(f"design {self.design!r} has no model: use one of {tuple(DESIGNS)}")

    @property
    def ownership(self) -> Design:
        """Find the design's rules."""
        return DESIGNS[self.design]

    @property
    def has_owners(self) -> bool:
        """Tell whether memcg-aware pools exist."""
        return self.ownership.keeps_owners and self.has_memcg
