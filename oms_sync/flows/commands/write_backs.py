"""What an operator wants changed at the channel: cancel, refund, correct tracking, hold, release.

Checked against what the hub knows and stored; the flow `write_back` tells the channel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from oms_sync.domain.events import Event
from oms_sync.domain.order import OrderState
from oms_sync.domain.shipment import Package, PushState, Shipment
from oms_sync.domain.values import Money
from oms_sync.domain.write_back import (
    Wish,
    WriteBack,
    WriteKind,
    WriteState,
    refundable,
    share,
    superseded,
)
from oms_sync.flows.cancelling import Ask, begin, open_units
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.commands.wishes import (
    check_live,
    locked_order,
    named_units,
    new_write,
    store_wish,
)
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import StoredOrder, counts_of
from oms_sync.sdk import Capability, WriteReason

_OVER = (OrderState.CLOSED, OrderState.CANCELLED)
_HOLDS = (WriteKind.HOLD, WriteKind.RELEASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """What is to be cancelled of an order."""

    #: SKU, channel SKU or line id to units; empty means everything open
    lines: Mapping[str, int] = field(default_factory=dict)
    reason: WriteReason = "other"
    is_restocked: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """What is to go back to the buyer; amounts as typed, in the order's currency."""

    #: units the money is for; empty is the order as a whole
    lines: Mapping[str, int] = field(default_factory=dict)
    #: everything, shipping included; None is the price of the lines, or all that is left
    amount: str | None = None
    #: the part of it for shipping
    shipping: str | None = None
    reason: WriteReason
    is_restocked: bool = False
    note: str = ""


def cancel(context: CommandContext, order_id: str, wanted: Cancellation) -> WriteBack:
    """Have units cancelled at the channel; until it shows them they neither ship nor go free."""
    with context.open_work() as work:
        order = locked_order(work, order_id)
        check_live(context, order, Capability.CANCEL_ORDERS)
        if order.state in _OVER:
            raise CommandRefused(f"the order is {order.state}, there is nothing to cancel")
        if order.known.facts.fulfilled_by == "channel":
            raise CommandRefused("the channel ships this order itself; cancel it there")
        if _has_open(work, order, WriteKind.CANCEL):
            raise CommandRefused("a cancellation of this order is under way: see orders show")
        possible = open_units(order)
        units = named_units(order, wanted.lines, possible) if wanted.lines else possible
        if not units:
            raise CommandRefused("no unit of it is known to be open yet: oms-sync orders refetch")
        _check_reason(context, order, wanted.reason)
        manifest = context.manifest_of(order.known.ref.account)
        if units != possible and not manifest.cancels_lines:
            raise CommandRefused("this channel cancels only whole orders; leave --line out")
        ask = Ask(
            write_id=context.ids.new(),
            at=context.clock.now(),
            actor=context.actor,
            reason=wanted.reason,
            note=wanted.note,
            is_restocked=wanted.is_restocked,
        )
        held, write = begin(order, units, ask)
        work.orders.save([held])
        store_wish(context, work, write, "order.cancellation_asked")
        work.commit()
    return write


def refund(context: CommandContext, order_id: str, wanted: Refund) -> WriteBack:
    """Have money sent back by the channel: never more than was paid and has not gone back."""
    with context.open_work() as work:
        order = locked_order(work, order_id)
        check_live(context, order, Capability.REFUND_ORDERS)
        facts = order.known.facts
        if facts.total is None or facts.state is OrderState.PENDING:
            raise CommandRefused("the order is not paid yet, there is nothing to give back")
        earlier = [
            one
            for one in work.write_backs.of_orders([order.order_id])
            if one.kind is WriteKind.REFUND and one.state is not WriteState.REFUSED
        ]
        if any(one.state.is_open and not one.channel_refund_id for one in earlier):
            raise CommandRefused("a refund of this order is under way: see orders show")
        left = refundable(facts, [one.wish.amount for one in earlier if one.wish.amount])
        assert left is not None, "the total is known"
        wish = _refund_wish(order, wanted, left)
        write = new_write(context, order, WriteKind.REFUND, wish)
        store_wish(context, work, write, "order.refund_asked")
        work.commit()
    return write


def correct(context: CommandContext, shipment_id: str, packages: Sequence[Package]) -> Shipment:
    """Give a shipment other packages, here and at the channel."""
    now = context.clock.now()
    with context.open_work() as work:
        found = work.shipments.get([shipment_id]).get(shipment_id)
        if found is None:
            raise CommandRefused(f"there is no shipment {shipment_id!r}; see orders show")
        order = locked_order(work, found.order_id)
        push = work.shipments.lock([shipment_id])[shipment_id]
        corrected = replace(push.shipment, packages=tuple(packages))
        if corrected.packages == push.shipment.packages:
            raise CommandRefused("the shipment has exactly these packages already")
        if push.state is PushState.CONFIRMED and _account_is_told(context, order):
            _correct_at_channel(context, work, order, corrected, push.shipment.packages)
        elif push.attempts and push.state is not PushState.REFUSED:
            raise CommandRefused(
                "the channel is being told of this shipment right now; correct it once it is "
                "confirmed: see orders show"
            )
        elif push.state is not PushState.CONFIRMED:
            # The channel knows nothing of it: it is told of the corrected one.
            work.shipments.save([replace(push, state=PushState.WAITING, attempts=0, next_at=now)])
            work.wake("push_tracking", corrected.account)
        work.shipments.repack(corrected)
        work.timeline.add([_corrected(context, corrected)])
        work.commit()
    return corrected


