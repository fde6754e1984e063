# SPDX-License-Identifier: GPL-2.0-only
"""Pages of processes in the model: where they go, whose they are, what is charged and counted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from model_support import STOCK, ZPDESC, ZSPAGE

from zsfuzz.program import Program
from zsfuzz.records import decode
from zsfuzz.text import parse_program
from zsmodel import Kernel, Model, swap
from zsmodel.profile import parse_profile
from zsmodel.wire import IN_MEMORY, IN_ZSWAP, NONE8, NOWHERE, ON_DEVICE

KERNELS = [STOCK, ZSPAGE, ZPDESC]
LENGTHS = ZSPAGE.zswap_lengths
ZEROS, WORD, NOISE = 0, 1, 15  # patterns that are special


class Answer:
    """The fields of an answer by path; op(n) and page(n) give the short ones."""

    def __init__(self, text: str, kernel: Kernel = ZSPAGE) -> None:
        self.program: Program = parse_program(text)
        decoded = decode(Model(kernel).run(self.program.wire), self.program, kernel)
        assert not decoded.stopped
        self.fields = {path: field.value for path, field in decoded.fields.items()}

    def __getitem__(self, path: str) -> Any:
        return self.fields[path]

    def last(self, name: str) -> Any:
        """A member of the last operation's result."""
        return self.fields[f"op {len(self.program)}: {name}"]


def swapped(*pages: tuple[int, int], home: int = 4) -> str:
    """Write pages, each with its pattern, and swap them out."""
    return "".join(
        f"page_write(v{page}, owner=c{home}, pattern={pattern})\npage_out(v{page})\n"
        for page, pattern in pages
    )


# ---- where a page goes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "where"), [(ZEROS, NOWHERE), (WORD, IN_ZSWAP), (9, IN_ZSWAP), (NOISE, IN_ZSWAP)]
)
def test_pages_go_to_zswap_but_for_those_of_zeros(pattern, where):
    answer = Answer(swapped((0, pattern)))
    assert answer["v0.where"] == where
    assert answer["v0.length"] == (LENGTHS[pattern] if where == IN_ZSWAP else 0)


@pytest.mark.parametrize(("pattern", "where"), [(WORD, NOWHERE), (9, ON_DEVICE)])
def test_written_back_a_page_is_on_the_disk_unless_it_is_one_word_again_and_again(pattern, where):
    answer = Answer(swapped((0, pattern)) + "writeback()")
    assert answer.last("value") == 1
    assert answer.last("inuse") == 0
    assert answer["v0.where"] == where
    assert answer["v0.owner"] == NONE8


def test_at_a_limit_of_nothing_pages_go_to_the_disk():
    answer = Answer("zswap_max(c1, pages=0)\n" + swapped((0, 9)))
    assert answer["v0.where"] == ON_DEVICE


def test_at_its_limit_a_cgroup_writes_its_oldest_page_back():
    # Each page has a second chance: the next one goes to the disk then.
    text = "zswap_max(c4, pages=1)\n" + swapped(*((n, NOISE) for n in range(4)))
    answer = Answer(text)
    places = [answer[f"v{n}.where"] for n in range(4)]
    assert places == [ON_DEVICE, ON_DEVICE, IN_ZSWAP, ON_DEVICE]


@pytest.mark.parametrize("last", ["page_in(v0)", "page_in(v0, own=1)", "page_write(v0, owner=c4)"])
def test_a_page_that_comes_back_leaves_nothing_in_swap(last):
    for middle in ("", "writeback()\n"):
        answer = Answer(swapped((0, 9)) + middle + last)
        assert answer["v0.where"] == IN_MEMORY
        assert answer["zswap.pages"] == answer["zram.pages"] == 0
        assert answer.last("group") == NONE8  # its zspage is gone


def test_a_dropped_page_and_those_of_a_process_that_ends_are_no_more():
    answer = Answer(swapped((0, 9), (1, 9), (2, 9)) + "page_drop(v0)\npage_exit(c4)")
    assert not any(path.startswith("v") for path in answer.fields)
    assert answer["zswap.pages"] == 0


def test_a_page_has_the_content_that_was_written_last():
    assert Answer(swapped((0, 9), (0, 3)) + "page_in(v0)").last("value") == 3


# ---- whose it is ---------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.design)
def test_the_cgroup_of_the_process_owns_the_page_and_is_charged(kernel):
    answer = Answer(swapped((0, 9), home=5) + "stat(c2)", kernel)
    assert answer["v0.owner"] == 5
    charge = LENGTHS[9] if kernel is STOCK else 1856  # the size of its class
    assert (answer.last("value"), answer.last("inuse")) == (charge, 1)


def test_the_root_owns_its_pages_and_is_not_charged():
    answer = Answer(swapped((0, 9), home=0))
    assert answer["v0.owner"] == 0
    assert answer["c0.events.zswpout"] == 1
    assert answer["end.zswap"] == 0


def test_pages_that_do_not_compress_are_counted():
    answer = Answer(swapped((0, NOISE), (1, 9)) + "stat_files(c3)")
    assert answer.last("index") == 1
    assert answer["c4.incompressible"] == 1
    assert Answer(swapped((0, NOISE)) + "page_in(v0)")["c4.incompressible"] == 0


