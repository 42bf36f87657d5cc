"""Listings at eBay, through a whole hub: relisted under another id, and revised often in a day."""

import pytest
import structlog

from connectors.ebay.revisions import FREE_MAX
from oms_sync.flows.commands.discovery import discover, read_all

SKU = "TEE RED M"
COUNTED = 40
HOUR = 3_600
MINUTES = 200
PASSES_MAX = 20
TAKING_IN = ("ingest", "normalise", "reserve")


@pytest.fixture
def connected(market):
    """The seller's account at a hub that has read its orders, and pushed what it counted."""
    hub = market.hub
    hub.connect("own", {})
    hub.sessions["own"], hub.manifests["own"] = market.session, market.connector.manifest
    hub.count(SKU, COUNTED)
    for _ in range(PASSES_MAX):
        _work(market, *TAKING_IN)
        with hub.storage.open_work() as work:
            record = work.accounts.get("own")
        if record is not None and record.backfilled_at is not None:
            break
    discover(hub.command, "own", read_all(market.session, on_page=lambda _: None))
    _work(market, "push_stock")
    assert market.driver.quantity(_listing(market)) == COUNTED
    return hub


def _work(market, *flows):
    market.advance(2)
    for flow in flows:
        market.hub.run(flow, "own")


def _listing(market):
    (found,) = (one for one in market.listings() if one.channel_sku == SKU)
    return found.channel_listing_id


def _relist(market):
    sales = market.driver.sandbox.sales
    sales.end_listing(SKU)
    market.advance(2 * HOUR)
    return sales.relist(SKU)


@pytest.mark.proves("I-08", "I-20")
@pytest.mark.parametrize("market", ["ebay"], indirect=True)
def test_an_order_of_a_relisted_listing_brings_it_in_with_what_is_left(market, connected):
    old = _listing(market)
    new = _relist(market)
    listed_with = market.driver.quantity(new)
    assert (new != old, listed_with != COUNTED) == (True, True), "eBay brings old numbers back"
    order_id = market.place((SKU, 2))
    market.advance(HOUR)
    _work(market, *TAKING_IN)
    assert connected.holds(order_id, "own") == ["unmapped_sku"]
    assert connected.run("discover", "own").done == 1
    _work(market, "normalise", "reserve", "push_stock")
    assert connected.holds(order_id, "own") == []
    assert connected.filled(order_id, "own") == (2, 0)
    assert market.driver.quantity(new) == COUNTED - 2


@pytest.mark.proves("I-20")
@pytest.mark.parametrize("market", ["ebay"], indirect=True)
def test_a_push_refused_to_the_ended_listing_finds_the_relisted_one_before_it_sells(
    market, connected
):
    new = _relist(market)
    connected.count(SKU, COUNTED - 10)
    _work(market, "push_stock")
    assert connected.listing(SKU, "own").is_refused
    assert ("discover", "own") in connected.wakes
    market.advance(HOUR)
    assert connected.run("discover", "own").done == 1
    _work(market, "push_stock")
    assert market.driver.quantity(new) == COUNTED - 10


@pytest.mark.proves("I-20")
@pytest.mark.parametrize("market", ["ebay"], indirect=True)
def test_a_listing_revised_often_today_waits_for_its_turn_and_that_is_no_fault(market, connected):
    item_id, spent = _listing(market), market.driver.gate.spent
    market.session._stock.revisions.count([item_id] * FREE_MAX)
    connected.count(SKU, COUNTED - 1)
    sent = spent["ReviseInventoryStatus"]
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            market.advance(MINUTES)
            _work(market, "ingest", "push_stock")
        listing = connected.listing(SKU, "own")
        assert (listing.in_flight, listing.stale_count, listing.is_refused) == (None, 0, False)
        assert spent["ReviseInventoryStatus"] == sent, "nothing was sent"
        market.advance(HOUR)
        _work(market, "push_stock")
    assert market.driver.quantity(item_id) == COUNTED - 1
    told = {one["event"] for one in logs}
    assert not told & {"stock.not_proved", "stock.push_refused"}
