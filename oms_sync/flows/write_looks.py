"""The look before every write-back: is it done already, can it be, and what is there to send.

Reads the channel and decides; sending is left to `write_back`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from oms_sync.domain.cancel_requests import requested_lines
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import KnownOrder, LineCounts, line_counts
from oms_sync.domain.shipment import ChannelShipment, Shipment, find_again, plain_numbers
from oms_sync.domain.values import Money
from oms_sync.domain.write_back import (
    WriteBack,
    WriteKind,
    cancellation_left,
    find_refund,
    refundable,
)
from oms_sync.flows.ports import FlowContext
from oms_sync.flows.records import CANCELLING, MessageSource, NewMessage, StoredOrder
from oms_sync.sdk import (
    ChannelRefund,
    OutgoingCancellation,
    OutgoingHold,
    OutgoingPackage,
    OutgoingRefund,
    TrackingCorrection,
)

#: how soon to look again for what the hub itself has to take in
TAKE_IN_SECONDS: Final = 1.0
#: and how soon the time after: something keeps it
TAKE_IN_AGAIN_SECONDS: Final = 30.0
#: how long what was sent may take to show before money is sent again: longer than any call lasts,
#: so that a turn that came too late cannot pay a second time either
UNSETTLED_SECONDS: Final = 900.0
#: corrected tracking that was taken and does not show is sent again after this, so many turns long
RESEND_SECONDS: Final = 10.0
RESEND_ATTEMPTS_MAX: Final = 8
NOT_SHOWN: Final = "the channel does not show it yet"
TAKING_IN: Final = "the channel shows it; the hub is taking it in"
NEVER_SHOWN: Final = (
    "the channel took it and has not shown it since: see there what became of it, and ask again "
    "if nothing did"
)
CANCELLED_FIRST: Final = "a cancellation of the order is under way, and it may give money back"

_UNSURE: Final = (
    "its answer was lost, and another refund has appeared since: see at the channel whether it is "
    "this one, and ask again if it is not"
)

Send = Callable[[], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look found."""

    #: the write-back with what was learnt of it
    write: WriteBack
    is_done: bool = False
    #: it is over because of something newer: the channel was not told
    is_moot: bool = False
    #: why it can never be done
    refusal: str = ""
    #: why there is nothing to do but look again, and after how long; None grows with the attempts
    waits_for: str = ""
    wait_seconds: float | None = None
    #: sends what is missing
    send: Send | None = None
    #: may be sent a second time without a second effect
    is_repeatable: bool = True


def look(context: FlowContext, order: StoredOrder, write: WriteBack) -> Look:
    """Look at the channel, as the kind of the write-back wants it."""
    return _LOOKS[write.kind](context, order, write)


def is_unsettled(context: FlowContext, write: WriteBack) -> bool:
    """True while a call made before may still show its effect."""
    if write.sent_at is None:
        return False
    wait = max(UNSETTLED_SECONDS, context.manifest.visibility_lag_seconds)
    return context.clock.now() < write.sent_at + timedelta(seconds=wait)


def _look_cancellation(context: FlowContext, order: StoredOrder, write: WriteBack) -> Look:
    """Done is what the hub's own order shows: only then its units are free and its hold may go."""
    taken_in = cancellation_left(write.wish, _counts(order, order.known))
    if not taken_in.missing:
        return Look(write=write, is_done=not taken_in.lost, refusal=_lost(taken_in.lost))
    known = _read_order(context, order)
    if known is None:
        return Look(write=write, waits_for="the channel shows no such order")
    left = cancellation_left(write.wish, _counts(order, known))
    if not left.missing:
        is_again = write.error == TAKING_IN
        seconds = TAKE_IN_AGAIN_SECONDS if is_again else TAKE_IN_SECONDS
        return Look(write=write, waits_for=TAKING_IN, wait_seconds=seconds)
    cancellation = OutgoingCancellation(
        key=write.write_id,
        channel_order_id=order.known.ref.channel_order_id,
        lines=left.missing,
        is_whole=left.is_whole,
        reason=write.wish.reason,
        is_restocked=write.wish.is_restocked,
        note=write.wish.note,
    )
    return Look(
        write=write,
        send=lambda: context.session.cancel_order(cancellation),
        is_repeatable=left.is_whole,
    )


