# SPDX-License-Identifier: GPL-2.0-only
"""Figures of speed: what counts in a turn, and how turns become medians."""

from __future__ import annotations

from zsfuzz.bench.speed import _join, _spread
from zsfuzz.bench.speedturns import EMPTY, RAW, TRANSPORT, TURN, TurnClock


def test_what_ran_to_warm_up_counts_in_no_turn() -> None:
    clock = TurnClock(101.0)
    clock.programs = 5000
    assert clock.tick(100.9) is None
    assert (clock.programs, clock.warm) == (5000, False)
    assert clock.tick(101.1) is None
    assert (clock.programs, clock.warm) == (0, True)
    clock.programs = 7
    assert clock.tick(101.2) is None
    assert clock.tick(101.1 + TURN) == 101.1 + TURN - 101.1
    assert clock.programs == 7


def test_a_turn_does_not_end_with_the_warm_up() -> None:
    clock = TurnClock(101.0)
    clock.programs = 5000
    assert clock.tick(109.0) is None
    assert clock.programs == 0


def test_quartiles_lie_among_the_turns() -> None:
    assert _spread([2.0, 1.0]) == {"median": 1.5, "low": 1.25, "high": 1.75}
    assert _spread([3.0]) == {"median": 3.0, "low": 3.0, "high": 3.0}


def test_empty_programs_have_no_operations() -> None:
    turn = {"differential": 50.0, RAW: 100.0, TRANSPORT: 9.0, EMPTY: 8.0}
    part = {
        "turns": [turn], "sections": [{"model": 1.0}], "memory": [(0.0, 1, 1)], "programs": 1,
        "start_seconds": [0.2], "restart_seconds": [0.3],
    }  # fmt: skip
    found = _join([part], 64)
    assert found["operations_per_second"] == {"differential": 3200.0, RAW: 6400.0}
    assert found["ratio_to_raw"]["differential"]["median"] == 0.5
