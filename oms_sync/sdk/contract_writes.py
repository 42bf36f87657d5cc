"""Contract checks of what a connector changes in orders: cancellations, refunds, holds, tracking.

The driver's further hands are a `WriteChannel`; one that lacks them skips the check by name.
"""

from dataclasses import replace
from itertools import count
from typing import Any, Final

from oms_sync.domain.cancel_requests import requested_lines
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import KnownOrder, line_counts
from oms_sync.domain.values import Money
from oms_sync.domain.write_back import Wish, WriteBack, WriteKind, find_refund
from oms_sync.sdk.connector import (
    CancelOrders,
    CorrectTracking,
    DeclineCancellations,
    HoldOrders,
    PushTracking,
    ReadOrders,
    RefundOrders,
)
from oms_sync.sdk.contract import (
    Check,
    ContractChannel,
    NotApplicable,
    Trouble,
    error_of,
    open_as,
)
from oms_sync.sdk.errors import ChannelError, FixData, OutcomeUnknown
from oms_sync.sdk.manifest import Capability, Manifest
from oms_sync.sdk.messages import OutgoingPackage, OutgoingShipment
from oms_sync.sdk.writes import (
    OutgoingCancellation,
    OutgoingHold,
    OutgoingRefund,
    TrackingCorrection,
)

#: how long a channel that decides later is followed
LOOKS_MAX: Final = 60
LOOK_SECONDS: Final = 60.0
_keys = count(1)


def _hand(channel: ContractChannel, name: str, *arguments: object) -> Any:
    """What a `WriteChannel` has besides; a driver without it cannot play the check."""
    act = getattr(channel, name, None)
    if act is None:
        raise NotApplicable(f"the driver has no {name}()")
    return act(*arguments)


def _known(channel: ContractChannel, session: Any, channel_order_id: str) -> KnownOrder:
    (raw,) = session.read_orders_by_id([channel_order_id])
    return first_sight("contract", session.parse_order(raw.payload, channel.now()))


def _units(order: KnownOrder) -> tuple[int, int]:
    """Units open and units cancelled."""
    counts = [line_counts(order, line, 0) for line in order.lines]
    return sum(one.open for one in counts), sum(one.cancelled for one in counts)


def _follow(channel: ContractChannel, session: Any, receipt: str | None) -> None:
    """Wait for the channel's decision; raises Rejected when it is against us."""
    if receipt is None:
        return
    for _ in range(LOOKS_MAX):
        if session.follow_write(receipt):
            return
        channel.advance(LOOK_SECONDS)
    raise AssertionError(f"no decision on {receipt!r} after {LOOKS_MAX} looks")


# --- cancellations -------------------------------------------------------------------------------


def _cancellation(
    channel: ContractChannel, channel_order_id: str, *, units: int | None = None
) -> OutgoingCancellation:
    """Of one line `units`, or all of every line."""
    order = _known(channel, open_as(channel, ReadOrders), channel_order_id)
    ordered = {one.line.channel_line_id: one.line.quantity_ordered or 0 for one in order.lines}
    return OutgoingCancellation(
        key=f"contract-cancellation-{next(_keys)}",
        channel_order_id=channel_order_id,
        lines=ordered if units is None else {min(ordered): units},
        is_whole=units is None,
        reason="buyer",
    )


def a_cancelled_order_shows(channel: ContractChannel, manifest: Manifest) -> None:
    """Everything unshipped leaves the order, and the next read shows it."""
    session, order_id = open_as(channel, CancelOrders), channel.place_order(2)
    _follow(channel, session, session.cancel_order(_cancellation(channel, order_id)))
    units = _units(_known(channel, session, order_id))
    assert units == (0, 2), f"(open, cancelled) is {units} after the cancellation of 2 units"


def a_part_of_an_order_is_cancelled(channel: ContractChannel, manifest: Manifest) -> None:
    """One unit leaves, the others stay to be shipped."""
    session, order_id = open_as(channel, CancelOrders), channel.place_order(3)
    wanted = _cancellation(channel, order_id, units=1)
    _follow(channel, session, session.cancel_order(wanted))
    units = _units(_known(channel, session, order_id))
    assert units == (2, 1), f"(open, cancelled) is {units} after the cancellation of 1 of 3"


