"""An order without its people is the same order; what may still need them is named."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.personal import PERSONAL_FIELDS, Unfinished, obstacles, without_people
from oms_sync.domain.values import Address, Person

START = datetime(2026, 5, 1, tzinfo=UTC)
people = st.none() | st.builds(
    Person,
    name=st.sampled_from(["Vilja Canaryberg", None]),
    channel_buyer_id=st.sampled_from(["b-1", None]),
    address=st.none() | st.just(Address(lines=("Canary Lane 7",), city="Canaryville")),
)
sights = st.builds(
    lambda second, facts: first_sight(
        "shop-a",
        OrderSight(
            channel_order_id="1",
            version=Version(START + timedelta(seconds=second), START + timedelta(seconds=second)),
            facts=facts,
            lines=(),
        ),
    ),
    st.integers(0, 3),
    st.builds(
        OrderFacts,
        channel_status=st.sampled_from(["paid", None]),
        shipping_service=st.sampled_from(["post", None]),
        buyer=people,
        recipient=people,
        buyer_note=st.sampled_from(["ring twice", None]),
    ),
)


@given(sights, sights)
def test_forgetting_before_or_after_a_merge_is_the_same_but_for_the_people(one, two):
    forgotten = without_people(merge(one, two))
    assert forgotten == without_people(merge(without_people(one), without_people(two)))
    assert forgotten == without_people(forgotten)
    assert all(getattr(forgotten.facts, name) is None for name in PERSONAL_FIELDS)
    both = merge(one, two).facts
    assert forgotten.facts.channel_status == both.channel_status
    assert forgotten.facts.shipping_service == both.shipping_service


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"state": OrderState.CANCELLED}, []),
        ({"state": OrderState.OPEN}, ["it is open; it can be erased once it is"]),
        ({"state": OrderState.HELD, "untold": 1}, ["it is held", "was not told of 1 shipments"]),
        ({"is_reserve_due": True}, ["its reservation"]),
        ({"unwritten": 2}, ["2 changes of it wait to show"]),
    ],
)
def test_what_keeps_an_order_from_being_erased_is_said(changes, said):
    fields = {"state": OrderState.CLOSED, "is_reserve_due": False, "untold": 0, "unwritten": 0}
    found = obstacles(Unfinished(**{**fields, **changes}))
    assert len(found) == len(said)
    assert all(part in one for part, one in zip(said, found, strict=True))
