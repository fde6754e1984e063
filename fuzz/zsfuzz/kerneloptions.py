# SPDX-License-Identifier: GPL-2.0-only
"""Options of commands that run one built kernel, and how to get it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from zsmodel.designs import DESIGNS
from zstools.cli import variant_option
from zstools.kernel import FLAVOURS, Kernel, KernelSpec, ensure_kernel
from zstools.progress import for_console

design_option = click.option(
    "--design", type=click.Choice(tuple(DESIGNS)), default="zspage", show_default=True,
    help="Where object owners are kept; stock: unpatched.",
)  # fmt: skip
_design_of_finding = click.option(
    "--design", type=click.Choice(tuple(DESIGNS)), show_default="the finding's",
    help="Where object owners are kept; stock: unpatched.",
)  # fmt: skip
linux_option = click.option(
    "--linux", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Kernel tree to copy, instead of Debian's source.",
)  # fmt: skip
patch_option = click.option(
    "--patch", "patches", multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Patch on top of the design, such as a planted bug; may be repeated.",
)  # fmt: skip


def kernel_options(flavour: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --design, --flavour (`flavour` by default), --variant, --linux and --patch.

    The command gets them as one KernelSpec, named `spec`.  With a `flavour` of None, for commands
    that take both from a finding, design and flavour are "" unless given.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_spec(
            *,
            design: str | None,
            flavour: str | None,
            variants: tuple[str, ...],
            linux: Path | None,
            patches: tuple[Path, ...],
            **others: Any,
        ) -> Any:
            spec = KernelSpec(design or "", flavour or "", linux, patches, variants)
            return command(spec=spec, **others)

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
    ]


def take_kernel(spec: KernelSpec) -> Kernel:
    """Take the kernel from the cache, or build it with a progress bar."""
    return ensure_kernel(spec, for_console(Console(stderr=True), False))
