# SPDX-License-Identifier: GPL-2.0-only
"""The zspage that a divergence is about, as model and kernel have it, slot by slot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zsfuzz.findings.titles import Difference
from zsfuzz.lockstep import kernel_words
from zsfuzz.oracle import Divergence, Sides
from zsfuzz.program import OP_SIZE, Program
from zsfuzz.records import Field, decode
from zsfuzz.values import show
from zsmodel import Model
from zsmodel.classes import ClassShape, distinct_classes
from zsmodel.wire import NONE16

_ZSPAGE = re.compile(r"p\d+\.class\[(\d+) size=\d+\]\.z(\d+)")
_PAGE = re.compile(r"\.page\[(\d+)\]\.")


@dataclass(frozen=True)
class Mark:
    """What one side has in a slot; `owner` is "" where the design has no entry."""

    use: str  # "o3", "free"
    owner: str  # "c1", "-" for an entry that is empty


@dataclass(frozen=True)
class Cell:
    """One slot, or the part of it that lies in one page; `start` and `end` are bytes in the page.

    A side that does not have the zspage has no mark.
    """

    index: int
    start: int
    end: int
    model: Mark | None
    kernel: Mark | None
    continued: bool = False  # its first part lies in the page before
    continues: bool = False  # its last part lies in the next page

    @property
    def differs(self) -> bool:
        """Tell whether the sides differ here."""
        return self.model != self.kernel


@dataclass(frozen=True)
class Page:
    """One page: its cells in order, and its memcg_data on both sides, or None."""

    number: int
    cells: tuple[Cell, ...]
    model: str | None
    kernel: str | None

    @property
    def differs(self) -> bool:
        """Tell whether memcg_data or a cell differs."""
        return self.model != self.kernel or any(cell.differs for cell in self.cells)


@dataclass(frozen=True)
class ZspageView:
    """A zspage after step `after`; sizes in bytes.

    `kernel_known` is False where only the answer to that step is known of the kernel: its other
    slots are then shown as the model has them.
    """

    name: str  # "p0.class[28 size=480].z0"
    shape: ClassShape
    after: int
    pages: tuple[Page, ...]
    kernel_known: bool
    missing: str = ""  # the side that does not have this zspage: "model", "kernel" or ""

    @property
    def differs(self) -> bool:
        """Tell whether any difference can be seen in it."""
        return any(page.differs for page in self.pages)


Fields = Mapping[str, Field]


def zspage_of(program: Program, divergence: Divergence) -> ZspageView | None:
    """Find the zspage that the first difference is in, or the next one that is in any."""
    sides = divergence.sides
    if sides is None:
        return None
    state = _State(program, divergence, sides)
    seen: set[str] = set()
    for diff in filter(None, (divergence.first, *divergence.others)):
        name = state.zspage_in(diff)
        if name and name not in seen:
            seen.add(name)
            view = state.view(name)
            if view.differs or diff is divergence.first:
                return view
    return None


class _State:
    """Both sides' snapshots after the step that differs, or after all of the program."""

    def __init__(self, program: Program, divergence: Divergence, sides: Sides) -> None:
        self.sides = sides
        self.after = divergence.step or len(program)
        self.whole = self.after == len(program)
        self.answers = decode(sides.model, program, sides.facts).fields
        self.theirs = decode(sides.kernel, program, sides.facts).fields
        self.model: Fields = self.answers
        self.kernel: Fields = self.theirs
        if not self.whole:
            wire = program.wire[: self.after * OP_SIZE]
            expected = Model(sides.facts).run(wire, kernel_words(wire, sides.kernel))
            cut = Program.from_wire(wire)
            self.model = self.kernel = decode(expected, cut, sides.facts).fields

    def zspage_in(self, diff: Difference) -> str:
        """Name the zspage that a difference is in, or ""."""
        found = _ZSPAGE.match(diff.path)
        if found:
            return found[0]
        if diff.op is not None and diff.op != self.after:
            return ""
        prefix = f"op {diff.op}: " if diff.op is not None else f"{diff.path.partition('.')[0]}."
        for fields in (self.answers, self.theirs):
            number = fields.get(f"{prefix}zspage")
            name = self.named(number.value) if number else ""
            if name:
                return name
        return ""

    def named(self, number: object) -> str:
        if number == NONE16:
            return ""
        for fields in (self.model, self.kernel):
            for field in fields.values():
                found = _ZSPAGE.fullmatch(field.path)
                if found and int(found[2]) == number:
                    return found[0]
        return ""

    def view(self, name: str) -> ZspageView:
        found = _ZSPAGE.fullmatch(name)
        index = int(found[1]) if found else 0
        shape = next(s for s in distinct_classes(self.sides.facts) if s.index == index)
        ours, theirs = _Side(self.model, name, shape), _Side(self.kernel, name, shape)
        if not self.whole:
            theirs.learn(self.theirs, self.after)
        pages = tuple(_page(number, shape, ours, theirs) for number in range(shape.pages))
        missing = "" if ours.there and theirs.there else "kernel" if ours.there else "model"
        return ZspageView(name, shape, self.after, pages, self.whole, missing)


