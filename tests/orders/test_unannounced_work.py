"""What a channel changes about an order's work without moving the order: learnt by reading."""

import pytest

FIRST, SECOND = "NUTS&BOLTS", "TEE RED M"
RUNS_MAX = 20
POLL_SECONDS, SWEEP_SECONDS = 120, 7200

pytestmark = pytest.mark.parametrize("market", ["shopify"], indirect=True)


def _read_on(market, account, seconds):
    """Polls, sweeps and what follows from them, until nothing is left to do."""
    market.advance(seconds)
    for _ in range(RUNS_MAX):
        reports = [
            market.hub.run(flow, account)
            for flow in ("ingest", "reconcile", "normalise", "reserve")
        ]
        if not any(report.is_more for report in reports):
            return
    raise AssertionError("it does not end")


def _holds(market, order_id):
    return {hold.code for hold in market.hub.order(order_id, "own").holds}


@pytest.mark.proves("F37", "I-05")
def test_a_hold_nobody_announces_keeps_an_order_from_being_packed_until_it_ends(market):
    own = market.account("own", FIRST, SECOND)
    order_id = market.place((FIRST, 2))
    _read_on(market, "own", POLL_SECONDS)
    assert _holds(market, order_id) == set()
    for release, holds in ((False, {"channel:other"}), (True, set())):
        market.driver.sandbox.sales.hold(order_id, release=release)
        _read_on(market, "own", POLL_SECONDS)
        assert _holds(market, order_id) == holds
        assert market.hub.stock(own[FIRST]) == (40, 2), "held or not, it is promised"


@pytest.mark.proves("I-10")
def test_goods_dealt_with_after_their_return_come_back_to_stock_once(market):
    own = market.account("own", FIRST, SECOND)
    order_id = market.place((SECOND, 3))
    market.ship(order_id)
    _read_on(market, "own", POLL_SECONDS)
    returns = market.driver.sandbox.merchant
    market.advance(86_400 * 5)
    returns.take_back(order_id, SECOND, 3, {})
    _read_on(market, "own", SWEEP_SECONDS)
    before = market.hub.stock(own[SECOND])[0]
    for kinds, back in (({"RESTOCKED": 1}, 1), ({"RESTOCKED": 1, "MISSING": 1}, 2), ({}, 2)):
        returns.dispose(order_id, kinds)
        _read_on(market, "own", SWEEP_SECONDS)
        assert market.hub.stock(own[SECOND])[0] == before + back
