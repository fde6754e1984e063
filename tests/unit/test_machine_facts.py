# SPDX-License-Identifier: GPL-2.0-only
"""What a guest's module says of its kernel in the ring, as the model is told it."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from zsfuzz.guest.machine import Machine
from zsmodel import Kernel
from zsmodel.kernel import DISK_LENGTHS, ZSWAP_LENGTHS
from zsmodel.profile import Profile
from zstools.paths import kmod_dir

pytestmark = pytest.mark.unit

HEADER = (kmod_dir() / "zsfuzz_abi.h").read_text()
BITS = {name: int(bit) for name, bit in re.findall(r"ZSFUZZ_(HAS_\w+)\s*= (\d+)", HEADER)}
# The design says the one that is left out, the coverage map the other.
FACTS = sorted(BITS.keys() - {"HAS_OWNERS", "HAS_COVERAGE"})


def described(features: int) -> Kernel:
    words = {"features": features, "design": 1, "page_size": 4096, "chain_size": 8}
    words |= {"min_alloc_size": 32, "writeback_batch": 1}
    arrays = {"zswap_lengths": ZSWAP_LENGTHS, "disk_lengths": DISK_LENGTHS}
    machine: Any = Machine.__new__(Machine)
    machine.ring = SimpleNamespace(
        info=words.__getitem__, info_array=lambda name, _count: arrays[name]
    )
    machine._abi = SimpleNamespace(constant=BITS.__getitem__)
    machine._profile = Profile()
    kernel = machine._describe()
    assert isinstance(kernel, Kernel)
    return kernel


@pytest.mark.parametrize("name", FACTS)
def test_each_bit_of_the_features_is_one_fact_of_the_kernel(name: str) -> None:
    with_it, without = described(BITS[name]), described(0)
    assert getattr(with_it, name.lower())
    assert not any(getattr(without, fact.lower()) for fact in FACTS)
    assert sum(getattr(with_it, fact.lower()) for fact in FACTS) == 1
