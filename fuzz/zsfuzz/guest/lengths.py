# SPDX-License-Identifier: GPL-2.0-only
"""Whether the compressed lengths that a guest measured at its start can be right at all.

The model takes them from the guest, so a length that is impossible would end in the model, or, if
an object is said to be none, hide what the kernel does.
"""

from __future__ import annotations

from collections.abc import Sequence

from zsfuzz.errors import HarnessError
from zsmodel.wire import PATTERNS

_ZEROS, _WORD, _NOISE = 0, 1, PATTERNS - 1  # patterns; kmod/agent/swap.c has the contents


def check_lengths(zswap: Sequence[int], disk: Sequence[int], page_size: int) -> None:
    """Raise HarnessError for the first length, in bytes, that no page of its pattern can have.

    Zeros take up nothing (swap_writeout), nor does one word on the disk (zram_write_page); what
    does not compress is stored as it is; all else takes up an object of at most a page.
    """
    some, none, whole = range(1, page_size + 1), range(1), range(page_size, page_size + 1)
    possible = {_ZEROS: (none, none), _WORD: (some, none), _NOISE: (whole, whole)}
    for pattern, lengths in enumerate(zip(zswap, disk, strict=True)):
        wanted = possible.get(pattern, (some, some))
        for place, length, good in zip(("in zswap", "on the disk"), lengths, wanted, strict=True):
            if length not in good:
                raise HarnessError(
                    f"a page of pattern {pattern} was measured as {length} bytes {place}, but "
                    f"can have {_span(good)} only: the module reads zswap or zram wrong, or the "
                    "kernel stores pages wrong; see kmod/swap.c"
                )


def _span(good: range) -> str:
    return str(good[0]) if len(good) == 1 else f"{good[0]} to {good[-1]}"
