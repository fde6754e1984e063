# SPDX-License-Identifier: GPL-2.0-only
"""Build the kernel of a design and flavour, or take it from the cache."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from zstools import cache as store
from zstools.build import build_kernel, hints_of, is_state_of
from zstools.cache import Manifest
from zstools.discovery import load_discovery
from zstools.errors import BuildInterruptedError, DiskFullError, ZsToolsError
from zstools.facts import LAYOUT, ensure_layout, has_layout
from zstools.leftout import left_out
from zstools.module import ensure_module, find_module
from zstools.owntree import was_scanned
from zstools.paths import CACHE_VARIABLE, cache_dir, series_dir
from zstools.plan import AUTO, FLAVOURS, KernelSpec, Plan, make_plan
from zstools.progress import BuildProgress, Silent
from zstools.prune import mark_used
from zstools.series import STOCK, supported_versions
from zstools.source import is_cached, release_of, tree_version

__all__ = ["AUTO", "FLAVOURS", "Kernel", "KernelSpec", "ensure_kernel", "list_kernels"]


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
            plan = make_plan(spec, cache, progress, update)
            manifest = _whole_manifest(plan)
            if manifest is None or (find_module(plan.entry) is None and not is_state_of(plan)):
                manifest = build_kernel(plan, progress, lock)
            build = cache / manifest["build"]
            ensure_layout(plan.entry, plan.image, progress, hints_of(plan))
            module = ensure_module(plan.entry, build, progress, lock)
    return _kernel(spec, plan, manifest, module)


def find_kernel(spec: KernelSpec) -> Kernel | None:
    """Return a kernel with its module if both are in the cache, and build nothing."""
    return _find_ready(spec, cache_dir(), Silent())


def _find_ready(spec: KernelSpec, cache: Path, progress: BuildProgress) -> Kernel | None:
    """Look for a whole kernel and module without the lock: nobody waits for somebody's build."""
    release, tree = release_of(spec.linux), spec.own_tree
    if tree is not None:
        tree_version(tree)  # what is no kernel is told at once
        if not was_scanned(cache, tree.resolve()):
            return None
    elif not is_cached(cache, [release] if release else supported_versions(series_dir())):
        return None
    plan = make_plan(spec, cache, progress, update=False)
    manifest, module = _whole_manifest(plan), find_module(plan.entry)
    if manifest is None or module is None or not has_layout(plan.entry):
        return None
    return _kernel(spec, plan, manifest, module)


def _kernel(spec: KernelSpec, plan: Plan, manifest: Manifest, module: Path) -> Kernel:
    mark_used(plan.entry)
    build = plan.cache / manifest["build"]
    return Kernel(
        spec=replace(spec, design=_design(spec, plan)),
        key=plan.key,
        version=plan.source.version,
        linux=plan.image,
        build=build,
        source=plan.cache / manifest["tree"],
        module=module / "zsfuzz.ko",
        guest_root=module / "root",
        layout=plan.entry / LAYOUT,
        wire=module / "wire.json",
        manifest=manifest | ({"commit": plan.scan.commit} if plan.scan is not None else {}),
    )


def _design(spec: KernelSpec, plan: Plan) -> str:
    """Return the design that was found in a tree; raise ZsToolsError if another was asked for."""
    if not plan.is_foreign:
        return spec.design
    found = load_discovery(plan.entry / LAYOUT)
    if spec.design not in (AUTO, found.design) and found.counters:
        tree = plan.tree if spec.extra_patches else plan.source.path
        why = left_out(tree, plan.build / ".config") if found.design == STOCK else ""
        raise ZsToolsError(
            why
            or f"{spec.linux} keeps owners by design {found.design}, not {spec.design}: "
            f"give --design {found.design}, or a tree without owners"
        )
    return found.design


def usual_design(asked: str | None, linux: Path | None) -> str:
    """Return the design to use: what is in a tree of the user's, else our usual one."""
    if asked is not None:
        return asked
    return "zspage" if linux is None or release_of(linux) else AUTO


def list_kernels() -> list[Manifest]:
    """Return the manifests of all whole kernels in the cache, oldest first."""
    return store.list_manifests(cache_dir())


def _whole_manifest(plan: Plan) -> Manifest | None:
    manifest = store.read_manifest(plan.entry)
    if manifest is None or not plan.image.is_file():
        return None
    return manifest


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
