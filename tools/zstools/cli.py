# SPDX-License-Identifier: GPL-2.0-only
"""The commands `zsfuzz kernel build` and `zsfuzz kernel list`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from zstools.errors import ZsToolsError
from zstools.kernel import FLAVOURS, KernelSpec, ensure_kernel, list_kernels
from zstools.progress import for_console

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_TREE = click.Path(path_type=Path, exists=True, file_okay=False)


variant_option = click.option(
    "--variant", "variants", multiple=True, metavar="NAME",
    help="Change of the configuration, such as chain-16 or memcg-n; may be repeated.",
)  # fmt: skip


@click.group()
def kernel() -> None:
    """Build kernels to fuzz, and list those that are in the cache."""


@kernel.command()
@click.option("--design", default="zspage", show_default=True, help="Patch series, or stock.")
@click.option(
    "--flavour",
    "flavours",
    multiple=True,
    type=click.Choice(FLAVOURS),
    help="Configuration; may be repeated.  [default: plain and kasan]",
)
@variant_option
@click.option("--linux", type=_TREE, help="Kernel tree to copy, instead of Debian's source.")
@click.option("--patch", "patches", multiple=True, type=_FILE, help="Applied after the series.")
@click.option("--update", is_flag=True, help="Look for a newer Debian source first.")
@click.option("-v", "--verbose", is_flag=True, help="Print each external command.")
def build(
    design: str,
    flavours: tuple[str, ...],
    variants: tuple[str, ...],
    linux: Path | None,
    patches: tuple[Path, ...],
    update: bool,
    verbose: bool,
) -> None:
    """Build a kernel and the module for it, unless they are in the cache."""
    console = Console(stderr=True)
    for flavour in flavours or ("plain", "kasan"):
        spec = KernelSpec(design, flavour, linux, patches, variants)
        try:
            built = ensure_kernel(spec, for_console(console, verbose), update)
        except ZsToolsError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{design} {spec.configuration} {built.version} {built.key} {built.linux}")


@kernel.command(name="list")
def list_() -> None:
    """List the kernels in the cache, oldest first."""
    columns = ("design", "flavour", "variants", "version", "key", "built", "seconds")
    table = Table(*columns, box=None)
    for manifest in list_kernels():
        facts = {**manifest, "variants": " ".join(manifest.get("variants", ()))}
        table.add_row(*(str(facts[name]) for name in columns))
    Console().print(table)
