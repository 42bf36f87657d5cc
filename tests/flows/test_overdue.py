"""Orders that wait too long are alarms: to be shipped, to be told of, to be paid for."""

from datetime import timedelta

import pytest

from oms_sync.domain.shipment import Package
from oms_sync.flows.commands.accounts import pause
from oms_sync.flows.commands.shipments import Dispatch, ship
from oms_sync.sdk import ChannelDown, Rejected
from oms_sync.sdk.fake_session import FakeSession

HOUR, DAY = 3_600.0, 86_400.0
KINDS = {"not_shipped", "not_told", "not_paid"}


def alarms(hub, account="shop-a"):
    """The alarms about orders after a look at the account, by kind."""
    hub.run("watch", account)
    rows = hub.storage.reports.account(account)["alarms"]
    return {row["kind"]: row["reason"] for row in rows if row["kind"] in KINDS}


def overdue(hub, kind, account="shop-a"):
    return hub.metrics.gauges[f"overdue {account} {kind}"]


@pytest.fixture
def shop(any_hub):
    made = any_hub.open_shop()
    any_hub.storage.record_profiles(any_hub.profiles.values())
    return made


def sold(hub, shop, **facts):
    """An order of one unit, taken in; `due` hours from now it has to leave."""
    due = facts.pop("due", None)
    ship_by = None if due is None else hub.clock.now() + timedelta(hours=due)
    order = shop.buy(("TEE", 1), ship_by=ship_by, **facts)
    hub.settle()
    return order


class Refusing(FakeSession):
    """A channel that takes no shipment."""

    def push_shipment(self, shipment):
        raise Rejected("the carrier is unknown")


class Down(FakeSession):
    """A channel that answers no shipment."""

    def read_shipments(self, channel_order_id):
        raise ChannelDown("down")


# --- to be shipped -------------------------------------------------------------------------------


@pytest.mark.proves("I-29", "I-41")
def test_an_order_is_an_alarm_from_four_hours_before_its_deadline_until_it_ships(any_hub, shop):
    order = sold(any_hub, shop, due=5)
    assert alarms(any_hub) == {}
    any_hub.clock.advance(HOUR)
    assert "1 order to ship within 4 hours" in alarms(any_hub)["not_shipped"]
    assert overdue(any_hub, "not_shipped") == 1
    any_hub.clock.advance(10 * HOUR)
    assert "or late already" in alarms(any_hub)["not_shipped"]
    any_hub.ship(order)
    any_hub.settle()
    assert alarms(any_hub) == {}
    assert overdue(any_hub, "not_shipped") == 0


@pytest.mark.proves("I-29")
def test_held_orders_are_late_too_and_the_alarm_counts_on_without_being_told_anew(any_hub, shop):
    held = sold(any_hub, shop, due=1)
    shop.hold(held)
    any_hub.settle()
    assert alarms(any_hub)["not_shipped"].startswith("1 order ")
    raised = any_hub.storage.reports.account("shop-a")["alarms"][-1]["raised_at"]
    sold(any_hub, shop, due=2)
    assert alarms(any_hub)["not_shipped"].startswith("2 orders ")
    assert overdue(any_hub, "not_shipped") == 2
    (shown,) = [
        row
        for row in any_hub.storage.reports.account("shop-a")["alarms"]
        if row["kind"] == "not_shipped"
    ]
    assert shown["raised_at"] == raised


@pytest.mark.parametrize("facts", [{"fulfilled_by": "channel"}, {"is_paid": False}, {"due": None}])
def test_what_others_ship_nobody_paid_or_has_no_deadline_is_not_late(any_hub, shop, facts):
    sold(any_hub, shop, **{"due": 1, **facts})
    any_hub.clock.advance(2 * HOUR)
    assert alarms(any_hub) == {}


@pytest.mark.parametrize("end", ["cancel", "fulfil_at_channel"])
def test_what_ends_at_the_channel_is_late_no_more(any_hub, shop, end):
    order = sold(any_hub, shop, due=1)
    assert set(alarms(any_hub)) == {"not_shipped"}
    getattr(shop, end)(order)
    any_hub.settle()
    assert alarms(any_hub) == {}


