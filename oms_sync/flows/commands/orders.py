"""Orders under an operator's hand: hold, release, read again; and the log of who saw a buyer.

Releasing takes the operator's own hold off; where there is none, it says no to a buyer who asks to
cancel.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from oms_sync.domain.cancel_requests import decline, requested_lines
from oms_sync.domain.events import Event
from oms_sync.domain.order import Hold, OrderState
from oms_sync.domain.write_back import WriteKind
from oms_sync.flows.cancelling import with_holds
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.commands.write_backs import tell_channel
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.records import CANCELLING, MANUAL_HOLD, StoredOrder

_OVER = (OrderState.CLOSED, OrderState.CANCELLED)
_RELEASED, _DECLINED = "order.released", "order.cancellation_declined"
_ASKED = (
    "the buyer asks to cancel it: oms-sync orders cancel, or say no and ship it: oms-sync orders "
    "release --reason"
)
_REMEDIES = {
    "unmapped_sku": "a line's listing is not linked; link it: oms-sync listings link",
    "unmapped_code": "a code is in no mapping table; add it to your overlay of the tables",
    "gone_at_channel": "the channel has no such order any more; look there, then refetch it",
    CANCELLING: "it is being cancelled at the channel; oms-sync orders show says how far it is",
    "incomplete": "parts could not be read yet; the hub reads the order again by itself",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What releasing did: the state now, and the holds that stay with how they go."""

    state: OrderState
    remaining: tuple[str, ...]
    #: it was a buyer's request to cancel that was answered with no
    is_declined: bool = False
    #: and the channel will be told so
    is_told: bool = False


def hold(context: CommandContext, order_id: str, *, reason: str) -> None:
    """Keep the order from being shipped until it is released."""
    now = context.clock.now()
    with context.open_work() as work:
        order = _present(work.orders.lock([order_id]), order_id)
        if order.state in _OVER:
            raise CommandRefused(f"the order is {order.state}, there is nothing to hold")
        for one in order.holds:
            if one.code == MANUAL_HOLD:
                raise CommandRefused(
                    f"the order is held already, since {one.since.isoformat()} by {one.actor}"
                )
        added = Hold(code=MANUAL_HOLD, since=now, actor=context.actor, detail=reason)
        changed = with_holds(order, (*order.holds, added))
        work.orders.save([changed])
        tell_channel(context, work, order, kind=WriteKind.HOLD)
        work.timeline.add([_event(context, "order.held", order, reason=reason)])
        work.commit()


def release(context: CommandContext, order_id: str, *, reason: str = "") -> Released:
    """Take an operator's hold off; where there is none, say no to a buyer who asks to cancel.

    That needs a reason. Refuses where only other holds stand, and says how these go.
    """
    with context.open_work() as work:
        order = _present(work.orders.lock([order_id]), order_id)
        codes, is_told = [one.code for one in order.holds], False
        if MANUAL_HOLD in codes:
            changed = _without(order, lambda one: one.code == MANUAL_HOLD)
            tell_channel(context, work, order, kind=WriteKind.RELEASE)
            event = _RELEASED
        elif reason and _may_decline(order):
            changed = _without(order, _is_request)
            changed = replace(changed, declined=decline(order.known))
            is_told = tell_channel(context, work, order, kind=WriteKind.DECLINE)
            event = _DECLINED
        else:
            held = "" if order.state in _OVER else "; ".join(map(_remedy, order.holds))
            raise CommandRefused(held or f"the order is not held, it is {order.state}")
        work.orders.save([changed])
        work.timeline.add([_event(context, event, order, reason=reason)])
        work.wake("reserve", order.known.ref.account)
        work.commit()
    return Released(
        state=changed.state,
        remaining=tuple(_remedy(one) for one in changed.holds),
        is_declined=event == _DECLINED,
        is_told=is_told,
    )


def refetch(context: CommandContext, names: Sequence[str]) -> int:
    """Ask for orders to be read again, by hub id or `account:channel_order_id`; known or not."""
    now = context.clock.now()
    wanted: dict[str, set[str]] = {}
    with context.open_work() as work:
        known = work.orders.load([name for name in names if ":" not in name])
        for name in names:
            if ":" in name:
                account, _, channel_order_id = name.partition(":")
            else:
                ref = _present(known, name).known.ref
                account, channel_order_id = ref.account, ref.channel_order_id
            if context.profile(account).connector == MANUAL:
                raise CommandRefused(f"{name} came from a file; import the file again")
            if not channel_order_id:
                raise CommandRefused(f"{name!r} names no order; write account:channel_order_id")
            wanted.setdefault(account, set()).add(channel_order_id)
        for account, ids in sorted(wanted.items()):
            work.rereads.arm(account, sorted(ids), at=now)
            work.wake("ingest", account)
        work.commit()
    return sum(len(ids) for ids in wanted.values())


def record_reveal(context: CommandContext, order_ids: Iterable[str], *, purpose: str) -> None:
    """Log that somebody saw the personal data of these orders; before it is shown."""
    now = context.clock.now()
    with context.open_work() as work:
        work.timeline.add(
            [
                Event(
                    name="order.revealed",
                    at=now,
                    actor=context.actor,
                    order_id=order_id,
                    detail={"purpose": purpose},
                )
                for order_id in order_ids
            ]
        )
        work.commit()


def _present(orders: dict[str, StoredOrder], order_id: str) -> StoredOrder:
    order = orders.get(order_id)
    if order is None:
        raise CommandRefused(f"there is no order {order_id!r}")
    return order


def _without(order: StoredOrder, is_gone: Callable[[Hold], bool]) -> StoredOrder:
    holds = tuple(one for one in order.holds if not is_gone(one))
    return replace(with_holds(order, holds), is_reserve_due=True)


def _is_request(hold: Hold) -> bool:
    return requested_lines([hold.code]) is not None


def _may_decline(order: StoredOrder) -> bool:
    """True while a buyer's request stands that nobody is granting or has granted.

    Of an order that has shipped, too: the buyer still waits for an answer.
    """
    is_granted = order.state is OrderState.CANCELLED
    is_granted = is_granted or any(one.code == CANCELLING for one in order.holds)
    return any(map(_is_request, order.holds)) and not is_granted


def _remedy(hold: Hold) -> str:
    if hold.code == MANUAL_HOLD:
        return f"manual, by {hold.actor}"
    if _is_request(hold):
        return f"{hold.code}: {_ASKED}"
    remedy = _REMEDIES.get(hold.code, "the channel holds it; it goes when the channel lets go")
    return f"{hold.code}: {remedy}"


def _event(context: CommandContext, name: str, order: StoredOrder, *, reason: str) -> Event:
    return Event(
        name=name,
        at=context.clock.now(),
        actor=context.actor,
        order_id=order.order_id,
        account=order.known.ref.account,
        detail={"reason": reason} if reason else {},
    )
