# SPDX-License-Identifier: GPL-2.0-only
"""The command line."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from zsfuzz.bench.bugs.cli import bugs_command
from zsfuzz.bench.costcli import bench_cost
from zsfuzz.bench.minimise import bench_minimise
from zsfuzz.bench.replay import bench_replay
from zsfuzz.bench.speedcli import bench_speed
from zsfuzz.campaign.cli import campaign as campaign_group
from zsfuzz.corpus.cli import corpus as corpus_group
from zsfuzz.corpus.edit import load_all
from zsfuzz.corpus.textfile import to_text
from zsfuzz.doctorcli import doctor_command
from zsfuzz.errors import BootFailed, ZsfuzzError
from zsfuzz.matrixcli import matrix_command
from zsfuzz.minimise.cli import minimise as minimise_command
from zsfuzz.outcome import EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.probe.cli import probe_command
from zsfuzz.reached.cli import bench_coverage
from zsfuzz.replay.cli import replay as replay_command
from zsfuzz.replay.verdict import BadFile
from zsfuzz.repro.checkcli import check_reproducers
from zsfuzz.repro.cli import repro as repro_command
from zsfuzz.runcli import run_command
from zsfuzz.selftests.cli import selftests as selftests_command
from zsfuzz.terminal import one_line, say, visible
from zsfuzz.verify.cli import bisect as bisect_command
from zsfuzz.verify.cli import verify as verify_command
from zstools.cli import kernel as kernel_group
from zstools.errors import ZsToolsError


class Failed(click.ClickException):
    """A failure of the harness or of what it was given: exit code 2."""

    exit_code = EXIT_HARNESS_ERROR


class _KernelFailed(click.ClickException):
    """The kernel under test complained when it had to boot: exit code 1."""

    exit_code = EXIT_FINDINGS


class _Group(click.Group):
    """End with exit code 2 whatever goes wrong, since Python's own 1 would mean a finding.

    Our own errors, a failing system call and Ctrl-C before there is a result are one line each.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except BootFailed as error:
            raise _KernelFailed(
                visible(f"a guest does not get ready, as its kernel complains: {error}")
            ) from error
        except (ZsfuzzError, ZsToolsError) as error:
            raise Failed(visible(str(error))) from error
        except KeyboardInterrupt:
            raise Failed("interrupted before there was a result") from None
        except BrokenPipeError:  # whoever read has seen enough, as `head` does: nothing to tell
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(EXIT_HARNESS_ERROR) from None
        except OSError as error:
            where = error.filename or "reading or writing failed"
            raise Failed(visible(f"{where}: {(error.strerror or str(error)).lower()}")) from error
        except Exception as error:
            traceback.print_exc()
            raise Failed("this is a fault of zsfuzz itself: please report it") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Fuzz the kernel's zsmalloc and the memory cgroups that own its objects.

    Exit codes: 0 clean, 1 findings, 2 failure of the harness.
    """


@main.group()
def bench() -> None:
    """Measure how good and how fast it is."""


kernel_group.add_command(probe_command)
for command in (bugs_command, bench_cost, bench_minimise, bench_replay, bench_speed,
                bench_coverage):  # fmt: skip
    bench.add_command(command)
for command in (run_command, doctor_command, matrix_command, kernel_group, selftests_command,
                minimise_command, corpus_group, campaign_group, replay_command, repro_command,
                verify_command, bisect_command, check_reproducers):  # fmt: skip
    main.add_command(command)
main.add_command(minimise_command, "minimize")


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def show(paths: tuple[Path, ...]) -> None:
    """Print saved programs (files, or folders of them) as text, with what they are for."""
    errors: list[BadFile] = []
    for entry in load_all(paths, errors):
        say(f"# {one_line(str(entry.path))}\n{to_text(entry)}")
    for error in errors:
        say(f"error: {error}", err=True)
    if errors:
        sys.exit(EXIT_HARNESS_ERROR)


if __name__ == "__main__":
    main()
