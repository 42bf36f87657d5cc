"""What only a whole hub at a connector's sandbox shows: combined orders, and the first connect."""

from datetime import timedelta

import pytest

from oms_sync.sdk import OrderFeed

FIRST, SECOND = "NUTS&BOLTS", "TEE RED M"
RUNS_MAX = 40
A_DAY = 86_400


@pytest.mark.proves("I-02", "I-07")
@pytest.mark.parametrize("market", ["ebay"], indirect=True)
@pytest.mark.parametrize("sequence", [(0, 1, 2), (2, 0, 1), (1, 2, 0, 2)])
def test_combined_orders_take_their_lines_along_and_reserve_once(market, sequence):
    one = market.place((FIRST, 2), is_paid=False)
    other = market.place((SECOND, 1), is_paid=False)
    apart = [market.read(one), market.read(other)]
    market.advance(2)
    together = market.driver.sandbox.sales.combine(one, other)
    market.advance(2)
    readings = [*apart, market.read(together)]
    own = market.account("own", FIRST, SECOND)
    hub = market.hub
    for number in sequence:
        raw, seen_at = readings[number], market.driver.now()
        names = {"account": "own", "channel_order_id": raw.channel_order_id}
        hub.add(raw.payload, "read", received_at=seen_at, **names)
        hub.run("normalise", "own")
        hub.run("reserve", "own")
    assert hub.inbox("dead", "own") == []
    (shown,) = hub.storage.reports.orders(account="own")
    assert shown["channel_order_id"] == together
    assert sorted(line["quantity_reserved"] for line in shown["lines"]) == [1, 2]
    assert hub.stock(own[FIRST]) == (40, 2)
    assert hub.stock(own[SECOND]) == (40, 1)
    for former in (one, other):
        assert hub.storage.reports.resolve_order(f"own:{former}") == shown["id"]


class Watched:
    """A session of its own; notes which feed each page of orders was of."""

    def __init__(self, session, feeds):
        self._session, self._feeds = session, feeds

    def __getattr__(self, name):
        return getattr(self._session, name)

    def read_orders(self, feed, cursor, since):
        self._feeds.append(feed)
        return self._session.read_orders(feed, cursor, since)


def test_the_first_connect_reads_open_orders_then_history_and_goes_on_where_it_stood(market):
    hub, feeds = market.hub, []
    placed = [market.place((SECOND, 1)) for _ in range(4)]
    for order_id in placed[:2]:
        market.ship(order_id)
    market.advance(A_DAY)
    hub.connect("own", {}, backfill_days=30)
    hub.manifests["own"] = market.connector.manifest
    hub.is_stopping = lambda: True  # every run is stopped after one page
    for _ in range(RUNS_MAX):
        hub.sessions["own"] = Watched(market.driver.open(), feeds)
        hub.run("ingest", "own")
        with hub.storage.open_work() as work:
            record = work.accounts.get("own")
        if record is not None and record.backfilled_at is not None:
            break
    assert record.backfilled_at is not None, "it comes to an end, one page a run"
    past = [feed for feed in feeds if feed in (OrderFeed.OPEN, OrderFeed.HISTORY)]
    assert past == sorted(past, key=[OrderFeed.OPEN, OrderFeed.HISTORY].index), "open ones first"
    assert set(past) == {OrderFeed.OPEN, OrderFeed.HISTORY}
    hub.is_stopping = lambda: False
    hub.run("normalise", "own")
    known = [hub.find_order(order_id, "own") for order_id in placed]
    assert None not in known, "open and shipped orders alike"
    assert len(hub.storage.reports.orders(account="own")) == len(placed)
    assert hub.clock.now() - record.backfilled_at < timedelta(days=1)
