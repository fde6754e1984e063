# SPDX-License-Identifier: GPL-2.0-only
"""A fault planted in any rule changes the bytes of some short program.

The faults are planted into the model's classes from outside, as it ships no hook for them.
"""

import struct
from collections.abc import Callable, Iterable

import pytest
from model_support import ZSPAGE, Answer, fill, free, op, random_program
from test_model_invariants import owned_bytes, violations

from zsmodel import (
    Model,
    cgroups,
    compaction,
    fullness,
    object_operations,
    operations,
    pool,
    wire,
    zspage,
)

Patch = Callable[[pytest.MonkeyPatch], None]
PROGRAMS = [
    fill(0, 34, 472) + free(*range(14)) + free(*range(17, 31)) + free(14),
    fill(0, 4, 2040) + free(0, 2) + op("lock_page", 1) + op("compact"),
    *(random_program(seed, 100) for seed in range(100)),
]
MUTANTS: dict[str, Patch] = {}

pytestmark = pytest.mark.skipif(
    not zspage.__file__.endswith(".py"), reason="a compiled model cannot be patched: run the source"
)


def mutant(plant: Patch) -> Patch:
    MUTANTS[plant.__name__] = plant
    return plant


def outcome(model: Model, program: bytes) -> bytes | str:
    """The model's answer; a mutant may also come to nothing."""
    try:
        return model.run(program)
    except (AttributeError, IndexError, KeyError, ValueError, struct.error) as error:
        return type(error).__name__


@mutant
def free_keeps_the_owner(patch: pytest.MonkeyPatch) -> None:
    def obj_free(self: zspage.Zspage, index: int) -> None:
        self.inuse -= 1
        self.free.append(index)

    patch.setattr(zspage.Zspage, "obj_free", obj_free)


@mutant
def freed_slots_are_handed_out_first_in_first_out(patch: pytest.MonkeyPatch) -> None:
    def obj_free(self: zspage.Zspage, index: int) -> None:
        self.inuse -= 1
        self.free.insert(0, index)
        self.owners[index] = wire.NONE8

    patch.setattr(zspage.Zspage, "obj_free", obj_free)


@mutant
def zspages_enter_their_list_at_the_tail(patch: pytest.MonkeyPatch) -> None:
    def move(self: fullness.SizeClass, zs: zspage.Zspage, group: int) -> None:
        self.remove(zs)
        self.insert(zs, group)
        self.lists[group].insert(0, self.lists[group].pop())

    patch.setattr(fullness.SizeClass, "move", move)


@mutant
def a_zspage_of_the_same_group_moves_to_the_head(patch: pytest.MonkeyPatch) -> None:
    free = pool.Pool.free

    def moving(self: pool.Pool, obj: zspage.Object) -> bool:
        gone = free(self, obj)
        if not gone:
            obj.zspage.size_class.move(obj.zspage, obj.zspage.group)
        return gone

    patch.setattr(pool.Pool, "free", moving)


@mutant
def group_0_is_not_taken_up_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pool, "NOT_FULL", fullness.SOME_USED)


@mutant
def a_locked_page_does_not_defer_the_free(patch: pytest.MonkeyPatch) -> None:
    free_zspage = pool.Pool.free_zspage

    def unlocked(self: pool.Pool, zs: zspage.Zspage) -> bool:
        zs.locked = 0
        return free_zspage(self, zs)

    patch.setattr(pool.Pool, "free_zspage", unlocked)


@mutant
def compaction_drops_the_owner(patch: pytest.MonkeyPatch) -> None:
    migrate = compaction.migrate_zspage

    def forgetful(
        source: zspage.Zspage, target: zspage.Zspage, objects: Iterable[zspage.Object]
    ) -> int:
        before = target.owners[:]
        moved = migrate(source, target, objects)
        target.owners[:] = before
        return moved

    patch.setattr(compaction, "migrate_zspage", forgetful)


@mutant
def compaction_takes_its_target_from_the_emptiest(patch: pytest.MonkeyPatch) -> None:
    def fullest(self: fullness.SizeClass, groups: int) -> zspage.Zspage | None:
        return self.emptiest(groups)

    patch.setattr(fullness.SizeClass, "fullest", fullest)


@mutant
def deferred_pages_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    compact = compaction.compact_class

    def counted(
        p: pool.Pool, c: fullness.SizeClass, objects: Iterable[zspage.Object]
    ) -> tuple[int, int]:
        before = p.pages
        _, moved = compact(p, c, objects)
        return before - p.pages, moved

    patch.setattr(compaction, "compact_class", counted)


@mutant
def compaction_ignores_readers(patch: pytest.MonkeyPatch) -> None:
    def compact(p: pool.Pool, objects: Iterable[zspage.Object]) -> tuple[int, int]:
        for obj in objects:
            obj.zspage.readers = 0
        return compaction.compact(p, objects)

    patch.setattr(operations, "compact", compact)


@mutant
def the_charge_is_the_size_asked_for(patch: pytest.MonkeyPatch) -> None:
    charge = cgroups.Cgroup.charge
    patch.setattr(cgroups.Cgroup, "charge", lambda self, size: charge(self, size - 8))


@mutant
def free_does_not_uncharge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cgroups.Cgroup, "uncharge", lambda self, size: None)


@mutant
def removed_cgroups_take_their_charges_with_them(patch: pytest.MonkeyPatch) -> None:
    def remove(self: cgroups.CgroupTree, cgroup: cgroups.Cgroup) -> None:
        self.changed = cgroup.removed = True
        self.names[cgroup.number] = None
        if cgroup.parent:
            cgroup.parent.children.remove(cgroup)

    patch.setattr(cgroups.CgroupTree, "remove", remove)


@mutant
def a_failed_malloc_keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    allocates = object_operations.ObjectOperations.allocates

    def leaking(self: object_operations.ObjectOperations, p: pool.Pool, size: int) -> bool:
        next(self.zspage_numbers)
        return allocates(self, p, size)

    patch.setattr(object_operations.ObjectOperations, "allocates", leaking)


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    model = Model(ZSPAGE)
    return [model.run(program) for program in PROGRAMS]


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fault_changes_the_bytes(
    name: str, expected: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[name](monkeypatch)
    model = Model(ZSPAGE)
    assert any(outcome(model, p) != e for p, e in zip(PROGRAMS, expected, strict=True))


@pytest.mark.parametrize("name", ["free_keeps_the_owner", "zspages_enter_their_list_at_the_tail"])
def test_the_unplanted_model_answers_as_before(name: str, expected: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        MUTANTS[name](patch)
    model = Model(ZSPAGE)
    assert [model.run(program) for program in PROGRAMS] == expected


def test_the_invariants_see_an_owner_that_free_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    free_keeps_the_owner(monkeypatch)
    assert any("a free slot has an owner" in violations(Answer(p)) for p in PROGRAMS)


def test_the_invariants_see_a_lost_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    def obj_free(self: zspage.Zspage, index: int) -> None:
        self.inuse -= 1

    monkeypatch.setattr(zspage.Zspage, "obj_free", obj_free)
    assert any("slots are lost" in violations(Answer(p)) for p in PROGRAMS[:20])


def test_the_invariants_see_a_charge_that_free_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    free_does_not_uncharge(monkeypatch)
    model = Model(ZSPAGE)
    stat = wire.OP.pack(wire.STAT, 0, 0, 0, 0, 0)
    answers = [Answer(program + stat, model) for program in PROGRAMS[:20]]
    assert any(a.last["inuse"] != owned_bytes(a)[1] for a in answers)
