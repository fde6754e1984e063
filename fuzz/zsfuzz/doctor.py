# SPDX-License-Identifier: GPL-2.0-only
"""Check function, not presence: that each part of the set-up does what findings rest on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from zsfuzz.boot import boot
from zsfuzz.called import called_functions
from zsfuzz.console.demise import demise_of
from zsfuzz.coverage import CoverageMap
from zsfuzz.errors import BootFailed, KernelSplat, Unanswered, ZsfuzzError
from zsfuzz.guest.confine import Needs, confinement
from zsfuzz.guest.machine import Machine
from zsfuzz.guest.process import SHM
from zsfuzz.planted import planted_patch
from zsfuzz.runner import Runner
from zsfuzz.swappath import why_no_swap
from zsfuzz.text import parse_program
from zsmodel import Model
from zstools.kernel import Kernel, ensure_kernel

# o2 has no owner: without memcg nothing else succeeds.
EXERCISE = """\
o0 = malloc(p0, size=2720, owner=c1, pattern=1)
o1 = malloc(p0, size=2720, owner=c2, pattern=2)
o2 = malloc(p0, size=2720)
write(o2, pattern=3)
read(o0)
free(o0)
migrate(o2, page=1)
compact(p0)
stat(c2)
free(o1)
free(o2)
"""
# Diverges on a kernel whose obj_free() leaves the owner in the slot; o1 keeps the zspage alive.
SLOT_KEEPS_OWNER = """\
o0 = malloc(p0, size=2720, owner=c1)
o1 = malloc(p0, size=2720)
free(o0)
o2 = malloc(p0, size=2720)
"""
_MIGRATES = "zs_page_migrate"  # nobody but the kernel calls it


@dataclass(frozen=True)
class Check:
    """What was checked, what was seen, and what to do if that is not right."""

    name: str
    passed: bool
    detail: str
    cure: str


Probe = Callable[[Kernel, Machine], Check]


def examine(kernel: Kernel, probes: tuple[Probe, ...]) -> list[Check]:
    """Boot the kernel and run the probes on it; a guest that does not boot is a failed check."""
    try:
        return boot_and_probe(kernel, probes)
    except BootFailed as error:
        return [Check("the guest boots", False, str(error), "`zsfuzz run` makes a report of it")]
    except ZsfuzzError as error:
        return [Check("the guest boots", False, str(error), "`zsfuzz kernel build` again")]


def boot_and_probe(kernel: Kernel, probes: tuple[Probe, ...]) -> list[Check]:
    """Run the probes on a guest; BootFailed or HarnessError if it does not boot."""
    with (
        tempfile.TemporaryDirectory(prefix="zsfuzz-doctor-") as work,
        boot(kernel, Path(work) / "console") as machine,
    ):
        return list(_probe_all(kernel, machine, probes))


def _probe_all(kernel: Kernel, machine: Machine, probes: tuple[Probe, ...]) -> Iterator[Check]:
    yield Check("the guest boots and serves its ring", True, f"{machine.kernel}", "")
    for probe in probes:
        try:
            yield probe(kernel, machine)
        except ZsfuzzError as error:
            name = probe.__name__.replace("_", " ")
            yield Check(name, False, str(error), "read the guest's console: the kernel failed")
            machine.restart()


def coverage_lights_up(kernel: Kernel, machine: Machine) -> Check:
    """See a program reach the functions that it calls, and an empty program not."""
    name, facts = "a known path lights up its coverage", CoverageMap(kernel.layout)
    machine.run(b"")
    idle = facts.functions(machine.hits())
    try:
        machine.run(parse_program(EXERCISE).wire)
    except (KernelSplat, Unanswered) as error:
        machine.restart()
        title = demise_of(error)[1]
        detail = f"not checked: the kernel fails on it ({title}), as a run will report"
        return Check(name, True, detail, "")
    busy = facts.functions(machine.hits())
    wanted = list(called_functions(kernel.layout, facts.known).values())
    if machine.kernel.has_migration:
        wanted += [{_MIGRATES}] if _MIGRATES in facts.known else []
    missed = [names for names in wanted if not names & busy]
    passed = bool(busy) and not missed and not any(names & idle for names in wanted)
    return Check(
        name, passed,
        f"reached {len(busy)} functions, of {_named(wanted)} all but {_named(missed)}",
        "KCOV is off or its buffer is not shared: rebuild with `zsfuzz kernel build`",
    )  # fmt: skip


def _named(alternatives: list[set[str]]) -> str:
    return ", ".join(" or ".join(sorted(names)) for names in alternatives) or "none"


def model_agrees(_: Kernel, machine: Machine) -> Check:
    """Kernel and model agree on a small program."""
    trouble = Runner(machine, Model(machine.kernel)).run(parse_program(EXERCISE).wire)
    detail = "byte for byte" if trouble is None else f"{trouble.outcome.value}: {trouble.title}"
    return Check(
        "kernel and model agree on a small program", trouble is None, detail,
        "the kernel has a bug, or differs from what zsmodel states: `zsfuzz replay` it",
    )  # fmt: skip


def pages_are_swapped(kernel: Kernel, machine: Machine) -> Check:
    """See that the kernel has the swap path; a variant may be without, and then says why."""
    has, variants = machine.kernel.has_swap, kernel.spec.variants
    detail = "through zswap to zram" if has else f"not tested: {why_no_swap(kernel.layout)}"
    return Check(
        "pages of processes are swapped", has or bool(variants), detail,
        "enable zswap, zram and memcg; if they are, tools/zstools/layout.py must learn this kernel",
    )  # fmt: skip


def cgroups_go_away(_: Kernel, machine: Machine) -> Check:
    """All cgroups can be removed, and none stays behind."""
    orphans = machine.audit()
    return Check(
        "removed cgroups go away", orphans == 0, f"{orphans} left behind",
        "the kernel leaks references to cgroups even without a program",
    )  # fmt: skip


def guests_are_confined(kernel: Kernel, _: Machine) -> Check:
    """Say what keeps guests from the host here; docs/SECURITY.md says what is missing then."""
    folder = Path(tempfile.gettempdir()) / "guest"
    needs = Needs(kernel.linux, kernel.guest_root, folder, Path(SHM), 0)
    name = "guests are confined as far as this machine can"
    return Check(name, True, str(confinement(needs)), "")


def kasan_trips(kernel: Kernel, machine: Machine) -> Check:
    """See a use after free in the module reported; other flavours have nothing to report."""
    name = "a planted use after free trips KASAN"
    if kernel.spec.flavour != "kasan":
        return Check(name, True, f"not on {kernel.spec.flavour}", "")
    try:
        machine.trip()
    except KernelSplat as splat:
        passed = "KASAN: slab-use-after-free" in splat.console
        detail = "reported" if passed else "the kernel complained about something else"
    else:
        passed, detail = False, "nothing was reported"
    machine.restart()
    return Check(name, passed, detail, "KASAN is off: rebuild with `zsfuzz kernel build`")


def planted_fault_diverges(kernel: Kernel, usual: Machine) -> Check:
    """On a kernel whose obj_free() leaves the owner in place, a small program diverges."""
    name = "a planted ownership fault diverges"
    if not usual.kernel.has_owners:
        return Check(name, True, f"not on {kernel.spec.design}: this kernel keeps no owners", "")
    if kernel.manifest.get("foreign"):
        return Check(name, True, "not on a tree of yours: the bug is planted in our series", "")
    spec = kernel.spec
    patches = (*spec.extra_patches, planted_patch(spec.design, "free-keeps-owner"))
    broken = ensure_kernel(replace(spec, extra_patches=patches))
    with (
        tempfile.TemporaryDirectory(prefix="zsfuzz-doctor-") as work,
        boot(broken, Path(work) / "console") as machine,
    ):
        trouble = Runner(machine, Model(machine.kernel)).run(parse_program(SLOT_KEEPS_OWNER).wire)
    detail = "no difference was seen" if trouble is None else trouble.title
    return Check(name, trouble is not None, detail, "the comparison is blind: run `make test`")


# Before each run: the harness alone.  What a kernel does wrong is for the run to find and report.
QUICK: tuple[Probe, ...] = (coverage_lights_up,)
THOROUGH: tuple[Probe, ...] = (
    *QUICK, model_agrees, pages_are_swapped, cgroups_go_away, guests_are_confined, kasan_trips,
    planted_fault_diverges,
)  # fmt: skip
