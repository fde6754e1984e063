# SPDX-License-Identifier: GPL-2.0-only
"""Who owns an object and what is charged for it, where a tree's profile is not the default."""

from __future__ import annotations

from zsmodel import profile as options
from zsmodel.cgroups import Cgroup
from zsmodel.profile import Profile
from zsmodel.wire import NO_OWNER, NONE8
from zsmodel.zspage import Object

ROOT = 0


def store_owner(
    profile: Profile, obj: Object, owner: int, cgroup: Cgroup | None, page_size: int
) -> None:
    """Enter the owner of a write of `obj.length` bytes, and charge it.

    `cgroup` is who is charged, None if nobody is, whatever the profile says.
    """
    owners, index = obj.zspage.owners, obj.index
    if owner == ROOT and profile.root_owner == options.IGNORE:
        owner = NO_OWNER
    if owner == NO_OWNER:
        if profile.unowned_write == options.CLEAR:
            uncharge(profile, obj, page_size)
            owners[index] = NONE8
        return
    if owners[index] != NONE8:
        if profile.rewrite == options.KEEP:
            return
        same = obj.charged is cgroup if obj.charged else owners[index] == owner
        if same and profile.same_owner_write == options.KEEP:
            return
    uncharge(profile, obj, page_size)
    owners[index] = owner
    if cgroup and profile.charge_time != options.ZSWAP:
        if owner == ROOT and profile.root_owner != options.CHARGE:
            return
        obj.charged = cgroup
        obj.bytes = charge_of(profile, obj)
        cgroup.charge(obj.bytes)
        if profile.incompressible == options.CHARGE and obj.bytes == page_size:
            cgroup.incompressible += 1


def uncharge(profile: Profile, obj: Object, page_size: int) -> None:
    """Give back what was charged for an object, if anything was."""
    if obj.charged:
        obj.charged.uncharge(obj.bytes)
        if profile.incompressible == options.CHARGE and obj.bytes == page_size:
            obj.charged.incompressible -= 1
        obj.charged = None


def charge_of(profile: Profile, obj: Object) -> int:
    """Tell what is charged for an object that was just written."""
    if profile.charge_unit == options.PAYLOAD:
        return obj.length
    if profile.charge_unit == options.REQUEST:
        return obj.size
    return obj.zspage.size_class.size
