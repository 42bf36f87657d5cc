"""Lists under comparison, and certificates: built over the ledger's heads, signed, kept."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, update
from sqlalchemy import text as sql

from oms_sync.domain.certificate import Attested, Claim, LedgerHeads, canonical, document
from oms_sync.domain.completeness import (
    Difference,
    DifferenceKind,
    Kept,
    ListedOrder,
    Standing,
    Window,
)
from oms_sync.domain.shipment import PushState
from oms_sync.flows.proofs import CertificateRecord, OrderList, Remains
from oms_sync.storage.columns import Instant, among, to_json
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.order_statements import IS_ALIVE
from oms_sync.storage.remains import clear_remains, find_remains
from oms_sync.storage.tables.certificates import certificates, listed_orders, order_lists
from oms_sync.storage.tables.inbox import inbox_messages
from oms_sync.storage.tables.orders import orders, shipment_pushes, shipments
from oms_sync.storage.tables.stock import stock_levels, stock_movements
from oms_sync.storage.writing import insert_or_update

ROWS_AT_ONCE = 1_000
#: heads a certificate lists one by one; its digest covers all
HEADS_MAX = 10_000
#: characters of an id's keyed hash: 128 bits
HASH_LENGTH = 32
_UNDER_WAY = (
    select(order_lists)
    .where(order_lists.c.account == bindparam("account"), order_lists.c.owner == bindparam("owner"))
    .order_by(order_lists.c.began_at)
    .limit(1)
)
_BEGIN = insert(order_lists)
_PROGRESS = (
    update(order_lists)
    .where(order_lists.c.list_id == bindparam("b_list_id"))
    .values(cursor=bindparam("cursor"), pages=bindparam("pages"))
)
_JUDGE = insert_or_update(listed_orders, ("order_id", "standing", "reason", "differences"))
_KEPT = (
    select(inbox_messages.c.channel_order_id, inbox_messages.c.state, inbox_messages.c.reason)
    .where(
        inbox_messages.c.account == bindparam("account"),
        among(inbox_messages.c.channel_order_id, "channel_ids"),
        sql("inbox_messages.state IN ('dead', 'dropped')"),
    )
    .order_by(inbox_messages.c.received_at, inbox_messages.c.message_id)
)
_TOLD = (
    select(shipments.c.order_id, shipments.c.lines)
    .join(shipment_pushes, shipment_pushes.c.shipment_id == shipments.c.shipment_id)
    .where(
        among(shipments.c.order_id, "order_ids"),
        shipment_pushes.c.state == PushState.CONFIRMED.value,
        shipment_pushes.c.confirmed_at <= bindparam("until", type_=Instant()),
    )
)
_UNLISTED = (
    select(orders.c.order_id)
    .where(
        orders.c.account == bindparam("account"),
        orders.c.placed_at >= bindparam("since", type_=Instant()),
        orders.c.placed_at < bindparam("until", type_=Instant()),
        orders.c.imported_at < bindparam("began_at", type_=Instant()),
        IS_ALIVE,
        ~select(listed_orders.c.order_id)
        .where(
            listed_orders.c.list_id == bindparam("list_id"),
            listed_orders.c.order_id == orders.c.order_id,
        )
        .exists(),
    )
    .order_by(orders.c.placed_at, orders.c.order_id)
    .limit(bindparam("limit"))
)
_JUDGED = (
    select(listed_orders)
    .where(listed_orders.c.list_id == bindparam("list_id"))
    .order_by(listed_orders.c.channel_order_id)
)
_WAITING = (
    select(inbox_messages.c.message_id)
    .where(
        inbox_messages.c.account == bindparam("account"),
        inbox_messages.c.received_at <= bindparam("until", type_=Instant()),
        sql("inbox_messages.state = 'new'"),
    )
    .limit(1)
)
#: one query for each partial index
_UNREAD = tuple(
    select(inbox_messages.c.message_id)
    .where(
        inbox_messages.c.account == bindparam("account"),
        sql(f"inbox_messages.state = '{state}'"),
    )
    .limit(1)
    for state in ("new", "dead")
)
_FORGET = (
    delete(listed_orders).where(listed_orders.c.list_id == bindparam("list_id")),
    delete(order_lists).where(order_lists.c.list_id == bindparam("list_id")),
)
_ADD = insert(certificates)
_LAST = (
    select(certificates)
    .where(certificates.c.account == bindparam("account"))
    .order_by(certificates.c.number.desc())
    .limit(1)
)
_NEWEST = (
    select(func.max(certificates.c.number))
    .where(certificates.c.account == bindparam("account"), certificates.c.attempt > 0)
    .group_by(certificates.c.day)
)
_LATEST = select(certificates).where(
    certificates.c.day >= bindparam("day"), certificates.c.number.in_(_NEWEST)
)
_MOVEMENT = (
    stock_movements.c.sku,
    stock_movements.c.location,
    stock_movements.c.sequence,
    stock_movements.c.hash,
    stock_movements.c.at,
)
_SAME_LEVEL = and_(
    stock_movements.c.sku == stock_levels.c.sku,
    stock_movements.c.location == stock_levels.c.location,
)
#: the last movement of every level, found without a walk through the ledger
_TOPS = select(*_MOVEMENT).join(
    stock_levels, and_(_SAME_LEVEL, stock_movements.c.sequence == stock_levels.c.sequence)
)
_AT_THE_END = (
    select(
        stock_movements.c.sku,
        stock_movements.c.location,
        func.max(stock_movements.c.sequence).label("sequence"),
    )
    .where(
        among(stock_movements.c.sku, "skus"),
        stock_movements.c.at < bindparam("until", type_=Instant()),
    )
    .group_by(stock_movements.c.sku, stock_movements.c.location)
    .subquery("at_the_end")
)
#: of levels that moved since, the movement that was their last one then
_EARLIER = select(*_MOVEMENT).join(
    _AT_THE_END,
    and_(
        stock_movements.c.sku == _AT_THE_END.c.sku,
        stock_movements.c.location == _AT_THE_END.c.location,
        stock_movements.c.sequence == _AT_THE_END.c.sequence,
    ),
)


class OrderLists:
    """Implements the flows' port `OrderLists`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def under_way(self, account: str, owner: str) -> OrderList | None:
        row = self._transaction.row(_UNDER_WAY, {"account": account, "owner": owner})
        return _order_list(row) if row is not None else None

    def begin(self, order_list: OrderList) -> None:
        window = order_list.window
        row = {
            "list_id": order_list.list_id,
            "account": order_list.account,
            "day": window.day.isoformat() if window.day else "",
            "since": window.since,
            "until": window.until,
            "owner": order_list.owner,
            "began_at": order_list.began_at,
            "cursor": order_list.cursor,
            "pages": order_list.pages,
        }
        self._transaction.run_many(_BEGIN, [row])

    def add(self, order_list: OrderList, found: Sequence[ListedOrder]) -> None:
        # One statement may not touch a row twice: of twins on one page the last one counts.
        rows = {one.channel_order_id: _listed_row(order_list.list_id, one) for one in found}
        _JUDGE.run(self._transaction, list(rows.values()))
        progress = {
            "b_list_id": order_list.list_id,
            "cursor": order_list.cursor,
            "pages": order_list.pages,
        }
        self._transaction.run_many(_PROGRESS, [progress])

    def kept(self, account: str, channel_order_ids: Sequence[str]) -> dict[str, Kept]:
        parameters = {"account": account, "channel_ids": list(channel_order_ids)}
        rows = self._transaction.rows(_KEPT, parameters) if channel_order_ids else ()
        return {
            row.channel_order_id: Kept(is_dead=row.state == "dead", reason=row.reason)
            for row in rows
        }

    def told(self, order_ids: Sequence[str], *, until: datetime) -> dict[str, dict[str, int]]:
        parameters = {"order_ids": list(order_ids), "until": until}
        found: dict[str, dict[str, int]] = {}
        for row in self._transaction.rows(_TOLD, parameters) if order_ids else ():
            units = found.setdefault(row.order_id, {})
            for _, channel_line_id, quantity in json.loads(row.lines):
                units[channel_line_id] = units.get(channel_line_id, 0) + quantity
        return found

    def unlisted(self, order_list: OrderList, limit: int) -> list[str]:
        parameters = {
            "account": order_list.account,
            "since": order_list.window.since,
            "until": order_list.window.until,
            "began_at": order_list.began_at,
            "list_id": order_list.list_id,
            "limit": limit,
        }
        return [row.order_id for row in self._transaction.rows(_UNLISTED, parameters)]

    def judged(self, list_id: str) -> list[ListedOrder]:
        return [_listed(row) for row in self._transaction.rows(_JUDGED, {"list_id": list_id})]

    def has_waiting(self, account: str, *, until: datetime) -> bool:
        return self._transaction.row(_WAITING, {"account": account, "until": until}) is not None

    def has_unread(self, account: str) -> bool:
        return any(self._transaction.row(one, {"account": account}) for one in _UNREAD)

    def remains(self, account: str, channel_order_ids: Sequence[str]) -> list[Remains]:
        return find_remains(self._transaction, account, channel_order_ids)

    def clear(self, remains: Sequence[Remains]) -> None:
        clear_remains(self._transaction, [one.order_id for one in remains])

    def drop(self, list_id: str) -> None:
        for statement in _FORGET:
            self._transaction.run(statement, {"list_id": list_id})


