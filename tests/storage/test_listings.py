"""Listings, batches and shipments: stored whole, chosen by what they wait for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.listing import (
    Basis,
    claim,
    confirm,
    explain_rises,
    give_up,
    postpone,
    refuse,
    want,
)
from oms_sync.domain.looks import look
from oms_sync.domain.shipment import Package, PushState, Shipment, ShipmentLine
from oms_sync.domain.taken import take
from oms_sync.domain.values import Sku
from oms_sync.flows.records import AccountRecord, FeedPosition, PushRecord, StoredBatch
from oms_sync.sdk import OrderFeed, StockBatch, StockPush
from oms_sync.storage import listings as listing_statements
from oms_sync.storage.columns import to_micros


def save(storage, *listings):
    with storage.open_work() as work:
        work.listings.save(listings)
        work.commit()


def ids(listings):
    return [one.listing_id for one in listings]


def test_a_listing_comes_back_exactly_as_it_was_stored(storage, build, clock):
    plain = build.listed("l1", buffer=2, cap=9, sku=None, taken=5, taken_since=3)
    flying = claim(build.listed("l2", desired=7), push_id="p", at=clock.now(), is_comparing=True)
    looked = look(build.listed("l3"), 4, read_at=clock.now(), at=clock.now())
    refused = refuse(
        claim(build.listed("l4", desired=1), push_id="q", at=clock.now(), is_comparing=False), "no"
    )
    save(storage, plain, flying, looked, refused)
    with storage.open_work() as work:
        found = work.listings.lock(["l4", "l1", "l3", "l2", "nope"])
        assert found == {"l1": plain, "l2": flying, "l3": looked, "l4": refused}
        by_id = work.listings.by_channel_ids("shop-a", ["channel-l1", "x"])
        assert by_id == {"channel-l1": plain}
        grouped = work.listings.by_channel_skus("shop-a", ["MUG"])
        assert ids(grouped["MUG"]) == ["l2", "l3", "l4"]
        assert work.listings.by_channel_skus("shop-b", ["MUG"]) == {}
        assert work.listings.lock([]) == work.listings.by_channel_ids("shop-a", []) == {}


def test_stale_marks_are_cleared_by_the_work_that_reads_them(storage, build):
    build.listed("l1")
    build.listed("l2", account="shop-b")
    build.listed("l3", sku="CUP")
    with storage.open_work() as work:
        assert work.listings.mark_stale([Sku("MUG")]) == {"shop-a", "shop-b"}
        assert work.listings.mark_stale([]) == set()
        work.commit()
    for _ in range(2):  # not committed: still stale
        with storage.open_work() as work:
            assert ids(work.listings.lock_stale("shop-a", 10)) == ["l1"]
    with storage.open_work() as work:
        work.listings.lock_stale("shop-a", 10)
        work.commit()
    with storage.open_work() as work:
        assert work.listings.lock_stale("shop-a", 10) == []
        assert ids(work.listings.lock_stale("shop-b", 10)) == ["l2"]


def test_another_sku_buffer_or_cap_makes_a_listing_stale(storage, build):
    one = build.listed("l1")
    for changed in (replace(one, buffer=1), replace(one, cap=2), replace(one, sku=Sku("CUP"))):
        save(storage, changed)
        with storage.open_work() as work:
            assert ids(work.listings.lock_stale("shop-a", 10)) == ["l1"]
            work.commit()
    save(storage, replace(changed, desired=4))
    with storage.open_work() as work:
        assert work.listings.lock_stale("shop-a", 10) == []


@pytest.mark.proves("I-24")
def test_a_sku_with_a_sale_not_reserved_yet_is_neither_computed_nor_pushed(storage, build):
    build.counted("MUG", 9)
    build.listed("l1", desired=3)
    build.listed("l2", desired=3)
    order = build.order("1")
    build.stored(order)
    with storage.open_work() as work:
        work.listings.mark_stale([Sku("MUG")])
        work.commit()
    with storage.open_work() as work:
        assert work.listings.lock_stale("shop-a", 10) == []
        assert work.listings.lock_wanting_push("shop-a", 10, may_cut=True) == []
    build.reserved(order.order_id)
    with storage.open_work() as work:
        assert work.listings.lock_wanting_push("shop-a", 10, may_cut=True) == []  # still stale
        assert ids(work.listings.lock_stale("shop-a", 10)) == ["l1", "l2"]
        work.commit()
    with storage.open_work() as work:
        assert ids(work.listings.lock_wanting_push("shop-a", 10, may_cut=True)) == ["l1", "l2"]


def test_pushes_come_decreases_first_the_largest_first(storage, build):
    for name, desired in (("up", 9), ("down", 3), ("far-down", 0), ("even", 5), ("up-one", 6)):
        build.listed(name, desired=desired)
    build.listed("unseen", desired=1, basis=None)
    build.listed("held", desired=1, held_reason="drift")
    with storage.open_work() as work:
        found = ids(work.listings.lock_wanting_push("shop-a", 10, may_cut=True))
        assert found == ["far-down", "down", "up-one", "up"]
        assert ids(work.listings.lock_wanting_push("shop-a", 2, may_cut=True)) == [
            "far-down",
            "down",
        ]


def test_looks_are_due_where_nothing_is_known_or_a_time_has_come(storage, build, clock):
    now = clock.now()
    build.listed("unseen", basis=None)
    build.listed("due", look_due_at=now)
    build.listed("later", look_due_at=now + timedelta(seconds=9))
    build.listed("seen")
    build.listed("uncounted", desired=None, basis=None)
    build.listed("unlinked", sku=None, basis=None)
    build.listed("held", basis=None, held_reason="drift")
    build.listed("refused", basis=None, refused_reason="no", refused_generation=0)
    build.listed("tried-again", basis=None, refused_reason="no", refused_generation=0, generation=1)
    waiting = build.listed("waiting", basis=None)
    save(storage, look(waiting, 1, read_at=now, at=now))
    with storage.open_work() as work:
        found = ids(work.listings.lock_look_due("shop-a", at=now, limit=10))
        assert sorted(found) == ["due", "tried-again", "unseen"]
        assert len(work.listings.lock_look_due("shop-a", at=now, limit=1)) == 1


def test_the_next_look_is_known(storage, build, clock):
    later = clock.now() + timedelta(seconds=9)
    with storage.open_work() as work:
        assert work.listings.next_look_at("shop-a") is None
    build.listed("seen")
    build.listed("later", look_due_at=later)
    with storage.open_work() as work:
        assert work.listings.next_look_at("shop-a") == later
    build.listed("unseen", basis=None)
    with storage.open_work() as work:
        assert work.listings.next_look_at("shop-a") < clock.now()


def test_looks_wait_for_the_orders_of_their_time(storage, build, clock):
    early, late = build.listed("early"), build.listed("late")
    first = clock.now()
    save(storage, look(early, 4, read_at=first, at=first))
    clock.advance(10)
    save(storage, look(late, 4, read_at=clock.now(), at=clock.now()))
    with storage.open_work() as work:
        assert ids(work.listings.lock_looked("shop-a", until=first, limit=9)) == ["early"]
        found = ids(work.listings.lock_looked("shop-a", until=clock.now(), limit=9))
        assert found == ["early", "late"]


def test_the_listing_compared_longest_ago_comes_first(storage, build, clock):
    now = clock.now()
    build.listed("never")
    build.listed("old", looked_at=now - timedelta(hours=3))
    build.listed("older", looked_at=now - timedelta(hours=4))
    build.listed("fresh", looked_at=now)
    build.listed("unseen", basis=None)
    build.listed("unlinked", sku=None)
    build.listed("due", look_due_at=now)
    build.listed("other", account="shop-b")
    with storage.open_work() as work:
        found = work.listings.lock_oldest("shop-a", before=now, limit=10)
        assert ids(found) == ["never", "older", "old"]


def test_taking_and_confirming_survive_a_round_trip(storage, build, clock):
    one = take(want(build.listed("l1"), 2), 1, at=clock.now())
    flying = claim(one, push_id="p", at=clock.now(), is_comparing=True)
    done = confirm(flying, applied_at=clock.now(), at=clock.now())
    save(storage, done)
    with storage.open_work() as work:
        assert work.listings.lock(["l1"])["l1"] == done
        assert done.basis == Basis(quantity=2, taken=1)


def test_batches_stay_open_until_every_entry_is_answered_for(storage, clock):
    entries = (StockPush(channel_listing_id="c", channel_sku="MUG", quantity=3, expected=None),)
    stored = StoredBatch(
        account="shop-a", batch=StockBatch(key="k", entries=entries), sent_at=clock.now()
    )
    with storage.open_work() as work:
        work.outbox.add(stored)
        assert work.outbox.open_batches("shop-a") == [stored]
        assert work.outbox.open_batches("shop-b") == []
        work.outbox.retry("k")
        assert work.outbox.open_batches("shop-a")[0].attempts == 1
        record = PushRecord(
            batch_key="k", channel_listing_id="c", outcome="applied", at=clock.now()
        )
        work.outbox.settle("k", [record])
        assert work.outbox.open_batches("shop-a") == []


def shipment(order, clock, shipment_id="s1"):
    return Shipment(
        shipment_id=shipment_id,
        order_id=order.order_id,
        account="shop-a",
        channel_order_id="1",
        lines=(ShipmentLine(line_id="l", channel_line_id="line-1", quantity=2),),
        packages=(
            Package(carrier="ups", tracking_number="1Z", tracking_url="https://t.example/1Z"),
            Package(carrier="dhl"),
        ),
        service="ground",
        shipped_at=clock.now(),
    )


@pytest.mark.proves("I-28")
def test_a_shipment_is_stored_once_and_pushed_until_resolved(storage, build, clock):
    order = build.order("1")
    build.stored(order)
    one = shipment(order, clock)
    with storage.open_work() as work:
        work.shipments.add(one, at=clock.now())
        work.shipments.add(one, at=clock.now() + timedelta(9))
        assert work.shipments.get(["s1", "x"]) == {"s1": one}
        assert work.shipments.get([]) == {}
        (push,) = work.shipments.lock_due("shop-a", at=clock.now(), limit=10)
        assert (push.shipment, push.state, push.attempts) == (one, PushState.WAITING, 0)
        assert work.shipments.lock_due("shop-b", at=clock.now(), limit=10) == []
        later = clock.now() + timedelta(seconds=5)
        sent = replace(push, state=PushState.SENT, attempts=1, next_at=later, error="timeout")
        work.shipments.save([sent])
        assert work.shipments.lock_due("shop-a", at=clock.now(), limit=10) == []
        assert work.shipments.next_at("shop-a") == later
        assert work.shipments.lock_due("shop-a", at=later, limit=10) == [sent]
        done = replace(
            sent,
            state=PushState.CONFIRMED,
            confirmed_at=later,
            channel_shipment_ids=("f1", "f2"),
            error="",
        )
        work.shipments.save([done])
        assert work.shipments.lock_due("shop-a", at=later, limit=10) == []
        assert work.shipments.next_at("shop-a") is None
        claimed = work.shipments.claimed([order.order_id, "other"])
        assert claimed == {order.order_id: {"f1", "f2"}, "other": set()}
        assert work.shipments.claimed([]) == {}


@pytest.mark.proves("I-04")
def test_feeds_and_accounts_are_remembered(storage, clock):
    now = clock.now()
    position = FeedPosition(account="shop-a", feed=OrderFeed.CHANGES, cursor="c", since=now)
    record = AccountRecord(name="shop-a", connector="shopify", backfilled_at=now, is_paused=True)
    with storage.open_work() as work:
        assert work.feeds.get("shop-a", OrderFeed.CHANGES) is None
        assert work.accounts.get("shop-a") is None
        work.feeds.put(position)
        work.accounts.put(record)
        assert work.feeds.get("shop-a", OrderFeed.CHANGES) == position
        assert work.accounts.get("shop-a") == record
        work.feeds.hasten("shop-a", OrderFeed.CHANGES, at=now)
        work.feeds.hasten("shop-a", OrderFeed.CHANGES, at=now + timedelta(1))
        assert work.feeds.get("shop-a", OrderFeed.CHANGES).next_at == now
        work.feeds.hasten("shop-a", OrderFeed.CHANGES, at=now - timedelta(1))
        assert work.feeds.get("shop-a", OrderFeed.CHANGES).next_at == now - timedelta(1)
    with storage.open_work() as work:  # nothing was committed
        assert work.feeds.get("shop-a", OrderFeed.CHANGES) is None


def test_growths_that_wait_come_back_as_stored_and_are_found_by_their_moment(storage, build, clock):
    now = clock.now()
    one = want(build.listed("one"), 9, at=now)
    two = want(want(build.listed("two"), 8, at=now), 11, at=now + timedelta(seconds=5))
    partly = explain_rises(two, until=now)
    save(storage, one, partly, build.listed("none", desired=9))
    with storage.open_work() as work:
        found = work.listings.lock(["one", "two"])
        assert found == {"one": one, "two": partly}
        assert work.listings.next_rise_at("shop-a") == now
        assert work.listings.next_rise_at("shop-b") is None
        assert ids(work.listings.lock_rising("shop-a", until=now, limit=9)) == ["one"]
        until = now + timedelta(seconds=5)
        assert ids(work.listings.lock_rising("shop-a", until=until, limit=9)) == ["one", "two"]
        assert ids(work.listings.lock_rising("shop-a", until=until, limit=1)) == ["one"]
        wanting = work.listings.lock_wanting_push("shop-a", 9, may_cut=True)
        assert ids(wanting) == ["two", "none"], "what waits is not pushed, what was explained is"


def test_what_rests_comes_back_as_stored_and_is_found_when_its_time_has_come(storage, build, clock):
    now = clock.now()
    flying = claim(build.listed("l1", desired=9), push_id="p", at=now, is_comparing=False)
    resting = postpone(flying, "later", until=now + timedelta(seconds=9))
    lost = give_up(build.listed("l2", desired=9), "never shown", until=now)
    save(storage, resting, lost, build.listed("l3", desired=9))
    with storage.open_work() as work:
        assert work.listings.lock(["l1", "l2"]) == {"l1": resting, "l2": lost}
        assert work.listings.next_retry_at("shop-a") == now
        assert work.listings.next_retry_at("shop-b") is None
        assert ids(work.listings.lock_retried("shop-a", until=now, limit=9)) == ["l2"]
        assert ids(work.listings.lock_wanting_push("shop-a", 9, may_cut=True)) == ["l3"]


PUSH_QUESTIONS = {
    "_WANTING_IDS": "ix_listings_wanting_push",
    "_EXPLAINED_IDS": "ix_listings_rising",
    "_RETRIED_IDS": "ix_listings_retried",
    "_NEXT_RISE_AT": "ix_listings_rising",
    "_NEXT_RETRY_AT": "ix_listings_retried",
}


@pytest.mark.proves("I-33")
def test_what_is_asked_at_every_push_is_answered_from_small_indexes(storage, tamper, clock):
    tamper(
        "INSERT INTO listings (listing_id, account, channel_listing_id, channel_sku, generation,"
        " ready, taken, taken_since, stale_count, is_stale, push_delta, rise_at, retry_at)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)"
        " SELECT 'l-' || i, 'shop-a', 'c-' || i, 'MUG', 0, 0, 0, 0, 0, 1 = 0,"
        " CASE WHEN i % 300 = 0 THEN 1 END, CASE WHEN i % 300 = 1 THEN 1 END,"
        " CASE WHEN i % 300 = 2 THEN 1 END FROM n"
    )
    database = storage._database
    if database.is_postgres:  # which does so by itself
        tamper("ANALYZE listings")
    known = {"account": "shop-a", "limit": 25, "until": to_micros(clock.now()), "may_cut": True}
    for name, index in PUSH_QUESTIONS.items():
        compiled = getattr(listing_statements, name).compile(dialect=database.engine.dialect)
        asked = {**compiled.params, **{key: known[key] for key in known if key in compiled.params}}
        given = asked if database.is_postgres else tuple(asked[one] for one in compiled.positiontup)
        explain = "EXPLAIN" if database.is_postgres else "EXPLAIN QUERY PLAN"
        with database.read() as transaction:
            plan = transaction.connection.exec_driver_sql(f"{explain} {compiled}", given).all()
        assert any(index in str(step[-1]) for step in plan), f"{name}: {plan}"
