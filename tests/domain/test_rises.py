"""Growths that wait for orders: never sent before their time, and never put off for good."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.listing import (
    ListingState,
    claim,
    confirm,
    explain_rises,
    give_up,
    postpone,
    unrefused,
    want,
)
from oms_sync.domain.looks import look
from oms_sync.domain.taken import take

LAG = 3


def at(seconds):
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.mark.proves("I-24")
def test_a_growth_waits_for_the_orders_placed_before_it_and_a_decrease_does_not(listings):
    grown = want(listings.seen(5), 9, at=at(10))
    assert (grown.rises.at, grown.due, grown.wants_push) == (at(10), 5, False)
    assert (grown.state, grown.generation) == (ListingState.BEHIND, 2)
    assert explain_rises(grown, until=at(9.9)) == grown
    explained = explain_rises(grown, until=at(10))
    assert (explained.rises.at, explained.due, explained.wants_push) == (None, 9, True)
    less = want(grown, 3, at=at(11))
    assert (less.due, less.wants_push) == (3, True), "fewer than are on sale"
    assert not want(grown, 7, at=at(11)).wants_push, "still more than are on sale"


def test_without_a_moment_nothing_waits(listings):
    grown = want(listings.seen(5), 9)
    assert (grown.rises.at, grown.wants_push) == (None, True)
    waiting = want(listings.seen(5), 9, at=at(10))
    assert want(waiting, 8).wants_push, "the account has no lag any more"
    assert want(waiting, None, at=at(11)).rises.at is None
    assert want(waiting, 9, at=at(99)) == waiting


@pytest.mark.proves("I-20", "I-24")
def test_a_sale_of_the_channel_is_not_made_up_for_by_a_growth_that_waits(listings):
    grown = want(listings.seen(5), 9, at=at(10))
    sold = want(take(grown, 1, at=at(5)), 8, at=at(12))
    assert (sold.expected, sold.due, sold.wants_push) == (4, 4, False)
    back = want(take(grown, -1, at=at(11)), 10, at=at(12))
    assert (back.expected, back.due, back.wants_push) == (6, 6, False)


def test_a_push_claims_no_more_than_may_be_sent(listings):
    grown = want(want(listings.seen(5), 9, at=at(10)), 12, at=at(20))
    partly = explain_rises(grown, until=at(15))
    assert (partly.due, partly.rises.at, partly.wants_push) == (9, at(20), True)
    flying = claim(partly, push_id="p", at=at(21), is_comparing=False)
    assert (flying.sent, flying.in_flight.quantity) == (9, 9)
    done = confirm(flying, applied_at=at(22), at=at(22))
    assert (done.expected, done.wants_push, done.state) == (9, False, ListingState.BEHIND)
    assert explain_rises(done, until=at(20)).due == 12
    fewer = want(done, 10, at=at(23))
    assert (fewer.rises.ready, fewer.due) == (7, 9), "what is on sale is no more than there is"


def test_while_a_look_waits_too_only_units_too_many_are_taken_away(listings):
    grown = want(listings.seen(5), 9, at=at(10))
    looked = look(grown, 12, read_at=at(11), at=at(11))
    assert (looked.due, looked.wants_push) == (9, False)
    assert not look(grown, 7, read_at=at(11), at=at(11)).wants_push


@pytest.mark.proves("I-20", "I-24")
def test_a_growth_computed_together_with_a_sale_waits_too(listings):
    sold = take(listings.seen(10, desired=10), 4, at=at(5))
    same = want(sold, 10, at=at(10))
    assert (same.expected, same.due, same.wants_push) == (6, 6, False), "four came in as well"
    assert (same.rises.at, same.generation) == (at(10), sold.generation)
    less = want(sold, 9, at=at(10))
    assert (less.due, less.wants_push) == (6, False)
    assert explain_rises(less, until=at(10)).due == 9
    assert want(sold, 6, at=at(10)).rises.at is None, "only the sale"
    again = want(take(same, 3, at=at(12)), 10, at=at(20))
    assert (again.rises.at, again.due) == (at(10), 3), "the first keeps its moment"
    assert explain_rises(again, until=at(10)).due == 7


@pytest.mark.proves("I-24")
def test_what_a_channel_put_back_itself_is_no_growth(listings):
    back = want(take(listings.seen(6, desired=6), -4, at=at(5)), 10, at=at(10))
    assert (back.expected, back.rises.at) == (10, None)
    known = want(take(listings.seen(6, desired=6), 4, at=at(-5)), 6, at=at(10))
    assert (known.expected, known.rises.at) == (6, None), "it was inside what was seen"


# --- any history ---------------------------------------------------------------------------------

changes = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=1, max_size=30)


@pytest.mark.proves("I-24")
@given(changes=changes)
def test_no_growth_is_sent_before_its_orders_are_in_the_books(listings, changes):
    listing, grew, explained = listings.seen(0, desired=0), [], at(0)
    for second, (change, is_pass) in enumerate(changes, start=1):
        before = listing.desired
        listing = want(listing, max(0, before + change), at=at(second))
        grew.append((at(second), max(0, listing.desired - before)))
        if is_pass:
            explained = at(second - LAG)
            listing = explain_rises(listing, until=explained)
        waiting = sum(units for moment, units in grew if moment > explained)
        assert listing.due <= max(0, listing.desired - waiting)
    last = explain_rises(listing, until=at(len(changes)))
    assert (last.due, last.rises.at) == (listing.desired, None)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_however_often_it_grows_each_growth_comes_to_its_turn(listings, every):
    listing, wanted = listings.seen(0, desired=0), {0: 0}
    for second in range(1, 60):
        listing = want(listing, wanted[second - 1] + 1, at=at(second))
        wanted[second] = listing.desired
        if second % every == 0:  # a pass that began now ended
            listing = explain_rises(listing, until=at(second - LAG))
        oldest = max(0, second - 2 * (LAG + every))
        assert listing.due >= wanted[oldest]


# --- what rests ----------------------------------------------------------------------------------


@pytest.mark.proves("I-23")
def test_what_a_channel_takes_later_rests_until_its_time_or_another_quantity(listings):
    resting = postpone(listings.sent(listings.seen(5, desired=9)), "later", until=at(300))
    assert (resting.wants_push, resting.expected, resting.in_flight) == (False, 5, None)
    assert (resting.state, resting.reason) == (ListingState.BEHIND, "later")
    assert want(resting, 8).wants_push
    assert unrefused(resting).wants_push


@pytest.mark.proves("I-23")
def test_what_a_channel_never_shows_is_refused_until_its_time_or_another_quantity(listings):
    given_up = give_up(listings.seen(5, desired=9), "no", until=at(3600))
    assert (given_up.state, given_up.reason) == (ListingState.REFUSED, "no")
    assert not given_up.wants_push
    assert want(given_up, 3).wants_push
    assert unrefused(given_up).wants_push


def test_what_the_channel_says_is_wrong_is_shown_until_a_look_shows_nothing_wrong(listings):
    wrong = look(listings.seen(5), 5, read_at=at(1), at=at(1), problem="image missing")
    assert wrong.reason == "image missing"
    assert replace(wrong, held_reason="drift").reason == "drift"
    assert look(wrong, 5, read_at=at(2), at=at(2)).reason is None


def test_a_newer_quantity_does_not_rest_for_the_one_that_was_put_off(listings):
    flying = listings.sent(listings.seen(9, desired=5))
    newer = postpone(want(flying, 2), "later", until=at(300))
    assert (newer.retry_at, newer.wants_push) == (None, True)