class Certificates:
    """Implements the flows' port `Certificates`."""

    __slots__ = ("_keys", "_transaction")

    def __init__(self, transaction: Transaction, keys: KeyRing) -> None:
        self._transaction = transaction
        self._keys = keys

    def add(self, claim: Claim, *, at: datetime, next_at: datetime | None) -> CertificateRecord:
        last = self._transaction.row(_LAST, {"account": claim.account})
        attested = Attested(
            hashes={
                one.channel_order_id: hashed_id(self._keys, claim.account, one.channel_order_id)
                for one in claim.orders
            },
            heads=ledger_heads(self._transaction, claim.window),
            issued_at=at,
            public_key=base64.b64encode(self._keys.public_key).decode("ascii"),
            previous=hashlib.sha256(last.document.encode()).hexdigest() if last else "",
        )
        statement = document(claim, attested)
        content = canonical(statement)
        row = {
            "account": claim.account,
            "day": statement["day"],
            "attempt": claim.attempt,
            "outcome": statement["outcome"],
            "issued_at": at,
            "next_at": next_at,
            "document": content.decode("ascii"),
            "signature": base64.b64encode(self._keys.sign(content)).decode("ascii"),
        }
        self._transaction.run_many(_ADD, [row])
        added = self._transaction.row(_LAST, {"account": claim.account})
        return read_certificate(added)

    def latest(self, account: str, *, since: date) -> Mapping[date, CertificateRecord]:
        parameters = {"account": account, "day": since.isoformat()}
        found = [read_certificate(row) for row in self._transaction.rows(_LATEST, parameters)]
        return {one.day: one for one in found}


