"""Where sessions of the fake channel cancel, refund, hold and correct: at once, or decided later.

The channel's own books change; faults and lost answers are the session's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from oms_sync.domain.values import Money
from oms_sync.sdk import fake_acts
from oms_sync.sdk.errors import Rejected
from oms_sync.sdk.fake_acts import STOPPED, FakeRefusal
from oms_sync.sdk.fake_books import FakeEffect
from oms_sync.sdk.fake_orders import FakeOrder
from oms_sync.sdk.writes import (
    ChannelRefund,
    OutgoingCancellation,
    OutgoingHold,
    OutgoingRefund,
    TrackingCorrection,
)

if TYPE_CHECKING:
    from oms_sync.sdk.fake import FakeChannel


@dataclass(slots=True, kw_only=True)
class _Case:
    """A write the channel has not decided yet, or has."""

    due_at: datetime
    act: Callable[[], None]
    is_decided: bool = False
    refusal: str = ""


class FakeDesk:
    """The half of a FakeChannel that changes orders for sessions; called with its lock held."""

    def __init__(self, channel: "FakeChannel") -> None:
        self._channel = channel
        self._cases: list[_Case] = []

    def cancel(self, wanted: OutgoingCancellation) -> str | None:
        """Cancel, now or later; answers a receipt in the second case."""
        return self._decide(lambda: self._cancel(wanted))

    def refund(self, wanted: OutgoingRefund) -> str | None:
        """Give money back, now or later."""
        return self._decide(lambda: self._refund(wanted))

    def follow(self, receipt: str) -> bool:
        """True once it is decided; raises Rejected when it was refused."""
        self.work_off()
        case = self._cases[int(receipt.removeprefix("receipt-"))]
        if case.refusal:
            raise Rejected(case.refusal)
        return case.is_decided

    def work_off(self) -> None:
        """Decide what is due, whether or not anybody asks for it."""
        now = self._channel.books.now()
        for case in self._cases:
            if not case.is_decided and case.due_at <= now:
                case.is_decided = True
                try:
                    case.act()
                except FakeRefusal as refusal:
                    case.refusal = str(refusal)

    def refunds(self, channel_order_id: str, *, is_old: bool) -> tuple[ChannelRefund, ...]:
        """What went back for the order; an old read lacks the newest."""
        order = self._channel.books.order(channel_order_id)
        has_keys = self._channel.options.keeps_refund_keys
        return tuple(
            ChannelRefund(
                channel_refund_id=one.channel_refund_id,
                amount=Money.from_minor(one.minor, order.currency),
                lines=dict(one.lines),
                state=one.state,
                at=one.at,
                key=(one.key or None) if has_keys else None,
            )
            for one in (order.refunds[:-1] if is_old else order.refunds)
        )

    def give_money(self, channel_order_id: str, minor: int) -> str:
        """A refund of the seller's own, no units; answers its id."""
        books = self._channel.books
        after = fake_acts.add_refund(books.order(channel_order_id), {}, minor, at=books.stamp())
        books.store(after)
        return after.refunds[-1].channel_refund_id

    def hold(self, wanted: OutgoingHold) -> None:
        """Stop the order; no effect where it is stopped."""
        order = self._order(wanted.channel_order_id)
        if STOPPED not in order.holds:
            self._keep(replace(order, holds=tuple(sorted({*order.holds, STOPPED}))))
            self._note("held", order, wanted.key)

    def release(self, wanted: OutgoingHold) -> None:
        """Let go what `hold` stopped."""
        order = self._order(wanted.channel_order_id)
        if STOPPED in order.holds:
            self._keep(replace(order, holds=tuple(one for one in order.holds if one != STOPPED)))
            self._note("released", order, wanted.key)

    def decline(self, channel_order_id: str) -> None:
        """Say no to a buyer who asks to cancel."""
        order = self._order(channel_order_id)
        after = fake_acts.answer_wish(order)
        if after != order:
            self._keep(after)
            self._note("declined", order, "")

    def correct(self, wanted: TrackingCorrection) -> None:
        """Give a dispatch other packages."""
        order = self._order(wanted.channel_order_id)
        numbers = tuple(one.tracking_number for one in wanted.packages if one.tracking_number)
        try:
            after = fake_acts.correct_fulfilment(
                order,
                wanted.channel_shipment_id,
                numbers=numbers,
                carriers=tuple(one.carrier for one in wanted.packages),
            )
        except FakeRefusal as refusal:
            raise Rejected(str(refusal)) from refusal
        self._keep(after)
        self._note("tracking_corrected", order, wanted.key)

    def _decide(self, act: Callable[[], None]) -> str | None:
        wait = self._channel.options.decides_after_seconds
        if wait:
            due_at = self._channel.books.now() + timedelta(seconds=wait)
            self._cases.append(_Case(due_at=due_at, act=act))
            return f"receipt-{len(self._cases) - 1}"
        try:
            act()
        except FakeRefusal as refusal:
            raise Rejected(str(refusal)) from refusal
        return None

    def _cancel(self, wanted: OutgoingCancellation) -> None:
        order, at = self._channel.books.order(wanted.channel_order_id), self._channel.books.stamp()
        restock = wanted.is_restocked
        if not (wanted.is_whole or self._channel.options.cancels_lines):
            raise FakeRefusal("only a whole order can be cancelled")
        after = (
            fake_acts.cancel_order(order, restock=restock, at=at)
            if wanted.is_whole
            else fake_acts.cancel_units(order, wanted.lines, restock=restock, at=at)
        )
        self._keep(after)
        self._note("cancelled", order, wanted.key)

    def _refund(self, wanted: OutgoingRefund) -> None:
        books = self._channel.books
        order = books.order(wanted.channel_order_id)
        is_known = any(one.key == wanted.key for one in order.refunds)
        if is_known and self._channel.options.keeps_refund_keys:
            return
        minor = wanted.amount.minor()
        after = fake_acts.add_refund(order, wanted.lines, minor, at=books.stamp(), key=wanted.key)
        self._keep(fake_acts.take_back(after, wanted.lines) if wanted.is_restocked else after)
        self._note("refunded", order, wanted.key, quantity=minor)

    def _order(self, channel_order_id: str) -> FakeOrder:
        try:
            return self._channel.books.order(channel_order_id)
        except FakeRefusal as refusal:
            raise Rejected(str(refusal)) from refusal

    def _keep(self, order: FakeOrder) -> None:
        self._channel.books.store(order)

    def _note(self, kind: str, order: FakeOrder, key: str, quantity: int | None = None) -> None:
        at, target = self._channel.books.stamp(), order.channel_order_id
        effect = FakeEffect(kind=kind, target=target, at=at, key=key, quantity=quantity)
        self._channel.effects.append(effect)
