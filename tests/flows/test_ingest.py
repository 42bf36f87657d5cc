"""Ingest: what a channel shows is stored with the place it was read to, page by page."""

from datetime import timedelta

import pytest

from oms_sync.flows.records import AccountRecord
from oms_sync.sdk import BadPayload, Capability, OrderFeed, OrderPage
from oms_sync.sdk.fake_session import FakeSession


class HastyWorld(FakeSession):
    """While a page is read, somebody asks for the next pass."""

    hub = None

    def read_orders(self, feed, cursor, since):
        if feed is OrderFeed.CHANGES:
            with self.hub.storage.open_work() as work:
                at = self.hub.clock.now() + timedelta(seconds=1)
                work.feeds.hasten("shop-a", OrderFeed.CHANGES, at=at)
                work.commit()
        return super().read_orders(feed, cursor, since)


def bought(shop, count):
    return [shop.buy(("TEE", 1)) for _ in range(count)]


def known(hub, orders):
    return [one for one in orders if hub.find_order(one)]


def test_the_first_run_remembers_the_account_and_lays_out_its_feeds(any_hub):
    any_hub.connect(backfill_days=3, overlap_seconds=60)
    start = any_hub.clock.now() + timedelta(seconds=0.1)
    any_hub.run("ingest")
    any_hub.run("ingest")
    with any_hub.storage.open_work() as work:
        record = work.accounts.get("shop-a")
    assert record.first_connected_at == start
    assert any_hub.feed("changes").since == start - timedelta(seconds=60)
    assert any_hub.feed("history").since == start - timedelta(days=3)
    horizon = any_hub.manifests["shop-a"].order_horizon_days
    assert any_hub.feed("open").since == start - timedelta(days=horizon), "all that is open"


def test_an_account_paused_before_its_first_run_stays_paused(hub):
    hub.connect()
    with hub.storage.open_work() as work:
        work.accounts.put(AccountRecord(name="shop-a", connector="fake", is_paused=True))
        work.commit()
    hub.run("ingest")
    with hub.storage.open_work() as work:
        record = work.accounts.get("shop-a")
    assert record.is_paused
    assert record.first_connected_at is not None


