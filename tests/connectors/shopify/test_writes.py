"""Cancelling over HTTP: whole and in units, each looked at afterwards."""

import time
from dataclasses import replace
from datetime import UTC, datetime

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


@pytest.mark.parametrize("restock", [True, False])
def test_what_is_left_after_a_return_is_taken_off_too(restock, shop):
    session, order_id = shop.open(), shop.place_order(2)
    (line,) = _lines(shop, order_id)
    _ship(session, order_id, {line: 1})
    price = Money(_price(shop), "USD")
    returned = OutgoingRefund(
        key="r-1", channel_order_id=order_id, amount=price, lines={line: 1}, reason="returned"
    )
    session.refund_order(replace(returned, is_restocked=restock))
    assert _sight(shop, session, order_id).lines[0].quantity_cancelled == 0, "it is still to ship"
    assert session.cancel_order(_cancellation(order_id, {line: 1}, is_whole=True)) is None
    (seen,) = _sight(shop, session, order_id).lines
    assert (seen.quantity_shipped, seen.quantity_cancelled) == (1, 1)
    assert {one.amount for one in session.read_refunds(order_id)} == {price}


def _move(shop, order_id, units):
    """The merchant sends some units of the order from the other place."""
    work, place = shop.order(order_id).work[0], shop.sandbox.store.places[1]
    given = {
        "id": f"gid://shopify/FulfillmentOrder/{work.id}",
        "newLocationId": f"gid://shopify/Location/{place.id}",
        "fulfillmentOrderLineItems": [
            {"id": f"gid://shopify/FulfillmentOrderLineItem/{work.lines[0].id}", "quantity": units}
        ],
    }
    with shop.sandbox.store.act():
        assert shop.sandbox.hands["fulfillmentOrderMove"](given)["userErrors"] == []


def test_what_others_have_still_to_ship_is_not_cancelled_with_ours(running_shop):
    with running_shop(locations=("main", "shed")) as shop:
        session, order_id = shop.open(), shop.place_order(3)
        (line,) = _lines(shop, order_id)
        _move(shop, order_id, 1)
        work = shop.order(order_id).work
        work.reverse()  # as the shop may list them
        cancellation = _cancellation(order_id, {line: 2}, is_whole=True)
        assert session.cancel_order(cancellation) is None
        assert shop.sandbox.store.calls["orderCancel"] == 0
        (seen,) = _sight(shop, session, order_id).lines
        assert (seen.quantity_cancelled, seen.quantity_elsewhere) == (2, 1)
        (refund,) = session.read_refunds(order_id)
        assert refund.amount.amount == _price(shop) * 2


def test_units_that_left_here_and_are_not_told_of_yet_are_not_cancelled_with_the_rest(shop):
    session, order_id = shop.open(), shop.place_order(3)
    (line,) = _lines(shop, order_id)
    assert session.cancel_order(_cancellation(order_id, {line: 2}, is_whole=True)) is None
    sight = _sight(shop, session, order_id)
    assert sight.facts.state != "cancelled"
    assert sight.lines[0].quantity_cancelled == 2
    _ship(session, order_id, {line: 1})


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