def hashed_id(keys: KeyRing, account: str, channel_order_id: str) -> str:
    """What stands for an order in a certificate: only this installation can tell which it is."""
    text = to_json([account, channel_order_id]).encode()
    return keys.hash("certificate ids", text)[:HASH_LENGTH]


def ledger_heads(transaction: Transaction, window: Window) -> LedgerHeads:
    """Where the ledger stood at the window's end, and the levels that moved within it."""
    heads, moved = [], []
    for row in _last_movements(transaction, window):
        head = (row.sku, row.location, row.sequence, row.hash)
        heads.append(head)
        if row.at >= window.since:
            moved.append(head)
    # Sorted here: databases disagree about the order of texts.
    digest = hashlib.sha256()
    for head in sorted(heads):
        digest.update(to_json(head).encode())
    return LedgerHeads(
        levels=len(heads),
        digest=digest.hexdigest(),
        moved=tuple(sorted(moved)[:HEADS_MAX]),
        moved_count=len(moved),
    )


def _last_movements(transaction: Transaction, window: Window) -> Iterator[Any]:
    """The last movement before the window's end, of every level that had one."""
    later: set[tuple[str, str]] = set()
    for row in transaction.stream(_TOPS.execution_options(yield_per=ROWS_AT_ONCE)):
        if row.at < window.until:
            yield row
        else:
            later.add((row.sku, row.location))
    skus = sorted({sku for sku, _ in later})
    for start in range(0, len(skus), ROWS_AT_ONCE):
        parameters = {"skus": skus[start : start + ROWS_AT_ONCE], "until": window.until}
        for row in transaction.rows(_EARLIER, parameters):
            if (row.sku, row.location) in later:
                yield row


def read_certificate(row: Any) -> CertificateRecord:
    """A row of `certificates`, without its document."""
    return CertificateRecord(
        number=row.number,
        account=row.account,
        day=date.fromisoformat(row.day),
        attempt=row.attempt,
        is_issued=row.outcome == "issued",
        issued_at=row.issued_at,
        next_at=row.next_at,
    )


def _order_list(row: Any) -> OrderList:
    return OrderList(
        list_id=row.list_id,
        account=row.account,
        window=Window(
            since=row.since,
            until=row.until,
            day=date.fromisoformat(row.day) if row.day else None,
        ),
        owner=row.owner,
        began_at=row.began_at.astimezone(UTC),
        cursor=row.cursor,
        pages=row.pages,
    )


def _listed_row(list_id: str, one: ListedOrder) -> dict[str, Any]:
    return {
        "list_id": list_id,
        "channel_order_id": one.channel_order_id,
        "order_id": one.order_id,
        "standing": str(one.standing),
        "reason": one.reason,
        "differences": to_json(
            [[str(each.kind), each.line, each.ours, each.theirs] for each in one.differences]
        ),
    }


def _listed(row: Any) -> ListedOrder:
    return ListedOrder(
        channel_order_id=row.channel_order_id,
        standing=Standing(row.standing),
        order_id=row.order_id,
        reason=row.reason,
        differences=tuple(
            Difference(kind=DifferenceKind(kind), line=line, ours=ours, theirs=theirs)
            for kind, line, ours, theirs in json.loads(row.differences)
        ),
    )
