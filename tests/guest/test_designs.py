# SPDX-License-Identifier: GPL-2.0-only
"""From the same program, both designs end with the same owner for every object, and all agree."""

from __future__ import annotations

import pytest
from guest_support import SEEDS, Runners

from zsfuzz.program import Op, Opcode, Program
from zsfuzz.records import RESULT, decode
from zsfuzz.smoke import mutated
from zsmodel.wire import MAX_OPS

PROGRAMS = 400
# The designs differ in these by what they are.
OWN = ("tail", "tags", "tag_bits")
BOTH = ("zspage", "zpdesc")
ALIKE = {"object", "page", "cgroup", "events"}  # records


def asked(program: Program) -> Program:
    """The program, and then a look at each object that it names: its owner is in the result."""
    names = sorted({op.object for op in program if op.op is Opcode.MALLOC})
    return Program.of([*program, *(Op(Opcode.READ, object=name) for name in names)][:MAX_OPS])


def outcomes(answer: bytes, count: int) -> list[dict[str, int]]:
    """What the operations did, less what is a design's own."""
    found = []
    for number in range(count):
        values = RESULT.struct.unpack_from(answer, number * RESULT.size)
        result = dict(zip(RESULT.fields, values, strict=True))
        found.append({name: value for name, value in result.items() if name not in OWN})
    return found


def programs(runners: Runners) -> list[Program]:
    """Seeds and mutations in which no allocation is made to fail: the designs make other ones."""
    facts = runners("zspage", "plain").target.kernel
    made = [Program.from_wire(wire) for wire in mutated(facts, PROGRAMS, seed=3)]
    both = [*(entry.program for entry in SEEDS), *made]
    return [asked(p) for p in both if all(op.op is not Opcode.FAIL_NEXT for op in p)]


def test_both_designs_end_with_the_same_owners_and_charges(runners: Runners) -> None:
    one, other = (runners(design, "plain") for design in BOTH)
    chosen = programs(runners)
    assert len(chosen) > PROGRAMS / 4
    owners = 0
    for program in chosen:
        answers = [runner.target.run(program.wire) for runner in (one, other)]
        ours, theirs = (outcomes(answer, len(program)) for answer in answers)
        assert ours == theirs
        owners += sum(result["owner"] < 8 for result in ours)
    assert owners > PROGRAMS


@pytest.mark.parametrize("design", ["stock", *BOTH])
def test_kernel_and_model_agree_on_each_design(runners: Runners, design: str) -> None:
    runner = runners(design, "plain")
    for entry in SEEDS:
        assert runner.run(entry.program.wire) is None
    for wire in mutated(runner.target.kernel, PROGRAMS, seed=5):
        assert runner.run(wire) is None
    assert runner.audit() is None


def test_what_is_not_a_designs_own_is_left_alike_in_both(runners: Runners) -> None:
    seen = set()
    for program in programs(runners):
        ends = []
        for design in BOTH:
            target = runners(design, "plain").target
            decoded = decode(target.run(program.wire), program, target.kernel)
            assert not decoded.stopped
            fields = decoded.fields.values()
            ends.append({f.path: f.value for f in fields if f.subject in ALIKE})
            seen |= {f.subject for f in fields}
        assert ends[0] == ends[1]
    assert seen >= ALIKE
