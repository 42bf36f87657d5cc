"""A listing that comes back under another id, with an old quantity: found and pushed."""

import pytest

from oms_sync.flows.commands.discovery import discover, read_all

SKU = "NUTS&BOLTS"
COUNTED = 3
HOUR = 3_600
ROUNDS_MAX = 12
ROUND = ("ingest", "normalise", "reserve", "push_stock")


def _settle(market, rounds=ROUNDS_MAX):
    """Both ends live on, until the flows have had every chance."""
    for _ in range(rounds):
        market.advance(10)
        for flow in ROUND:
            market.hub.run(flow, "own")


def _set_up(market):
    """An account whose one counted SKU an operator has discovered; answers its listing's id."""
    hub = market.hub
    hub.connect("own", {})
    hub.sessions["own"], hub.manifests["own"] = market.session, market.connector.manifest
    hub.count(SKU, COUNTED)
    hub.run("ingest", "own")
    found = discover(hub.command, "own", read_all(market.session, on_page=lambda _: None))
    (linked,) = found.linked
    _settle(market)
    assert market.driver.sandbox.truth()["quantities"][SKU] == COUNTED
    market.advance(HOUR)
    hub.wakes.clear()
    return linked.channel_listing_id


@pytest.mark.slow
@pytest.mark.proves("I-08", "I-20")
@pytest.mark.parametrize("market", ["ebay"], indirect=True)
@pytest.mark.parametrize("by", ["its first order", "a refused push"])
def test_a_relisted_listing_is_found_pushed_and_its_order_reserved(market, by):
    hub, sales = market.hub, market.driver.sandbox.sales
    old = _set_up(market)
    sales.end_listing(SKU)
    market.advance(60)
    sales.relist(SKU)
    market.advance(60)
    assert market.driver.sandbox.truth()["quantities"][SKU] > COUNTED, "eBay's own old number"
    if by == "its first order":
        placed = market.place((SKU, 2))
    else:
        hub.count(SKU, COUNTED - 1)
    _settle(market)
    if by == "its first order":
        assert hub.holds(placed, "own") == ["unmapped_sku"]
    assert ("discover", "own") in hub.wakes
    assert hub.run("discover", "own").done == 1
    _settle(market)
    left = COUNTED - 2 if by == "its first order" else COUNTED - 1
    assert market.driver.sandbox.truth()["quantities"][SKU] == left
    if by == "its first order":
        assert hub.filled(placed, "own") == (2, 0)
    ids = {one["channel_listing_id"] for one in hub.storage.reports.listings(account="own")}
    assert old in ids
    linked = [one for one in hub.storage.reports.listings(account="own") if one["sku"] == SKU]
    assert len(linked) == 2
