"""Shipments: what may leave, and how ours is recognised at the channel."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.errors import ShipmentRefused
from oms_sync.domain.order import OrderState
from oms_sync.domain.shipment import (
    ChannelShipment,
    Package,
    Shipment,
    ShipmentLine,
    check_shippable,
    find_again,
    find_shipment,
)


def ours(lines: dict[str, int], *numbers: str | None) -> Shipment:
    return Shipment(
        shipment_id="s-1",
        order_id="o-1",
        account="shop-a",
        channel_order_id="1001",
        lines=tuple(
            ShipmentLine(line_id=f"ours-{line}", channel_line_id=line, quantity=units)
            for line, units in lines.items()
        ),
        packages=tuple(Package(carrier="ups", tracking_number=number) for number in numbers),
        shipped_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


def theirs(ident: str, lines: dict[str, int], *numbers: str, **more) -> ChannelShipment:
    return ChannelShipment(channel_shipment_id=ident, lines=lines, tracking_numbers=numbers, **more)


WHOLE = {"a": 2, "b": 1}


@pytest.mark.proves("I-28")
@pytest.mark.parametrize(
    ("shipment", "known", "claimed", "parts", "missing"),
    [
        # nothing there yet
        (ours(WHOLE, "T1"), [], [], [], WHOLE),
        # there, whole
        (ours(WHOLE, "T1"), [theirs("1", WHOLE, "T1")], [], ["1"], {}),
        # another number, or more numbers than ours: not ours
        (ours(WHOLE, "T1"), [theirs("1", WHOLE, "T2")], [], [], WHOLE),
        (ours(WHOLE, "T1"), [theirs("1", WHOLE, "T1", "T2")], [], [], WHOLE),
        # several packages stand together, in any order
        (ours(WHOLE, "T1", "T2"), [theirs("1", WHOLE, "T2", "T1")], [], ["1"], {}),
        # cancelled at the channel: not there
        (ours(WHOLE, "T1"), [theirs("1", WHOLE, "T1", is_cancelled=True)], [], [], WHOLE),
        # claimed by another shipment of ours
        (ours(WHOLE, "T1"), [theirs("1", WHOLE, "T1")], ["1"], [], WHOLE),
        # in parts, all there
        (
            ours(WHOLE, "T1"),
            [theirs("1", {"a": 2}, "T1"), theirs("2", {"b": 1}, "T1")],
            [],
            ["1", "2"],
            {},
        ),
        # in parts, one missing
        (ours(WHOLE, "T1"), [theirs("1", {"a": 1}, "T1")], [], ["1"], {"a": 1, "b": 1}),
        # the whole one is preferred to parts
        (
            ours(WHOLE, "T1"),
            [theirs("1", {"a": 1}, "T1"), theirs("2", WHOLE, "T1")],
            [],
            ["2"],
            {},
        ),
        # more units or foreign lines under our number: not a part of ours
        (ours(WHOLE, "T1"), [theirs("1", {"a": 3}, "T1")], [], [], WHOLE),
        (ours(WHOLE, "T1"), [theirs("1", {"c": 1}, "T1")], [], [], WHOLE),
        # without tracking only the same lines are a match, never parts
        (ours(WHOLE, None), [theirs("1", WHOLE)], [], ["1"], {}),
        (ours(WHOLE, None), [theirs("1", {"a": 2})], [], [], WHOLE),
        (ours(WHOLE, None), [theirs("1", WHOLE, "T1")], [], [], WHOLE),
    ],
)
def test_ours_is_recognised_among_the_channels_dispatches(shipment, known, claimed, parts, missing):
    found = find_shipment(shipment, known, claimed)
    assert [one.channel_shipment_id for one in found.parts] == parts
    assert dict(found.missing) == missing


def test_one_line_in_two_packages_is_one_number_of_units():
    doubled = ours({"a": 1}, "T1", "T2")
    both = Shipment(
        **{
            **{name: getattr(doubled, name) for name in doubled.__slots__},
            "lines": doubled.lines * 2,
        }
    )
    assert find_shipment(both, [], []).missing == {"a": 2}


@pytest.mark.proves("I-28")
@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), min_size=1),
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), min_size=1), max_size=4),
)
def test_parts_and_what_is_missing_add_up_to_ours(lines, stored):
    known = [theirs(str(n), each, "T1") for n, each in enumerate(stored)]
    found = find_shipment(ours(lines, "T1"), known, [])
    for line, units in lines.items():
        there = sum(one.lines.get(line, 0) for one in found.parts)
        assert there + found.missing.get(line, 0) == units


@pytest.mark.proves("I-30")
@pytest.mark.parametrize("state", [one for one in OrderState if one is not OrderState.OPEN])
def test_only_an_open_order_ships(state):
    with pytest.raises(ShipmentRefused, match=state):
        check_shippable(state, {"a": 1}, {"a": 1})


@pytest.mark.proves("I-30")
@pytest.mark.parametrize("wanted", [{}, {"a": 0}, {"a": -1}, {"a": 3}, {"b": 1}, {"a": 1, "b": 1}])
def test_no_more_than_what_is_open_ships(wanted):
    with pytest.raises(ShipmentRefused):
        check_shippable(OrderState.OPEN, wanted, {"a": 2})


def test_open_units_ship():
    check_shippable(OrderState.OPEN, {"a": 2}, {"a": 2, "b": 1})


@pytest.mark.proves("I-28")
@pytest.mark.parametrize(
    ("known", "found"),
    [
        # by its id, whatever it carries and holds
        ([theirs("1", {"a": 1}, "X"), theirs("2", WHOLE, "T1")], ["1"]),
        # by its packages, as they were and as they are, however they are written
        ([theirs("2", WHOLE, "T1")], ["2"]),
        ([theirs("2", WHOLE, "t-2"), theirs("3", {"c": 1}, "T2")], ["2"]),
        ([theirs("2", {"a": 2}, "T1"), theirs("3", {"b": 1}, "T2")], ["2", "3"]),
        # one of its lines stands with other packages, or nowhere: nothing is guessed
        ([theirs("2", {"a": 2}, "T1", "T9"), theirs("3", {"b": 1}, "T1")], []),
        ([theirs("2", {"a": 2}, "T1")], []),
        ([theirs("2", {**WHOLE, "c": 1}, "T1")], []),
        ([theirs("2", WHOLE)], []),
        # taken back
        ([theirs("1", WHOLE, "T1", is_cancelled=True)], []),
        ([theirs("2", WHOLE, "T1", is_cancelled=True)], []),
    ],
)
def test_a_shipment_confirmed_before_is_found_again_or_not_guessed(known, found):
    earlier = (Package(carrier="ups", tracking_number="T1"),)
    again = find_again(ours(WHOLE, "T2"), known, ids=["1"], earlier=earlier)
    assert [one.channel_shipment_id for one in again] == found
