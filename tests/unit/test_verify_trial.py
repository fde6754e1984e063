# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_target import WARNING, WARNING_TITLE, FakeTarget, free_keeps_owner

from zsfuzz.corpusfile import Entry, pack
from zsfuzz.errors import BadCorpusFile, BootFailed, ZsfuzzError
from zsfuzz.manifest import kernel_arguments
from zsfuzz.text import parse_program
from zsfuzz.verify.cli import spec_for
from zsfuzz.verify.saved import load_finding
from zsfuzz.verify.trial import attempt
from zstools.kernel import KernelSpec

pytestmark = pytest.mark.unit

PROGRAM = parse_program(
    "o0 = malloc(p0, size=2040)\no1 = malloc(p0, size=2040, owner=c1)\nfree(o1)"
)
TITLE = "free slot keeps an owner"


def test_a_kernel_without_the_bug_is_clean() -> None:
    trial = attempt(FakeTarget, PROGRAM.wire, TITLE, 4)
    assert trial.clean
    assert str(trial) == "does not show in 4 runs"


def test_a_kernel_with_the_bug_shows_it_in_each_run() -> None:
    trial = attempt(lambda: FakeTarget(free_keeps_owner), PROGRAM.wire, TITLE, 4)
    assert (trial.hits, trial.runs) == (4, 4)
    assert trial.trouble is not None
    assert str(trial) == "shows in 4 of 4 runs"


def test_runs_end_once_it_was_seen_often_enough() -> None:
    assert attempt(lambda: FakeTarget(free_keeps_owner), PROGRAM.wire, TITLE, 4, enough=1).runs == 1


def test_trouble_with_another_title_is_told_apart() -> None:
    trial = attempt(lambda: FakeTarget(free_keeps_owner), PROGRAM.wire, "something else", 2)
    assert not trial.clean
    assert (trial.hits, trial.others[TITLE]) == (0, 2)


def test_without_a_title_the_first_trouble_gives_it() -> None:
    assert attempt(lambda: FakeTarget(free_keeps_owner), PROGRAM.wire, "", 2).title == TITLE


def test_each_run_is_on_a_guest_of_its_own() -> None:
    targets: list[FakeTarget] = []

    def start() -> FakeTarget:
        targets.append(FakeTarget())
        return targets[-1]

    attempt(start, PROGRAM.wire, TITLE, 3)
    assert [target.starts for target in targets] == [1, 1, 1]


def test_a_kernel_that_does_not_get_ready_shows_it_too() -> None:
    def start() -> FakeTarget:
        raise BootFailed("the guest ended before it was ready", WARNING)

    trial = attempt(start, b"", f"no guest gets ready: {WARNING_TITLE}", 2)
    assert (trial.hits, trial.runs) == (2, 2)
    other = attempt(start, PROGRAM.wire, TITLE, 2)
    assert str(other) == f"2 of 2 runs end otherwise: no guest gets ready: {WARNING_TITLE}"


# ---- what was saved ----------------------------------------------------------------------------


def finding_in(folder: Path, reproduced: tuple[int, int] = (10, 10)) -> Path:
    folder.mkdir()
    (folder / "program.msgpack").write_bytes(pack(Entry(PROGRAM, design="zspage")))
    summary = {"title": TITLE, "flavours": ["kasan"], "reproduced": reproduced}
    (folder / "finding.json").write_text(json.dumps(summary))
    kernel = {"design": "zpdesc", "flavour": "plain", "variants": ["chain-16"]}
    (folder / "kernel.json").write_text(json.dumps(kernel))
    return folder


def test_folder_and_program_file_tell_the_same(tmp_path: Path) -> None:
    folder = finding_in(tmp_path / "f")
    assert load_finding(folder) == load_finding(folder / "program.msgpack")
    saved = load_finding(folder)
    told = saved.title, saved.design, saved.flavour, saved.variants
    assert told == (TITLE, "zpdesc", "kasan", ("chain-16",))


def test_fragments_and_adapter_of_a_finding_are_used_again(tmp_path: Path) -> None:
    folder = finding_in(tmp_path / "f")
    fragment, adapter = tmp_path / "more.config", tmp_path / "adapter.toml"
    kernel = json.loads((folder / "kernel.json").read_text())
    kernel |= {"fragments": [str(fragment)], "adapter": str(adapter)}
    (folder / "kernel.json").write_text(json.dumps(kernel))
    saved = load_finding(folder)
    with pytest.raises(ZsfuzzError, match=r"more.config, with which it was found, is not there"):
        spec_for(KernelSpec("", ""), saved)
    for path in (fragment, adapter):
        path.write_text("")
    spec = spec_for(KernelSpec("", ""), saved)
    assert (spec.config, spec.adapter) == ((fragment,), adapter)
    words = kernel_arguments(spec)
    assert words[-4:] == ["--config", str(fragment), "--adapter", str(adapter)]


def test_a_lone_program_brings_its_design_and_the_title_in_its_note(tmp_path: Path) -> None:
    file = tmp_path / "small.min.msgpack"
    file.write_bytes(pack(Entry(PROGRAM, f"divergence: {TITLE}", "zspage")))
    assert (load_finding(file).title, load_finding(file).design) == (TITLE, "zspage")


def test_a_folder_without_program_is_no_finding(tmp_path: Path) -> None:
    with pytest.raises(BadCorpusFile, match=r"no program\.msgpack in it"):
        load_finding(tmp_path)


@pytest.mark.parametrize(("seen", "runs"), [((10, 10), 3), ((5, 10), 7), ((1, 10), 44)])
def test_what_rarely_shows_is_tried_more_often(
    tmp_path: Path, seen: tuple[int, int], runs: int
) -> None:
    assert load_finding(finding_in(tmp_path / "f", seen)).runs == runs
