# SPDX-License-Identifier: GPL-2.0-only
"""Configuration fragments: what is asked for either holds or is named."""

from __future__ import annotations

import re

import pytest

from zstools.errors import ConfigError
from zstools.kconfig import overlay, parse_config, parse_fragment, read_fragments, verify
from zstools.kernel import FLAVOURS
from zstools.paths import config_dir
from zstools.plan import find_variants


def test_a_fragment_may_carry_comments_everywhere() -> None:
    text = '# why\n\nCONFIG_A=y\t# because\nCONFIG_B=n\nCONFIG_C="s"\n'
    assert parse_fragment(text, "x") == {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": '"s"'}


@pytest.mark.parametrize("line", ["KASAN=y", "CONFIG_KASAN", "CONFIG_KASAN is not set"])
def test_a_line_that_is_no_option_is_shown(line: str) -> None:
    with pytest.raises(ConfigError, match=f"odd.config:2: .*{line}"):
        parse_fragment(f"CONFIG_A=y\n{line}\n", "odd.config")


def test_our_options_replace_those_of_tinyconfig() -> None:
    config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=y\n"
    merged = overlay(config, {"CONFIG_A": "n", "CONFIG_B": "y"})
    assert parse_config(merged) == {"CONFIG_A": "n", "CONFIG_B": "y", "CONFIG_AB": "y"}
    assert merged.count("CONFIG_A ") + merged.count("CONFIG_A=") == 1


def test_each_option_that_does_not_hold_is_named_with_what_it_is() -> None:
    config = "CONFIG_A=y\nCONFIG_B=m\n"
    with pytest.raises(ConfigError) as caught:
        verify(config, {"CONFIG_A": "y", "CONFIG_B": "y", "CONFIG_C": "y"})
    assert "CONFIG_B=y (is m), CONFIG_C=y (is n)" in str(caught.value)
    assert "CONFIG_A" not in str(caught.value)


def test_an_absent_option_is_as_good_as_one_that_is_off() -> None:
    verify("", {"CONFIG_A": "n"})


@pytest.mark.parametrize("name", ["base", *FLAVOURS, *(f"variants/{v}" for v in find_variants())])
def test_every_option_of_ours_has_a_reason(name: str) -> None:
    lines = (config_dir() / f"{name}.config").read_text().splitlines()
    without = [line for line in lines if re.match(r"CONFIG_\w+=[^#]*$", line)]
    assert without == []


def test_flavours_exclude_each_others_checkers() -> None:
    kasan = read_fragments(config_dir(), ("base", "kasan"))
    plain = read_fragments(config_dir(), ("base", "plain"))
    assert kasan["CONFIG_KASAN"] == "y"
    assert plain["CONFIG_KASAN"] == "n"


def test_a_missing_fragment_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nothing\.config"):
        read_fragments(config_dir(), ("nothing",))


def test_there_is_a_variant_for_each_way_in_which_zsmalloc_is_built() -> None:
    wanted = {"chain-16", "chain-4", "compaction-n", "memcg-n", "stat-n", "zswap-n"}
    assert wanted <= set(find_variants())


@pytest.mark.parametrize("variant", [name for name in find_variants() if "-" in name])
def test_a_variant_changes_what_it_is_named_after(variant: str) -> None:
    options = read_fragments(config_dir(), (f"variants/{variant}",))
    word, value = variant.rsplit("-", 1)
    named = [v for k, v in options.items() if word.upper() in k.split("_")]
    assert value in named
