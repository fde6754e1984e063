# SPDX-License-Identifier: GPL-2.0-only
"""Build the kernel of a design and flavour, or take it from the cache."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zstools import cache as store
from zstools.cache import Manifest
from zstools.errors import BuildInterruptedError, DiskFullError, ZsToolsError
from zstools.facts import LAYOUT, ensure_layout, has_layout
from zstools.kbuild import Kbuild
from zstools.kconfig import read_fragments
from zstools.module import ensure_module, find_module
from zstools.paths import CACHE_VARIABLE, cache_dir, config_dir, series_dir
from zstools.progress import BuildProgress, Silent
from zstools.series import apply_patches, find_patches, patches_hash, supported_versions
from zstools.source import Source, debian_source, is_cached, local_source
from zstools.toolchain import check_tools, compiler_version
from zstools.tree import BUILD_PREFIX, adopt_objects, link_tree

FLAVOURS = ("plain", "kasan", "lockdep")
_USUAL_STEPS = 1100  # lines of make output for a whole kernel


@dataclass(frozen=True)
class KernelSpec:
    """What to build: a design's patches on a source, in a flavour's configuration."""

    design: str
    flavour: str
    linux: Path | None = None
    extra_patches: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """A built kernel with the module for it; all of it is in the cache and must not be changed."""

    spec: KernelSpec
    key: str
    version: str
    linux: Path  # User Mode Linux executable, with DWARF
    build: Path  # object directory
    source: Path  # patched tree
    module: Path  # zsfuzz.ko, with DWARF
    guest_root: Path  # init, zsfuzz.ko and mount points, nothing else
    layout: Path  # layout.json
    wire: Path  # wire.json: see zstools.wire.load_wire()
    manifest: Manifest


@dataclass(frozen=True)
class _Plan:
    """Everything that is decided before anything is built."""

    spec: KernelSpec
    cache: Path
    source: Source
    patches: tuple[Path, ...]
    options: dict[str, str]
    compiler: str

    @property
    def inputs(self) -> Manifest:
        options = json.dumps(self.options, sort_keys=True)
        return {
            "source": self.source.origin,
            "patches": patches_hash(self.patches),
            "config": hashlib.sha256(options.encode()).hexdigest()[:16],
            "compiler": self.compiler,
        }

    @property
    def key(self) -> str:
        return store.key_of(self.inputs)

    @property
    def entry(self) -> Path:
        name = f"{self.source.version}-{self.spec.design}-{self.spec.flavour}-{self.key}"
        return store.entries_dir(self.cache) / name

    @property
    def tree(self) -> Path:
        name = f"{self.source.origin}-{self.spec.design}-{self.inputs['patches'][:8]}"
        return self.cache / "trees" / name

    @property
    def build(self) -> Path:
        return self.tree / f"{BUILD_PREFIX}{self.spec.flavour}-{self.key[:8]}"


def ensure_kernel(
    spec: KernelSpec, progress: BuildProgress | None = None, update: bool = False
) -> Kernel:
    """Return a built kernel with its module, building what is not in the cache.

    The network is used only if no supported source is in the cache, or to look for a newer one if
    @update. Raises a ZsToolsError whose message names the next step; what was built until then is
    never taken for whole, but is used to go on.
    """
    progress = progress or Silent()
    cache = cache_dir()
    with _clear_errors(cache, progress):
        ready = None if update else _find_ready(spec, cache, progress)
        if ready is not None:
            return ready
        with store.builder_lock(cache, progress) as lock:
            plan = _plan(spec, cache, progress, update)
            manifest = _whole_manifest(plan) or _build(plan, progress, lock)
            ensure_layout(plan.entry, plan.build / "vmlinux", progress)
            module = ensure_module(plan.entry, plan.build, progress, lock)
    return _kernel(spec, plan, manifest, module)


def _find_ready(spec: KernelSpec, cache: Path, progress: BuildProgress) -> Kernel | None:
    """Look for a whole kernel and module without the lock: nobody waits for somebody's build."""
    if not is_cached(cache, supported_versions(series_dir()), spec.linux):
        return None
    plan = _plan(spec, cache, progress, update=False)
    manifest, module = _whole_manifest(plan), find_module(plan.entry)
    if manifest is None or module is None or not has_layout(plan.entry):
        return None
    return _kernel(spec, plan, manifest, module)


def _kernel(spec: KernelSpec, plan: _Plan, manifest: Manifest, module: Path) -> Kernel:
    return Kernel(
        spec=spec,
        key=plan.key,
        version=plan.source.version,
        linux=plan.build / "vmlinux",
        build=plan.build,
        source=plan.tree,
        module=module / "zsfuzz.ko",
        guest_root=module / "root",
        layout=plan.entry / LAYOUT,
        wire=module / "wire.json",
        manifest=manifest,
    )


