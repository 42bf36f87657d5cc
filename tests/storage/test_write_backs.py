"""Write-backs on both databases: kept whole, due in order, and safe from whoever came too late."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.order import Hold, OrderState
from oms_sync.domain.shipment import Package, PushState, Shipment
from oms_sync.domain.values import Money
from oms_sync.domain.write_back import Wish, WriteBack, WriteKind, WriteState

WISH = Wish(
    reason="returned",
    note="zu groß 李",
    lines={"L1": 2},
    cancelled_before={"L1": 1},
    is_restocked=True,
    amount=Money.parse("12.34", "EUR"),
    line_amounts={"L1": Money.parse("10.00", "EUR")},
    shipping=Money.parse("2.34", "EUR"),
    shipment_id="s1",
    packages=(Package(carrier="ups", tracking_number="1Z", tracking_url="https://ups.example/1Z"),),
    packages_before=(Package(carrier="dhl", tracking_number="00340"), Package(carrier="other")),
)


@pytest.fixture
def order(build):
    made = build.order("1001")
    build.stored(made)
    return made


def write_of(order, clock, **changes):
    fields = {
        "write_id": "w1",
        "order_id": order.order_id,
        "account": "shop-a",
        "kind": WriteKind.REFUND,
        "wish": WISH,
        "asked_at": clock.now(),
        "actor": "cli:anna",
        "next_at": clock.now(),
    }
    return WriteBack(**{**fields, **changes})


def add(storage, *writes):
    with storage.open_work() as work:
        for one in writes:
            work.write_backs.add(one)
        work.commit()


def save(storage, *writes):
    with storage.open_work() as work:
        work.write_backs.save(writes)
        work.commit()


def kept(storage, order):
    with storage.open_work() as work:
        return work.write_backs.of_orders([order.order_id])


def test_everything_is_kept_as_it_was(storage, order, clock):
    fresh = write_of(order, clock)
    full = write_of(
        order,
        clock,
        write_id="w2",
        state=WriteState.SENT,
        attempts=3,
        turn=4,
        sent_at=clock.now(),
        receipt="feed-1",
        answered_at=clock.now() + timedelta(seconds=1),
        confirmed_at=clock.now() + timedelta(seconds=2),
        known_before=("R1", "R2"),
        channel_refund_id="R3",
        error="no answer",
    )
    add(storage, fresh, full)
    assert kept(storage, order) == [fresh, full]
    later = replace(fresh, turn=1, known_before=(), receipt="feed-2", state=WriteState.SENT)
    save(storage, later)
    assert kept(storage, order)[0] == later


def test_the_due_ones_come_and_what_is_over_does_not(storage, order, clock):
    now = clock.now()
    add(
        storage,
        write_of(order, clock, write_id="later", next_at=now + timedelta(seconds=5)),
        write_of(order, clock, write_id="second", next_at=now),
        write_of(order, clock, write_id="first", next_at=now - timedelta(seconds=5)),
        write_of(order, clock, write_id="over", state=WriteState.CONFIRMED),
        write_of(order, clock, write_id="other", account="shop-b"),
    )
    with storage.open_work() as work:
        due = work.write_backs.lock_due("shop-a", at=now, limit=10)
        assert [one.write_id for one in due] == ["first", "second"]
        assert len(work.write_backs.lock_due("shop-a", at=now, limit=1)) == 1
        assert work.write_backs.next_at("shop-a") == now - timedelta(seconds=5)
        assert work.write_backs.next_at("shop-c") is None
        assert work.write_backs.lock("over") is None
        assert work.write_backs.lock("later").write_id == "later"
        assert work.write_backs.of_orders([]) == []


@pytest.mark.proves("I-32")
def test_who_came_too_late_stores_nothing(storage, order, clock):
    first = write_of(order, clock, turn=1)
    add(storage, first)
    second = replace(first, turn=2, state=WriteState.SENT)
    save(storage, second)
    save(storage, replace(first, error="from a zombie", state=WriteState.REFUSED))
    assert kept(storage, order) == [second]


def asking(build, number, *codes, state=OrderState.HELD):
    holds = tuple(Hold(code=code, since=build.clock.now(), actor="channel") for code in codes)
    made = replace(build.order(number), holds=holds, state=state)
    build.stored(made)
    return made


def test_orders_whose_buyer_asks_to_cancel_are_found_until_somebody_acts(storage, build, clock):
    asked = asking(build, "1", "channel:cancellation_requested")
    part = asking(build, "2", "manual", "channel:cancellation_requested:L1")
    asking(build, "3", "channel:fraud_review")
    asking(build, "4", "channel:cancellation_requested", state=OrderState.CANCELLED)

    def found():
        with storage.open_work() as work:
            return work.write_backs.orders_asking("shop-a", 10)

    assert found() == [asked.order_id, part.order_id]
    cancel = write_of(asked, clock, kind=WriteKind.CANCEL)
    add(storage, write_of(asked, clock, write_id="w0"), cancel)
    assert found() == [part.order_id]
    save(storage, replace(cancel, state=WriteState.REFUSED))
    assert found() == [part.order_id], "what was refused is not tried for ever"
    save(storage, replace(cancel, state=WriteState.CONFIRMED))
    assert found() == [asked.order_id, part.order_id]


def test_packages_of_a_shipment_can_be_corrected(storage, order, build, clock):
    made = Shipment(
        shipment_id="s1",
        order_id=order.order_id,
        account="shop-a",
        channel_order_id="1001",
        lines=(),
        packages=(Package(carrier="ups", tracking_number="1Z"),),
        shipped_at=clock.now(),
    )
    corrected = replace(made, packages=(Package(carrier="dhl"), Package(carrier="dhl")))
    with storage.open_work() as work:
        work.shipments.add(made, at=clock.now())
        work.shipments.repack(corrected)
        work.commit()
    with storage.open_work() as work:
        push = work.shipments.lock(["s1"])["s1"]
        assert (push.shipment, push.state) == (corrected, PushState.WAITING)
        assert work.shipments.lock(["s2"]) == {}
