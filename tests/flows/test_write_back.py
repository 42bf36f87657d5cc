"""Cancellations happen once at the channel, and free no unit before it shows them."""

from dataclasses import replace

import pytest

from oms_sync.domain.errors import ShipmentRefused
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.write_backs import Cancellation, cancel
from oms_sync.sdk import Rejected
from oms_sync.sdk.fake_session import FakeSession

LONG = 2_000.0


@pytest.fixture
def shop(any_hub):
    return any_hub.open_shop()


def sold(hub, shop, units=2, **order):
    placed = shop.buy(("TEE", units), **order)
    hub.settle()
    return placed


def ask_cancel(hub, order, **wanted):
    return cancel(hub.command, hub.order(order).order_id, Cancellation(**wanted))


def state_of(hub, write):
    found = hub.storage.reports.order(write.order_id)["write_backs"]
    (row,) = [one for one in found if one["id"] == write.write_id]
    return row["state"], row["error"]


def settle_long(hub, times=3):
    for _ in range(times):
        hub.settle()
        hub.clock.advance(LONG)
    hub.settle()


def done(shop, kind):
    return [effect for effect in shop.effects if effect.kind == kind]


@pytest.mark.proves("I-16", "I-17", "I-40")
def test_a_cancelled_order_holds_nothing_once_the_channel_shows_it(any_hub, shop):
    order = sold(any_hub, shop, 2)
    write = ask_cancel(any_hub, order, reason="stock")
    assert any_hub.holds(order) == ["cancelling"]
    assert any_hub.filled(order) == (2, 0), "units stay reserved until the channel shows it"
    with pytest.raises(ShipmentRefused):
        any_hub.ship(order, "T1")
    any_hub.settle()
    assert shop.order(order).state == "cancelled"
    assert state_of(any_hub, write) == ("confirmed", "")
    stored = any_hub.order(order)
    assert (stored.state.value, stored.holds) == ("cancelled", ())
    assert any_hub.stock() == (10, 0)
    assert shop.quantities() == {"TEE": 10}
    names = [one["name"] for one in any_hub.events(order)]
    assert names.index("order.cancellation_asked") < names.index("write_back.confirmed")
    assert any_hub.run("write_back").done == 0


@pytest.mark.proves("I-16")
def test_a_part_of_an_order_is_cancelled_and_the_rest_ships(any_hub, shop):
    order = sold(any_hub, shop, 3)
    write = ask_cancel(any_hub, order, lines={"TEE": 1})
    any_hub.settle()
    assert state_of(any_hub, write)[0] == "confirmed"
    assert [line.open for line in shop.order(order).lines] == [2]
    assert any_hub.filled(order) == (2, 0)
    any_hub.ship(order, "T1")
    any_hub.settle()
    assert any_hub.order(order).state.value == "closed"
    assert any_hub.stock() == (8, 0)


@pytest.mark.proves("I-30", "F02")
@pytest.mark.parametrize("lines", [{}, {"TEE": 1}])
@pytest.mark.parametrize("fault", ["F01", "F02"])
def test_a_lost_answer_cancels_once(hub, fault, lines):
    shop = hub.open_shop()
    order = sold(hub, shop, 3)
    write = ask_cancel(hub, order, lines=lines)

    class Deaf(FakeSession):
        def cancel_order(self, cancellation):
            shop.faults.force(fault)
            return super().cancel_order(cancellation)

    hub.sessions["shop-a"] = Deaf(shop, shop.request())
    hub.run("write_back")
    assert state_of(hub, write)[0] == "sent"
    hub.sessions["shop-a"] = shop.session()
    settle_long(hub)
    assert state_of(hub, write) == ("confirmed", "")
    assert len(done(shop, "cancelled")) == 1
    assert shop.order(order).lines[0].cancelled == (1 if lines else 3)


