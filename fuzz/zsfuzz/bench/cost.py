# SPDX-License-Identifier: GPL-2.0-only
"""What a design costs: bytes that ownership takes, and the time of malloc, write and free.

Sizes of structures are from DWARF; how many of them there are is counted in the kernel while the
workload's objects are alive.  Owner arrays take what kmalloc's caches give, which is more than is
asked for.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from zsfuzz.boot import boot
from zsfuzz.errors import HarnessError
from zsfuzz.guest.machine import Machine
from zsfuzz.program import Op, Opcode, Program
from zsfuzz.records import Field, decode
from zsmodel.classes import ClassShape, distinct_classes
from zstools.dwarf import find_unit, open_elf
from zstools.kernel import Kernel

POINTER = 8  # bytes
# Sizes in bytes of kmalloc's caches (kmalloc_info) up to a page.
KMALLOC = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096)
OWNERS = (1, 2, 3, 4)
BATCH = 64  # programs in one request
TIMED = 64  # objects in a timed program
# Payloads, in bytes, of 240 objects; the last frees every second one, so that slots are unused.
WORKLOADS: dict[str, tuple[tuple[int, ...], bool]] = {
    "well compressed (64 to 512)": (tuple(64 + 32 * (i % 15) for i in range(240)), False),
    "3 : 1 (1,000 to 1,700)": (tuple(1000 + 47 * (i % 15) for i in range(240)), False),
    "hardly (2,000 to 3,400)": (tuple(2000 + 100 * (i % 15) for i in range(240)), False),
    "3 : 1, half of it freed": (tuple(1000 + 47 * (i % 15) for i in range(240)), True),
}


@dataclass(frozen=True)
class Sizes:
    """Hold structure sizes in bytes; `zswap_entry` of 0: a kernel without zswap."""

    zspage: int
    zpdesc: int
    zswap_entry: int


@dataclass(frozen=True)
class Memory:
    """Count what ownership takes for one workload: bytes, beside live objects and zspages."""

    objects: int
    zspages: int
    arrays: int  # bytes in owner arrays
    entries: int  # bytes in zswap entries, if each object were a page of zswap's
    descriptors: int  # bytes in struct zspage

    @property
    def total(self) -> int:
        """Add up all that differs between designs."""
        return self.arrays + self.entries + self.descriptors


def read_sizes(kernel: Kernel) -> Sizes:
    """Read the sizes of the structures from a kernel's DWARF."""
    with open_elf(kernel.linux) as elf:
        zsmalloc, zswap = find_unit(elf, "mm/zsmalloc.c"), find_unit(elf, "mm/zswap.c")
        found = [
            unit.struct(name)
            for unit, name in ((zsmalloc, "zspage"), (zsmalloc, "zpdesc"), (zswap, "zswap_entry"))
        ]
    return Sizes(*(struct.size if struct else 0 for struct in found))


def kmalloc_size(size: int) -> int:
    """Round up to what kmalloc gives, in bytes (kmalloc_index)."""
    return next(cache for cache in KMALLOC if cache >= size)


