# SPDX-License-Identifier: GPL-2.0-only
"""Tie a child process to its parent's life, so that nothing is left behind by SIGKILL either."""

from __future__ import annotations

import ctypes
import os
import signal

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have this process killed when `parent` ends; to be called in the child, before exec.

    It is the parent's *thread* that counts: start children from a thread that lives on.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
