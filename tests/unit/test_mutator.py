# SPDX-License-Identifier: GPL-2.0-only
"""The mutator: deterministic, bounded, and its programs mean something."""

import random
from collections import Counter
from itertools import chain

import pytest

from zsfuzz.mutation.lcg import Lcg
from zsfuzz.mutation.mutator import Mutator
from zsfuzz.mutation.patterns import PATTERNS, Site, another_pool, remove_cgroup
from zsfuzz.mutation.rawbytes import COMMON, MARK, SWAP_OPS, WITH_SWAP, decode
from zsfuzz.mutation.sizes import TABLE_SIZE
from zsfuzz.mutation.swappatterns import SWAP_PATTERNS, swap_program
from zsfuzz.program import Opcode, Program
from zsfuzz.records import RESULT_SIZE
from zsfuzz.smoke import mutated
from zsmodel import Kernel, Model
from zsmodel.classes import distinct_classes

MAX = 4096
KERNEL = Kernel("zspage")
MODEL = Model(KERNEL)


@pytest.fixture
def mutator():
    return Mutator(distinct_classes(KERNEL))


def evolve(mutator, steps, first=b"", seeds=0):
    """Mutate mutants for a while, as libFuzzer would without coverage."""
    made = [first]
    for seed in range(seeds, seeds + steps):
        parents = made[-50:]
        made.append(mutator.mutate(parents[seed * 7919 % len(parents)], MAX, seed))
    return made[1:]


def results(program):
    data = MODEL.run(program.wire)
    return [
        int.from_bytes(data[i * RESULT_SIZE : i * RESULT_SIZE + 2], "little")
        for i in range(len(program))
    ]


def test_there_are_64_shares_of_patterns():
    assert len(PATTERNS) == 64


def test_the_same_data_and_seed_give_the_same_result():
    shapes = distinct_classes(KERNEL)
    assert evolve(Mutator(shapes), 300) == evolve(Mutator(shapes), 300)


def test_different_seeds_give_different_results(mutator):
    start = evolve(mutator, 20)[-1]
    assert len({mutator.mutate(start, MAX, seed) for seed in range(200)}) > 150


@pytest.mark.parametrize("max_size", [0, 1, 8, 9, 17, 200])
def test_results_never_exceed_what_libfuzzer_allows(mutator, max_size):
    rng = random.Random(5)
    for seed in range(200):
        data, other = rng.randbytes(rng.randrange(300)), rng.randbytes(rng.randrange(300))
        assert len(mutator.mutate(data[:max_size], max_size, seed)) <= max_size
        assert len(mutator.crossover(data[:max_size], other, max_size, seed)) <= max_size


def test_any_bytes_can_be_mutated_and_crossed(mutator):
    rng = random.Random(6)
    for seed in range(2000):
        one, other = rng.randbytes(rng.randrange(60)), rng.randbytes(rng.randrange(60))
        decode(mutator.mutate(one, MAX, seed))
        decode(mutator.crossover(one, other, MAX, seed))


