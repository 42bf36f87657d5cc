"""Shipments as we made them, and how far their accounts were told."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, text, update

from oms_sync.domain.shipment import Package, PushState, Shipment, ShipmentLine
from oms_sync.flows.records import ShipmentPush
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant, among, to_json
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.orders import shipment_pushes, shipments
from oms_sync.storage.writing import insert_or_ignore

#: spelled as the partial index spells it
_UNTOLD = text("shipment_pushes.state IN ('waiting', 'sent')")
ALL_SHIPMENTS = select(
    shipments,
    shipment_pushes.c.state,
    shipment_pushes.c.attempts,
    shipment_pushes.c.next_at,
    shipment_pushes.c.confirmed_at,
    shipment_pushes.c.channel_shipment_ids,
    shipment_pushes.c.error,
).join(shipment_pushes, shipment_pushes.c.shipment_id == shipments.c.shipment_id)
_ADD = insert_or_ignore(shipments)
_ADD_PUSH = insert_or_ignore(shipment_pushes)
_DUE_IDS = (
    select(shipment_pushes.c.shipment_id)
    .where(
        shipment_pushes.c.account == bindparam("account"),
        _UNTOLD,
        shipment_pushes.c.next_at <= bindparam("at", type_=Instant()),
    )
    .order_by(shipment_pushes.c.next_at, shipment_pushes.c.shipment_id)
    .limit(bindparam("limit"))
)
_LOCK = locks.pushes_in_order(
    ALL_SHIPMENTS.where(among(shipments.c.shipment_id, "shipment_ids"), _UNTOLD)
)
_LOCK_ALL = locks.pushes_in_order(
    ALL_SHIPMENTS.where(among(shipments.c.shipment_id, "shipment_ids"))
)
_REPACK = (
    update(shipments)
    .where(shipments.c.shipment_id == bindparam("b_shipment_id"))
    .values(packages=bindparam("packages"))
)
_GET = ALL_SHIPMENTS.where(among(shipments.c.shipment_id, "shipment_ids"))
_OF_ORDERS = ALL_SHIPMENTS.where(among(shipments.c.order_id, "order_ids")).order_by(
    shipments.c.added_at, shipments.c.shipment_id
)
_READDRESS = (
    update(shipments)
    .where(shipments.c.shipment_id == bindparam("b_shipment_id"))
    .values(order_id=bindparam("order_id"), channel_order_id=bindparam("channel_order_id"))
)
_NEXT_AT = select(func.min(shipment_pushes.c.next_at)).where(
    shipment_pushes.c.account == bindparam("account"), _UNTOLD
)
_CLAIMED = (
    select(shipments.c.order_id, shipment_pushes.c.channel_shipment_ids)
    .join(shipment_pushes, shipment_pushes.c.shipment_id == shipments.c.shipment_id)
    .where(among(shipments.c.order_id, "order_ids"))
)
_SAVE = (
    update(shipment_pushes)
    .where(
        shipment_pushes.c.shipment_id == bindparam("b_shipment_id"),
        shipment_pushes.c.account == bindparam("b_account"),
    )
    .values(
        {
            name: bindparam(name)
            for name in (
                "state",
                "attempts",
                "next_at",
                "confirmed_at",
                "channel_shipment_ids",
                "error",
            )
        }
    )
)


class Shipments:
    """Implements the flows' port `Shipments`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, shipment: Shipment, *, at: datetime) -> None:
        _ADD.run(self._transaction, [_row(shipment, at)])
        push = {
            "shipment_id": shipment.shipment_id,
            "account": shipment.account,
            "state": str(PushState.WAITING),
            "attempts": 0,
            "next_at": at,
            "confirmed_at": None,
            "channel_shipment_ids": "[]",
            "error": "",
        }
        _ADD_PUSH.run(self._transaction, [push])

    def lock_due(self, account: str, *, at: datetime, limit: int) -> list[ShipmentPush]:
        rows = self._transaction.rows(_DUE_IDS, {"account": account, "at": at, "limit": limit})
        ids = [row.shipment_id for row in rows]
        if not ids:
            return []
        locked = {
            row.shipment_id: read_push(row)
            for row in self._transaction.rows(_LOCK, {"shipment_ids": ids})
        }
        due = [locked[one] for one in ids if one in locked]
        return [push for push in due if push.next_at <= at]

    def get(self, shipment_ids: Iterable[str]) -> dict[str, Shipment]:
        wanted = list(shipment_ids)
        rows = self._transaction.rows(_GET, {"shipment_ids": wanted}) if wanted else ()
        return {row.shipment_id: read_push(row).shipment for row in rows}

    def lock(self, shipment_ids: Iterable[str]) -> dict[str, ShipmentPush]:
        rows = self._transaction.rows(_LOCK_ALL, {"shipment_ids": list(shipment_ids)})
        return {row.shipment_id: read_push(row) for row in rows}

    def repack(self, shipment: Shipment) -> None:
        row = {"b_shipment_id": shipment.shipment_id, "packages": _packages(shipment)}
        self._transaction.run_many(_REPACK, [row])

    def of_orders(self, order_ids: Iterable[str]) -> list[Shipment]:
        wanted = list(order_ids)
        rows = self._transaction.rows(_OF_ORDERS, {"order_ids": wanted}) if wanted else ()
        return [read_push(row).shipment for row in rows]

    def readdress(self, shipments: Sequence[Shipment]) -> None:
        self._transaction.run_many(
            _READDRESS,
            [
                {
                    "b_shipment_id": one.shipment_id,
                    "order_id": one.order_id,
                    "channel_order_id": one.channel_order_id,
                }
                for one in shipments
            ],
        )

    def next_at(self, account: str) -> datetime | None:
        row = self._transaction.row(_NEXT_AT, {"account": account})
        found: datetime | None = row[0] if row else None
        return found

    def claimed(self, order_ids: Iterable[str]) -> dict[str, set[str]]:
        wanted = list(order_ids)
        claimed: dict[str, set[str]] = {order_id: set() for order_id in wanted}
        if wanted:
            for order_id, ids in self._transaction.rows(_CLAIMED, {"order_ids": wanted}):
                claimed[order_id].update(json.loads(ids))
        return claimed

    def save(self, pushes: Sequence[ShipmentPush]) -> None:
        self._transaction.run_many(
            _SAVE,
            [
                {
                    "b_shipment_id": push.shipment.shipment_id,
                    "b_account": push.shipment.account,
                    "state": str(push.state),
                    "attempts": push.attempts,
                    "next_at": push.next_at,
                    "confirmed_at": push.confirmed_at,
                    "channel_shipment_ids": to_json(list(push.channel_shipment_ids)),
                    "error": push.error,
                }
                for push in pushes
            ],
        )


