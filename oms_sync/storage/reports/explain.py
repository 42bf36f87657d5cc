"""Why a number is what it is, now or at any past time: terms that add up, each with its cause.

The past is recomputed from facts alone: movements, safety stock, buffers, caps, configuration.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select

from oms_sync.domain.listing import Listing
from oms_sync.domain.stock import MovementKind, StockLevel, available_to_sell, channel_quantity
from oms_sync.domain.values import Explained, Sku, Term
from oms_sync.flows.records import AccountProfile
from oms_sync.storage.columns import Instant, among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.errors import NotFound
from oms_sync.storage.listing_rows import LISTING_COLUMNS, read_listing
from oms_sync.storage.policies import profiles_at
from oms_sync.storage.reports.shapes import Json, when
from oms_sync.storage.reports.stock import check_known
from oms_sync.storage.stock import LEVEL_COLUMNS, read_level
from oms_sync.storage.tables.listings import listing_policies, listings
from oms_sync.storage.tables.orders import order_lines, orders, reservations, shipments
from oms_sync.storage.tables.stock import safety_policies, stock_levels, stock_movements

ORDERS_NAMED_MAX = 5
_SKU_OF_LEVEL = stock_levels.c.sku == bindparam("sku")
_SKU_OF_MOVEMENT = stock_movements.c.sku == bindparam("sku")
_UNTIL_MOVED = stock_movements.c.at <= bindparam("until", type_=Instant())
_LEVELS = select(*LEVEL_COLUMNS).where(_SKU_OF_LEVEL).order_by(stock_levels.c.location)
_PAST = (
    select(
        stock_movements.c.location,
        func.sum(stock_movements.c.on_hand_delta).label("on_hand"),
        func.sum(stock_movements.c.unavailable_delta).label("unavailable"),
        func.sum(stock_movements.c.reserved_delta).label("reserved"),
        func.max(stock_movements.c.sequence).label("sequence"),
        func.count()
        .filter(stock_movements.c.kind == MovementKind.ADJUSTMENT.value)
        .label("adjustments"),
    )
    .where(_SKU_OF_MOVEMENT, _UNTIL_MOVED)
    .group_by(stock_movements.c.location)
    .order_by(stock_movements.c.location)
)
_LAST_CHANGE = (
    select(stock_movements)
    .where(
        _SKU_OF_MOVEMENT,
        stock_movements.c.location == bindparam("location"),
        stock_movements.c.on_hand_delta != 0,
        _UNTIL_MOVED,
    )
    .order_by(stock_movements.c.sequence.desc())
    .limit(1)
)
_HOLDERS = (
    select(
        orders.c.account,
        orders.c.channel_order_id,
        func.sum(reservations.c.units).label("units"),
    )
    .join(order_lines, order_lines.c.line_id == reservations.c.line_id)
    .join(orders, orders.c.order_id == order_lines.c.order_id)
    .where(reservations.c.sku == bindparam("sku"), reservations.c.location == bindparam("location"))
    .group_by(orders.c.order_id, orders.c.account, orders.c.channel_order_id, orders.c.placed_at)
    .order_by(orders.c.placed_at, orders.c.order_id)
)
_PAST_SOURCES = (
    select(stock_movements.c.source, func.sum(stock_movements.c.reserved_delta).label("units"))
    .where(
        _SKU_OF_MOVEMENT,
        stock_movements.c.location == bindparam("location"),
        stock_movements.c.reserved_delta != 0,
        _UNTIL_MOVED,
    )
    .group_by(stock_movements.c.source)
)
_SHIPPED_ORDERS = select(shipments.c.shipment_id, shipments.c.order_id).where(
    among(shipments.c.shipment_id, "shipment_ids")
)
_REFS = (
    select(orders.c.order_id, orders.c.account, orders.c.channel_order_id)
    .where(among(orders.c.order_id, "order_ids"))
    .order_by(orders.c.placed_at, orders.c.order_id)
)
_MERGED = select(orders.c.order_id, orders.c.merged_into).where(
    among(orders.c.order_id, "order_ids"), orders.c.merged_into.is_not(None)
)
_SAFETY = (
    select(safety_policies)
    .where(
        safety_policies.c.sku == bindparam("sku"),
        safety_policies.c.at <= bindparam("until", type_=Instant()),
    )
    .order_by(safety_policies.c.fact)
)
_NEWEST_POLICY = (
    select(func.max(listing_policies.c.fact))
    .where(
        listing_policies.c.account == bindparam("account"),
        listing_policies.c.at <= bindparam("until", type_=Instant()),
    )
    .group_by(listing_policies.c.listing_id)
)
_LISTING = (
    select(listing_policies, listings.c.channel_sku)
    .join(listings, listings.c.listing_id == listing_policies.c.listing_id)
    .where(listing_policies.c.sku == bindparam("sku"), listing_policies.c.fact.in_(_NEWEST_POLICY))
    .order_by(listing_policies.c.listing_id)
    .limit(1)
)
_OFFERS = (
    select(*LISTING_COLUMNS)
    .where(listings.c.sku == bindparam("sku"), listings.c.account == bindparam("account"))
    .order_by(listings.c.channel_listing_id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is asked, and where to look for causes."""

    transaction: Transaction
    sku: Sku
    at: datetime
    is_past: bool

    def asked(self, **more: Any) -> dict[str, Any]:
        return {"sku": self.sku, **more}

    def asked_until(self, **more: Any) -> dict[str, Any]:
        return {"sku": self.sku, "until": self.at, **more}


