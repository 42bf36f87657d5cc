"""Cancelling at Amazon: by order feed, whole or in units, decided later and read back."""

from dataclasses import replace

import pytest

from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import line_counts
from oms_sync.domain.write_back import Wish, cancellation_left
from oms_sync.sdk import OutcomeUnknown, OutgoingCancellation, RateLimited, Rejected
from oms_sync.sdk.sandbox import Purchase

FIRST, SECOND = 0, 1


@pytest.fixture
def session(seller):
    return seller.open()


@pytest.fixture
def place(seller):
    """An order with these units of different SKUs."""

    def act(*quantities, **more):
        lines = tuple((seller.sku(number), units) for number, units in enumerate(quantities))
        return seller.sandbox.sales.place(Purchase(lines=lines, **more))

    return act


@pytest.fixture
def wish(seller):
    """A cancellation of these units, by the place of their line."""

    def act(order_id, units=None, key="key-1", reason="stock"):
        lines = [str(line.id) for line in seller.order(order_id).lines]
        left = {str(line.id): line.quantity for line in seller.order(order_id).lines}
        wanted = left if units is None else {lines[n]: count for n, count in units.items()}
        return OutgoingCancellation(
            key=key,
            channel_order_id=order_id,
            lines=wanted,
            is_whole=units is None,
            reason=reason,
        )

    return act


def _sight(seller, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, seller.now())


def _content(seller):
    """The document of the newest feed."""
    return [one.content for one in seller.sandbox.documents._documents.values() if one.is_upload][
        -1
    ].decode()


def test_a_whole_order_is_cancelled_by_an_acknowledgement(seller, session, place, wish):
    order_id = place(2, 1)
    receipt = session.cancel_order(wish(order_id))
    assert session.follow_write(receipt)
    sight = _sight(seller, session, order_id)
    assert sight.facts.cancelled_at is not None
    assert sight.facts.channel_status == "CANCELLED (seller)"
    assert [line.quantity_cancelled for line in sight.lines] == [2, 1]
    assert "<StatusCode>Failure</StatusCode>" in _content(seller)
    assert _content(seller).count("<CancelReason>NoInventory</CancelReason>") == 2


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("buyer", "BuyerCanceled"),
        ("stock", "NoInventory"),
        ("address", "ShippingAddressUndeliverable"),
        ("fraud", "RiskAssessmentInformationNotValid"),
        ("price", "GeneralAdjustment"),
        ("other", "GeneralAdjustment"),
    ],
)
def test_each_reason_is_told_in_amazons_word(reason, code, seller, session, place, wish):
    session.cancel_order(wish(place(1), reason=reason))
    assert f"<CancelReason>{code}</CancelReason>" in _content(seller)


def test_some_units_leave_and_the_order_goes_on(seller, session, place, wish):
    order_id = place(3, 1)
    assert session.follow_write(session.cancel_order(wish(order_id, {FIRST: 2})))
    sight = _sight(seller, session, order_id)
    assert sight.facts.cancelled_at is None
    assert [line.quantity_cancelled for line in sight.lines] == [2, 0]
    assert "<QuantityCancelled>2</QuantityCancelled>" in _content(seller)


def test_what_is_left_of_a_partly_shipped_order_is_cancelled_in_units(seller, session, place, wish):
    order_id = place(2, 1)
    line = str(seller.order(order_id).lines[FIRST].id)
    seller.ship(order_id, {line: 2})
    assert session.follow_write(session.cancel_order(wish(order_id)))
    sight = _sight(seller, session, order_id)
    assert [line.quantity_cancelled for line in sight.lines] == [0, 1]
    assert sight.facts.state.value == "closed"


def test_a_buyers_wish_is_agreed_to(seller, session, place, wish):
    order_id = place(1)
    seller.request_cancellation(order_id)
    assert _sight(seller, session, order_id).facts.channel_holds == ("cancellation_requested",)
    assert session.follow_write(session.cancel_order(wish(order_id, reason="buyer")))
    sight = _sight(seller, session, order_id)
    assert sight.facts.channel_holds == ()
    assert sight.facts.cancelled_at is not None


def test_what_is_cancelled_already_is_not_cancelled_again(seller, session, place, wish):
    order_id = place(1)
    cancellation = wish(order_id)
    seller.cancel_order(order_id)
    assert session.cancel_order(cancellation) is None
    assert "createFeed" not in seller.sandbox.truth()["calls"]


