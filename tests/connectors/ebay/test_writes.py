"""Cancelling at the sandbox over HTTP: looked at first, read back after."""

import pytest

from oms_sync.sdk import (
    Money,
    OrderState,
    OutcomeUnknown,
    OutgoingCancellation,
    OutgoingPackage,
    OutgoingRefund,
    OutgoingShipment,
    Rejected,
)


def _sight(seller, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, seller.now())


def _cancellation(sight, *, reason="stock", is_whole=True):
    lines = {line.channel_line_id: line.quantity_ordered for line in sight.lines}
    return OutgoingCancellation(
        key="c1",
        channel_order_id=sight.channel_order_id,
        lines=lines,
        is_whole=is_whole,
        reason=reason,
    )


def _money(text):
    return Money.parse(text, "USD")


def _refund(order_id, text="1.50", **more):
    fields = {"key": "r1", "channel_order_id": order_id, "amount": _money(text)}
    return OutgoingRefund(**{**fields, "reason": "returned", **more})


def _cancellations(seller):
    return [(one.requestor, one.status) for one in seller.sandbox.post_order.known.values()]


def _shipment(sight, *numbers, key="s1"):
    return OutgoingShipment(
        key=key,
        channel_order_id=sight.channel_order_id,
        lines={line.channel_line_id: 1 for line in sight.lines},
        packages=tuple(
            OutgoingPackage(carrier="ups", tracking_number=one, tracking_url=None)
            for one in numbers
        ),
        service=None,
        shipped_at=sight.version.at,
    )


# --- cancellations -------------------------------------------------------------------------------


def test_an_order_is_cancelled_by_post_order_once_whatever_is_asked_again(seller):
    session, placed = seller.open(), seller.place_order(2)
    wanted = _cancellation(_sight(seller, session, placed))
    receipt = session.cancel_order(wanted)
    assert session.follow_write(receipt) is True
    assert _sight(seller, session, placed).facts.state is OrderState.CANCELLED
    assert session.cancel_order(wanted) is None
    assert _cancellations(seller) == [("SELLER", "CANCEL_CLOSED_WITH_REFUND")]