def tell_channel(
    context: CommandContext, work: UnitOfWork, order: StoredOrder, *, kind: WriteKind
) -> bool:
    """Hold, release or decline at the channel, too, where that can be; the newest wish counts."""
    account = order.known.ref.account
    manifest = context.manifest_of(account)
    can = Capability.HOLD_ORDERS in manifest.capabilities
    if kind is WriteKind.DECLINE:
        can = Capability.CANCEL_ORDERS in manifest.capabilities and manifest.declines_cancellations
    if not can or context.profile(account).mode != "live":
        return False
    alike = _HOLDS if kind in _HOLDS else (kind,)
    for one in work.write_backs.of_orders([order.order_id]):
        if one.kind in alike and one.state.is_open:
            present = work.write_backs.lock(one.write_id)
            work.write_backs.save([superseded(present)] if present else [])
    work.write_backs.add(new_write(context, order, kind, Wish()))
    work.wake("write_back", account)
    return True


def _check_reason(context: CommandContext, order: StoredOrder, reason: WriteReason) -> None:
    """Refuses a reason the channel would be told as another one: that can cost the seller."""
    words = context.cancel_words_of(order.known.ref.account)
    if words is None:
        return
    if order.known.facts.state is not OrderState.PENDING:
        words -= {"payment"}  # it is paid
    if reason not in words:
        raise CommandRefused(
            f"the channel has no word for the reason {reason!r}, and what it would be told instead "
            f"may count against you: say --reason, one of {', '.join(sorted(words))}"
        )


def _account_is_told(context: CommandContext, order: StoredOrder) -> bool:
    return context.profile(order.known.ref.account).connector != MANUAL


def _has_open(work: UnitOfWork, order: StoredOrder, kind: WriteKind) -> bool:
    writes = work.write_backs.of_orders([order.order_id])
    return any(one.kind is kind and one.state.is_open for one in writes)


def _refund_wish(order: StoredOrder, wanted: Refund, left: Money) -> Wish:
    ordered = {
        line.channel_line_id: count.ordered
        for line, count in zip(order.lines, counts_of(order), strict=True)
    }
    units = named_units(order, wanted.lines, ordered)
    shipping = _typed(wanted.shipping, left.currency, "--shipping")
    typed = _typed(wanted.amount, left.currency, "--amount")
    prices = _prices(order, units)
    if units and typed is None:
        _check_prices(order)
    amount = typed or _default_amount(left, prices, units, shipping)
    for_lines = amount - (shipping or Money.zero(left.currency))
    if for_lines.amount < 0 or amount.amount <= 0 or amount.amount > left.amount:
        raise CommandRefused(
            f"{amount.text()} cannot go back: up to {left.text()} {left.currency} can, and "
            "--amount includes --shipping"
        )
    weights = {line_id: prices.get(line_id, Money.zero(left.currency)) for line_id in units}
    return Wish(
        reason=wanted.reason,
        note=wanted.note,
        lines=units,
        is_restocked=wanted.is_restocked,
        amount=amount,
        line_amounts=share(for_lines, weights) if units else {},
        shipping=shipping,
    )


def _check_prices(order: StoredOrder) -> None:
    """Prices are before discounts: what was paid for a line, only a person can say then."""
    discount = order.known.facts.discount
    if discount is not None and discount.amount:
        raise CommandRefused(
            f"the order has a discount of {discount.text()} {discount.currency}, so its lines were "
            "not paid in full; say --amount"
        )


def _default_amount(
    left: Money, prices: Mapping[str, Money], units: Iterable[str], shipping: Money | None
) -> Money:
    """The price of the lines and the shipping named; of nothing named, all that is left."""
    missing = [line_id for line_id in units if line_id not in prices]
    if missing:
        raise CommandRefused(f"the price of line {missing[0]} is not known; say --amount")
    if not prices:
        return shipping or left
    amount = shipping or Money.zero(left.currency)
    for price in prices.values():
        amount += price
    return amount


def _prices(order: StoredOrder, units: Mapping[str, int]) -> dict[str, Money]:
    lines = {known.line.channel_line_id: known.line for known in order.known.lines}
    return {
        line_id: price.times(count)
        for line_id, count in units.items()
        if (price := lines[line_id].unit_price) is not None
    }


def _typed(text: str | None, currency: str, name: str) -> Money | None:
    if text is None:
        return None
    amount = Money.parse(text, currency)
    if amount.minor() <= 0:
        raise CommandRefused(f"{name} {text}: money that goes back is more than nothing")
    return amount


def _correct_at_channel(
    context: CommandContext,
    work: UnitOfWork,
    order: StoredOrder,
    corrected: Shipment,
    before: tuple[Package, ...],
) -> None:
    check_live(context, order, Capability.CORRECT_TRACKING)
    manifest = context.manifest_of(order.known.ref.account)
    if manifest.keeps_package_count and len(corrected.packages) != len(before):
        raise CommandRefused(
            f"the channel was told of {len(before)} packages, and adds none and takes none away: "
            f"give {len(before)}, not {len(corrected.packages)}, or change it at the channel"
        )
    for one in work.write_backs.of_orders([order.order_id]):
        if one.wish.shipment_id == corrected.shipment_id and one.state.is_open:
            raise CommandRefused("a correction of this shipment is under way: see orders show")
    wish = Wish(
        shipment_id=corrected.shipment_id, packages=corrected.packages, packages_before=before
    )
    work.write_backs.add(new_write(context, order, WriteKind.CORRECT, wish))
    work.wake("write_back", order.known.ref.account)


def _corrected(context: CommandContext, shipment: Shipment) -> Event:
    first = shipment.packages[0]
    return Event(
        name="shipment.corrected",
        at=context.clock.now(),
        actor=context.actor,
        order_id=shipment.order_id,
        account=shipment.account,
        detail={
            "shipment": shipment.shipment_id,
            "carrier": first.carrier,
            "tracking_number": first.tracking_number,
            "packages": len(shipment.packages),
        },
    )
