"""Levels and movements: what is appended is what is counted, under constraints and in a chain."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.errors import RuleBroken
from oms_sync.domain.reservation import Draft
from oms_sync.domain.stock import MovementKind, StockLevel
from oms_sync.domain.values import Sku

MUG = Sku("MUG")


def test_movements_lead_to_the_levels_that_are_read_back(storage, build):
    build.counted("MUG", 10)
    build.counted("MUG", 5, location="annexe")
    build.counted("MUG", -3)
    with storage.open_work() as work:
        levels = work.stock.levels([MUG, Sku("CUP")])
        locked = work.stock.lock([MUG])
    assert levels == locked
    assert {key[1]: level.on_hand for key, level in levels.items()} == {"annexe": 5, "main": 7}
    assert levels[(MUG, "main")].sequence == 2
    assert levels[(MUG, "main")].is_counted
    assert len(levels[(MUG, "main")].head) == 64


def test_movements_without_the_lock_are_refused(storage, build, clock):
    draft = Draft({}, at=clock.now())
    draft.move((MUG, "main"), MovementKind.ADJUSTMENT, reason="r", source="s", on_hand_delta=1)
    with pytest.raises(RuleBroken, match="without its lock"), storage.open_work() as work:
        work.stock.append(draft.movements, draft.levels)


@pytest.mark.proves("I-13")
def test_counters_that_do_not_follow_from_the_movements_are_refused(storage, build, clock):
    with storage.open_work() as work:
        draft = Draft(work.stock.lock([MUG]), at=clock.now())
        draft.move((MUG, "main"), MovementKind.ADJUSTMENT, reason="r", source="s", on_hand_delta=1)
        wrong = {(MUG, "main"): replace(draft.levels[(MUG, "main")], on_hand=2)}
        with pytest.raises(RuleBroken, match="not what its movements lead to"):
            work.stock.append(draft.movements, wrong)


@pytest.mark.proves("I-14")
@pytest.mark.parametrize(
    "change",
    [
        "reserved = 11",
        "unavailable = 11",
        "reserved = 6, unavailable = 5",
        "on_hand = -1",
        "reserved = -1",
        "safety_stock = -1",
    ],
)
def test_the_database_itself_refuses_counters_that_cannot_be(build, tamper, change):
    build.counted("MUG", 10)
    with pytest.raises(RuleBroken):
        tamper(f"UPDATE stock_levels SET {change}")  # noqa: S608


@pytest.mark.proves("I-15")
def test_a_movement_number_exists_once(build, tamper):
    build.counted("MUG", 10)
    with pytest.raises(RuleBroken):
        tamper(
            "INSERT INTO stock_movements SELECT sku, location, sequence, kind, on_hand_delta, "
            "unavailable_delta, reserved_delta, reason, source, actor, at, hash "
            "FROM stock_movements"
        )


def test_skus_are_known_once_and_paged_in_order(storage, build):
    with storage.open_work() as work:
        work.stock.ensure([Sku("C"), Sku("A"), Sku("B"), Sku("A")])
        work.stock.ensure([Sku("A")])
        work.stock.ensure([])
        work.commit()
    with storage.open_work() as work:
        assert work.stock.page_of_skus(after=None, limit=2) == ["A", "B"]
        assert work.stock.page_of_skus(after=Sku("B"), limit=2) == ["C"]
        assert work.stock.known([Sku("A"), Sku("X")]) == {"A"}
        assert work.stock.known([]) == set()
        assert work.stock.lock([]) == work.stock.levels([]) == {}


@pytest.mark.proves("I-19")
def test_on_hand_moved_since_a_time_is_known(storage, build, clock):
    build.counted("MUG", 10)
    counted_at = clock.now()
    clock.advance(60)
    build.counted("MUG", -2)
    with storage.open_work() as work:
        assert work.stock.on_hand_moved(MUG, "main", since=counted_at) == -2
        assert work.stock.on_hand_moved(MUG, "main", since=clock.now()) == 0
        before = counted_at - timedelta(seconds=1)
        assert work.stock.on_hand_moved(MUG, "main", since=before) == 8


def test_holders_name_line_order_time_and_units(storage, build, clock):
    build.counted("MUG", 10)
    first = build.order("1", units=2)
    clock.advance(5)
    second = build.order("2", units=3)
    build.stored(first, second)
    build.reserved(first.order_id, second.order_id)
    with storage.open_work() as work:
        assert work.stock.holders(MUG, "main") == [
            (first.lines[0].line_id, first.order_id, first.placed_at, 2),
            (second.lines[0].line_id, second.order_id, second.placed_at, 3),
        ]
        assert work.stock.holders(MUG, "annexe") == []


def test_safety_stock_is_a_fact_and_a_counter(storage, build, clock):
    with storage.open_work() as work:
        work.stock.set_safety_stock(MUG, "main", 2, at=clock.now(), actor="cli:anna")
        work.commit()
    build.counted("MUG", 10)
    with storage.open_work() as work:
        work.stock.set_safety_stock(MUG, "main", 3, at=clock.now(), actor="cli:anna")
        work.stock.set_safety_stock(MUG, "main", 3, at=clock.now(), actor="cli:anna")
        with pytest.raises(RuleBroken):
            work.stock.set_safety_stock(MUG, "main", -1, at=clock.now(), actor="cli:anna")
        work.commit()
    with storage.open_work() as work:
        level = work.stock.levels([MUG])[(MUG, "main")]
    assert (level.safety_stock, level.on_hand) == (3, 10)
    assert storage.reports.verify_ledger()["ok"]


def test_new_supply_marks_the_sku_only_while_orders_are_short(storage, build):
    build.counted("MUG", 1)
    order = build.order("1", units=3)
    build.stored(order)
    with storage.open_work() as work:
        assert work.stock.lock_fill_due(10) == []
    build.reserved(order.order_id)
    build.counted("MUG", 5)
    with storage.open_work() as work:
        assert work.stock.lock_fill_due(10) == ["MUG"]
        work.stock.lock([MUG])
    with storage.open_work() as work:  # what was not committed is still due
        assert work.stock.lock_fill_due(10) == ["MUG"]
        work.stock.lock([MUG])
        work.commit()
    with storage.open_work() as work:
        assert work.stock.lock_fill_due(10) == []


def test_available_to_sell_of_many_skus_is_read_at_once(storage, build, clock):
    build.counted("MUG", 10)
    build.counted("MUG", 2, location="annexe")
    order = build.order("1", units=3)
    build.stored(order)
    build.reserved(order.order_id)
    with storage.open_work() as work:
        work.stock.set_safety_stock(MUG, "main", 4, at=clock.now(), actor="a")
        work.stock.set_safety_stock(Sku("NEW"), "main", 4, at=clock.now(), actor="a")
        work.commit()
    assert storage.available([MUG, Sku("NEW"), Sku("NONE")]) == {"MUG": 10 + 2 - 3 - 4}


def test_an_uncounted_level_is_all_zeros():
    assert StockLevel(sku=MUG, location="main").free == 0
