# SPDX-License-Identifier: GPL-2.0-only
"""Choose the built kernel from which a new one is the shortest way.

Kbuild keeps for each object which options and which files it was made from (fixdep, `.*.o.cmd`).
So what a sibling's objects are worth can be counted before any of them is copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zstools.cache import Manifest, list_manifests
from zstools.owntree import Scan, state_of, unlike_copy
from zstools.plan import Plan
from zstools.series import files_of, patches_hash, touched_files

_OPTION = "CONFIG_"
# Counting reads a file for each object, so it is done for those few that look nearest.
_LOOKED_INTO = 8
_MANY = 500  # files that differ, of which some are in nearly every object


@dataclass(frozen=True)
class _Sibling:
    """A kernel, with the options and files in which another one differs from it."""

    manifest: Manifest
    options: set[str]
    files: set[str]


def find_sibling(plan: Plan) -> Manifest | None:
    """Return the kernel of which the fewest objects must be compiled again, None if there is none.

    It is of the same version, compiler and flavour; options and patches may differ.  Of equal ones
    that of the same design wins, then that with the fewest other options, then the newest.
    """
    found = [m for m in reversed(list_manifests(plan.cache)) if _is_usable(m, plan)]
    compared = [_Sibling(m, changed_options(m, plan), changed_files(m, plan)) for m in found]
    nearest = sorted(compared, key=lambda sibling: _distance(sibling, plan))[:_LOOKED_INTO]
    best = min(nearest, key=lambda sibling: _rank(sibling, plan), default=None)
    return best.manifest if best else None


def patched_files(sibling: Manifest, plan: Plan) -> set[str] | None:
    """Return the files that patches of either one change; None if more than that may differ.

    In a copy of a user's tree all files have times of their own.
    """
    if sibling["source"] != plan.source.origin or plan.scan is not None:
        return None
    theirs = (name for patch in sibling["patches"] for name in patch.get("files", ()))
    return {*theirs, *files_of(plan.patches)}


def changed_options(manifest: Manifest, plan: Plan) -> set[str]:
    """Return the options that the two ask for differently, or that only one of them asks for."""
    theirs: dict[str, str] = manifest["options"]
    return {k for k in theirs.keys() | plan.options if theirs.get(k) != plan.options.get(k)}


def changed_files(manifest: Manifest, plan: Plan) -> set[str]:
    """Return the files that patches change which only one of the two has."""
    if plan.scan is not None and _is_own(manifest):
        return {*unlike_copy(plan.scan, plan.cache / manifest["tree"]), *files_of(plan.patches)}
    if plan.scan is not None:
        return _unlike_tree(manifest, plan, plan.scan)
    ours = {patches_hash([path]): touched_files(path) for path in plan.patches}
    theirs = {patch["sha256"]: patch.get("files", ()) for patch in manifest["patches"]}
    only_one = ours.keys() ^ theirs.keys()
    return {name for key in only_one for name in (*ours.get(key, ()), *theirs.get(key, ()))}


def _unlike_tree(manifest: Manifest, plan: Plan, scan: Scan) -> set[str]:
    """Return the files that a kernel's patches change, and that a tree has otherwise."""
    tree = plan.cache / str(manifest["tree"])
    touched = {name for patch in manifest["patches"] for name in patch.get("files", ())}
    return {name for name in touched if not scan.has_same(name, tree / name)}


def count_outdated(objects: Path, options: Iterable[str], files: Iterable[str]) -> int:
    """Count the objects of a directory that were made from any of these options or files.

    Where many files differ, all objects count.
    """
    made = objects.rglob(".*.o.cmd")
    files = set(files)
    if len(files) > _MANY:
        return sum(1 for _ in made)
    names = "|".join(re.escape(name.removeprefix(_OPTION)) for name in options)
    paths = "|".join(re.escape(path) for path in files)
    marks = rf"config/(?:{names})\)" if names else "", rf"/(?:{paths})\s" if paths else ""
    if not any(marks):
        return 0
    pattern = re.compile("|".join(mark for mark in marks if mark).encode())
    return sum(pattern.search(path.read_bytes()) is not None for path in made)


def _is_usable(manifest: Manifest, plan: Plan) -> bool:
    theirs = tuple(manifest[name] for name in ("version", "compiler", "flavour"))
    ours = (plan.source.version, plan.compiler, plan.spec.flavour)
    build = plan.cache / str(manifest["build"])
    if _is_own(manifest) and (plan.scan is None or state_of(build) != manifest["key"]):
        return False
    return theirs == ours and (build / "vmlinux").is_file()


def _is_own(manifest: Manifest) -> bool:
    """Tell whether it was built from a tree of the user's, whose objects go on to other states."""
    return bool("image" in manifest and manifest["image"] != f"{manifest['build']}/vmlinux")


def _is_far(manifest: Manifest, plan: Plan) -> bool:
    """Tell whether more may differ than what is known to."""
    if plan.scan is not None:
        return not _is_own(manifest)  # what one tree of the user's has, another one may have too
    return bool(manifest["source"] != plan.source.origin)


def _distance(sibling: _Sibling, plan: Plan) -> tuple[bool, int, bool, int]:
    headers = sum(name.endswith(".h") for name in sibling.files)
    return (
        _is_far(sibling.manifest, plan),
        len(sibling.options) + headers,
        sibling.manifest["design"] != plan.spec.design,
        len(sibling.files),
    )


def _rank(sibling: _Sibling, plan: Plan) -> tuple[bool, int, bool, int]:
    objects = plan.cache / sibling.manifest["build"]
    return (
        _is_far(sibling.manifest, plan),
        count_outdated(objects, sibling.options, sibling.files),
        sibling.manifest["design"] != plan.spec.design,
        len(sibling.options),
    )
