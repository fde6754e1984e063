# SPDX-License-Identifier: GPL-2.0-only
"""Minimising finds the known smallest program, whatever surrounds it, and may be stopped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_target import KERNEL, has_in_order
from model_support import random_program

from zsfuzz.errors import BadProgram
from zsfuzz.minimise import minimiser
from zsfuzz.minimise.drop import drop_pairs, keep_related, without_users
from zsfuzz.minimise.minimiser import Cost, Minimised, Task, minimise
from zsfuzz.minimise.rank import Rank, simple_sizes
from zsfuzz.minimise.search import Search, Stopped
from zsfuzz.program import Op, Opcode, Program
from zsfuzz.text import format_program, parse_program
from zsmodel.wire import NO_OWNER

LENGTH = 200


def hidden(trigger: str, seed: int) -> Program:
    """The trigger in the middle of a long random program, with as many page locks as flushes."""
    noise = Program.from_wire(random_program(seed, LENGTH)).ops
    ops = [*noise[: LENGTH // 2], *parse_program(trigger), *noise[LENGTH // 2 :]]
    words = [op.op for op in ops]
    more = words.count(Opcode.LOCK_PAGE) - words.count(Opcode.FLUSH)
    return Program.of([*ops, *[Op(Opcode.FLUSH if more > 0 else Opcode.LOCK_PAGE)] * abs(more)])


def uses_freed_slot(program: Program) -> bool:
    """An object with an owner is freed, and its pool is compacted later."""
    freed: set[int] = set()
    live: dict[int, Op] = {}
    for op in program:
        if op.op is Opcode.MALLOC and op.object not in live:
            live[op.object] = op
        elif op.op is Opcode.FREE and op.object in live:
            made = live.pop(op.object)
            freed |= {made.pool} if made.owner != NO_OWNER else set()
        elif op.op is Opcode.COMPACT and op.pool in freed:
            return True
    return False


def two_of_one_size(program: Program) -> bool:
    """Two objects of a size above 3,000 live at the same time."""
    live: dict[int, int] = {}
    for op in program:
        if op.op is Opcode.MALLOC:
            live.setdefault(op.object, op.size)
        elif op.op is Opcode.FREE:
            live.pop(op.object, None)
        large = [size for size in live.values() if 3000 < size <= 4096]
        if len(set(large)) < len(large):
            return True
    return False


def charge_of_a_removed_cgroup(program: Program) -> bool:
    """A cgroup other than c1 is removed, and c1 asked, with an object of the former in between."""
    removed, charged = -1, -1
    for op in program:
        if op.op is Opcode.CGROUP_REMOVE and op.owner > 1:
            removed = op.owner
        elif op.op is Opcode.WRITE and op.owner == removed and op.arg >= 3:
            charged = op.owner
        elif op.op is Opcode.STAT and op.owner == 1 and charged == removed > 0:
            return True
    return False


def locks_are_let_go(program: Program) -> bool:
    """A migration, and as many page locks as flushes."""
    words = [op.op for op in program]
    return Opcode.MIGRATE in words and words.count(Opcode.LOCK_PAGE) == words.count(Opcode.FLUSH)


KNOWN: list[tuple[Callable[[Program], bool], str, str]] = [
    (
        uses_freed_slot,
        "o200 = malloc(p2, size=99, owner=c6, pattern=3)\nfree(o200)\ncompact(p2)",
        "o0 = malloc(p0, size=0, owner=c1)\nfree(o0)\ncompact(p0)",
    ),
    (
        two_of_one_size,
        "o201 = malloc(p1, size=3333, owner=c6)\no202 = malloc(p0, size=3333)",
        "o0 = malloc(p0, size=3064)\no1 = malloc(p0, size=3064)",
    ),
    (
        charge_of_a_removed_cgroup,
        "cgroup_remove(c6)\nwrite(o9, length=77, owner=c6, pattern=14)\nstat(c1)",
        "cgroup_remove(c2)\nwrite(o0, owner=c2, pattern=3)\nstat(c1)",
    ),
    (locks_are_let_go, "migrate(o3, page=2)", "migrate(o0, page=0)"),
]


def shows(predicate: Callable[[Program], bool]) -> Callable[[bytes], bool]:
    """What Task wants; a program that is not well-formed raises BadProgram."""
    return lambda wire: predicate(Program.from_wire(wire))


def minimised(
    program: Program, predicate: Callable[[Program], bool], cost: Cost = Cost.CHEAP
) -> Minimised:
    return minimise(Task(program, shows(predicate), KERNEL, cost))


def text_of(done: Minimised) -> str:
    return format_program(done.program).rstrip("\n")


# ---- what comes out ----------------------------------------------------------------------------


@pytest.mark.parametrize("cost", Cost)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("predicate", "trigger", "expected"), KNOWN)
def test_a_known_trigger_is_all_that_is_left(
    predicate: Callable[[Program], bool], trigger: str, expected: str, seed: int, cost: Cost
) -> None:
    program = hidden(trigger, seed)
    assert predicate(program)
    done = minimised(program, predicate, cost)
    assert text_of(done) == expected
    assert done.operations == len(program)
    assert done.finished


def pair_or_nothing(program: Program) -> bool:
    """Locks and flushes in turns, which end with a flush, and no other flush before the stat."""
    words = [op.op.word for op in program if op.op.word in ("lock_page", "flush")]
    return has_in_order(program, "stat") and words == ["lock_page", "flush"] * (len(words) // 2)


def test_two_operations_that_need_each_other_go_together() -> None:
    program = parse_program("lock_page(o0, page=0)\nstat(c1)\nflush(p0)")
    search = Search(program.ops, shows(pair_or_nothing), Rank(KERNEL), lambda: False)
    drop_pairs(search)
    assert search.best == program.ops[1:2]


def nothing_is_left(program: Program) -> bool:
    """As many objects are freed as made."""
    words = [op.op.word for op in program]
    return "stat" in words and words.count("malloc") == words.count("free")


def test_objects_that_must_be_freed_go_with_their_free() -> None:
    made = [f"o{n} = malloc(p0, size=64)" for n in range(5)]
    freed = [f"free(o{n})" for n in range(5)]
    program = parse_program("\n".join([*made, "stat(c1)", *freed]))
    assert text_of(minimised(program, nothing_is_left, Cost.DEAR)) == "stat(c1)"


def needs_three_or_a_class(program: Program) -> bool:
    """Six mallocs and a compaction, or two and a compaction with a free between."""
    words = [op.op.word for op in program]
    if words == ["malloc", "free", "malloc", "compact"]:
        return True
    return words.count("malloc") >= 6 and has_in_order(program, "malloc", "compact", "free")


def test_short_programs_that_dropping_does_not_lead_to_are_found() -> None:
    lines = [f"o{n} = malloc(p0, size=64)" for n in range(6)]
    program = parse_program("\n".join([*lines, "compact(p0)", "free(o3)"]))
    assert text_of(minimised(program, needs_three_or_a_class)).splitlines() == [
        "o0 = malloc(p0, size=0)", "free(o0)", "o1 = malloc(p0, size=0)", "compact(p0)",
    ]  # fmt: skip


def end_in_a_read(program: Program) -> bool:
    """Of two objects the second one is read."""
    words = [op.op.word for op in program]
    return words == ["malloc", "malloc", "read"] and program.ops[2].object == program.ops[1].object


@pytest.mark.parametrize("names", [(9, 4), (3, 3), (0, 0), (0, 1)])
def test_objects_have_names_of_their_own_in_order(names: tuple[int, int]) -> None:
    lines = [f"o{name} = malloc(p0, size=8)" for name in names]
    program = parse_program("\n".join([*lines, f"read(o{names[1]})"]))
    assert [op.object for op in minimised(program, end_in_a_read).program] == [0, 1, 1]


def swaps(program: Program) -> bool:
    """An object is read, and a page that was written is swapped out."""
    written = [op.object for op in program if op.op is Opcode.PAGE_WRITE]
    out = [op.object for op in program if op.op is Opcode.PAGE_OUT]
    return has_in_order(program, "malloc", "read") and bool(set(written) & set(out))


def test_pages_and_objects_are_numbered_apart() -> None:
    program = parse_program("""
    page_write(v9, owner=c4, pattern=3)
    o7 = malloc(p0, size=64)
    page_out(v9)
    read(o7)
    """)
    assert set(text_of(minimised(program, swaps)).splitlines()) == {
        "page_write(v0, owner=c1)",
        "o0 = malloc(p0, size=0)",
        "page_out(v0)",
        "read(o0)",
    }


def test_what_is_not_simpler_is_never_taken() -> None:
    rank = Rank(KERNEL)
    seen: list[tuple[object, ...]] = []

    def anything(wire: bytes) -> bool:
        seen.append(rank(Program.from_wire(wire).ops))
        return True

    start = Program.from_wire(random_program(1, 50)).canonical()
    minimise(Task(start, anything, KERNEL, Cost.CHEAP))
    assert seen == sorted(seen, reverse=True)
    assert seen[0] < rank(start.ops)


def test_the_simplest_sizes_need_few_operations() -> None:
    assert simple_sizes(KERNEL)[0] == 2040  # two objects in one page
    assert simple_sizes(KERNEL)[-1] == 4096  # huge


# ---- how it is found ---------------------------------------------------------------------------


def asked(program: Program, predicate: Callable[[Program], bool]) -> tuple[Minimised, list[bytes]]:
    """Minimise, and note each question."""
    wires: list[bytes] = []

    def note(wire: bytes) -> bool:
        wires.append(wire)
        return predicate(Program.from_wire(wire))

    return minimise(Task(program, note, KERNEL, Cost.CHEAP)), wires


def test_nothing_is_asked_twice() -> None:
    program = hidden(KNOWN[0][1], 1)
    done, wires = asked(program, uses_freed_slot)
    assert len(set(wires)) == len(wires) == done.runs
    assert program.canonical().wire not in wires


def test_the_same_question_has_the_same_answer() -> None:
    program = hidden(KNOWN[0][1], 1)
    assert asked(program, uses_freed_slot) == asked(program, uses_freed_slot)


def test_a_program_that_the_module_would_refuse_is_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(search: Search) -> None:
        search.attempt([search.best[0]._replace(pool=9)])

    monkeypatch.setitem(minimiser.PASSES, Cost.CHEAP, (broken,))
    with pytest.raises(BadProgram):
        asked(hidden(KNOWN[0][1], 1), uses_freed_slot)


def test_a_known_step_is_where_the_program_is_cut_first() -> None:
    program = hidden(KNOWN[0][1], 1)
    step = next(n for n in range(len(program)) if uses_freed_slot(Program(program.ops[:n])))
    wires: list[bytes] = []
    task = Task(program, lambda wire: bool(wires.append(wire)), KERNEL, Cost.DEAR, step)
    minimise(task, After(1))
    assert wires[0] == Program(program.ops[:step]).canonical().wire


# ---- stopping ----------------------------------------------------------------------------------


class After:
    """Asks to stop after so many looks."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("runs", [0, 1, 10, 40])
