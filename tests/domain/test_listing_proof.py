"""Books that go by what only a look can prove: accepted pushes, and changes nobody can date."""

from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.domain.listing import (
    ListingState,
    accept_push,
    doubt,
    in_push_order,
    refuse,
    release,
    want,
)
from oms_sync.domain.looks import accept_look, agree, look, look_later
from oms_sync.domain.taken import take, unsettle


def at(seconds):
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)


# --- pushes that are only accepted ---------------------------------------------------------------


def accepted(listings, units=5, *, desired=3):
    flying = listings.sent(listings.seen(units, desired=desired, when=0))
    return accept_push(flying, applied_at=at(11), at=at(11), look_at=at(16))


@pytest.mark.proves("I-23")
def test_the_books_go_by_an_accepted_push_and_only_a_look_confirms_it(listings):
    taken_in = accepted(listings)
    assert (taken_in.expected, taken_in.confirmed, taken_in.look_due_at) == (
        3,
        None,
        at(16),
    )
    assert (taken_in.state, taken_in.wants_push) == (ListingState.SENT, False)
    proved = agree(look(taken_in, 3, read_at=at(17), at=at(17)))
    assert (proved.confirmed, proved.unproved_since) == (3, None)
    assert proved.state is ListingState.IN_STEP


@pytest.mark.proves("I-24")
def test_the_next_change_does_not_wait_for_an_accepted_push(listings):
    assert want(accepted(listings), 2).wants_push
    assert want(accepted(listings), 9).wants_push


@pytest.mark.proves("I-23", "F09")
def test_an_accepted_push_that_is_not_found_is_no_drift_and_is_sent_again(listings):
    looked = look(accepted(listings), 5, read_at=at(17), at=at(17))
    assert looked.wants_push, "five are offered where three are wanted"
    after, drift = accept_look(looked, "hold")
    assert drift is None
    assert (after.expected, after.wants_push, after.stale_count) == (5, True, 1)
    early = look_later(looked, at=at(20))
    assert (early.look, early.look_due_at, early.unproved_since) == (
        None,
        at(20),
        at(11),
    )


def test_a_sale_during_the_flight_of_an_accepted_push_leaves_everything_to_the_look(listings):
    flying = take(listings.sent(listings.seen(5, desired=3)), 1, at=at(9))
    unsure = accept_push(flying, applied_at=at(11), at=at(11), look_at=at(16))
    assert (unsure.expected, unsure.unproved_since, unsure.look_due_at) == (
        None,
        None,
        at(16),
    )


@pytest.mark.parametrize("end", [release, lambda one: refuse(one, "no")])
def test_an_accepted_push_is_proved_even_when_the_next_comes_to_nothing(listings, end):
    again = listings.sent(want(accepted(listings), 2))
    assert again.look_due_at is None
    assert end(again).look_due_at == at(11)
    assert end(listings.sent(listings.seen(5, desired=3))).look_due_at is None


@pytest.mark.proves("I-24")
def test_while_a_look_is_not_explained_only_units_too_many_are_taken_away(listings):
    looked = look(listings.seen(5, desired=5), 4, read_at=at(1), at=at(1))
    assert not looked.wants_push
    assert want(looked, 3).wants_push
    assert not want(looked, 9).wants_push
    assert not want(look(listings.seen(5, desired=5), 9, read_at=at(1), at=at(1)), 6).wants_push
    unknown = look(
        doubt(listings.sent(listings.seen(5, desired=3)), at=at(1)),
        5,
        read_at=at(2),
        at=at(2),
    )
    assert (unknown.shown, unknown.wants_push) == (5, True)
    assert [one.listing_id for one in in_push_order([unknown])] == ["l-1"]


# --- changes nobody can date ---------------------------------------------------------------------


@pytest.mark.proves("I-20", "I-21")
def test_a_change_at_an_unknown_moment_is_proved_by_a_look_and_holds_nothing_back(listings):
    """The order was seen at 5 and seen changed at 15; the quantity is of 10."""
    listing = listings.seen(5, desired=5, when=10)
    unsure = take(listing, -1, at=at(15), since=at(5))
    assert (unsure.expected, unsure.look_due_at, unsure.unproved_since) == (
        6,
        at(16),
        at(16),
    )
    assert unsure.wants_push
    after, drift = accept_look(look(unsure, 5, read_at=at(20), at=at(20)), "hold")
    assert (after.expected, drift, after.unproved_since) == (5, None, None)


@pytest.mark.parametrize(("since", "until"), [(10, 15), (5, 10), (11, 15)])
def test_a_change_surely_before_or_after_the_basis_needs_no_proof(listings, since, until):
    listing = listings.seen(5, desired=5, when=10)
    sure = take(listing, -1, at=at(until), since=at(since))
    assert sure == take(listing, -1, at=at(until))
    assert take(listing, 0, at=at(15), since=at(5)) == listing


@pytest.mark.proves("I-20", "I-21")
def test_a_look_that_may_or_may_not_contain_a_change_is_taken_again(listings):
    looked = look(listings.seen(5, when=0), 4, read_at=at(10), at=at(11))
    again = take(looked, 1, at=at(15), since=at(5))
    assert (again.look, again.look_due_at, again.expected) == (None, at(16), 4)


def test_a_flight_decides_by_itself_about_what_changed_meanwhile(listings):
    flying = listings.sent(listings.seen(5, desired=4, when=7))
    changed = take(flying, -1, at=at(15), since=at(5))
    assert (changed.unproved_since, changed.look_due_at) == (None, at(10))


@pytest.mark.proves("I-21")
def test_where_a_channel_is_silent_about_units_put_back_only_a_look_tells(listings):
    unsure = unsettle(listings.seen(5, desired=5), at=at(3))
    assert (unsure.expected, unsure.look_due_at, unsure.unproved_since) == (5, at(3), at(3))
    again = unsettle(unsure, at=at(9))
    assert (again.look_due_at, again.unproved_since) == (at(3), at(3))
    flying = unsettle(listings.sent(listings.seen(5, desired=3)), at=at(12))
    assert (flying.look_due_at, flying.unproved_since) == (at(10), None)
