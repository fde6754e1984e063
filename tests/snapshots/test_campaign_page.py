# SPDX-License-Identifier: GPL-2.0-only
"""The page of a campaign in a browser: whole, without errors, safe from what strangers wrote."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from zsfuzz.campaign.report.data import read_told
from zsfuzz.campaign.report.page import render_page
from zsfuzz.campaign.state import State
from zsfuzz.cli import main

Browse = Callable[..., subprocess.CompletedProcess[str]]
HOSTILE = (
    "</pre><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b]0;owned\x07"
)
SOURCE = """\
static int zs_one(int x)
{
	if (x)
		return 1;
	return 0; /* <script>alert(1)</script> */
}

static void zs_two(void)
{
	never();
}
"""
SITES = [
    {"pc": 1, "file": "mm/zsmalloc.c", "function": "zs_one", "line": 3, "lines": [1, 2, 3]},
    {"pc": 2, "file": "mm/zsmalloc.c", "function": "zs_one", "line": 4, "lines": [4]},
    {"pc": 3, "file": "mm/zsmalloc.c", "function": "zs_two", "line": 10, "lines": [9, 10]},
]
LAYOUT = {
    "coverage": {
        "sites": SITES,
        "lines": [1, 2, 3, 4, 9, 10],
        "lines_left_out": [5],
        "branches": [{"pc": 7, "line": 3, "site": 1, "taken": None, "passed": 2}],
        "branches_left_out": 0,
    }
}
CALM = ("divergence", "free slot keeps an owner", "the report")


def campaign(root: Path, findings: list[tuple[str, str, str]], patch: str = "") -> Path:
    """A campaign's directory as `campaign start` leaves it, with one kernel."""
    root.mkdir()
    options = {"patches": [patch] if patch else [], "seed": 1}
    with State.write(root) as state, state.transaction():
        state.insert(
            "runs", wall=0.0, at=0.0, seconds=7200.0, pid=1, host="h", options=json.dumps(options)
        )
        state.insert(
            "kernels", key="k1", design="zspage", flavour="plain", variant="", version="7.2.13",
            sites_total=3, lines_total=6, branches_total=2,
        )  # fmt: skip
        state.insert("hits", kernel="k1", worker=0, counts="[1000, 400, 0]")
        for i in range(100):
            at = 72.0 * i
            state.insert("timeline", at=at, wall=at, programs=i * i * 5000, operations=i,
                         corpus=10 * i, findings=min(i // 50, 1), workers=2)  # fmt: skip
            state.insert("coverage", at=at, wall=at, kernel="k1", sites=2, lines=i, branches=i // 2)
        for number, (outcome, title, report) in enumerate(findings):
            path = f"findings/zspage/{number}"
            (root / path).mkdir(parents=True)
            (root / path / "report.txt").write_text(report)
            state.insert("findings", design="zspage", id=str(number), outcome=outcome, title=title,
                         path=path, at=3600.0, wall=0.0, seen=3)  # fmt: skip
            state.insert("events", at=3600.0, wall=0.0, kind="finding", worker=1, text=title)
    folder = root / "kernels" / "k1"
    folder.mkdir(parents=True)
    (folder / "layout.json").write_text(json.dumps(LAYOUT))
    (folder / "zsmalloc.c").write_text(SOURCE)
    (folder / "manifest.json").write_text(json.dumps({"patches": [{"name": HOSTILE}]}))
    return root


def page_of(root: Path) -> str:
    with State.read(root) as state:
        return render_page(state, read_told(state))


def shown(browse: Browse, page: Path) -> tuple[str, list[str], Path]:
    """What a browser made of a page: its elements, the lines of its console, a picture."""
    picture = page.with_suffix(".png")
    done = browse(page, picture, "--enable-logging=stderr", "--window-size=1200,2400")
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, console, picture


def test_a_browser_shows_the_page_and_has_nothing_to_complain_about(browse, tmp_path):
    root = campaign(tmp_path / "c", [CALM])
    page = tmp_path / "page.html"
    page.write_text(page_of(root))
    dom, console, picture = shown(browse, page)
    assert console == []
    assert picture.stat().st_size > 40_000
    assert dom.count('<svg class="plot"') == 5
    assert dom.count("<polyline") == 6
    assert len(re.findall(r' 988\.0,[\d.]+"', dom)) == 2  # coverage: to the end of campaign time
    assert '<tr class="hit" id="s1-4"><td class="number dim">4</td><td class="number">400' in dom
    assert '<tr class="miss" id="s1-10">' in dom
    assert '<tr class="untold" id="s1-5">' in dom
    assert "600 / 400" in dom
    assert "shows so for the planted free-keeps-owner" in dom


def test_what_strangers_wrote_stays_text(browse, tmp_path):
    patch = tmp_path / "<b>.patch"
    patch.write_text(HOSTILE)
    root = campaign(tmp_path / "<i>&amp;", [("divergence", HOSTILE, HOSTILE)], str(patch))
    page = tmp_path / "page.html"
    page.write_text(page_of(root))
    dom, console, _ = shown(browse, page)
    assert console == []
    assert "<script" not in dom
    assert "<img" not in dom
    assert "<b>" not in dom
    assert "<i>" not in dom
    assert "<title>zsfuzz campaign &lt;i&gt;&amp;amp;</title>" in dom
    assert "\x1b" not in page.read_text()
    assert "\x07" not in page.read_text()


def test_a_page_with_a_script_would_be_noticed(browse, tmp_path):
    page = tmp_path / "page.html"
    whole = page_of(campaign(tmp_path / "c", [CALM]))
    page.write_text(whole.replace("</body>", "<script>document.title='owned'</script></body>"))
    dom, console, _ = shown(browse, page)
    assert "Content Security Policy" in "".join(console)
    assert "<title>owned</title>" not in dom


def test_the_command_writes_a_page_and_a_tracefile_that_lcov_reads(tmp_path):
    root = campaign(tmp_path / "c", [CALM])
    lcov, page = tmp_path / "c.info", tmp_path / "p.html"
    done = CliRunner().invoke(
        main, ["campaign", "report", str(root), "--output", str(page), "--lcov", str(lcov)]
    )
    assert done.exit_code == 0, done.output
    assert "zsfuzz campaign" in page.read_text()
    assert (
        lcov.read_text()
        == f"""\
TN:zspage_plain
SF:{root / "kernels" / "k1" / "zsmalloc.c"}
FN:1,zs_one
FN:8,zs_two
FNDA:1000,zs_one
FNDA:0,zs_two
FNF:2
FNH:1
BRDA:3,0,0,600
BRDA:3,0,1,400
BRF:2
BRH:2
DA:1,1000
DA:2,1000
DA:3,1000
DA:4,400
DA:9,0
DA:10,0
LF:6
LH:4
end_of_record
"""
    )
    if shutil.which("genhtml") is None:
        pytest.skip("no genhtml: apt-get install lcov")
    command = ["genhtml", "--branch-coverage", "-o", tmp_path / "html", lcov]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "lines......: 66.7% (4 of 6 lines)" in made.stdout
    assert "branches...: 100.0% (2 of 2 branches)" in made.stdout
