"""What is destroyed is gone from every table, and from the files SQLite keeps."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from oms_sync.domain.order import OrderFacts, OrderState
from oms_sync.domain.personal import PERSONAL_FIELDS, without_people
from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.sdk.fake_ports import SeededIds
from oms_sync.storage import codec, erasures
from oms_sync.storage.engine import open_storage
from oms_sync.storage.tables import METADATA
from oms_sync.storage.vault import buyer_subject

CANARY = "Canaryberg"


def message(clock, body, channel_order_id, source="poll"):
    return NewMessage(
        account="shop-a",
        topic="order",
        source=MessageSource(source),
        body=body,
        received_at=clock.now(),
        channel_order_id=channel_order_id,
    )


def finished(build, name, **more):
    """A closed order with nothing left to do, stored."""
    order = build.order(name, state=OrderState.CLOSED, is_reserve_due=False, **more)
    build.stored(order)
    return order


def take_in(storage, clock, *orders, size=10):
    """A raw message of each order, worked off."""
    with storage.open_work() as work:
        bodies = [
            message(clock, (one.order_id + CANARY).encode() * size, _name(one)) for one in orders
        ]
        work.inbox.add(bodies)
        work.commit()
    with storage.open_work() as work:
        found = work.inbox.lock_new("shop-a", [MessageSource.POLL], 1_000)
        owners = {_name(one): one.order_id for one in orders}
        order_ids = {one.message_id: owners[one.channel_order_id] for one in found}
        work.inbox.settle(list(order_ids), order_ids=order_ids)
        work.commit()


def _name(order):
    return order.known.ref.channel_order_id


def erase(storage, clock, *order_ids):
    with storage.open_work() as work:
        count = work.erasures.erase(list(order_ids), at=clock.now())
        work.commit()
    with storage.open_work() as work:
        work.erasures.drop_keys("shop-a", 1_000)
        work.erasures.scrub()
        work.commit()
    return count


def secrets(storage):
    """Every wrapped key and sealed text about people, as it stands in the database."""
    queries = (
        "SELECT data_key FROM subjects",
        "SELECT data_key FROM inbox_messages WHERE data_key IS NOT NULL",
        "SELECT sealed FROM inbox_messages WHERE data_key IS NOT NULL",
        "SELECT personal FROM orders WHERE personal IS NOT NULL",
    )
    with storage._database.read() as transaction:
        return {bytes(row[0]) for query in queries for row in transaction.rows(text(query))}


def everything(storage):
    """All bytes of all rows of all tables."""
    with storage._database.read() as transaction:
        rows = [
            value
            for table in METADATA.sorted_tables
            for row in transaction.rows(select(table))
            for value in row
        ]
    return b"\0".join(
        bytes(one) if isinstance(one, bytes | memoryview) else str(one).encode() for one in rows
    )


@pytest.mark.proves("B-29", "C-55")
def test_no_row_of_any_table_keeps_a_key_or_a_byte_of_what_was_erased(storage, build, clock):
    orders = [finished(build, f"c-{number}", buyer_id=f"b-{number % 3}") for number in range(6)]
    take_in(storage, clock, *orders)
    before = secrets(storage)
    assert len(before) == 3 + 6 * 3
    assert erase(storage, clock, *(one.order_id for one in orders[:4])) == 4
    left = everything(storage)
    assert sum(one in left for one in before) == 2 + 2 * 3, "orders 5 and 6, and their buyers"
    assert CANARY.encode() not in left
    erase(storage, clock, *(one.order_id for one in orders))
    assert [one for one in before if one in everything(storage)] == []
    assert secrets(storage) == set()


@pytest.mark.proves("B-29")
def test_no_file_of_sqlite_keeps_a_key_or_a_byte_of_what_was_erased(
    sqlite_url, keys, clock, builder
):
    """Free pages and the log of changes included: rows moved and grew before they went."""
    storage = open_storage(sqlite_url, keys=keys, clock=clock, ids=SeededIds(1))
    try:
        _erase_all(storage, clock, builder(storage, clock))
    finally:
        storage.close()


def _erase_all(storage, clock, build):
    orders = [finished(build, f"c-{number}", buyer_id=f"b-{number}") for number in range(60)]
    take_in(storage, clock, *orders, size=300)
    before = secrets(storage)
    with storage.open_work() as work:  # every row is written anew, and its people with it
        loaded = work.orders.lock([one.order_id for one in orders])
        work.orders.save([replace(one, payload_key="x" * 3_000) for one in loaded.values()])
        work.commit()
    before |= secrets(storage)
    folder = storage._database.path.parent
    assert any(one in _files(folder) for one in before), "the search finds what is there"
    erase(storage, clock, *(one.order_id for one in orders))
    files = _files(folder)
    assert [one[:8] for one in before if one in files] == []


def _files(folder):
    return b"\0".join(one.read_bytes() for one in sorted(folder.glob("oms-sync.db*")))


def test_a_reader_beside_does_not_stop_erasing(storage, build, clock):
    order = finished(build, "c-1")
    with storage._database.read() as transaction:
        transaction.rows(text("SELECT * FROM orders"))
        erase(storage, clock, order.order_id)
    with storage.open_work() as work:
        assert work.orders.load([order.order_id])[order.order_id].known.facts.buyer is None


def test_an_erased_order_stores_nobody_whoever_saves_it(storage, build, clock):
    order = finished(build, "c-1", buyer_id="b-1")
    erase(storage, clock, order.order_id)
    with storage.open_work() as work:
        loaded = work.orders.lock([order.order_id])[order.order_id]
        work.orders.save([replace(loaded, known=order.known)])
        work.commit()
    assert secrets(storage) == set()


def test_a_later_purchase_of_a_forgotten_person_gets_a_key_of_its_own(storage, build, clock):
    order = finished(build, "c-1", buyer_id="b-1")
    (old,) = (one for one in secrets(storage) if len(one) < 100)
    erase(storage, clock, order.order_id)
    again = finished(build, "c-2", buyer_id="b-1")
    assert old not in secrets(storage)
    with storage.open_work() as work:
        assert work.orders.load([again.order_id])[again.order_id].known.facts.buyer is not None


def test_a_person_keeps_the_key_as_long_as_one_order_is_left(storage, build, clock):
    one, two = finished(build, "c-1", buyer_id="b-1"), finished(build, "c-2", buyer_id="b-1")
    erase(storage, clock, one.order_id)
    with storage.open_work() as work:
        assert work.orders.load([two.order_id])[two.order_id].known.facts.buyer is not None
        assert work.orders.load([one.order_id])[one.order_id].known.facts.buyer is None


def test_the_key_of_an_order_whose_buyer_became_known_later_goes_as_well(storage, build, clock):
    order = build.order("c-1", state=OrderState.CLOSED, is_reserve_due=False)
    build.stored(order)
    facts = order.known.facts
    named = replace(facts, buyer=replace(facts.buyer, channel_buyer_id="b-1"))
    with storage.open_work() as work:
        work.orders.save([replace(order, known=replace(order.known, facts=named))])
        work.commit()
    assert len(secrets(storage)) == 2 + 1, "the key nobody uses any more, the key in use, people"
    erase(storage, clock, order.order_id)
    assert secrets(storage) == set()


@pytest.mark.proves("F49")
def test_a_key_is_not_taken_from_under_an_order_that_is_being_stored(
    postgres_url, keys, clock, builder
):
    """Two nodes: one stores a purchase of the person the other one has just forgotten."""
    storage = open_storage(postgres_url, keys=keys, clock=clock, ids=SeededIds(1))
    try:
        _buy_while_forgetting(storage, clock, builder(storage, clock))
    finally:
        storage.close()


def _buy_while_forgetting(storage, clock, build):
    first = finished(build, "c-1", buyer_id="b-1")
    with storage.open_work() as work:
        work.erasures.erase([first.order_id], at=clock.now())
        work.commit()
    second = build.order("c-2", buyer_id="b-1")
    with storage.open_work() as buying:
        buying.orders.add([second])
        dropped = []

        def drop():
            with storage.open_work() as work:
                dropped.append(work.erasures.drop_keys("shop-a", 10))
                work.commit()

        beside = threading.Thread(target=drop)
        beside.start()
        beside.join(timeout=10)
        assert dropped == [0], "somebody seals with it this moment"
        buying.commit()
    drop()
    assert dropped == [0, 0], "an order needs it"
    with storage.open_work() as work:
        assert work.orders.load([second.order_id])[second.order_id].known.facts.buyer is not None


def test_who_asks_is_found_by_the_account_and_the_id_alone(storage, build, clock, keys):
    mine = finished(build, "c-1", buyer_id="b-1")
    finished(build, "c-1", buyer_id="b-1", account="shop-b")
    finished(build, "c-2", buyer_id="b-2")
    with storage.open_work() as work:
        asked_at = clock.now() + timedelta(seconds=1)
        assert work.erasures.want("shop-a", "b-1", at=asked_at) == [mine.order_id]
        assert work.erasures.want("shop-a", "nobody", at=asked_at) == []
        due = work.erasures.lock_due("shop-a", before=clock.now() - timedelta(days=1), limit=10)
        assert due == {mine.order_id: "buyer"}
    assert buyer_subject(keys, "shop-a", "b-1") != buyer_subject(keys, "shop-b", "b-1")


def test_an_older_request_read_later_does_not_take_back_the_newer_one(storage, build, clock):
    early = clock.now() + timedelta(seconds=1)
    clock.advance(3600)
    order = finished(build, "c-1", buyer_id="b-1")
    with storage.open_work() as work:
        work.erasures.want("shop-a", "b-1", at=clock.now() + timedelta(seconds=1))
        work.erasures.want("shop-a", "b-1", at=early)
        due = work.erasures.lock_due("shop-a", before=clock.now() - timedelta(days=1), limit=10)
    assert due == {order.order_id: "buyer"}


def test_every_fact_is_either_stored_in_plain_or_named_personal():
    """A field added later has to be one of the two, or it would outlive its owner's wish."""
    names = set(OrderFacts.__dataclass_fields__)
    assert names - set(codec._FACTS) == set(PERSONAL_FIELDS)


