"""A listing's four numbers, and every step they take: desired, sent, confirmed, expected.

*Expected* is what the channel should show now: a basis (a confirmed push, or a look at the channel)
minus the channel's own units imported since, plus its restocks. Every step is a pure function from
one listing to the next; sending is `flows/push_stock.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from oms_sync.domain.values import Sku

DriftPolicy = Literal["overwrite", "adopt", "hold"]

#: channels tell times to the second: which of two in one second came first, nobody can say
SAME_SECOND: Final = timedelta(seconds=1)


class ListingState(StrEnum):
    """What a person reads off a listing."""

    UNLINKED = "unlinked"
    UNCOUNTED = "uncounted"
    UNSEEN = "unseen"
    SENT = "sent"
    BEHIND = "behind"
    IN_STEP = "in_step"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """A channel quantity known to be true once, and the units taken that it already contains."""

    quantity: int
    #: the listing's `taken` counter that this quantity already reflects
    taken: int
    #: sales placed at or before this (channel's clock) are inside the quantity, whenever imported
    at: datetime | None = None
    #: the quantity was seen or set no earlier than this; None where nobody has seen it set yet
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A push that was sent and not yet answered for."""

    push_id: str
    quantity: int
    #: the compare value sent along, None where the channel has no compare-and-set
    compare: int | None
    generation: int
    taken: int
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Our SKU offered through one account, with what it should show and what it shows."""

    listing_id: str
    account: str
    channel_listing_id: str
    channel_sku: str
    sku: Sku | None = None
    #: units kept from this listing; None takes the account's
    buffer: int | None = None
    #: the most it may show; None takes the account's
    cap: int | None = None
    #: None until the SKU is linked and counted
    desired: int | None = None
    #: grows each time `desired` changes
    generation: int = 0
    sent: int | None = None
    confirmed: int | None = None
    confirmed_at: datetime | None = None
    basis: Basis | None = None
    #: units this channel took from its own quantity, by every order imported so far
    taken: int = 0
    in_flight: InFlight | None = None
    #: a look at the channel that waits until the orders of its time are imported
    look: Basis | None = None
    #: the next look is due from then on; None when none is wanted
    look_due_at: datetime | None = None
    #: when the channel was last looked at, in our clock
    looked_at: datetime | None = None
    #: how often in a row the channel said our compare value was stale, or did not apply a push
    stale_count: int = 0
    #: since when the books go by what only a look can prove: a push taken in but not seen applied,
    #: or a change nobody can date; None while they are sure
    unproved_since: datetime | None = None
    #: set while a human must decide (drift policy hold)
    held_reason: str | None = None
    #: the channel's refusal of `refused_generation`; a newer desired is tried again
    refused_reason: str | None = None
    refused_generation: int | None = None
    #: units the channel itself holds and ships, and when it said so: never pushed, never reserved
    channel_pool: int | None = None
    channel_pool_at: datetime | None = None

    @property
    def expected(self) -> int | None:
        """What the channel should show now; None until it was seen once."""
        if self.basis is None:
            return None
        return self.basis.quantity - (self.taken - self.basis.taken)

    @property
    def is_refused(self) -> bool:
        """True while the channel's refusal of the present desired quantity stands."""
        return self.refused_reason is not None and self.refused_generation == self.generation

    @property
    def shown(self) -> int | None:
        """What the channel shows by the look that waits, else what it should; None: unknown."""
        if self.look is not None:
            return self.look.quantity - (self.taken - self.look.taken)
        return self.expected

    @property
    def wants_push(self) -> bool:
        """True when the channel should be sent `desired` now.

        While a look waits to be explained only units too many are taken away: that can be too
        early, but never sells what is not there.
        """
        if self.sku is None or self.desired is None or self.shown is None or self.in_flight:
            return False
        if self.held_reason is not None or self.is_refused:
            return False
        if self.look is not None:
            is_too_high = self.expected is None or self.desired < self.expected
            return self.desired < self.shown and (is_too_high or self.unproved_since is not None)
        is_in_doubt = self.look_due_at is not None and self.unproved_since is None
        return self.desired != self.expected and not is_in_doubt

    @property
    def state(self) -> ListingState:
        """The one word a person needs."""
        if self.sku is None:
            return ListingState.UNLINKED
        if self.desired is None:
            return ListingState.UNCOUNTED
        if self.held_reason is not None:
            return ListingState.HELD
        if self.is_refused:
            return ListingState.REFUSED
        if self.in_flight is not None or self.unproved_since is not None:
            return ListingState.SENT
        if self.expected is None:
            return ListingState.UNSEEN
        return ListingState.IN_STEP if self.desired == self.expected else ListingState.BEHIND