class _Side:
    """What one side's snapshot has of a zspage."""

    def __init__(self, fields: Fields, name: str, shape: ClassShape) -> None:
        self.there = name in fields
        self.number = int(name.rpartition(".z")[2])
        self.shape = shape
        self.objects = dict(_objects(fields, self.number))
        self.owners: dict[tuple[int, int], str] = {}
        self.states: dict[int, str] = {}
        for field in fields.values():
            if field.record == name:
                self._take(field)

    def _take(self, field: Field) -> None:
        page = _PAGE.search(field.path)
        if field.name == "page_states" and page:
            self.states[int(page[1])] = show(field.value, field.kind)
        elif field.name in ("owners", "tail_owners"):
            first = field.index * self.shape.size // self.shape.page_size
            where = int(page[1]) if page else first
            self.owners[where, field.index] = _owner(field)

    def learn(self, answers: Fields, step: int) -> None:
        """Take over what the answer to a step tells: the owner entries of one slot."""
        prefix = f"op {step}: "
        index, zspage = answers.get(f"{prefix}index"), answers.get(f"{prefix}zspage")
        if not index or not zspage or zspage.value != self.number:
            return
        slot = index.value if isinstance(index.value, int) else 0
        first = slot * self.shape.size // self.shape.page_size
        for page, name in ((first, "owner"), (first + 1, "tail")):
            field = answers.get(f"{prefix}{name}")
            if field and (page, slot) in self.owners:
                self.owners[page, slot] = _owner(field)

    def mark(self, page: int, index: int) -> Mark | None:
        if not self.there:
            return None
        number = self.objects.get(index)
        use = "free" if number is None else f"o{number}"
        return Mark(use, self.owners.get((page, index), ""))


def _objects(fields: Fields, zspage: int) -> Iterator[tuple[int, int]]:
    for path, field in fields.items():
        if field.subject == "object" and field.name == "zspage" and field.value == zspage:
            index = fields[path.removesuffix("zspage") + "index"].value
            if isinstance(index, int):
                yield index, int(path[1:].partition(".")[0])


def _owner(field: Field) -> str:
    shown = show(field.value, "cgroup")
    return {"none": "-"}.get(shown, shown if shown.startswith("c") else "other")


def _page(number: int, shape: ClassShape, ours: _Side, theirs: _Side) -> Page:
    begin, end = number * shape.page_size, (number + 1) * shape.page_size
    cells = []
    for index in range(shape.objs):
        first, last = index * shape.size, (index + 1) * shape.size
        if first >= end or last <= begin:
            continue
        cells.append(
            Cell(
                index,
                max(first, begin) - begin,
                min(last, end) - begin,
                ours.mark(number, index),
                theirs.mark(number, index),
                continued=first < begin,
                continues=last > end,
            )
        )
    return Page(number, tuple(cells), ours.states.get(number), theirs.states.get(number))