def test_an_order_without_its_people_keeps_everything_else(build):
    order = build.order("c-1").known
    bare = without_people(order)
    assert (bare.facts.buyer, bare.facts.recipient) == (None, None)
    assert codec.write_people(bare.facts) is None
    assert codec.write_facts(bare) == codec.write_facts(order)


def test_what_is_due_is_found_by_its_indexes(sqlite_url, keys, clock):
    """An hourly look at a million orders and messages must not walk through them."""
    storage = open_storage(sqlite_url, keys=keys, clock=clock, ids=SeededIds(1))
    try:
        plans = {
            statement: _plan(storage._database.engine, getattr(erasures, statement))
            for statement in (
                "_OLD",
                "_WANTED",
                "_EXPIRED",
                "_ABOUT",
                "_LATE",
                "_NEEDLESS",
                "_STANDING",
            )
        }
    finally:
        storage.close()
    for statement, index in {
        "_OLD": "ix_orders_to_erase (account=? AND updated_at<?)",
        "_WANTED": "ix_subjects_erase_wanted (account=? AND erase_wanted_at>?)",
        "_EXPIRED": "ix_inbox_messages_old_bytes (account=? AND received_at<?)",
        "_ABOUT": "ix_inbox_messages_order (account=? AND channel_order_id=?)",
        "_LATE": "ix_inbox_messages_state_received_at (state=? AND received_at<?)",
        "_STANDING": "sqlite_autoindex_orders_1 (order_id=?)",
    }.items():
        assert index in plans[statement], (statement, plans[statement])
    assert "ix_subjects_account_subject_id (account=?)" in plans["_NEEDLESS"]
    assert "ix_orders_subject_id (subject_id=?)" in plans["_NEEDLESS"]


def _plan(engine, statement):
    compiled = statement.compile(engine)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        values = dict.fromkeys(compiled.params)
        nothing = tuple(values[name] for name in compiled.positiontup or ())
        plan = driver.execute(f"EXPLAIN QUERY PLAN {compiled}", nothing).fetchall()
    return " | ".join(row[-1] for row in plan)


def test_what_a_reader_beside_still_needs_is_overwritten_by_the_next_run(
    sqlite_url, keys, clock, builder
):
    storage = open_storage(sqlite_url, keys=keys, clock=clock, ids=SeededIds(1))
    try:
        order = finished(builder(storage, clock), "c-1")
        with storage._database.read() as transaction:
            transaction.rows(text("SELECT * FROM orders"))
            before = secrets(storage)
            erase(storage, clock, order.order_id)
            folder = storage._database.path.parent
            assert any(one in _files(folder) for one in before), "a reader still needs the log"
        with storage.open_work() as work:
            work.erasures.scrub()
            work.commit()
        assert not any(one in _files(folder) for one in before), "the next run does it"
    finally:
        storage.close()
