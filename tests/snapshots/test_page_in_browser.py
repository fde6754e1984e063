# SPDX-License-Identifier: GPL-2.0-only
"""A browser shows the page of a report, with its drawing, and without a network."""

from pathlib import Path

PAGE = Path(__file__).parent / "reports" / "full.html"


def test_a_browser_draws_the_page(browse, tmp_path):
    picture = tmp_path / "page.png"
    shown = browse(PAGE, picture, "--window-size=1200,1800")
    assert picture.stat().st_size > 20_000
    assert "<title>divergence: malloc: new object has an owner already</title>" in shown.stdout
    assert shown.stdout.count('<rect class="page"') == 3