@pytest.mark.proves("I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("commit", [1, 2, 3, 4, 5])
def test_a_crash_around_a_cancellation_cancels_once(any_hub, shop, commit, is_after):
    order = sold(any_hub, shop, 3)
    write = ask_cancel(any_hub, order, lines={"TEE": 1})
    any_hub.crash_at(commit, is_after=is_after)
    with pytest.raises(any_hub.Crash):
        any_hub.run("write_back")
    settle_long(any_hub)
    assert state_of(any_hub, write) == ("confirmed", "")
    assert shop.order(order).lines[0].cancelled == 1
    assert any_hub.filled(order) == (2, 0)


@pytest.mark.proves("I-30", "F34")
def test_units_that_shipped_meanwhile_are_not_cancelled(any_hub, shop):
    order = sold(any_hub, shop, 2)
    write = ask_cancel(any_hub, order)
    shop.fulfil_at_channel(order, {"TEE": 1})
    any_hub.settle()
    assert shop.order(order).lines[0].cancelled == 1
    state, reason = state_of(any_hub, write)
    assert state == "refused"
    assert reason.startswith("shipped, in others' care or in another order by now: 1 of line")
    assert any_hub.holds(order) == []
    assert any_hub.stock() == (9, 0)


@pytest.mark.proves("I-30")
def test_a_line_told_as_shipped_before_the_cancellation_stays_shipped(hub):
    shop = hub.open_shop()
    order = sold(hub, shop, 2)
    hub.ship(order, "T1")
    with pytest.raises(CommandRefused, match="nothing to cancel"):
        ask_cancel(hub, order)
    hub.settle()
    assert shop.order(order).lines[0].shipped == 2


def test_a_cancellation_refused_for_good_frees_the_order_to_ship(hub):
    shop = hub.open_shop()
    order = sold(hub, shop)
    write = ask_cancel(hub, order)

    class Stubborn(FakeSession):
        def cancel_order(self, cancellation):
            raise Rejected("too late")

    hub.sessions["shop-a"] = Stubborn(shop, shop.request())
    settle_long(hub, 1)
    assert state_of(hub, write) == ("refused", "too late")
    assert hub.holds(order) == []
    assert hub.events(order)[-1]["name"] == "write_back.refused"
    hub.ship(order, "T1")


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_receipt_is_followed_until_the_channel_has_decided(hub, is_refused):
    shop = hub.open_shop(options={"decides_after_seconds": 60.0})
    order = sold(hub, shop)
    write = ask_cancel(hub, order)
    hub.run("write_back")
    assert state_of(hub, write) == ("sent", "the channel has not decided yet")
    if is_refused:
        shop.fulfil_at_channel(order)
    settle_long(hub)
    if is_refused:
        assert state_of(hub, write)[0] == "refused"
        assert "is cancelled" not in hub.order(order).state.value
    else:
        assert state_of(hub, write) == ("confirmed", "")
        assert len(done(shop, "cancelled")) == 1


def test_a_buyer_who_asks_is_held_until_somebody_decides(hub):
    shop = hub.open_shop()
    order = sold(hub, shop)
    shop.request_cancellation(order)
    hub.settle()
    assert hub.holds(order) == ["channel:cancellation_requested"]
    assert done(shop, "cancelled") == []
    write = ask_cancel(hub, order, reason="buyer")
    hub.settle()
    assert state_of(hub, write)[0] == "confirmed"
    assert hub.order(order).state.value == "cancelled"


def test_a_buyer_who_asks_is_granted_it_where_the_policy_says_so(any_hub, shop):
    any_hub.profile("shop-a", cancellation_requests="accept")
    order = sold(any_hub, shop)
    shop.request_cancellation(order)
    any_hub.settle()
    assert shop.order(order).state == "cancelled"
    assert len(done(shop, "cancelled")) == 1
    assert any_hub.order(order).state.value == "cancelled"
    assert any_hub.stock() == (10, 0)
    assert "order.cancellation_accepted" in [one["name"] for one in any_hub.events(order)]


def test_a_request_that_could_not_be_granted_is_left_to_people(hub):
    shop = hub.open_shop()
    hub.profile("shop-a", cancellation_requests="accept")
    manifest = hub.manifests["shop-a"]
    hub.manifests["shop-a"] = replace(manifest, cancels_lines=False)
    placed = shop.buy(("TEE", 1), ("TEE", 1))
    shop.hold(placed, f"cancellation_requested:{placed}-2")
    hub.settle()
    assert hub.holds(placed) == [f"channel:cancellation_requested:{placed}-2"]
    assert done(shop, "cancelled") == []


def test_a_request_about_one_line_is_granted_for_that_line(hub):
    shop = hub.open_shop()
    hub.profile("shop-a", cancellation_requests="accept")
    placed = shop.buy(("TEE", 1), ("TEE", 1))
    shop.hold(placed, f"cancellation_requested:{placed}-2")
    hub.settle()
    assert [line.cancelled for line in shop.order(placed).lines] == [0, 1]


def test_orders_whose_id_changes_meanwhile_are_cancelled_under_the_new_one(any_hub):
    shop = any_hub.open_shop(options={"has_portable_lines": True})
    first = sold(any_hub, shop, is_paid=False)
    write = ask_cancel(any_hub, first)
    second = shop.pay(first)
    any_hub.settle()
    assert shop.order(second).state == "cancelled"
    assert state_of(any_hub, write) == ("confirmed", "")
