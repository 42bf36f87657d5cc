"""Portable lines: a line is where it was seen last, an old id tells nothing of what came after."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.portable import (
    absorb,
    follow,
    is_newer,
    takes,
    unlisted,
    with_lines,
    without_lines,
)
from oms_sync.domain.values import Money, Person

START = datetime(2026, 3, 1, tzinfo=UTC)


def seen(name, minute, *line_ids, **facts):
    at = START + timedelta(minutes=minute)
    listed = {"line_ids": line_ids} if line_ids else {}
    sight = OrderSight(
        channel_order_id=name,
        version=Version(at, at),
        facts=OrderFacts(**{**listed, **facts}),
        lines=tuple(LineSight(channel_line_id=one, quantity_ordered=1) for one in line_ids),
    )
    return first_sight("shop-a", sight)


def ids(order):
    return [one.line.channel_line_id for one in order.lines]


@pytest.mark.parametrize(
    ("there", "here", "is_taken"),
    [
        (seen("A", 1, "a"), seen("C", 2, "a", "b"), True),
        (seen("A", 2, "a"), seen("C", 1, "a", "b"), False),
        # of one version, the sight of more lines
        (seen("Z", 1, "a"), seen("C", 1, "a", "b"), True),
        (seen("C", 1, "a", "b"), seen("Z", 1, "a"), False),
        # of as many lines, always the same one
        (seen("A", 1, "a"), seen("P", 1, "a"), True),
        (seen("P", 1, "a"), seen("A", 1, "a"), False),
    ],
)
def test_a_line_is_where_its_newest_sight_showed_it(there, here, is_taken):
    assert takes(there.lines[0], there, here) is is_taken
    assert is_newer(here, there) is is_taken


def test_a_sight_without_lines_is_never_the_newer():
    assert not is_newer(seen("P", 2), seen("A", 1, "a"))


def test_an_order_goes_by_the_id_of_its_newest_sight():
    old = seen("A", 1, "a", state=OrderState.PENDING, placed_at=START)
    new = seen("P", 2, "a", state=OrderState.OPEN)
    for order in (follow(old, new), follow(new, old)):
        assert order.ref.channel_order_id == "P"
        assert (order.facts.state, order.facts.placed_at) == (OrderState.OPEN, START)
    assert follow(old, new) == follow(new, old) == follow(follow(old, new), old)


def test_under_one_id_a_sight_is_merged_as_ever():
    order = follow(seen("A", 1, "a"), seen("A", 2, state=OrderState.CANCELLED))
    assert order.is_cancelled


def test_of_an_old_id_only_what_describes_buyer_and_lines_is_kept():
    every = {
        "channel_order_number": "#1",
        "channel_status": "gone",
        "state": OrderState.PENDING,
        "cancelled_at": START,
        "placed_at": START,
        "ship_by": START,
        "currency": "EUR",
        "are_taxes_included": True,
        "fulfilled_by": "seller",
        "is_test": False,
        "shipping_service": "post",
        "import_tax_number": "IM1234567890",
        "buyer_note": "Ring twice",
        "buyer": Person(name="Buyer"),
        "recipient": Person(name="Buyer"),
        "channel_holds": ("review",),
        "channel_programmes": ("express",),
        "unmapped_codes": ("order_status: odd",),
        "is_complete": False,
        **{
            name: Money(Decimal("1.00"), "EUR")
            for name in (
                *("total", "shipping", "tax", "discount", "tax_remitted"),
                "presentment_total",
            )
        },
    }
    old = seen("A", 1, "a", **every)
    assert all(getattr(old.facts, one.name) is not None for one in fields(OrderFacts))
    bare = replace(seen("P", 2, "a"), facts=OrderFacts())
    kept = {
        *("placed_at", "ship_by", "currency", "are_taxes_included", "fulfilled_by"),
        *("is_test", "shipping_service", "buyer", "recipient", "channel_programmes"),
        *("import_tax_number", "buyer_note"),
    }
    for order in (follow(bare, old), follow(old, bare), absorb(bare, old)):
        said = {
            one.name for one in fields(OrderFacts) if getattr(order.facts, one.name) is not None
        }
        assert said == kept
        assert ids(order) == ["a"]
        assert not order.has_left(order.lines[0])


def test_an_old_id_that_says_something_new_without_lines_is_not_listened_to():
    order = seen("P", 2, "a")
    assert follow(order, seen("A", 3, state=OrderState.CANCELLED, currency="EUR")) == order


def test_lines_come_and_go_with_what_is_known_of_them():
    one, two = seen("A", 1, "a", "b"), seen("C", 2, "c")
    moved = with_lines(two, (line for line in one.lines if line.line.channel_line_id == "b"))
    assert ids(moved) == ["b", "c"]
    assert moved.lines[0] == one.lines[1]
    assert (moved.facts, moved.version) == (two.facts, two.version)
    assert ids(without_lines(one, {"b"})) == ["a"]
    assert with_lines(moved, moved.lines) == moved


def test_an_order_without_a_list_has_lost_no_line():
    order = with_lines(seen("C", 2, "c"), seen("A", 1, "a").lines)
    assert order.has_left(order.lines[0])
    assert not unlisted(order).has_left(order.lines[0])


stories = st.lists(
    st.builds(
        lambda name, minute, lines: seen(name, minute, *sorted(lines), state=OrderState.OPEN),
        st.sampled_from("AP"),
        st.integers(0, 3),
        st.sets(st.sampled_from("ab"), min_size=1),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda order: (order.version, order.ref),
)


@pytest.mark.proves("I-07")
@given(stories, st.randoms(use_true_random=False))
def test_following_twice_or_in_another_order_ends_under_the_same_id(story, chance):
    def told(sights):
        first, *more = sights
        for one in more:
            first = follow(first, one)
        return first

    again = [*story, *chance.choices(story, k=2)]
    chance.shuffle(again)
    newest = max(story, key=lambda one: (one.version, len(one.lines), one.ref.channel_order_id))
    for order in (told(story), told(again)):
        assert order.ref == newest.ref
        assert order.version == newest.version
        assert set(ids(order)) == {line for one in story for line in ids(one)}
