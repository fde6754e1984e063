# SPDX-License-Identifier: GPL-2.0-only
"""What must hold after any program, recomputed from the snapshot alone."""

from collections import Counter
from typing import Any

import pytest
from model_support import STOCK, ZSPAGE, Answer, op, random_program

from zsmodel import Kernel, Model, classes, wire

SHAPES = {shape.index: shape for shape in classes.distinct_classes(ZSPAGE)}
SEEDS = range(40)


def zspages_by_class(answer: Answer) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each class record of the snapshot with the zspages that follow it."""
    found: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for record in answer.snapshot:
        if record["kind"] == wire.SNAP_CLASS:
            found.append((record, []))
        elif record["kind"] == wire.SNAP_ZSPAGE:
            found[-1][1].append(record)
    return found


def violations(answer: Answer) -> list[str]:
    """The invariants that a snapshot breaks."""
    broken = []
    used = Counter[int]()
    for record, zspages in zspages_by_class(answer):
        shape = SHAPES[record["class"]]
        if record["allocated"] != shape.objs * len(zspages):
            broken.append("allocated is not that of the zspages")
        if record["inuse"] != sum(z["inuse"] for z in zspages):
            broken.append("inuse is not the sum over the zspages")
        if [z["group"] for z in zspages] != sorted(z["group"] for z in zspages):
            broken.append("zspages are not in order of group")
        for zspage in zspages:
            broken += zspage_violations(zspage, shape)
            used[zspage["zspage"]] = zspage["inuse"]
    places = Counter((o["zspage"], o["index"]) for o in answer.of(wire.SNAP_OBJECT))
    if places and places.most_common(1)[0][1] > 1:
        broken.append("two objects in one slot")
    if Counter(zspage for zspage, _ in places) != +used:
        broken.append("objects in use are not the live ones")
    return broken + pool_violations(answer)


def zspage_violations(zspage: dict[str, Any], shape: classes.ClassShape) -> list[str]:
    broken = []
    if zspage["group"] != classes.fullness_group(zspage["inuse"], shape.objs):
        broken.append("group does not follow from inuse")
    if zspage["inuse"] + zspage["free_bytes"] != shape.objs:
        broken.append("slots are lost")
    if len(set(zspage["free"])) != len(zspage["free"]):
        broken.append("a slot is free twice")
    if any(zspage["owners"][i] != wire.NONE8 for i in zspage["free"] if zspage["owners"]):
        broken.append("a free slot has an owner")
    return broken


def pool_violations(answer: Answer) -> list[str]:
    total = sum(pool["pages"] for pool in answer.of(wire.SNAP_POOL))
    pages = sum(SHAPES[c["class"]].pages * len(z) for c, z in zspages_by_class(answer))
    return [] if total == pages else ["pages are not those of the zspages"]


def owned_bytes(answer: Answer) -> tuple[int, int]:
    """Bytes and objects that have an owner other than the root."""
    sizes = [
        SHAPES[record["class"]].size
        for record, zspages in zspages_by_class(answer)
        for zspage in zspages
        for owner in zspage["owners"]
        if owner not in (0, wire.NONE8)
    ]
    return sum(sizes), len(sizes)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_snapshot_is_consistent(seed: int) -> None:
    assert violations(Answer(random_program(seed, 150))) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_all_charges_are_the_class_sizes_of_owned_objects(seed: int) -> None:
    answer = Answer(random_program(seed, 150) + op("stat", owner=0))
    zswap = answer.last["tags"] << 16 | answer.last["value"]
    assert (zswap, answer.last["inuse"]) == owned_bytes(answer)


@pytest.mark.parametrize("seed", SEEDS)
def test_compaction_and_migration_change_no_charge_and_no_owner(seed: int) -> None:
    program = random_program(seed, 150)
    before = Answer(program)
    after = Answer(program + op("compact") + op("migrate", 3) + op("shrink"))
    assert before.charges == after.charges
    assert owners_by_object(before) == owners_by_object(after)
    assert contents(before) == contents(after)


def owners_by_object(answer: Answer) -> dict[int, int]:
    owners = {z["zspage"]: z["owners"] for z in answer.of(wire.SNAP_ZSPAGE)}
    objects = answer.of(wire.SNAP_OBJECT)
    return {o["object"]: owners[o["zspage"]][o["index"]] for o in objects if owners[o["zspage"]]}


def contents(answer: Answer) -> dict[int, tuple[int, int]]:
    return {o["object"]: (o["pattern"], o["length"]) for o in answer.of(wire.SNAP_OBJECT)}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stock_kernel_places_objects_alike(seed: int) -> None:
    program = random_program(seed, 150, without=("fail_next",))  # an owner array may fail
    owned, stock = Answer(program), Answer(program, Model(STOCK))
    assert owned.lists == stock.lists
    assert owned.of(wire.SNAP_OBJECT) == stock.of(wire.SNAP_OBJECT)


def test_a_program_leaves_nothing_for_the_next() -> None:
    model = Model(ZSPAGE)
    for seed in SEEDS:
        program = random_program(seed, 150)
        assert model.run(program) == Model(ZSPAGE).run(program)


def test_random_programs_reach_every_opcode_and_most_succeed() -> None:
    answers = [Answer(random_program(seed, 150)) for seed in SEEDS]
    rets = [ret for answer in answers for ret in answer.rets]
    assert rets.count(0) > len(rets) / 2
    assert any(group == 0 for answer in answers for group, _, _ in answer.lists)


@pytest.mark.parametrize("chain", [4, 16])
def test_other_chain_sizes_run(chain: int) -> None:
    assert Model(Kernel("zspage", chain_size=chain)).run(random_program(1, 500))


def test_pages_whose_objects_do_not_fit_the_records_are_refused() -> None:
    with pytest.raises(ValueError, match="512 objects"):
        Model(Kernel("stock", page_size=16384))
