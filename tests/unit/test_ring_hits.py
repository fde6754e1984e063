# SPDX-License-Identifier: GPL-2.0-only
"""Hits of coverage sites over days, though a guest counts in 32 bits."""

from zsfuzz.guest.machine import add_wrapped


def test_what_a_fresh_guest_has_counted_is_added():
    assert add_wrapped([5, 7], [], [1, 0]) == [6, 7]


def test_a_counter_that_has_wrapped_counts_on():
    assert add_wrapped([1 << 32], [0xFFFFFFFE], [3]) == [(1 << 32) + 5]