def test_each_account_tells_of_its_own_orders(any_hub, shop):
    other = any_hub.open_shop("shop-b")
    any_hub.storage.record_profiles(any_hub.profiles.values())
    sold(any_hub, other, due=1)
    assert (alarms(any_hub), set(alarms(any_hub, "shop-b"))) == ({}, {"not_shipped"})
    pause(any_hub.command, "shop-b", reason="holidays")
    assert alarms(any_hub, "shop-b") == {}


# --- to be told of -------------------------------------------------------------------------------


@pytest.mark.proves("I-29", "I-41")
def test_a_shipment_no_channel_confirms_is_an_alarm_after_an_hour(any_hub, shop):
    order = sold(any_hub, shop)
    session = any_hub.sessions["shop-a"]
    any_hub.sessions["shop-a"] = Down(shop, shop.request())
    any_hub.ship(order)
    with pytest.raises(ChannelDown):
        any_hub.run("push_tracking")
    any_hub.clock.advance(HOUR - 60)
    assert alarms(any_hub) == {}
    any_hub.clock.advance(61)
    assert alarms(any_hub)["not_told"].startswith("1 shipment the channel does not show, 0 of")
    any_hub.sessions["shop-a"] = session
    any_hub.settle()
    assert alarms(any_hub) == {}


def refused(hub, shop, *orders):
    """Ship these orders; the channel refuses each for good."""
    session = hub.sessions["shop-a"]
    hub.sessions["shop-a"] = Refusing(shop, shop.request())
    shipments = [hub.ship(order) for order in orders]
    for _ in range(5):
        hub.clock.advance(60)
        hub.run("push_tracking")
    hub.sessions["shop-a"] = session
    assert {hub.push_of(one)["state"] for one in shipments} == {"refused"}


@pytest.mark.proves("I-29", "I-41")
@pytest.mark.parametrize("end", ["fulfil_at_channel", "cancel"])
def test_a_refused_shipment_is_an_alarm_while_the_channel_waits_for_its_goods(any_hub, shop, end):
    order, other = sold(any_hub, shop), sold(any_hub, shop)
    refused(any_hub, shop, order, other)
    assert "2 shipments" in alarms(any_hub)["not_told"]
    assert "2 of them refused" in alarms(any_hub)["not_told"]
    assert overdue(any_hub, "not_told") == 2
    getattr(shop, end)(order)
    any_hub.settle()
    assert "1 shipment " in alarms(any_hub)["not_told"]
    shop.fulfil_at_channel(other)
    any_hub.settle()
    assert alarms(any_hub) == {}


def test_a_refused_part_entered_by_hand_is_no_alarm_although_the_rest_is_open(any_hub, shop):
    order = shop.buy(("TEE", 3))
    any_hub.settle()
    session = any_hub.sessions["shop-a"]
    any_hub.sessions["shop-a"] = Refusing(shop, shop.request())
    dispatch = Dispatch(packages=(Package(carrier="ups"),), lines={"TEE": 2})
    ship(any_hub.command, any_hub.order(order).order_id, dispatch)
    for _ in range(5):
        any_hub.clock.advance(60)
        any_hub.run("push_tracking")
    any_hub.sessions["shop-a"] = session
    assert set(alarms(any_hub)) == {"not_told"}
    shop.fulfil_at_channel(order, {"TEE": 2})
    any_hub.settle()
    assert any_hub.order(order).state == "open"
    assert alarms(any_hub) == {}


def test_in_shadow_nothing_is_told_and_no_alarm_says_so(any_hub, shop):
    order = sold(any_hub, shop)
    any_hub.profile("shop-a", mode="shadow")
    any_hub.ship(order)
    any_hub.clock.advance(2 * HOUR)
    assert alarms(any_hub) == {}


# --- to be paid for ------------------------------------------------------------------------------


@pytest.mark.proves("I-41")
def test_units_held_for_an_order_nobody_pays_are_an_alarm_after_five_days(any_hub, shop):
    order = shop.buy(("TEE", 3), is_paid=False)
    shop.buy(("TEE", 1), is_paid=False, fulfilled_by="channel")
    any_hub.settle()
    any_hub.clock.advance(5 * DAY - 60)
    assert alarms(any_hub) == {}
    any_hub.clock.advance(61)
    reason = alarms(any_hub)["not_paid"]
    assert reason.startswith("1 order unpaid for more than 5 days hold 3 units")
    assert "orders cancel --reason" in reason
    shop.pay(order)
    any_hub.settle()
    assert alarms(any_hub) == {}
