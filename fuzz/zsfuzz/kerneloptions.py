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
from zstools.cli import adapter_option, config_option, linux_option, variant_option
from zstools.kernel import AUTO, FLAVOURS, Kernel, KernelSpec, ensure_kernel, usual_design
from zstools.progress import for_console

design_option = click.option(
    "--design", type=click.Choice((*DESIGNS, AUTO)),
    help="Where object owners are kept; stock: unpatched; auto: as it is in the tree.  "
    "[default: zspage; auto with --linux]",
)  # fmt: skip
patch_option = click.option(
    "--patch", "patches", multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Patch on top of the design, such as a planted bug; may be repeated.",
)  # fmt: skip


def kernel_options(flavour: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that name a kernel, from --design to --adapter; --flavour is `flavour`.

    The command gets them as one KernelSpec, named `spec`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_spec(
            *,
            design: str | None,
            flavour: str,
            variants: tuple[str, ...],
            linux: Path | None,
            patches: tuple[Path, ...],
            config: tuple[Path, ...],
            adapter: Path | None,
            **others: Any,
        ) -> Any:
            chosen = usual_design(design, linux)
            spec = KernelSpec(chosen, flavour, linux, patches, variants, config, adapter)
            return command(spec=spec, **others)

        for option in reversed(_options(flavour)):
            with_spec = option(with_spec)
        return with_spec

    return decorate


def _options(flavour: str) -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return [
        design_option,
        click.option("--flavour", type=click.Choice(FLAVOURS), default=flavour, show_default=True),
        variant_option,
        linux_option,
        patch_option,
        config_option,
        adapter_option,
    ]


__all__ = [
    "adapter_option", "config_option", "design_option", "kernel_options", "linux_option",
    "patch_option", "take_kernel",
]  # fmt: skip


def take_kernel(spec: KernelSpec) -> Kernel:
    """Take the kernel from the cache, or build it with a progress bar."""
    return ensure_kernel(spec, for_console(Console(stderr=True), False))
