"""Orders with their lines, shipments and timelines."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy import text as sql

from oms_sync.domain.balance import balance
from oms_sync.domain.cancel_requests import is_declined
from oms_sync.domain.order import KnownLine, KnownOrder, LineCounts
from oms_sync.domain.write_back import WriteBack
from oms_sync.flows.records import ShipmentPush, StoredLine, StoredOrder, counts_of
from oms_sync.storage.columns import among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.errors import NotFound
from oms_sync.storage.order_statements import IDS, IS_ALIVE
from oms_sync.storage.orders import Orders
from oms_sync.storage.reports.shapes import Json, amount, person, when
from oms_sync.storage.shipments import ALL_SHIPMENTS, read_push
from oms_sync.storage.tables.hub import timeline
from oms_sync.storage.tables.orders import order_names, orders, shipments
from oms_sync.storage.write_backs import OF_ORDERS, read_write_back

ORDERS_AT_ONCE = 500
EVENTS_MAX = 10_000
_SHIPMENTS = ALL_SHIPMENTS.where(among(shipments.c.order_id, "order_ids")).order_by(
    shipments.c.added_at, shipments.c.shipment_id
)
_TIMELINE = (
    select(timeline)
    .where(timeline.c.order_id == bindparam("order_id"), sql("timeline.order_id IS NOT NULL"))
    .order_by(timeline.c.at, timeline.c.event)
    .limit(EVENTS_MAX)
)
_NAMES = (
    select(order_names.c.order_id, order_names.c.channel_order_id)
    .where(among(order_names.c.order_id, "order_ids"))
    .order_by(order_names.c.channel_order_id)
)
_BY_ID = select(orders.c.order_id).where(orders.c.order_id == bindparam("order_id"))


def resolve(transaction: Transaction, ref: str) -> str:
    """The order id of a hub id or of `account:channel_order_id`; raises NotFound.

    A channel order id, also a former one, names the order that answers to it now.
    """
    row = transaction.row(_BY_ID, {"order_id": ref})
    account, separator, channel_order_id = ref.partition(":")
    if row is None and separator:
        parameters = {"account": account, "channel_ids": [channel_order_id]}
        row = transaction.row(IDS, parameters)
    if row is None:
        raise NotFound(
            f"there is no order {ref!r}; name it by its id or as account:channel_order_id "
            "(see `oms-sync orders list`)"
        )
    order_id: str = row.order_id
    return order_id


def chosen_ids(
    transaction: Transaction,
    *,
    state: str | None,
    account: str | None,
    since: datetime | None,
    sort: str | None,
    limit: int,
) -> list[str]:
    """Ids of the orders wanted: newest placed first, or by `ship-by`, the soonest first.

    An order merged into another is none any more; it is shown by its id.
    """
    query = select(orders.c.order_id).where(IS_ALIVE).limit(limit)
    if state is not None:
        query = query.where(orders.c.state == state)
    if account is not None:
        query = query.where(orders.c.account == account)
    if since is not None:
        query = query.where(orders.c.placed_at >= since)
    if sort == "ship-by":
        query = query.order_by(orders.c.ship_by.is_(None), orders.c.ship_by, orders.c.placed_at)
    else:
        query = query.order_by(orders.c.placed_at.desc())
    return [row.order_id for row in transaction.rows(query.order_by(orders.c.order_id))]


def described(
    transaction: Transaction, keys: KeyRing, order_ids: list[str], *, is_revealed: bool = False
) -> list[Json]:
    """The orders in the order of their ids."""
    found: list[Json] = []
    for start in range(0, len(order_ids), ORDERS_AT_ONCE):
        chunk = order_ids[start : start + ORDERS_AT_ONCE]
        loaded = Orders(transaction, keys, ()).load(chunk)
        pushes: dict[str, list[ShipmentPush]] = {}
        for row in transaction.rows(_SHIPMENTS, {"order_ids": chunk}):
            pushes.setdefault(row.order_id, []).append(read_push(row))
        writes: dict[str, list[WriteBack]] = {}
        for row in transaction.rows(OF_ORDERS, {"order_ids": chunk}):
            writes.setdefault(row.order_id, []).append(read_write_back(row))
        names: dict[str, list[str]] = {}
        for row in transaction.rows(_NAMES, {"order_ids": chunk}):
            names.setdefault(row.order_id, []).append(row.channel_order_id)
        found += [
            _order(
                replace(loaded[one], names=tuple(names.get(one, ()))),
                pushes.get(one, ()),
                is_revealed=is_revealed,
            )
            | {"write_backs": [_write_back(write) for write in writes.get(one, ())]}
            for one in chunk
            if one in loaded
        ]
    return found


def events(transaction: Transaction, order_id: str) -> list[Json]:
    """Everything that happened to an order, in order."""
    return [event(row) for row in transaction.rows(_TIMELINE, {"order_id": order_id})]


def event(row: Any) -> Json:
    """One row of a timeline."""
    return {
        "name": row.name,
        "at": when(row.at),
        "actor": row.actor,
        "detail": json.loads(row.detail),
    }


def _order(order: StoredOrder, pushes: Iterable[ShipmentPush], *, is_revealed: bool) -> Json:
    known, facts = order.known, order.known.facts
    counts = counts_of(order)
    lines = zip(known.lines, order.lines, counts, strict=True)
    shown: Json = {
        "id": order.order_id,
        "account": known.ref.account,
        "channel_order_id": known.ref.channel_order_id,
        "channel_order_number": facts.channel_order_number,
        "aliases": [name for name in order.names if name != known.ref.channel_order_id],
        "merged_into": order.merged_into,
        "erased_at": when(order.erased_at),
        "state": str(order.state),
        "channel_status": facts.channel_status,
        "holds": [
            {
                "code": hold.code,
                "since": when(hold.since),
                "actor": hold.actor,
                "detail": hold.detail,
            }
            for hold in order.holds
        ],
        "cancellation_declined": _is_declined(order),
        "placed_at": when(order.placed_at),
        "updated_at": when(known.version.at),
        "ship_by": when(facts.ship_by),
        "currency": facts.currency,
        "total": amount(facts.total),
        "shipping": amount(facts.shipping),
        "tax": amount(facts.tax),
        "tax_remitted": amount(facts.tax_remitted),
        "discount": amount(facts.discount),
        **_money(known),
        "fulfilled_by": facts.fulfilled_by,
        "shipping_service": facts.shipping_service,
        "import_tax_number": facts.import_tax_number,
        "channel_programmes": list(facts.channel_programmes or ()),
        "test": bool(facts.is_test),
        "lines": [_line(*parts) for parts in lines],
        "shipments": [_shipment(push) for push in pushes],
    }
    if is_revealed:
        shown |= {"buyer": person(facts.buyer), "recipient": person(facts.recipient)}
        shown["buyer_note"] = facts.buyer_note
    return shown


def _is_declined(order: StoredOrder) -> bool:
    """True while the buyer asks to cancel and was told no."""
    reasons = order.known.facts.channel_holds or ()
    return any(is_declined(order.declined, order.known, f"channel:{one}") for one in reasons)


def _money(known: KnownOrder) -> Json:
    """What the buyer saw, and what of the total its parts do not explain, with its name."""
    shown, found = known.facts.presentment_total, balance(known)
    return {
        "presentment_total": amount(shown),
        "presentment_currency": shown.currency if shown else None,
        "residual": amount(found.residual) if found else None,
        "residual_reason": (found.name or None) if found else None,
    }


def _write_back(write: WriteBack) -> Json:
    wish = write.wish
    return {
        "id": write.write_id,
        "kind": str(write.kind),
        "state": str(write.state),
        "asked_at": when(write.asked_at),
        "actor": write.actor,
        "reason": wish.reason,
        "lines": dict(wish.lines),
        "amount": amount(wish.amount),
        "currency": wish.amount.currency if wish.amount else None,
        "shipment_id": wish.shipment_id or None,
        "attempts": write.attempts,
        "sent_at": when(write.sent_at),
        "confirmed_at": when(write.confirmed_at),
        "channel_refund_id": write.channel_refund_id or None,
        "error": write.error,
    }


def _line(known: KnownLine, stored: StoredLine, counts: LineCounts) -> Json:
    sight = known.line
    return {
        "line_id": stored.line_id,
        "channel_line_id": sight.channel_line_id,
        "channel_sku": sight.channel_sku,
        "sku": stored.sku,
        "title": sight.title,
        "quantity_ordered": counts.ordered,
        "quantity_cancelled": counts.cancelled,
        "quantity_reserved": sum(stored.held.values()),
        "quantity_short": stored.quantity_short,
        "quantity_shipped": counts.shipped,
        "quantity_returned": counts.returned,
        "quantity_elsewhere": counts.elsewhere,
        "unit_price": amount(sight.unit_price),
        "reservations": [
            {"location": location, "quantity": units} for location, units in stored.held.items()
        ],
    }


def _shipment(push: ShipmentPush) -> Json:
    shipment = push.shipment
    return {
        "shipment_id": shipment.shipment_id,
        "shipped_at": when(shipment.shipped_at),
        "service": shipment.service,
        "packages": [
            {
                "carrier": one.carrier,
                "tracking_number": one.tracking_number,
                "tracking_url": one.tracking_url,
            }
            for one in shipment.packages
        ],
        "lines": [{"line_id": one.line_id, "quantity": one.quantity} for one in shipment.lines],
        "push": {
            "state": str(push.state),
            "confirmed_at": when(push.confirmed_at),
            "error": push.error,
            "attempts": push.attempts,
        },
    }
