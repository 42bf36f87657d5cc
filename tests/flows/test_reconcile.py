"""Reconcile: every listing is looked at again in time, and a sweep finds what changes missed."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from oms_sync.sdk import (
    BadPayload,
    Capability,
    ChannelDown,
    OrderFeed,
    OrderPage,
    RateLimited,
)
from oms_sync.sdk.fake_session import FakeSession

HOUR = 3600


class Forgetful(FakeSession):
    """A channel whose feed of changes forgets orders."""

    def read_orders(self, feed, cursor, since):
        page = super().read_orders(feed, cursor, since)
        return replace(page, orders=()) if feed is OrderFeed.CHANGES else page


@pytest.mark.proves("I-01", "F18")
def test_a_sweep_finds_an_order_the_feed_of_changes_missed(any_hub):
    shop = any_hub.open_shop(options={"page_size": 1})
    any_hub.sessions["shop-a"] = Forgetful(shop, shop.request())
    orders = [shop.buy(("TEE", 1)) for _ in range(3)]
    any_hub.settle()
    assert any_hub.find_order(orders[0]) is None
    any_hub.wakes.clear()
    report = any_hub.run("reconcile")
    assert report.done == 3
    assert report.next_at == any_hub.clock.now() + timedelta(seconds=HOUR)
    assert ("normalise", "shop-a") in any_hub.wakes
    any_hub.settle()
    assert [any_hub.filled(one) for one in orders] == [(1, 0)] * 3
    assert any_hub.feed("sweep").drained_at is not None


def test_a_sweep_that_finds_nothing_new_stores_nothing_and_is_not_repeated_at_once(any_hub):
    shop = any_hub.open_shop()
    shop.buy(("TEE", 1))
    any_hub.settle()
    assert any_hub.run("reconcile").done == 0
    first = any_hub.feed("sweep").drained_at
    assert any_hub.inbox("new") == []
    any_hub.run("reconcile")
    assert any_hub.feed("sweep").drained_at == first
    any_hub.clock.advance(HOUR)
    any_hub.run("reconcile")
    assert any_hub.feed("sweep").drained_at > first


@pytest.mark.proves("I-04", "I-31", "F47")
@pytest.mark.parametrize("commit", [1, 2, 3])
@pytest.mark.parametrize("is_after", [False, True])
def test_a_sweep_that_dies_goes_on_where_it_stood(hub, commit, is_after):
    shop = hub.open_shop(options={"page_size": 1})
    hub.sessions["shop-a"] = Forgetful(shop, shop.request())
    orders = [shop.buy(("TEE", 1)) for _ in range(3)]
    hub.crash_at(commit, is_after=is_after)
    with pytest.raises(hub.Crash):
        hub.run("reconcile")
    hub.run("reconcile")
    hub.settle()
    assert [hub.filled(one) for one in orders] == [(1, 0)] * 3


def test_a_draining_hub_ends_the_sweep_after_a_page_and_says_there_is_more(hub):
    shop = hub.open_shop(options={"page_size": 1})
    for _ in range(3):
        shop.buy(("TEE", 1))
    hub.is_stopping = lambda: True
    assert hub.run("reconcile").is_more
    assert hub.feed("sweep").pass_started_at is not None
    hub.is_stopping = lambda: False
    assert not hub.run("reconcile").is_more


@pytest.mark.proves("I-33")
def test_a_run_sweeps_a_bounded_number_of_pages(hub):
    shop = hub.open_shop()

    class Endless(FakeSession):
        def read_orders(self, feed, cursor, since):
            return OrderPage(orders=(), cursor=f"{int(cursor or 0) + 1}", is_last=False)

    hub.sessions["shop-a"] = Endless(shop, shop.request())
    assert hub.run("reconcile").is_more
    assert hub.feed("sweep").cursor == "200"


@pytest.mark.proves("I-05", "F20")
def test_a_sweep_whose_cursor_repeats_is_an_error(hub):
    shop = hub.open_shop(options={"page_size": 1})
    for _ in range(3):
        shop.buy(("TEE", 1))
    shop.faults.set("F20", rate=1.0)
    with pytest.raises(BadPayload, match="same cursor again"):
        hub.run("reconcile")


@pytest.mark.proves("I-20", "F14", "F39")
def test_a_hand_edit_nobody_told_of_is_found_within_a_period(any_hub):
    shop = any_hub.open_shop()
    shop.hand_edit("TEE", 2)
    any_hub.run("reconcile")
    any_hub.settle()
    assert shop.quantities() == {"TEE": 2}, "it was looked at less than a period ago"
    any_hub.clock.advance(HOUR)
    any_hub.wakes.clear()
    any_hub.run("reconcile")
    assert any_hub.listing().look_due_at == any_hub.clock.now()
    assert ("push_stock", "shop-a") in any_hub.wakes
    any_hub.settle()
    assert shop.quantities() == {"TEE": 10}


def test_more_listings_than_one_run_takes_are_looked_at_longest_unseen_first(hub):
    hub.open_shop()
    seen = hub.listing()
    with hub.storage.open_work() as work:
        work.listings.save(
            [
                replace(
                    seen,
                    listing_id=f"many-{number}",
                    channel_listing_id=f"many-{number}",
                    channel_sku=f"MANY {number}",
                    looked_at=seen.looked_at - timedelta(seconds=number),
                )
                for number in range(500)
            ]
        )
        work.commit()
    hub.clock.advance(HOUR)
    report = hub.run("reconcile")
    assert (report.done, report.is_more) == (500, True)
    assert hub.listing("MANY 499").look_due_at is not None
    report = hub.run("reconcile")
    assert (report.done, report.is_more) == (1, False)


@pytest.mark.parametrize("missing", [Capability.READ_STOCK, Capability.READ_ORDERS])
def test_a_channel_is_compared_in_what_it_can_show(hub, missing):
    shop = hub.open_shop()
    manifest = hub.manifests["shop-a"]
    hub.manifests["shop-a"] = replace(manifest, capabilities=manifest.capabilities - {missing})
    hub.sessions["shop-a"] = Forgetful(shop, shop.request())
    shop.buy(("TEE", 1))
    hub.clock.advance(HOUR)
    report = hub.run("reconcile")
    assert (report.done, report.is_more) == (1, False)
    assert (hub.listing().look_due_at is None) is (missing is Capability.READ_STOCK)


class Scarce(FakeSession):
    """A channel with one page of a sweep every so often; in between it asks to wait."""

    wait_seconds: float
    ready_at = None

    def read_orders(self, feed, cursor, since):
        now = self._channel.clock.now()
        if feed is OrderFeed.SWEEP and self.ready_at is not None and now < self.ready_at:
            raise RateLimited("one page at a time", retry_after_seconds=self.wait_seconds)
        if feed is OrderFeed.SWEEP:
            self.ready_at = now + timedelta(seconds=self.wait_seconds)
        return super().read_orders(feed, cursor, since)


@pytest.mark.proves("I-26", "I-41")
def test_a_sweep_slower_than_its_period_leaves_half_the_calls_and_is_no_silence(any_hub):
    """Ten pages, one every half hour: five hours, so the next one begins ten hours after it."""
    shop = any_hub.open_shop(options={"page_size": 1})
    any_hub.storage.record_profiles(any_hub.profiles.values())
    for _ in range(10):
        shop.buy(("TEE", 1))
    any_hub.settle()
    session = Scarce(shop, shop.request())
    session.wait_seconds = HOUR / 2
    any_hub.sessions["shop-a"] = session
    began, silent = [], set()
    for _ in range(120):  # quarters of an hour
        with suppress(RateLimited):
            any_hub.run("reconcile")
        position = any_hub.feed("sweep")
        if position.pass_started_at and position.pass_started_at not in began:
            began.append(position.pass_started_at)
        any_hub.take_in()
        any_hub.run("watch")
        silent |= {row["kind"] for row in any_hub.storage.reports.account("shop-a")["alarms"]}
        any_hub.clock.advance(HOUR / 4)
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert len(pauses) >= 2
    assert all(timedelta(hours=8) < one < timedelta(hours=12) for one in pauses)
    assert silent == set()


def test_a_quick_sweep_comes_again_after_a_period_and_reconcile_with_it(any_hub):
    any_hub.open_shop()
    report = any_hub.run("reconcile")
    due = any_hub.feed("sweep").next_at
    assert report.next_at == due == any_hub.clock.now() + timedelta(seconds=HOUR)
    # a sweep that is due before the period ends is not missed
    soon = any_hub.clock.now() + timedelta(minutes=5)
    sooner = replace(any_hub.feed("sweep"), next_at=soon)
    with any_hub.storage.open_work() as work:
        work.feeds.put(sooner)
        work.commit()
    assert any_hub.run("reconcile").next_at == soon


def _broken_off(hub):
    """A sweep that has stored one page of three."""
    shop = hub.open_shop(options={"page_size": 1})
    hub.storage.record_profiles(hub.profiles.values())
    for _ in range(3):
        shop.buy(("TEE", 1))
    hub.settle()
    hub.is_stopping = lambda: True
    hub.run("reconcile")
    hub.is_stopping = lambda: False
    return shop


@pytest.mark.proves("I-26")
def test_the_time_the_hub_was_away_puts_no_sweep_off(any_hub):
    _broken_off(any_hub)
    began = any_hub.feed("sweep").pass_started_at
    any_hub.clock.advance(10 * 24 * HOUR)
    any_hub.run("reconcile")
    position = any_hub.feed("sweep")
    assert position.drained_at > began, "what changed while it was away is swept"
    assert position.next_at <= any_hub.clock.now() + timedelta(hours=1)


@pytest.mark.proves("I-41")
def test_a_sweep_begun_anew_that_gets_no_page_stays_the_silence_it_was(any_hub):
    shop = _broken_off(any_hub)

    class Down(FakeSession):
        def read_orders(self, feed, cursor, since):
            if feed is OrderFeed.SWEEP:
                raise ChannelDown("no sweep today")
            return super().read_orders(feed, cursor, since)

    any_hub.sessions["shop-a"] = Down(shop, shop.request())
    raised = set()
    for _ in range(20):
        any_hub.clock.advance(HOUR)
        with suppress(ChannelDown):
            any_hub.run("reconcile")
        any_hub.take_in()
        any_hub.run("watch")
        raised |= {
            row["raised_at"]
            for row in any_hub.storage.reports.account("shop-a")["alarms"]
            if row["kind"] == "not_reconciled"
        }
    assert len(raised) == 1, "told once"