def a_lost_cancellation_answer_is_outcome_unknown(
    channel: ContractChannel, manifest: Manifest
) -> None:
    """A cancellation whose answer is lost is neither made nor not made: look."""
    session, order_id = open_as(channel, CancelOrders), channel.place_order(1)
    wanted = _cancellation(channel, order_id)
    channel.trouble(Trouble.TIMEOUT_AFTER)
    error = error_of(lambda: session.cancel_order(wanted))
    channel.heal()
    assert isinstance(error, OutcomeUnknown), f"{error!r} for a lost answer"


def a_wish_to_cancel_is_shown(channel: ContractChannel, manifest: Manifest) -> None:
    """A buyer's request holds the order, and cancelling agrees to it."""
    session, order_id = open_as(channel, CancelOrders), channel.place_order(1)
    _hand(channel, "request_cancellation", order_id)
    holds = _known(channel, session, order_id).facts.channel_holds or ()
    asked = requested_lines(f"channel:{hold}" for hold in holds)
    assert asked is not None, f'channel_holds lacks "cancellation_requested": {holds}'
    _follow(channel, session, session.cancel_order(_cancellation(channel, order_id)))
    units = _units(_known(channel, session, order_id))
    assert units == (0, 1), f"(open, cancelled) is {units} after agreeing"


def a_declined_wish_is_shown_no_more(channel: ContractChannel, manifest: Manifest) -> None:
    """A no ends the buyer's request and changes nothing else; said again it has no effect."""
    session, order_id = open_as(channel, CancelOrders), channel.place_order(1)
    assert isinstance(session, DeclineCancellations), "the session lacks decline_cancellation"
    session.decline_cancellation(order_id)
    _hand(channel, "request_cancellation", order_id)
    for _ in range(2):
        session.decline_cancellation(order_id)
    known = _known(channel, session, order_id)
    holds = known.facts.channel_holds or ()
    assert requested_lines(f"channel:{hold}" for hold in holds) is None, f"still asked: {holds}"
    assert _units(known) == (1, 0), f"(open, cancelled) is {_units(known)} after a no"


def shadow_declines_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """A session that may not write says no to nobody."""
    order_id = channel.place_order(1)
    _hand(channel, "request_cancellation", order_id)
    session = open_as(channel, CancelOrders, may_write=False)
    assert isinstance(session, DeclineCancellations), "the session lacks decline_cancellation"
    before = _known(channel, session, order_id).facts.channel_holds
    error = error_of(lambda: session.decline_cancellation(order_id))
    after = _known(channel, session, order_id).facts.channel_holds
    assert after == before, "a session opened with may_write=False said no to a buyer"
    assert error is not None, "a refused no must raise, not return"


def shadow_cancels_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """A session that may not write cancels nothing."""
    order_id = channel.place_order(1)
    session = open_as(channel, CancelOrders, may_write=False)
    wanted = _cancellation(channel, order_id)
    error = error_of(lambda: session.cancel_order(wanted))
    units = _units(_known(channel, session, order_id))
    assert units == (1, 0), "a session opened with may_write=False cancelled"
    assert error is not None, "a refused cancellation must raise, not return"


# --- refunds -------------------------------------------------------------------------------------


def _shipped(channel: ContractChannel, manifest: Manifest, units: int) -> str:
    """An order, shipped where the connector can: some channels refund nothing before."""
    order_id = channel.place_order(units)
    if Capability.PUSH_TRACKING in manifest.capabilities:
        session = open_as(channel, PushTracking)
        session.push_shipment(_shipment(channel, session, order_id))
    return order_id


def _shipment(channel: ContractChannel, session: Any, order_id: str) -> OutgoingShipment:
    (line,) = _known(channel, session, order_id).lines
    number = next(_keys)
    return OutgoingShipment(
        key=f"contract-write-{number}",
        channel_order_id=order_id,
        lines={line.line.channel_line_id: line.line.quantity_ordered or 0},
        packages=(
            OutgoingPackage(carrier="ups", tracking_number=f"1ZW{number:06d}", tracking_url=None),
        ),
        service=None,
        shipped_at=channel.now(),
    )


def _refund(channel: ContractChannel, order_id: str, *, times: int = 1) -> OutgoingRefund:
    """The price of one unit, `times` over."""
    (known,) = _known(channel, open_as(channel, ReadOrders), order_id).lines
    price = known.line.unit_price
    assert isinstance(price, Money), "unit_price is not read, so nothing can be refunded"
    line_id, amount = known.line.channel_line_id, price.times(times)
    return OutgoingRefund(
        key=f"contract-refund-{next(_keys)}",
        channel_order_id=order_id,
        amount=amount,
        lines={line_id: 1},
        line_amounts={line_id: amount},
        reason="returned",
    )


