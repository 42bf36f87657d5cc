"""Whose budget an account takes from, and what of it reaches the database."""

from types import SimpleNamespace

import pytest

from oms_sync.flows.budgets import WriteCost
from oms_sync.runtime.budgets import BudgetParts, Budgets
from oms_sync.runtime.redaction import Redactor
from oms_sync.sdk import Call, Priority, RateLimit

LIMITS = (RateLimit(operation="orders", capacity=10, refill_per_second=1),)


class AwayError(Exception):
    pass


class NotingStore:
    """A store that keeps what it is told. A `BudgetStore`."""

    is_exact = False

    def __init__(self) -> None:
        self.notes, self.is_away, self.changes = [], False, 0

    def change(self, owner, operations, decide) -> None:
        if self.is_away:
            raise AwayError("the database is away")
        self.changes += 1

    def note(self, **parts) -> None:
        if self.is_away:
            raise AwayError("the database is away")
        self.notes.append(SimpleNamespace(**parts))


@pytest.fixture
def store():
    return NotingStore()


@pytest.fixture
def budgets(store, clock, metrics):
    return Budgets(
        BudgetParts(
            store=store, clock=clock, metrics=metrics, redactor=Redactor(), node="process-1"
        )
    )


def _call(clock) -> Call:
    return Call(operation="orders", at=clock.now(), duration_seconds=0.1, status="200")


def test_accounts_of_one_owner_share_and_others_do_not(budgets, metrics):
    one, two, other = (
        budgets.gate(name, LIMITS, owner=owner)
        for name, owner in [("shop-a", "app"), ("shop-b", "app"), ("shop-c", "shop-c")]
    )
    one.spend("orders", cost=7, priority=Priority.READ)
    assert [gate.budget()[0]["available"] for gate in (one, two, other)] == [3, 3, 10]
    two.spend("orders", priority=Priority.READ)
    assert metrics.gauges["rate_budget", "shop-b", "orders"] == 2
    assert (one.calls, two.calls) == (1, 1), "each account has its own count"


def test_an_account_wired_twice_keeps_its_gate(budgets):
    assert budgets.gate("shop-a", LIMITS, owner="app") is budgets.gate(
        "shop-a", LIMITS, owner="app"
    )


def test_what_writes_cost_whose_budget_it_was_and_the_calls_are_told_once(budgets, store, clock):
    gate = budgets.gate("shop-a", LIMITS, owner="app")
    budgets.gate("silent", LIMITS, owner="silent")
    gate.spend("orders", cost=2, priority=Priority.WRITE)
    gate.spend("orders", cost=5, priority=Priority.READ)
    budgets.calls("shop-a").note(_call(clock))
    budgets.keep()
    budgets.keep()
    (told,) = store.notes
    assert told.owners == {"shop-a": "app"}
    assert told.costs == [WriteCost(account="shop-a", operation="orders", cost=2)]
    assert told.calls == {"shop-a": (_call(clock),)}


@pytest.mark.proves("I-34")
def test_what_the_database_refused_is_told_the_next_time(budgets, store, clock, events):
    gate = budgets.gate("shop-a", LIMITS, owner="app")
    gate.spend("orders", cost=2, priority=Priority.WRITE)
    budgets.calls("shop-a").note(_call(clock))
    store.is_away = True
    with pytest.raises(AwayError):
        budgets.keep()
    budgets.close()
    assert [line["event"] for line in events] == ["budget.unsaved"]
    store.is_away = False
    budgets.close()
    (told,) = store.notes
    assert (told.owners, len(told.costs), len(told.calls["shop-a"])) == ({"shop-a": "app"}, 1, 1)


def test_without_a_database_everything_stays_in_memory(clock, metrics):
    budgets = Budgets(
        BudgetParts(store=None, clock=clock, metrics=metrics, redactor=Redactor(), node="p")
    )
    gate = budgets.gate("shop-a", LIMITS, owner="shop-a")
    gate.spend("orders", priority=Priority.WRITE)
    budgets.keep()
    assert gate.budget()[0]["available"] == 9
