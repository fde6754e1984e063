# SPDX-License-Identifier: GPL-2.0-only
"""Which functions of mm/zsmalloc.c the module calls in a kernel, whatever they are called there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from zstools.discovery import FREE, MALLOC, WRITE

_NAME = re.compile(r"[A-Za-z_]\w*")


def called_functions(layout: Path, known: set[str]) -> dict[str, set[str]]:
    """Name those of the @known functions that allocate, write and free, by role.

    A role is left out if none of them has it: its call may go through a wrapper in a header.
    Several are alternatives, such as for objects with and without owner.
    """
    expressions = json.loads(layout.read_text())["calls"]["expressions"]
    named = {role: known & set(_NAME.findall(expressions[role])) for role in (MALLOC, WRITE, FREE)}
    return {role: names for role, names in named.items() if names}
