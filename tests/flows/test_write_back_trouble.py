"""What is never asked of a channel, and accounts in trouble."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.shipment import Package
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.orders import release
from oms_sync.flows.commands.write_backs import Cancellation, Refund, cancel, correct, refund
from oms_sync.sdk import AuthFailed, BadPayload, Capability
from oms_sync.sdk.fake_session import FakeSession


@pytest.fixture
def shop(any_hub):
    return any_hub.open_shop()


def sold(hub, shop, units=2, **order):
    placed = shop.buy(("TEE", units), **order)
    hub.settle()
    return placed


def ask_cancel(hub, order, **wanted):
    return cancel(hub.command, hub.order(order).order_id, Cancellation(**wanted))


def ask_refund(hub, order, **wanted):
    wish = Refund(**{"reason": "buyer", **wanted})
    return refund(hub.command, hub.order(order).order_id, wish)


def state_of(hub, write):
    found = hub.storage.reports.order(write.order_id)["write_backs"]
    (row,) = [one for one in found if one["id"] == write.write_id]
    return row["state"], row["error"]


def done(shop, kind):
    return [effect for effect in shop.effects if effect.kind == kind]


def without(hub, capability):
    manifest = hub.manifests["shop-a"]
    hub.manifests["shop-a"] = replace(manifest, capabilities=manifest.capabilities - {capability})


def test_nothing_is_asked_of_a_channel_in_shadow_mode_or_one_that_cannot(hub):
    shop = hub.open_shop()
    order = sold(hub, shop)
    shipment_of = hub.ship(sold(hub, shop), "T1")
    hub.settle()
    hub.profile("shop-a", mode="shadow")
    with pytest.raises(CommandRefused, match="shadow mode"):
        ask_cancel(hub, order)
    with pytest.raises(CommandRefused, match="shadow mode"):
        ask_refund(hub, order)
    with pytest.raises(CommandRefused, match="shadow mode"):
        correct(hub.command, shipment_of.shipment_id, [Package(carrier="dhl")])
    hub.profile("shop-a", mode="live")
    without(hub, Capability.CANCEL_ORDERS)
    with pytest.raises(CommandRefused, match="cannot do this"):
        ask_cancel(hub, order)


def test_an_account_put_into_shadow_mode_is_told_nothing_more(any_hub, shop):
    order = sold(any_hub, shop)
    ask_cancel(any_hub, order)
    any_hub.profile("shop-a", mode="shadow")
    assert any_hub.run("write_back").done == 0
    assert done(shop, "cancelled") == []


def test_what_cannot_be_cancelled_is_refused_at_the_desk(hub):
    shop = hub.open_shop()
    order, by_channel = sold(hub, shop, 2), sold(hub, shop, 1, fulfilled_by="channel")
    with pytest.raises(CommandRefused, match="the channel ships this order itself"):
        ask_cancel(hub, by_channel)
    with pytest.raises(CommandRefused, match="2 units are possible, not 3"):
        ask_cancel(hub, order, lines={"TEE": 3})
    manifest = hub.manifests["shop-a"]
    hub.manifests["shop-a"] = replace(manifest, cancels_lines=False)
    with pytest.raises(CommandRefused, match="only whole orders"):
        ask_cancel(hub, order, lines={"TEE": 1})
    ask_cancel(hub, order)
    with pytest.raises(CommandRefused, match="under way"):
        ask_cancel(hub, order)
    with pytest.raises(CommandRefused, match="being cancelled"):
        release(hub.command, hub.order(order).order_id)
    hub.settle()
    with pytest.raises(CommandRefused, match="is cancelled, there is nothing"):
        ask_cancel(hub, order)


@pytest.mark.proves("I-25", "F05")
def test_an_account_in_trouble_gives_everything_back_at_once(any_hub, shop):
    orders = [sold(any_hub, shop, 1) for _ in range(2)]
    for order in orders:
        ask_cancel(any_hub, order)
    shop.is_authorised = False
    with pytest.raises(AuthFailed):
        any_hub.run("write_back")
    with any_hub.storage.open_work() as work:
        assert work.write_backs.next_at("shop-a") == any_hub.clock.now()
    shop.is_authorised = True
    any_hub.settle()
    assert [shop.order(order).state for order in orders] == ["cancelled"] * 2


def test_one_in_trouble_keeps_no_other_waiting(any_hub, shop):
    bad, good = sold(any_hub, shop, 1), sold(any_hub, shop, 1)
    writes = [ask_cancel(any_hub, bad), ask_cancel(any_hub, good)]

    class Choking(FakeSession):
        def read_orders_by_id(self, channel_order_ids):
            if bad in channel_order_ids:
                raise BadPayload("unreadable")
            return super().read_orders_by_id(channel_order_ids)

    any_hub.sessions["shop-a"] = Choking(shop, shop.request())
    any_hub.run("write_back")
    assert shop.order(good).state == "cancelled"
    assert state_of(any_hub, writes[0]) == ("waiting", "unreadable")
    any_hub.sessions["shop-a"] = shop.session()
    any_hub.settle()
    assert shop.order(bad).state == "cancelled"


def test_waits_grow_to_half_an_hour(any_hub, shop):
    order = sold(any_hub, shop)
    write = ask_cancel(any_hub, order)
    shop.delete(order)
    waits = []
    for _ in range(14):
        any_hub.run("write_back")
        with any_hub.storage.open_work() as work:
            waits.append(work.write_backs.next_at("shop-a") - any_hub.clock.now())
        any_hub.clock.advance(waits[-1].total_seconds())
    assert waits[:3] == [timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8)]
    assert waits[-1] == timedelta(minutes=30)
    assert state_of(any_hub, write) == ("waiting", "the channel shows no such order")


def test_a_draining_hub_hands_back_what_it_has_not_begun(any_hub, shop):
    order = sold(any_hub, shop)
    ask_cancel(any_hub, order)
    any_hub.is_stopping = lambda: True
    any_hub.run("write_back")
    assert done(shop, "cancelled") == []
    any_hub.is_stopping = lambda: False
    any_hub.settle()
    assert shop.order(order).state == "cancelled"
