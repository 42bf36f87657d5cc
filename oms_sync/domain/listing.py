"""A listing's four numbers, and every step they take: desired, sent, confirmed, expected.

*Expected* is what the channel should show now: a basis (a confirmed push, or a look at the channel)
minus the channel's own units imported since, plus its restocks. Every step is a pure function from
one listing to the next; sending is `flows/push_stock.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from oms_sync.domain.rises import NO_RISES, Rises
from oms_sync.domain.values import Sku

DriftPolicy = Literal["overwrite", "adopt", "hold"]

#: so often in a row a quantity is taken in and not shown before the channel is left alone
UNPROVED_MAX: Final = 3


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
    #: what of `desired` waits for orders, where the channel compares nothing
    rises: Rises = NO_RISES
    sent: int | None = None
    confirmed: int | None = None
    confirmed_at: datetime | None = None
    basis: Basis | None = None
    #: units this channel took from its own quantity, by every order imported so far
    taken: int = 0
    #: how many of those `desired` was not yet computed anew for: it shows fewer by as many
    taken_since: int = 0
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
    #: `desired` is not sent again before this: the channel takes it later, or takes it in vain
    retry_at: datetime | None = None
    #: what the channel says is wrong with the listing, or why it does not take a quantity now
    problem: str | None = None
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
    def due(self) -> int | None:
        """What the channel should be sent: `desired`, but for growths that wait for orders."""
        return None if self.desired is None else self.rises.allowed(self.desired, self.shown)

    @property
    def reason(self) -> str | None:
        """Why the listing is not simply in step, as far as anybody said."""
        return self.held_reason or (self.refused_reason if self.is_refused else self.problem)

    @property
    def wants_push(self) -> bool:
        """True when the channel should be sent what is `due`.

        While a look waits to be explained only units too many are taken away: that can be too
        early, but never sells what is not there. What a channel takes in and does not show is so
        taken away again, but not for ever.
        """
        if self.sku is None or self.desired is None or self.shown is None or self.in_flight:
            return False
        if self.held_reason is not None or self.is_refused or self.retry_at is not None:
            return False
        if self.look is not None:
            is_too_high = self.expected is None or self.desired < self.expected
            is_again = self.unproved_since is not None and self.stale_count + 1 < UNPROVED_MAX
            return self.desired < self.shown and (is_too_high or is_again)
        is_in_doubt = self.look_due_at is not None and self.unproved_since is None
        return self.due != self.expected and not is_in_doubt

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


def want(listing: Listing, quantity: int | None, *, at: datetime | None = None) -> Listing:
    """Set the desired quantity; a change is a new generation.

    With `at`, when it was computed, a growth waits for the orders placed before. To what the
    channel took meanwhile the rest is a growth, though the number be the same: its sale and units
    that came in, or units from above the cap.
    """
    after = replace(listing, taken_since=0)
    if at is not None and quantity is not None:
        left = max(0, (listing.desired or 0) - listing.taken_since)
        rises = listing.rises.shrunk((listing.desired or 0) - min(left, quantity))
        after = replace(after, rises=rises.grown(quantity, at=at) if quantity > left else rises)
    if quantity == listing.desired:
        return after
    return replace(
        after,
        desired=quantity,
        generation=listing.generation + 1,
        rises=NO_RISES if at is None or quantity is None else after.rises,
        retry_at=None,
    )


def explain_rises(listing: Listing, *, until: datetime) -> Listing:
    """Every order placed before `until` is in the books: no growth waits for those any more."""
    return replace(listing, rises=listing.rises.explained(until))


def claim(listing: Listing, *, push_id: str, at: datetime, is_comparing: bool) -> Listing:
    """Mark what is `due` as sent; the caller stores the push before it calls the channel."""
    due = listing.due
    assert due is not None, "only a listing that wants a push is claimed"
    is_in_vain = listing.look is not None and listing.unproved_since is not None
    return replace(
        listing,
        sent=due,
        # A look shows more than what was sent already.
        stale_count=listing.stale_count + (is_in_vain and due == listing.expected),
        # What is compared with could be right by chance where the books are not sure.
        look_due_at=at if is_comparing and listing.unproved_since is not None else None,
        in_flight=InFlight(
            push_id=push_id,
            quantity=due,
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
        problem=None,
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


def postpone(listing: Listing, reason: str, *, until: datetime) -> Listing:
    """The channel takes the push in flight later: it is sent again from `until` on.

    What is desired by now is another matter, and is offered at once.
    """
    flight = listing.in_flight
    assert flight is not None, "only a push in flight is put off"
    is_newer = flight.generation != listing.generation
    return replace(release(listing), retry_at=None if is_newer else until, problem=reason)


def give_up(listing: Listing, reason: str, *, until: datetime) -> Listing:
    """The channel takes quantities in and never shows them: tried again from `until` on."""
    return replace(
        listing,
        refused_reason=reason,
        refused_generation=listing.generation,
        retry_at=until,
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
        retry_at=None,
        refused_reason=reason,
        refused_generation=listing.generation,
    )


def in_push_order(listings: Iterable[Listing]) -> list[Listing]:
    """Decreases first (they prevent overselling), the largest first; then increases."""
    return sorted(
        listings,
        key=lambda one: ((one.due or 0) - (one.shown or 0), one.listing_id),
    )


def unrefused(listing: Listing) -> Listing:
    """The listing without the channel's last refusal: it may be tried again."""
    return replace(listing, refused_reason=None, refused_generation=None, retry_at=None)
