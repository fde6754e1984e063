# SPDX-License-Identifier: GPL-2.0-only
"""Write a finding for programs: the same as in report.txt, as JSON."""

import json
from dataclasses import asdict

from zsfuzz.report.account import Account

VERSION = 1  # counts changes after which old readers fail


def render_json(account: Account) -> str:
    """Write the report; its members are those of Account, in the same order."""
    return json.dumps({"version": VERSION, **asdict(account)}, indent=2) + "\n"