def _lost(lost: Mapping[str, int]) -> str:
    parts = ", ".join(f"{units} of line {line_id}" for line_id, units in sorted(lost.items()))
    return f"shipped, in others' care or in another order by now: {parts}" if parts else ""


def _read_order(context: FlowContext, order: StoredOrder) -> KnownOrder | None:
    """The order as the channel shows it now, together with all that was known; it is taken in."""
    account, now = context.account.name, context.clock.now()
    channel_order_id = order.known.ref.channel_order_id
    (raw,) = context.session.read_orders_by_id([channel_order_id])
    if raw.is_gone:
        return None
    sight = context.session.parse_order(raw.payload, now)
    message = NewMessage(
        account=account,
        topic="order",
        source=MessageSource.READ,
        body=raw.payload,
        received_at=now,
        channel_order_id=raw.channel_order_id,
    )
    with context.open_work() as work:
        work.inbox.add([message])
        work.wake("normalise", account)
        work.commit()
    return merge(
        order.known, first_sight(account, replace(sight, channel_order_id=channel_order_id))
    )


def _counts(order: StoredOrder, known: KnownOrder) -> dict[str, LineCounts]:
    shipped_here = {line.channel_line_id: line.shipped_here for line in order.lines}
    return {
        line.line.channel_line_id: line_counts(
            known, line, shipped_here.get(line.line.channel_line_id, 0)
        )
        for line in known.lines
    }


def _look_refund(context: FlowContext, order: StoredOrder, write: WriteBack) -> Look:
    with context.open_work() as work:
        writes = work.write_backs.of_orders([order.order_id])
    is_cancelling = any(one.kind is WriteKind.CANCEL and one.state.is_open for one in writes)
    if is_cancelling and write.sent_at is None:
        return Look(write=write, waits_for=CANCELLED_FIRST)
    shown = context.session.read_refunds(order.known.ref.channel_order_id)
    others = [
        one.channel_refund_id
        for one in writes
        if one.write_id != write.write_id and one.channel_refund_id
    ]
    found = find_refund(write, shown, others)
    if found is not None:
        return _found_refund(replace(write, channel_refund_id=found.channel_refund_id), found.state)
    if write.answered_at is not None:
        return Look(write=write, waits_for=NOT_SHOWN)
    strangers = [one for one in shown if _is_new(write, one, others)]
    if write.sent_at is not None and strangers and not is_unsettled(context, write):
        return Look(write=write, refusal=_UNSURE)
    if is_cancelling:
        return Look(write=write, waits_for=CANCELLED_FIRST)
    refusal = _too_much(order, write, shown)
    if write.known_before is None:
        write = replace(write, known_before=tuple(one.channel_refund_id for one in shown))
    refund = _outgoing_refund(order, write)
    return Look(
        write=write,
        refusal=refusal,
        send=lambda: context.session.refund_order(refund),
        is_repeatable=False,
    )


def _is_new(write: WriteBack, shown: ChannelRefund, others: Collection[str]) -> bool:
    known = {*(write.known_before or ()), *others}
    return shown.state != "failed" and shown.channel_refund_id not in known


def _found_refund(write: WriteBack, state: str) -> Look:
    waits_for = "the channel has the refund and has not sent the money yet"
    return Look(
        write=write,
        is_done=state == "done",
        refusal="the channel could not send the money" if state == "failed" else "",
        waits_for=waits_for if state == "pending" else "",
    )


def _too_much(order: StoredOrder, write: WriteBack, shown: tuple[ChannelRefund, ...]) -> str:
    """Why the channel should not be asked: more would go back than was paid."""
    facts, amount = order.known.facts, write.wish.amount
    total, given = facts.total, [one.amount for one in shown if one.state != "failed"]
    if total is None or amount is None:
        return "the order's total is not known"
    if any(one.currency != total.currency for one in (*given, amount)):
        return f"the channel shows refunds in another currency than {total.currency}"
    left = refundable(facts, given)
    if left is not None and amount.amount > left.amount:
        return f"{left.text()} {left.currency} of {total.text()} can go back, not {amount.text()}"
    return ""


