"""The crowd's plan: one seed, one plan, and scarce enough to sell out."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.cli.demo_plan import (
    PlannedAct,
    PlannedPurchase,
    PlanOptions,
    plan_hash,
    planned_purchases,
)
from oms_sync.sdk.seeding import Purchase, seed_catalogue

ACCOUNTS = ("shop-us", "shop-eu")


def _options(**changes) -> PlanOptions:
    wanted = {"seed": 1, "skus": 40, "accounts": ACCOUNTS, "orders_per_second": 5.0} | changes
    return PlanOptions(**wanted)


def _first(options: PlanOptions, count: int) -> list[PlannedPurchase]:
    return list(itertools.islice(planned_purchases(options), count))


options_drawn = st.builds(
    PlanOptions,
    seed=st.integers(0, 2**32),
    skus=st.integers(1, 60),
    accounts=st.just(ACCOUNTS),
    orders_per_second=st.floats(0.1, 200),
)


@given(options_drawn)
def test_one_seed_is_one_plan(options):
    assert plan_hash(_first(options, 40)) == plan_hash(_first(options, 40))


@given(options_drawn)
def test_every_planned_attempt_can_be_asked_of_a_channel(options):
    known = {entry.sku for entry in seed_catalogue(options.seed, options.skus)}
    before = 0.0
    for planned in _first(options, 60):
        assert planned.offset_seconds >= before
        assert planned.account in ACCOUNTS
        skus = [sku for sku, _ in planned.purchase.lines]
        assert len(skus) == len(set(skus))
        assert known.issuperset(skus)
        assert all(1 <= units <= 3 for _, units in planned.purchase.lines)
        assert all(units > 0 for units in planned.units_wanted().values())
        assert all(act.after_seconds >= 0 for act in planned.acts)
        before = planned.offset_seconds


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"skus": 41},
        {"accounts": ("shop-us", "shop-uk")},
        {"orders_per_second": 6.0},
    ],
)
def test_another_plan_has_another_hash(change):
    assert plan_hash(_first(_options(), 50)) != plan_hash(_first(_options(**change), 50))


def test_a_longer_plan_begins_like_the_shorter_one_and_has_another_hash():
    assert _first(_options(), 80)[:50] == _first(_options(), 50)
    assert plan_hash(_first(_options(), 80)) != plan_hash(_first(_options(), 50))


def test_a_channel_with_a_warehouse_ships_some_orders_which_are_nobody_elses_to_ship():
    planned = _first(_options(shipping_accounts=("shop-eu",)), 600)
    theirs = [each for each in planned if each.purchase.fulfilled_by == "channel"]
    assert {each.account for each in theirs} == {"shop-eu"}
    assert 10 < len(theirs) < 100
    assert all(each.units_wanted() == {} for each in theirs)
    assert {act.kind for each in theirs for act in each.acts} <= {"pay", "cancel"}
    assert any(not each.purchase.is_paid for each in theirs)
    assert all(not each.acts for each in theirs if each.purchase.is_paid)
    ours = _first(_options(), 600)
    assert all(each.purchase.fulfilled_by == "seller" for each in ours)


@pytest.mark.parametrize("skus", [1, 3, 10, 40])
def test_a_tenth_of_the_skus_is_wanted_more_often_than_there_are_units(skus):
    wanted = Counter()
    for planned in _first(_options(skus=skus), 60):
        wanted.update(dict(planned.purchase.lines))
    stock = {entry.sku: entry.quantity for entry in seed_catalogue(1, skus)}
    sold_out = [sku for sku, units in stock.items() if wanted[sku] > units]
    assert len(sold_out) >= skus * 0.1 or stock[min(stock, key=stock.get)] > 50


def test_a_plan_holds_every_story_an_order_can_have():
    planned = _first(_options(), 600)
    kinds = Counter(act.kind for each in planned for act in each.acts)
    assert set(kinds) == {"pay", "cancel", "edit", "refund", "hold", "release"}
    assert any(not each.purchase.is_paid for each in planned)
    assert any(each.returns for each in planned)
    assert any(len(each.purchase.lines) > 1 for each in planned)
    assert {each.account for each in planned} == set(ACCOUNTS)


@pytest.mark.parametrize(
    ("acts", "units"),
    [
        ((), {"A": 2, "B": 1}),
        # a cancelled order leaves nothing to ship
        ((PlannedAct(kind="cancel", after_seconds=1),), {}),
        # an edit says the new units, also of a SKU that was not on the order
        ((PlannedAct(kind="edit", after_seconds=1, quantities=(("A", 3),)),), {"A": 3, "B": 1}),
        (
            (PlannedAct(kind="edit", after_seconds=1, quantities=(("C", 1),)),),
            {"A": 2, "B": 1, "C": 1},
        ),
        # a refund before shipping says how many fewer
        ((PlannedAct(kind="refund", after_seconds=1, quantities=(("B", 1),)),), {"A": 2}),
        # what comes back later is shipped first
        (
            (PlannedAct(kind="refund", after_seconds=1, quantities=(("B", 1),), is_return=True),),
            {"A": 2, "B": 1},
        ),
    ],
)
def test_what_is_to_be_shipped_follows_from_the_acts(acts, units):
    planned = PlannedPurchase(
        account="shop-us",
        offset_seconds=0.0,
        purchase=Purchase(lines=(("A", 2), ("B", 1))),
        acts=acts,
    )
    assert planned.units_wanted() == units
