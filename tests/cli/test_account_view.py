"""Accounts as an operator sees them: what is left of a budget, when work is out, the last calls."""

import pytest

from oms_sync import bootstrap
from oms_sync.cli.account_health import NOTHING
from oms_sync.cli.account_view import show_account_facts, show_accounts, span
from oms_sync.flows.budgets import BudgetRecord
from oms_sync.sdk import Priority

ACCOUNT = {
    **NOTHING,
    "name": "marketplace-de",
    "connector": "shopify",
    "mode": "live",
    "state": "degraded",
    "cursor_age_seconds": 12.4,
    "listings": 10_000,
    "listings_behind": 1_234,
    "write_backs_open": 0,
    "dead_letters": 12,
    "drain_seconds": 7_530.0,
    "reason": "the channel answers slowly",
    "budget_shared_with": ["marketplace-fr"],
    "rate_budget": [
        {"operation": "orders", "available": 5, "capacity": 20, "refill_per_second": 0.0056},
        {"operation": "stock", "available": 10, "capacity": 10, "refill_per_second": 5.0},
        {"operation": "*", "available": 1_250.5, "capacity": 5_000, "refill_per_second": 0.0},
    ],
}


def test_the_list_shows_the_scarcest_budget_and_the_time_to_drain_in_100_columns(capsys):
    show_accounts([ACCOUNT, {**ACCOUNT, "rate_budget": [], "drain_seconds": None}])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert lines[0].split()[-2:] == ["drains", "reason"]
    for part in ("12 s ago", "1234", "25%", "2.1 h"):
        assert part in lines[1]
    assert len([line for line in lines if "marketplace-de" in line]) == 2, "one line each"


def test_the_list_says_how_much_is_asked_of_a_channel_that_does_not_show_it(capsys):
    one = {**ACCOUNT, "name": "a", "reason": "", "write_backs_open": 3}
    show_accounts([one])
    assert "3 write-backs open" in " ".join(capsys.readouterr().out.split())
    show_account_facts(one)
    assert "write backs open" in capsys.readouterr().out


def test_an_account_shows_its_budget_an_operation_a_line(capsys):
    show_account_facts({**ACCOUNT, "calls": []})
    lines = capsys.readouterr().out.splitlines()
    assert "call budget, shared with marketplace-fr" in lines
    rows = {line.split()[0]: line.split() for line in lines if line}
    assert rows["orders"] == ["orders", "5", "20", "20.2/h", "44.6", "min"]
    assert rows["stock"] == ["stock", "10", "10", "5/s", "0", "s"]
    assert rows["*"] == ["*", "1250.5", "5000", "–", "–"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7_200.0, "2 h"),
        (200_000.0, "2.3 d"),
    ],
)
def test_durations_are_told_as_people_say_them(seconds, text):
    assert span(seconds) == text


def test_the_calls_of_one_command_are_shown_by_another(shell):
    """Nobody listens at the account's endpoint: the call has an end, but no answer."""
    shell("accounts", "test", "shop-a", status=1)
    shown = shell.json("accounts", "show", "shop-a", "--calls")
    assert shown["calls"]
    for call in shown["calls"]:
        assert call["operation"]
        assert not call["status"].isdigit()
        assert call["duration_seconds"] >= 0
    assert "shpat_invented" not in str(shown)
    text = shell("accounts", "show", "shop-a", "--calls").stdout
    assert shown["calls"][0]["status"] in text.partition("last calls")[2]
    assert "calls" not in shell.json("accounts", "show", "shop-a")


@pytest.mark.proves("I-31")
def test_a_command_leaves_behind_what_it_spent(shell):
    path = shell.folder / "oms-sync.yaml"
    with bootstrap.open_desk(path) as desk:
        desk.wire("shop-a").gate.spend("graphql", cost=1_500, priority=Priority.READ)
    (budget,) = _budgets(path)
    assert 500 <= budget.available < 1_500
    with bootstrap.open_desk(path) as desk:
        desk.wire("shop-a").gate.spend("graphql", cost=1, priority=Priority.READ)
    (budget,) = _budgets(path)
    assert budget.spent == 1_501


def _budgets(path) -> list[BudgetRecord]:
    seen: list[BudgetRecord] = []
    with bootstrap.open_desk(path) as desk:
        store = desk.storage.budgets
        store.change("shop-a", None, lambda found, at: seen.extend(found.values()) or [])
    return seen


def test_an_accounts_name_is_never_broken_by_a_long_reason(capsys):
    from oms_sync.cli.output import show_table

    reason = "its channel cannot be reached: connection refused, " * 3
    rows = [{"name": "shopify-united-kingdom", "state": "degraded", "reason": reason}]
    show_table({"name": "account", "state": "state", "reason": "reason"}, rows, none="none")
    shown = capsys.readouterr().out
    assert "shopify-united-kingdom" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())
