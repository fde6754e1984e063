# SPDX-License-Identifier: GPL-2.0-only
"""The commands `zsfuzz kernel build`, `inspect`, `list` and `prune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from zstools.errors import ZsToolsError
from zstools.inspect import facts_of, render_facts
from zstools.kernel import FLAVOURS, KernelSpec, ensure_kernel, list_kernels, usual_design
from zstools.paths import cache_dir
from zstools.progress import for_console
from zstools.prune import prune as prune_cache
from zstools.source import release_of

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class TreeOrPackage(click.Path):
    """A kernel tree, or the name of a Debian package such as linux-source-7.3."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take the name of a package as it is, if there is no such directory."""
        if release_of(Path(value)) is None:
            return super().convert(value, param, ctx)
        return Path(value).resolve() if Path(value).is_dir() else Path(value)


TREE = TreeOrPackage(path_type=Path, exists=True, file_okay=False)

linux_option = click.option(
    "--linux", type=TREE, metavar="DIR",
    help="Kernel tree of yours, never modified; or a Debian package: linux-source-7.3.",
)  # fmt: skip
config_option = click.option(
    "--config", "config", multiple=True, type=_FILE, metavar="FRAGMENT",
    help="Options of the configuration on top of ours; may be repeated.",
)  # fmt: skip
adapter_option = click.option(
    "--adapter", type=_FILE, metavar="FILE",
    help="What cannot be told from a tree's DWARF: see docs/OWN-KERNEL.md.",
)  # fmt: skip
variant_option = click.option(
    "--variant", "variants", multiple=True, metavar="NAME",
    help="Change of the configuration, such as chain-16 or memcg-n; may be repeated.",
)  # fmt: skip


@click.group()
def kernel() -> None:
    """Build kernels to fuzz, and list those that are in the cache."""


@kernel.command()
@click.option(
    "--design",
    help="Patch series, stock, or auto: the tree as it is.  [default: zspage; auto with --linux]",
)
@click.option(
    "--flavour",
    "flavours",
    multiple=True,
    type=click.Choice(FLAVOURS),
    help="Configuration; may be repeated.  [default: plain and kasan]",
)
@variant_option
@linux_option
@config_option
@adapter_option
@click.option("--patch", "patches", multiple=True, type=_FILE, help="Applied after the series.")
@click.option("--update", is_flag=True, help="Look for a newer Debian source first.")
@click.option("-v", "--verbose", is_flag=True, help="Print each external command.")
def build(  # noqa: PLR0917
    design: str | None,
    flavours: tuple[str, ...],
    variants: tuple[str, ...],
    linux: Path | None,
    config: tuple[Path, ...],
    adapter: Path | None,
    patches: tuple[Path, ...],
    update: bool,
    verbose: bool,
) -> None:
    """Build a kernel and the module for it, unless they are in the cache."""
    console = Console(stderr=True)
    for flavour in flavours or ("plain", "kasan"):
        chosen = usual_design(design, linux)
        spec = KernelSpec(chosen, flavour, linux, patches, variants, config, adapter)
        try:
            built = ensure_kernel(spec, for_console(console, verbose), update)
        except ZsToolsError as error:
            raise click.ClickException(str(error)) from error
        click.echo(
            f"{built.spec.design} {spec.configuration} {built.version} {built.key} {built.linux}"
        )


@kernel.command()
@click.argument("linux", type=TREE, metavar="DIR")
@click.option("--flavour", type=click.Choice(FLAVOURS), default="plain", show_default=True)
@variant_option
@config_option
@adapter_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Print each external command.")
def inspect(
    linux: Path,
    flavour: str,
    variants: tuple[str, ...],
    config: tuple[Path, ...],
    adapter: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Print what was found in a tree: design, where the owners are, prototypes, adapter.

    The tree is built first, as it is, since this is told from debug information.
    """
    design = usual_design(None, linux) if release_of(linux) is None else "stock"
    spec = KernelSpec(design, flavour, linux, (), variants, config, adapter)
    try:
        built = ensure_kernel(spec, for_console(Console(stderr=True), verbose))
        facts = facts_of(built)
    except ZsToolsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(facts, indent=1) if as_json else render_facts(facts))


@kernel.command(name="list")
def list_() -> None:
    """List the kernels in the cache, oldest first."""
    columns = ("design", "flavour", "variants", "version", "key", "built", "seconds")
    table = Table(*columns, box=None)
    for manifest in list_kernels():
        facts = {**manifest, "variants": " ".join(manifest.get("variants", ()))}
        table.add_row(*(str(facts[name]) for name in columns))
    Console().print(table)


@kernel.command()
@click.option(
    "--days", type=click.FloatRange(min=0), default=14.0, show_default=True,
    help="Delete those not used for so long; 0: all that do not run now.",
)  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be deleted.")
def prune(days: float, dry_run: bool) -> None:
    """Delete kernels from the cache that were not used for long.

    A kernel takes 0.4 GB and more.  Those that run now stay, and so does what was built from trees
    of yours.
    """
    try:
        pruned = prune_cache(days, dry_run, for_console(Console(stderr=True), False))
    except OSError as error:
        raise click.ClickException(f"cannot prune the cache {cache_dir()}: {error}") from error
    for one in pruned:
        click.echo(f"{one.size / 1e9:6.2f} GB  {one.name}")
    total = sum(one.size for one in pruned) / 1e9
    click.echo(f"{total:6.2f} GB  {'would be ' if dry_run else ''}freed")
