"""What moves orders between pages waits until a pass was read to its end, and not for ever."""

from dataclasses import replace

import pytest

from oms_sync.flows.commands.write_backs import Cancellation, Refund, cancel, refund
from oms_sync.flows.half_read import PASS_SECONDS_MAX, PASS_WAIT_SECONDS
from oms_sync.sdk import OrderFeed

PAIRS = (("ingest", "push_tracking"), ("ingest", "write_back"))


@pytest.fixture
def shop(any_hub):
    shop = any_hub.open_shop()
    manifest = any_hub.manifests["shop-a"]
    any_hub.manifests["shop-a"] = replace(manifest, exclusive_flows=PAIRS)
    return shop


def sold(hub, shop):
    order = shop.buy(("TEE", 2))
    hub.settle()
    return order


def half_read(hub):
    """A pass of orders began, and stopped between two of its pages."""
    with hub.storage.open_work() as work:
        position = work.feeds.get("shop-a", OrderFeed.CHANGES)
        work.feeds.put(replace(position, pass_started_at=hub.clock.now()))
        work.commit()


def ask_cancel(hub, order):
    cancel(hub.command, hub.order(order).order_id, Cancellation())


def ask_refund(hub, order):
    refund(hub.command, hub.order(order).order_id, Refund(reason="buyer"))


def hear_buyer(hub, order):
    hub.profile("shop-a", cancellation_requests="accept")


@pytest.mark.proves("I-30")
@pytest.mark.parametrize("ask", [ask_cancel, ask_refund, hear_buyer])
def test_no_order_is_changed_between_two_pages_of_a_pass(any_hub, shop, ask):
    order = sold(any_hub, shop)
    if ask is hear_buyer:
        shop.request_cancellation(order)
        any_hub.settle()
    ask(any_hub, order)
    before = len(shop.effects)
    half_read(any_hub)
    report = any_hub.run("write_back")
    assert report.done == 0
    assert report.next_at is not None
    assert (report.next_at - any_hub.clock.now()).total_seconds() == PASS_WAIT_SECONDS
    assert len(shop.effects) == before
    any_hub.clock.advance(PASS_SECONDS_MAX)
    assert any_hub.run("write_back").done >= 1
    assert len(shop.effects) > before


def test_a_pass_read_to_its_end_keeps_nobody_waiting(any_hub, shop):
    order = sold(any_hub, shop)
    half_read(any_hub)
    ask_cancel(any_hub, order)
    any_hub.settle()
    assert shop.order(order).state == "cancelled"


def test_flows_that_exclude_nothing_do_not_wait(any_hub, shop):
    order = sold(any_hub, shop)
    any_hub.manifests["shop-a"] = replace(any_hub.manifests["shop-a"], exclusive_flows=PAIRS[:1])
    half_read(any_hub)
    ask_cancel(any_hub, order)
    assert any_hub.run("write_back").done == 1
    assert shop.order(order).state == "cancelled"
