"""When an account's listings are looked through again, and who asks for that earlier. No flow."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from oms_sync.domain.listing import Listing
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import AccountRecord, StoredOrder
from oms_sync.flows.upkeep import Discovery
from oms_sync.sdk import Capability

#: the hold of an order with a line nobody knows the SKU of
UNMAPPED: Final = "unmapped_sku"
DISCOVER: Final = "discover"
#: how often at most, whoever asks
SOON: Final = timedelta(hours=1)
#: how often anyway; also how long an operator has, after the first connect, to do it himself
ORDINARY: Final = timedelta(days=1)
#: what broke off is begun anew so much later
AGAIN: Final = timedelta(minutes=30)


def due_at(record: AccountRecord | None, known: Discovery | None) -> datetime | None:
    """When the listings are looked through next; None before the first back-fill is complete."""
    if record is None or record.backfilled_at is None:
        return None
    if known is None:
        return record.backfilled_at + ORDINARY
    if known.done_at is None:
        due = record.backfilled_at + ORDINARY
    else:
        due = known.done_at + (ORDINARY if known.asked_at is None else SOON)
    if known.tried_at is not None and known.tried_at != known.done_at:
        return max(due, known.tried_at + AGAIN)
    return due


def ask(context: FlowContext, work: UnitOfWork) -> None:
    """Something named a listing nobody knows, or one the channel has no more: look soon."""
    if Capability.DISCOVER_LISTINGS not in context.manifest.capabilities:
        return
    account = context.account.name
    known = work.upkeep.discovery(account)
    if known is None or not _is_asked(known):
        work.upkeep.ask_discovery(account, at=context.clock.now())
    work.wake(DISCOVER, account)


def ask_for_orders(
    context: FlowContext,
    work: UnitOfWork,
    orders: Iterable[StoredOrder],
    before: Mapping[str, StoredOrder],
) -> None:
    """Ask where an order has come to wait for a listing that was never stored here."""
    if any(_waits_newly(order, before.get(order.order_id)) for order in orders):
        ask(context, work)


def ask_for_listings(
    context: FlowContext, work: UnitOfWork, after: Iterable[Listing], before: Iterable[Listing]
) -> None:
    """Ask where the channel has refused a listing it had not refused: it may have another id."""
    refused = {one.listing_id for one in before if one.refused_reason is not None}
    if any(one.refused_reason is not None and one.listing_id not in refused for one in after):
        ask(context, work)


def _is_asked(known: Discovery) -> bool:
    """True when a list not begun yet is waited for; one under way may be past what is new."""
    if known.asked_at is None:
        return False
    return known.tried_at is None or known.asked_at > known.tried_at


def _waits_newly(order: StoredOrder, before: StoredOrder | None) -> bool:
    if not any(hold.code == UNMAPPED for hold in order.holds):
        return False
    known = {line.line_id for line in before.lines} if before is not None else set()
    return any(
        line.sku is None and line.listing_id is None and line.line_id not in known
        for line in order.lines
    )
