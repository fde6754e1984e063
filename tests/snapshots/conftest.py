# SPDX-License-Identifier: GPL-2.0-only
"""The option that accepts changed snapshots, and a browser."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots", action="store_true", help="accept what is rendered now as right"
    )


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a file, or write the file under --update-snapshots."""

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--update-snapshots"):
            path.write_text(text)
        assert path.exists(), f"{path} is missing: run pytest with --update-snapshots, then read it"
        assert text == path.read_text()

    return check


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (  # it shows one page, and asks nobody for anything
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
Browse = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """A browser without a screen: prints a page's elements, and makes a picture of it."""
    named = os.environ.get("ZSFUZZ_BROWSER")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(
            "no browser: apt-get install chromium, or set ZSFUZZ_BROWSER=/usr/bin/google-chrome"
        )

    def run(page: Path, picture: Path, *options: str) -> subprocess.CompletedProcess[str]:
        command = [
            found, *QUIET, f"--user-data-dir={tmp_path / 'browser'}", *options, "--dump-dom",
            f"--screenshot={picture}", page.as_uri(),
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    return run
