# SPDX-License-Identifier: GPL-2.0-only
"""Build one kernel: patched tree, a sibling's objects, configuration, compiler, manifest."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from zstools import cache as store
from zstools.adapterfile import read_adapter
from zstools.cache import Manifest
from zstools.discovery import load_discovery
from zstools.facts import LAYOUT, ensure_layout
from zstools.kbuild import Kbuild
from zstools.layout import Hints, header_macros, writeback_batch
from zstools.owntree import KEY, state_of, sync_copy
from zstools.plan import Plan
from zstools.progress import BuildProgress
from zstools.series import apply_patches, files_of, patches_hash, touched_files
from zstools.sibling import find_sibling, patched_files
from zstools.toolchain import check_tools
from zstools.tree import BUILD_PREFIX, adopt_objects, link_tree

_OPTIONS = ".zsfuzz-options"  # in the object directory of a user's tree
_USUAL_STEPS = 1100  # lines of make output for a whole kernel


def build_kernel(plan: Plan, progress: BuildProgress, lock: int) -> Manifest:
    """Build what is planned, as an increment to a sibling if there is one; return its manifest."""
    started = time.monotonic()
    check_tools()
    # What is known of an earlier build is not true of this one: its build ID differs.
    shutil.rmtree(plan.entry, ignore_errors=True)
    if plan.scan is not None:
        progress.begin(f"copy what changed in {plan.scan.tree}")
        sync_copy(plan.scan, plan.patches, plan.tree, progress)
        progress.end()
    else:
        _prepare_tree(plan, progress)
    kbuild = Kbuild(plan.build, progress, lock)
    sibling = _prepare_objects(plan, kbuild, progress)
    title = f"build Linux {plan.source.version} {plan.spec.design} {plan.spec.configuration}"
    progress.begin(title, None if sibling else _USUAL_STEPS)
    _compile(plan, kbuild)
    ensure_layout(plan.entry, plan.image, progress, hints_of(plan))
    manifest = _manifest(plan, sibling, kbuild.steps, time.monotonic() - started)
    store.write_manifest(plan.entry, manifest)
    progress.end()
    return manifest


def hints_of(plan: Plan) -> Hints:
    """Say what is known of a planned kernel besides its DWARF."""
    return Hints(
        read_adapter(plan.spec.adapter),
        header_macros(plan.tree),
        plan.is_foreign,
        writeback_batch(plan.tree),
    )


def is_state_of(plan: Plan) -> bool:
    """Tell whether the object directory is as it was when this kernel was built there."""
    return plan.scan is None or state_of(plan.build) == plan.key


def _compile(plan: Plan, kbuild: Kbuild) -> None:
    if plan.scan is None:
        kbuild.configure(plan.options)
        kbuild.compile()
        return
    options = plan.build / _OPTIONS
    kconfig = plan.scan.kconfig_digest
    wanted = json.dumps([plan.options, plan.compiler, kconfig], sort_keys=True)
    (plan.build / KEY).unlink(missing_ok=True)
    # It takes seconds, which is much of what an edit of one file costs.
    is_configured = options.is_file() and (plan.build / ".config").is_file()
    if not is_configured or options.read_text() != wanted:
        kbuild.forget_options()  # an option that is asked for no more shall not stay
        kbuild.configure(plan.options)
    kbuild.compile()
    options.write_text(wanted)
    plan.entry.mkdir(parents=True, exist_ok=True)
    shutil.copy2(plan.build / "vmlinux", plan.image)
    (plan.build / KEY).write_text(plan.key)


def _prepare_tree(plan: Plan, progress: BuildProgress) -> None:
    if plan.tree.is_dir():
        return
    progress.begin(f"patch Linux {plan.source.version} for {plan.spec.design}")
    partial = plan.tree.with_name(f"{plan.tree.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        link_tree(plan.source.path, partial, files_of(plan.patches))
        apply_patches(partial, plan.patches, progress)
        partial.rename(plan.tree)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    progress.end()


def _prepare_objects(plan: Plan, kbuild: Kbuild, progress: BuildProgress) -> Manifest | None:
    """Start from the objects of a sibling, if there is one and nothing of our own."""
    kbuild.discard_broken()
    sibling = None if plan.build.is_dir() else find_sibling(plan)
    if sibling is not None:
        progress.begin(f"copy the objects of {sibling['name']}")
        shared = any(plan.tree.glob(f"{BUILD_PREFIX}*"))
        adopt_objects(
            plan.cache / sibling["build"], plan.build, patched_files(sibling, plan), shared=shared
        )
        if sibling["inputs"]["config"] != plan.inputs["config"]:
            kbuild.forget_options()
        kbuild.mark_stopped()
        progress.end()
    plan.build.mkdir(exist_ok=True)
    return sibling


def _manifest(plan: Plan, sibling: Manifest | None, steps: int, seconds: float) -> Manifest:
    return {
        "format": store.FORMAT,
        "name": plan.entry.name,
        "key": plan.key,
        "design": _design(plan),
        "flavour": plan.spec.flavour,
        "version": plan.source.version,
        "source": plan.source.origin,
        "linux": str(plan.spec.linux) if plan.spec.linux is not None else None,
        "variants": list(plan.spec.variants),
        "patches": [_patch(path) for path in plan.patches],
        "compiler": plan.compiler,
        "options": plan.options,
        "inputs": plan.inputs,
        "commit": plan.scan.commit if plan.scan is not None else "",
        "foreign": plan.is_foreign,
        "image": str(plan.image.relative_to(plan.cache)),
        "tree": str(plan.tree.relative_to(plan.cache)),
        "build": str(plan.build.relative_to(plan.cache)),
        "objects_from": sibling["name"] if sibling else None,
        "steps": steps,
        "seconds": round(seconds, 1),
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _design(plan: Plan) -> str:
    return load_discovery(plan.entry / LAYOUT).design if plan.is_foreign else plan.spec.design


def _patch(path: Path) -> Manifest:
    return {"name": path.name, "sha256": patches_hash([path]), "files": list(touched_files(path))}
