"""Listings with their four numbers; a changed policy or desired quantity is also a fact."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)

from oms_sync.domain.listing import Listing, in_push_order
from oms_sync.domain.values import Sku
from oms_sync.sdk import Clock
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant, among, from_micros
from oms_sync.storage.connections import Parameters, Transaction
from oms_sync.storage.listing_rows import (
    LISTING_COLUMNS,
    Policy,
    listing_row,
    policy_fact,
    policy_of,
    read_listing,
)
from oms_sync.storage.tables.listings import listing_policies, listings
from oms_sync.storage.tables.orders import order_lines, orders
from oms_sync.storage.writing import insert_or_update

_ALL = select(*LISTING_COLUMNS)
_ACCOUNT = listings.c.account == bindparam("account")
_BY_CHANNEL_ID = _ALL.where(_ACCOUNT, among(listings.c.channel_listing_id, "channel_ids"))
_BY_CHANNEL_SKU = _ALL.where(_ACCOUNT, among(listings.c.channel_sku, "channel_skus")).order_by(
    listings.c.listing_id
)
_POOLED = _ALL.where(_ACCOUNT, listings.c.channel_pool.is_not(None))
_LOCK = locks.listings_in_order(_ALL.where(among(listings.c.listing_id, "listing_ids")))
_LOCK_BY_SKU = locks.listings_in_order(
    select(listings.c.listing_id, listings.c.account).where(among(listings.c.sku, "skus"))
)
_WAITING = (
    select(listings.c.account)
    .distinct()
    .where(
        among(listings.c.sku, "skus"), or_(listings.c.is_stale, listings.c.push_delta.is_not(None))
    )
)
_MARK_STALE = (
    update(listings).where(among(listings.c.listing_id, "listing_ids")).values(is_stale=True)
)
_CLEAR_STALE = (
    update(listings).where(among(listings.c.listing_id, "listing_ids")).values(is_stale=False)
)
_POLICIES = select(
    listings.c.listing_id,
    listings.c.sku,
    listings.c.buffer,
    listings.c.cap,
    listings.c.desired,
    listings.c.generation,
).where(among(listings.c.listing_id, "listing_ids"))
_ADD_POLICY = insert(listing_policies)
_FIXED = ("listing_id", "is_stale")
_SAVE = insert_or_update(
    listings,
    (column.name for column in listings.columns if column.name not in _FIXED),
)


def _ids(condition: ColumnElement[bool], *order: ColumnElement[Any]) -> Any:
    return (
        select(listings.c.listing_id)
        .where(_ACCOUNT, condition)
        .order_by(*order, listings.c.listing_id)
        .limit(bindparam("limit"))
    )


#: SKUs of orders whose reservation is due: their levels do not know of that sale yet
_UNDECIDED = (
    select(order_lines.c.sku)
    .join(orders, orders.c.order_id == order_lines.c.order_id)
    .where(orders.c.is_reserve_due, order_lines.c.sku.is_not(None))
)
_IS_DECIDED = or_(listings.c.sku.is_(None), listings.c.sku.not_in(_UNDECIDED))
_STALE_IDS = _ids(and_(listings.c.is_stale, _IS_DECIDED))
_WANTING_IDS = _ids(
    and_(
        listings.c.push_delta.is_not(None),
        or_(listings.c.look_quantity.is_(None), bindparam("may_cut", type_=Boolean())),
        ~listings.c.is_stale,
        _IS_DECIDED,
    ),
    listings.c.push_delta,
)
_LOOKABLE = and_(
    listings.c.sku.is_not(None),
    listings.c.desired.is_not(None),
    listings.c.flight_push_id.is_(None),
    listings.c.look_quantity.is_(None),
    listings.c.held_reason.is_(None),
    or_(
        listings.c.refused_generation.is_(None),
        listings.c.refused_reason.is_(None),
        listings.c.refused_generation != listings.c.generation,
    ),
)
_LOOK_DUE_IDS = _ids(
    and_(
        _LOOKABLE,
        or_(
            listings.c.look_due_at <= bindparam("at", type_=Instant()),
            and_(listings.c.look_due_at.is_(None), listings.c.basis_quantity.is_(None)),
        ),
    ),
    func.coalesce(listings.c.look_due_at, 0),
)
_LOOKED_IDS = _ids(
    and_(
        listings.c.look_quantity.is_not(None),
        listings.c.flight_push_id.is_(None),
        func.coalesce(listings.c.looked_at, 0) <= bindparam("until", type_=Instant()),
    ),
    listings.c.looked_at,
)
_OLDEST_IDS = _ids(
    and_(
        listings.c.sku.is_not(None),
        listings.c.basis_quantity.is_not(None),
        listings.c.flight_push_id.is_(None),
        listings.c.look_quantity.is_(None),
        listings.c.look_due_at.is_(None),
        func.coalesce(listings.c.looked_at, 0) < bindparam("before", type_=Instant()),
    ),
    func.coalesce(listings.c.looked_at, 0),
)
_EXPLAINED_IDS = _ids(listings.c.rise_at <= bindparam("until", type_=Instant()), listings.c.rise_at)
_RETRIED_IDS = _ids(listings.c.retry_at <= bindparam("until", type_=Instant()), listings.c.retry_at)
_NEXT_RISE_AT = select(func.min(listings.c.rise_at)).where(
    _ACCOUNT, listings.c.rise_at.is_not(None)
)
_NEXT_RETRY_AT = select(func.min(listings.c.retry_at)).where(
    _ACCOUNT, listings.c.retry_at.is_not(None)
)
#: a listing without a basis and without a time is due at once
_NEXT_LOOK_AT = select(
    func.min(
        case(
            (listings.c.look_due_at.is_not(None), listings.c.look_due_at),
            (listings.c.basis_quantity.is_(None), 0),
        )
    )
).where(_ACCOUNT, _LOOKABLE)


class Listings:
    """Implements the flows' port `Listings`."""

    __slots__ = ("_clock", "_known", "_transaction")

    def __init__(self, transaction: Transaction, clock: Clock) -> None:
        self._transaction = transaction
        self._clock = clock
        #: policies as last read by this unit of work, to see what `save` changes
        self._known: dict[str, Policy] = {}

    def by_channel_ids(self, account: str, ids: Iterable[str]) -> dict[str, Listing]:
        parameters = {"account": account, "channel_ids": list(ids)}
        found = self._read(_BY_CHANNEL_ID, parameters) if parameters["channel_ids"] else []
        return {one.channel_listing_id: one for one in found}

    def by_channel_skus(self, account: str, skus: Iterable[str]) -> dict[str, list[Listing]]:
        parameters = {"account": account, "channel_skus": list(skus)}
        grouped: dict[str, list[Listing]] = {}
        if parameters["channel_skus"]:
            for one in self._read(_BY_CHANNEL_SKU, parameters):
                grouped.setdefault(one.channel_sku, []).append(one)
        return grouped

    def pooled(self, account: str) -> dict[str, Listing]:
        return {one.channel_listing_id: one for one in self._read(_POOLED, {"account": account})}

    def lock(self, listing_ids: Iterable[str]) -> dict[str, Listing]:
        wanted = list(listing_ids)
        found = self._read(_LOCK, {"listing_ids": wanted}) if wanted else []
        return {one.listing_id: one for one in found}

    def mark_stale(self, skus: Iterable[Sku]) -> set[str]:
        wanted = sorted(set(skus))
        rows = self._transaction.rows(_LOCK_BY_SKU, {"skus": wanted}) if wanted else []
        if rows:
            self._transaction.run(_MARK_STALE, {"listing_ids": [row.listing_id for row in rows]})
        return {row.account for row in rows}

    def accounts_waiting(self, skus: Iterable[Sku]) -> set[str]:
        wanted = sorted(set(skus))
        rows = self._transaction.rows(_WAITING, {"skus": wanted}) if wanted else []
        return {row.account for row in rows}

    def lock_stale(self, account: str, limit: int) -> list[Listing]:
        found = self._lock_chosen(_STALE_IDS, {"account": account, "limit": limit})
        if found:
            self._transaction.run(_CLEAR_STALE, {"listing_ids": [one.listing_id for one in found]})
        return found

    def lock_wanting_push(self, account: str, limit: int, *, may_cut: bool) -> list[Listing]:
        found = self._lock_chosen(
            _WANTING_IDS,
            {"account": account, "limit": limit, "may_cut": may_cut},
            lambda one: one.wants_push and (may_cut or one.look is None),
        )
        return in_push_order(found)

    def lock_look_due(self, account: str, *, at: datetime, limit: int) -> list[Listing]:
        return self._lock_chosen(
            _LOOK_DUE_IDS,
            {"account": account, "at": at, "limit": limit},
            lambda one: one.in_flight is None and one.look is None,
        )

    def lock_looked(self, account: str, *, until: datetime, limit: int) -> list[Listing]:
        return self._lock_chosen(
            _LOOKED_IDS,
            {"account": account, "until": until, "limit": limit},
            lambda one: one.look is not None and one.in_flight is None,
        )

    def lock_oldest(self, account: str, *, before: datetime, limit: int) -> list[Listing]:
        return self._lock_chosen(
            _OLDEST_IDS,
            {"account": account, "before": before, "limit": limit},
            lambda one: one.in_flight is None and one.look is None and one.look_due_at is None,
        )

    def lock_rising(self, account: str, *, until: datetime, limit: int) -> list[Listing]:
        return self._lock_chosen(
            _EXPLAINED_IDS,
            {"account": account, "until": until, "limit": limit},
            lambda one: one.rises.at is not None and one.rises.at <= until,
        )

    def lock_retried(self, account: str, *, until: datetime, limit: int) -> list[Listing]:
        return self._lock_chosen(
            _RETRIED_IDS,
            {"account": account, "until": until, "limit": limit},
            lambda one: one.retry_at is not None and one.retry_at <= until,
        )

    def next_rise_at(self, account: str) -> datetime | None:
        row = self._transaction.row(_NEXT_RISE_AT, {"account": account})
        return row[0] if row else None

    def next_retry_at(self, account: str) -> datetime | None:
        row = self._transaction.row(_NEXT_RETRY_AT, {"account": account})
        return row[0] if row else None

    def next_look_at(self, account: str) -> datetime | None:
        row = self._transaction.row(_NEXT_LOOK_AT, {"account": account})
        micros = row[0] if row else None
        return None if micros is None else from_micros(micros)

    def save(self, listings: Sequence[Listing]) -> None:
        if not listings:
            return
        known = self._policies(listings)
        now = self._clock.now()
        changed = [one for one in listings if known.get(one.listing_id) != policy_of(one)]
        _SAVE.run(self._transaction, [listing_row(one) for one in listings])
        self._transaction.run_many(_ADD_POLICY, [policy_fact(one, now) for one in changed])
        outdated = [
            one.listing_id
            for one in changed
            if one.listing_id in known and known[one.listing_id][:3] != policy_of(one)[:3]
        ]
        if outdated:  # another SKU, buffer or cap: desired must be computed anew
            self._transaction.run(_MARK_STALE, {"listing_ids": outdated})
        for one in changed:
            self._known[one.listing_id] = policy_of(one)

    def _policies(self, saved: Sequence[Listing]) -> dict[str, Policy]:
        unread = [one.listing_id for one in saved if one.listing_id not in self._known]
        if unread:
            for row in self._transaction.rows(_POLICIES, {"listing_ids": unread}):
                self._known[row.listing_id] = (row.sku, row.buffer, row.cap, row.desired)
        return self._known

    def _read(self, statement: Any, parameters: Parameters) -> list[Listing]:
        found = [read_listing(row) for row in self._transaction.rows(statement, parameters)]
        for one in found:
            self._known[one.listing_id] = policy_of(one)
        return found

    def _lock_chosen(
        self,
        chosen: Any,
        parameters: Parameters,
        still: Callable[[Listing], bool] | None = None,
    ) -> list[Listing]:
        """Choose without locks, lock by id, and keep, in the order chosen, what still applies."""
        ids = [row.listing_id for row in self._transaction.rows(chosen, parameters)]
        locked = self.lock(ids)
        present = [locked[listing_id] for listing_id in ids if listing_id in locked]
        return [one for one in present if still is None or still(one)]
