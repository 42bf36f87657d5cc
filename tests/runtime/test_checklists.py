"""A checklist is read strictly, and judged against the manifest."""

from dataclasses import replace

import pytest

from oms_sync.runtime.checklists import read_answers, read_checklist
from oms_sync.runtime.config_faults import ConfigError
from oms_sync.sdk import Capability, Manifest
from oms_sync.sdk.checklist import RULES, Answer, judge

BARE = Manifest(id="etsy", label="Etsy")


def _problems(answers, manifest=BARE):
    return {one.name: one.problem for one in judge(answers, manifest) if one.problem}


def test_the_three_answers_are_read():
    text = "rules:\n  holds: done\n  bulk: todo\n  consent: {status: exempt, reason: none there}\n"
    assert read_answers(text, file="f") == {
        "holds": Answer(status="done"),
        "bulk": Answer(status="todo"),
        "consent": Answer(status="exempt", reason="none there"),
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "f:1:1: file: is empty"),
        ("rules: []\n", "f:1:1: rules: must be a mapping"),
        ("answers: {}\n", "f:1:1: rules: must be a mapping"),
        ("rules:\n  holds: maybe\n", "f:2:10: rules.holds: must be done, todo, or"),
        ("rules:\n  holds: [done]\n", "f:2:10: rules.holds: must be done, todo, or"),
        ("rules:\n  holds: {status: exempt}\n", "rules.holds: an exemption needs a reason"),
        ("rules:\n  holds: {status: exempt, why: so}\n", "rules.holds: must be done, todo, or"),
        ("rules:\n  holds: done\n  holds: todo\n", "f:3:3: rules.holds"),
    ],
)
def test_a_faulty_checklist_is_refused_with_its_place(text, fault):
    with pytest.raises(ConfigError) as raised:
        read_answers(text, file="f")
    assert fault in str(raised.value)


def test_a_package_without_a_checklist_is_told_so():
    with pytest.raises(ConfigError, match=r"checklist\.yaml: is missing|is missing"):
        read_checklist("oms_sync.sdk")


def test_every_rule_wants_an_answer_and_own_rules_are_welcome():
    assert set(_problems({})) == set(RULES)
    answers = {name: Answer(status="todo") for name in RULES} | {"gifts": Answer(status="done")}
    assert _problems(answers) == {}
    assert judge(answers, BARE)[-1].name == "gifts"


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.needs])
def test_done_is_believed_only_of_what_is_declared(name):
    answers = {each: Answer(status="todo") for each in RULES} | {name: Answer(status="done")}
    assert list(_problems(answers)) == [name]
    whole = replace(BARE, capabilities=frozenset(Capability), has_compare_and_set=True)
    assert _problems(answers, whole) == {}


def test_a_compare_value_is_no_rule_done_where_the_channel_compares_nothing():
    answers = {each: Answer(status="done") for each in RULES}
    whole = replace(BARE, capabilities=frozenset(Capability))
    assert list(_problems(answers, whole)) == ["stock_pushed_with_compare_value"]


def test_every_rule_says_what_it_asks():
    assert all(rule.asks for rule in RULES.values())
