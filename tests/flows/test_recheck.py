"""Unfinished orders are read again once a day, so that no change of theirs stays unseen."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.flows import recheck
from oms_sync.sdk import Capability, OrderFeed
from oms_sync.sdk.fake_session import FakeSession

HOUR, DAY = 3_600, 86_400


class Silent(FakeSession):
    """A channel whose lists never show anything, and that counts what is read by id."""

    asked: list[str]

    def read_orders(self, feed, cursor, since):
        page = super().read_orders(feed, cursor, since)
        return page if feed is OrderFeed.OPEN else replace(page, orders=())

    def read_orders_by_id(self, ids):
        self.asked.extend(ids)
        return super().read_orders_by_id(ids)


@pytest.fixture
def shop(any_hub):
    return any_hub.open_shop(options={"order_read_max": 2})


def silenced(hub, shop):
    """From now on only reading by id shows what changes; answers the ids read."""
    session = Silent(shop, shop.request())
    session.asked = []
    hub.sessions["shop-a"] = session
    return session.asked


def rechecked(hub):
    """A run of reconcile, and the re-reads it wants, however they are spread."""
    hub.run("reconcile")
    hub.clock.advance(HOUR)
    for flow in ("ingest", "normalise", "reserve"):
        hub.run(flow)


@pytest.mark.proves("I-01", "F18")
def test_a_cancellation_nobody_told_of_is_seen_within_a_day(any_hub, shop):
    order = shop.buy(("TEE", 1))
    any_hub.settle()
    any_hub.clock.advance(DAY - HOUR)
    asked = silenced(any_hub, shop)
    shop.cancel(order)
    any_hub.clock.advance(HOUR - 60)
    rechecked(any_hub)
    assert (asked, any_hub.order(order).state) == ([], "open")
    any_hub.clock.advance(HOUR)
    any_hub.wakes.clear()
    rechecked(any_hub)
    assert ("ingest", "shop-a") in any_hub.wakes
    assert (asked, any_hub.order(order).state) == ([order], "cancelled")
    any_hub.clock.advance(DAY)
    rechecked(any_hub)
    assert asked == [order], "what is finished is not read again"


@pytest.mark.proves("I-33")
def test_an_answer_that_is_the_same_is_asked_for_again_only_a_day_later(any_hub, shop):
    orders = [shop.buy(("TEE", 1)), shop.buy(("TEE", 1), is_paid=False), shop.buy(("TEE", 1))]
    shop.hold(orders[2])
    any_hub.settle()
    asked = silenced(any_hub, shop)
    any_hub.clock.advance(DAY)
    for _ in range(20):  # hours
        rechecked(any_hub)
    assert sorted(asked) == sorted(orders)
    for _ in range(6):
        rechecked(any_hub)
    assert sorted(asked) == sorted(orders * 2)


def test_an_order_the_feed_shows_as_changed_counts_as_read(any_hub, shop):
    order = shop.buy(("TEE", 2))
    any_hub.settle()
    any_hub.clock.advance(DAY - HOUR)
    shop.edit(order, {"TEE": 1})
    any_hub.settle()
    asked = silenced(any_hub, shop)
    any_hub.clock.advance(2 * HOUR)
    rechecked(any_hub)
    assert asked == []


def test_re_reads_are_spread_over_the_period_oldest_first(any_hub, shop, monkeypatch):
    monkeypatch.setattr(recheck, "ORDERS_MAX", 4)
    orders = []
    for _ in range(7):
        orders.append(shop.buy(("TEE", 1)))
        any_hub.settle()
    silenced(any_hub, shop)
    any_hub.clock.advance(DAY)
    now = any_hub.clock.now()
    any_hub.run("reconcile")
    with any_hub.storage.open_work() as work:
        due = [
            [one.channel_order_id for one in work.rereads.due("shop-a", at=at, limit=99)]
            for at in (now + timedelta(seconds=1), now + timedelta(seconds=HOUR / 2 + 1))
        ]
    assert due == [orders[:2], orders[:4]], "two ids a call, and half a period between two calls"
    any_hub.run("reconcile")
    with any_hub.storage.open_work() as work:
        later = work.rereads.due("shop-a", at=now + timedelta(hours=1), limit=99)
    assert {one.channel_order_id for one in later} == set(orders)


@pytest.mark.proves("I-26")
def test_a_run_repeated_at_once_arms_no_more_until_most_are_read(any_hub, shop, monkeypatch):
    monkeypatch.setattr(recheck, "ORDERS_MAX", 4)
    monkeypatch.setattr(recheck, "WAITING_MAX", 2)
    for _ in range(7):
        shop.buy(("TEE", 1))
    any_hub.settle()
    asked = silenced(any_hub, shop)
    any_hub.clock.advance(DAY)
    assert [any_hub.run("reconcile").done for _ in range(3)] == [5, 0, 0], "one is a listing's look"
    any_hub.run("ingest")
    assert len(asked) == 2, "the first call's"
    assert any_hub.run("reconcile").done == 3
    for _ in range(3):
        any_hub.clock.advance(HOUR)
        any_hub.run("ingest")
    assert len(set(asked)) == len(asked) == 7


def test_what_the_channel_shows_no_more_is_not_asked_for(any_hub, shop):
    order = shop.buy(("TEE", 1))
    any_hub.settle()
    asked = silenced(any_hub, shop)
    any_hub.manifests["shop-a"] = replace(any_hub.manifests["shop-a"], order_horizon_days=2)
    any_hub.clock.advance(3 * DAY)
    rechecked(any_hub)
    assert asked == []
    any_hub.manifests["shop-a"] = replace(any_hub.manifests["shop-a"], order_horizon_days=60)
    rechecked(any_hub)
    assert asked == [order]


def test_what_leaves_the_channels_horizon_before_it_is_read_does_not_seem_gone(any_hub, shop):
    """Armed in time, it would be asked for after an outage, and held as gone at the channel."""
    order = shop.buy(("TEE", 1))
    any_hub.settle()
    silenced(any_hub, shop)
    any_hub.manifests["shop-a"] = replace(any_hub.manifests["shop-a"], order_horizon_days=3)
    any_hub.clock.advance(2 * DAY)
    any_hub.run("reconcile")
    any_hub.clock.advance(1.5 * DAY)  # nothing could be read meanwhile

    class Short(FakeSession):
        def read_orders_by_id(self, ids):
            return ()

    any_hub.sessions["shop-a"] = Short(shop, shop.request())
    for _ in range(12):
        any_hub.run("ingest")
        any_hub.run("normalise")
        any_hub.clock.advance(HOUR)
    assert any_hub.holds(order) == []


def test_a_channel_that_reads_no_orders_is_not_asked(hub):
    shop = hub.open_shop()
    shop.buy(("TEE", 1))
    hub.settle()
    manifest = hub.manifests["shop-a"]
    less = manifest.capabilities - {Capability.READ_ORDERS}
    hub.manifests["shop-a"] = replace(manifest, capabilities=less)
    hub.clock.advance(2 * DAY)
    assert recheck.recheck(hub.context("shop-a"), hub.clock.now()) == 0
