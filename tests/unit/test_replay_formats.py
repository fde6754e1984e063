# SPDX-License-Identifier: GPL-2.0-only
"""Replay reports as JUnit, KTAP and JSON say the same as the text."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from zsfuzz.cli import main
from zsfuzz.outcome import Outcome
from zsfuzz.replay.formats import to_json, to_junit, to_ktap, to_text
from zsfuzz.replay.run import Shard
from zsfuzz.replay.verdict import BadFile, ReplayReport, Verdict, undecided

GOOD = Verdict(Path("corpus/a.msgpack"), Outcome.AGREE)
BAD = Verdict(
    Path("corpus/b 1.msgpack"), Outcome.DIVERGENCE, 2, 3, "owner lost",
    "divergence: owner lost\n\n    > free(o0)  \x1b[1m<&]]>\n",
)  # fmt: skip
HANG = Verdict(Path("corpus/c.msgpack"), Outcome.GUEST_HANG, 1, 1, "guest does not answer", "hang")
BROKEN = BadFile(Path("corpus/d.msgpack"), "corpus/d.msgpack: the file is empty: delete it")
REPORT = ReplayReport((GOOD, BAD, HANG), (BROKEN,), "7.2, design zspage, plain", 0.5, 12)


def test_junit_has_a_case_for_each_file() -> None:
    (suite,) = ElementTree.fromstring(to_junit(REPORT))
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["4", "2", "1", "0"]
    assert suite.find("properties/property").get("value") == REPORT.kernel
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == ["a", "b 1", "c", "d"]
    assert len(cases["a"]) == 0
    failure = cases["b 1"].find("failure")
    assert (failure.get("message"), failure.get("type")) == ("owner lost", "divergence")
    assert failure.text == "divergence (2 of 3 times)\n" + BAD.text.replace("\x1b", "\ufffd")
    assert cases["d"].find("error").get("message") == BROKEN.reason


def test_ktap_has_a_result_for_each_file() -> None:
    assert (
        to_ktap(REPORT)
        == """\
KTAP version 1
1..1
  KTAP version 1
  # Subtest: zsfuzz
  # kernel: 7.2, design zspage, plain
  1..4
  ok 1 corpus/a.msgpack
  # corpus/b_1.msgpack: divergence (2 of 3 times)
  # divergence: owner lost
  #
  #     > free(o0)  \x1b[1m<&]]>
  not ok 2 corpus/b_1.msgpack
  # corpus/c.msgpack: guest hang (1 of 1 times)
  # hang
  not ok 3 corpus/c.msgpack # TIMEOUT
  # corpus/d.msgpack: corpus/d.msgpack: the file is empty: delete it
  not ok 4 corpus/d.msgpack # ERROR the file cannot be used
