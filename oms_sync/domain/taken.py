"""What a channel took from its own quantity, or put back: the books of a listing follow.

What is inside a basis, a look or a push in flight depends on when it was taken.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from oms_sync.domain.listing import Basis, Listing

#: channels tell times to the second: which of two in one second came first, nobody can say
SAME_SECOND: Final = timedelta(seconds=1)


def take(listing: Listing, units: int, *, at: datetime, since: datetime | None = None) -> Listing:
    """The channel took `units` from its own quantity at `at` (negative: put back).

    What was taken at or before the time of a basis or a look is already inside its quantity, and
    was inside when a push in flight was computed from that basis. With `since` it was taken at an
    unknown moment after that: whether a basis or look of between contains it, a new look proves,
    and so it does for a basis or look of the very second it was taken in.
    """
    if units:
        is_told = since is None and listing.shown == (listing.expected or 0) - units
        after = since or at - SAME_SECOND
        listing = _in_doubt(listing, after, at + SAME_SECOND, is_told=is_told)
    flight, look_due_at = listing.in_flight, listing.look_due_at
    basis = _inside(listing.basis, units, at)
    if flight is not None and units:
        if basis != listing.basis:
            flight = replace(flight, taken=flight.taken + units)
        elif flight.compare is None:
            # Whether the push erased this sale or came before it, only a look can tell.
            look_due_at = flight.sent_at
    seen = listing.look or listing.basis
    is_fewer = seen is not None and _inside(seen, units, at) == seen
    return replace(
        listing,
        taken=listing.taken + units,
        taken_since=listing.taken_since + (units if is_fewer else 0),
        basis=basis,
        look=_inside(listing.look, units, at),
        in_flight=flight,
        look_due_at=look_due_at,
    )


def unsettle(listing: Listing, *, at: datetime) -> Listing:
    """The channel may have put units back and does not say so: only a look proves what it shows."""
    if listing.in_flight is not None:
        return replace(listing, look_due_at=listing.look_due_at or listing.in_flight.sent_at)
    return replace(
        listing,
        look=None,
        look_due_at=listing.look_due_at or at,
        unproved_since=listing.unproved_since or at,
    )


def _in_doubt(listing: Listing, since: datetime, until: datetime, *, is_told: bool) -> Listing:
    """The listing, unproved where its basis may be from between the two moments.

    So may its look be, unless it tells (`is_told`) just what the books now expect.
    """
    is_look_between = _is_between(listing.look, since, until) and not is_told
    if is_look_between or _is_between(listing.basis, since, until):
        return unsettle(listing, at=until)
    return listing


def _is_between(seen: Basis | None, since: datetime, until: datetime) -> bool:
    if seen is None or seen.at is None:
        return False
    return since < seen.at and (seen.since or seen.at) < until


def _inside(basis: Basis | None, units: int, at: datetime) -> Basis | None:
    if basis is None or basis.at is None or at > basis.at:
        return basis
    return replace(basis, taken=basis.taken + units)
