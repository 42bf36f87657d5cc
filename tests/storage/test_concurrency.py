"""Several hands at once: nothing is over-reserved, nobody waits for each other in a circle."""

import threading
from pathlib import Path

import pytest

from oms_sync.domain.values import Sku
from oms_sync.storage.errors import DatabaseBusy


def _run_all(*works):
    """Run each in a thread of its own; gives what they answered, raises what they raised."""
    answers, errors = [], []
    ready = threading.Barrier(len(works))

    def run(work):
        try:
            ready.wait(5)
            answers.append(work())
        except Exception as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]
    return answers


@pytest.mark.proves("I-14", "I-15")
def test_four_reservers_of_one_hot_sku_never_reserve_more_than_there_is(storage, build, open_store):
    build.counted("MUG", 25)
    orders = [build.order(str(number)) for number in range(40)]
    build.stored(*orders)
    stores = [storage, open_store()]  # two processes, two threads each

    def reserve(worker):
        mine = orders[worker::4]
        return sum(build.reserved(one.order_id, storage=stores[worker % 2]) for one in mine)

    held = _run_all(*(lambda worker=worker: reserve(worker) for worker in range(4)))
    assert sum(held) == 25
    with storage.open_work() as work:
        level = work.stock.levels([Sku("MUG")])[(Sku("MUG"), "main")]
        assert (level.reserved, level.sequence) == (25, 26)
        assert sum(units for *_, units in work.stock.holders(Sku("MUG"), "main")) == 25
    assert storage.reports.verify_ledger()["ok"]


@pytest.mark.proves("F44")
def test_two_reservers_of_the_same_skus_in_opposite_order_do_not_deadlock(storage, open_store):
    other = open_store()
    skus = [Sku(f"S{number}") for number in range(5)]

    def lock(store, order):
        for _ in range(15):
            with store.open_work() as work:
                work.stock.lock(order)
                work.stock.ensure(order)
                work.commit()
        return True

    assert _run_all(lambda: lock(storage, skus), lambda: lock(other, skus[::-1])) == [True, True]


@pytest.mark.proves("I-15")
def test_a_level_not_there_yet_is_decided_by_one_at_a_time(storage, build, open_store):
    stores = [storage, open_store()]

    def count(store):
        build_for = type(build)(store, build.clock)
        build_for.counted("NEW", 2)
        return True

    _run_all(*(lambda store=store: count(store) for store in stores))
    with storage.open_work() as work:
        level = work.stock.levels([Sku("NEW")])[(Sku("NEW"), "main")]
    assert (level.on_hand, level.sequence) == (4, 2)
    assert storage.reports.verify_ledger() == {
        "rows": 2,
        "balances": 1,
        "ok": True,
        "first_bad": None,
    }


def test_two_workers_on_one_inbox_never_get_the_same_message(storage, open_store, clock):
    from oms_sync.flows.records import MessageSource, NewMessage

    with storage.open_work() as work:
        work.inbox.add(
            [
                NewMessage(
                    account="shop-a",
                    topic="t",
                    source=MessageSource.WEBHOOK,
                    body=str(number).encode(),
                    received_at=clock.now(),
                )
                for number in range(20)
            ]
        )
        work.commit()

    def take(store):
        mine = []
        for _ in range(10):
            with store.open_work() as work:
                found = work.inbox.lock_new("shop-a", [MessageSource.WEBHOOK], 2)
                work.inbox.settle([one.message_id for one in found], order_ids={})
                work.commit()
            mine += [one.body for one in found]
        return mine

    other = open_store()
    one, two = _run_all(lambda: take(storage), lambda: take(other))
    taken = [*one, *two]
    assert len(taken) == len(set(taken)) == 20


@pytest.mark.proves("I-27")
def test_a_stale_mark_set_while_another_clears_it_is_not_lost(storage, build, open_store):
    build.listed("l1")
    other = open_store()
    with storage.open_work() as work:
        work.listings.mark_stale([Sku("MUG")])
        work.commit()
    cleared, marking = threading.Event(), threading.Event()

    def clear():
        with storage.open_work() as work:
            work.listings.lock_stale("shop-a", 10)
            cleared.set()
            marking.wait(0.3)  # the other one is at the row by now, or waits for its turn
            work.commit()

    def mark():
        cleared.wait(5)
        marking.set()
        with other.open_work() as work:
            work.listings.mark_stale([Sku("MUG")])
            work.commit()

    _run_all(clear, mark)
    with storage.open_work() as work:
        assert len(work.listings.lock_stale("shop-a", 10)) == 1


def test_a_reader_sees_nothing_uncommitted_and_does_not_wait(storage, build, open_store):
    build.counted("MUG", 5)
    with storage.open_work() as work:
        work.orders.add([build.order("1")])
        assert open_store().reports.orders() == []
        assert open_store().available([Sku("MUG")]) == {"MUG": 5}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_sqlite_writer_of_another_process_is_waited_for_and_then_named(storage, open_store):
    other = open_store()
    driver = other._database.engine.raw_connection()
    driver.execute("PRAGMA busy_timeout=50")
    driver.close()
    with storage.open_work(), pytest.raises(DatabaseBusy), other.open_work():
        pass


def test_every_row_lock_stands_in_one_file():
    folder = Path(__import__("oms_sync.storage").storage.__path__[0])
    found = {path.name for path in folder.rglob("*.py") if "with_for_update" in path.read_text()}
    assert found == {"locks.py"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.proves("I-33")
def test_what_is_asked_often_is_answered_from_an_index(storage):
    from oms_sync.storage import inbox, listings, order_statements, shipments, stock

    asked = {
        name: statement
        for module in (inbox, listings, order_statements, shipments, stock)
        for name, statement in vars(module).items()
        if type(statement).__name__ == "Select" and name not in ("_ALL", "_BASE", "ALL_SHIPMENTS")
    }
    assert len(asked) > 30
    engine = storage._database.engine
    driver = engine.raw_connection()
    scans = {}
    for name, statement in asked.items():
        compiled = statement.compile(dialect=engine.dialect)
        nothing = ["[]"] * len(compiled.positiontup)
        plan = driver.execute(f"EXPLAIN QUERY PLAN {compiled}", nothing).fetchall()
        steps = [row[3] for row in plan if row[3].startswith("SCAN")]
        found = [one for one in steps if "json_each" not in one and "USING" not in one]
        if found:
            scans[name] = found
    driver.close()
    assert scans == {}
