"""A buyer asks to cancel and somebody says no: the order ships, until the buyer asks anew."""

import itertools
import json
from dataclasses import replace

import pytest

from oms_sync.domain.errors import ShipmentRefused
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.orders import hold, release
from oms_sync.flows.commands.write_backs import Cancellation, cancel
from oms_sync.sdk.fake_orders import render_order

ASKED = "channel:cancellation_requested"
WHY = "it is packed already"


@pytest.fixture
def shop(any_hub):
    """A channel that hears of no answer: its request stands for good."""
    return any_hub.open_shop(options={"declines_cancellations": False})


def asked(hub, shop, *lines, reason="cancellation_requested"):
    order = shop.buy(*(lines or (("TEE", 2),)))
    hub.settle()
    shop.hold(order, reason)
    hub.settle()
    return order


def decline(hub, order, reason=WHY):
    return release(hub.command, hub.order(order).order_id, reason=reason)


def names(hub, order):
    return [one["name"] for one in hub.events(order)]


@pytest.mark.proves("I-30")
def test_a_declined_wish_holds_no_more_and_the_order_ships(any_hub, shop):
    order = asked(any_hub, shop)
    assert any_hub.holds(order) == [ASKED]
    with pytest.raises(ShipmentRefused, match="held"):
        any_hub.ship(order, "T1")
    released = decline(any_hub, order)
    assert (released.state.value, released.remaining, released.is_declined) == ("open", (), True)
    shop.edit(order, {"TEE": 3})  # another sight of it, with the same request
    any_hub.settle()
    assert any_hub.holds(order) == []
    assert any_hub.filled(order) == (3, 0)
    shown = any_hub.storage.reports.order(any_hub.order(order).order_id)
    assert shown["cancellation_declined"] is True
    assert names(any_hub, order).count("order.cancellation_declined") == 1
    (told,) = [one for one in any_hub.events(order) if one["name"] == "order.cancellation_declined"]
    assert (told["actor"], told["detail"]) == ("cli:anna", {"reason": WHY})
    any_hub.ship(order, "T1")
    any_hub.settle()
    assert shop.order(order).lines[0].shipped == 3
    assert any_hub.order(order).state.value == "closed"


def test_a_wish_that_was_taken_back_and_comes_again_holds_again(any_hub, shop):
    order = asked(any_hub, shop)
    decline(any_hub, order)
    shop.release(order)
    any_hub.settle()
    assert any_hub.order(order).declined is None
    shop.request_cancellation(order)
    any_hub.settle()
    assert any_hub.holds(order) == [ASKED]


def test_a_wish_about_another_line_holds(any_hub, shop):
    order = shop.buy(("TEE", 1), ("TEE", 1))
    any_hub.settle()
    first, second = (f"cancellation_requested:{order}-{number}" for number in (1, 2))
    shop.hold(order, first)
    any_hub.settle()
    decline(any_hub, order)
    assert any_hub.holds(order) == []
    shop.hold(order, second)
    any_hub.settle()
    assert any_hub.holds(order) == [f"channel:{second}"]
    decline(any_hub, order)
    assert any_hub.holds(order) == []


def test_a_declined_wish_is_granted_by_no_policy(any_hub, shop):
    order = asked(any_hub, shop)
    decline(any_hub, order)
    any_hub.profile("shop-a", cancellation_requests="accept")
    shop.edit(order, {"TEE": 3})
    any_hub.settle()
    assert shop.order(order).state == "open"


@pytest.fixture
def telling(any_hub):
    return any_hub.open_shop()


def told(hub, order):
    found = hub.storage.reports.order(hub.order(order).order_id)["write_backs"]
    return [(one["kind"], one["state"]) for one in found]