def _sent(channel: ContractChannel, refund: OutgoingRefund, before: list[str]) -> WriteBack:
    now = channel.now()
    return WriteBack(
        write_id=refund.key,
        order_id="",
        account="contract",
        kind=WriteKind.REFUND,
        wish=Wish(amount=refund.amount, lines=refund.lines),
        asked_at=now,
        actor="contract",
        next_at=now,
        known_before=tuple(before),
    )


def a_refund_is_found_again(channel: ContractChannel, manifest: Manifest) -> None:
    """What was sent is recognised by what the channel shows, and a second one beside it."""
    session, order_id = open_as(channel, RefundOrders), _shipped(channel, manifest, 3)
    before: list[str] = []
    for number in (1, 2):
        refund = _refund(channel, order_id)
        write = _sent(channel, refund, before)
        known = session.read_refunds(order_id)
        assert find_refund(write, known, ()) is None, "a refund not sent yet was found"
        _follow(channel, session, session.refund_order(refund))
        shown = session.read_refunds(order_id)
        found = find_refund(write, shown, ())
        assert found is not None, f"sent and not found again: {shown}"
        assert len(shown) == number, f"{len(shown)} refunds after {number} were sent"
        before.append(found.channel_refund_id)


def a_lost_refund_answer_is_outcome_unknown(channel: ContractChannel, manifest: Manifest) -> None:
    """A refund whose answer is lost is not sent again by the session: money goes once."""
    session, order_id = open_as(channel, RefundOrders), _shipped(channel, manifest, 3)
    refund = _refund(channel, order_id)
    channel.trouble(Trouble.TIMEOUT_AFTER)
    error = error_of(lambda: session.refund_order(refund))
    channel.heal()
    assert isinstance(error, OutcomeUnknown), f"{error!r} for a lost answer"
    for _ in range(LOOKS_MAX):
        if session.read_refunds(order_id):
            break
        channel.advance(LOOK_SECONDS)
    shown = session.read_refunds(order_id)
    assert len(shown) == 1, f"{len(shown)} refunds for one call: do not retry inside refund_order"


def more_than_was_paid_does_not_go_back(channel: ContractChannel, manifest: Manifest) -> None:
    """The channel's refusal is an error an operator can act on."""
    session, order_id = open_as(channel, RefundOrders), _shipped(channel, manifest, 1)
    refund = _refund(channel, order_id, times=50)
    error: ChannelError | None = error_of(
        lambda: _follow(channel, session, session.refund_order(refund))
    )
    assert isinstance(error, FixData), f"{error!r} for fifty times the price; raise Rejected"
    shown = [one for one in session.read_refunds(order_id) if one.state != "failed"]
    assert shown == [], f"a refused refund is shown: {shown}"


def shadow_refunds_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """A session that may not write sends no money."""
    order_id = _shipped(channel, manifest, 1)
    session = open_as(channel, RefundOrders, may_write=False)
    refund = _refund(channel, order_id)
    error = error_of(lambda: session.refund_order(refund))
    assert session.read_refunds(order_id) == (), "a session with may_write=False refunded"
    assert error is not None, "a refused refund must raise, not return"


# --- holds and tracking --------------------------------------------------------------------------


def a_hold_stops_and_a_release_lets_go(channel: ContractChannel, manifest: Manifest) -> None:
    """Holding and releasing twice is as once, and the order shows each."""
    session, order_id = open_as(channel, HoldOrders), channel.place_order(1)
    hold = OutgoingHold(key=f"contract-hold-{next(_keys)}", channel_order_id=order_id)
    for act, is_held in ((session.hold_order, True), (session.release_order, False)):
        act(hold)
        act(hold)
        holds = _known(channel, session, order_id).facts.channel_holds
        assert bool(holds) == is_held, f"channel_holds is {holds} after {act.__name__}"


def shadow_holds_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """A session that may not write stops nothing."""
    session = open_as(channel, HoldOrders, may_write=False)
    order_id = channel.place_order(1)
    hold = OutgoingHold(key=f"contract-hold-{next(_keys)}", channel_order_id=order_id)
    error = error_of(lambda: session.hold_order(hold))
    holds = _known(channel, session, order_id).facts.channel_holds
    assert not holds, "a session opened with may_write=False held an order"
    assert error is not None, "a refused hold must raise, not return"


