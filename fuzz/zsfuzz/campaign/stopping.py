# SPDX-License-Identifier: GPL-2.0-only
"""End a campaign from outside, and clean up after one that was killed."""

from __future__ import annotations

import signal
from pathlib import Path

from zsfuzz.campaign.crew import STOP_LIMIT
from zsfuzz.campaign.database import CampaignMissing
from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.leftovers import clean
from zsfuzz.campaign.status import supervisor_of
from zsfuzz.errors import HarnessError
from zsfuzz.findings.store import locked_output

MARGIN = 30.0  # seconds that the supervisor has beyond what its workers have


def stop(root: Path) -> str:
    """Ask the supervisor to end, and wait until it is gone; says what was done.

    Raises HarnessError if it does not end, OutputBusy if it runs on another machine.
    """
    layout = Layout(root)
    if not layout.database.is_file():
        raise CampaignMissing(f"{root}: no campaign there: begin one with `zsfuzz campaign start`")
    running = supervisor_of(root)
    if running and running.send(signal.SIGTERM) and not running.wait(STOP_LIMIT + MARGIN):
        raise HarnessError(
            f"process {running.pid} has not ended {STOP_LIMIT + MARGIN:g} s after it was asked: "
            f"kill it, then run `zsfuzz campaign stop {root}` again, which cleans up"
        )
    copy = layout.is_copy
    with locked_output(root):
        workers, saved = clean(root)
    if copy:
        return f"it is a copy, whose original was left alone: {saved} inputs kept"
    if workers:
        return f"it had been killed: {workers} workers ended, {saved} inputs kept"
    return "stopped" if running else "it was not running"
