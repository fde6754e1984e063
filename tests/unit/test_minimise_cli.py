# SPDX-License-Identifier: GPL-2.0-only
"""Signals end a search in order the first time, and at once the second time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from fake_target import FakeTarget

from zsfuzz.cli import main
from zsfuzz.corpusfile import Entry, load, save
from zsfuzz.findings.finding import Finding
from zsfuzz.minimise import cli
from zsfuzz.minimise.cli import interruptible
from zsfuzz.outcome import Outcome
from zsfuzz.text import parse_program
from zstools.kernel import KernelSpec


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_is_a_question(number: signal.Signals) -> None:
    with interruptible() as asked:
        assert not asked()
        signal.raise_signal(number)
        assert asked()


@pytest.fixture
def _python_handles_interrupts() -> Iterator[None]:
    """A job in the background is started with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_python_handles_interrupts")
def test_the_second_interrupt_interrupts() -> None:
    with interruptible():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_an_interrupt_is_what_it_was() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = list(map(signal.getsignal, numbers))
    with interruptible():
        pass
    assert list(map(signal.getsignal, numbers)) == before


def test_a_place_that_cannot_be_is_said_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, Entry(parse_program("free(o0)")))
    monkeypatch.setattr(cli, "take_kernel", lambda _: pytest.fail("a kernel was asked for"))
    done = CliRunner().invoke(main, ["minimise", str(path), "--output", f"{path}/folder/small"])
    assert done.exit_code == 2
    assert f"{path}/folder: not a directory: " in done.stderr


def test_the_profile_that_was_used_goes_with_the_small_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the default one, and not what the large one was saved with."""
    program = parse_program("free(o0)")
    path = save(tmp_path, Entry(program, extra={"profile": "rewrite=keep"}))
    kernel = SimpleNamespace(spec=KernelSpec("zspage", "kasan", tmp_path, profile=""))
    found = Finding(Outcome.DIVERGENCE, "owner lost", program, minimised=(3, 1))
    monkeypatch.setattr(cli, "take_kernel", lambda _: kernel)
    monkeypatch.setattr(cli, "_other_guests", lambda *_: {})
    monkeypatch.setattr(cli, "boot", lambda *_: nullcontext(FakeTarget()))
    monkeypatch.setattr(cli, "_find", lambda *_: found)
    small = tmp_path / "small.msgpack"
    done = CliRunner().invoke(main, ["minimise", str(path), "--output", str(small)])
    assert done.exit_code == 1, done.output
    assert load(small).extra["profile"] == "default"
