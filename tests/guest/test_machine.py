# SPDX-License-Identifier: GPL-2.0-only
"""A booted guest describes itself, answers as the model does, and refuses what is malformed."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Callable

import pytest
from guest_support import SEEDS, Runners, built

from zsfuzz.coverage import CoverageMap
from zsfuzz.errors import GuestRefused
from zsfuzz.guest.machine import Machine
from zsfuzz.mutation.rawbytes import DEAR_OPS, POOL_OPS
from zsfuzz.program import Opcode
from zsfuzz.runner import Runner
from zsfuzz.smoke import mutated
from zsfuzz.text import parse_program
from zsmodel import Kernel as Facts
from zsmodel import Model

KERNELS = [("zspage", "plain"), ("zspage", "kasan"), ("stock", "plain")]
FILL = parse_program("\n".join(f"o{n} = malloc(p0, size=2720, owner=c1)" for n in range(40))).wire
CGROUPS_COME_AND_GO = parse_program("""\
o0 = malloc(p0, size=100, owner=c4)
cgroup_remove(c4)
c7 = cgroup_create(parent=c2)
o1 = malloc(p0, size=100, owner=c7)
free(o0)
""").wire

Boot = Callable[..., Machine]


def config_of(design: str, flavour: str) -> dict[str, str]:
    lines = (built(design, flavour).build / ".config").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_"))


# ---- what it is ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "flavour"), [*KERNELS, ("zspage", "lockdep"), ("zpdesc", "lockdep")]
)
def test_the_guest_describes_itself_as_it_was_configured(
    runners: Runners, design: str, flavour: str
) -> None:
    config = config_of(design, flavour)
    assert runners(design, flavour).target.kernel == Facts(
        design=design,
        page_size=4096,
        chain_size=int(config["CONFIG_ZSMALLOC_CHAIN_SIZE"]),
        min_alloc_size=32,
        has_memcg=config.get("CONFIG_MEMCG") == "y",
        has_migration=config.get("CONFIG_COMPACTION") == "y",
        has_faults=config.get("CONFIG_FAILSLAB") == "y",
        has_entry_owners=design == "stock",  # elsewhere zsmalloc has them
    )


# ---- kernel and model ----------------------------------------------------------------------


@pytest.mark.parametrize(("design", "flavour"), KERNELS)
@pytest.mark.parametrize("entry", SEEDS, ids=lambda entry: entry.path.stem)
def test_each_seed_agrees(runners: Runners, design: str, flavour: str, entry) -> None:
    assert runners(design, flavour).run_and_audit(entry.program.wire) is None


@pytest.mark.parametrize(
    ("design", "flavour", "count"),
    [("zspage", "plain", 3000), ("zspage", "kasan", 300), ("stock", "plain", 500)],
)
def test_mutated_programs_agree(runners: Runners, design: str, flavour: str, count: int) -> None:
    runner = runners(design, flavour)
    seen: set[int] = set()
    for wire in mutated(runner.target.kernel, count):
        trouble = runner.run(wire)
        assert trouble is None, (trouble.title, trouble.divergence, wire.hex())
        seen.update(wire[::8])
    seldom = {*DEAR_OPS, *POOL_OPS} if count < 1000 else set()
    assert set(Opcode) - seen <= seldom
    assert runner.audit() is None


def test_a_batch_answers_as_single_runs_do(runners: Runners) -> None:
    guest = runners("zspage", "plain").target
    programs = list(mutated(guest.kernel, 60, seed=2))
    assert guest.run_many(programs) == [guest.run(wire) for wire in programs]


def test_a_batch_answers_as_the_model_does_when_cgroups_come_and_go(runners: Runners) -> None:
    guest = runners("zspage", "plain").target
    programs = [CGROUPS_COME_AND_GO, FILL, CGROUPS_COME_AND_GO]
    model = Model(guest.kernel)
    assert guest.run_many(programs) == [model.run(wire) for wire in programs]


# ---- feedback ------------------------------------------------------------------------------


def test_coverage_grows_where_the_program_went(machine: Boot) -> None:
    guest, facts = machine(), CoverageMap(built("zspage", "plain").layout)
    guest.run(b"")
    before = facts.functions(guest.hits())
    guest.run(FILL)
    after = facts.functions(guest.hits())
    assert {"zs_malloc", "zs_obj_write"} <= after - before
    assert "zs_page_migrate" not in after


def test_hits_are_counted_over_restarts(machine: Boot) -> None:
    guest = machine()
    guest.run(FILL)
    before = guest.hits()
    guest.restart()
    assert guest.hits() == before
    guest.run(FILL)
    assert sum(guest.hits()) > sum(before)


def test_counters_stay_where_they_were_mapped(machine: Boot) -> None:
    guest = machine()
    place = mmap.mmap(-1, 4 * mmap.PAGESIZE)
    guest.map_counters(ctypes.addressof(ctypes.c_char.from_buffer(place)))
    for _ in range(2):
        place[: guest.counter_count] = bytes(guest.counter_count)
        guest.run(FILL)
        assert any(place[: guest.counter_count])
        guest.restart()


def test_comparisons_show_the_sizes_that_the_kernel_looked_at(runners: Runners) -> None:
    guest = runners("zspage", "plain").target
    program = parse_program("o0 = malloc(p0, size=2720)").wire
    found = {value for pair in guest.compares(program) for value in pair}
    assert found & {2720, 2728}
    other = parse_program("o0 = malloc(p0, size=1001)").wire
    assert not {value for pair in guest.compares(other) for value in pair} & {2720, 2728}


# ---- audits --------------------------------------------------------------------------------


def test_nothing_is_left_of_removed_cgroups(runners: Runners) -> None:
    guest = runners("zspage", "plain").target
    assert [guest.audit() for _ in range(3)] == [0, 0, 0]
    for _ in range(3):
        guest.run(CGROUPS_COME_AND_GO)
        assert guest.audit() == 0


# ---- malformed programs --------------------------------------------------------------------

GOOD = (Opcode.MALLOC, 0, 0, 8, 100, 0)
BAD_OPS = {
    "opcode": (len(Opcode), 0, 0, 0, 0, 0),
    "highest opcode": (255, 0, 0, 0, 0, 0),
    "pool": (Opcode.MALLOC, 0, 4, 8, 100, 0),
    "pool that is not used": (Opcode.FREE, 0, 4, 0, 0, 0),
    "owner": (Opcode.MALLOC, 0, 0, 9, 100, 0),
    "no owner where one is needed": (Opcode.STAT, 0, 0, 8, 0, 0),
    "cgroup to create": (Opcode.CGROUP_CREATE, 0, 0, 8, 0, 1),
    "cgroup to remove": (Opcode.CGROUP_REMOVE, 0, 0, 8, 0, 0),
    "cgroup of a page": (Opcode.PAGE_WRITE, 0, 0, 8, 0, 0),
    "cgroup of a process": (Opcode.PAGE_EXIT, 0, 0, 8, 0, 0),
    "cgroup with files": (Opcode.STAT_FILES, 0, 0, 8, 0, 0),
    "parent": (Opcode.CGROUP_CREATE, 0, 0, 7, 0, 8),
}


def pack(*ops: tuple[int, ...]) -> bytes:
    return b"".join(struct.pack("<BBBBHH", *op) for op in ops)


def refused(runner: Runner, request: Callable[[Machine], object]) -> int:
    """Expect a refusal with nothing done, and agreement afterwards; returns the errno."""
    guest = runner.target
    heartbeat = guest.ring.info("heartbeat")
    with pytest.raises(GuestRefused) as caught:
        request(guest)
    assert guest.ring.info("heartbeat") == heartbeat
    assert guest.ring.info("done") == 0
    status = (1 << 32) - guest.ring.info("status")
    assert os.strerror(status).lower() in str(caught.value)
    assert runner.run(FILL) is None
    return status


@pytest.mark.parametrize("bad", BAD_OPS.values(), ids=BAD_OPS)
def test_a_malformed_record_is_refused_before_anything_runs(
    runners: Runners, bad: tuple[int, ...]
) -> None:
    runner = runners("zspage", "kasan")
    assert refused(runner, lambda guest: guest.run(pack(GOOD, GOOD, bad))) == errno.EINVAL


def test_a_program_of_more_than_1024_operations_is_refused(runners: Runners) -> None:
    runner = runners("zspage", "kasan")
    assert refused(runner, lambda guest: guest.run(pack(GOOD) * 1025)) == errno.E2BIG
    assert runner.run(pack(GOOD) * 1024) is None


FLUSH = pack((Opcode.FLUSH, 0, 0, 0, 0, 0))
HEADER = struct.Struct("<II")


def post(guest: Machine, *programs: tuple[int, bytes]) -> None:
    """Ask for programs whose headers may lie: each has a number of operations, and its bytes."""
    data = b"".join(HEADER.pack(ops, 0) + wire for ops, wire in programs)
    at = guest.ring.info("program_offset")
    guest.ring._memory[at : at + len(data)] = data
    guest.ring.command(guest._abi.constant("CMD_RUN"), 0, len(programs))
    guest._wait()
    guest._judge()


@pytest.mark.parametrize(
    "last",
    [[(1024, FLUSH)], [(960, FLUSH * 960), (0, b"")]],
    ids=["the program ends", "its header lies"],
)
def test_a_program_outside_its_area_is_refused(
    runners: Runners, last: list[tuple[int, bytes]]
) -> None:
    runner = runners("zspage", "kasan")
    guest, before = runner.target, runner.target.ring.info("heartbeat")
    fill = [(1024, FLUSH * 1024)] * 63
    with pytest.raises(GuestRefused, match=str(-errno.EMSGSIZE)):
        post(guest, *fill, *last)
    whole = fill + last[:-1]
    assert guest.ring.info("done") == len(whole)
    assert guest.ring.info("heartbeat") - before == sum(ops for ops, _ in whole)
    assert runner.run(FILL) is None


def test_answers_that_do_not_fit_are_refused(runners: Runners) -> None:
    runner = runners("zspage", "plain")
    mallocs = [f"o{n} = malloc(p0, size={40 + 16 * n}, owner=c1)" for n in range(100)]
    wide = parse_program("\n".join(["cgroup_remove(c4)", *mallocs])).wire
    with pytest.raises(GuestRefused, match=str(-errno.ENOSPC)):
        runner.target.run_many([wide] * 150)
    assert runner.target.ring.info("done") > 10
    assert runner.run(CGROUPS_COME_AND_GO) is None
    assert runner.audit() is None


def test_too_many_programs_are_refused(runners: Runners) -> None:
    runner = runners("zspage", "kasan")
    assert len(runner.target.run_many([b""] * 512)) == 512
    assert refused(runner, lambda guest: guest.run_many([b""] * 513)) == errno.E2BIG


def test_an_unknown_command_is_refused(runners: Runners) -> None:
    def ask(guest: Machine) -> None:
        guest.ring.command(77)
        guest._wait()
        guest._judge()

    assert refused(runners("zspage", "kasan"), ask) == errno.EINVAL
