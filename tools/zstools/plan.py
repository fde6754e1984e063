# SPDX-License-Identifier: GPL-2.0-only
"""Decide what a kernel is made from, and so its key and its place, before anything is built."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from zstools.adapterfile import adapter_hash
from zstools.cache import Manifest, entries_dir, key_of
from zstools.errors import ConfigError, ZsToolsError
from zstools.kconfig import fragment_names, parse_fragment, read_fragments
from zstools.owntree import Scan, place_of, remember, scan_tree
from zstools.paths import config_dir, series_dir
from zstools.progress import BuildProgress
from zstools.series import STOCK, find_patches, patches_hash, supported_versions
from zstools.source import Source, debian_source, release_of, tree_version
from zstools.toolchain import compiler_version
from zstools.tree import BUILD_PREFIX

FLAVOURS = ("plain", "kasan", "lockdep")
AUTO = "auto"  # as a design: the tree as it is, whatever is found there
_VARIANTS = "variants"  # folder of the configuration fragments that go on top of a flavour


@dataclass(frozen=True)
class KernelSpec:
    """What to build: a design's patches on a source, in a flavour's configuration.

    @linux is a tree of the user's, or the name of a Debian package such as linux-source-7.3.
    @variants change the configuration, in order; each is a file of kmod/kernel/config/variants.
    @config has fragments of the user's, on top of all that.
    """

    design: str
    flavour: str
    linux: Path | None = None
    extra_patches: tuple[Path, ...] = ()
    variants: tuple[str, ...] = ()
    config: tuple[Path, ...] = ()
    adapter: Path | None = None
    profile: str | None = None  # how it is modelled, not built (zsmodel.profile); None: not given

    @property
    def configuration(self) -> str:
        """Name flavour, variants and fragments, as in `plain` and `plain-chain-16`."""
        return "-".join((self.flavour, *self.variants, *(path.stem for path in self.config)))

    @property
    def own_tree(self) -> Path | None:
        """Return the tree of the user's that this is about, None for Debian's source."""
        return None if release_of(self.linux) else self.linux


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before anything is built."""

    spec: KernelSpec
    cache: Path
    source: Source
    patches: tuple[Path, ...]
    options: dict[str, str]
    compiler: str
    scan: Scan | None = None  # of the user's tree
    is_foreign: bool = False  # a tree of the user's as it is, without our series

    @property
    def inputs(self) -> Manifest:
        """What the key is made from."""
        options = json.dumps(self.options, sort_keys=True)
        adapter = adapter_hash(self.spec.adapter)
        return {
            "source": self.source.origin,
            "patches": patches_hash(self.patches),
            "config": hashlib.sha256(options.encode()).hexdigest()[:16],
            "compiler": self.compiler,
            **({"adapter": adapter} if adapter else {}),
        }

    @property
    def key(self) -> str:
        """The key of the kernel in the cache."""
        return key_of(self.inputs)

    @property
    def entry(self) -> Path:
        """The directory of the manifest, the layout and the modules."""
        spec = self.spec
        design = "own" if self.is_foreign else spec.design
        name = f"{self.source.version}-{design}-{spec.configuration}-{self.key}"
        return entries_dir(self.cache) / name

    @property
    def tree(self) -> Path:
        """The tree that is compiled, in which file times mean something.

        Each kernel has one of its own; those of one tree of the user's share one.
        """
        if self.spec.own_tree is not None:
            return place_of(self.cache, self.spec.own_tree, self.patches)
        return self.cache / "trees" / self.entry.name

    @property
    def build(self) -> Path:
        """The object directory."""
        own = self.spec.own_tree is not None
        return self.tree / f"{BUILD_PREFIX}{self.spec.configuration if own else self.spec.flavour}"

    @property
    def image(self) -> Path:
        """The kernel; objects of a tree of the user's go on to other states, so it is copied."""
        return (self.build if self.spec.own_tree is None else self.entry) / "vmlinux"


def make_plan(spec: KernelSpec, cache: Path, progress: BuildProgress, update: bool) -> Plan:
    """Get the source and everything else that goes into a kernel."""
    if spec.flavour not in FLAVOURS:
        raise ZsToolsError(f"no flavour {spec.flavour!r}: there is {', '.join(FLAVOURS)}")
    options = _options(spec)
    if spec.own_tree is not None:
        return _own_plan(spec, spec.own_tree.resolve(), cache, options)
    if spec.design == AUTO:
        raise ZsToolsError("design auto is for a tree of yours: give it with --linux DIR")
    release = release_of(spec.linux)
    versions = [release] if release else supported_versions(series_dir())
    source = debian_source(cache, versions, progress, update)
    series = find_patches(series_dir(), source.series, spec.design)
    patches = (*series, *spec.extra_patches)
    return Plan(spec, cache, source, patches, options, compiler_version())


def _own_plan(spec: KernelSpec, tree: Path, cache: Path, options: dict[str, str]) -> Plan:
    version = tree_version(tree)
    scan = scan_tree(cache, tree)
    remember(cache, scan)
    source = Source(tree, version, f"own-{scan.digest}")
    as_it_is = spec.design in (AUTO, STOCK) or mentions_owners(tree)
    series = () if as_it_is else find_patches(series_dir(), source.series, spec.design)
    patches = (*series, *spec.extra_patches)
    return Plan(spec, cache, source, patches, options, compiler_version(), scan, not series)


def mentions_owners(tree: Path) -> bool:
    """Tell whether zsmalloc of a tree may keep owners: only a built kernel shows how."""
    for name in ("mm/zsmalloc.c", "mm/zpdesc.h", "include/linux/zsmalloc.h"):
        path = tree / name
        if path.is_file() and "obj_cgroup" in path.read_text(errors="replace"):
            return True
    return False


def find_variants() -> tuple[str, ...]:
    """Name the variants that there are."""
    return fragment_names(config_dir() / _VARIANTS)


def _options(spec: KernelSpec) -> dict[str, str]:
    known = find_variants()
    for name in spec.variants:
        if name not in known:
            raise ZsToolsError(f"no variant {name!r}: there is {', '.join(known)}")
    variants = tuple(f"{_VARIANTS}/{name}" for name in spec.variants)
    options = read_fragments(config_dir(), ("base", spec.flavour, *variants))
    for path in spec.config:
        try:
            options |= parse_fragment(path.read_text(), str(path))
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    return options