not ok 1 zsfuzz
"""
    )


def test_ktap_of_good_programs_is_ok() -> None:
    assert to_ktap(ReplayReport((GOOD,))).endswith("  ok 1 corpus/a.msgpack\nok 1 zsfuzz\n")


def test_a_file_name_that_is_no_text_is_written_in_each_format() -> None:
    path = Path(os.fsdecode(b"bad\xff\x01 #\\.msgpack"))
    report = ReplayReport((replace(GOOD, path=path),), (BadFile(path, "empty"),))
    suite = ElementTree.fromstring(to_junit(report).encode())
    assert [case.get("name") for case in suite.iter("testcase")] == ["bad\ufffd\ufffd #\\"] * 2
    assert "  ok 1 bad_____.msgpack\n  # bad_____.msgpack: empty\n" in to_ktap(report)


def test_a_file_name_with_a_new_line_makes_no_result_of_its_own() -> None:
    path = Path("a\nok 1 zsfuzz")
    text = to_ktap(ReplayReport((), (BadFile(path, f"{path}: empty"),)))
    results = [line for line in text.splitlines() if not line.startswith("  #")]
    assert results[4:] == ["  not ok 1 a_ok_1_zsfuzz # ERROR the file cannot be used",
                           "not ok 1 zsfuzz"]  # fmt: skip


def test_json_names_what_is_not_good() -> None:
    facts = json.loads(to_json(REPORT))
    assert (facts["programs"], facts["exit_code"]) == (3, 2)
    assert [Verdict.from_dict(raw) for raw in facts["in_trouble"]] == [BAD, HANG]
    assert facts["errors"] == [{"path": str(BROKEN.path), "reason": BROKEN.reason}]


def test_text_names_all_of_few_programs_and_only_trouble_of_many() -> None:
    assert "corpus/a.msgpack: agree\n" in to_text(REPORT, few=3)
    many = to_text(REPORT, few=2)
    assert "agree" not in many
    assert "corpus/b 1.msgpack: divergence (2 of 3 times)\ndivergence: owner lost\n" in many
    assert many.endswith("3 programs, 2 in trouble, 1 files that could not be used\n")


@pytest.mark.parametrize(
    ("verdicts", "errors", "code"),
    [((GOOD,), (), 0), ((GOOD, BAD), (), 1), ((GOOD,), (BROKEN,), 2), ((BAD,), (BROKEN,), 2)],
)
def test_exit_codes(verdicts, errors, code) -> None:
    assert ReplayReport(verdicts, errors).exit_code == code


def test_what_the_harness_could_not_decide_is_an_error_in_each_format() -> None:
    left = undecided(Path("corpus/e.msgpack"), "no space on /dev/shm")
    report = replace(REPORT, verdicts=(GOOD, left), errors=())
    assert report.exit_code == 2
    assert report.troubled == ()
    (case,) = [c for c in ElementTree.fromstring(to_junit(report)).iter("testcase") if len(c)]
    assert case.find("error").attrib == {
        "message": "no space on /dev/shm", "type": "harness error"
    }  # fmt: skip
    assert "  not ok 2 corpus/e.msgpack # ERROR undecided" in to_ktap(report).splitlines()
    (named,) = json.loads(to_json(report))["undecided"]
    assert named == {"path": "corpus/e.msgpack", "reason": "no space on /dev/shm"}
    text = to_text(report, few=0).splitlines()
    assert text == [
        "1 programs are undecided: no space on /dev/shm",
        "2 programs, 0 in trouble, 1 undecided, 0 files that could not be used",
    ]


def test_a_kernel_that_complains_at_a_boot_is_no_failure_of_the_harness() -> None:
    left = undecided(Path("corpus/e.msgpack"), "the kernel complained")
    report = ReplayReport((GOOD, left), complaints=("the kernel complained",))
    assert report.exit_code == 1
    assert json.loads(to_json(report))["complaints"] == ["the kernel complained"]
    assert replace(report, failures=("no space on /dev/shm",)).exit_code == 2


def test_what_was_not_replayed_says_so() -> None:
    assert replace(BAD, hits=0, tries=0).words == "divergence (not replayed)"


def test_what_is_flaky_is_in_trouble() -> None:
    flaky = replace(BAD, outcome=Outcome.FLAKY, hits=0)
    assert ReplayReport((flaky,)).exit_code == 1
    assert flaky.words == "flaky (0 of 3 times)"


def test_shards_are_all_and_share_nothing() -> None:
    paths = [Path(str(n)) for n in range(10)]
    shards = [Shard(k, 3).of(paths) for k in (1, 2, 3)]
    assert [len(shard) for shard in shards] == [4, 3, 3]
    assert sorted(path for shard in shards for path in shard) == paths


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "a/b", "-1/2"])
def test_a_shard_that_is_none_is_refused(shard: str) -> None:
    done = CliRunner().invoke(main, ["replay", "--shard", shard, "corpus"])
    assert done.exit_code == 2
    assert f"{shard!r}: give K/N" in done.stderr
