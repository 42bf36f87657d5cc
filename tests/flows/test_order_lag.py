"""How long channel and hub took to see a new order; what was there before us was not late."""

import json
from datetime import timedelta

import pytest

HOUR = 3_600.0


def lags(hub):
    return [round(one) for one in hub.metrics.observed["order_lag_seconds"]]


@pytest.mark.proves("I-41")
def test_the_time_from_placing_to_first_sight_is_measured_once_per_order(any_hub):
    shop = any_hub.open_shop(poll_seconds=HOUR)
    order = shop.buy(("TEE", 1))
    any_hub.clock.advance(1_800)
    any_hub.take_in()
    (lag,) = lags(any_hub)
    assert 1_800 <= lag < 1_810
    shop.hold(order)
    any_hub.clock.advance(60)
    any_hub.take_in()
    assert len(lags(any_hub)) == 1, "a change is no first sight"


def test_orders_from_before_the_first_connection_are_not_late(any_hub):
    shop = any_hub.connect()
    order = shop.buy(("TEE", 1))
    any_hub.clock.advance(HOUR)
    any_hub.settle()
    assert any_hub.find_order(order) is not None
    assert lags(any_hub) == []
    shop.buy(("TEE", 1))
    any_hub.settle()
    assert len(lags(any_hub)) == 1


def test_an_order_made_of_lines_of_known_ones_is_not_late(any_hub):
    options = {"has_portable_lines": True}
    shop = any_hub.open_shop(catalogue={"TEE": 10, "MUG": 10}, options=options)
    two = (("TEE", 1), ("MUG", 1))
    first, second = (shop.buy(*two, is_paid=False) for _ in range(2))
    any_hub.settle()
    seen = lags(any_hub)
    assert len(seen) == 2
    any_hub.clock.advance(timedelta(days=1).total_seconds())
    lines = {f"{first}-1", f"{second}-1"}
    apart = shop.combine(first, second, channel_line_ids=lines)
    any_hub.settle()
    orders = {any_hub.order(one).order_id for one in (first, second, apart)}
    assert len(orders) == 3, "a new order of known lines"
    assert lags(any_hub) == seen


def test_orders_typed_in_by_hand_are_not_measured(any_hub):
    any_hub.manual()
    order = {
        "channel_order_id": "B2B-7",
        "placed_at": "2020-01-01T00:00:00+00:00",
        "currency": "EUR",
        "lines": [{"line_id": "1", "sku": "TEE", "quantity": 1, "unit_price": "7.00"}],
    }
    body = json.dumps(order).encode()
    any_hub.add(body, "import", account="manual", channel_order_id="B2B-7")
    any_hub.run("normalise", "manual")
    assert any_hub.find_order("B2B-7", "manual") is not None
    assert lags(any_hub) == []
