# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C ends a search in order the first time, and at once the second time."""

from __future__ import annotations

import signal

import pytest

from zsfuzz.minimise.cli import interruptible


def test_the_first_interrupt_is_a_question() -> None:
    with interruptible() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()


def test_the_second_interrupt_interrupts() -> None:
    with interruptible():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_an_interrupt_is_what_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        pass
    assert signal.getsignal(signal.SIGINT) is before
