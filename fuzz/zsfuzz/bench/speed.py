# SPDX-License-Identifier: GPL-2.0-only
"""How fast fuzzing is, beside what the module alone can do: workers, and their figures together."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from zsfuzz.bench.speedturns import EMPTY, RAW, TRANSPORT
from zsfuzz.errors import HarnessError
from zsfuzz.spawn import run_worker
from zsfuzz.workerconfig import worker_config
from zstools.kernel import Kernel

LENGTHS = (1, 16, 64, 256)  # operations in a program
PROMISED = 64  # the length that promises are about
DIFFERENTIAL = "differential"
# DESIGN section 8: differential programs a second as a share of raw replay's, by flavour.
PROMISES = {"plain": 0.5, "kasan": 0.9}
RESTART_PROMISE = 1.0  # seconds from a dead guest to the next program
Figures = dict[str, Any]


def speed(
    kernels: Sequence[Kernel],
    seconds: float,
    seed: int = 1,
    lengths: Sequence[int] = LENGTHS,
    rounds: int = 2,
    show: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Measure throughput in turns, by flavour and length; `seconds` for each of these in a round.

    Flavours and lengths take turns too, so that what else the machine does concerns all of them.
    Figures are medians over turns.  Raises HarnessError if kernel and model differ.
    """
    raw: dict[tuple[str, int], list[Figures]] = {}
    for number in range(rounds):
        for length in lengths:
            for kernel in kernels:
                show(f"round {number + 1}: {kernel.spec.flavour}, programs of {length} operations")
                found = _worker(kernel, length, seconds, seed + number)
                raw.setdefault((kernel.spec.flavour, length), []).append(found)
    flavours = {
        kernel.spec.flavour: {length: _join(raw[kernel.spec.flavour, length], length)
                              for length in lengths}
        for kernel in kernels
    }  # fmt: skip
    return {
        "design": kernels[0].spec.design,
        "kernel": kernels[0].version,
        "program_length": PROMISED if PROMISED in lengths else lengths[0],
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[1],  # over 5 minutes, our own part included
        "rounds": rounds,
        "flavours": {name: _flavour(found, lengths) for name, found in flavours.items()},
    }


def _flavour(found: dict[int, Figures], lengths: Sequence[int]) -> Figures:
    """Put the figures of the promised length on top."""
    main = found[PROMISED if PROMISED in lengths else lengths[0]]
    rates = main["programs_per_second"]
    return {
        "programs_per_second": rates[DIFFERENTIAL]["median"],
        "raw_programs_per_second": rates[RAW]["median"],
        "ratio": main["ratio_to_raw"][DIFFERENTIAL]["median"],
        "turns": main["turns"],
        "start_seconds": _spread(s for one in found.values() for s in one.pop("start_seconds")),
        "restart_seconds": _spread(s for one in found.values() for s in one.pop("restart_seconds")),
        "lengths": found,
    }


def _join(parts: Sequence[Figures], length: int) -> Figures:
    """Make medians and spreads of all turns of the workers for one flavour and length."""
    turns = [turn for part in parts for turn in part["turns"]]
    if not turns:
        raise HarnessError(f"no turn was finished at length {length}: give more --time")
    sections = [turn for part in parts for turn in part["sections"]]
    names = list(turns[0])
    return {
        "turns": len(turns),
        "programs_per_second": {n: _spread(turn[n] for turn in turns) for n in names},
        "operations_per_second": {
            n: round(length * median(turn[n] for turn in turns), 1)
            for n in names
            if n not in (TRANSPORT, EMPTY)  # whose programs have none
        },
        "ratio_to_raw": {n: _spread(turn[n] / turn[RAW] for turn in turns) for n in names},
        "host_nanoseconds": {
            n: round(median(turn[n] for turn in sections), 1) for n in sections[0]
        },
        "memory": [_memory(part) for part in parts],
        "start_seconds": [s for part in parts for s in part["start_seconds"]],
        "restart_seconds": [s for part in parts for s in part["restart_seconds"]],
    }


def _memory(part: Figures) -> Figures:
    """Compare resident memory after the first round of turns and after the last, in KiB."""
    first, last = part["memory"][0], part["memory"][-1]
    return {
        "seconds": round(last[0] - first[0], 2),
        "programs": part["programs"],
        "host_kib": [first[1], last[1]],
        "guest_kib": [first[2], last[2]],
    }


def _spread(values: Iterable[float]) -> dict[str, float]:
    """Give the median, and the quartiles below and above it."""
    found = sorted(values)
    low, _, high = (
        quantiles(found, n=4, method="inclusive")
        if len(found) > 1
        else (found[0], found[0], found[0])
    )
    return {"median": _round(median(found)), "low": _round(low), "high": _round(high)}


def _round(value: float) -> float:
    return round(value, 1) if value >= 1000 else round(value, 4)


def _worker(kernel: Kernel, length: int, seconds: float, seed: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="zsfuzz-bench-") as folder:
        work = Path(folder)
        (work / "inputs").mkdir()
        config = worker_config(kernel, name="speed", role="explore", work=work, output=work)
        path, result = work / "speed.json.in", work / "speed.json"
        replace(config, seconds=seconds, seed=seed, max_operations=length).save(path)
        run_worker(
            f"measuring {config.flavour}", ["zsfuzz.bench.speedworker", str(path)],
            work / "speed.log", result,
        )  # fmt: skip
        figures: Figures = json.loads(result.read_text())
        return figures
