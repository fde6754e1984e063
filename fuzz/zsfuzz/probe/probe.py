# SPDX-License-Identifier: GPL-2.0-only
"""Find the profile whose model gives the same answers as the kernel, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import Any

from zsfuzz.errors import GuestKilled, KernelSplat, Unanswered
from zsfuzz.guest.target import Target
from zsfuzz.probe.programs import QUESTIONS, Question
from zsfuzz.program import Program
from zsmodel import Kernel, Model
from zsmodel.profile import OPTIONS, Profile, explain

ATTEMPTS = 4  # since slab's own needs now and then add to what an armed malloc allocates


@dataclass(frozen=True)
class Doubt:
    """A question that no profile answers; `findings` are programs that no profile answers either.

    Without such programs the answers contradict one another: each has a profile, but no two the
    same.
    """

    question: Question
    text: str
    programs: tuple[Program, ...] = ()


@dataclass
class Probed:
    """Hold what the kernel answered; options that it left open are at their defaults."""

    profile: Profile = field(default_factory=Profile)
    doubts: list[Doubt] = field(default_factory=list)
    not_asked: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """Say in a line each how the kernel differs from the defaults."""
        return [explain(*difference) for difference in self.profile.differences().items()]


def probe(target: Target) -> Probed:
    """Run the small programs on a guest, which is a fresh one afterwards."""
    found = Probed()
    for question in QUESTIONS:
        _ask(target, question, found)
    target.restart()
    return found


def _ask(target: Target, question: Question, found: Probed) -> None:
    kernel = replace(target.kernel, profile=found.profile)
    able = not question.needs or getattr(kernel, question.needs)
    if not able or not kernel.has_owners or not kernel.has_memcg:
        found.not_asked += question.options
        return
    models = [
        (values, Model(replace(kernel, profile=p))) for values, p in _choices(question, found)
    ]
    fits = [_fitting(target, program, models) for _, program in question.programs]
    explained = [fit for fit in fits if fit]
    common = [values for values, _ in models if all(values in fit for fit in explained)]
    if explained and common:  # of a bug in one way of asking, the others say nothing
        found.profile = replace(found.profile, **_attributes(question, common[0]))
    if not common or len(explained) < len(fits):
        found.doubts.append(_doubt(question, fits))


_model = lru_cache(maxsize=128)(Model)  # making one takes longer than what it is used for


def _choices(question: Question, found: Probed) -> Iterator[tuple[tuple[str, ...], Profile]]:
    """List what the options can be, defaults first."""
    for values in product(*(OPTIONS[option] for option in question.options)):
        yield values, replace(found.profile, **_attributes(question, values))


def _attributes(question: Question, values: tuple[str, ...]) -> dict[str, Any]:
    names = (option.replace("-", "_") for option in question.options)
    return dict(zip(names, values, strict=True))


def _fitting(
    target: Target, program: Program, models: list[tuple[tuple[str, ...], Model]]
) -> list[tuple[str, ...]]:
    """Find the values whose model answers as the kernel does; none if the guest did not live."""
    wire = program.canonical().wire
    fit: list[tuple[str, ...]] = []
    for _ in range(ATTEMPTS):
        try:
            target.post(wire)
            answer = target.collect()
        except GuestKilled:  # from outside: that says nothing of the kernel
            raise
        except (KernelSplat, Unanswered):
            target.restart()
            return []
        fit = [values for values, model in models if model.run(wire) == answer]
        if fit:
            break
    return fit


def _doubt(question: Question, fits: list[list[tuple[str, ...]]]) -> Doubt:
    named = list(zip(question.programs, fits, strict=True))
    unknown = tuple(program for (_, program), fit in named if not fit)
    options = ", ".join(question.options)
    if unknown:
        tried = ", ".join(name for (name, _), fit in named if not fit)
        return Doubt(question, f"does with {tried} what no value of {options} explains", unknown)
    told = "; ".join(f"{_spelt(question, fit[0])} with {name}" for (name, _), fit in named)
    return Doubt(question, f"contradicts itself in {options}: {told}")


def _spelt(question: Question, values: tuple[str, ...]) -> str:
    return ",".join(f"{o}={v}" for o, v in zip(question.options, values, strict=True))


def differences_from(kernel: Kernel, found: Probed) -> list[str]:
    """Say in a line each in what the kernel is not as the profile in use says."""
    return [
        explain(option, found.profile.value(option))
        for option in OPTIONS
        if found.profile.value(option) != kernel.profile.value(option)
        and option not in found.not_asked
        and all(option not in doubt.question.options for doubt in found.doubts)
    ]
