"""Reservation as a difference, against a tiny model that counts units one by one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.reservation import Draft, LineNeed, plan_reservations, take_back
from oms_sync.domain.stock import MovementKind, StockLevel
from oms_sync.domain.values import Sku

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEE = Sku("TEE")
MAIN, ANNEX = (TEE, "main"), (TEE, "annex")


def level(location: str = "main", **counts) -> StockLevel:
    return StockLevel(**{"sku": TEE, "location": location, "is_counted": True, **counts})


def need(line_id: str, wanted: int, *, age: int = 0, **more) -> LineNeed:
    return LineNeed(
        **{
            "line_id": line_id,
            "source": f"order:{line_id}",
            "placed_at": NOW - timedelta(minutes=age),
            "sku": TEE,
            "locations": ("main", "annex"),
            "wanted": wanted,
            **more,
        }
    )


def plan(needs, *levels):
    return plan_reservations(needs, {(one.sku, one.location): one for one in levels}, at=NOW)


def outcomes(result):
    return {one.line_id: (dict(one.held), one.short) for one in result.outcomes}


@pytest.mark.proves("I-14")
def test_the_oldest_order_is_filled_first_and_the_rest_is_shortage():
    result = plan([need("new", 2, age=1), need("old", 2, age=9)], level(on_hand=3))
    assert outcomes(result) == {"old": ({"main": 2}, 0), "new": ({"main": 1}, 1)}
    assert result.levels[MAIN].reserved == 3


def test_of_one_instant_the_lower_line_id_goes_first():
    result = plan([need("b", 1), need("a", 1)], level(on_hand=1))
    assert outcomes(result) == {"a": ({"main": 1}, 0), "b": ({}, 1)}


def test_locations_are_drawn_from_in_order_and_given_back_in_reverse():
    levels = level(on_hand=2), level("annex", on_hand=5)
    result = plan([need("a", 3)], *levels)
    assert outcomes(result) == {"a": ({"main": 2, "annex": 1}, 0)}
    held = {"main": 2, "annex": 1}
    reserved = level(on_hand=2, reserved=2), level("annex", on_hand=5, reserved=1)
    back = plan([need("a", 1, held=held)], *reserved)
    assert outcomes(back) == {"a": ({"main": 1}, 0)}
    assert [move.kind for move in back.movements] == [MovementKind.RELEASE] * 2


@pytest.mark.proves("I-16")
def test_units_given_up_by_one_order_fill_another_in_the_same_plan():
    cancelled = need("old", 0, age=9, held={"main": 2})
    result = plan([need("new", 2), cancelled], level(on_hand=2, reserved=2))
    assert outcomes(result) == {"old": ({}, 0), "new": ({"main": 2}, 0)}


def test_safety_stock_may_serve_an_order_already_sold():
    result = plan([need("a", 2)], level(on_hand=2, safety_stock=2))
    assert outcomes(result) == {"a": ({"main": 2}, 0)}


def test_what_was_never_counted_reserves_nothing_and_loses_nothing():
    uncounted = level(on_hand=5, is_counted=False)
    result = plan([need("a", 2, to_ship=1, to_return=1)], uncounted)
    assert outcomes(result) == {"a": ({}, 2)}
    assert result.movements == ()
    assert outcomes(plan([need("a", 2, to_ship=1)])) == {"a": ({}, 2)}


def test_what_left_at_the_channel_leaves_the_reservation_first():
    held = {"main": 2}
    result = plan([need("a", 0, held=held, to_ship=2)], level(on_hand=5, reserved=2))
    assert result.levels[MAIN].on_hand == 3
    assert result.levels[MAIN].reserved == 0
    assert [move.kind for move in result.movements] == [MovementKind.SHIP]


def test_what_left_without_a_reservation_leaves_free_units_then_is_found():
    result = plan([need("a", 0, to_ship=4)], level(on_hand=2), level("annex", on_hand=1))
    assert [(move.kind, move.location, move.on_hand_delta) for move in result.movements] == [
        (MovementKind.SHIP, "main", -2),
        (MovementKind.SHIP, "annex", -1),
        (MovementKind.ADJUSTMENT, "main", 1),
        (MovementKind.SHIP, "main", -1),
    ]
    assert {key: one.on_hand for key, one in result.levels.items()} == {MAIN: 0, ANNEX: 0}


def test_what_left_never_takes_another_orders_reservation():
    result = plan([need("a", 0, to_ship=1)], level(on_hand=2, reserved=2))
    assert result.levels[MAIN].reserved == 2
    assert result.levels[MAIN].on_hand == 2


@pytest.mark.parametrize(
    ("changes", "on_hand", "reason"),
    [
        ({"to_return": 2}, 7, "returned"),
        ({"to_ship": -2}, 7, "shipment undone at the channel"),
        ({"to_ship": -1, "to_return": 1}, 7, "returned"),
        ({}, 5, None),
    ],
)
def test_what_comes_back_is_on_hand_again(changes, on_hand, reason):
    result = plan([need("a", 0, **changes)], level(on_hand=5))
    assert result.levels[MAIN].on_hand == on_hand
    assert [move.reason for move in result.movements] == ([reason] if reason else [])


def test_a_line_stands_in_a_plan_once():
    with pytest.raises(RuleBroken, match="once"):
        plan([need("a", 1), need("a", 2)], level(on_hand=5))


def test_a_reservation_the_books_do_not_have_is_refused():
    with pytest.raises(RuleBroken, match="negative"):
        plan([need("a", 0, held={"main": 1})], level(on_hand=5))


def test_a_movement_of_a_level_nobody_knows_begins_one():
    draft = Draft({}, at=NOW, actor="ann")
    draft.move(MAIN, MovementKind.ADJUSTMENT, reason="count", source="count", on_hand_delta=3)
    assert draft.levels[MAIN].on_hand == draft.free(MAIN) == 3
    assert draft.movements[0].actor == "ann"
    assert draft.free(ANNEX) == 0


@pytest.mark.proves("I-14", "I-19")
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=5), st.integers(0, 20))
def test_a_lower_count_takes_from_the_newest_orders(holders, excess):
    named = [
        (f"line-{n}", NOW + timedelta(days=day), units) for n, (day, units) in enumerate(holders)
    ]
    reserved = sum(units for _, _, units in named)
    shelf = level(on_hand=reserved, reserved=reserved)
    if excess > reserved:
        with pytest.raises(RuleBroken, match="do not cover"):
            take_back(shelf, named, excess)
        return
    losses = take_back(shelf, named, excess)
    assert sum(losses.values()) == excess
    held = {line_id: (placed_at, line_id, units) for line_id, placed_at, units in named}
    for line_id, lost in losses.items():
        assert lost <= held[line_id][2]
        # whoever is newer lost everything before this one lost anything
        newer = [one for one, each in held.items() if each[:2] > held[line_id][:2]]
        assert all(losses.get(one, 0) == held[one][2] for one in newer) or not lost


class ReservationMachine(RuleBasedStateMachine):
    """Orders come, change and ship over many plans; the books must always add up."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = {MAIN: level(on_hand=4), ANNEX: level("annex", on_hand=2)}
        self.lines: dict[str, LineNeed] = {}
        self.adjusted = 6
        self.shipped = self.returned = self.found = 0

    @rule(wanted=st.integers(0, 4), age=st.integers(0, 5))
    def order_comes(self, wanted: int, age: int) -> None:
        line_id = f"line-{len(self.lines)}"
        self.run_plan(need(line_id, wanted, age=age))

    @rule(pick=st.integers(0, 50), wanted=st.integers(0, 4))
    def order_changes(self, pick: int, wanted: int) -> None:
        if self.lines:
            self.run_plan(replace(self.picked(pick), wanted=wanted))

    @rule(pick=st.integers(0, 50), units=st.integers(-2, 3))
    def order_ships_at_the_channel(self, pick: int, units: int) -> None:
        if self.lines:
            line = self.picked(pick)
            self.shipped += max(0, units)
            self.returned += max(0, -units)
            self.run_plan(replace(line, wanted=max(0, line.wanted - max(0, units)), to_ship=units))

    @rule(pick=st.integers(0, 50))
    def the_same_plan_again_changes_nothing(self, pick: int) -> None:
        if self.lines:
            before = dict(self.levels)
            moves = self.run_plan(self.picked(pick))
            # A second look may only fill a shortage, never release or ship again.
            assert {move.kind for move in moves} <= {MovementKind.RESERVE}
            assert before[MAIN].on_hand == self.levels[MAIN].on_hand

    @rule(units=st.integers(1, 5))
    def stock_arrives(self, units: int) -> None:
        draft = Draft(self.levels, at=NOW)
        draft.move(MAIN, MovementKind.RECEIPT, reason="r", source="r", on_hand_delta=units)
        self.levels = draft.levels
        self.adjusted += units

    @rule()
    def every_short_line_is_filled(self) -> None:
        self.run_plan(*self.lines.values())

    def picked(self, pick: int) -> LineNeed:
        return list(self.lines.values())[pick % len(self.lines)]

    def run_plan(self, *needs: LineNeed):
        result = plan_reservations(needs, self.levels, at=NOW)
        self.levels = dict(result.levels)
        by_id = {one.line_id: one for one in result.outcomes}
        for each in needs:
            outcome = by_id[each.line_id]
            assert outcome.short == max(0, each.wanted - sum(outcome.held.values()))
            free = sum(one.free for one in self.levels.values())
            assert not (outcome.short and free), "short although units are free"
            self.lines[each.line_id] = replace(each, held=outcome.held, to_ship=0, to_return=0)
        self.found += sum(
            move.on_hand_delta for move in result.movements if move.kind is MovementKind.ADJUSTMENT
        )
        return result.movements

    @invariant()
    def reserved_is_the_sum_of_what_lines_hold(self) -> None:
        for key, one in self.levels.items():
            assert one.reserved == sum(line.held.get(key[1], 0) for line in self.lines.values())
            assert 0 <= one.reserved <= one.on_hand

    @invariant()
    def units_are_conserved(self) -> None:
        on_hand = sum(one.on_hand for one in self.levels.values())
        assert on_hand == self.adjusted + self.found + self.returned - self.shipped


@pytest.mark.proves("I-13", "I-14", "I-16")
class TestReservationMachine(ReservationMachine.TestCase):
    settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
