"""Giving money back over HTTP: once, whatever becomes of the answers, and found again."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connectors.shopify.client import Answer
from connectors.shopify.sandbox.order_views import OrderViews
from oms_sync.sdk import (
    Money,
    OutcomeUnknown,
    OutgoingPackage,
    OutgoingRefund,
    OutgoingShipment,
    Rejected,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)


def _sight(shop, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, shop.now())


def _refund(order_id, amount, lines=None, *, reason="price", restock=False, **more):
    return OutgoingRefund(
        key=more.pop("key", "r-1"),
        channel_order_id=order_id,
        amount=Money.parse(amount, "USD"),
        lines=lines or {},
        reason=reason,
        is_restocked=restock,
        **more,
    )


def _lines(shop, order_id):
    return [one["channel_line_id"] for one in shop.sandbox.truth()["orders"][order_id]["lines"]]


def _ship(session, order_id, lines, number="1Z1"):
    package = OutgoingPackage(carrier="ups", tracking_number=number, tracking_url=None)
    session.push_shipment(
        OutgoingShipment(
            key="s-1",
            channel_order_id=order_id,
            lines=lines,
            packages=(package,),
            service=None,
            shipped_at=AT,
        )
    )


def _price(shop, number=0):
    return shop.sandbox.store.variant_of(shop.sku(number)).price


def test_money_goes_back_without_touching_the_goods(shop):
    session, order_id = shop.open(), shop.place_order(2)
    session.refund_order(_refund(order_id, "1.50", key="r-money"))
    (refund,) = session.read_refunds(order_id)
    assert refund.amount == Money.parse("1.50", "USD")
    assert (refund.key, refund.lines, refund.state) == ("r-money", {}, "done")
    (line,) = _sight(shop, session, order_id).lines
    assert (line.quantity_cancelled, line.quantity_returned) == (0, 0)


@pytest.mark.parametrize(
    ("restock", "returned", "offered"),
    [(True, 1, 1), (False, 0, 0)],
)
def test_returned_goods_are_refunded_with_and_without_restocking(restock, returned, offered, shop):
    session, order_id, one = shop.open(), shop.place_order(2), shop.listing_ids()[0]
    (line,) = _lines(shop, order_id)
    _ship(session, order_id, {line: 2})
    before, price = shop.quantity(one), str(_price(shop))
    session.refund_order(_refund(order_id, price, {line: 1}, reason="returned", restock=restock))
    (seen,) = _sight(shop, session, order_id).lines
    assert (seen.quantity_shipped, seen.quantity_returned) == (2, returned)
    assert shop.quantity(one) == before + offered
    (refund,) = session.read_refunds(order_id)
    assert (refund.lines, refund.amount.amount) == ({line: 1}, _price(shop))


def test_a_line_refunded_before_and_after_shipping_is_told_as_two(shop):
    session, order_id, one = shop.open(), shop.place_order(3), shop.listing_ids()[0]
    (line,) = _lines(shop, order_id)
    _ship(session, order_id, {line: 2})
    before = shop.quantity(one)
    amount = str(_price(shop) * 2)
    session.refund_order(_refund(order_id, amount, {line: 2}, reason="buyer", restock=True))
    (seen,) = _sight(shop, session, order_id).lines
    assert (seen.quantity_cancelled, seen.quantity_returned) == (1, 1)
    assert shop.quantity(one) == before + 2


def test_shipping_is_given_back_by_itself(shop):
    shop.sandbox.merchant.shipping_price = Decimal("5.00")
    session, order_id = shop.open(), shop.place_order(1)
    shipping = Money.parse("5.00", "USD")
    session.refund_order(_refund(order_id, "5.00", shipping=shipping))
    (refund,) = session.read_refunds(order_id)
    assert refund.amount == shipping


def test_money_goes_back_over_the_payments_it_came_by(shop):
    session, order_id = shop.open(), shop.place_order(1)
    price = _price(shop)
    card = Decimal("1.00")
    order = shop.order(order_id)
    shop.sandbox.merchant.payments[order.id] = [card, price - card]
    session.refund_order(_refund(order_id, str(price)))
    (refund,) = order.refunds
    parts = shop.sandbox.merchant.parts[refund.id]
    assert [part.shop for part in parts] == [card, price - card]
    assert len({part.parent for part in parts}) == 2


def test_a_refund_of_an_order_paid_in_another_currency_is_told_in_that(shop):
    shop.sandbox.merchant.shown_currency, shop.sandbox.merchant.rate = "EUR", Decimal("0.80")
    session, order_id = shop.open(), shop.place_order(1)
    session.refund_order(_refund(order_id, "5.00"))
    (refund,) = session.read_refunds(order_id)
    assert refund.amount == Money.parse("5.00", "USD"), "the books stay in the shop's currency"
    (record,) = shop.order(order_id).refunds
    assert [part.shown for part in shop.sandbox.merchant.parts[record.id]] == [Decimal("4.00")]


def test_more_than_was_paid_is_refused_with_what_is_left(shop):
    session, order_id = shop.open(), shop.place_order(1)
    price = _price(shop)
    session.refund_order(_refund(order_id, str(price), key="r-1"))
    with pytest.raises(Rejected, match="left to refund"):
        session.refund_order(_refund(order_id, "0.01", key="r-2"))
    assert len(session.read_refunds(order_id)) == 1


def test_a_lost_answer_to_a_refund_never_pays_twice(shop):
    session, order_id = shop.open(), shop.place_order(2)
    refund = _refund(order_id, "2.00")
    shop.sandbox.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        session.refund_order(refund)
    assert [one.key for one in session.read_refunds(order_id)] == ["r-1"]
    session.refund_order(refund)  # the same key again is the same refund again
    (only,) = session.read_refunds(order_id)
    assert only.amount == refund.amount


def test_a_lower_price_takes_no_goods_off_the_order(shop):
    session, order_id = shop.open(), shop.place_order(2)
    (line,) = _lines(shop, order_id)
    session.refund_order(_refund(order_id, "0.50", {line: 1}, reason="price"))
    (seen,) = _sight(shop, session, order_id).lines
    assert seen.quantity_cancelled == 0, "the buyer gets both"
    (refund,) = session.read_refunds(order_id)
    assert refund.amount == Money.parse("0.50", "USD")


@pytest.fixture
def tried(monkeypatch):
    """How the shop's payment provider went about each payment that goes back."""

    def act(*tries):
        repaid = OrderViews._repaid

        def shown(views, order, refund):
            return [
                only | {"id": f"{only['id']}{number}", "status": status}
                for only, statuses in zip(repaid(views, order, refund), tries, strict=True)
                for number, status in enumerate(statuses)
            ]

        monkeypatch.setattr(OrderViews, "_repaid", shown)

    return act


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (("SUCCESS",), "done"),
        (("PENDING",), "pending"),
        (("FAILURE",), "failed"),
        (("FAILURE", "SUCCESS"), "done"),
        (("FAILURE", "PENDING"), "pending"),
        (("ERROR", "AWAITING_RESPONSE"), "pending"),
        (("FAILURE", "UNKNOWN"), "pending"),
    ],
)
def test_a_payment_tried_again_counts_by_what_came_of_it(statuses, state, shop, tried):
    session, order_id = shop.open(), shop.place_order(1)
    session.refund_order(_refund(order_id, "2.00"))
    tried(statuses)
    (refund,) = session.read_refunds(order_id)
    assert (refund.state, refund.key) == (state, "r-1")