def list_kernels() -> list[Manifest]:
    """Return the manifests of all whole kernels in the cache, oldest first."""
    return store.list_manifests(cache_dir())


def _plan(spec: KernelSpec, cache: Path, progress: BuildProgress, update: bool) -> _Plan:
    if spec.flavour not in FLAVOURS:
        raise ZsToolsError(f"no flavour {spec.flavour!r}: there is {', '.join(FLAVOURS)}")
    if spec.linux is not None:
        source = local_source(cache, spec.linux, progress)
    else:
        source = debian_source(cache, supported_versions(series_dir()), progress, update)
    series = find_patches(series_dir(), source.series, spec.design)
    options = read_fragments(config_dir(), ("base", spec.flavour))
    patches = (*series, *spec.extra_patches)
    return _Plan(spec, cache, source, patches, options, compiler_version())


def _whole_manifest(plan: _Plan) -> Manifest | None:
    manifest = store.read_manifest(plan.entry)
    return manifest if manifest is not None and (plan.build / "vmlinux").is_file() else None


def _build(plan: _Plan, progress: BuildProgress, lock: int) -> Manifest:
    started = time.monotonic()
    check_tools()
    _prepare_tree(plan, progress)
    kbuild = Kbuild(plan.build, progress, lock)
    sibling = _prepare_objects(plan, kbuild, progress)
    title = f"build Linux {plan.source.version} {plan.spec.design} {plan.spec.flavour}"
    progress.begin(title, None if sibling else _USUAL_STEPS)
    kbuild.configure(plan.options)
    kbuild.compile()
    ensure_layout(plan.entry, plan.build / "vmlinux", progress)
    manifest = _manifest(plan, sibling, kbuild.steps, time.monotonic() - started)
    store.write_manifest(plan.entry, manifest)
    progress.end()
    return manifest


def _prepare_tree(plan: _Plan, progress: BuildProgress) -> None:
    if plan.tree.is_dir():
        return
    progress.begin(f"patch Linux {plan.source.version} for {plan.spec.design}")
    partial = plan.tree.with_name(f"{plan.tree.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    link_tree(plan.source.path, partial)
    apply_patches(partial, plan.patches, progress)
    partial.rename(plan.tree)
    progress.end()


def _prepare_objects(plan: _Plan, kbuild: Kbuild, progress: BuildProgress) -> Manifest | None:
    """Start from the objects of a sibling, if there is one and nothing of our own."""
    kbuild.discard_broken()
    sibling = None if plan.build.is_dir() else _find_sibling(plan)
    if sibling is not None:
        progress.begin(f"copy the objects of {sibling['name']}")
        adopt_objects(plan.cache / sibling["build"], plan.build)
        kbuild.mark_stopped()
        progress.end()
    plan.build.mkdir(exist_ok=True)
    return sibling


def _find_sibling(plan: _Plan) -> Manifest | None:
    """Return the newest kernel that differs in its patches only, same design preferred."""
    same = ("config", "compiler")
    found = [
        m
        for m in store.list_manifests(plan.cache)
        if all(m["inputs"][name] == plan.inputs[name] for name in same)
        and m["version"] == plan.source.version
        and (plan.cache / m["build"] / "vmlinux").is_file()
    ]
    rank = {
        id(m): (m["source"] == plan.source.origin, m["design"] == plan.spec.design) for m in found
    }
    return max(reversed(found), key=lambda m: rank[id(m)], default=None)


def _manifest(plan: _Plan, sibling: Manifest | None, steps: int, seconds: float) -> Manifest:
    return {
        "format": store.FORMAT,
        "name": plan.entry.name,
        "key": plan.key,
        "design": plan.spec.design,
        "flavour": plan.spec.flavour,
        "version": plan.source.version,
        "source": plan.source.origin,
        "linux": str(plan.spec.linux) if plan.spec.linux is not None else None,
        "patches": [{"name": p.name, "sha256": patches_hash([p])} for p in plan.patches],
        "compiler": plan.compiler,
        "options": plan.options,
        "inputs": plan.inputs,
        "tree": str(plan.tree.relative_to(plan.cache)),
        "build": str(plan.build.relative_to(plan.cache)),
        "objects_from": sibling["name"] if sibling else None,
        "steps": steps,
        "seconds": round(seconds, 1),
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def _clear_errors(cache: Path, progress: BuildProgress) -> Iterator[None]:
    """Turn a full disk and an interrupt into errors that name the next step."""
    try:
        yield
    except KeyboardInterrupt:
        raise BuildInterruptedError(
            "the build was interrupted: the same command goes on where it stopped"
        ) from None
    except (OSError, DiskFullError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOSPC:
            raise ZsToolsError(f"cannot use the cache {cache}: {error}") from error
        raise DiskFullError(
            f"no space left in the cache {cache}: free about 4 GB there, "
            f"or set {CACHE_VARIABLE} to a directory on another disk"
        ) from error
    finally:
        progress.end()