def _outgoing_refund(order: StoredOrder, write: WriteBack) -> OutgoingRefund:
    wish = write.wish
    assert isinstance(wish.amount, Money), "a refund is stored with its amount"
    return OutgoingRefund(
        key=write.write_id,
        channel_order_id=order.known.ref.channel_order_id,
        amount=wish.amount,
        lines=wish.lines,
        line_amounts=wish.line_amounts,
        shipping=wish.shipping,
        reason=wish.reason,
        is_restocked=wish.is_restocked,
        note=wish.note,
    )


def _look_hold(context: FlowContext, order: StoredOrder, write: WriteBack) -> Look:
    """A hold that stands is not made twice, so there is nothing to look for."""
    hold = OutgoingHold(
        key=write.write_id,
        channel_order_id=order.known.ref.channel_order_id,
        note=write.wish.note,
    )
    is_hold = write.kind is WriteKind.HOLD

    def send() -> None:
        (context.session.hold_order if is_hold else context.session.release_order)(hold)

    return Look(write=write, is_done=write.answered_at is not None, send=send)


def _look_decline(context: FlowContext, order: StoredOrder, write: WriteBack) -> Look:
    """A no said twice is one; a newer wish, or a cancellation of our own, has taken it back."""
    codes = [one.code for one in order.holds]
    is_asked_anew = requested_lines(codes) is not None
    is_over = order.declined is None or is_asked_anew or CANCELLING in codes
    channel_order_id = order.known.ref.channel_order_id
    return Look(
        write=write,
        is_done=is_over or write.answered_at is not None,
        is_moot=is_over and write.sent_at is None,
        send=lambda: context.session.decline_cancellation(channel_order_id),
    )


def _look_correction(context: FlowContext, order: StoredOrder, write: WriteBack) -> Look:
    channel_order_id = order.known.ref.channel_order_id
    shown = context.session.read_shipments(channel_order_id)
    with context.open_work() as work:
        push = work.shipments.lock([write.wish.shipment_id])[write.wish.shipment_id]
    shipment = replace(push.shipment, packages=write.wish.packages)
    ours = find_again(
        shipment, shown, ids=push.channel_shipment_ids, earlier=write.wish.packages_before
    )
    if not ours:
        return Look(write=write, refusal="the channel does not show the dispatch any more")
    numbers = plain_numbers(one.tracking_number for one in shipment.packages)
    has_all = all(plain_numbers(one.tracking_numbers) == numbers for one in ours)
    if write.answered_at is not None and (has_all or not _is_dropped(context, write)):
        return Look(write=write, is_done=has_all, waits_for="" if has_all else NOT_SHOWN)

    def send() -> None:
        for one in ours:
            correction = _correction(write, push.shipment, one)
            context.session.correct_shipment(replace(correction, channel_order_id=channel_order_id))

    return Look(write=replace(write, answered_at=None), send=send)


def _is_dropped(context: FlowContext, write: WriteBack) -> bool:
    """Whether what the channel took and does not show is to be sent again: nothing doubles."""
    wait = max(RESEND_SECONDS, context.manifest.visibility_lag_seconds)
    return (
        write.answered_at is not None
        and write.attempts <= RESEND_ATTEMPTS_MAX
        and context.clock.now() >= write.answered_at + timedelta(seconds=wait)
    )


def _correction(
    write: WriteBack, shipment: Shipment, dispatch: ChannelShipment
) -> TrackingCorrection:
    return TrackingCorrection(
        key=write.write_id,
        channel_order_id=shipment.channel_order_id,
        channel_shipment_id=dispatch.channel_shipment_id,
        lines=dispatch.lines,
        packages=tuple(
            OutgoingPackage(
                carrier=package.carrier,
                tracking_number=package.tracking_number,
                tracking_url=package.tracking_url,
            )
            for package in write.wish.packages
        ),
        service=shipment.service,
        shipped_at=shipment.shipped_at,
    )


_LOOKS: Final[Mapping[WriteKind, Callable[[FlowContext, StoredOrder, WriteBack], Look]]] = {
    WriteKind.CANCEL: _look_cancellation,
    WriteKind.REFUND: _look_refund,
    WriteKind.HOLD: _look_hold,
    WriteKind.RELEASE: _look_hold,
    WriteKind.CORRECT: _look_correction,
    WriteKind.DECLINE: _look_decline,
}
