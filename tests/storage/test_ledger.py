"""Whoever edits the ledger behind the hub's back is found, and the first bad row is named."""

import pytest

from oms_sync.domain.values import Sku


@pytest.fixture
def ledger(storage, build, clock):
    """Two SKUs, the second with three movements and a reservation."""
    build.counted("CUP", 4)
    build.counted("MUG", 10)
    build.counted("MUG", 5)
    order = build.order("1", units=2)
    build.stored(order)
    build.reserved(order.order_id)
    with storage.open_work() as work:
        work.stock.set_safety_stock(Sku("TIN"), "main", 1, at=clock.now(), actor="cli:anna")
        work.commit()
    return storage.reports


def bad(ledger):
    found = ledger.verify_ledger()
    assert not found["ok"]
    return found["first_bad"]


@pytest.mark.proves("I-13", "I-40")
def test_an_untouched_ledger_verifies(ledger):
    assert ledger.verify_ledger() == {"rows": 4, "balances": 3, "ok": True, "first_bad": None}


def test_an_empty_ledger_verifies(storage):
    assert storage.reports.verify_ledger() == {
        "rows": 0,
        "balances": 0,
        "ok": True,
        "first_bad": None,
    }


@pytest.mark.parametrize(
    "change",
    [
        "on_hand_delta = on_hand_delta + 1",
        "reason = 'another'",
        "actor = 'cli:mallory'",
        "at = at + 1",
        "kind = 'receipt'",
        "kind = 'nonsense'",
        "hash = 'aa'",
    ],
)
def test_a_changed_movement_is_named(ledger, tamper, change):
    tamper(f"UPDATE stock_movements SET {change} WHERE sku = 'MUG' AND sequence = 2")  # noqa: S608
    found = bad(ledger)
    assert (found["sku"], found["location"], found["sequence"]) == ("MUG", "main", 2)
    assert "changed" in found["reason"]


def test_a_removed_movement_is_named(ledger, tamper):
    tamper("DELETE FROM stock_movements WHERE sku = 'MUG' AND sequence = 2")
    found = bad(ledger)
    assert (found["sku"], found["sequence"]) == ("MUG", 2)
    assert "removed" in found["reason"]


@pytest.mark.parametrize("sequence", [0, -7])
def test_an_inserted_movement_is_named(ledger, tamper, sequence):
    tamper(
        "INSERT INTO stock_movements SELECT sku, location, :sequence, kind, on_hand_delta, "
        "unavailable_delta, reserved_delta, reason, source, actor, at, hash "
        "FROM stock_movements WHERE sku = 'MUG' AND sequence = 1",
        sequence=sequence,
    )
    found = bad(ledger)
    assert (found["sku"], found["sequence"]) == ("MUG", sequence)
    assert "inserted" in found["reason"]


def test_a_movement_appended_by_another_hand_is_named(ledger, tamper):
    tamper(
        "INSERT INTO stock_movements SELECT sku, location, 4, kind, on_hand_delta, "
        "unavailable_delta, reserved_delta, reason, source, actor, at, hash "
        "FROM stock_movements WHERE sku = 'MUG' AND sequence = 1"
    )
    found = bad(ledger)
    assert (found["sku"], found["sequence"]) == ("MUG", 4)


def test_the_last_movement_removed_is_named(ledger, tamper):
    tamper("DELETE FROM stock_movements WHERE sku = 'MUG' AND sequence = 3")
    found = bad(ledger)
    assert (found["sku"], found["sequence"]) == ("MUG", 3)
    assert "removed" in found["reason"]


def test_the_last_movement_removed_and_the_level_wound_back_is_named(ledger, tamper):
    tamper("DELETE FROM stock_movements WHERE sku = 'CUP'")
    tamper(
        "UPDATE stock_levels SET sequence = 0, head = '', on_hand = 0, reserved = 0, "
        "is_counted = (1 = 0) WHERE sku = 'CUP'"
    )
    found = bad(ledger)
    assert (found["sku"], found["location"], found["sequence"]) == ("CUP", "main", 0)
    assert "removed" in found["reason"]


@pytest.mark.parametrize(
    "change", ["on_hand = on_hand + 1", "unavailable = 1", "reserved = 0", "safety_stock = 1"]
)
def test_an_edited_counter_is_named(ledger, tamper, change):
    tamper(f"UPDATE stock_levels SET {change} WHERE sku = 'MUG'")  # noqa: S608
    found = bad(ledger)
    assert (found["sku"], found["sequence"]) == ("MUG", 3)
    assert "edited" in found["reason"]


def test_a_level_removed_without_its_movements_is_named(ledger, tamper):
    tamper("DELETE FROM stock_levels WHERE sku = 'CUP'")
    found = bad(ledger)
    assert (found["sku"], found["sequence"]) == ("CUP", 1)


def test_a_level_removed_with_all_its_movements_is_seen(ledger, tamper):
    tamper("DELETE FROM stock_movements WHERE sku = 'CUP'")
    tamper("DELETE FROM stock_levels WHERE sku = 'CUP'")
    assert "3 stock levels were made, 2 are there" in bad(ledger)["reason"]
    tamper("UPDATE ledger_totals SET levels = 2")
    assert "edited" in bad(ledger)["reason"]


@pytest.mark.proves("I-13")
def test_reservations_that_do_not_add_up_are_named(ledger, tamper):
    tamper("UPDATE reservations SET units = 1")
    found = bad(ledger)
    assert found["sku"] == "MUG"
    assert "reservations" in found["reason"]


def test_a_reservation_without_a_level_is_seen(ledger, tamper):
    tamper("UPDATE reservations SET location = 'nowhere'")
    tamper("INSERT INTO reservations SELECT line_id, 'main', sku, units FROM reservations")
    assert "without a stock level" in bad(ledger)["reason"]


def test_the_first_of_several_bad_rows_is_named(ledger, tamper):
    tamper("UPDATE stock_movements SET reason = 'x'")
    assert (bad(ledger)["sku"], bad(ledger)["sequence"]) == ("CUP", 1)