@pytest.mark.proves("I-01", "I-02", "I-04", "I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("commit", range(1, 12))
def test_a_crash_between_any_two_commits_loses_no_order_and_doubles_none(hub, commit, is_after):
    shop = hub.connect(options={"page_size": 2})
    hub.run("ingest")
    orders = bought(shop, 5)
    hub.crash_at(commit, is_after=is_after)
    with pytest.raises(hub.Crash):
        hub.settle()
    hub.settle()
    assert known(hub, orders) == orders
    assert len(hub.storage.reports.orders()) == len(orders)


@pytest.mark.proves("I-04")
def test_a_page_and_its_cursor_are_stored_together_or_not_at_all(any_hub):
    shop = any_hub.connect(options={"page_size": 2})
    any_hub.run("ingest")
    bought(shop, 3)
    any_hub.clock.advance(5)
    before = any_hub.feed().cursor
    any_hub.crash_at(2)  # the first commit begins the pass
    with pytest.raises(any_hub.Crash):
        any_hub.run("ingest")
    assert any_hub.feed().cursor == before
    assert any_hub.inbox("new") == []
    any_hub.crash_at(1, is_after=True)  # the pass goes on where it stood
    with pytest.raises(any_hub.Crash):
        any_hub.run("ingest")
    assert any_hub.feed().cursor != before
    assert len(any_hub.inbox("new")) == 2


@pytest.mark.proves("I-05", "F19")
def test_an_empty_page_with_a_cursor_is_not_the_end(hub):
    shop = hub.connect()
    hub.run("ingest")
    orders = bought(shop, 2)
    shop.faults.force("F19")
    hub.take_in()
    assert known(hub, orders) == orders


@pytest.mark.proves("I-05", "F20")
def test_a_repeated_cursor_is_an_error_and_the_pass_goes_on_later(hub):
    shop = hub.connect(options={"page_size": 1})
    hub.run("ingest")
    orders = bought(shop, 3)
    hub.clock.advance(5)
    shop.faults.force("F20")
    with pytest.raises(BadPayload, match="same cursor again"):
        hub.run("ingest")
    hub.settle()
    assert known(hub, orders) == orders


@pytest.mark.proves("I-05")
def test_a_cursor_that_loops_in_the_back_fill_is_an_error_too(hub):
    shop = hub.connect()
    bought(shop, 1)

    class Looping(FakeSession):
        def read_orders(self, feed, cursor, since):
            if feed is OrderFeed.CHANGES:
                return super().read_orders(feed, cursor, since)
            return OrderPage(orders=(), cursor="again", is_last=False)

    hub.sessions["shop-a"] = Looping(shop, shop.request())
    hub.run("ingest")
    with pytest.raises(BadPayload, match="feed open"):
        hub.run("ingest")


def test_a_pass_asked_for_while_one_is_under_way_is_not_forgotten(any_hub):
    shop = any_hub.connect()
    any_hub.run("ingest")
    session = HastyWorld(shop, shop.request())
    session.hub = any_hub
    any_hub.sessions["shop-a"] = session
    any_hub.clock.advance(5)
    report = any_hub.run("ingest")
    wanted = any_hub.clock.now() + timedelta(seconds=1)
    assert any_hub.feed().next_at == report.next_at == wanted


def test_the_next_pass_is_due_a_poll_period_after_the_last(hub):
    shop = hub.connect(poll_seconds=30)
    hub.run("ingest")
    assert hub.feed().next_at == hub.clock.now() + timedelta(seconds=30)
    (order,) = bought(shop, 1)
    hub.clock.advance(29)
    hub.run("ingest")
    hub.run("normalise")
    # The back-fill reads this order, too: the pass over changes has not begun.
    assert hub.feed().drained_at < hub.clock.now() - timedelta(seconds=28)
    hub.clock.advance(2)
    hub.run("ingest")
    assert hub.feed().drained_at == hub.clock.now()
    assert known(hub, [order]) == [order]


def test_a_draining_hub_stops_after_the_page_at_hand_and_goes_on_there(hub):
    shop = hub.connect(options={"page_size": 1})
    hub.run("ingest")
    orders = bought(shop, 3)
    hub.clock.advance(5)
    hub.is_stopping = lambda: True
    report = hub.run("ingest")
    assert report.is_more
    assert hub.feed().pass_started_at is not None
    hub.is_stopping = lambda: False
    hub.settle()
    assert known(hub, orders) == orders


@pytest.mark.proves("I-33")
def test_a_run_reads_a_bounded_number_of_pages_and_says_there_is_more(hub):
    shop = hub.connect(options={"page_size": 1}, catalogue={"TEE": 50})
    hub.run("ingest")
    orders = bought(shop, 22)
    hub.clock.advance(5)
    report = hub.run("ingest")
    assert report.is_more
    assert len(hub.inbox("new")) == 20 + 1, "twenty pages of changes, one of back-fill"
    hub.settle()
    assert known(hub, orders) == orders


@pytest.mark.proves("I-01")
def test_the_first_connect_reads_open_orders_then_history_and_only_then_allows_pushes(any_hub):
    shop = any_hub.connect(options={"page_size": 1})
    old = bought(shop, 2)
    shop.fulfil_at_channel(old[0])
    any_hub.clock.advance(7200)  # older than the overlap of the first pass over changes
    any_hub.clock.advance(1)
    seen = []
    for _ in range(6):
        any_hub.run("ingest")
        seen.append([one["channel_order_id"] for one in any_hub.inbox("new")])
        any_hub.run("normalise")
        if any_hub.feed("history").is_finished:
            break
    assert seen[0] == [old[1]], "open orders come first"
    assert known(any_hub, old) == old
    with any_hub.storage.open_work() as work:
        assert work.accounts.get("shop-a").backfilled_at is None
    any_hub.wakes.clear()
    report = any_hub.run("ingest")
    assert not report.is_more
    with any_hub.storage.open_work() as work:
        assert work.accounts.get("shop-a").backfilled_at == any_hub.clock.now()
    assert ("push_stock", "shop-a") in any_hub.wakes
    assert any_hub.run("ingest").done == 0


def test_a_channel_that_shows_no_orders_is_not_polled(hub):
    hub.connect()
    manifest = hub.manifests["shop-a"]
    fewer = manifest.capabilities - {Capability.READ_ORDERS}
    hub.manifests["shop-a"] = type(manifest)(id="fake", label="Fake", capabilities=fewer)
    hub.sessions["shop-a"] = None
    hub.hint("shop/renamed", b"{}")
    report = hub.run("ingest")
    assert (report.done, report.is_more, report.next_at) == (1, False, None)


@pytest.mark.proves("I-01", "I-02", "F17", "F22", "F32")
def test_late_shifting_and_simultaneous_orders_are_all_found_once(hub):
    shop = hub.connect(options={"page_size": 2, "late_seconds": 8.0}, catalogue={"TEE": 50})
    hub.run("ingest")
    shop.faults.force("F17", 2)
    orders = bought(shop, 4)
    shop.faults.force("F32", 3)
    orders += bought(shop, 3)
    for kind in ("F22", "page_duplicates", "page_reordered"):
        shop.faults.force(kind, 2)
    hub.settle()
    hub.settle()
    assert known(hub, orders) == orders
    assert len(hub.storage.reports.orders()) == len(orders)


@pytest.mark.proves("I-12")
def test_polling_alone_brings_every_order_and_every_change(hub):
    shop = hub.open_shop()
    orders = bought(shop, 2)
    shop.cancel(orders[1])
    hub.settle()
    assert [hub.order(one).state.value for one in orders] == ["open", "cancelled"]
