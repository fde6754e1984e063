# SPDX-License-Identifier: GPL-2.0-only
"""Whatever goes wrong in a command, its exit code is not the one that means a finding."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from guest_support import command

from zsfuzz.cli import _Group, main
from zsfuzz.corpusfile import Entry, save
from zsfuzz.errors import HarnessError
from zsfuzz.outcome import EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.text import parse_program


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (HarnessError("no guest"), "Error: no guest\n"),
        (KeyboardInterrupt(), "Error: interrupted before there was a result\n"),
        (
            OSError(28, "No space left on device", "out/x"),
            "Error: out/x: no space left on device\n",
        ),
        (OSError(28, "No space left on device"), "Error: reading or writing failed: no space left"),
        (
            ZeroDivisionError("by nothing"),
            "by nothing\nError: this is a fault of",
        ),
    ],
)
def test_an_error_is_a_failure_of_the_harness(error: BaseException, said: str) -> None:
    @click.group(cls=_Group)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise error

    done = CliRunner().invoke(group, ["fail"])
    assert done.exit_code == EXIT_HARNESS_ERROR
    assert said in done.stderr


def test_a_finding_keeps_its_exit_code() -> None:
    @click.group(cls=_Group)
    def group() -> None:
        pass

    @group.command()
    @click.pass_context
    def find(ctx: click.Context) -> None:
        ctx.exit(EXIT_FINDINGS)

    assert CliRunner().invoke(group, ["find"]).exit_code == EXIT_FINDINGS


def test_a_full_disk_behind_stdout_is_no_finding(tmp_path: Path) -> None:
    path = save(tmp_path, Entry(parse_program("shrink(p0)")))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("show", path), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == EXIT_HARNESS_ERROR
    assert done.stderr == "Error: reading or writing failed: no space left on device\n"


def test_help_is_clean() -> None:
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0


def test_show_takes_folders_and_names_what_it_cannot_use(tmp_path: Path) -> None:
    save(tmp_path / "a", Entry(parse_program("shrink(p0)"), note="shrinks"))
    (tmp_path / "a" / "bad.msgpack").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["show", str(tmp_path / "a"), str(tmp_path / "empty")])
    assert done.exit_code == EXIT_HARNESS_ERROR
    assert "shrink(p0)" in done.stdout
    assert "bad.msgpack: " in done.stderr
    assert "empty: no *.msgpack in it" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error_to_tell(tmp_path: Path) -> None:
    for number in range(100):
        save(tmp_path, Entry(parse_program("shrink(p0)\n" * (1 + number))), durable=False)
    with subprocess.Popen(
        command("show", tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == EXIT_HARNESS_ERROR