@pytest.mark.proves("I-30")
def test_a_channel_that_can_be_told_hears_of_the_no_and_takes_its_request_back(any_hub, telling):
    order = asked(any_hub, telling)
    assert decline(any_hub, order).is_told
    assert told(any_hub, order) == [("decline", "waiting")]
    any_hub.settle()
    assert told(any_hub, order) == [("decline", "confirmed")]
    assert telling.order(order).holds == ()
    assert any_hub.order(order).declined is None
    telling.request_cancellation(order)
    any_hub.settle()
    assert any_hub.holds(order) == [ASKED], "that is a new one"


@pytest.mark.proves("I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
def test_a_crash_around_a_no_says_it_all_the_same(any_hub, telling, commit, is_after):
    order = asked(any_hub, telling)
    decline(any_hub, order)
    any_hub.crash_at(commit, is_after=is_after)
    with pytest.raises(any_hub.Crash):
        any_hub.run("write_back")
    for _ in range(3):
        any_hub.settle()
        any_hub.clock.advance(60)
    assert told(any_hub, order) == [("decline", "confirmed")]
    assert [one.kind for one in telling.effects].count("declined") == 1
    assert any_hub.order(order).state.value == "open"


def test_a_no_that_was_followed_by_a_cancellation_is_not_told(any_hub, telling):
    order = asked(any_hub, telling)
    decline(any_hub, order)
    cancel(any_hub.command, any_hub.order(order).order_id, Cancellation(reason="buyer"))
    any_hub.settle()
    assert telling.order(order).state == "cancelled"
    assert [one.kind for one in telling.effects].count("declined") == 0
    assert told(any_hub, order) == [("decline", "superseded"), ("cancel", "confirmed")]


def test_a_shadow_account_says_no_here_alone(any_hub, telling):
    order = asked(any_hub, telling)
    any_hub.profile("shop-a", mode="shadow")
    released = decline(any_hub, order)
    assert (released.is_declined, released.is_told) == (True, False)
    any_hub.settle()
    assert telling.order(order).holds == ("cancellation_requested",)


def test_no_is_said_with_a_reason_and_only_where_somebody_asked(any_hub, shop):
    order = asked(any_hub, shop)
    with pytest.raises(CommandRefused, match=r"orders cancel, or say no.*release --reason"):
        decline(any_hub, order, reason="")
    assert any_hub.holds(order) == [ASKED]
    other = asked(any_hub, shop, reason="fraud_review")
    with pytest.raises(CommandRefused, match="the channel lets go"):
        decline(any_hub, other)


def test_holds_of_the_channel_stay_when_a_wish_is_declined(any_hub, shop):
    order = asked(any_hub, shop)
    shop.hold(order, "fraud_review")
    any_hub.settle()
    released = decline(any_hub, order)
    assert any_hub.holds(order) == ["channel:fraud_review"]
    assert released.state.value == "held"
    assert released.remaining[0].startswith("channel:fraud_review")


def test_ones_own_hold_goes_first_and_the_buyer_is_not_overheard(any_hub, shop):
    order = asked(any_hub, shop)
    hold(any_hub.command, any_hub.order(order).order_id, reason="address")
    released = decline(any_hub, order, reason="the address is right")
    assert not released.is_declined
    assert any_hub.holds(order) == [ASKED]
    assert "release --reason" in released.remaining[0]
    assert decline(any_hub, order).is_declined


def test_what_is_being_cancelled_is_not_declined_meanwhile(any_hub, shop):
    order = asked(any_hub, shop)
    cancel(any_hub.command, any_hub.order(order).order_id, Cancellation(reason="buyer"))
    with pytest.raises(CommandRefused, match="being cancelled"):
        decline(any_hub, order)


def body(shop, order, minutes, *holds):
    document = json.loads(render_order(shop.order(order)))
    at = f"2026-03-01T13:{minutes:02}:00+00:00"
    return json.dumps({**document, "updated_at": at, "holds": list(holds)}).encode()


@pytest.mark.proves("I-07", "F11")
@pytest.mark.parametrize("sequence", list(itertools.permutations(range(3))))
def test_whatever_sequence_sights_come_in_after_a_no_the_newer_wish_holds(hub, sequence):
    shop = hub.open_shop(options={"declines_cancellations": False})
    order = asked(hub, shop)
    decline(hub, order)
    wish = "cancellation_requested"
    sights = [body(shop, order, 1, wish), body(shop, order, 2), body(shop, order, 3, wish)]
    for number in sequence:
        hub.add(sights[number], "read", channel_order_id=order)
        hub.run("normalise")
    assert hub.holds(order) == [ASKED], "it was taken back in between"


def test_an_order_that_gets_another_id_is_held_until_somebody_decides_again(any_hub):
    shop = any_hub.open_shop(options={"has_portable_lines": True, "declines_cancellations": False})
    first = shop.buy(("TEE", 1), is_paid=False)
    any_hub.settle()
    shop.request_cancellation(first)
    any_hub.settle()
    decline(any_hub, first)
    assert any_hub.holds(first) == []
    second = shop.pay(first)
    any_hub.settle()
    assert second != first
    assert any_hub.holds(second) == [ASKED]
    decline(any_hub, second)
    any_hub.ship(second, "T1")
    any_hub.settle()
    assert any_hub.order(second).state.value == "closed"


def test_a_no_lasts_through_a_crash_of_whoever_takes_the_next_sight_in(any_hub, shop):
    order = asked(any_hub, shop)
    decline(any_hub, order)
    shop.release(order)
    any_hub.run("ingest")
    any_hub.clock.advance(6)
    any_hub.run("ingest")
    any_hub.crash_at(1)
    with pytest.raises(any_hub.Crash):
        any_hub.run("normalise")
    assert any_hub.order(order).declined is not None
    any_hub.settle()
    assert any_hub.order(order).declined is None
    assert replace(any_hub.order(order), declined=None) == any_hub.order(order)


def test_a_no_is_not_told_of_an_order_that_has_another_id_and_is_heard_anew(any_hub):
    shop = any_hub.open_shop(options={"has_portable_lines": True})
    first = shop.buy(("TEE", 1), is_paid=False)
    any_hub.settle()
    shop.request_cancellation(first)
    any_hub.settle()
    assert decline(any_hub, first).is_told
    second = shop.pay(first)
    any_hub.clock.advance(60)
    any_hub.run("ingest")
    any_hub.run("normalise")
    assert any_hub.holds(second) == [ASKED]
    any_hub.settle()
    assert [one.kind for one in shop.effects].count("declined") == 0
    assert any_hub.holds(second) == [ASKED], "somebody has to decide that again"


def test_a_no_is_not_told_to_a_wish_for_more_than_it_was_said_to(any_hub, telling):
    order = telling.buy(("TEE", 1), ("TEE", 1))
    any_hub.settle()
    telling.hold(order, f"cancellation_requested:{order}-1")
    any_hub.settle()
    assert decline(any_hub, order).is_told
    telling.request_cancellation(order)
    any_hub.clock.advance(60)
    any_hub.run("ingest")
    any_hub.run("normalise")
    assert any_hub.holds(order) == [ASKED]
    any_hub.settle()
    assert [one.kind for one in telling.effects].count("declined") == 0
    assert told(any_hub, order) == [("decline", "superseded")], "nobody heard of it"
    assert "write_backs_refused" not in any_hub.metrics.counts


def test_a_buyer_whose_order_has_shipped_is_told_no_all_the_same(any_hub, telling):
    order = asked(any_hub, telling)
    telling.fulfil_at_channel(order, {"TEE": 2})
    any_hub.settle()
    released = decline(any_hub, order)
    assert (released.state.value, released.is_declined, released.is_told) == ("closed", True, True)
    any_hub.settle()
    assert telling.order(order).holds == ()


def test_what_the_channel_cancelled_has_no_wish_left_to_decline(any_hub, shop):
    order = asked(any_hub, shop)
    shop.cancel(order)
    any_hub.settle()
    assert any_hub.order(order).state.value == "cancelled"
    with pytest.raises(CommandRefused, match="it is cancelled"):
        decline(any_hub, order)
    assert any_hub.order(order).declined is None
