# SPDX-License-Identifier: GPL-2.0-only
"""Set the designs' results side by side with those of stock, and find what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from zsfuzz.console.complaints import Splat
from zsfuzz.selftests.guest import Attempt
from zsfuzz.selftests.output import Case, Verdict
from zsfuzz.selftests.programs import Program

CONTROL = "stock"  # what the designs are compared with


@dataclass(frozen=True)
class Results:
    """All runs: the attempts of each design and program, the first one first."""

    designs: tuple[str, ...]
    programs: tuple[Program, ...]
    attempts: Mapping[tuple[str, Program], Sequence[Attempt]]

    def case(self, design: str, program: Program, name: str, attempt: int = 0) -> Case:
        """Look a case up; one that the program did not tell of was not run."""
        cases = self.attempts[design, program][attempt].cases
        return next((c for c in cases if c.name == name), Case(name, Verdict.NOT_RUN))

    def names(self, program: Program) -> list[str]:
        """Name the cases that any design told of, in the order in which they came."""
        tried = chain.from_iterable(self.attempts[d, program][:1] for d in self.designs)
        return list(dict.fromkeys(case.name for one in tried for case in one.cases))


@dataclass(frozen=True)
class Difference:
    """A case that ended otherwise on a design than on stock, `times` out of `tries`."""

    design: str
    program: Program
    control: Case
    found: Case
    times: int
    tries: int

    @property
    def title(self) -> str:
        """Say it in one line."""
        flaky = ", flaky" if self.times < self.tries else ""
        why = f": {self.found.detail}" if self.found.detail else ""
        return (
            f"{self.program} {self.found.name}: {self.found.verdict.value} on {self.design}, "
            f"{self.control.verdict.value} on {CONTROL} ({self.times}/{self.tries}{flaky}){why}"
        )


@dataclass(frozen=True)
class Complaint:
    """A splat that a kernel wrote to its console while it ran a program."""

    design: str
    program: Program
    splat: Splat

    @property
    def title(self) -> str:
        """Say it in one line."""
        return f"{self.program}: {self.splat.title} on {self.design}"


def find_differences(results: Results) -> list[Difference]:
    """List the cases whose first attempt differs from that on stock."""
    return [
        found
        for program in results.programs
        for name in results.names(program)
        for design in results.designs
        if design != CONTROL and (found := _difference(results, design, program, name)) is not None
    ]


def _difference(results: Results, design: str, program: Program, name: str) -> Difference | None:
    tries = min(len(results.attempts[d, program]) for d in (design, CONTROL))
    pairs = [
        (results.case(CONTROL, program, name, i), results.case(design, program, name, i))
        for i in range(tries)
    ]
    differ = [control.verdict is not found.verdict for control, found in pairs]
    if not differ[0]:
        return None
    return Difference(design, program, *pairs[0], times=sum(differ), tries=tries)


def find_complaints(results: Results) -> list[Complaint]:
    """List what the kernels complained of, each title once for a design and program."""
    found: dict[tuple[str, Program, str], Complaint] = {}
    for (design, program), attempts in results.attempts.items():
        for splat in chain.from_iterable(one.splats for one in attempts):
            found.setdefault((design, program, splat.title), Complaint(design, program, splat))
    return list(found.values())
