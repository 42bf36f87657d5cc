"""Money that does not add up is told, counted and shown; the order goes its way all the same."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from oms_sync.sdk.fake_orders import render_order


def _body(shop, order_id, **changes):
    document = json.loads(render_order(shop.order(order_id)))
    return json.dumps(document | changes).encode()


def _shown(hub, order_id):
    return hub.storage.reports.order(hub.order(order_id).order_id)


def _told(hub, order_id):
    return [one["detail"] for one in hub.events(order_id) if one["name"] == "order.unbalanced"]


@pytest.mark.proves("I-10", "A27")
def test_an_order_that_does_not_add_up_is_flagged_once_and_shipped_all_the_same(any_hub):
    shop = any_hub.open_shop()
    order_id = shop.buy(("TEE", 1))
    later = (shop.order(order_id).updated_at + timedelta(hours=1)).isoformat()
    bodies = (
        _body(shop, order_id, total="13.00"),
        _body(shop, order_id, total="13.00"),  # the same again
        _body(shop, order_id, total="13.00", updated_at=later, holds=["review"]),  # another change
    )
    for body in bodies:
        any_hub.add(body, channel_order_id=order_id)
        any_hub.run("normalise")
        any_hub.run("reserve")
    flagged = {"residual": "0.50 EUR", "reason": "unexplained"}
    assert _told(any_hub, order_id) == [flagged]
    assert any_hub.metrics.counts["orders_unbalanced"] == 1
    shown = _shown(any_hub, order_id)
    assert (shown["residual"], shown["residual_reason"]) == ("0.50", "unexplained")
    assert any_hub.filled(order_id) == (1, 0)
    assert "residual" not in str(any_hub.holds(order_id))


@pytest.mark.proves("I-10")
def test_another_difference_is_told_again_and_none_is_not(any_hub):
    shop = any_hub.open_shop()
    order_id = shop.buy(("TEE", 1))
    placed = shop.order(order_id).updated_at
    for number, total in enumerate(("13.00", "14.00", "12.50"), start=1):
        at = (placed + timedelta(hours=number)).isoformat()
        any_hub.add(_body(shop, order_id, total=total, updated_at=at), channel_order_id=order_id)
        any_hub.run("normalise")
    assert [one["residual"] for one in _told(any_hub, order_id)] == ["0.50 EUR", "1.50 EUR"]
    shown = _shown(any_hub, order_id)
    assert (shown["residual"], shown["residual_reason"]) == ("0.00", None)


@pytest.mark.proves("I-10")
@pytest.mark.parametrize(
    ("currency", "price", "total", "residual"),
    [
        ("JPY", "1250", "1250", "0"),
        ("JPY", "1250", "1251", "1"),
        ("KWD", "12.125", "12.125", "0.000"),
        ("KWD", "12.125", "12.126", "0.001"),
        ("GBP", "12.50", "12.51", "0.01"),
        ("USD", "12.50", "12.49", "-0.01"),
    ],
)
def test_a_minor_unit_too_much_is_seen_in_every_currency(hub, currency, price, total, residual):
    shop = hub.open_shop(options={"currency": currency})
    order_id = shop.buy(("TEE", 1))
    document = json.loads(render_order(shop.order(order_id)))
    document["lines"][0]["price"] = price
    hub.add(json.dumps(document | {"total": total}).encode(), channel_order_id=order_id)
    hub.run("normalise")
    assert _shown(hub, order_id)["residual"] == residual
    assert bool(_told(hub, order_id)) == (Decimal(residual) != 0)
