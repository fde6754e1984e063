# SPDX-License-Identifier: GPL-2.0-only
"""A reference model of zsmalloc and of the cgroups that own its objects: zsmodel."""

from zsmodel.faults import Words
from zsmodel.kernel import Kernel
from zsmodel.machine import Model

__all__ = ["Kernel", "Model", "Words"]