def test_a_search_that_is_stopped_has_its_best_so_far(runs: int) -> None:
    program = hidden(KNOWN[0][1], 1)
    done = minimise(Task(program, shows(uses_freed_slot), KERNEL, Cost.CHEAP), After(runs))
    assert not done.finished
    assert done.runs == runs
    assert uses_freed_slot(done.program)
    assert (len(done.program) < len(program)) == (runs > 1)


def test_a_search_that_is_stopped_sooner_has_a_longer_program() -> None:
    program = hidden(KNOWN[0][1], 1)
    task = Task(program, shows(uses_freed_slot), KERNEL, Cost.CHEAP)
    lengths = [len(minimise(task, After(runs)).program) for runs in range(0, 60, 5)]
    assert lengths == sorted(lengths, reverse=True)


def test_a_search_raises_before_it_asks_when_it_is_to_stop() -> None:
    search = Search((Op(Opcode.COMPACT),) * 2, lambda _: True, Rank(KERNEL), lambda: True)
    with pytest.raises(Stopped):
        search.attempt(search.best[:1])
    assert len(search.best) == 2


# ---- users -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "o0 = malloc(p0, size=8)\nread(o0)\nread(o1)\no0 = malloc(p0, size=9)\nread(o0)",
            "read(o1)\no0 = malloc(p0, size=9)\nread(o0)",
        ),
        ("p2 = pool_create(aware=1)\no0 = malloc(p2, size=8)\ncompact(p0)", "compact(p0)"),
        ("page_write(v1, owner=c4, pattern=0)\nread(o1)\npage_out(v1)", "read(o1)"),
        ("c7 = cgroup_create(parent=c1)\nstat(c7)\nread(o7)\nstat(c1)", "read(o7)\nstat(c1)"),
    ],
)
def test_what_is_made_goes_with_its_uses(text: str, left: str) -> None:
    assert without_users(parse_program(text).ops, 0) == parse_program(left).ops