def test_programs_keep_the_usual_length(mutator):
    lengths = sorted(len(decode(data)) // 8 for data in evolve(mutator, 3000)[1000:])
    assert lengths[len(lengths) // 4] >= 16
    assert lengths[len(lengths) * 3 // 4] <= 112


def test_most_operations_do_something(mutator):
    tried, succeeded = Counter(), Counter()
    families = [evolve(mutator, 30, seeds=100 * family) for family in range(40)]
    for data in chain.from_iterable(families):
        program = Program.from_wire(decode(data))
        for op, ret in zip(program, results(program), strict=True):
            tried[op.op] += 1
            succeeded[op.op] += ret == 0
    for op in (Opcode.MALLOC, Opcode.FREE, Opcode.WRITE, Opcode.COMPACT, Opcode.MIGRATE):
        assert succeeded[op] > tried[op] * 0.4, op
    seldom = {Opcode.CGROUP_CREATE, *SWAP_OPS}
    assert {op for op in Opcode if succeeded[op]} >= set(Opcode) - seldom


def test_programs_that_swap_are_few_but_do_all_that_there_is(mutator):
    tried, succeeded, programs = Counter(), Counter(), 0
    for seed in range(20000):
        data = mutator.mutate(b"", MAX, seed)
        program = Program.from_wire(decode(data))
        if not any(op.op in SWAP_OPS for op in program):
            continue
        programs += 1
        for op, ret in zip(program, results(program), strict=True):
            tried[op.op] += 1
            succeeded[op.op] += ret == 0
    assert 20 < programs < 100
    assert all(succeeded[op] > tried[op] * 0.2 for op in SWAP_OPS), (tried, succeeded)


def test_children_of_programs_that_swap_mostly_do_not(mutator):
    swap = bytes((MARK | WITH_SWAP,)) + swap_program(Lcg(1), Site(0, b"\0", 8, 100))
    children = [decode(mutator.mutate(swap, MAX, seed)) for seed in range(1000)]
    kept = sum(any(op in SWAP_OPS for op in child[::8]) for child in children)
    assert 0 < kept < 150


@pytest.mark.parametrize("pattern", dict.fromkeys(SWAP_PATTERNS))
def test_each_pattern_of_swapping_gives_whole_records(pattern):
    for seed in range(100):
        block = pattern(Lcg(seed), Site(3, b"\3\4\5", 250, 100))
        assert block
        Program.from_wire(block)


def test_dear_operations_stay_rare_even_among_their_children(mutator):
    pool = evolve(mutator, 5000)
    dear = sum(data[0] != COMMON for data in pool)
    assert 0 < dear < len(pool) * 0.05


@pytest.mark.parametrize("pattern", [*dict.fromkeys(PATTERNS), remove_cgroup, another_pool])
def test_each_pattern_gives_whole_records_within_its_room(mutator, pattern):
    for seed in range(200):
        block = pattern(Lcg(seed), mutator.sizes, Site(3, b"\3\4\5", 250, 100))
        assert len(block) % 8 == 0
        Program.from_wire(block)


def test_repairing_leaves_no_operation_on_an_absent_object(mutator):
    broken = Program.of(
        [
            *Program.from_wire(bytes((2, 1, 0, 1, 64, 0, 0, 0)) * 2),
            *Program.from_wire(bytes((5, 9, 0, 0, 0, 0, 0, 0)) * 2),
        ]
    )
    repaired = Program.from_wire(mutator._repair(Lcg(1), broken.wire, 100))
    assert results(broken) != [0] * 4
    assert results(repaired) == [0] * 4


def test_crossover_takes_from_both(mutator):
    one, other = (
        b"\0" + bytes((5, 1, 0, 0, 0, 0, 0, 0)) * 9,
        b"\0" + bytes((4, 2, 0, 0, 0, 0, 0, 0)) * 9,
    )
    seen = {frozenset(decode(mutator.crossover(one, other, MAX, seed))[::8]) for seed in range(20)}
    assert seen == {frozenset((4, 5))}


def test_learned_sizes_come_up_and_the_dictionary_stays_bounded(mutator):
    mutator.learn([1234, 0, -5, 5000, 1 << 40])
    payloads = Counter(entry.payload for entry in mutator.sizes.entries)
    assert payloads[1234] >= 1
    assert 5000 not in payloads
    mutator.learn(range(1, 4098))
    assert len(mutator.sizes.entries) == TABLE_SIZE
    assert len(mutator.sizes._known) <= 192


def test_sizes_know_their_class(mutator):
    size = mutator.sizes.size_of(2712)
    assert (size.objs, size.pages) == (3, 2)
    assert mutator.sizes.size_of(2713).objs != 3


def test_libfuzzers_own_mutation_is_used_now_and_then():
    native = Mutator(distinct_classes(KERNEL), native=lambda data, size: b"native")
    share = sum(native.mutate(bytes(17), MAX, seed) == b"native" for seed in range(1600))
    assert 50 < share < 200


def test_a_program_that_swaps_is_made_from_nothing_and_fits(mutator):
    for seed in range(50):
        data = mutator.swap(1 + 8 * 48, seed)
        assert data == mutator.swap(1 + 8 * 48, seed)
        assert len(data) <= 1 + 8 * 48
        assert any(op in SWAP_OPS for op in decode(data)[::8])


def test_one_in_20_of_the_programs_of_a_smoke_test_swaps():
    made = [wire for wire in mutated(KERNEL, 400) if any(op in SWAP_OPS for op in wire[::8])]
    assert len(made) >= 20
    assert set(SWAP_OPS) == {op for wire in made for op in wire[::8]} & set(SWAP_OPS)
