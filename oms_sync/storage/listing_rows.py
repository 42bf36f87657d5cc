"""Rows of listings: read into the domain's record, and written from it."""

from datetime import datetime
from typing import Any

from oms_sync.domain.listing import Basis, InFlight, Listing
from oms_sync.domain.rises import NO_RISES, Rise, Rises
from oms_sync.storage.connections import Parameters
from oms_sync.storage.tables.listings import listings

LISTING_COLUMNS = tuple(
    column for column in listings.columns if column.name not in ("is_stale", "push_delta")
)

#: SKU, buffer, cap and desired quantity
Policy = tuple[str | None, int | None, int | None, int | None]


def read_listing(row: Any) -> Listing:
    """The listing of a row of LISTING_COLUMNS."""
    basis = look = flight = None
    if row.basis_quantity is not None:
        basis = Basis(
            quantity=row.basis_quantity,
            taken=row.basis_taken,
            at=row.basis_at,
            since=row.basis_since,
        )
    if row.look_quantity is not None:
        look = Basis(quantity=row.look_quantity, taken=row.look_taken, at=row.look_at)
    if row.flight_push_id is not None:
        flight = InFlight(
            push_id=row.flight_push_id,
            quantity=row.flight_quantity,
            compare=row.flight_compare,
            generation=row.flight_generation,
            taken=row.flight_taken,
            sent_at=row.flight_sent_at,
        )
    return Listing(
        listing_id=row.listing_id,
        account=row.account,
        channel_listing_id=row.channel_listing_id,
        channel_sku=row.channel_sku,
        sku=row.sku,
        buffer=row.buffer,
        cap=row.cap,
        desired=row.desired,
        generation=row.generation,
        rises=_rises(row),
        sent=row.sent,
        confirmed=row.confirmed,
        confirmed_at=row.confirmed_at,
        basis=basis,
        taken=row.taken,
        taken_since=row.taken_since,
        in_flight=flight,
        look=look,
        look_due_at=row.look_due_at,
        looked_at=row.looked_at,
        stale_count=row.stale_count,
        unproved_since=row.unproved_since,
        held_reason=row.held_reason,
        refused_reason=row.refused_reason,
        refused_generation=row.refused_generation,
        retry_at=row.retry_at,
        problem=row.problem,
        channel_pool=row.channel_pool,
        channel_pool_at=row.channel_pool_at,
    )


def listing_row(one: Listing) -> Parameters:
    """The row of a listing; it is marked stale when it is new."""
    basis, look, flight = one.basis, one.look, one.in_flight
    push_delta = None
    if one.wants_push and one.due is not None and one.shown is not None:
        push_delta = one.due - one.shown
    return {
        "listing_id": one.listing_id,
        "account": one.account,
        "channel_listing_id": one.channel_listing_id,
        "channel_sku": one.channel_sku,
        "sku": one.sku,
        "buffer": one.buffer,
        "cap": one.cap,
        "desired": one.desired,
        "generation": one.generation,
        **_rise_columns(one.rises),
        "sent": one.sent,
        "confirmed": one.confirmed,
        "confirmed_at": one.confirmed_at,
        "basis_quantity": basis and basis.quantity,
        "basis_taken": basis and basis.taken,
        "basis_at": basis and basis.at,
        "basis_since": basis and basis.since,
        "taken": one.taken,
        "taken_since": one.taken_since,
        "flight_push_id": flight and flight.push_id,
        "flight_quantity": flight and flight.quantity,
        "flight_compare": flight and flight.compare,
        "flight_generation": flight and flight.generation,
        "flight_taken": flight and flight.taken,
        "flight_sent_at": flight and flight.sent_at,
        "look_quantity": look and look.quantity,
        "look_taken": look and look.taken,
        "look_at": look and look.at,
        "look_due_at": one.look_due_at,
        "looked_at": one.looked_at,
        "stale_count": one.stale_count,
        "unproved_since": one.unproved_since,
        "held_reason": one.held_reason,
        "refused_reason": one.refused_reason,
        "refused_generation": one.refused_generation,
        "retry_at": one.retry_at,
        "problem": one.problem,
        "channel_pool": one.channel_pool,
        "channel_pool_at": one.channel_pool_at,
        "is_stale": True,
        "push_delta": push_delta,
    }


def policy_of(one: Listing) -> Policy:
    """What makes another policy of a listing: a change of it is a fact."""
    return one.sku, one.buffer, one.cap, one.desired


def policy_fact(one: Listing, at: datetime) -> Parameters:
    """The row of a changed policy."""
    return {
        "listing_id": one.listing_id,
        "account": one.account,
        "sku": one.sku,
        "buffer": one.buffer,
        "cap": one.cap,
        "desired": one.desired,
        "generation": one.generation,
        "at": at,
    }


def _rises(row: Any) -> Rises:
    """The growth that came last is up to all that is desired."""
    if row.rise_at is None:
        return NO_RISES
    is_followed = row.last_rise_at is not None
    return Rises(
        first=Rise(quantity=row.rise_quantity, at=row.rise_at),
        last=Rise(quantity=row.desired, at=row.last_rise_at) if is_followed else None,
        ready=row.ready,
    )


def _rise_columns(rises: Rises) -> Parameters:
    first, last = rises.first, rises.last
    return {
        "rise_quantity": first and first.quantity,
        "rise_at": first and first.at,
        "last_rise_at": last and last.at,
        "ready": rises.ready,
    }
