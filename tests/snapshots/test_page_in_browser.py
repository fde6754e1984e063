# SPDX-License-Identifier: GPL-2.0-only
"""A browser shows the page of a report, with its drawing, and without a network."""

import subprocess
from pathlib import Path

PAGE = Path(__file__).parent / "reports" / "full.html"


def test_a_browser_draws_the_page(browser, tmp_path):
    picture = tmp_path / "page.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,1800", "--dump-dom",
        f"--screenshot={picture}", PAGE.as_uri(),
    ]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert picture.stat().st_size > 20_000
    assert "<title>divergence: malloc: new object has an owner already</title>" in shown.stdout
    assert shown.stdout.count('<rect class="page"') == 3
