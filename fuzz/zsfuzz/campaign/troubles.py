# SPDX-License-Identifier: GPL-2.0-only
"""What cannot be done now, and may be done later: on a full disk nothing may end a campaign."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from subprocess import SubprocessError

from zsfuzz.campaign.database import CampaignBusy
from zsfuzz.campaign.recorder import Recorder
from zsfuzz.errors import OutputLost

# What a full disk, or an exchange that does not answer, may prevent for a while.
DISK_ERRORS = (sqlite3.OperationalError, CampaignBusy, OutputLost, OSError, SubprocessError)


class Troubles:
    """Keep what could not be done; the database may not be able to take it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._why: dict[str, str] = {}

    def __contains__(self, what: str) -> bool:
        return what in self._why

    def guarded(self, what: str, action: Callable[[], None]) -> None:
        """Do what a full disk may prevent; the caller does it again later.  Told of once."""
        try:
            action()
        except DISK_ERRORS as error:
            if what not in self._why:
                self._recorder.event("disk", f"cannot {what}: {error}")
            self._why[what] = str(error)
        else:
            self._why.pop(what, None)

    def why(self, what: str) -> str:
        """Give the reason why it cannot be done; empty if nothing prevents it."""
        return self._why.get(what, "")

    def lines(self) -> list[str]:
        """Say what is prevented now."""
        return [f"cannot {what}: {why}" for what, why in sorted(self._why.items())]
