"""What is overdue is counted from small indexes, however many orders there ever were."""

from datetime import timedelta

import pytest

from oms_sync.domain.silence import Overdue
from oms_sync.storage import order_statements, pulse
from oms_sync.storage.columns import to_micros

ORDERS = 6_000
#: an index each question may be answered from
INDEXES = {
    "UNSHIPPED": (pulse.UNSHIPPED, ("ix_orders_ship_due",)),
    "UNTOLD": (pulse.UNTOLD, ("ix_shipment_pushes_untold",)),
    "UNPAID": (pulse.UNPAID, ("ix_orders_pending", "ix_orders_state_ship_by")),
    "REFUSED": (pulse.REFUSED, ("ix_shipment_pushes_refused",)),
    "UNCHECKED_IDS": (order_statements.UNCHECKED_IDS, ("ix_orders_unfinished",)),
}
SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
#: of five hundred orders each one is open, held and pending, one shipment waits and one is refused
FILL = (
    """INSERT INTO orders (order_id, account, channel_order_id, state, placed_at, ship_by,
    is_waited_for, ship_due_at, imported_at, checked_at, updated_at, seen_at, is_reserve_due,
    payload_key, facts, holds) SERIES SELECT 'o-' || i, 'shop-a', 'c-' || i,
    CASE WHEN i % 500 = 0 THEN 'open' WHEN i % 500 = 1 THEN 'held' WHEN i % 500 = 2 THEN 'pending'
    ELSE 'closed' END, :at, :at, i % 500 < 3, CASE WHEN i % 500 < 3 THEN :at END, :at, :at, :at,
    :at, 1 = 0, '', '{}', '[]' FROM n""",
    """INSERT INTO order_lines (line_id, order_id, channel_line_id, facts, quantity_reserved,
    quantity_short, shipped_here, shipped_booked, returned_booked, taken_booked) SERIES
    SELECT 'l-' || i, 'o-' || i, 'l', '{}', 1, 0, 0, 0, 0, 0 FROM n""",
    """INSERT INTO shipments (shipment_id, order_id, account, channel_order_id, shipped_at,
    added_at, lines, packages) SERIES SELECT 's-' || i, 'o-' || i, 'shop-a', 'c-' || i, :at, :at,
    '[]', '[]' FROM n""",
    """INSERT INTO shipment_pushes (shipment_id, account, state, attempts, next_at,
    channel_shipment_ids, error) SERIES SELECT 's-' || i, 'shop-a',
    CASE WHEN i % 500 = 3 THEN 'waiting' WHEN i % 500 = 4 THEN 'refused' ELSE 'confirmed' END,
    1, :at, '[]', '' FROM n""",
)
CONNECTED = """INSERT INTO accounts (name, connector, first_connected_at, is_paused, health, reason)
    VALUES ('shop-a', 'fake', :at, 1 = 0, 'ok', '')"""


@pytest.fixture
def fill(tamper, clock):
    def run(count, *, at=None, tables=4):
        for statement in FILL[:tables]:
            tamper(
                statement.replace("SERIES", SERIES), count=count, at=to_micros(at or clock.now())
            )

    return run


def generic_plan_of(database, statement):
    """How PostgreSQL answers it after a few times: it plans without the values then.

    An index of some states alone is of no use to a statement that is told the states later.
    """
    compiled = statement.compile(dialect=database.engine.dialect)
    numbers = {name: f"${number}" for number, name in enumerate(compiled.params, start=1)}
    with database.read() as transaction:
        run = transaction.connection.exec_driver_sql
        run("SET LOCAL plan_cache_mode = force_generic_plan")
        run(f"PREPARE asked AS {str(compiled) % numbers}")
        try:
            rows = run(f"EXPLAIN EXECUTE asked({', '.join(['NULL'] * len(numbers))})").all()
        finally:
            run("DEALLOCATE asked")
    return [str(row[-1]) for row in rows]


def plan_of(database, statement, values):
    """How the database would answer this."""
    compiled = statement.compile(dialect=database.engine.dialect)
    known = {**compiled.params, **{key: values[key] for key in values if key in compiled.params}}
    given = known if database.is_postgres else tuple(known[key] for key in compiled.positiontup)
    explain = "EXPLAIN " if database.is_postgres else "EXPLAIN QUERY PLAN "
    with database.read() as transaction:
        rows = transaction.connection.exec_driver_sql(f"{explain}{compiled}", given).all()
    return [str(row[-1]) for row in rows]


@pytest.mark.proves("I-33", "I-41")
def test_each_question_is_answered_from_an_index_of_what_is_open(storage, tamper, fill, clock):
    fill(ORDERS)
    if storage._database.is_postgres:  # which does so by itself
        tamper("ANALYZE")
    now = to_micros(clock.now())
    values = {"b_account": "shop-a", "b_before": now, "account": "shop-a", "before": now}
    for name, (statement, indexes) in INDEXES.items():
        plan = plan_of(storage._database, statement, {**values, "since": now, "limit": 500})
        assert any(index in step for step in plan for index in indexes), f"{name}: {plan}"
        scans = [
            step
            for step in plan
            if "Seq Scan" in step or (step.startswith("SCAN") and "USING" not in step)
        ]
        # what was counted is scanned, and no table
        assert [one for one in scans if "anon" not in one] == [], f"{name}: {plan}"
        if storage._database.is_postgres:
            plan = generic_plan_of(storage._database, statement)
            assert any(index in step for step in plan for index in indexes), f"{name}: {plan}"
            assert not [step for step in plan if "Seq Scan" in step], f"{name}: {plan}"


@pytest.mark.parametrize("count", [0, 3])
def test_of_many_orders_the_first_and_their_number_are_told(storage, tamper, fill, clock, count):
    tamper(CONNECTED, at=to_micros(clock.now()))
    due_at = clock.now() + timedelta(hours=3)
    if count:
        fill(500 * count, at=due_at, tables=2)
    with storage.open_work() as work:
        now = clock.now()
        found = work.upkeep.pulse("shop-a", now=now, unannounced_max=3)
        earlier = work.upkeep.pulse("shop-a", now=now - timedelta(hours=2), unannounced_max=3)
        later = work.upkeep.pulse("shop-a", now=now + timedelta(days=6), unannounced_max=3)
    late = Overdue(since=due_at, count=2 * count) if count else None
    assert (found.unshipped, found.unpaid) == (late, None)
    assert earlier.unshipped is None
    unpaid = Overdue(since=due_at, count=count, units=count) if count else None
    assert (later.unshipped, later.unpaid) == (late, unpaid)


def test_what_was_taken_to_be_checked_is_not_taken_again(storage, fill, clock):
    fill(2_500, tables=1)
    day = timedelta(days=1)
    began = clock.now()

    def taken(at, *, limit=10, since=began):
        with storage.open_work() as work:
            found = work.orders.take_unchecked(
                "shop-a", before=at - day, since=since, limit=limit, at=at
            )
            work.commit()
        return found

    now = clock.now() + day
    assert taken(now - timedelta(seconds=1)) == []
    assert taken(now, since=clock.now() + timedelta(seconds=1)) == []
    first, second = taken(now), taken(now)
    assert (len(first), len(second), taken(now)) == (10, 5, [])
    assert len({*first, *second}) == 15
    assert len(taken(now + day, limit=99)) == 15
