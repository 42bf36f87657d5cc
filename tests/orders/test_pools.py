"""Orders a channel ships from its own stock: recorded beside that stock, taking none of ours."""

import pytest

from oms_sync.flows.commands.discovery import discover, read_all
from oms_sync.sdk import ReadPools
from oms_sync.sdk.sandbox import Purchase, Refusal

OWN = "NUTS&BOLTS"
HELD = "FBA-00001"
AT_START = 500
PERIOD = 3601


def pools(hub):
    found = hub.storage.reports.listings("own")
    return {
        one["channel_sku"]: one["channel_pool"] for one in found if one["channel_pool"] is not None
    }


def test_an_order_the_channel_ships_is_recorded_with_its_own_pool(market):
    hub = market.hub
    market.account("own", OWN)
    discover(hub.command, "own", read_all(market.session, on_page=lambda _: None))
    if market.name != "amazon":  # the others ship from the seller's shelves alone
        assert not isinstance(market.session, ReadPools)
        assert pools(hub) == {}
        return
    assert pools(hub)[HELD] == AT_START
    before = market.driver.sandbox.truth()["quantities"]
    market.advance(2)
    order_id = market.driver.sandbox.sales.place(
        Purchase(lines=((HELD, 3),), fulfilled_by="channel")
    )
    market.advance(200)
    order = market.take_in("own", market.read(order_id))
    assert order.known.facts.fulfilled_by == "channel"
    assert sum(order.lines[0].held.values()) == order.lines[0].quantity_short == 0
    hub.run("reconcile", "own")
    assert pools(hub)[HELD] == AT_START, "known with the time it was read"
    market.advance(PERIOD)
    hub.run("reconcile", "own")
    assert pools(hub)[HELD] == AT_START - 3
    (row,) = hub.storage.reports.stock_item(HELD)["channel_pools"]
    assert row["channel_pool"] == AT_START - 3
    assert hub.stock(f"{OWN} of own") == (40, 0), "ours is as it was"
    truth = market.driver.sandbox.truth()
    assert truth["quantities"] == before
    assert not any("patch" in name.lower() or "feed" in name.lower() for name in truth["calls"])


def test_the_channel_refuses_an_order_beyond_its_pool(market):
    if market.name != "amazon":
        assert not isinstance(market.session, ReadPools)
        return
    beyond = Purchase(lines=((HELD, AT_START + 1),), fulfilled_by="channel")
    with pytest.raises(Refusal):
        market.driver.sandbox.sales.place(beyond)
    assert market.session.read_pools()[HELD] == AT_START
