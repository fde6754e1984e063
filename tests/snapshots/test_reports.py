# SPDX-License-Identifier: GPL-2.0-only
"""The exact text of reports: they are what people see of a finding."""

import re
from pathlib import Path

from zsfuzz.console import find_splats
from zsfuzz.finding import Finding, divergence_finding, splat_finding
from zsfuzz.oracle import compare
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.account import rule_of
from zsfuzz.report import render
from zsfuzz.text import parse_program
from zsmodel import Kernel, Model
from zsmodel.zspage import Zspage

HERE = Path(__file__).parent
KERNEL = Kernel("zspage")
FILE = Path("out/findings/1f2c9a/program.msgpack")
MANIFEST = {
    "version": "7.2.13",
    "design": "zspage",
    "guest": "UML",
    "config": "9b1e44c0ffee4242",
    "protocol": 1,
}
PROGRAM = parse_program(
    """
    o0 = malloc(p0, size=2712, owner=c1, pattern=3)
    o1 = malloc(p0, size=2712, owner=c2)
    free(o0)
    o2 = malloc(p0, size=2712)
    compact(p0)
    """
)


def answers(program, monkeypatch):
    """The kernel's answer, with a slot that free does not clear, and the model's."""
    expected = Model(KERNEL).run(program.wire)
    original = Zspage.obj_free

    def keep_owner(zspage, index):
        owner = zspage.owners[index]
        original(zspage, index)
        zspage.owners[index] = owner

    with monkeypatch.context() as patch:
        patch.setattr(Zspage, "obj_free", keep_owner)
        return Model(KERNEL).run(program.wire), expected


def diverging(program, monkeypatch, **more):
    kernel, model = answers(program, monkeypatch)
    divergence = compare(program, kernel, model, KERNEL)
    return divergence_finding(program, divergence, kernel=MANIFEST, seed=0x51, **more)


def test_a_result_that_differs(monkeypatch, snapshot):
    finding = diverging(
        PROGRAM,
        monkeypatch,
        console="zsfuzz: serving\n",
        flavours=("plain", "kasan"),
        reproduced=(3, 3),
        minimised=(212, 34),
        not_compared=("the free list of a full zspage",),
    )
    snapshot(HERE / "reports" / "result.txt", render(finding, FILE))


def test_a_snapshot_that_differs(monkeypatch, snapshot):
    program = Program(PROGRAM.ops[:3])
    finding = diverging(program, monkeypatch, flavours=("plain",), silent_on=("kasan",))
    snapshot(HERE / "reports" / "snapshot.txt", render(finding, FILE))


def test_an_answer_that_breaks_off(monkeypatch, snapshot):
    kernel, model = answers(PROGRAM, monkeypatch)
    divergence = compare(PROGRAM, kernel[:-70], model, KERNEL)
    finding = divergence_finding(PROGRAM, divergence, kernel=MANIFEST)
    snapshot(HERE / "reports" / "truncated.txt", render(finding, FILE))


def test_a_splat(snapshot):
    log = (HERE / "console" / "kasan-use-after-free.log").read_text()
    splat = find_splats(log)[0]
    finding = splat_finding(PROGRAM, splat, kernel=MANIFEST, console=log, reproduced=(2, 3))
    snapshot(HERE / "reports" / "splat.txt", render(finding, FILE))


def test_a_hang(snapshot):
    finding = Finding(
        Outcome.GUEST_HANG,
        "guest does not answer",
        PROGRAM,
        kernel=MANIFEST,
        detail="no answer within 10 s, 4 operations were done",
    )
    snapshot(HERE / "reports" / "hang.txt", render(finding, FILE))


def test_a_leak_that_only_the_audit_shows(snapshot):
    finding = Finding(
        Outcome.DIVERGENCE,
        "removed cgroups do not go away",
        PROGRAM,
        kernel=MANIFEST,
        detail="2 removed cgroups are still dying after all objects were freed",
        console="zsfuzz: serving\n",
    )
    snapshot(HERE / "reports" / "audit.txt", render(finding, FILE))


def test_of_a_long_program_the_surroundings_are_shown(monkeypatch):
    long = Program(PROGRAM.ops[4:] * 200 + PROGRAM.ops[:4] + PROGRAM.ops[4:] * 200)
    text = render(diverging(long, monkeypatch), FILE)
    assert re.search(r"^    \(\d+ operations before: see program.txt\)$", text, re.M)
    assert re.search(r"^    \(\d+ operations after: see program.txt\)$", text, re.M)
    assert len(text.splitlines()) < 120


def test_a_finding_of_which_nothing_is_known_is_still_reported():
    assert "unknown" in render(Finding(Outcome.FLAKY, "owner lost", Program()), FILE)


# Every byte of an answer, changed: whatever differs, the report names a rule for it.
def test_every_field_has_a_rule():
    answer = Model(KERNEL).run(PROGRAM.wire)
    missing = set()
    for at in range(len(answer)):
        for value in (answer[at] ^ 1, 0xFF):
            changed = answer[:at] + bytes((value,)) + answer[at + 1 :]
            divergence = compare(PROGRAM, changed, answer, KERNEL)
            for diff in (divergence.first, *divergence.others) if divergence else ():
                if diff and rule_of(diff) is None:
                    missing.add((diff.subject, diff.name))
    assert not missing


def test_a_kernel_of_another_configuration_is_named_where_the_program_is_replayed(monkeypatch):
    manifest = {**MANIFEST, "variants": ["chain-16", "stat-n"]}
    kernel, model = answers(PROGRAM, monkeypatch)
    found = compare(PROGRAM, kernel, model, KERNEL)
    report = render(divergence_finding(PROGRAM, found, kernel=manifest), FILE)
    assert f"replay: zsfuzz replay --variant chain-16 --variant stat-n {FILE}\n" in report