def explained(
    transaction: Transaction, sku: Sku, *, account: str | None, at: datetime | None, now: datetime
) -> Json:
    """Available to sell of a SKU, or what its listing at `account` should show, explained."""
    check_known(transaction, sku)
    moment = _Moment(transaction=transaction, sku=sku, at=at or now, is_past=at is not None)
    levels = _levels_then(moment) if moment.is_past else _levels_now(moment)
    if account is not None:
        profile = _profile(moment, account)
        levels = [level for level in levels if level.location in profile.locations]
    counted = [level for level in levels if level.is_counted]
    if not counted:
        uncounted = Term(name="uncounted", amount=0, cause="nobody has counted it: no quantity")
        return _shown(Explained(value=0, terms=(uncounted,)), moment)
    if account is None:
        return _shown(_caused(available_to_sell(counted), moment, {}), moment)
    row = transaction.row(_LISTING, moment.asked_until(account=account))
    buffer, buffer_cause = _policy(row, "buffer", profile.buffer, account)
    cap, cap_cause = _policy(row, "cap", profile.cap, account)
    value = channel_quantity(counted, buffer=buffer or 0, cap=cap)
    causes = {"channel_buffer": buffer_cause, "channel_cap": f"min with cap {cap}, {cap_cause}"}
    return _shown(_caused(value, moment, causes), moment) | _offers(moment, account)


def _profile(moment: _Moment, account: str) -> AccountProfile:
    profiles = profiles_at(moment.transaction, moment.at)
    if account not in profiles:
        known = ", ".join(sorted(profiles)) or "none yet; start the hub once"
        raise NotFound(f"there is no account {account!r}; known are: {known}")
    return profiles[account]


def _policy(row: Any, name: str, default: int | None, account: str) -> tuple[int | None, str]:
    own: int | None = getattr(row, name) if row is not None else None
    if own is None:
        return default, f"of account {account}"
    return own, f"of listing {row.channel_sku}"


def _levels_now(moment: _Moment) -> list[StockLevel]:
    return [read_level(row) for row in moment.transaction.rows(_LEVELS, moment.asked())]


def _levels_then(moment: _Moment) -> list[StockLevel]:
    safety = {
        row.location: row.units for row in moment.transaction.rows(_SAFETY, moment.asked_until())
    }
    return [
        StockLevel(
            sku=moment.sku,
            location=row.location,
            is_counted=row.adjustments > 0,
            on_hand=int(row.on_hand),
            unavailable=int(row.unavailable),
            reserved=int(row.reserved),
            safety_stock=safety.get(row.location, 0),
            sequence=row.sequence,
        )
        for row in moment.transaction.rows(_PAST, moment.asked_until())
    ]


