"""Looks at a channel's quantity: noted first, then agreed with, accepted as the truth, or repeated.

A look that differs from what the books expect is drift, unless the books were not sure themselves.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from oms_sync.domain.listing import Basis, DriftPolicy, Listing, unrefused


def look_later(listing: Listing, *, at: datetime) -> Listing:
    """The look shows a quantity from before the accepted push: it may only be too early."""
    return replace(listing, look=None, look_due_at=at)


def look(
    listing: Listing,
    quantity: int,
    *,
    read_at: datetime,
    at: datetime,
    problem: str | None = None,
) -> Listing:
    """Note what the channel shows; it counts once the orders until then are imported.

    `read_at` is in the channel's clock and decides which sales are inside; `at` is in ours. With
    `problem` the channel says what is wrong with the listing.
    """
    return replace(
        listing,
        look=Basis(quantity=quantity, taken=listing.taken, at=read_at),
        look_due_at=None,
        looked_at=at,
        problem=problem,
    )


def agree(listing: Listing) -> Listing:
    """The look shows what was expected: it is done with, and the basis stays.

    The basis is worth more than the look, whose time is known to the second only: a sale of that
    second could be inside or not. That nothing changed does not prove that pushes work again: what
    was counted of those that failed stays, unless this look proves one.
    """
    seen = listing.look
    assert seen is not None, "only a listing that was looked at can agree"
    after = replace(unrefused(listing), look=None, unproved_since=None)
    if listing.unproved_since is not None:
        after = replace(after, stale_count=0)
    if listing.expected != listing.desired:
        return after
    return replace(after, confirmed=seen.quantity, confirmed_at=seen.at, stale_count=0)


def is_look_expected(listing: Listing) -> bool:
    """True when the look shows exactly what the books expect: nothing is unexplained."""
    seen = listing.look
    return seen is not None and listing.expected == seen.quantity - (listing.taken - seen.taken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The channel shows a quantity nothing here explains."""

    listing_id: str
    expected: int
    found: int


def accept_look(listing: Listing, policy: DriftPolicy) -> tuple[Listing, Drift | None]:
    """Make the look the new basis; says drift when it is not what was expected.

    Policy *overwrite* lets the next push correct the channel, *hold* waits for a human, *adopt* is
    for the caller, which corrects the stock.
    """
    assert listing.look is not None, "only a listing that was looked at can accept the look"
    # What the books were not sure of was never known: not to find it is no drift.
    before = listing.expected if listing.unproved_since is None else None
    # A refusal is tried once more after each look: its cause may have gone meanwhile.
    after = replace(
        unrefused(listing),
        basis=replace(listing.look, since=listing.look.at),
        look=None,
        unproved_since=None,
        stale_count=listing.stale_count + (listing.unproved_since is not None),
    )
    if after.expected == after.desired and after.desired is not None:
        after = replace(
            after,
            confirmed=listing.look.quantity,
            confirmed_at=listing.look.at,
            stale_count=0,
        )
    if before is None or after.expected is None or before == after.expected:
        return after, None
    drift = Drift(listing_id=listing.listing_id, expected=before, found=after.expected)
    if policy == "hold":
        reason = f"the channel shows {drift.found} where {drift.expected} was expected"
        after = replace(after, held_reason=reason)
    return after, drift
