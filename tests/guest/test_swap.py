# SPDX-License-Identifier: GPL-2.0-only
"""The real swap path: processes whose pages go through zswap to a zram disk, and come back."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest
from guest_support import Runners, machine_of, runner_of

from zsfuzz.mutation.rawbytes import MARK, SWAP_OPS, WITH_CGROUPS, WITH_SWAP, decode, encode
from zsfuzz.program import Program
from zsfuzz.records import Field
from zsfuzz.records import decode as decode_answer
from zsfuzz.runner import Runner
from zsfuzz.smoke import Mutator
from zsfuzz.text import parse_program
from zsmodel import Model
from zsmodel.classes import distinct_classes
from zsmodel.wire import IN_ZSWAP, ON_DEVICE
from zstools.kernel import KernelSpec, find_kernel

KERNELS = [
    *(("stock", "plain"), ("zspage", "plain"), ("zpdesc", "plain")),
    *(("zspage", "kasan"), ("zpdesc", "kasan"), ("zspage", "lockdep")),
]
RANDOM = 12  # programs of random bytes, and of mutations, for each kernel
OPERATIONS = 60  # in a random program

# One program for each operation, whose last one it is; each succeeds.
SWAPPED = """\
page_write(v0, owner=c4, pattern=9)
page_write(v1, owner=c5, pattern=9)
page_write(v2, owner=c4, pattern=15)
page_out(v0)
page_out(v1)
page_out(v2)
"""
LAST = [
    *("page_write(v0, owner=c4, pattern=3)", "page_out(v2)", "page_in(v0)", "page_in(v0, own=1)"),
    *("page_drop(v1)", "page_exit(c4)", "writeback()", "swap_compact()", "swap_compact(disk=1)"),
    *("stat_files(c4)", "stat_files(c1)", "stat(c2)", "cgroup_remove(c4)"),
]


@pytest.fixture(params=KERNELS, ids="-".join)
def runner(request: pytest.FixtureRequest, runners: Runners) -> Runner:
    found = runners(*request.param)
    assert found.target.kernel.has_swap
    return found


def agree(runner: Runner, program: Program) -> dict[str, Field]:
    """Run a program, which must agree with the model; the kernel's answer by path."""
    trouble = runner.run(program.wire)
    assert trouble is None, (trouble.title, trouble.divergence, trouble.console[-2000:])
    decoded = decode_answer(runner.target.run(program.wire), program, runner.target.kernel)
    assert not decoded.stopped
    return decoded.fields


@pytest.mark.parametrize("last", LAST)
def test_each_operation_does_what_the_model_says(runner: Runner, last: str) -> None:
    program = parse_program(SWAPPED.replace("page_out(v2)\n", "") + last if last == "page_out(v2)"
                            else SWAPPED + last)  # fmt: skip
    fields = agree(runner, program)
    assert all(fields[f"op {number}: ret"].value == 0 for number in range(1, len(program) + 1))


def test_pages_are_really_in_zswap_and_then_on_the_disk(runner: Runner) -> None:
    before = agree(runner, parse_program(SWAPPED))
    after = agree(runner, parse_program(SWAPPED + "writeback()"))
    for page, owner in ((0, 4), (1, 5), (2, 4)):
        assert before[f"v{page}.where"].value == IN_ZSWAP
        assert before[f"v{page}.owner"].value == owner
        assert after[f"v{page}.where"].value == ON_DEVICE


def test_random_bytes_under_the_header_for_swap_agree(runner: Runner) -> None:
    rng = random.Random(20)
    header = bytes((MARK | WITH_SWAP | WITH_CGROUPS,))
    for _ in range(RANDOM):
        wire = decode(header + rng.randbytes(8 * OPERATIONS))
        assert any(op in SWAP_OPS for op in wire[::8])
        agree(runner, Program.from_wire(wire))
    assert runner.audit() is None


def test_mutated_programs_that_swap_agree(runner: Runner) -> None:
    mutator = Mutator(distinct_classes(runner.target.kernel))
    data, done = encode(parse_program(SWAPPED).wire), 0
    for seed in range(RANDOM * 40):
        mutant = mutator.mutate(data, 1 + 8 * OPERATIONS, seed)
        wire = decode(mutant)
        if mutant[0] & (MARK | WITH_SWAP) == MARK | WITH_SWAP:
            agree(runner, Program.from_wire(wire))
            data, done = mutant, done + 1
    assert done > RANDOM
    assert runner.audit() is None


def test_a_batch_answers_as_single_runs_do(runner: Runner) -> None:
    texts = [SWAPPED + last for last in LAST]
    texts.insert(1, "o0 = malloc(p0, size=100, owner=c4)\nstat(c4)")
    programs = [parse_program(text).wire for text in texts]
    model = Model(runner.target.kernel)
    assert runner.target.run_many(programs) == [model.run(wire) for wire in programs]


@pytest.mark.parametrize("variant", ["memcg-n", "zswap-n"])
@pytest.mark.parametrize("design", ["stock", "zspage", "zpdesc"])
def test_without_memcg_or_zswap_all_is_refused(design: str, variant: str, tmp_path: Path) -> None:
    kernel = find_kernel(KernelSpec(design, "plain", variants=(variant,)))
    if kernel is None:
        pytest.skip(f"build it by `zsfuzz matrix --design {design} --variant {variant}`")
    machine = machine_of(kernel, tmp_path / "console")
    assert not machine.kernel.has_swap
    for last in LAST[: LAST.index("stat(c2)")]:
        fields = agree(runner_of(machine), parse_program(SWAPPED + last))
        refused = [field.value for path, field in fields.items() if path.endswith(": ret")]
        assert refused == [-errno.EOPNOTSUPP] * len(refused)
    machine.close()
