"""What orders shall change at their channels, and how far each channel was told."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text, update

from oms_sync.domain.cancel_requests import REQUESTED
from oms_sync.domain.shipment import Package
from oms_sync.domain.values import Money
from oms_sync.domain.write_back import Wish, WriteBack, WriteKind, WriteState
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant, among, to_json
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.orders import orders
from oms_sync.storage.tables.write_backs import write_backs

#: spelled as the partial index spells it
_UNTOLD = text("write_backs.state IN ('waiting', 'sent')")
_ADD = insert(write_backs)
_DUE_IDS = (
    select(write_backs.c.write_id)
    .where(
        write_backs.c.account == bindparam("account"),
        _UNTOLD,
        write_backs.c.next_at <= bindparam("at", type_=Instant()),
    )
    .order_by(write_backs.c.next_at, write_backs.c.write_id)
    .limit(bindparam("limit"))
)
_LOCK = locks.write_backs_in_order(
    select(write_backs).where(among(write_backs.c.write_id, "write_ids"), _UNTOLD)
)
OF_ORDERS = (
    select(write_backs)
    .where(among(write_backs.c.order_id, "order_ids"))
    .order_by(write_backs.c.asked_at, write_backs.c.write_id)
)
_NEXT_AT = select(func.min(write_backs.c.next_at)).where(
    write_backs.c.account == bindparam("account"), _UNTOLD
)
_SAVED = (
    "wish", "state", "attempts", "turn", "next_at", "sent_at", "receipt", "answered_at",
    "confirmed_at", "known_before", "channel_refund_id", "error",
)  # fmt: skip
_SAVE = (
    update(write_backs)
    .where(
        write_backs.c.write_id == bindparam("b_write_id"),
        write_backs.c.turn <= bindparam("b_turn"),
    )
    .values({name: bindparam(name) for name in _SAVED})
)
_READDRESS = (
    update(write_backs)
    .where(write_backs.c.order_id == bindparam("b_order_id"))
    .values(order_id=bindparam("order_id"))
)
_ASKING = (
    select(orders.c.order_id)
    .where(
        orders.c.account == bindparam("account"),
        orders.c.state == "held",
        orders.c.order_id > bindparam("after"),
        orders.c.holds.contains(REQUESTED, autoescape=True),
        ~select(write_backs.c.write_id)
        .where(
            write_backs.c.order_id == orders.c.order_id,
            write_backs.c.kind == str(WriteKind.CANCEL),
            write_backs.c.state.in_([WriteState.WAITING, WriteState.SENT, WriteState.REFUSED]),
        )
        .exists(),
    )
    .order_by(orders.c.order_id)
    .limit(bindparam("limit"))
)


class WriteBacks:
    """Implements the flows' port `WriteBacks`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, write: WriteBack) -> None:
        row = {
            "write_id": write.write_id,
            "order_id": write.order_id,
            "account": write.account,
            "kind": str(write.kind),
            "asked_at": write.asked_at,
            "actor": write.actor,
            **_saved(write),
        }
        self._transaction.run_many(_ADD, [row])

    def of_orders(self, order_ids: Iterable[str]) -> list[WriteBack]:
        wanted = list(order_ids)
        rows = self._transaction.rows(OF_ORDERS, {"order_ids": wanted}) if wanted else ()
        return [read_write_back(row) for row in rows]

    def lock_due(self, account: str, *, at: datetime, limit: int) -> list[WriteBack]:
        rows = self._transaction.rows(_DUE_IDS, {"account": account, "at": at, "limit": limit})
        ids = [row.write_id for row in rows]
        locked = self._locked(ids)
        due = [locked[one] for one in ids if one in locked]
        return [write for write in due if write.next_at <= at]

    def lock(self, write_id: str) -> WriteBack | None:
        return self._locked([write_id]).get(write_id)

    def next_at(self, account: str) -> datetime | None:
        row = self._transaction.row(_NEXT_AT, {"account": account})
        found: datetime | None = row[0] if row else None
        return found

    def save(self, writes: Sequence[WriteBack]) -> None:
        rows = [{"b_write_id": one.write_id, "b_turn": one.turn, **_saved(one)} for one in writes]
        self._transaction.run_many(_SAVE, rows)

    def readdress(self, order_ids: Mapping[str, str]) -> None:
        self._transaction.run_many(
            _READDRESS,
            [{"b_order_id": one, "order_id": into} for one, into in sorted(order_ids.items())],
        )

    def orders_asking(self, account: str, limit: int, *, after: str = "") -> list[str]:
        values = {"account": account, "limit": limit, "after": after}
        rows = self._transaction.rows(_ASKING, values)
        return [row.order_id for row in rows]

    def _locked(self, write_ids: list[str]) -> dict[str, WriteBack]:
        rows = self._transaction.rows(_LOCK, {"write_ids": write_ids}) if write_ids else ()
        return {row.write_id: read_write_back(row) for row in rows}