def test_of_a_refund_that_went_back_in_part_the_part_is_known(shop, tried):
    session, order_id = shop.open(), shop.place_order(1)
    price = _price(shop)
    shop.sandbox.merchant.payments[shop.order(order_id).id] = [Decimal("1.00"), price - 1]
    session.refund_order(_refund(order_id, str(price)))
    tried(("SUCCESS",), ("FAILURE",))
    found = {one.state: one for one in session.read_refunds(order_id)}
    assert (found["done"].amount.amount, found["done"].key) == (1, None)
    assert found["failed"].key == "r-1"
    assert len({one.channel_refund_id for one in found.values()}) == 2


def _refusing(session, message, monkeypatch, *, does_it):
    run = session._client.run

    def refused(name, variables, *, priority):
        if name != "Refund":
            return run(name, variables, priority=priority)
        answer = run(name, variables, priority=priority) if does_it else run_nothing
        return replace(answer, fields={"refundCreate": {"userErrors": [{"message": message}]}})

    run_nothing = Answer(fields={}, at=AT)
    monkeypatch.setattr(session._client, "run", refused)


@pytest.mark.parametrize(
    ("message", "does_it", "error"),
    [
        ("The same idempotency key cannot be used with different parameters.", True, None),
        ("The same idempotency key cannot be used with other words.", False, OutcomeUnknown),
        ("Refund amount is greater than net payment received", False, Rejected),
    ],
)
def test_a_refusal_is_believed_only_where_no_earlier_call_did_it(
    message, does_it, error, shop, monkeypatch
):
    session, order_id = shop.open(), shop.place_order(1)
    _refusing(session, message, monkeypatch, does_it=does_it)
    if error is None:
        session.refund_order(_refund(order_id, "1.00"))
    else:
        with pytest.raises(error, match=message[:20]):
            session.refund_order(_refund(order_id, "1.00"))
    assert len(session.read_refunds(order_id)) == does_it


def test_a_key_whose_first_use_failed_for_certain_is_replaced(shop):
    session, order_id = shop.open(), shop.place_order(1)
    order = session._refunds.order(order_id)
    shop.sandbox.faults.force("F07")
    wanted = {"orderId": order["id"], "notify": False, "refundLineItems": [], "transactions": []}
    with pytest.raises(OutcomeUnknown):
        session._refunds.give(wanted, "r-9", "")
    session._refunds.give(wanted, "r-9", "")
    assert [one.key for one in session.read_refunds(order_id)] == ["r-9"]
