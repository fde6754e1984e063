# SPDX-License-Identifier: GPL-2.0-only
"""Kernel and model in lock-step: both run a program at the same time, then answers are compared."""

from __future__ import annotations

from collections.abc import Callable

from zsfuzz.guest.target import Target
from zsfuzz.program import Opcode
from zsmodel import Model
from zsmodel.wire import OP, RECORDS

_FAIL_NEXT = int(Opcode.FAIL_NEXT)
_RESULT = RECORDS["zsfuzz_result"].struct
_RET, _FAULTS = map(RECORDS["zsfuzz_result"].fields.index, ("ret", "faults"))


class Disagreement:
    """What kernel and model answered to a program, where these differ."""

    __slots__ = ("kernel", "model", "wire")

    def __init__(self, wire: bytes, kernel: bytes, model: bytes) -> None:
        self.wire = wire
        self.kernel = kernel
        self.model = model


class Lockstep:
    """Run programs on a target and on the model.

    `check` raises what Target.collect() raises; see there for what to do then.
    """

    def __init__(self, target: Target, model: Model) -> None:
        self.target = target
        self.model = model
        self.meanwhile: Callable[[], None] = _nothing  # called while the guest may still run

    def check(self, wire: bytes) -> Disagreement | None:
        """Run one well-formed program; None means that both agree byte for byte."""
        self.target.post(wire)
        expected = self.model.run(wire)
        self.meanwhile()
        answer = self.target.collect()
        return None if answer == expected else self._look_closer(wire, answer, expected)

    def judge(self, wire: bytes, answer: bytes) -> Disagreement | None:
        """Compare an answer that came with a complaint of the kernel."""
        return self._look_closer(wire, answer, self.model.run(wire))

    def judge_results(self, wire: bytes, results: bytes) -> Disagreement | None:
        """Compare the results of the first operations, which are all that a lost guest has left."""
        count = len(results) // _RESULT.size
        begin = wire[: count * OP.size]
        expected = self.model.run(begin, kernel_words(begin, results))[: count * _RESULT.size]
        return None if results == expected else Disagreement(begin, results, expected)

    def _look_closer(self, wire: bytes, answer: bytes, expected: bytes) -> Disagreement | None:
        """Take the kernel's word where the contract allows it, then compare again."""
        if answer == expected:
            return None
        words = kernel_words(wire, answer)
        if words:
            expected = self.model.run(wire, words)
            if answer == expected:
                return None
        return Disagreement(wire, answer, expected)


class KernelAlone(Lockstep):
    """Run programs on the target only: whatever it answers is taken to be right."""

    def check(self, wire: bytes) -> Disagreement | None:
        """Run one well-formed program; only what Target.collect() raises is trouble."""
        self.target.post(wire)
        self.meanwhile()
        self.target.collect()
        return None

    def judge(self, wire: bytes, answer: bytes) -> None:
        """Say nothing of what came with a complaint."""

    def judge_results(self, wire: bytes, results: bytes) -> None:
        """Say nothing of what a lost guest has left."""


def _nothing() -> None:
    pass


def kernel_words(wire: bytes, answer: bytes) -> dict[int, tuple[int, int]]:
    """Pick out what the kernel answered to operations that ran with an armed fault.

    Keys are indexes of operations; values are (ret, faults) of their results.
    """
    opcodes = wire[:: OP.size]
    words = {}
    at = opcodes.find(_FAIL_NEXT)
    while 0 <= at < len(opcodes) - 1:
        offset = (at + 1) * _RESULT.size
        if offset + _RESULT.size > len(answer):
            break
        result = _RESULT.unpack_from(answer, offset)
        words[at + 1] = (result[_RET], result[_FAULTS])
        at = opcodes.find(_FAIL_NEXT, at + 1)
    return words