def array_bytes(design: str, shape: ClassShape) -> int:
    """Count the bytes of the owner arrays of one zspage, as they are allocated."""
    if design == "zspage":
        return kmalloc_size(POINTER * shape.objs)
    if design == "zpdesc":
        return shape.pages * kmalloc_size(POINTER * (shape.page_size // shape.size + 2))
    if design == "stock":
        return 0
    raise HarnessError(f"{design}: say in cost.py how large its owner arrays are")


def workload(sizes: Sequence[int], half: bool) -> Program:
    """Allocate and write an object of each size, for several owners; perhaps free every second."""
    ops = [
        Op(Opcode.MALLOC, object=i, owner=OWNERS[i % len(OWNERS)], size=size)
        for i, size in enumerate(sizes)
    ]
    freed = range(0, len(sizes), 2) if half else ()
    return Program.of([*ops, *(Op(Opcode.FREE, object=i) for i in freed)])


def measure_memory(machine: Machine, sizes: Sizes, program: Program) -> Memory:
    """Run a workload and count what is there at its end; HarnessError if it fails."""
    decoded = decode(machine.run(program.wire), program, machine.kernel)
    if decoded.stopped:
        raise HarnessError(f"the workload's answer cannot be decoded: {decoded.stopped}")
    shapes = {shape.index: shape for shape in distinct_classes(machine.kernel)}
    counts = {f.path: f.value for f in decoded.fields.values()}
    objects = zspages = arrays = 0
    for path, shape in _classes(decoded.fields, shapes):
        objects += _number(counts[f"{path}.inuse"])
        here = _number(counts[f"{path}.allocated"]) // shape.objs
        zspages += here
        arrays += here * array_bytes(machine.kernel.design, shape)
    entries, descriptors = objects * sizes.zswap_entry, zspages * sizes.zspage
    return Memory(objects, zspages, arrays, entries, descriptors)


def _classes(
    fields: dict[str, Field], shapes: dict[int, ClassShape]
) -> list[tuple[str, ClassShape]]:
    found = []
    for path, field in fields.items():
        if field.subject == "class" and field.name == "exists":
            index = path.partition("[")[2].partition(" ")[0]
            found.append((path, shapes[int(index)]))
    return found


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r}: a number was expected")
    return value


# ---- time ------------------------------------------------------------------------------------


def timed_program(size: int, *, resident: bool) -> Program:
    """Malloc with write, then free, of one object after the other.

    With a `resident` object the zspage stays; without, each pair makes and frees one.
    """
    begin = (Op(Opcode.MALLOC, object=1, owner=1, size=size),) if resident else ()
    pair = (Op(Opcode.MALLOC, owner=1, size=size), Op(Opcode.FREE))
    return Program.of(begin + pair * TIMED)


def nanoseconds(machine: Machine, program: Program, batches: int) -> float:
    """Time a program, in nanoseconds, without collecting coverage."""
    machine.flags = 0
    programs = [program.wire] * BATCH
    begin = time.perf_counter_ns()
    for _ in range(batches):
        machine.replay(programs)
    return (time.perf_counter_ns() - begin) / (batches * BATCH)


def measure_times(
    machines: Sequence[Machine], size: int, resident: bool, rounds: int
) -> list[float]:
    """Time one malloc, write and free on all kernels in turns, in the order of `machines`.

    Medians in nanoseconds.  What a program takes besides its pairs (beginning, snapshot, end) is
    measured by one without them, and subtracted; what the module does for each operation is not.
    """
    whole = timed_program(size, resident=resident)
    empty = Program.of(whole.ops[: len(whole.ops) - 2 * TIMED])
    for machine in machines:
        nanoseconds(machine, whole, 2)  # warm up
    taken = [
        [
            (nanoseconds(machine, whole, 4) - nanoseconds(machine, empty, 4)) / TIMED
            for machine in machines
        ]
        for _ in range(rounds)
    ]
    return [median(column) for column in zip(*taken, strict=True)]


# ---- all together ----------------------------------------------------------------------------

# Payloads of timed objects, in bytes, and whether their zspage is there already.
TIMES = {
    f"{payload:,}, {'in a zspage that stays' if resident else 'with a new zspage each time'}": (
        payload,
        resident,
    )
    for resident in (True, False)
    for payload in (128, 1300, 2712)
}


def measure_cost(kernels: Sequence[Kernel], rounds: int) -> dict[str, object]:
    """Measure every design on the same workloads, with times as ratios to the first kernel."""
    sizes = {kernel.spec.design: read_sizes(kernel) for kernel in kernels}
    with tempfile.TemporaryDirectory(prefix="zsfuzz-cost-") as folder, ExitStack() as stack:
        machines = [
            stack.enter_context(boot(kernel, Path(folder) / f"{kernel.spec.design}.console"))
            for kernel in kernels
        ]
        memory = {
            name: {
                m.kernel.design: measure_memory(m, sizes[m.kernel.design], workload(*spec))
                for m in machines
            }
            for name, spec in WORKLOADS.items()
        }
        times = {
            name: dict(zip(sizes, measure_times(machines, *timed, rounds), strict=True))
            for name, timed in TIMES.items()
        }
    return {"sizes": sizes, "memory": memory, "times": times}
