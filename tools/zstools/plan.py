# SPDX-License-Identifier: GPL-2.0-only
"""Decide what a kernel is made from, and so its key and its place, before anything is built."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from zstools.cache import Manifest, entries_dir, key_of
from zstools.errors import ZsToolsError
from zstools.kconfig import fragment_names, read_fragments
from zstools.paths import config_dir, series_dir
from zstools.progress import BuildProgress
from zstools.series import find_patches, patches_hash, supported_versions
from zstools.source import Source, debian_source, local_source
from zstools.toolchain import compiler_version
from zstools.tree import BUILD_PREFIX

FLAVOURS = ("plain", "kasan", "lockdep")
_VARIANTS = "variants"  # folder of the configuration fragments that go on top of a flavour


@dataclass(frozen=True)
class KernelSpec:
    """What to build: a design's patches on a source, in a flavour's configuration.

    @variants change that configuration, in order; each is a file of kmod/kernel/config/variants.
    """

    design: str
    flavour: str
    linux: Path | None = None
    extra_patches: tuple[Path, ...] = ()
    variants: tuple[str, ...] = ()
    profile: str | None = None  # how it is modelled, not built (zsmodel.profile); None: not given

    @property
    def configuration(self) -> str:
        """Name flavour and variants, as in `plain` and `plain-chain-16`."""
        return "-".join((self.flavour, *self.variants))


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before anything is built."""

    spec: KernelSpec
    cache: Path
    source: Source
    patches: tuple[Path, ...]
    options: dict[str, str]
    compiler: str

    @property
    def inputs(self) -> Manifest:
        """What the key is made from."""
        options = json.dumps(self.options, sort_keys=True)
        return {
            "source": self.source.origin,
            "patches": patches_hash(self.patches),
            "config": hashlib.sha256(options.encode()).hexdigest()[:16],
            "compiler": self.compiler,
        }

    @property
    def key(self) -> str:
        """The key of the kernel in the cache."""
        return key_of(self.inputs)

    @property
    def entry(self) -> Path:
        """The directory of the manifest, the layout and the modules."""
        spec = self.spec
        name = f"{self.source.version}-{spec.design}-{spec.configuration}-{self.key}"
        return entries_dir(self.cache) / name

    @property
    def tree(self) -> Path:
        """A tree of its own for each kernel, so that file times in it mean something."""
        return self.cache / "trees" / self.entry.name

    @property
    def build(self) -> Path:
        """The object directory."""
        return self.tree / f"{BUILD_PREFIX}{self.spec.flavour}"


def make_plan(spec: KernelSpec, cache: Path, progress: BuildProgress, update: bool) -> Plan:
    """Get the source and everything else that goes into a kernel."""
    if spec.flavour not in FLAVOURS:
        raise ZsToolsError(f"no flavour {spec.flavour!r}: there is {', '.join(FLAVOURS)}")
    options = _options(spec)
    if spec.linux is not None:
        source = local_source(cache, spec.linux, progress)
    else:
        source = debian_source(cache, supported_versions(series_dir()), progress, update)
    series = find_patches(series_dir(), source.series, spec.design)
    patches = (*series, *spec.extra_patches)
    return Plan(spec, cache, source, patches, options, compiler_version())


def find_variants() -> tuple[str, ...]:
    """Name the variants that there are."""
    return fragment_names(config_dir() / _VARIANTS)


def _options(spec: KernelSpec) -> dict[str, str]:
    known = find_variants()
    for name in spec.variants:
        if name not in known:
            raise ZsToolsError(f"no variant {name!r}: there is {', '.join(known)}")
    variants = tuple(f"{_VARIANTS}/{name}" for name in spec.variants)
    return read_fragments(config_dir(), ("base", spec.flavour, *variants))
