# SPDX-License-Identifier: GPL-2.0-only
"""What tests of the kernel tree printed, captured from guests, and the table that comes of it.

In selftests/: test_zswap-uncharged.txt is from a kernel with guest/planted/uncharged.patch,
skipped.txt from a guest without cgroup2, zram-no-mkfs.txt from one without mkfs.ext2, in which
zram01 fills the wrong filesystem until it is stopped.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zsfuzz.console.complaints import find_splats
from zsfuzz.errors import HarnessError
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.selftests.compare import Results, find_complaints, find_differences
from zsfuzz.selftests.guest import WHOLE, Attempt, cases_of
from zsfuzz.selftests.output import Verdict, parse
from zsfuzz.selftests.programs import DEFAULT, Program, program_of
from zsfuzz.selftests.table import as_dict, exit_code_of, render

DATA = Path(__file__).parent / "selftests"
ZSWAP, ZRAM = DEFAULT
SPLAT = (Path(__file__).parents[1] / "snapshots" / "console" / "warn.log").read_text()


def said(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


def told(name: str, status: int | None = 0) -> str:
    """What comes over the line, without an end if there is no status."""
    end = "" if status is None else f"\nzsfuzz-selftests: end {status}\n"
    return f"zsfuzz-selftests: begin\n{said(name)}{end}"


def attempt(name: str, status: int | None = 0, ended: str = "", console: str = "") -> Attempt:
    cases = cases_of(told(name, status), ended, 300)
    return Attempt(cases, tuple(find_splats(console)), said(name), console, 1.0)


def results(*designs: Attempt | list[Attempt], program: Program = ZSWAP) -> Results:
    names = ("stock", "zspage", "zpdesc")[: len(designs)]
    attempts = {
        (name, program): one if isinstance(one, list) else [one]
        for name, one in zip(names, designs, strict=True)
    }
    return Results(names, (program,), attempts)


GOOD, BAD = attempt("test_zswap"), attempt("test_zswap-uncharged", 1)


# ---- reading ---------------------------------------------------------------------------------


def test_tap_gives_each_case_in_its_own_words() -> None:
    report = parse(said("test_zswap"))
    assert report.planned == 8
    assert {case.verdict for case in report.cases} == {Verdict.PASS}
    assert report.cases[0].name == "test_zswap_usage"
    assert report.cases[-1].name == "test_zswap_incompressible"


def test_a_failed_case_carries_what_was_said_before_it() -> None:
    failed = [c for c in parse(said("test_zswap-uncharged")).cases if c.verdict is Verdict.FAIL]
    assert [(c.name, c.detail) for c in failed] == [
        ("test_zswap_writeback_enabled", "zswpwb_after is 0 while wb is enabled"),
        ("test_no_kmem_bypass", ""),
        ("test_no_invasive_cgroup_shrink", ""),
    ]


def test_what_a_test_says_without_a_mark_is_said_of_the_next_result() -> None:
    deletion = parse(said("test_kmem")).cases[1]
    assert (deletion.name, deletion.verdict) == ("test_kmem_memcg_deletion", Verdict.FAIL)
    assert deletion.detail.startswith("memory.current = ")
    assert deletion.detail.endswith("; sock = 0")


@pytest.mark.parametrize(
    ("line", "verdict", "detail"),
    [
        ("ok 1 # SKIP test_a", Verdict.SKIP, ""),  # ksft_test_result_skip()
        ("ok 1 test_a # SKIP no swap", Verdict.SKIP, "no swap"),
        ("ok 1 - test_a", Verdict.PASS, ""),
        ("ok 1 # XFAIL test_a", Verdict.XFAIL, ""),
        ("not ok 1 test_a", Verdict.FAIL, ""),
        ("not ok 1 test_a # TODO later", Verdict.XFAIL, "later"),
    ],
)
def test_a_result_line(line: str, verdict: Verdict, detail: str) -> None:
    (case,) = parse(f"TAP version 13\n1..1\n{line}\n").cases
    assert (case.name, case.verdict, case.detail) == ("test_a", verdict, detail)


def test_a_name_that_comes_again_is_a_row_of_its_own() -> None:
    assert [c.name for c in parse("ok 1 a\nnot ok 2 a\n").cases] == ["a", "a (2)"]


def test_the_scripts_for_zram_give_their_steps_and_themselves() -> None:
    cases = parse(said("zram")).cases
    assert {case.verdict for case in cases} == {Verdict.PASS}
    names = [case.name for case in cases]
    assert names[0] == "zram01: zram set compression algorithm"
    assert "zram01: zram compression ratio" in names  # without the ratio itself
    assert [name for name in names if ":" not in name] == ["zram01", "zram02"]


def test_a_script_that_says_fail_has_failed_whatever_it_says_at_the_end() -> None:
    text = said("zram").replace("done with /dev/zram1", "FAIL swapon /dev/zram1 failed")
    verdicts = {case.name: case for case in parse(text).cases}
    step = verdicts["zram02: zram making zram mkswap and swapon"]
    assert (step.verdict, step.detail) == (Verdict.FAIL, "swapon /dev/zram1 failed")
    assert verdicts["zram02"].verdict is Verdict.FAIL
    assert verdicts["zram01"].verdict is Verdict.PASS


def test_a_script_that_ends_with_fail_has_failed() -> None:
    text = said("zram").replace("zram01 : [PASS]", "zram01 : [FAIL]")
    failed = [case.name for case in parse(text).cases if case.verdict is Verdict.FAIL]
    assert failed == ["zram01"]


# ---- the program as a whole ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "verdict", "detail"),
    [
        (GOOD, Verdict.PASS, ""),
        (BAD, Verdict.FAIL, "exit status 1"),
        (attempt("skipped", 4), Verdict.SKIP, "cgroup v2 isn't mounted"),
        (attempt("skipped", 0), Verdict.FAIL, "told of no case"),
        (attempt("zram-no-mkfs", None, "timeout"), Verdict.TIMEOUT, "did not end within 300 s"),
        (attempt("test_zswap", None, "the guest exited with 1"), Verdict.LOST,
         "the guest exited with 1"),
    ],
)  # fmt: skip
def test_the_last_case_is_the_program(one: Attempt, verdict: Verdict, detail: str) -> None:
    whole = one.cases[-1]
    assert (whole.name, whole.verdict, whole.detail) == (WHOLE, verdict, detail)


def test_a_program_that_tells_of_fewer_cases_than_it_announced_has_failed() -> None:
    text = told("test_zswap").replace("ok 8 test_zswap_incompressible\n", "")
    whole = cases_of(text, "", 300)[-1]
    assert (whole.verdict, whole.detail) == (Verdict.FAIL, "announced 8 cases, told of 7")


def test_a_script_that_was_stopped_is_told_of_as_far_as_it_went() -> None:
    cases = {case.name: case for case in attempt("zram-no-mkfs", None, "timeout").cases}
    assert cases["(cut off): zram mkfs.ext2"].verdict is Verdict.FAIL
    assert cases["(cut off)"].detail.endswith("did not end")


# ---- side by side ----------------------------------------------------------------------------


def test_designs_that_are_like_stock_are_clean() -> None:
    found = results(GOOD, GOOD, GOOD)
    assert exit_code_of(found) == EXIT_CLEAN
    assert render(found).endswith("9 cases; different from stock: 0")


def test_what_fails_on_stock_as_well_is_no_finding_but_is_told() -> None:
    found = results(BAD, BAD)
    assert exit_code_of(found) == EXIT_CLEAN
    assert "on stock already: cgroup/test_zswap test_no_kmem_bypass: fail" in render(found)


def test_what_fails_on_one_design_is_a_finding_there() -> None:
    found = results([GOOD] * 3, [BAD] * 3, GOOD)
    assert exit_code_of(found) == EXIT_FINDINGS
    assert {d.design for d in find_differences(found)} == {"zspage"}
    assert render(found) == (DATA / "table.txt").read_text().rstrip("\n")


@pytest.mark.parametrize(
    "ending",
    [
        attempt("zram", None, "timeout"),
        attempt("zram", None, "the guest exited with 1"),
        attempt("skipped", 4),
        attempt("skipped", 0),
        Attempt((), (), "", "", 1.0),
    ],
    ids=["timeout", "lost", "skipped", "told of nothing", "not run"],
)
def test_a_program_without_a_result_on_stock_is_a_failure_of_the_harness(ending: Attempt) -> None:
    both = {("stock", ZRAM): [ending], ("zspage", ZRAM): [ending]}
    good = results(GOOD, GOOD)
    found = Results(good.designs, (ZSWAP, ZRAM), {**good.attempts, **both})
    assert exit_code_of(found) == EXIT_HARNESS_ERROR
    assert "zram/zram.sh has no result on stock: it is not compared" in render(found)
    assert find_differences(found) == []


def test_what_passes_on_a_design_alone_is_a_finding_too() -> None:
    assert exit_code_of(results(BAD, GOOD)) == EXIT_FINDINGS


def test_a_case_that_a_design_did_not_run_is_a_finding() -> None:
    lost = Attempt(GOOD.cases[:3], (), "", "", 1.0)
    last = find_differences(results(GOOD, lost))[0]
    assert (last.found.name, last.found.verdict) == (GOOD.cases[3].name, Verdict.NOT_RUN)


def test_a_difference_that_does_not_come_again_is_called_flaky() -> None:
    one = find_differences(results([GOOD] * 3, [BAD, GOOD, BAD]))[0]
    assert "(2/3, flaky)" in one.title


def test_a_complaint_of_the_kernel_is_a_finding_on_stock_too() -> None:
    found = results(attempt("test_zswap", console=SPLAT))
    assert exit_code_of(found) == EXIT_FINDINGS
    assert [c.title for c in find_complaints(found)] == [
        f"{ZSWAP}: {find_splats(SPLAT)[0].title} on stock"
    ]


def test_json_has_the_verdict_of_each_design() -> None:
    got = json.loads(json.dumps(as_dict(results([GOOD] * 3, [BAD] * 3))))
    row = next(r for r in got["cases"] if r["case"] == "test_no_kmem_bypass")
    assert row["verdicts"] == {"stock": "pass", "zspage": "fail"}
    assert [(d["times"], d["tries"]) for d in got["differences"]] == [(3, 3)] * 4


# ---- names -----------------------------------------------------------------------------------


def test_a_test_is_named_by_folder_and_program() -> None:
    assert program_of("cgroup/test_kmem") == Program("cgroup", "test_kmem")


@pytest.mark.parametrize("text", ["test_zswap", "../cgroup/x", "/zram/zram.sh", "zram/", "a/b/c"])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(HarnessError, match=r"write FOLDER/NAME"):
        program_of(text)
