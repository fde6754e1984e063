# SPDX-License-Identifier: GPL-2.0-only
"""Every field of an answer has a rule, and the functions that it names exist."""

import importlib
from pathlib import Path

import pytest

import zsmodel
from zsmodel import wire
from zsmodel.rules import RULES, Rule, rule_for

ALL = [rule for rules in RULES.values() for rule in rules.values()]
NOT_STATED = ("kind", "pad")


def resolve(rule: Rule) -> object:
    """The function of the model that a rule names; ImportError or AttributeError if none."""
    path, name = rule.model.split(": ")
    found: object = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.model)
def test_the_named_function_exists(rule: Rule) -> None:
    assert callable(resolve(rule))


def test_a_function_that_does_not_exist_is_seen() -> None:
    with pytest.raises(AttributeError):
        resolve(Rule("no rule", "zsmodel/pool.py: Pool.malloc_all", "zs_malloc"))


@pytest.mark.parametrize("opcode", wire.OPCODES)
def test_every_field_of_a_result_has_a_rule(opcode: str) -> None:
    for field in wire.RECORDS["zsfuzz_result"].fields:
        assert rule_for(opcode, field).text


@pytest.mark.parametrize("name", wire.SNAPSHOT_KINDS.values())
def test_every_field_of_a_snapshot_record_has_a_rule(name: str) -> None:
    for field in wire.RECORDS[name].fields:
        if field not in NOT_STATED:
            assert rule_for(name.removeprefix("zsfuzz_"), field).text


def test_the_most_particular_rule_is_given() -> None:
    assert rule_for("free", "owner").kernel == "obj_free"
    assert rule_for("read", "owner").kernel == "zs_obj_write, obj_free"


def test_an_unknown_field_has_no_rule() -> None:
    with pytest.raises(KeyError):
        rule_for("malloc", "colour")


def test_rules_cite_functions_in_their_files() -> None:
    root = Path(zsmodel.__file__).parents[1]
    assert all((root / rule.model.split(":")[0]).is_file() for rule in ALL)