def want(listing: Listing, quantity: int | None) -> Listing:
    """Set the desired quantity; a change is a new generation."""
    if quantity == listing.desired:
        return listing
    return replace(listing, desired=quantity, generation=listing.generation + 1)


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
    return replace(
        listing,
        taken=listing.taken + units,
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


def claim(listing: Listing, *, push_id: str, at: datetime, is_comparing: bool) -> Listing:
    """Mark `desired` as sent; the caller stores the push before it calls the channel."""
    assert listing.desired is not None, "only a listing that wants a push is claimed"
    return replace(
        listing,
        sent=listing.desired,
        # What is compared with could be right by chance where the books are not sure.
        look_due_at=at if is_comparing and listing.unproved_since is not None else None,
        in_flight=InFlight(
            push_id=push_id,
            quantity=listing.desired,
            compare=listing.expected if is_comparing else None,
            generation=listing.generation,
            taken=listing.taken,
            sent_at=at,
        ),
    )


def confirm(listing: Listing, *, applied_at: datetime, at: datetime) -> Listing:
    """The channel applied the push in flight: at `applied_at` by its clock; told `at` by ours.

    Without compare-and-set the push also erased sales the channel had made before it: those placed
    before `applied_at` and imported later are inside the quantity, so that they trigger a new push.
    Of sales imported during the flight nobody can say that: a look is due. With compare-and-set
    nothing was erased, and what the old basis contained the new one contains too.
    """
    flight, basis = listing.in_flight, listing.basis
    assert flight is not None, "only a push in flight is confirmed"
    if flight.compare is None:
        # The channel stamps its answer at some moment of the call, which took so long.
        took = at - flight.sent_at
        applied = Basis(
            quantity=flight.quantity,
            taken=flight.taken,
            at=applied_at + took,
            since=applied_at - took,
        )
    else:
        applied = Basis(
            quantity=flight.quantity,
            taken=flight.taken,
            at=basis.at if basis is not None else None,
            since=basis.since if basis is not None else None,
        )
    is_unsure = listing.look_due_at is not None
    return replace(
        unrefused(listing),
        basis=None if is_unsure else applied,
        confirmed=flight.quantity,
        confirmed_at=applied_at,
        in_flight=None,
        look=None,
        unproved_since=None,
        stale_count=0,
    )


def accept_push(
    listing: Listing, *, applied_at: datetime, at: datetime, look_at: datetime
) -> Listing:
    """The channel took the push in flight in, and applies it later; `applied_at` is its clock.

    The books go by it at once, so that the next change need not wait; a look at `look_at` proves
    it. Where sales came in during the flight only that look can tell what is there.
    """
    flight = listing.in_flight
    assert flight is not None, "only a push in flight is accepted"
    if flight.compare is None and listing.look_due_at is not None:
        return doubt(listing, at=look_at)
    return replace(
        unrefused(listing),
        basis=Basis(quantity=flight.quantity, taken=flight.taken, at=applied_at),
        in_flight=None,
        look=None,
        look_due_at=look_at,
        unproved_since=at,
    )


def turn_stale(listing: Listing, *, at: datetime) -> Listing:
    """The channel shows something else than expected; nothing was applied, a look is due."""
    return replace(
        listing,
        in_flight=None,
        look=None,
        look_due_at=at,
        unproved_since=None,
        stale_count=listing.stale_count + 1,
    )


def doubt(listing: Listing, *, at: datetime) -> Listing:
    """Nobody knows whether the push in flight was applied; only a look can tell what is there."""
    return replace(
        listing, in_flight=None, basis=None, look=None, look_due_at=at, unproved_since=None
    )


def release(listing: Listing) -> Listing:
    """The push in flight was surely not applied; the listing may be claimed again."""
    return replace(listing, in_flight=None, look_due_at=_look_owed(listing))


def refuse(listing: Listing, reason: str) -> Listing:
    """The channel refused the push for good; a newer desired quantity is tried again."""
    flight = listing.in_flight
    assert flight is not None, "only a push in flight is refused"
    return replace(
        listing,
        in_flight=None,
        look_due_at=_look_owed(listing),
        refused_reason=reason,
        refused_generation=flight.generation,
    )


def _look_owed(listing: Listing) -> datetime | None:
    """A push accepted earlier is still to be proved, now that the one after it came to nothing."""
    is_owed = listing.unproved_since is not None and listing.look is None
    return listing.look_due_at or (listing.unproved_since if is_owed else None)


def lose(listing: Listing, reason: str) -> Listing:
    """The channel does not know the listing; nothing is sent until its desired quantity changes."""
    return replace(
        listing,
        look_due_at=None,
        refused_reason=reason,
        refused_generation=listing.generation,
    )


def in_push_order(listings: Iterable[Listing]) -> list[Listing]:
    """Decreases first (they prevent overselling), the largest first; then increases."""
    return sorted(
        listings,
        key=lambda one: ((one.desired or 0) - (one.shown or 0), one.listing_id),
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


def unrefused(listing: Listing) -> Listing:
    """The listing without the channel's last refusal."""
    return replace(listing, refused_reason=None, refused_generation=None)


def _inside(basis: Basis | None, units: int, at: datetime) -> Basis | None:
    if basis is None or basis.at is None or at > basis.at:
        return basis
    return replace(basis, taken=basis.taken + units)
