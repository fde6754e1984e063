# SPDX-License-Identifier: GPL-2.0-only
"""Probe a built kernel, and model it as it answers."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from zsfuzz.boot import boot
from zsfuzz.errors import BootFailed
from zsfuzz.guest.machine import Machine
from zsfuzz.probe.owners import check_place
from zsfuzz.probe.probe import Probed, differences_from, probe
from zsmodel.profile import Profile
from zstools.discovery import load_discovery
from zstools.kernel import Kernel

ATTEMPTS = 3  # to boot
FEW = 2  # doubts that are told one by one


def ask(kernel: Kernel) -> tuple[Probed, list[str]]:
    """Boot a kernel and probe it: what it answered, and in what it is not as its spec says.

    Raises HarnessError if owners are not where discovery took them to be.
    """
    with tempfile.TemporaryDirectory(prefix="zsfuzz-probe-") as work:
        machine = boot(kernel, Path(work) / "console")
        try:
            _see_owners(kernel, machine)
            found = probe(machine)
        finally:
            machine.close()
    return found, differences_from(machine.kernel, found)


def _see_owners(kernel: Kernel, machine: Machine) -> None:
    if machine.owners_seen is False:
        check_place(kernel)


def _look(kernel: Kernel) -> None:
    """See at least that owners are where they are looked for, if the profile is known."""
    with (
        suppress(BootFailed),  # whoever boots it next makes a finding of it
        tempfile.TemporaryDirectory(prefix="zsfuzz-probe-") as work,
        boot(kernel, Path(work) / "console") as machine,
    ):
        _see_owners(kernel, machine)


def _ask_again(kernel: Kernel) -> tuple[Probed, list[str]]:
    """Ask; a boot that fails may be one of many."""
    for _ in range(ATTEMPTS - 1):
        with suppress(BootFailed):
            return ask(kernel)
    return ask(kernel)


def probed(kernel: Kernel) -> Kernel:
    """Probe a kernel and say in a line each in what it differs; a foreign one is modelled so.

    Only if no profile was given, and the kernel is not just one of our designs.  Of our own series
    the profile is known: with a patch on top, what differs is a finding until somebody means it.
    """
    spec = kernel.spec
    if spec.profile is not None and kernel.manifest.get("foreign"):
        _look(kernel)
    if spec.profile is not None or (spec.linux is None and not spec.extra_patches):
        return kernel
    try:
        found, _ = _ask_again(kernel)
    except BootFailed as error:  # whoever boots it next makes a finding of it
        click.echo(f"this kernel cannot be asked for its profile: {error}", err=True)
        return with_profile(kernel, "")
    say(found)
    if kernel.manifest["foreign"]:
        has_aware = load_discovery(kernel.layout).aware_at != "none"
        return with_profile(kernel, str(_likely(found.profile, has_aware)))
    if found.lines:
        click.echo(f"if that is meant, give --profile {found.profile}", err=True)
    return with_profile(kernel, "")


def _likely(profile: Profile, has_aware: bool) -> Profile:
    """Take a tree at what it does, but for what is a bug rather than a choice.

    Where nothing makes a pool memcg-aware all of them are alike, whatever they keep.
    """
    doubtful = [name for name in profile.unlikely if has_aware or name != "pools"]
    if doubtful:
        click.echo(
            f"taken for a bug ({', '.join(doubtful)}); if it is meant, give --profile {profile}",
            err=True,
        )
    return profile.without(*doubtful)


def with_profile(kernel: Kernel, profile: str) -> Kernel:
    """Model a kernel by a profile."""
    return replace(kernel, spec=replace(kernel.spec, profile=profile))


def say(found: Probed) -> None:
    """Print differences and doubts, a line each; of many doubts, which are one bug, the number."""
    for line in found.lines:
        click.echo(f"this kernel {line}", err=True)
    if len(found.doubts) <= FEW:
        for doubt in found.doubts:
            click.echo(f"this kernel {doubt.text}", err=True)
        return
    options = ", ".join(doubt.question.options[0] for doubt in found.doubts)
    click.echo(
        f"this kernel answers as no profile does, whatever is asked ({options}): one bug can do "
        "that, which the run will report; `zsfuzz kernel probe` shows the programs",
        err=True,
    )
