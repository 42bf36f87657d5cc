"""A listing's four numbers, step by step."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.domain.listing import (
    Listing,
    ListingState,
    claim,
    confirm,
    doubt,
    in_push_order,
    lose,
    refuse,
    release,
    turn_stale,
    want,
)
from oms_sync.domain.looks import Drift, accept_look, agree, is_look_expected, look
from oms_sync.domain.taken import take
from oms_sync.domain.values import Sku

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def blank(**values) -> Listing:
    return Listing(
        **{
            "listing_id": "l-1",
            "account": "shop-a",
            "channel_listing_id": "c-1",
            "channel_sku": "TEE",
            "sku": Sku("TEE"),
            **values,
        }
    )


def seen(quantity: int = 5, *, desired: int | None = 5, when: float = 0) -> Listing:
    """A listing looked at once, the look accepted."""
    looked = look(want(blank(), desired), quantity, read_at=at(when), at=at(when))
    return accept_look(looked, "overwrite")[0]


def sent(listing: Listing, *, is_comparing: bool = True, when: float = 10) -> Listing:
    return claim(listing, push_id="p-1", at=at(when), is_comparing=is_comparing)


@pytest.mark.parametrize(
    ("listing", "state", "wants_push"),
    [
        (blank(sku=None, desired=3), ListingState.UNLINKED, False),
        (blank(), ListingState.UNCOUNTED, False),
        (want(blank(), 3), ListingState.UNSEEN, False),
        (seen(5, desired=5), ListingState.IN_STEP, False),
        (seen(5, desired=3), ListingState.BEHIND, True),
        (sent(seen(5, desired=3)), ListingState.SENT, False),
        (replace(seen(5, desired=3), held_reason="look at me"), ListingState.HELD, False),
        (refuse(sent(seen(5, desired=3)), "no"), ListingState.REFUSED, False),
        (want(refuse(sent(seen(5, desired=3)), "no"), 2), ListingState.BEHIND, True),
        (lose(seen(5, desired=3), "gone"), ListingState.REFUSED, False),
        (want(lose(seen(5, desired=3), "gone"), 2), ListingState.BEHIND, True),
        (turn_stale(sent(seen(5, desired=3)), at=at(11)), ListingState.BEHIND, False),
        (doubt(sent(seen(5, desired=3)), at=at(11)), ListingState.UNSEEN, False),
        (release(sent(seen(5, desired=3))), ListingState.BEHIND, True),
        (look(seen(5, desired=3), 5, read_at=at(1), at=at(1)), ListingState.BEHIND, True),
        (look(seen(5, desired=7), 5, read_at=at(1), at=at(1)), ListingState.BEHIND, False),
    ],
)
def test_the_state_a_person_reads_and_whether_a_push_is_due(listing, state, wants_push):
    assert listing.state is state
    assert listing.wants_push is wants_push


@pytest.mark.proves("I-21", "I-27")
def test_only_a_changed_desired_quantity_is_a_new_generation():
    once = want(blank(), 3)
    assert (once.generation, want(once, 3)) == (1, once)
    assert want(once, 4).generation == 2


@pytest.mark.proves("I-22")
def test_a_claim_sends_the_absolute_quantity_and_what_it_compares_with():
    flight = sent(take(seen(5, desired=3), 1, at=at(1))).in_flight
    assert flight is not None
    assert (flight.quantity, flight.compare, flight.taken) == (3, 4, 1)
    plain = sent(seen(5, desired=3), is_comparing=False)
    assert plain.sent == 3
    assert plain.in_flight is not None
    assert plain.in_flight.compare is None


def test_a_confirmed_push_is_the_new_basis():
    done = confirm(sent(seen(5, desired=3)), applied_at=at(11), at=at(11))
    assert (done.expected, done.confirmed, done.confirmed_at) == (3, 3, at(11))
    assert (done.in_flight, done.state) == (None, ListingState.IN_STEP)
    sold = take(done, 2, at=at(12))
    assert sold.expected == 1
    assert take(sold, -2, at=at(13)).expected == 3


def test_a_confirmed_push_clears_an_old_refusal_and_the_count_of_stale_ones():
    listing = replace(want(refuse(sent(seen(5, desired=3)), "no"), 2), stale_count=4)
    done = confirm(sent(listing), applied_at=at(20), at=at(20))
    assert (done.refused_reason, done.refused_generation, done.stale_count) == (None, None, 0)


@pytest.mark.proves("I-20", "I-21")
def test_a_sale_before_a_push_imported_after_it_triggers_another_push():
    """Without compare-and-set the push erased the sale at the channel."""
    done = confirm(sent(seen(5, desired=4), is_comparing=False), applied_at=at(11), at=at(11))
    imported = want(take(done, 1, at=at(9)), 3)
    assert imported.expected == 4
    assert imported.wants_push
    later = want(take(done, 1, at=at(15)), 3)
    assert later.expected == 3
    assert not later.wants_push


@pytest.mark.proves("I-20", "I-21", "I-24")
@pytest.mark.parametrize("second", [8, 10, 11, 12])
def test_of_a_sale_in_the_seconds_of_a_push_only_a_look_can_tell_whether_it_was_erased(second):
    """The call took two seconds, its answer was stamped within, and so was the sale."""
    flying = sent(seen(5, desired=4, when=0), is_comparing=False)
    done = confirm(flying, applied_at=at(11), at=at(12))
    unsure = want(want(take(done, 1, at=at(second) + timedelta(milliseconds=500)), 3), 4)
    assert not unsure.wants_push
    assert (unsure.look_due_at, unsure.state) == (
        at(second + 1) + timedelta(milliseconds=500),
        ListingState.SENT,
    )
    shown, drift = accept_look(look(unsure, 3, read_at=at(20), at=at(20)), "hold")
    assert drift is None
    assert (shown.expected, shown.wants_push) == (3, True)


@pytest.mark.proves("I-20")
@pytest.mark.parametrize("second", [7, 14])
def test_of_a_sale_well_before_or_after_a_push_the_books_are_sure(second):
    flying = sent(seen(5, desired=4, when=0), is_comparing=False)
    done = confirm(flying, applied_at=at(11), at=at(12))
    sure = take(done, 1, at=at(second))
    assert (sure.expected, sure.look_due_at) == (4 if second == 7 else 3, None)


@pytest.mark.proves("I-20", "I-21")
def test_a_sale_imported_during_a_flight_without_compare_asks_for_a_look():
    """Nobody can say whether it was placed before the push, which then erased it."""
    flying = sent(seen(5, desired=4, when=0), is_comparing=False)
    done = confirm(want(take(flying, 1, at=at(9)), 3), applied_at=at(11), at=at(11))
    assert done.expected is None
    assert done.look_due_at == at(10)
    assert not done.wants_push
    seen_again, drift = accept_look(look(done, 4, read_at=at(12), at=at(12)), "hold")
    assert drift is None
    assert (seen_again.expected, seen_again.wants_push) == (4, True)


def test_a_sale_and_a_restock_during_a_flight_do_not_hide_each_other():
    flying = sent(seen(5, desired=4, when=0), is_comparing=False)
    done = confirm(take(take(flying, 1, at=at(9)), -1, at=at(12)), applied_at=at(11), at=at(11))
    assert (done.expected, done.look_due_at) == (None, at(10))


def test_a_look_that_agrees_leaves_the_basis_and_confirms_what_is_desired():
    stale = turn_stale(sent(seen(5, desired=5)), at=at(11))
    done = agree(look(stale, 5, read_at=at(12), at=at(13)))
    assert (done.look, done.stale_count, done.basis) == (None, 0, stale.basis)
    assert (done.confirmed, done.confirmed_at) == (5, at(12))
    behind = agree(look(seen(5, desired=3), 5, read_at=at(12), at=at(13)))
    assert (behind.confirmed, behind.confirmed_at, behind.wants_push) == (None, None, True)
    with pytest.raises(AssertionError):
        agree(seen(5))


def test_a_look_is_expected_when_the_books_explain_it():
    listing = take(seen(5), 1, at=at(3))
    assert not is_look_expected(listing)
    assert is_look_expected(look(listing, 4, read_at=at(4), at=at(4)))
    assert not is_look_expected(look(listing, 5, read_at=at(4), at=at(4)))
    assert is_look_expected(take(look(listing, 4, read_at=at(4), at=at(4)), 1, at=at(9)))


@pytest.mark.proves("I-20")
def test_with_compare_a_sale_imported_during_the_flight_came_after_it():
    flying = sent(seen(5, desired=4, when=0))
    done = confirm(want(take(flying, 1, at=at(12)), 3), applied_at=at(11), at=at(11))
    assert (done.expected, done.wants_push) == (3, False)


@pytest.mark.proves("I-20", "F17")
@pytest.mark.parametrize("is_flying", [True, False])
def test_a_sale_the_look_already_contained_is_not_counted_after_the_push(is_flying):
    """It shows up late, during or after the flight; the compare value had it inside."""
    flying = sent(seen(4, desired=5, when=5))
    if is_flying:
        done = confirm(take(flying, 1, at=at(3)), applied_at=at(11), at=at(11))
    else:
        done = take(confirm(flying, applied_at=at(11), at=at(11)), 1, at=at(3))
    assert done.expected == 5
    assert want(done, 4).wants_push


def test_a_confirmation_without_any_basis_has_only_its_own():
    flying = replace(sent(seen(5, desired=3)), basis=None)
    assert confirm(flying, applied_at=at(11), at=at(11)).expected == 3


def test_a_stale_push_applied_nothing_and_asks_for_a_look():
    stale = turn_stale(sent(seen(5, desired=3)), at=at(11))
    assert (stale.expected, stale.stale_count, stale.look_due_at) == (5, 1, at(11))
    assert turn_stale(sent(stale), at=at(12)).stale_count == 2


def test_after_a_lost_answer_nothing_is_expected_until_a_look():
    doubted = doubt(sent(seen(5, desired=3)), at=at(11))
    assert (doubted.expected, doubted.in_flight, doubted.look_due_at) == (None, None, at(11))
    for shown in (5, 3):  # not applied, applied
        listing, drift = accept_look(look(doubted, shown, read_at=at(12), at=at(12)), "hold")
        assert drift is None
        assert listing.expected == shown
        assert listing.wants_push is (shown == 5)


@pytest.mark.proves("I-20")
def test_a_look_counts_what_was_sold_before_it_whenever_that_is_imported():
    looked = look(seen(5, desired=5), 4, read_at=at(10), at=at(99))
    assert looked.looked_at == at(99)
    imported = take(looked, 1, at=at(9))
    listing, drift = accept_look(imported, "overwrite")
    assert (listing.expected, drift) == (4, None)
    later, drift = accept_look(take(imported, 1, at=at(11)), "overwrite")
    assert (later.expected, drift) == (3, None)


@pytest.mark.proves("F39")
@pytest.mark.parametrize("policy", ["overwrite", "adopt", "hold"])
def test_drift_is_named_and_treated_by_policy(policy):
    listing, drift = accept_look(look(seen(5), 9, read_at=at(10), at=at(10)), policy)
    assert drift == Drift(listing_id="l-1", expected=5, found=9)
    assert listing.expected == 9
    assert (listing.state is ListingState.HELD) is (policy == "hold")
    assert listing.wants_push is (policy != "hold")
    if policy == "hold":
        assert listing.held_reason == "the channel shows 9 where 5 was expected"


def test_a_look_that_shows_the_desired_quantity_confirms_it():
    stale = turn_stale(sent(seen(5, desired=3)), at=at(11))
    listing, drift = accept_look(look(stale, 3, read_at=at(12), at=at(13)), "overwrite")
    assert (listing.confirmed, listing.confirmed_at, listing.stale_count) == (3, at(12), 0)
    assert drift == Drift(listing_id="l-1", expected=5, found=3)
    uncounted, _ = accept_look(look(blank(), 3, read_at=at(1), at=at(1)), "overwrite")
    assert uncounted.confirmed is None


def test_what_is_not_there_cannot_be_answered_for():
    with pytest.raises(AssertionError):
        claim(blank(), push_id="p", at=at(0), is_comparing=True)
    with pytest.raises(AssertionError):
        confirm(blank(), applied_at=at(0), at=at(0))
    with pytest.raises(AssertionError):
        refuse(blank(), "no")
    with pytest.raises(AssertionError):
        accept_look(blank(), "hold")


@pytest.mark.proves("I-24")
def test_decreases_go_first_the_largest_first():
    moves = {"up": (2, 9), "down": (9, 2), "more-down": (20, 1), "unseen": (0, 0)}
    listings = [replace(seen(was, desired=now), listing_id=k) for k, (was, now) in moves.items()]
    order = [one.listing_id for one in in_push_order([blank(listing_id="none"), *listings])]
    assert order == ["more-down", "down", "none", "unseen", "up"]
