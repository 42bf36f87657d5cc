"""What every wish for the channel begins with: the order, whether it can be told, units, a row.

Shared by the commands of `write_backs.py` and `orders.py`.
"""

from collections.abc import Mapping

from oms_sync.domain.events import Event
from oms_sync.domain.write_back import Wish, WriteBack, WriteKind
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import StoredOrder
from oms_sync.sdk import Capability


def locked_order(work: UnitOfWork, order_id: str) -> StoredOrder:
    """The order, locked; refuses one that is not there or went into another."""
    order = work.orders.lock([order_id]).get(order_id)
    if order is None:
        raise CommandRefused(f"there is no order {order_id!r}")
    if order.merged_into is not None:
        raise CommandRefused(f"order {order_id} was merged into {order.merged_into}; name that one")
    return order


def check_live(context: CommandContext, order: StoredOrder, capability: Capability) -> None:
    """Refuses where the order's channel is not told of anything, or cannot do this."""
    account = order.known.ref.account
    profile = context.profile(account)
    if profile.connector == MANUAL:
        raise CommandRefused("the order came from a file, no channel has to be told of it")
    if profile.mode != "live":
        raise CommandRefused(
            f"account {account} is in shadow mode, nothing is written to its channel; set "
            "mode: live in the configuration, or do it at the channel"
        )
    if capability not in context.manifest_of(account).capabilities:
        raise CommandRefused(
            f"the connector {profile.connector} cannot do this ({capability}); do it at the channel"
        )


def named_units(
    order: StoredOrder, lines: Mapping[str, int], possible: Mapping[str, int]
) -> dict[str, int]:
    """Units by channel line id, of the lines called so, in the order's own sequence."""
    wanted: dict[str, int] = {}
    for name, units in lines.items():
        left = units
        for line_id in _lines_called(order, name):
            part = min(left, possible.get(line_id, 0) - wanted.get(line_id, 0))
            if part > 0:
                wanted[line_id] = wanted.get(line_id, 0) + part
                left -= part
        if left or units <= 0:
            raise CommandRefused(f"{name}: {units - left} units are possible, not {units}")
    return wanted


def _lines_called(order: StoredOrder, name: str) -> list[str]:
    found = [
        line.channel_line_id
        for line, known in zip(order.lines, order.known.lines, strict=True)
        if name in (line.sku, line.line_id, line.channel_line_id, known.line.channel_sku)
    ]
    if not found:
        known_skus = ", ".join(sorted({line.sku or line.channel_line_id for line in order.lines}))
        raise CommandRefused(f"the order has no line {name!r}; its lines: {known_skus}")
    return found


def new_write(
    context: CommandContext, order: StoredOrder, kind: WriteKind, wish: Wish
) -> WriteBack:
    """A wish of this kind for the order's channel, due at once."""
    now = context.clock.now()
    return WriteBack(
        write_id=context.ids.new(),
        order_id=order.order_id,
        account=order.known.ref.account,
        kind=kind,
        wish=wish,
        asked_at=now,
        actor=context.actor,
        next_at=now,
    )


def store_wish(context: CommandContext, work: UnitOfWork, write: WriteBack, event: str) -> None:
    """Store it, with what the timeline says of it, and wake whoever tells the channel."""
    work.write_backs.add(write)
    amount = write.wish.amount
    detail = {
        "units": sum(write.wish.lines.values()) or None,
        "amount": f"{amount.text()} {amount.currency}" if amount else None,
        "reason": write.wish.reason,
    }
    work.timeline.add(
        [
            Event(
                name=event,
                at=write.asked_at,
                actor=context.actor,
                order_id=write.order_id,
                account=write.account,
                detail={name: value for name, value in detail.items() if value is not None},
            )
        ]
    )
    work.wake("write_back", write.account)
