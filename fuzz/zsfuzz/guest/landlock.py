# SPDX-License-Identifier: GPL-2.0-only
"""Landlock: what a process may do with files, ports and signals, given up for good before exec.

Needs no rights, but Linux 5.13 or later with Landlock enabled; older ones know fewer rights.
See Documentation/userspace-api/landlock.rst in the kernel's tree.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Mapping
from enum import IntFlag
from functools import cache
from pathlib import Path
from struct import Struct

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_ASK_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_RULESET = Struct("=QQQ")  # struct landlock_ruleset_attr
_RULE = Struct("=Qi")  # struct landlock_path_beneath_attr, packed

_PORTS_SINCE, _SCOPES_SINCE = 4, 6  # versions of Landlock's interface
_PORTS = 3  # bind and connect TCP
_SCOPES = 3  # abstract Unix sockets, and signals


class Access(IntFlag):
    """What can be done with files; what is not granted is refused."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    TRUNCATE = 1 << 14


# How many kinds of access each version of the interface knows.
_KINDS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_ON_FILES = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE


@cache
def landlock_version() -> int:
    """Tell which version of the interface this machine has; 0: none."""
    return max(0, int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)))


def make_ruleset(granted: Mapping[Path, Access]) -> int | None:
    """Prepare to grant no more than this; gives a descriptor for `restrict_self`, or None.

    What is granted for a folder is granted for all below it.  Paths that are not there are left
    out.  TCP, and signals and abstract sockets to others, are refused as far as Landlock can.
    """
    version = landlock_version()
    if not version:
        return None
    handled = (1 << _KINDS.get(version, _KINDS[5])) - 1
    ports = _PORTS if version >= _PORTS_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    ruleset = _checked(
        _LIBC.syscall(
            _CREATE_RULESET,
            _RULESET.pack(handled, ports, scopes),
            ctypes.c_size_t(_RULESET.size),
            0,
        )
    )
    try:
        for path, access in granted.items():
            with contextlib.suppress(FileNotFoundError):
                _grant(ruleset, path, access & handled)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def _grant(ruleset: int, path: Path, access: int) -> None:
    where = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = access if path.is_dir() else access & _ON_FILES
        rule = _RULE.pack(rights, where)
        _checked(_LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    finally:
        os.close(where)


def restrict_self(ruleset: int) -> None:
    """Give up all else, for this thread and what it executes; to be called in a child."""
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
