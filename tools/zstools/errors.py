# SPDX-License-Identifier: GPL-2.0-only
"""Say what went wrong while a kernel was being built, and what to do next."""

from __future__ import annotations


class ZsToolsError(Exception):
    """Base of what these tools raise: the harness is at fault, never the kernel."""


class LayoutError(ZsToolsError):
    """The kernel's DWARF lacks what the module needs: built without it, or zsmalloc changed."""


class WireError(ZsToolsError):
    """The module's DWARF lacks the wire structures: built without -g, or stripped."""


class ConfigError(ZsToolsError):
    """A requested option does not hold after olddefconfig: usually an unsatisfied dependency."""


class SourceError(ZsToolsError):
    """No usable kernel source: no apt mirror, no supported package, an unreadable tree."""


class PatchError(ZsToolsError):
    """A patch of the series does not apply: the source is another version or already changed."""


class ToolMissingError(ZsToolsError):
    """A program or header that the kernel build needs is not installed."""


class CommandError(ZsToolsError):
    """An external command failed; its last lines are in the message, all of them in `output`."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class DiskFullError(ZsToolsError):
    """The cache's file system is full; nothing half-built counts."""


class BuildInterruptedError(ZsToolsError):
    """The build was interrupted; the same command goes on where it stopped."""


class CacheBusyError(ZsToolsError):
    """Another process builds in the same cache, and waiting was not wanted."""
