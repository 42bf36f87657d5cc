"""Amazon at its worst, through a whole hub: orders in no list, and the newer API closed to us."""

import pytest

from oms_sync.flows.commands.write_backs import Cancellation, Refund, cancel, refund

pytestmark = pytest.mark.parametrize("market", ["amazon"], indirect=True)

SKU = "TEE RED M"
NEWER = {"searchOrders", "getOrder"}
TURNS_MAX = 12
AN_HOUR = 3600


@pytest.fixture
def by_v0(market):
    """The seller reads by the older API, and the newer one answers 403."""
    driver = market.driver
    driver.settings = driver.settings.model_copy(update={"orders_api": "v0"})
    driver.sandbox.denied |= NEWER
    market.session = driver.open()
    return market


def written(market, placed):
    hub = market.hub
    (told,) = hub.storage.reports.order(hub.order(placed, "own").order_id)["write_backs"]
    assert told["state"] != "refused", told["error"]
    return told["state"]


def sold(market, units=2):
    own = market.account("own", SKU)
    placed = market.place((SKU, units))
    market.advance(2)
    market.take_in("own", market.read(placed))
    return placed, own


def no_newer_call(market):
    return NEWER.isdisjoint(market.driver.sandbox.truth()["calls"])


@pytest.mark.proves("I-28")
def test_a_shipment_is_confirmed_and_money_goes_back_by_the_older_api_alone(by_v0):
    market, hub = by_v0, by_v0.hub
    placed, _ = sold(market)
    shipment = hub.ship(placed, "1Z999AA10123456784", account="own")
    market.work("push_tracking", lambda: hub.push_of(shipment)["state"] == "confirmed")
    market.take_in("own", market.read(placed))
    assert hub.order(placed, "own").state.value == "closed"
    assert market.driver.fulfilments(placed) == 1
    refund(hub.command, hub.order(placed, "own").order_id, Refund(reason="returned", amount="1.00"))
    market.work("write_back", lambda: written(market, placed) == "confirmed")
    assert no_newer_call(market)


def test_an_order_is_cancelled_by_the_older_api_alone(by_v0):
    market, hub = by_v0, by_v0.hub
    placed, own = sold(market)
    cancel(hub.command, hub.order(placed, "own").order_id, Cancellation(reason="stock"))
    market.work("write_back", lambda: written(market, placed) == "confirmed")
    assert hub.order(placed, "own").state.value == "cancelled"
    assert hub.stock(own[SKU]) == (40, 0)
    assert no_newer_call(market)


@pytest.mark.proves("F18", "I-02")
def test_an_order_no_list_ever_shows_is_reserved_within_a_day(market):
    hub = market.hub
    own = market.account("own", SKU)
    placed = market.place((SKU, 3))
    market.driver.sandbox.orders.hidden.add(placed)
    for _ in range(TURNS_MAX):
        market.advance(2 * AN_HOUR)
        hub.run("reconcile", "own")
        hub.run("normalise", "own")
        hub.run("reserve", "own")
        if hub.find_order(placed, "own") is not None:
            break
    assert hub.find_order(placed, "own") is not None
    assert hub.stock(own[SKU]) == (40, 3)