# ---- what the last operation names ---------------------------------------------------------------

BEGINNING = "c5 = cgroup_create(parent=c1)\np2 = pool_create(aware=1)\n"
LONG = (
    BEGINNING
    + """
o1 = malloc(p0, size=8, owner=c2)
o2 = malloc(p2, size=8, owner=c5)
read(o1)
write(o2, owner=c4, pattern=3)
compact(p0)
read(o2)
"""
)


@pytest.mark.parametrize(
    ("needs", "left"),
    [
        ("malloc", BEGINNING + "o2 = malloc(p2, size=8, owner=c5)\nread(o2)"),
        (
            "write",
            BEGINNING + "o2 = malloc(p2, size=8, owner=c5)\n"
            "write(o2, owner=c4, pattern=3)\nread(o2)",
        ),
        ("compact", LONG),
    ],
)
def test_what_the_last_operation_names_is_kept_in_at_most_two_runs(needs: str, left: str) -> None:
    start = parse_program(LONG).canonical()
    search = Search(
        start.ops,
        shows(lambda program: any(op.op.word == needs for op in program)),
        Rank(KERNEL),
        lambda: False,
    )
    keep_related(search)
    assert search.best == parse_program(left).canonical().ops
    assert search.runs <= 2


def test_of_an_empty_program_nothing_is_kept() -> None:
    search = Search((), lambda _: True, Rank(KERNEL), lambda: False)
    keep_related(search)
    assert search.best == ()
