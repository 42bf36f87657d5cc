"""The fake channel's own decisions on cancellations, refunds, holds and corrections."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from oms_sync.sdk import (
    Money,
    OutgoingCancellation,
    OutgoingHold,
    OutgoingPackage,
    OutgoingRefund,
    Rejected,
    TrackingCorrection,
)
from oms_sync.sdk.fake import FakeChannel, FakeOptions, FakeRefusal
from oms_sync.sdk.testing import FakeClock, SeededChance


@pytest.fixture
def clock():
    return FakeClock()


def shop(clock, **options):
    return FakeChannel(
        clock=clock,
        chance=SeededChance(1, "writes"),
        options=FakeOptions(late_seconds=0.0, **options),
        catalogue={"TEE": 10},
    )


def cancellation(order, units, *, is_whole=False):
    return OutgoingCancellation(
        key="c1",
        channel_order_id=order,
        lines={f"{order}-1": units},
        is_whole=is_whole,
        reason="stock",
    )


def refund(order, text, **more):
    return OutgoingRefund(
        key="r1",
        channel_order_id=order,
        amount=Money(Decimal(text), "EUR"),
        reason="returned",
        **more,
    )


def test_units_cancelled_go_back_on_sale_or_do_not(clock):
    channel = shop(clock)
    order, session = channel.buy(("TEE", 3)), channel.session()
    session.cancel_order(replace(cancellation(order, 1), is_restocked=False))
    assert (channel.order(order).lines[0].open, channel.quantities()) == (2, {"TEE": 7})
    session.cancel_order(cancellation(order, 2))
    assert (channel.order(order).state, channel.quantities()) == ("cancelled", {"TEE": 9})
    with pytest.raises(Rejected):
        session.cancel_order(cancellation(order, 1))


def test_a_channel_that_cancels_whole_orders_refuses_parts(clock):
    channel = shop(clock, cancels_lines=False)
    assert not channel.manifest.cancels_lines
    order, session = channel.buy(("TEE", 2)), channel.session()
    with pytest.raises(Rejected, match="only a whole order"):
        session.cancel_order(cancellation(order, 1))
    session.cancel_order(cancellation(order, 2, is_whole=True))
    assert channel.order(order).state == "cancelled"


@pytest.mark.parametrize("is_followed", [False, True])
def test_what_is_decided_later_is_decided_whether_or_not_it_is_followed(clock, is_followed):
    channel = shop(clock, decides_after_seconds=60.0)
    order, session = channel.buy(("TEE", 2)), channel.session()
    receipt = session.cancel_order(cancellation(order, 2, is_whole=True))
    assert channel.order(order).state == "open"
    assert not session.follow_write(receipt)
    clock.advance(61.0)
    if is_followed:
        assert session.follow_write(receipt)
    session.read_orders_by_id([order])
    assert channel.order(order).state == "cancelled"
    second = session.cancel_order(cancellation(order, 2, is_whole=True))
    clock.advance(61.0)
    for _ in range(2):
        with pytest.raises(Rejected, match="cancelled already"):
            session.follow_write(second)


@pytest.mark.parametrize(("has_keys", "times"), [(True, 1), (False, 2)])
def test_the_same_key_pays_once_only_where_keys_are_kept(clock, has_keys, times):
    channel = shop(clock, keeps_refund_keys=has_keys)
    order, session = channel.buy(("TEE", 2)), channel.session()
    for _ in range(2):
        session.refund_order(refund(order, "5.00"))
    shown = session.read_refunds(order)
    assert [one.key for one in shown] == ["r1" if has_keys else None] * times
    assert sum(one.minor for one in channel.refunds(order)) == 500 * times


def test_money_goes_back_up_to_what_was_paid_however_it_goes(clock):
    channel = shop(clock)
    order, session = channel.buy(("TEE", 2)), channel.session()
    channel.refund(order, {"TEE": 1})
    assert [one.minor for one in channel.refunds(order)] == [1250]
    channel.refund_money(order, 1000)
    with pytest.raises(Rejected, match="250 can be refunded"):
        session.refund_order(refund(order, "2.51"))
    with pytest.raises(FakeRefusal):
        channel.refund_money(order, -1)


def test_units_refunded_with_restock_come_back_as_far_as_they_are_away(clock):
    channel = shop(clock)
    order, session = channel.buy(("TEE", 2)), channel.session()
    channel.fulfil_at_channel(order, {"TEE": 1})
    session.refund_order(refund(order, "25.00", lines={f"{order}-1": 2}, is_restocked=True))
    (line,) = channel.order(order).lines
    assert (line.returned, line.open, channel.quantities()) == (1, 1, {"TEE": 9})


def test_a_release_lets_go_its_own_hold_alone(clock):
    channel = shop(clock)
    order, session = channel.buy(("TEE", 1)), channel.session()
    channel.hold(order, "fraud_review")
    hold = OutgoingHold(key="h1", channel_order_id=order)
    for act in (session.hold_order, session.release_order, session.release_order):
        act(hold)
    assert channel.order(order).holds == ("fraud_review",)
    assert [one.kind for one in channel.effects] == ["held", "released"]
    with pytest.raises(Rejected):
        session.hold_order(replace(hold, channel_order_id="fake-999999"))


def test_a_correction_wants_a_dispatch_that_stands(clock):
    channel = shop(clock)
    order, session = channel.buy(("TEE", 2)), channel.session()
    dispatches = [channel.fulfil_at_channel(order, {"TEE": 1}) for _ in range(2)]
    correction = TrackingCorrection(
        key="t1",
        channel_order_id=order,
        channel_shipment_id=dispatches[0],
        lines={f"{order}-1": 1},
        packages=(OutgoingPackage(carrier="dhl", tracking_number="T2", tracking_url=None),),
        service=None,
        shipped_at=clock.now() + timedelta(0),
    )
    session.correct_shipment(correction)
    numbers = [one.tracking_numbers for one in channel.fulfilments(order)]
    assert numbers == [("T2",), ()]
    channel.cancel_fulfilment(order, dispatches[0])
    with pytest.raises(Rejected, match="no dispatch"):
        session.correct_shipment(correction)