def test_an_order_amazon_ships_is_not_ours_to_cancel(session, place, seller, wish):
    order_id = seller.sandbox.sales.place(
        Purchase(lines=(("FBA-00001", 1),), fulfilled_by="channel", is_paid=False)
    )
    with pytest.raises(Rejected, match="Amazon ships this order itself"):
        session.cancel_order(wish(order_id))


def test_an_unpaid_order_is_cancelled_by_nobody(session, place, wish):
    with pytest.raises(Rejected, match="is PENDING"):
        session.cancel_order(wish(place(1, is_paid=False)))


def test_amazons_refusal_is_read_from_the_report(seller, session, place, wish):
    order_id = place(1)
    seller.sandbox.options = replace(seller.sandbox.options, lag_seconds=60)
    seller.sandbox.store.options = seller.sandbox.options
    receipt = session.cancel_order(wish(order_id))
    assert not session.follow_write(receipt), "Amazon works it off later"
    line = str(seller.order(order_id).lines[FIRST].id)
    seller.ship(order_id, {line: 1})
    seller.advance(61)
    with pytest.raises(Rejected, match="18028: The order is SHIPPED"):
        session.follow_write(receipt)


@pytest.mark.proves("F02", "I-30")
def test_a_lost_answer_is_looked_for_and_nothing_is_made_twice(seller, session, place, wish):
    order_id = place(2)
    session.check()
    cancellation = wish(order_id, {FIRST: 1})
    seller.sandbox.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        session.cancel_order(cancellation)
    with pytest.raises(RateLimited, match="not known yet"):
        session.cancel_order(cancellation)
    seller.advance(61)
    again = seller.open()  # as after a restart: the note is stored
    assert again.follow_write(again.cancel_order(cancellation))
    assert seller.sandbox.truth()["calls"]["createFeed"] == 1
    assert seller.order(order_id).lines[FIRST].removed == 1, "one unit, not two"


def test_a_feed_that_was_never_made_is_made(seller, session, place, wish):
    order_id = place(1)
    session.check()
    cancellation = wish(order_id)
    seller.sandbox.faults.set("F01", 1.0)
    with pytest.raises(Exception, match="no answer"):
        session.cancel_order(cancellation)
    seller.heal()
    seller.advance(61)
    assert session.follow_write(session.cancel_order(cancellation))
    assert seller.order(order_id).cancelled_at is not None


def test_a_second_call_under_one_key_sends_nothing(seller, session, place, wish):
    order_id = place(3)
    cancellation = wish(order_id, {FIRST: 1})
    receipt = session.cancel_order(cancellation)
    assert session.cancel_order(cancellation) == receipt
    assert seller.order(order_id).lines[FIRST].removed == 1


@pytest.mark.proves("F09")
def test_an_accepted_cancellation_that_never_shows_is_sent_once_more(seller, session, place, wish):
    order_id = place(1)
    seller.sandbox.faults.force("F09")
    receipt = session.cancel_order(wish(order_id))
    assert session.follow_write(receipt)
    assert seller.order(order_id).cancelled_at is None, "accepted, and nothing done"
    assert session.cancel_order(wish(order_id)) == receipt, "not at once"
    seller.advance(1801)
    second = session.cancel_order(wish(order_id))
    assert second != receipt
    assert session.follow_write(second)
    assert seller.order(order_id).cancelled_at is not None


def test_by_the_older_api_only_whole_orders_are_cancelled_and_what_was_ordered_stays(
    seller, place, wish
):
    seller.settings = seller.settings.model_copy(update={"orders_api": "v0"})
    session, order_id = seller.open(), place(3, 1)
    before = first_sight("seller-a", _sight(seller, session, order_id))
    with pytest.raises(Rejected, match="never shows cancelled units"):
        session.cancel_order(wish(order_id, {FIRST: 2}))
    assert "createFeed" not in seller.sandbox.truth()["calls"]
    cancellation = wish(order_id)
    assert session.follow_write(session.cancel_order(cancellation))
    after = merge(before, first_sight("seller-a", _sight(seller, session, order_id)))
    counts = {one.line.channel_line_id: line_counts(after, one, 0) for one in after.lines}
    left = cancellation_left(Wish(lines=cancellation.lines), counts)
    assert (dict(left.missing), dict(left.lost)) == ({}, {}), "it is confirmed, not refused"


def test_an_unknown_order_is_refused(seller, session, wish, place):
    unknown = replace(wish(place(1)), channel_order_id=seller.unknown_order_id)
    with pytest.raises(Rejected, match="Amazon has no order"):
        session.cancel_order(unknown)
