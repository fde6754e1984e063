# SPDX-License-Identifier: GPL-2.0-only
"""Options of commands that run one built kernel, and how to get it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from zsfuzz.corpusfile import load
from zsfuzz.errors import BadCorpusFile, ZsfuzzError
from zsfuzz.findings.store import PROGRAM
from zsfuzz.probe.kernel import probed
from zsmodel.designs import DESIGNS
from zsmodel.profile import DEFAULT_NAME, parse_profile
from zstools.cli import adapter_option, config_option, linux_option, variant_option
from zstools.inspect import owners_left_out
from zstools.kernel import AUTO, FLAVOURS, Kernel, KernelSpec, ensure_kernel, usual_design
from zstools.progress import for_console

_DESIGNS = click.Choice((*DESIGNS, AUTO))
_WHERE = "Where object owners are kept; stock: unpatched; auto: as it is in the tree.  "
design_option = click.option(
    "--design", type=_DESIGNS, help=f"{_WHERE}[default: zspage; auto with --linux]"
)
_design_of_finding = click.option(
    "--design", type=_DESIGNS,
    help=f"{_WHERE}[default: the finding's; with --linux auto, unless our series kept the owners]",
)  # fmt: skip
patch_option = click.option(
    "--patch", "patches", multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Patch on top of the design, such as a planted bug; may be repeated.",
)  # fmt: skip


class _ProfileType(click.ParamType):  # type: ignore[type-arg]
    """Options of the model, checked; what follows "-" in their names is as in zsmodel.profile."""

    name = "profile"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(parse_profile(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


profile_option = click.option(
    "--profile", type=_ProfileType(), metavar="OPTION=VALUE,...",
    help="In what the kernel differs lawfully from our series, such as charge-unit=payload; or "
    "default.  [default: a saved finding's, else what a probe says of other trees and patches]",
)  # fmt: skip


def kernel_options(flavour: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that name a kernel, from --design to --profile; --flavour is `flavour`.

    The command gets them as one KernelSpec, named `spec`.  With a `flavour` of None, for commands
    that take both from a finding, design and flavour are "" unless given.
    """
    usual = flavour is not None

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_spec(
            *, design: str | None, flavour: str | None, linux: Path | None, **given: Any
        ) -> Any:
            chosen = usual_design(design, linux) if usual else design or ""
            more = {name: given.pop(name) for name in ("variants", "config", "adapter", "profile")}
            spec = KernelSpec(chosen, flavour or "", linux, given.pop("patches"), **more)
            return command(spec=spec, **given)

        for option in reversed(_options(flavour)):
            with_spec = option(with_spec)
        return with_spec

    return decorate


def _options(flavour: str | None) -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    usual: dict[str, Any] = {"default": flavour, "show_default": flavour or "the finding's"}
    return [
        design_option if flavour else _design_of_finding,
        click.option("--flavour", type=click.Choice(FLAVOURS), **usual),
        variant_option,
        linux_option,
        patch_option,
        config_option,
        adapter_option,
        profile_option,
    ]


def as_saved(spec: KernelSpec, *paths: Path) -> KernelSpec:
    """Take the profile that was saved with programs, or folders of findings, if none was given.

    Raises ZsfuzzError if they have several.  Programs that are in no finding have none.
    """
    if spec.profile is not None:
        return spec
    files = {file for path in paths for file in _programs_of_findings(path)}
    saved = {profile for file in files if (profile := _profile_of(file)) is not None}
    if not any(saved):
        return spec
    meant = {str(parse_profile(profile)) for profile in saved}
    if len(meant) > 1:
        named = "; ".join(sorted(profile or DEFAULT_NAME for profile in meant))
        raise ZsfuzzError(f"programs of several profiles ({named}): give one with --profile")
    return replace(spec, profile=meant.pop())


def _profile_of(file: Path) -> str | None:
    """Read a saved profile; None for a file that cannot be read, which others will say."""
    try:
        return str(load(file).extra.get("profile", ""))
    except BadCorpusFile:
        return None


def _programs_of_findings(path: Path) -> list[Path]:
    return list(path.rglob(PROGRAM)) if path.is_dir() else [path]


__all__ = [
    "adapter_option", "as_saved", "config_option", "design_option", "kernel_options",
    "linux_option", "patch_option", "profile_option", "take_kernel", "take_kernels",
]  # fmt: skip


def take_kernel(spec: KernelSpec) -> Kernel:
    """Take the kernel from the cache, or build it with a progress bar; probe it if need be.

    Says in a line if owners that its tree mentions were not built.
    """
    kernel = probed(_ensure(spec))
    if line := owners_left_out(kernel):
        click.echo(line, err=True)
    return kernel


def _ensure(spec: KernelSpec) -> Kernel:
    return ensure_kernel(spec, for_console(Console(stderr=True), False))


def take_kernels(flavours: Sequence[str], spec: KernelSpec) -> list[Kernel]:
    """Take one kernel for each flavour; the first is probed, and what it said holds for all."""
    first = take_kernel(replace(spec, flavour=flavours[0]))
    spec = replace(spec, profile=first.spec.profile)
    return [first, *(_ensure(replace(spec, flavour=flavour)) for flavour in flavours[1:])]
