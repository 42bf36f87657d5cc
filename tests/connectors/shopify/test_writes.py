"""Writing back over HTTP: cancellations, refunds, corrections, holds; each looked at afterwards."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from oms_sync.sdk import (
    Money,
    OutcomeUnknown,
    OutgoingCancellation,
    OutgoingPackage,
    OutgoingRefund,
    OutgoingShipment,
    Rejected,
)
from oms_sync.sdk.sandbox import Purchase

AT = datetime(2026, 3, 1, tzinfo=UTC)
JOB_WAIT_SECONDS_MAX = 5.0


def _sight(shop, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, shop.now())


def _cancellation(order_id, lines, *, is_whole, reason="stock", restock=True, key="c-1"):
    return OutgoingCancellation(
        key=key,
        channel_order_id=order_id,
        lines=lines,
        is_whole=is_whole,
        reason=reason,
        is_restocked=restock,
        note="sold out",
    )


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


def _follow(session, receipt):
    deadline = time.monotonic() + JOB_WAIT_SECONDS_MAX
    while not session.follow_write(receipt):
        assert time.monotonic() < deadline, "the job never ended"
        time.sleep(0.02)


def _price(shop, number=0):
    return shop.sandbox.store.variant_of(shop.sku(number)).price


# --- cancelling ----------------------------------------------------------------------------------


def test_a_whole_order_is_cancelled_by_the_shops_job_and_read_back(shop):
    session, order_id = shop.open(), shop.place_order(2)
    (line,), one = _lines(shop, order_id), shop.listing_ids()[0]
    before = shop.quantity(one)
    receipt = session.cancel_order(_cancellation(order_id, {line: 2}, is_whole=True))
    assert receipt
    _follow(session, receipt)
    sight = _sight(shop, session, order_id)
    assert sight.facts.state == "cancelled"
    assert sight.facts.channel_status.endswith("CANCELLED (stock)")
    assert shop.quantity(one) == before + 2


def test_a_job_still_running_is_not_decided_and_a_cancelled_order_is_not_cancelled_twice(shop):
    session, order_id = shop.open(), shop.place_order(1)
    cancellation = _cancellation(order_id, {_lines(shop, order_id)[0]: 1}, is_whole=True)
    receipt = session.cancel_order(cancellation)
    jobs, (job, _) = shop.sandbox.store.jobs, receipt.split(" ")
    jobs[job] = False
    assert session.follow_write(receipt) is False
    jobs[job] = True
    assert session.follow_write(receipt) is True
    calls = shop.sandbox.store.calls["orderCancel"]
    assert session.cancel_order(cancellation) is None
    assert shop.sandbox.store.calls["orderCancel"] == calls, "a look shows it: nothing is sent"


def test_a_job_that_ended_without_cancelling_is_a_refusal(shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.sandbox.store.jobs["gid://shopify/Job/7"] = True
    with pytest.raises(Rejected, match="did not cancel"):
        session.follow_write(f"gid://shopify/Job/7 gid://shopify/Order/{order_id}")


def test_cancelling_without_restocking_leaves_the_units_off_sale(shop):
    session, order_id, one = shop.open(), shop.place_order(1), shop.listing_ids()[0]
    before = shop.quantity(one)
    (line,) = _lines(shop, order_id)
    receipt = session.cancel_order(
        _cancellation(order_id, {line: 1}, is_whole=True, reason="address", restock=False)
    )
    _follow(session, receipt)
    assert shop.quantity(one) == before
    status = _sight(shop, session, order_id).facts.channel_status
    assert status.endswith("CANCELLED (other)"), "a reason the shop has no word for is OTHER"


def test_some_units_are_taken_off_and_their_money_goes_back(shop):
    session, sales = shop.open(), shop.sandbox.sales
    order_id = sales.place(Purchase(lines=((shop.sku(0), 3), (shop.sku(1), 1))))
    first, second = _lines(shop, order_id)
    before = shop.quantity(shop.listing_ids()[0])
    assert session.cancel_order(_cancellation(order_id, {first: 2}, is_whole=False)) is None
    lines = {one.channel_line_id: one for one in _sight(shop, session, order_id).lines}
    assert (lines[first].quantity_cancelled, lines[first].quantity_restocked) == (2, 2)
    assert lines[second].quantity_cancelled == 0
    assert shop.quantity(shop.listing_ids()[0]) == before + 2
    (refund,) = session.read_refunds(order_id)
    assert (refund.amount.amount, refund.key, refund.state) == (_price(shop) * 2, "c-1", "done")


def test_units_of_an_unpaid_order_are_taken_off_without_any_money(shop):
    session = shop.open()
    order_id = shop.sandbox.sales.place(Purchase(lines=((shop.sku(), 3),), is_paid=False))
    (line,) = _lines(shop, order_id)
    session.cancel_order(_cancellation(order_id, {line: 1}, is_whole=False))
    (refund,) = session.read_refunds(order_id)
    assert refund.amount.amount == 0
    assert _sight(shop, session, order_id).lines[0].quantity_cancelled == 1


def test_the_rest_of_a_partly_shipped_order_is_taken_off(shop):
    session, order_id = shop.open(), shop.place_order(3)
    (line,) = _lines(shop, order_id)
    _ship(session, order_id, {line: 1})
    assert session.cancel_order(_cancellation(order_id, {line: 2}, is_whole=True)) is None
    (seen,) = _sight(shop, session, order_id).lines
    assert (seen.quantity_shipped, seen.quantity_cancelled) == (1, 2)
    assert shop.sandbox.store.calls["orderCancel"] == 0


def test_what_has_shipped_is_not_cancelled(shop):
    session, order_id = shop.open(), shop.place_order(2)
    (line,) = _lines(shop, order_id)
    _ship(session, order_id, {line: 2})
    with pytest.raises(Rejected, match="already shipped"):
        session.cancel_order(_cancellation(order_id, {line: 1}, is_whole=False))
    assert session.read_refunds(order_id) == ()


def test_a_lost_answer_to_a_line_cancellation_is_looked_at_and_happens_once(shop):
    session, order_id = shop.open(), shop.place_order(3)
    cancellation = _cancellation(order_id, {_lines(shop, order_id)[0]: 1}, is_whole=False)
    shop.sandbox.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        session.cancel_order(cancellation)
    (found,) = session.read_refunds(order_id)  # the look shows that it happened
    assert found.key == cancellation.key
    session.cancel_order(cancellation)  # sent all the same, the key keeps it from happening twice
    assert len(session.read_refunds(order_id)) == 1
    assert _sight(shop, session, order_id).lines[0].quantity_cancelled == 1


def test_a_lost_answer_to_a_whole_cancellation_does_nothing_twice(shop):
    session, order_id = shop.open(), shop.place_order(1)
    cancellation = _cancellation(order_id, {_lines(shop, order_id)[0]: 1}, is_whole=True)
    shop.sandbox.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        session.cancel_order(cancellation)
    deadline = time.monotonic() + JOB_WAIT_SECONDS_MAX
    while _sight(shop, session, order_id).facts.state != "cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert session.cancel_order(cancellation) is None
    assert shop.sandbox.store.calls["orderCancel"] == 1


# --- refunding -----------------------------------------------------------------------------------


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


def test_a_key_whose_first_use_failed_for_certain_is_replaced(shop):
    session, order_id = shop.open(), shop.place_order(1)
    order = session._refunds.order(order_id)
    shop.sandbox.faults.force("F07")
    wanted = {"orderId": order["id"], "notify": False, "refundLineItems": [], "transactions": []}
    with pytest.raises(OutcomeUnknown):
        session._refunds.give(wanted, "r-9", "")
    session._refunds.give(wanted, "r-9", "")
    assert [one.key for one in session.read_refunds(order_id)] == ["r-9"]
