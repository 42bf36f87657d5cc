"""A listing against a channel that sells meanwhile: in the end it shows what is desired."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_sync.domain.listing import (
    ListingState,
    accept_push,
    claim,
    confirm,
    doubt,
    explain_rises,
    turn_stale,
    want,
)
from oms_sync.domain.looks import accept_look, agree, is_look_expected, look, look_later
from oms_sync.domain.taken import take

ROUNDS_MAX = 20


class Shop:
    """A channel with one offer, and the hub's listing of it. Every step has its own instant."""

    #: seconds between two steps; orders are stamped to the second
    step = 0.25

    def __init__(
        self, listings, *, is_comparing: bool, is_slow: bool = False, is_late: bool = False
    ) -> None:
        self.at = listings.at
        self.is_comparing = is_comparing
        #: takes pushes in and applies them later, or forgets them
        self.is_slow = is_slow
        #: shows its orders late, so that growths wait for them
        self.is_late = is_late
        self.taken_in: list[int] = []
        self.seconds = 0.0
        self.shelf = 10
        self.quantity = 7
        self.unseen_sales: list[tuple[datetime, int]] = []
        self.listing = listings.seen(self.quantity, desired=self.shelf)

    def tick(self) -> datetime:
        self.seconds += self.step
        return self.at(self.seconds)

    def sell(self) -> None:
        if self.quantity > 0:
            self.quantity -= 1
            self.unseen_sales.append((self.tick().replace(microsecond=0), 1))

    def restock(self) -> None:
        self.quantity += 1
        self.unseen_sales.append((self.tick().replace(microsecond=0), -1))

    def hand_edit(self) -> None:
        self.quantity += 3
        self.tick()

    def receive(self) -> None:
        self.shelf += 2
        self.want(self.listing)

    def import_one(self, index: int = 0) -> None:
        if self.unseen_sales:
            when, units = self.unseen_sales.pop(index)
            self.shelf -= units
            self.want(take(self.listing, units, at=when))

    def want(self, listing) -> None:
        at = self.tick() if self.is_late else None
        self.listing = want(listing, max(0, self.shelf), at=at)

    def drain(self) -> None:
        """A pass ended: what was sold before the oldest sale not imported is in the books."""
        until = min((when for when, _ in self.unseen_sales), default=self.tick())
        self.listing = explain_rises(self.listing, until=until)

    def import_newest(self) -> None:
        self.import_one(-1)

    def see(self) -> None:
        if self.listing.in_flight is None and self.listing.look is None:
            now = self.tick()
            self.listing = look(self.listing, self.quantity, read_at=now, at=now)

    def accept(self) -> None:
        # Only once every order placed until then is imported.
        if self.listing.look is not None and not self.unseen_sales:
            if is_look_expected(self.listing):
                self.listing = agree(self.listing)
            elif self.listing.unproved_since is not None and self.taken_in:
                self.listing = look_later(self.listing, at=self.tick())
            else:
                self.listing, _ = accept_look(self.listing, "overwrite")

    def send(self) -> None:
        if self.listing.wants_push:
            self.listing = claim(
                self.listing, push_id="p", at=self.tick(), is_comparing=self.is_comparing
            )
            self.applied_at: datetime | None = None

    def arrive(self) -> None:
        flight = self.listing.in_flight
        if flight is None or self.applied_at is not None:
            return
        self.applied_at = self.tick()
        if self.is_slow:
            self.taken_in.append(flight.quantity)
            self.is_stale = False
            return
        self.is_stale = flight.compare is not None and flight.compare != self.quantity
        if not self.is_stale:
            self.quantity = flight.quantity

    def answer(self) -> None:
        if self.listing.in_flight is None or self.applied_at is None:
            return
        if self.is_stale:
            self.listing = turn_stale(self.listing, at=self.tick())
        elif self.is_slow:
            now = self.tick()
            self.listing = accept_push(
                self.listing, applied_at=self.applied_at, at=now, look_at=now
            )
        else:
            self.listing = confirm(self.listing, applied_at=self.applied_at, at=self.tick())

    def apply(self) -> None:
        if self.taken_in:
            self.tick()
            self.quantity = self.taken_in.pop(0)

    def forget(self) -> None:
        if self.taken_in:
            self.taken_in.pop()

    def lose_answer(self) -> None:
        if self.listing.in_flight is not None:
            self.listing = doubt(self.listing, at=self.tick())

    def heal(self) -> None:
        """No more buyers: import, look where it is due, push, until nothing is left to do."""
        for _ in range(ROUNDS_MAX):
            while self.unseen_sales:
                self.import_one()
            while self.taken_in:
                self.apply()
            self.drain()
            self.accept()
            if self.listing.look_due_at is not None or self.listing.basis is None:
                self.see()
                self.accept()
            self.send()
            self.arrive()
            self.answer()
            if self.listing.state is ListingState.IN_STEP and self.listing.look_due_at is None:
                return
        raise AssertionError(f"never came to rest: {self.listing}")


