# SPDX-License-Identifier: GPL-2.0-only
"""Write a finding as one page of HTML that needs no network and runs no script."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from zsfuzz.report.account import Account
from zsfuzz.report.picture import picture_of


@cache
def _template() -> Template:
    # Everything is escaped: a console may say anything.
    environment = Environment(
        loader=PackageLoader("zsfuzz.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def render_html(account: Account) -> str:
    """Write the page."""
    picture = picture_of(account.zspage) if account.zspage else None
    return _template().render(account=account, picture=picture, places=_places(account)) + "\n"


def _places(account: Account) -> dict[int, str]:
    frames = account.complaint.frames if account.complaint else ()
    return {frame.line: frame.place for frame in frames}
