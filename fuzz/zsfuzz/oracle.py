# SPDX-License-Identifier: GPL-2.0-only
"""Compare what kernel and model answered, and say where and how they differ."""

from collections.abc import Iterator
from dataclasses import dataclass

from zsfuzz.findings.titles import Difference, title_of
from zsfuzz.program import Program
from zsfuzz.records import Decoded, Field, decode
from zsfuzz.values import show
from zsmodel.kernel import Kernel

MAX_OTHERS = 20  # differences kept besides the first

GARBLED_TITLE = "answer of the kernel cannot be decoded"
PADDING_TITLE = "padding between records differs"


@dataclass(frozen=True)
class Sides:
    """Keep the bytes of both answers, for who wants to see more than where they differ."""

    facts: Kernel
    kernel: bytes
    model: bytes


@dataclass(frozen=True)
class Divergence:
    """Describe how two answers to a program differ; `first` is None if only `stopped` tells."""

    title: str
    first: Difference | None
    others: tuple[Difference, ...] = ()
    more: int = 0  # differences beyond `others`
    stopped: str = ""  # why decoding the kernel's bytes ended early, or ""
    answers: tuple[str, str] | None = None  # `ret` of the step: model's, kernel's
    sides: Sides | None = None

    @property
    def step(self) -> int | None:
        """Give the operation, from 1, whose result differs; None: only the snapshot does."""
        return self.first.op if self.first else None


def compare(
    program: Program, kernel_bytes: bytes, model_bytes: bytes, facts: Kernel
) -> Divergence | None:
    """Compare the bytes after zsfuzz_result_header; None if they are equal.

    The first difference is that of the earliest operation, else the first in the snapshot.
    """
    if kernel_bytes == model_bytes:
        return None
    kernel = decode(kernel_bytes, program, facts)
    model = decode(model_bytes, program, facts)
    found = list(_differences(kernel, model))
    if not found:
        title = GARBLED_TITLE if kernel.stopped else PADDING_TITLE
        stopped = kernel.stopped or _first_byte(kernel_bytes, model_bytes)
        return Divergence(title, None, stopped=stopped)
    first, others = found[0], found[1:]
    return Divergence(
        title_of(first),
        first,
        tuple(others[:MAX_OTHERS]),
        max(0, len(others) - MAX_OTHERS),
        kernel.stopped,
        _answers(first, kernel, model),
        Sides(facts, kernel_bytes, model_bytes),
    )


def _first_byte(kernel: bytes, model: bytes) -> str:
    shorter = min(len(kernel), len(model))
    at = next((i for i in range(shorter) if kernel[i] != model[i]), shorter)
    return f"byte {at} differs, in no field ({len(model)} bytes from the model, {len(kernel)} here)"


def _answers(first: Difference, kernel: Decoded, model: Decoded) -> tuple[str, str] | None:
    path = f"op {first.op}: ret"
    if path not in model.fields or path not in kernel.fields:
        return None
    sides = (model.fields[path], kernel.fields[path])
    return show(sides[0].value, "errno"), show(sides[1].value, "errno")


def _differences(kernel: Decoded, model: Decoded) -> Iterator[Difference]:
    failed = 0  # the operation whose errno differs: the rest of its result says nothing
    for path in _merged(list(model.fields), list(kernel.fields)):
        ours, theirs = model.fields.get(path), kernel.fields.get(path)
        field = ours or theirs
        if field is None or field.op == failed:
            continue
        if ours and theirs and ours.value == theirs.value:
            continue
        if (ours is None or theirs is None) and not _tells(field, theirs, kernel):
            continue
        if field.name == "ret" and field.op:
            failed = field.op
        yield _difference(path, field, ours, theirs, model)


def _tells(field: Field, theirs: Field | None, kernel: Decoded) -> bool:
    # Of a record that one side lacks, one difference is enough; and what the kernel did not get to
    # say is not a difference.
    return field.name == "exists" and not (theirs is None and kernel.stopped)


def _difference(
    path: str, field: Field, ours: Field | None, theirs: Field | None, model: Decoded
) -> Difference:
    free = model.fields.get(f"{field.record}.free")
    slot_free = (
        field.name in ("owners", "tail_owners")
        and free is not None
        and isinstance(free.value, tuple)
        and field.index in free.value
    )
    return Difference(
        path,
        field.subject,
        field.name,
        field.kind,
        ours.value if ours else None,
        theirs.value if theirs else None,
        field.op,
        slot_free,
    )


def _merged(ours: list[str], theirs: list[str]) -> list[str]:
    # The model's order, with what only the kernel has after what it follows there.
    place = {path: float(at) for at, path in enumerate(ours)}
    extra, last = [], -1.0
    for path in theirs:
        if path in place:
            last = place[path]
        else:
            extra.append((last + 0.5, path))
    keyed = [(at, path) for path, at in place.items()] + extra
    return [path for _, path in sorted(keyed, key=lambda pair: pair[0])]