# What happens all the time stands here more often.
STEPS = [
    *(["sell", "import_one", "send", "arrive", "answer"] * 3),
    *["restock", "receive", "import_newest", "see", "accept", "lose_answer"],
]
histories = st.lists(st.sampled_from(STEPS), min_size=10, max_size=30)


@pytest.mark.proves("I-20", "I-21", "I-22", "F01", "F02", "F15")
@pytest.mark.parametrize("is_comparing", [True, False])
@settings(max_examples=300)
@given(steps=histories)
def test_after_any_history_the_channel_shows_the_desired_quantity(listings, is_comparing, steps):
    shop = Shop(listings, is_comparing=is_comparing)
    for step in steps:
        getattr(shop, step)()
    shop.heal()
    assert shop.quantity == shop.listing.desired == max(0, shop.shelf)


@pytest.mark.proves("I-20", "I-21", "I-23", "F09", "F15")
@settings(max_examples=300)
@given(steps=st.lists(st.sampled_from([*STEPS, *["apply"] * 3, "forget"]), max_size=40))
def test_a_channel_that_applies_later_or_never_comes_to_the_desired_quantity(listings, steps):
    shop = Shop(listings, is_comparing=False, is_slow=True)
    for step in steps:
        getattr(shop, step)()
    shop.heal()
    assert shop.quantity == shop.listing.desired == max(0, shop.shelf)
    assert shop.listing.unproved_since is None


@pytest.mark.proves("I-20", "I-24", "F15", "F17")
@pytest.mark.parametrize("is_slow", [True, False])
@settings(max_examples=200)
@given(steps=st.lists(st.sampled_from([*STEPS, *["drain"] * 3, "apply"]), max_size=40))
def test_where_growths_wait_the_channel_comes_to_the_desired_quantity(listings, is_slow, steps):
    shop = Shop(listings, is_comparing=False, is_slow=is_slow, is_late=True)
    shop.want(shop.listing)
    for step in steps:
        before = shop.listing
        getattr(shop, step)()
        if step == "send" and shop.listing.in_flight != before.in_flight:
            is_more = shop.listing.sent > before.shown
            grew_at = before.rises.at
            assert not is_more or grew_at is None or shop.listing.sent <= before.rises.ready
    shop.heal()
    assert shop.quantity == shop.listing.desired == max(0, shop.shelf)


@pytest.mark.proves("I-20", "F39")
@pytest.mark.parametrize("is_comparing", [True, False])
@given(steps=st.lists(st.sampled_from([*STEPS, "hand_edit"]), max_size=40))
def test_after_hand_edits_one_look_is_enough(listings, is_comparing, steps):
    shop = Shop(listings, is_comparing=is_comparing)
    for step in steps:
        getattr(shop, step)()
    shop.heal()
    shop.listing = replace(shop.listing, look_due_at=shop.tick())  # what reconcile does
    shop.heal()
    shop.see()
    shop.accept()
    shop.heal()
    assert shop.quantity == shop.listing.desired == max(0, shop.shelf)