def test_pages_of_a_removed_cgroup_are_charged_to_its_parent():
    answer = Answer(swapped((0, NOISE)) + "cgroup_remove(c4)\nstat_files(c3)")
    assert (answer.last("value"), answer.last("inuse"), answer.last("index")) == (4096, 1, 1)
    assert answer["v0.owner"] == 4
    assert Answer(swapped((0, 9)) + "cgroup_remove(c4)\npage_in(v0)\nstat(c3)").last("value") == 0


def test_a_page_of_a_removed_cgroup_that_comes_back_belongs_to_where_its_process_is():
    answer = Answer(swapped((0, 9)) + "cgroup_remove(c4)\npage_in(v0)\npage_out(v0)")
    assert answer["v0.owner"] == 0


def test_what_was_done_for_a_cgroup_is_counted_with_its_descendants():
    text = swapped((0, 9), (1, 9), (2, 9)) + "page_in(v0)\npage_drop(v1)\nwriteback()\npage_in(v2)"
    answer = Answer(text)
    for cgroup in (4, 3, 1, 0):
        events = [answer[f"c{cgroup}.events.{name}"] for name in ("zswpin", "zswpout", "zswpwb")]
        assert events == [1, 3, 1]
    assert answer["c5.events.zswpout"] == 0


@pytest.mark.parametrize(("noted", "seen"), [(False, [0, 2, 0]), (True, [1, 2, 1])])
def test_what_zswap_does_for_a_root_that_zsmalloc_ignores_counts_if_zswap_has_noted_it(noted, seen):
    ignoring = parse_profile("root-owner=ignore")
    kernel = replace(ZSPAGE, profile=ignoring, has_entry_owners=noted)
    answer = Answer(swapped((0, 5), (1, 5), home=0) + "page_in(v0)\nwriteback()\n", kernel)
    assert answer["op 2: owner"] == NONE8
    assert [answer[f"c0.events.{name}"] for name in ("zswpin", "zswpout", "zswpwb")] == seen


def test_a_removed_cgroup_s_events_stay_with_its_parent():
    answer = Answer(swapped((0, 9)) + "cgroup_remove(c4)\npage_in(v0)")
    assert [answer[f"c3.events.{name}"] for name in ("zswpin", "zswpout")] == [1, 1]


# ---- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "errno"),
    [
        ("page_write(v0, owner=c1)", -16),
        ("page_write(v0, owner=c7)", -3),
        ("page_out(v0)", -2),
        ("page_in(v0)", -2),
        ("page_drop(v0)", -2),
        (swapped((0, 9)) + "page_out(v0)", -114),
        ("page_exit(c4)", -3),
        ("stat_files(c7)", -3),
        ("stat_files(c0)", -1),
        ("page_write(v0, owner=c4)\nc7 = cgroup_create(parent=c4)", -16),
    ],
)
def test_what_cannot_be_done_is_refused(text, errno):
    assert Answer(text).last("ret") == errno


@pytest.mark.parametrize(
    "text",
    [
        *("page_write(v0, owner=c4)", "page_out(v0)", "page_in(v0)", "page_drop(v0)"),
        *("page_exit(c4)", "writeback()", "swap_compact()", "stat_files(c4)"),
    ],
)
def test_a_kernel_without_the_swap_path_refuses_all(text):
    answer = Answer(text, replace(ZSPAGE, has_swap=False))
    assert answer.last("ret") == -95


# ---- programs that do not swap -------------------------------------------------------------


def test_without_swap_an_answer_has_no_records_of_it():
    answer = Answer("o0 = malloc(p0, size=100, owner=c1)\nwriteback()\nswap_compact()")
    assert not any(path.startswith(("v", "zswap.", "zram.")) for path in answer.fields)
    assert not any("events" in path for path in answer.fields)


def test_after_a_program_that_swaps_the_next_one_finds_nothing():
    model = Model(ZSPAGE)
    plain = parse_program("o0 = malloc(p0, size=100, owner=c1)\nstat(c1)").wire
    before = model.run(plain)
    model.run(parse_program(swapped((0, 9), (1, NOISE)) + "cgroup_remove(c4)\nwriteback()").wire)
    assert model.run(plain) == before


# ---- faults in the rules -------------------------------------------------------------------


def number_from_the_last(faulty: swap.Swap, numbers: Iterator[int]) -> None:
    for page in reversed(faulty.pages):
        if page.stored and page.object.zspage.number == swap.UNNUMBERED:
            page.object.zspage.number = next(numbers)


# None of them breaks the model: the program is answered, and otherwise.
FAULTS: dict[str, Any] = {
    "reparent": lambda *_: None,
    "charged_again": lambda swap, page, _: page.folio,
    "count": lambda *_: None,
    "uncharge": lambda *_: None,
    "shrink": lambda *_: 2,
    "number_zspages": number_from_the_last,
}
EVERYTHING = (
    "zswap_max(c5, pages=1)\n"
    + swapped(*((n, NOISE) for n in range(6)), home=5)
    + swapped(*((n, 9) for n in range(8, 16)))
    + "cgroup_remove(c4)\npage_in(v8)\nwriteback()\npage_out(v8)\nstat_files(c3)\n"
)


@pytest.mark.skipif(not swap.__file__.endswith(".py"), reason="a compiled model cannot be patched")
@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_in_a_rule_changes_the_answer(rule, monkeypatch):
    program = parse_program(EVERYTHING).wire
    right = Model(ZSPAGE).run(program)
    monkeypatch.setattr(swap.Swap, rule, FAULTS[rule])
    assert Model(ZSPAGE).run(program) != right
