# SPDX-License-Identifier: GPL-2.0-only
"""The exact text of reports: they are what people see of a finding."""

import json
import re
from pathlib import Path

import pytest

from zsfuzz.console.complaints import find_splats
from zsfuzz.console.frames import NoPlaces
from zsfuzz.findings.finding import Finding, divergence_finding, splat_finding
from zsfuzz.manifest import kernel_arguments
from zsfuzz.oracle import compare
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.report.account import account_of, rule_of
from zsfuzz.report.data import render_json
from zsfuzz.report.plaintext import render, render_account
from zsfuzz.report.webpage import render_html
from zsfuzz.text import parse_program
from zsmodel import Kernel, Model
from zsmodel.zspage import Zspage
from zstools.kernel import KernelSpec

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


SPAN = parse_program(
    """
    o0 = malloc(p0, size=2712, owner=c1)
    o1 = malloc(p0, size=2712, owner=c2)
    o2 = malloc(p0, size=2712, owner=c3)
    free(o1)
    """
)
SMALL = Program(
    (
        *parse_program("".join(f"o{n} = malloc(p0, size=40, owner=c1)\n" for n in range(99))),
        *parse_program("free(o50)"),
    )
)


class Lines:
    """Source places as a built kernel has them."""

    def function(self, name):
        return {"zs_obj_write": "mm/zsmalloc.c:1331", "zs_malloc": "mm/zsmalloc.c:1487"}.get(
            name, ""
        )

    def frame(self, name, offset):
        return f"mm/zsmalloc.c:{offset}" if name == "zs_malloc" else ""


def answers(program, monkeypatch, kernel=KERNEL):
    """The kernel's answer, with a slot that free does not clear, and the model's."""
    expected = Model(kernel).run(program.wire)
    original = Zspage.obj_free

    def keep_owner(zspage, index):
        owner = zspage.owners[index]
        original(zspage, index)
        zspage.owners[index] = owner

    with monkeypatch.context() as patch:
        patch.setattr(Zspage, "obj_free", keep_owner)
        return Model(kernel).run(program.wire), expected


def diverging(program, monkeypatch, facts=KERNEL, **more):
    kernel, model = answers(program, monkeypatch, facts)
    divergence = compare(program, kernel, model, facts)
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


@pytest.mark.parametrize("design", ["zspage", "zpdesc"])
def test_an_object_in_two_pages_is_drawn_across_the_edge(design, monkeypatch, snapshot):
    finding = diverging(SPAN, monkeypatch, Kernel(design))
    snapshot(HERE / "reports" / f"span-{design}.txt", render(finding, FILE))


def test_of_many_slots_those_that_differ_are_drawn(monkeypatch, snapshot):
    finding = diverging(SMALL, monkeypatch)
    snapshot(HERE / "reports" / "many-slots.txt", render(finding, FILE))


def test_a_page_whose_memcg_data_differs(snapshot):
    facts = Kernel("zpdesc")
    model = Model(facts).run(SPAN.wire)
    at = model.rindex(bytes([9, 9]))
    kernel = model[:at] + bytes([9, 8]) + model[at + 2 :]
    divergence = compare(SPAN, kernel, model, facts)
    finding = divergence_finding(SPAN, divergence, kernel=MANIFEST)
    snapshot(HERE / "reports" / "memcg-data.txt", render(finding, FILE))


def test_a_zspage_that_one_side_does_not_have(snapshot):
    one = parse_program("o0 = malloc(p0, size=2000, owner=c1)")
    two = parse_program("o0 = malloc(p0, size=1000, owner=c1)")
    kernel, model = Model(KERNEL).run(two.wire), Model(KERNEL).run(one.wire)
    finding = divergence_finding(one, compare(one, kernel, model, KERNEL), kernel=MANIFEST)
    snapshot(HERE / "reports" / "missing-zspage.txt", render(finding, FILE))


def full(monkeypatch):
    """A finding with everything that a report can tell."""
    log = (HERE / "console" / "null-pointer.log").read_text()
    finding = diverging(
        Program(PROGRAM.ops[:4]),
        monkeypatch,
        splat=find_splats(log)[0],
        console=log,
        flavours=("plain",),
        silent_on=("kasan",),
        reproduced=(9, 10),
        minimised=(212, 34),
        reached=("zs_malloc", "find_get_zspage"),
    )
    return account_of(finding, FILE, Lines())


def test_source_lines_and_coverage(monkeypatch, snapshot):
    snapshot(HERE / "reports" / "full.txt", render_account(full(monkeypatch)))


def test_the_page(monkeypatch, snapshot):
    snapshot(HERE / "reports" / "full.html", render_html(full(monkeypatch)))


def test_the_report_for_programs(monkeypatch, snapshot):
    text = render_json(full(monkeypatch))
    assert json.loads(text)["title"] == "malloc: new object has an owner already"
    snapshot(HERE / "reports" / "full.json", text)


def test_the_page_escapes_what_it_did_not_write(monkeypatch):
    evil = "<script>alert(1)</script>"
    console = f"kernel BUG at {evil}\n\x1b[31mCall Trace:\n zs_free+0x1/0x2\n"
    finding = Finding(
        Outcome.GUEST_LOST, evil, PROGRAM, kernel={"version": evil}, detail=evil, console=console
    )
    page = render_html(account_of(finding, Path(evil), NoPlaces()))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert "\x1b" not in page


def test_the_page_needs_no_network(monkeypatch):
    page = render_html(full(monkeypatch))
    assert re.findall(r"""(?:src|href|url)\s*[=(]""", page) == []
    assert "default-src 'none'" in page


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


# The bytes come from a kernel that may be broken in any way.
@pytest.mark.parametrize("design", ["zspage", "zpdesc"])
def test_whatever_the_kernel_answers_a_report_can_be_written(design):
    facts = Kernel(design)
    answer = Model(facts).run(PROGRAM.wire)
    for at in range(len(answer)):
        for value in {answer[at] ^ 1, 0xFF} - {answer[at]}:
            changed = answer[:at] + bytes((value,)) + answer[at + 1 :]
            divergence = compare(PROGRAM, changed, answer, facts)
            finding = divergence_finding(PROGRAM, divergence, kernel=MANIFEST)
            account = account_of(finding, FILE, NoPlaces())
            assert render_account(account).startswith("divergence: ")
            assert account.zspage is None or "<svg" in render_html(account)


def test_the_replay_line_names_the_kernel_on_which_it_was_found(monkeypatch):
    patch, variants = Path("my patches/fix.patch"), ("chain-16", "stat-n")
    spec = KernelSpec("zpdesc", "plain", Path("linux"), (patch,), variants)
    manifest = {**MANIFEST, "arguments": kernel_arguments(spec)}
    kernel, model = answers(PROGRAM, monkeypatch)
    found = compare(PROGRAM, kernel, model, KERNEL)
    report = render(divergence_finding(PROGRAM, found, kernel=manifest), FILE)
    (line,) = re.findall("^  replay: (.+)$", report, re.MULTILINE)
    assert line == (
        "zsfuzz replay --design zpdesc --flavour plain --variant chain-16 --variant stat-n "
        f"--linux linux --patch 'my patches/fix.patch' {FILE}"
    )
