"""Push tracking: the channel learns of every shipment once, whatever becomes of the answers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.sdk import (
    AuthFailed,
    BadPayload,
    Capability,
    ChannelDown,
    RateLimited,
    UnmappedCode,
)
from oms_sync.sdk.fake_session import FakeSession


@pytest.fixture
def shop(any_hub):
    return any_hub.open_shop()


def sold(hub, shop, *units):
    orders = [shop.buy(("TEE", one)) for one in units or (1,)]
    hub.settle()
    return orders


def dispatches(shop, order):
    return [one for one in shop.fulfilments(order) if not one.is_cancelled]


def telling(hub, shop, push):
    """A session whose `push_shipment` goes through `push(shipment, really)`."""

    class Telling(FakeSession):
        def push_shipment(self, shipment):
            push(shipment, super().push_shipment)

    hub.sessions["shop-a"] = Telling(shop, shop.request())


def next_at(hub):
    with hub.storage.open_work() as work:
        return work.shipments.next_at("shop-a")


@pytest.mark.proves("I-28", "I-29", "I-40")
def test_a_shipment_is_told_read_back_and_confirmed(any_hub, shop):
    (order,) = sold(any_hub, shop, 2)
    shipment = any_hub.ship(order, "T1", "T2")
    assert ("push_tracking", "shop-a") in any_hub.wakes
    report = any_hub.run("push_tracking")
    assert (report.done, report.is_more, report.next_at) == (1, False, None)
    (dispatch,) = dispatches(shop, order)
    assert dispatch.tracking_numbers == ("T1", "T2")
    assert dispatch.key == shipment.shipment_id
    push = any_hub.push_of(shipment)
    assert (push["state"], push["error"] or "") == ("confirmed", "")
    assert [one["name"] for one in any_hub.events(order)][-1] == "shipment.confirmed"
    assert any_hub.run("push_tracking").done == 0
    any_hub.settle()
    assert any_hub.stock() == (8, 0), "what we shipped and the channel shows left once"


@pytest.mark.proves("I-28", "F02")
def test_a_timeout_after_the_effect_leaves_one_dispatch(any_hub, shop):
    (order,) = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    shop.faults.force("F02")
    report = any_hub.run("push_tracking")
    assert report.next_at == any_hub.clock.now() + timedelta(seconds=2)
    assert any_hub.push_of(shipment)["state"] == "sent"
    any_hub.settle()
    assert any_hub.push_of(shipment)["state"] == "confirmed"
    assert len(dispatches(shop, order)) == 1


@pytest.mark.proves("I-28", "I-29", "F01")
def test_a_timeout_before_the_effect_is_sent_again(any_hub, shop):
    (order,) = sold(any_hub, shop)
    any_hub.ship(order, "T1")

    class Deaf(FakeSession):
        def push_shipment(self, shipment):
            shop.faults.force("F01")
            super().push_shipment(shipment)

    any_hub.sessions["shop-a"] = Deaf(shop, shop.request())
    any_hub.run("push_tracking")
    assert dispatches(shop, order) == []
    any_hub.sessions["shop-a"] = shop.session()
    any_hub.settle()
    assert len(dispatches(shop, order)) == 1


@pytest.mark.proves("I-28", "I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("commit", [1, 2])
def test_a_crash_around_the_call_leaves_one_dispatch(any_hub, shop, commit, is_after):
    (order,) = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    any_hub.crash_at(commit, is_after=is_after)
    with pytest.raises(any_hub.Crash):
        any_hub.run("push_tracking")
    any_hub.settle()
    assert len(dispatches(shop, order)) == 1
    assert any_hub.push_of(shipment)["state"] == "confirmed"


@pytest.mark.proves("I-28")
def test_what_the_channel_already_knows_is_not_told_again(any_hub, shop):
    (order,) = sold(any_hub, shop, 3)
    shop.fulfil_at_channel(order, tracking_number="T1")
    shipment = any_hub.ship(order, "T1")
    any_hub.run("push_tracking")
    assert len(dispatches(shop, order)) == 1
    assert any_hub.push_of(shipment)["state"] == "confirmed"


@pytest.mark.proves("I-28", "I-30", "F36")
def test_of_a_shipment_partly_there_only_the_rest_is_told(any_hub, shop):
    (order,) = sold(any_hub, shop, 3)
    shop.fulfil_at_channel(order, {"TEE": 1}, tracking_number="T1")
    shipment = any_hub.ship(order, "T1")
    any_hub.run("push_tracking")
    assert [dict(one.lines) for one in dispatches(shop, order)] == [
        {f"{order}-1": 1},
        {f"{order}-1": 2},
    ]
    assert any_hub.push_of(shipment)["state"] == "confirmed"


@pytest.mark.proves("I-28")
def test_a_shipment_without_tracking_is_recognised_by_its_lines(any_hub, shop):
    (order,) = sold(any_hub, shop, 2)
    any_hub.ship(order)
    shop.faults.force("F02")
    any_hub.run("push_tracking")
    any_hub.settle()
    assert len(dispatches(shop, order)) == 1


@pytest.mark.proves("I-29", "F41")
def test_a_read_back_that_lags_is_asked_again_until_the_dispatch_shows(any_hub, shop):
    (order,) = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")

    class Lagging(FakeSession):
        def read_shipments(self, channel_order_id):
            known = super().read_shipments(channel_order_id)
            return known if reads.append(1) or len(reads) > 2 else ()

    reads = []
    any_hub.sessions["shop-a"] = Lagging(shop, shop.request())
    any_hub.run("push_tracking")
    push = any_hub.push_of(shipment)
    assert push["state"] == "sent"
    assert push["error"] == "the channel does not show the shipment yet"
    any_hub.settle()
    assert any_hub.push_of(shipment)["state"] == "confirmed"
    assert len(dispatches(shop, order)) == 1


@pytest.mark.proves("I-30", "F34")
def test_a_shipment_of_an_order_cancelled_meanwhile_is_refused_after_three_tries(any_hub, shop):
    cancelled, other = sold(any_hub, shop, 2, 1)
    shipment = any_hub.ship(cancelled, "T1")
    shop.cancel(cancelled)
    for attempt in range(3):
        assert any_hub.push_of(shipment)["state"] in ("waiting", "sent"), attempt
        any_hub.run("push_tracking")
        any_hub.clock.advance(10)
    push = any_hub.push_of(shipment)
    assert push["state"] == "refused"
    assert "is cancelled" in push["error"]
    assert [one["name"] for one in any_hub.events(cancelled)][-1] == "shipment.refused"
    assert dispatches(shop, cancelled) == []
    any_hub.ship(other, "T2")
    any_hub.settle()
    assert len(dispatches(shop, other)) == 1
    assert any_hub.stock() == (7, 0), "goods that left have left, cancelled or not"
    assert any_hub.order(cancelled).state.value == "cancelled"


@pytest.mark.proves("I-09", "I-25")
@pytest.mark.parametrize("error", [UnmappedCode, BadPayload])
def test_one_shipment_in_trouble_keeps_no_other_waiting_and_is_tried_again(any_hub, shop, error):
    bad, good = sold(any_hub, shop, 1, 2)
    shipments = [any_hub.ship(bad, "T1"), any_hub.ship(good, "T2")]

    def choke(shipment, push):
        if shipment.channel_order_id == bad:
            raise error("carrier: ups has no name here")
        push(shipment)

    telling(any_hub, shop, choke)
    any_hub.run("push_tracking")
    states = [any_hub.push_of(one)["state"] for one in shipments]
    assert states == ["sent", "confirmed"]
    assert any_hub.push_of(shipments[0])["error"] == "carrier: ups has no name here"
    any_hub.sessions["shop-a"] = shop.session()
    any_hub.settle()
    assert len(dispatches(shop, bad)) == 1


@pytest.mark.proves("I-25", "I-26", "F05")
def test_an_account_in_trouble_gives_back_every_shipment_at_once(any_hub, shop):
    orders = sold(any_hub, shop, 1, 1, 1)
    for number, order in enumerate(orders):
        any_hub.ship(order, f"T{number}")
    for error in (RateLimited, ChannelDown, AuthFailed):

        def fail(shipment, push, error=error):
            raise error("not now")

        telling(any_hub, shop, fail)
        with pytest.raises(error):
            any_hub.run("push_tracking")
        assert next_at(any_hub) == any_hub.clock.now()
    any_hub.sessions["shop-a"] = shop.session()
    any_hub.run("push_tracking")
    assert [len(dispatches(shop, order)) for order in orders] == [1, 1, 1]


def test_tries_the_channel_never_saw_do_not_make_its_first_refusal_final(any_hub, shop):
    (order,) = sold(any_hub, shop)
    shipment = any_hub.ship(order, "T1")
    for _ in range(4):
        shop.faults.force("F05")
        with pytest.raises(RateLimited):
            any_hub.run("push_tracking")
    refusal = shop.order(order)
    shop.books.orders[order] = replace(refusal, cancelled_at=any_hub.clock.now())
    any_hub.run("push_tracking")
    assert any_hub.push_of(shipment)["state"] == "sent"
    shop.books.orders[order] = refusal
    any_hub.settle()
    assert any_hub.push_of(shipment)["state"] == "confirmed"


def test_waits_between_tries_grow_to_half_an_hour(any_hub, shop):
    (order,) = sold(any_hub, shop)
    any_hub.ship(order, "T1")
    telling(any_hub, shop, lambda shipment, push: None)
    waits = []
    for _ in range(14):
        any_hub.run("push_tracking")
        waits.append((next_at(any_hub) - any_hub.clock.now()).total_seconds())
        any_hub.clock.advance(waits[-1])
    assert waits[:4] == [2, 4, 8, 16]
    assert waits[-1] == 1800


def test_a_draining_hub_hands_back_what_it_has_not_begun(any_hub, shop):
    (order,) = sold(any_hub, shop)
    any_hub.ship(order, "T1")
    any_hub.is_stopping = lambda: True
    any_hub.run("push_tracking")
    assert next_at(any_hub) == any_hub.clock.now()
    assert dispatches(shop, order) == []


@pytest.mark.parametrize("reason", ["shadow", "unable"])
def test_nothing_is_told_in_shadow_mode_or_to_a_channel_that_takes_no_tracking(
    any_hub, shop, reason
):
    (order,) = sold(any_hub, shop)
    any_hub.ship(order, "T1")
    if reason == "shadow":
        any_hub.profile("shop-a", mode="shadow")
    else:
        manifest = any_hub.manifests["shop-a"]
        fewer = manifest.capabilities - {Capability.PUSH_TRACKING}
        any_hub.manifests["shop-a"] = replace(manifest, capabilities=fewer)
    assert any_hub.run("push_tracking").done == 0
    assert dispatches(shop, order) == []


def test_more_shipments_than_one_run_takes_are_told_in_the_next(hub):
    shop = hub.open_shop(catalogue={"TEE": 100}, options={"page_size": 100})
    orders = sold(hub, shop, *[1] * 52)
    for number, order in enumerate(orders):
        hub.ship(order, f"T{number}")
    assert hub.run("push_tracking").is_more
    assert not hub.run("push_tracking").is_more
    assert all(len(dispatches(shop, order)) == 1 for order in orders)


def between_pages(hub, shop):
    """A poll of several pages dies after its first: the pass stays under way."""
    orders = sold(hub, shop, 1, 1, 1)
    shipment = hub.ship(orders[0], "T1")
    for order in orders:
        shop.hold(order)
    hub.clock.advance(6)
    hub.crash_at(2, is_after=True)  # the pass begun, its first page stored
    with pytest.raises(hub.Crash):
        hub.run("ingest")
    assert hub.feed().pass_started_at is not None
    return orders[0], shipment


@pytest.fixture
def paged(any_hub):
    """A shop shown two orders a page, which takes no tracking while it is paged."""
    opened = any_hub.open_shop(options={"page_size": 2})
    manifest = any_hub.manifests["shop-a"]
    exclusive = (("ingest", "push_tracking"),)
    any_hub.manifests["shop-a"] = replace(manifest, exclusive_flows=exclusive)
    return opened


@pytest.mark.proves("F22")
def test_no_tracking_is_written_between_two_pages_of_a_pass(any_hub, paged):
    order, shipment = between_pages(any_hub, paged)
    report = any_hub.run("push_tracking")
    assert report.done == 0
    assert report.next_at == any_hub.clock.now() + timedelta(seconds=5)
    assert dispatches(paged, order) == []
    assert any_hub.push_of(shipment)["attempts"] == 0
    any_hub.run("ingest")
    assert any_hub.feed().pass_started_at is None
    assert any_hub.run("push_tracking").done == 1
    assert len(dispatches(paged, order)) == 1


def test_a_pass_that_never_ends_does_not_hold_tracking_up_for_good(any_hub, paged):
    order, _ = between_pages(any_hub, paged)
    ends_at = any_hub.feed().pass_started_at + timedelta(minutes=10)
    any_hub.clock.advance((ends_at - any_hub.clock.now()).total_seconds() - 2)
    assert any_hub.run("push_tracking").next_at == ends_at
    any_hub.clock.advance(2)
    assert any_hub.run("push_tracking").done == 1
    assert len(dispatches(paged, order)) == 1


def test_a_channel_that_allows_both_at_once_is_told_between_pages_too(any_hub, paged):
    manifest = any_hub.manifests["shop-a"]
    any_hub.manifests["shop-a"] = replace(manifest, exclusive_flows=(("ingest", "reconcile"),))
    order, _ = between_pages(any_hub, paged)
    assert any_hub.run("push_tracking").done == 1
    assert len(dispatches(paged, order)) == 1


def test_an_account_that_was_never_polled_has_no_pass_to_wait_for(any_hub):
    any_hub.connect()
    manifest = any_hub.manifests["shop-a"]
    exclusive = (("push_tracking", "ingest"),)
    any_hub.manifests["shop-a"] = replace(manifest, exclusive_flows=exclusive)
    assert any_hub.run("push_tracking").next_at is None
