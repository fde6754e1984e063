# SPDX-License-Identifier: GPL-2.0-only
"""Workers on other machines, as tasks of Dask; what they find travels through fsspec."""

from zsfuzz.campaign.distributed.engine import connect

__all__ = ["connect"]