def read_push(row: Any) -> ShipmentPush:
    """The shipment and its push of a row of ALL_SHIPMENTS."""
    return ShipmentPush(
        shipment=Shipment(
            shipment_id=row.shipment_id,
            order_id=row.order_id,
            account=row.account,
            channel_order_id=row.channel_order_id,
            lines=tuple(
                ShipmentLine(line_id=line_id, channel_line_id=channel_line_id, quantity=quantity)
                for line_id, channel_line_id, quantity in json.loads(row.lines)
            ),
            packages=tuple(
                Package(carrier=carrier, tracking_number=number, tracking_url=url)
                for carrier, number, url in json.loads(row.packages)
            ),
            service=row.service,
            shipped_at=row.shipped_at,
        ),
        state=PushState(row.state),
        attempts=row.attempts,
        next_at=row.next_at,
        confirmed_at=row.confirmed_at,
        channel_shipment_ids=tuple(json.loads(row.channel_shipment_ids)),
        error=row.error,
    )


def _row(shipment: Shipment, at: datetime) -> dict[str, Any]:
    return {
        "shipment_id": shipment.shipment_id,
        "order_id": shipment.order_id,
        "account": shipment.account,
        "channel_order_id": shipment.channel_order_id,
        "service": shipment.service,
        "shipped_at": shipment.shipped_at,
        "added_at": at,
        "lines": to_json(
            [[line.line_id, line.channel_line_id, line.quantity] for line in shipment.lines]
        ),
        "packages": _packages(shipment),
    }


def _packages(shipment: Shipment) -> str:
    return to_json(
        [[one.carrier, one.tracking_number, one.tracking_url] for one in shipment.packages]
    )