def _caused(value: Explained, moment: _Moment, causes: dict[str, str]) -> Explained:
    """The same terms, each saying what stands behind it."""
    finders: dict[str, Callable[[_Moment, str], str]] = {
        "on_hand": _on_hand_cause,
        "reserved": _reserved_cause,
        "safety_stock": _safety_cause,
    }
    terms = []
    for term in value.terms:
        cause = causes.get(term.name, term.cause)
        if term.name in finders and term.amount:
            found = finders[term.name](moment, term.cause.removeprefix("at "))
            cause = f"{term.cause}: {found}" if found else term.cause
        terms.append(Term(name=term.name, amount=term.amount, cause=cause))
    return Explained(value=value.value, terms=tuple(terms))


def _on_hand_cause(moment: _Moment, location: str) -> str:
    row = moment.transaction.row(_LAST_CHANGE, moment.asked_until(location=location))
    if row is None:
        return ""
    return f"last {row.kind} {row.on_hand_delta:+d} ({row.reason}) by {row.actor} at {when(row.at)}"


def _safety_cause(moment: _Moment, location: str) -> str:
    rows = moment.transaction.rows(_SAFETY, moment.asked_until())
    found = [row for row in rows if row.location == location]
    return f"set by {found[-1].actor} at {when(found[-1].at)}" if found else ""


def _reserved_cause(moment: _Moment, location: str) -> str:
    if moment.is_past:
        return _named(_holders_then(moment, location))
    rows = moment.transaction.rows(_HOLDERS, moment.asked(location=location))
    return _named([(f"{row.account}:{row.channel_order_id}", int(row.units)) for row in rows])


def _holders_then(moment: _Moment, location: str) -> list[tuple[str, int]]:
    """Who held reservations then: each order's movements up to that time, added up."""
    rows = moment.transaction.rows(_PAST_SOURCES, moment.asked_until(location=location))
    by_source = {row.source: int(row.units) for row in rows}
    shipped = [name.partition(":")[2] for name in by_source if name.startswith("shipment:")]
    order_of = {
        f"shipment:{row.shipment_id}": f"order:{row.order_id}"
        for row in moment.transaction.rows(_SHIPPED_ORDERS, {"shipment_ids": shipped})
    }
    owners = {source: order_of.get(source, source) for source in by_source}
    ids = sorted({owner.partition(":")[2] for owner in owners.values()})
    merged = {
        f"order:{row.order_id}": f"order:{row.merged_into}"
        for row in moment.transaction.rows(_MERGED, {"order_ids": ids})
    }
    held: dict[str, int] = {}
    for source, units in by_source.items():
        owner = merged.get(owners[source], owners[source])
        held[owner] = held.get(owner, 0) + units
    ids = [owner.partition(":")[2] for owner, units in held.items() if units > 0]
    return [
        (f"{row.account}:{row.channel_order_id}", held[f"order:{row.order_id}"])
        for row in moment.transaction.rows(_REFS, {"order_ids": ids})
    ]


def _named(holders: Sequence[tuple[str, int]]) -> str:
    if not holders:
        return ""
    named = ", ".join(f"{ref} ×{units}" for ref, units in holders[:ORDERS_NAMED_MAX])
    more = ", …" if len(holders) > ORDERS_NAMED_MAX else ""
    return f"{len(holders)} order{'s' if len(holders) > 1 else ''}: {named}{more}"


def _offers(moment: _Moment, account: str) -> Json:
    """What the listings show now, and why that is not simply the number; of the past nothing."""
    asked = moment.asked(account=account)
    rows = () if moment.is_past else moment.transaction.rows(_OFFERS, asked)
    return {
        "listings": [
            {
                "channel_listing_id": one.channel_listing_id,
                "state": str(one.state),
                "shows": one.shown,
                "why": _why(one),
            }
            for one in map(read_listing, rows)
        ]
    }


def _why(listing: Listing) -> str:
    reason, rise_at = listing.reason or "", listing.rises.at
    if reason and listing.retry_at is not None:
        reason += f"; tried again from {when(listing.retry_at)}"
    units = (listing.desired or 0) - (listing.due or 0)
    if rise_at is None or units <= 0:
        return reason
    waits = f"{units} more wait for the orders placed until {when(rise_at)}"
    return f"{waits}; {reason}" if reason else waits


def _shown(value: Explained, moment: _Moment) -> Json:
    return {
        "value": value.value,
        "at": when(moment.at),
        "listings": [],
        "terms": [
            {"name": term.name, "amount": term.amount, "cause": term.cause} for term in value.terms
        ],
    }
