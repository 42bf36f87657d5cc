"""Orders and their people while somebody else changes them: what was waited for is what counts."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.order import OrderState
from oms_sync.domain.personal import obstacles
from oms_sync.domain.shipment import Package, Shipment, ShipmentLine
from oms_sync.domain.write_back import Wish, WriteBack, WriteKind
from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.sdk.fake_ports import SeededIds
from oms_sync.storage.engine import open_storage

WAIT_SECONDS = 10


@pytest.fixture
def postgres(postgres_url, keys, clock):
    storage = open_storage(postgres_url, keys=keys, clock=clock, ids=SeededIds(1))
    yield storage
    storage.close()


def beside(storage, holder, act):
    """Run `act` in another thread until it waits for what `holder` has locked, then commit."""
    answers = []

    def run():
        with storage.open_work() as work:
            answers.append(act(work))
            work.commit()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=0.5)
    assert thread.is_alive(), "it waits for the lock"
    holder.commit()
    holder._transaction.connection.close()
    thread.join(timeout=WAIT_SECONDS)
    (answer,) = answers
    return answer


@pytest.mark.proves("F49")
@pytest.mark.parametrize("buyer_id", [None, "b-1"])
def test_who_waited_for_an_order_sees_the_people_that_came_meanwhile(
    postgres, builder, clock, buyer_id
):
    build = builder(postgres, clock)
    named = build.order("c-1", buyer_id=buyer_id)
    nobody = dict.fromkeys(("buyer", "recipient", "buyer_note"))
    facts = replace(named.known.facts, **nobody)
    build.stored(replace(named, known=replace(named.known, facts=facts)))
    with postgres.open_work() as work:
        work.orders.lock([named.order_id])
        work.orders.save([named])
        seen = beside(postgres, work, lambda other: other.orders.lock([named.order_id]))
    assert seen[named.order_id].known.facts.buyer == named.known.facts.buyer


def untold_shipment(work, order, clock):
    line = order.lines[0]
    shipment = Shipment(
        shipment_id="s-1",
        order_id=order.order_id,
        account="shop-a",
        channel_order_id=order.known.ref.channel_order_id,
        lines=(ShipmentLine(line_id=line.line_id, channel_line_id="line-1", quantity=1),),
        packages=(Package(carrier="ups", tracking_number="1Z1"),),
        shipped_at=clock.now(),
    )
    work.shipments.add(shipment, at=clock.now())


def open_refund(work, order, clock):
    work.write_backs.add(
        WriteBack(
            write_id="w-1",
            order_id=order.order_id,
            account="shop-a",
            kind=WriteKind.REFUND,
            wish=Wish(),
            asked_at=clock.now(),
            actor="cli:anna",
            next_at=clock.now(),
        )
    )


@pytest.mark.proves("F49")
@pytest.mark.parametrize("begin", [untold_shipment, open_refund])
@pytest.mark.parametrize("is_by_hand", [False, True])
def test_what_began_while_an_erasure_waited_for_the_order_keeps_its_people(
    postgres, builder, clock, begin, is_by_hand
):
    build = builder(postgres, clock)
    order = build.order("c-1", state=OrderState.CLOSED, is_reserve_due=False)
    build.stored(order)

    def look(work):
        if is_by_hand:
            return obstacles(work.erasures.lock([order.order_id])[order.order_id])
        before = clock.now() + timedelta(days=1)
        return work.erasures.lock_due("shop-a", before=before, limit=10)

    with postgres.open_work() as work:
        work.orders.lock([order.order_id])
        begin(work, order, clock)
        found = beside(postgres, work, look)
    assert len(found) == (1 if is_by_hand else 0)


@pytest.mark.proves("B-29", "F49")
def test_a_hint_worked_off_while_its_order_is_erased_goes_with_it(postgres, builder, clock):
    build = builder(postgres, clock)
    order = build.order("c-1", state=OrderState.CLOSED, is_reserve_due=False)
    build.stored(order)
    with postgres.open_work() as work:
        work.inbox.add(
            [
                NewMessage(
                    account="shop-a",
                    topic="orders/updated",
                    source=MessageSource.WEBHOOK,
                    body=b"Vilja Canaryberg",
                    received_at=clock.now(),
                    channel_order_id=None,
                )
            ]
        )
        work.commit()

    def settle(work):
        (hint,) = work.inbox.lock_new("shop-a", [MessageSource.WEBHOOK], 10)
        work.inbox.settle([hint.message_id], order_ids={})
        work.erasures.name_orders("shop-a", {hint.message_id: "c-1"})

    with postgres.open_work() as work:
        work.erasures.lock([order.order_id])
        assert work.erasures.erase([order.order_id], at=clock.now()) == 0
        beside(postgres, work, settle)
    (hint,) = postgres.reports.inbox(account="shop-a", limit=10)
    assert (hint["state"], hint["bytes"]) == ("done", 0)
