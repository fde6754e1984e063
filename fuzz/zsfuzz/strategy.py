# SPDX-License-Identifier: GPL-2.0-only
"""What a worker fuzzes with: all that there is, or less, to see what each part is worth."""

from __future__ import annotations

from enum import Enum


class Strategy(Enum):
    """Name what of the fuzzer is used; the value is the word on the command line and in JSON."""

    FULL = "full"
    BLIND = "blind"  # programs by the mutator, but no coverage says which ones are worth keeping
    BYTES = "bytes"  # coverage, but libFuzzer's own mutations of bytes in place of the mutator
    SANITIZERS = "sanitizers"  # coverage and mutator, but no model: only the kernel complains

    @property
    def guided(self) -> bool:
        """Tell whether coverage decides what is kept."""
        return self is not Strategy.BLIND

    @property
    def structured(self) -> bool:
        """Tell whether the mutator knows what an operation is."""
        return self is not Strategy.BYTES

    @property
    def compared(self) -> bool:
        """Tell whether answers are compared with the model's."""
        return self is not Strategy.SANITIZERS