def test_a_buyers_request_is_declined_and_the_order_goes_on(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.decline_cancellation(placed)
    assert _cancellations(seller) == [], "nothing was asked"
    seller.request_cancellation(placed)
    session.decline_cancellation(placed)
    session.decline_cancellation(placed)
    assert _cancellations(seller) == [("BUYER", "CANCEL_REJECTED")]
    sight = _sight(seller, session, placed)
    assert (sight.facts.channel_holds, sight.facts.state) == ((), OrderState.OPEN)


def test_what_the_seller_is_cancelling_is_not_declined(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.cancel_order(_cancellation(_sight(seller, session, placed)))
    session.decline_cancellation(placed)
    assert _cancellations(seller) == [("SELLER", "CANCEL_CLOSED_WITH_REFUND")]


def test_a_buyers_request_holds_the_order_and_cancelling_agrees_to_it(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.request_cancellation(placed)
    sight = _sight(seller, session, placed)
    assert sight.facts.channel_holds == ("cancellation_requested",)
    session.cancel_order(_cancellation(sight, reason="buyer"))
    assert _cancellations(seller) == [("BUYER", "CANCEL_CLOSED_WITH_REFUND")]
    sight = _sight(seller, session, placed)
    assert (sight.facts.state, sight.facts.channel_holds) == (OrderState.CANCELLED, ())


def test_a_request_the_seller_refused_holds_no_longer_and_a_new_cancellation_is_made(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.request_cancellation(placed)
    seller.sandbox.post_order.reject(placed)
    sight = _sight(seller, session, placed)
    assert sight.facts.channel_holds == ()
    session.cancel_order(_cancellation(sight))
    assert [who for who, _ in _cancellations(seller)] == ["BUYER", "SELLER"]


def test_a_request_is_refused_once_and_the_order_goes_on(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.request_cancellation(placed)
    for _ in range(2):
        session.decline_cancellation(placed)
    assert _cancellations(seller) == [("BUYER", "CANCEL_REJECTED")]
    assert seller.gate.spent["post_order"] == 3, "a look, the no, and a look that finds nothing"
    facts = _sight(seller, session, placed).facts
    assert (facts.state, facts.channel_holds) == (OrderState.OPEN, ())


def test_a_cancellation_of_our_own_is_no_request_to_refuse(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.cancel_order(_cancellation(_sight(seller, session, placed)))
    session.decline_cancellation(placed)
    assert _cancellations(seller) == [("SELLER", "CANCEL_CLOSED_WITH_REFUND")]


@pytest.mark.proves("F02")
def test_a_no_whose_answer_is_lost_is_unknown_and_said_once(seller):
    session, placed = seller.open(), seller.place_order(1)
    seller.request_cancellation(placed)
    seller.sandbox.faults.set("F02", 1.0)
    with pytest.raises(OutcomeUnknown):
        session.decline_cancellation(placed)
    seller.heal()
    session.decline_cancellation(placed)
    assert _cancellations(seller) == [("BUYER", "CANCEL_REJECTED")]


def test_an_unpaid_order_is_cancelled_as_unpaid(seller):
    session, placed = seller.open(), seller.place_unpaid(1)
    session.cancel_order(_cancellation(_sight(seller, session, placed), reason="payment"))
    (made,) = seller.sandbox.post_order.known.values()
    assert (made.reason, made.status) == ("ORDER_UNPAID", "CANCEL_CLOSED_FOR_COMMITMENT")
    assert _sight(seller, session, placed).facts.state is OrderState.CANCELLED


def test_a_paid_order_is_never_said_to_be_unpaid(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.cancel_order(_cancellation(_sight(seller, session, placed), reason="payment"))
    (made,) = seller.sandbox.post_order.known.values()
    assert made.reason == "OUT_OF_STOCK_OR_CANNOT_FULFILL"


def test_an_order_is_cancelled_by_the_id_it_had_before_it_was_paid(seller):
    session, unpaid = seller.open(), seller.place_unpaid(1)
    wanted = _cancellation(_sight(seller, session, unpaid))
    paid = seller.pay(unpaid)
    session.cancel_order(wanted)
    assert _sight(seller, session, paid).facts.state is OrderState.CANCELLED


def test_a_part_of_an_order_cannot_be_cancelled(seller):
    session, placed = seller.open(), seller.place_order(2)
    with pytest.raises(Rejected, match="whole orders only: refund"):
        session.cancel_order(_cancellation(_sight(seller, session, placed), is_whole=False))


def test_a_shipped_order_is_not_cancelled_and_says_why(seller):
    session, placed = seller.open(), seller.place_order(1)
    session.push_shipment(_shipment(_sight(seller, session, placed), "1ZA"))
    with pytest.raises(Rejected, match="ORDER_SHIPPED"):
        session.cancel_order(_cancellation(_sight(seller, session, placed)))


@pytest.mark.proves("F02")
def test_a_cancellation_whose_answer_is_lost_is_found_and_not_made_again(seller):
    session, placed = seller.open(), seller.place_order(1)
    wanted = _cancellation(_sight(seller, session, placed))
    seller.sandbox.faults.set("F02", 1.0)
    with pytest.raises(OutcomeUnknown):
        session.cancel_order(wanted)
    seller.heal()
    assert session.cancel_order(wanted) is None
    assert len(_cancellations(seller)) == 1


@pytest.mark.proves("F09")
def test_a_cancellation_reported_and_dropped_is_sent_again_by_whoever_looks(seller):
    session, placed = seller.open(), seller.place_order(1)
    wanted = _cancellation(_sight(seller, session, placed))
    seller.sandbox.faults.set("F09", 1.0)
    with pytest.raises(Rejected, match="cancel again"):
        session.follow_write(session.cancel_order(wanted))
    seller.heal()
    session.cancel_order(wanted)
    assert _sight(seller, session, placed).facts.state is OrderState.CANCELLED


def test_where_nobody_answers_whether_it_is_allowed_the_order_is_cancelled_all_the_same(
    scripted, answers, make_session
):
    order = (
        "<OrderArray><Order><OrderID>14-1</OrderID><OrderStatus>Completed</OrderStatus>"
        "<CreatedTime>2026-03-01T11:00:00.000Z</CreatedTime></Order></OrderArray>"
    )
    answers(
        ("GetOrders", order),
        (404, {}, b""),
        (501, {}, b"<html/>"),
        (201, {}, {"cancelId": 77}),
    )
    wanted = OutgoingCancellation(
        key="c", channel_order_id="14-1", lines={"1-1": 1}, is_whole=True, reason="address"
    )
    assert make_session().cancel_order(wanted) == "cancellation/77"
    asked = [what.partition("?")[0] for what, _, _ in scripted.asked[1:]]
    base = "/post-order/v2/cancellation"
    assert asked == [f"GET {base}/search", f"POST {base}/check_eligibility", f"POST {base}"]
    assert all(sent["authorization"].startswith("IAF ") for _, sent, _ in scripted.asked[1:])


def test_shadow_mode_cancels_and_refunds_nothing(seller):
    placed = seller.place_order(1)
    sight = _sight(seller, seller.open(), placed)
    seller.request_cancellation(placed)
    session = seller.open(may_write=False)
    for act in (
        lambda: session.cancel_order(_cancellation(sight)),
        lambda: session.decline_cancellation(placed),
        lambda: session.refund_order(_refund(placed)),
    ):
        with pytest.raises(Rejected, match="shadow"):
            act()
    assert _cancellations(seller) == [("BUYER", "CANCEL_REQUESTED")]
    assert session.read_refunds(placed) == ()