def _correction(channel: ContractChannel, session: Any, order_id: str) -> TrackingCorrection:
    (dispatch,) = session.read_shipments(order_id)
    number = next(_keys)
    package = OutgoingPackage(carrier="ups", tracking_number=f"1ZC{number:06d}", tracking_url=None)
    return TrackingCorrection(
        key=f"contract-correction-{number}",
        channel_order_id=order_id,
        channel_shipment_id=dispatch.channel_shipment_id,
        lines=dispatch.lines,
        packages=(package,),
        service=None,
        shipped_at=channel.now(),
    )


def corrected_tracking_replaces_the_old(channel: ContractChannel, manifest: Manifest) -> None:
    """The dispatch stays one and the same, with the new number alone; twice is as once."""
    session, order_id = open_as(channel, CorrectTracking), _shipped(channel, manifest, 2)
    correction = _correction(channel, session, order_id)
    for _ in range(2):
        session.correct_shipment(correction)
        shown = [one for one in session.read_shipments(order_id) if not one.is_cancelled]
        numbers = {number for one in shown for number in one.tracking_numbers}
        assert len(shown) == 1, f"{len(shown)} dispatches after a correction"
        assert numbers == {correction.packages[0].tracking_number}, f"it shows {sorted(numbers)}"


def a_dispatch_that_is_not_there_is_not_corrected(
    channel: ContractChannel, manifest: Manifest
) -> None:
    """The channel's refusal is an error an operator can act on."""
    session, order_id = open_as(channel, CorrectTracking), _shipped(channel, manifest, 1)
    unknown = replace(
        _correction(channel, session, order_id), channel_order_id=channel.unknown_order_id
    )
    error = error_of(lambda: session.correct_shipment(unknown))
    assert isinstance(error, FixData), f"{error!r} for an unknown order; raise Rejected"


def shadow_corrects_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """A session that may not write leaves tracking as it is."""
    order_id = _shipped(channel, manifest, 1)
    session = open_as(channel, CorrectTracking, may_write=False)
    before = session.read_shipments(order_id)
    correction = _correction(channel, session, order_id)
    error = error_of(lambda: session.correct_shipment(correction))
    assert session.read_shipments(order_id) == before, "may_write=False corrected tracking"
    assert error is not None, "a refused correction must raise, not return"


_ORDERS: Final = Capability.READ_ORDERS
_CANCEL: Final = frozenset({Capability.CANCEL_ORDERS, _ORDERS})
_REFUND: Final = frozenset({Capability.REFUND_ORDERS, _ORDERS})
_HOLD: Final = frozenset({Capability.HOLD_ORDERS, _ORDERS})
_CORRECT: Final = frozenset({Capability.CORRECT_TRACKING, Capability.PUSH_TRACKING, _ORDERS})

WRITE_CHECKS: Final = tuple(
    Check(name=run.__name__, run=run, needs=needs, flag=flag)
    for run, needs, flag in (
        (a_cancelled_order_shows, _CANCEL, ""),
        (a_part_of_an_order_is_cancelled, _CANCEL, "cancels_lines"),
        (a_lost_cancellation_answer_is_outcome_unknown, _CANCEL, ""),
        (a_wish_to_cancel_is_shown, _CANCEL, ""),
        (shadow_cancels_nothing, _CANCEL, ""),
        (a_declined_wish_is_shown_no_more, _CANCEL, "declines_cancellations"),
        (shadow_declines_nothing, _CANCEL, "declines_cancellations"),
        (a_refund_is_found_again, _REFUND, ""),
        (a_lost_refund_answer_is_outcome_unknown, _REFUND, ""),
        (more_than_was_paid_does_not_go_back, _REFUND, ""),
        (shadow_refunds_nothing, _REFUND, ""),
        (a_hold_stops_and_a_release_lets_go, _HOLD, ""),
        (shadow_holds_nothing, _HOLD, ""),
        (corrected_tracking_replaces_the_old, _CORRECT, ""),
        (a_dispatch_that_is_not_there_is_not_corrected, _CORRECT, ""),
        (shadow_corrects_nothing, _CORRECT, ""),
    )
)
