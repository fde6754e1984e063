# SPDX-License-Identifier: GPL-2.0-only
"""A fault in the model is found as surely as one in the kernel: either side may be wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zsfuzz.boot import boot
from zsfuzz.guest.machine import Machine
from zsfuzz.lockstep import Lockstep
from zsfuzz.mutator import Mutator
from zsfuzz.rawbytes import decode
from zsmodel import Model
from zsmodel.classes import distinct_classes
from zsmodel.fullness import SizeClass
from zsmodel.wire import NONE8
from zsmodel.zspage import Zspage
from zstools.kernel import KernelSpec, ensure_kernel

ENOUGH = 2000  # programs


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    console = tmp_path_factory.mktemp("model-fault") / "console"
    with boot(ensure_kernel(KernelSpec("zspage", "plain")), console) as machine:
        yield machine


def programs_until_difference(machine: Machine) -> int | None:
    lockstep = Lockstep(machine, Model(machine.kernel))
    mutator = Mutator(distinct_classes(machine.kernel))
    parents = [b"\0"] * 16
    for seed in range(ENOUGH):
        data = parents[seed % len(parents)] = mutator.mutate(
            parents[seed % len(parents)], 2049, seed
        )
        if lockstep.check(decode(data)) is not None:
            return seed
    return None


def test_the_model_as_it_is_agrees(machine: Machine) -> None:
    assert programs_until_difference(machine) is None


def free_keeps_the_owner(self: Zspage, index: int) -> None:
    self.inuse -= 1
    self.free.append(index)


def free_goes_to_the_end_of_the_free_list(self: Zspage, index: int) -> None:
    self.inuse -= 1
    self.free.insert(0, index)
    self.owners[index] = NONE8


def insert_at_the_tail(self: SizeClass, zspage: Zspage, group: int) -> None:
    zspage.group = group
    self.lists[group].insert(0, zspage)
    self.occupied |= 1 << group


def emptiest_is_taken_from_the_tail(self: SizeClass, groups: int) -> Zspage | None:
    groups &= self.occupied
    return self.lists[(groups & -groups).bit_length() - 1][0] if groups else None


@pytest.mark.parametrize(
    ("place", "name", "fault"),
    [
        (Zspage, "obj_free", free_keeps_the_owner),
        (Zspage, "obj_free", free_goes_to_the_end_of_the_free_list),
        (SizeClass, "insert", insert_at_the_tail),
        (SizeClass, "emptiest", emptiest_is_taken_from_the_tail),
    ],
)
def test_a_fault_in_a_rule_of_the_model_is_found(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, place: type, name: str, fault: object
) -> None:
    monkeypatch.setattr(place, name, fault)
    assert programs_until_difference(machine) is not None
