"""A no to a buyer's request to cancel holds for that request, and for no newer or other one."""

from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.cancel_requests import (
    Declined,
    decline,
    is_declined,
    requested_lines,
    still_declined,
)
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import OrderFacts, OrderSight, Version, hold_codes

START = datetime(2026, 3, 1, tzinfo=UTC)
WHOLE = "cancellation_requested"
A, B = f"{WHOLE}:A", f"{WHOLE}:B"


def sight(second, *holds, channel_order_id="1001", is_silent=False):
    return first_sight(
        "shop-a",
        OrderSight(
            channel_order_id=channel_order_id,
            version=Version(START + timedelta(seconds=second), START + timedelta(seconds=second)),
            facts=OrderFacts(channel_holds=None if is_silent else tuple(sorted(holds))),
        ),
    )


def fold(state, seen):
    known, declined = state
    return merge(known, seen), still_declined(declined, seen)


def held(state):
    """The holds that stand, as the hub derives them."""
    known, declined = state
    codes = hold_codes(known, has_unmapped_sku=False)
    return [code for code in codes if not is_declined(declined, known, code)]


def declined_at(second, *holds):
    known = sight(second, *holds)
    return known, decline(known)


@pytest.mark.parametrize(
    ("codes", "lines"),
    [
        ((), None),
        (("manual", "channel:fraud_review"), None),
        (("channel:cancellation_requested",), frozenset()),
        (("channel:cancellation_requested:L1",), frozenset({"L1"})),
        (("channel:cancellation_requested:L1", "channel:cancellation_requested:L:2"),
         frozenset({"L1", "L:2"})),
        (("channel:cancellation_requested:L1", "channel:cancellation_requested"), frozenset()),
        (("channel:cancellation_requested_once",), None),
    ],
)  # fmt: skip
def test_which_lines_a_buyer_asked_to_cancel(codes, lines):
    assert requested_lines(codes) == lines


def test_the_same_standing_request_holds_its_order_no_more():
    state = declined_at(1, WHOLE)
    assert held(state) == []
    for second in (1, 2, 9):
        state = fold(state, sight(second, WHOLE))
        assert held(state) == []


def test_nothing_is_declined_where_nothing_is_asked():
    assert decline(sight(1, "fraud_review")) is None
    assert decline(sight(1, is_silent=True)) is None


def test_a_request_that_went_and_came_back_holds_again():
    state = fold(declined_at(1, WHOLE), sight(2))
    assert (held(state), state[1]) == ([], None)
    assert held(fold(state, sight(3, WHOLE))) == [f"channel:{WHOLE}"]


def test_a_request_about_another_line_or_the_whole_order_holds():
    state = declined_at(1, A)
    assert held(fold(state, sight(2, A, B))) == [f"channel:{B}"]
    assert held(fold(state, sight(2, WHOLE))) == [f"channel:{WHOLE}"]
    again = fold(state, sight(2, A, B))
    assert held((again[0], decline(again[0]))) == []


def test_a_no_to_the_whole_order_is_one_to_each_of_its_lines_while_they_ask():
    state = fold(declined_at(1, WHOLE), sight(2, A))
    assert held(state) == []
    assert held(fold(state, sight(3, A, B))) == [f"channel:{B}"], "that line had let go"


def test_holds_of_the_channel_that_are_no_requests_stay():
    state = declined_at(1, WHOLE, "fraud_review")
    assert held(state) == ["channel:fraud_review"]


def test_a_sight_that_is_silent_or_no_newer_changes_nothing():
    state = declined_at(5, WHOLE)
    assert fold(state, sight(9, is_silent=True))[1] == state[1]
    assert fold(state, sight(4))[1] == state[1]


def test_a_no_is_not_heard_under_another_id():
    known, declined = declined_at(1, WHOLE)
    renamed = sight(2, WHOLE, channel_order_id="2002")
    assert still_declined(declined, renamed) == declined
    assert held((renamed, declined)) == [f"channel:{WHOLE}"]
    assert known.ref != renamed.ref


requests = st.sampled_from([(), (WHOLE,), (A,), (B,), (A, B), ("fraud_review",), (A, "x")])
sights = st.builds(
    lambda second, holds, is_silent: sight(second, *holds, is_silent=is_silent),
    st.integers(0, 6),
    requests,
    st.sampled_from([False, False, True]),
)


@pytest.mark.proves("I-07")
@given(
    asked=st.sampled_from([(WHOLE,), (A,), (A, B)]),
    seen=st.lists(sights, max_size=6, unique_by=lambda one: one.version),
    chance=st.randoms(use_true_random=False),
)
def test_any_sequence_of_sights_after_a_no_leaves_the_same_holds(asked, seen, chance):
    shuffled = [*seen, *(chance.choices(seen, k=2) if seen else ())]
    chance.shuffle(shuffled)
    begin = declined_at(3, *asked)
    one, other = reduce(fold, seen, begin), reduce(fold, shuffled, begin)
    assert one == other
    assert held(one) == held(other)


@given(
    seen=st.lists(sights, max_size=6),
    lines=st.sets(st.sampled_from("AB")).map(frozenset),
)
def test_a_no_never_grows(seen, lines):
    declined = Declined(channel_order_id="1001", version=Version(START, START), lines=lines)
    for one in seen:
        left = still_declined(declined, one)
        if left is None:
            return
        assert not declined.lines or left.lines <= declined.lines
        declined = left