def read_write_back(row: Any) -> WriteBack:
    """The write-back of a row of the table."""
    known = row.known_before
    return WriteBack(
        write_id=row.write_id,
        order_id=row.order_id,
        account=row.account,
        kind=WriteKind(row.kind),
        wish=_wish(json.loads(row.wish)),
        asked_at=row.asked_at,
        actor=row.actor,
        state=WriteState(row.state),
        attempts=row.attempts,
        turn=row.turn,
        next_at=row.next_at,
        sent_at=row.sent_at,
        receipt=row.receipt,
        answered_at=row.answered_at,
        confirmed_at=row.confirmed_at,
        known_before=None if known is None else tuple(json.loads(known)),
        channel_refund_id=row.channel_refund_id,
        error=row.error,
    )


def _saved(write: WriteBack) -> dict[str, Any]:
    known = write.known_before
    return {
        "wish": to_json(_wish_document(write.wish)),
        "state": str(write.state),
        "attempts": write.attempts,
        "turn": write.turn,
        "next_at": write.next_at,
        "sent_at": write.sent_at,
        "receipt": write.receipt,
        "answered_at": write.answered_at,
        "confirmed_at": write.confirmed_at,
        "known_before": None if known is None else to_json(list(known)),
        "channel_refund_id": write.channel_refund_id,
        "error": write.error,
    }


def _wish_document(wish: Wish) -> dict[str, Any]:
    return {
        "reason": wish.reason,
        "note": wish.note,
        "lines": dict(wish.lines),
        "cancelled_before": dict(wish.cancelled_before),
        "is_restocked": wish.is_restocked,
        "amount": _money_document(wish.amount),
        "line_amounts": {
            line_id: _money_document(amount) for line_id, amount in wish.line_amounts.items()
        },
        "shipping": _money_document(wish.shipping),
        "shipment_id": wish.shipment_id,
        "packages": _packages_document(wish.packages),
        "packages_before": _packages_document(wish.packages_before),
    }


def _wish(document: Mapping[str, Any]) -> Wish:
    return Wish(
        reason=document["reason"],
        note=document["note"],
        lines=document["lines"],
        cancelled_before=document["cancelled_before"],
        is_restocked=document["is_restocked"],
        amount=_money(document["amount"]),
        line_amounts={
            line_id: Money.from_minor(minor, currency)
            for line_id, (minor, currency) in document["line_amounts"].items()
        },
        shipping=_money(document["shipping"]),
        shipment_id=document["shipment_id"],
        packages=_packages(document["packages"]),
        packages_before=_packages(document["packages_before"]),
    )


def _packages_document(packages: Sequence[Package]) -> list[list[str | None]]:
    return [[one.carrier, one.tracking_number, one.tracking_url] for one in packages]


def _packages(document: list[list[Any]]) -> tuple[Package, ...]:
    return tuple(
        Package(carrier=carrier, tracking_number=number, tracking_url=url)
        for carrier, number, url in document
    )


def _money_document(amount: Money | None) -> list[Any] | None:
    return None if amount is None else [amount.minor(), amount.currency]


def _money(document: list[Any] | None) -> Money | None:
    return None if document is None else Money.from_minor(*document)
