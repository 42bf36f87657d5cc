"""Hints that were read are worked off: which order each named, and who asked to be forgotten."""

from collections.abc import Sequence

import structlog

from oms_sync.domain.events import Event
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import InboxMessage
from oms_sync.sdk import Hint, HintKind

log = structlog.get_logger(__name__)

_OF_ORDERS = (HintKind.ORDER, HintKind.ORDER_DELETED)


def settle_hints(
    context: FlowContext, work: UnitOfWork, read: Sequence[tuple[InboxMessage, Hint]]
) -> None:
    """Close the messages. Those about an order go with it when it is erased; what asks to forget
    somebody names that person and goes at once.
    """
    account = context.account.name
    work.inbox.settle([message.message_id for message, _ in read], order_ids={})
    named = {one.message_id: hint.object_id for one, hint in read if hint.kind in _OF_ORDERS}
    work.erasures.name_orders(account, named)
    asking = [one for one in read if one[1].kind is HintKind.ERASURE]
    found = sum(_want(context, work, message, hint.object_id) for message, hint in asking)
    work.erasures.destroy_messages([message.message_id for message, _ in asking])
    if found:
        work.wake("erase", account)


def _want(
    context: FlowContext, work: UnitOfWork, message: InboxMessage, channel_buyer_id: str
) -> int:
    """How many orders are to be erased; channels ask for people, too, who never bought here."""
    account, now = context.account.name, context.clock.now()
    # What the buyer orders after asking is no part of what is to be forgotten.
    orders = work.erasures.want(account, channel_buyer_id, at=message.received_at)
    work.timeline.add(
        [
            Event(
                name="order.erasure_wanted",
                at=now,
                actor=account,
                order_id=order_id,
                account=account,
                detail={"reason": "the buyer asked the channel to be forgotten"},
            )
            for order_id in orders
        ]
    )
    if orders:
        log.info("erasure.wanted", account=account, orders=len(orders), message=message.message_id)
    return len(orders)
