"""Growths wait for the orders placed before them; decreases and what lags by nothing do not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.listing import ListingState
from oms_sync.flows.commands import listings as listing_acts
from oms_sync.flows.looking import explained_until
from oms_sync.sdk import ChannelDown
from oms_sync.storage.reports.shapes import when

LAG = 30.0
LATE = {"has_compare_and_set": False, "late_seconds": LAG}


def open_late(hub, catalogue=None, **more):
    """A shop in step that shows its orders late and compares nothing."""
    shop = hub.open_shop(catalogue=catalogue, **{"options": LATE, **more})
    hub.clock.advance(2 * LAG)
    hub.settle()
    assert hub.listing().state is ListingState.IN_STEP
    shop.effects.clear()
    return shop


def turn(hub, seconds=1.0):
    """Some time, then every flow once."""
    hub.clock.advance(seconds)
    for flow in ("ingest", "normalise", "reserve", "push_stock"):
        hub.run(flow)


def seconds_until(hub, is_true, limit=200):
    began = hub.clock.now()
    for _ in range(limit):
        if is_true():
            return (hub.clock.now() - began).total_seconds()
        turn(hub, 2.0)
    raise AssertionError("it never comes true")


@pytest.mark.proves("I-20", "I-24", "F17")
def test_a_growth_waits_until_the_sales_before_it_are_in_the_books(any_hub):
    shop = open_late(any_hub)
    shop.faults.force("F17")
    order = shop.buy(("TEE", 4))
    any_hub.receive("TEE", 5)
    any_hub.run("push_stock")
    assert any_hub.listing().desired == 15, "nobody here knows of the sale"
    assert any_hub.writes() == []
    took = seconds_until(any_hub, any_hub.writes)
    assert any_hub.filled(order) == (4, 0)
    assert any_hub.writes() == [("TEE", 11)], "the four were never on sale again"
    assert LAG <= took <= LAG + 5 + 5, "one pass that began after the growth and the lag"


@pytest.mark.proves("I-24")
def test_a_decrease_does_not_wait(any_hub):
    shop = open_late(any_hub)
    any_hub.receive("TEE", 5)
    any_hub.run("push_stock")
    any_hub.count("TEE", 3)
    any_hub.run("push_stock")
    assert shop.quantities() == {"TEE": 3}
    any_hub.count("TEE", 0)
    any_hub.run("push_stock")
    assert shop.quantities() == {"TEE": 0}


@pytest.mark.parametrize(
    "options",
    [
        {"has_compare_and_set": True, "late_seconds": LAG},
        {"has_compare_and_set": False, "late_seconds": 0.0},
    ],
)
def test_where_nothing_lags_or_pushes_are_compared_a_growth_goes_at_once(hub, options):
    open_late(hub, options=options)
    hub.receive("TEE", 5)
    hub.run("push_stock")
    assert hub.writes() == [("TEE", 15)]
    assert hub.listing().rises.at is None


def test_what_waited_goes_when_the_account_has_no_lag_any_more(hub):
    open_late(hub, poll_seconds=3600)
    hub.receive("TEE", 5)
    hub.run("push_stock")
    assert hub.writes() == []
    hub.manifests["shop-a"] = replace(hub.manifests["shop-a"], visibility_lag_seconds=0)
    hub.run("push_stock")
    assert hub.writes() == [("TEE", 15)]


@pytest.mark.proves("I-20")
def test_a_first_count_goes_as_soon_as_its_look_is_explained(hub):
    shop = hub.connect(options=LATE)
    hub.link()
    hub.count("TEE", 12)
    took = seconds_until(hub, hub.writes)
    assert shop.quantities() == {"TEE": 12}
    assert took <= LAG + 5 + 8, "no later than the look that shows what is on sale now"


@pytest.mark.proves("I-20", "I-24", "F17")
@pytest.mark.parametrize("cap", [None, 10])
def test_units_that_come_in_with_a_sale_or_from_above_a_cap_wait_as_well(any_hub, cap):
    shop = open_late(any_hub)
    if cap is None:
        known = shop.buy(("TEE", 4))
    else:
        any_hub.receive("TEE", 4)
        any_hub.profile("shop-a", cap=cap)
        any_hub.settle()
        known = shop.buy(("TEE", 4))
    shop.faults.force("F17")
    unseen = shop.buy(("TEE", 6))
    any_hub.clock.advance(6)
    for flow in ("ingest", "normalise", "reserve"):
        any_hub.run(flow)
    assert any_hub.filled(known) == (4, 0)
    assert any_hub.find_order(unseen) is None
    if cap is None:
        any_hub.receive("TEE", 4)
    shop.effects.clear()
    any_hub.run("push_stock")
    assert any_hub.listing().desired == 10
    assert any_hub.writes() == [], "six of them are sold"
    any_hub.clock.advance(2 * LAG)
    any_hub.settle()
    assert any_hub.filled(unseen) == (6, 0)
    assert shop.quantities() == {"TEE": 4}


def test_while_polls_fail_nothing_grows_and_everything_shrinks(hub):
    shop = open_late(hub, {"TEE": 10, "MUG": 10})
    hub.receive("TEE", 5)
    for seconds in (6, 40, 400):
        hub.clock.advance(seconds)
        shop.faults.force("F06")
        with pytest.raises(ChannelDown):
            hub.run("ingest")
        hub.run("push_stock")
    assert hub.writes() == []
    hub.count("MUG", 4)
    hub.run("push_stock")
    assert hub.writes() == [("MUG", 4)]
    hub.settle()
    assert shop.quantities() == {"TEE": 15, "MUG": 4}


@pytest.mark.proves("I-24")
def test_a_stock_that_grows_all_the_time_is_offered_all_the_same(hub):
    shop = open_late(hub)
    for number in range(1, 61):
        hub.receive("TEE", 1)
        turn(hub, 2.6)  # three seconds with the runs
        on_sale, sure = shop.quantities()["TEE"], 10 + number - int(2 * (LAG + 9) / 3)
        assert on_sale >= sure, f"{number} units came in, {on_sale - 10} of them are on sale"
    assert 3 <= len(hub.writes()) <= 6, "and not one by one"


def test_messages_that_come_in_after_the_pass_hold_nothing_up(any_hub):
    open_late(any_hub, poll_seconds=60)
    any_hub.receive("TEE", 5)
    any_hub.run("push_stock")
    any_hub.clock.advance(LAG + 60)
    any_hub.run("ingest")
    any_hub.clock.advance(1)
    for number in range(3):
        any_hub.hint("orders/updated", f'{{"id": "{number}"}}'.encode())
    any_hub.run("push_stock")
    assert any_hub.writes() == [("TEE", 15)]


@pytest.mark.proves("I-20", "F17")
def test_an_order_of_the_pass_that_another_brought_meanwhile_is_waited_for(any_hub):
    shop = open_late(any_hub)
    shop.buy(("TEE", 2))
    any_hub.clock.advance(LAG + 20)
    session, read = any_hub.sessions["shop-a"], any_hub.sessions["shop-a"].read_orders

    def slow_read(feed, cursor, since):
        page = read(feed, cursor, since)
        any_hub.clock.advance(2)
        for raw in page.orders:  # a queue shows the same, while the answer is under way
            any_hub.add(raw.payload, "notification", channel_order_id=raw.channel_order_id)
        any_hub.clock.advance(2)
        return page

    session.read_orders = slow_read
    any_hub.run("ingest")
    assert explained_until(any_hub.context("shop-a")) is None
    any_hub.run("normalise")
    assert explained_until(any_hub.context("shop-a")) is not None


def test_orders_read_and_not_yet_booked_hold_a_growth_up_for_moments(any_hub):
    shop = open_late(any_hub, poll_seconds=60)
    any_hub.receive("TEE", 5)
    any_hub.run("push_stock")
    any_hub.clock.advance(LAG + 20)
    shop.buy(("TEE", 2))
    any_hub.clock.advance(60)
    any_hub.run("ingest")
    report = any_hub.run("push_stock")
    assert any_hub.writes() == []
    assert report.next_at == any_hub.clock.now() + timedelta(seconds=1)
    any_hub.run("normalise")
    any_hub.run("push_stock")
    assert any_hub.writes() == [], "its units are not reserved yet"
    any_hub.run("reserve")
    any_hub.run("push_stock")
    assert any_hub.writes() == [("TEE", 13)]


def test_a_person_who_asks_for_a_push_waits_no_longer_than_the_orders(hub):
    shop = open_late(hub)
    shop.hand_edit("TEE", 2)
    shop.effects.clear()
    listing_acts.push(hub.command, "shop-a", ["shop-a-listing-1"])
    took = seconds_until(hub, lambda: shop.quantities() == {"TEE": 10})
    assert took <= LAG + 5 + 5


def test_what_waits_is_shown_with_what_it_waits_for(any_hub):
    open_late(any_hub)
    any_hub.receive("TEE", 5)
    any_hub.run("push_stock")
    at = when(any_hub.listing().rises.at)
    (row,) = any_hub.storage.reports.listings("shop-a")
    assert (row["state"], row["waits_for_orders_until"]) == ("behind", at)
    any_hub.storage.record_profiles(any_hub.profiles.values())
    shown = any_hub.storage.reports.explain("TEE", account="shop-a", at=None)
    assert shown["value"] == 15
    assert shown["listings"] == [
        {
            "channel_listing_id": "shop-a-listing-1",
            "state": "behind",
            "shows": 10,
            "why": f"5 more wait for the orders placed until {at}",
        }
    ]
    past = any_hub.storage.reports.explain("TEE", account="shop-a", at=any_hub.clock.now())
    assert past["listings"] == []
