"""Money goes back once, whatever becomes of the answers, and never more than was paid."""

import threading
from dataclasses import replace

import pytest

from oms_sync.flows import write_back
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.write_backs import Refund, refund
from oms_sync.sdk import AuthFailed, BadPayload, ChannelDown, OutcomeUnknown, RateLimited
from oms_sync.sdk.fake_session import FakeSession

LONG = 2_000.0


@pytest.fixture
def shop(any_hub):
    return any_hub.open_shop()


def sold(hub, shop, units=2, **order):
    placed = shop.buy(("TEE", units), **order)
    hub.settle()
    return placed


def ask_refund(hub, order, **wanted):
    wish = Refund(**{"reason": "buyer", **wanted})
    return refund(hub.command, hub.order(order).order_id, wish)


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


def given_back(shop, order):
    return sum(one.minor for one in shop.refunds(order) if one.state != "failed")


def keyless(hub):
    """A channel that neither shows our key nor looks at it: every call pays."""
    return hub.open_shop(options={"keeps_refund_keys": False})


def test_a_refund_is_sent_found_and_confirmed(any_hub):
    shop = keyless(any_hub)
    order = sold(any_hub, shop, 2)
    write = ask_refund(any_hub, order, lines={"TEE": 1}, shipping=None)
    assert write.wish.amount.text() == "12.50"
    any_hub.settle()
    assert state_of(any_hub, write) == ("confirmed", "")
    (made,) = shop.refunds(order)
    assert (made.minor, dict(made.lines)) == (1250, {f"{order}-1": 1})
    assert any_hub.order(order).state.value == "open", "money back cancels nothing"


@pytest.mark.proves("I-28", "F01", "F02", "F41")
@pytest.mark.parametrize("is_stale", [False, True])
@pytest.mark.parametrize("fault", ["F01", "F02"])
def test_money_goes_once_though_the_answer_is_lost(any_hub, fault, is_stale):
    shop = keyless(any_hub)
    order = sold(any_hub, shop, 2)
    shop.refund_money(order, 300)
    write = ask_refund(any_hub, order, lines={"TEE": 1})

    class Deaf(FakeSession):
        def refund_order(self, refund):
            shop.faults.force(fault)
            return super().refund_order(refund)

    any_hub.sessions["shop-a"] = Deaf(shop, shop.request())
    any_hub.run("write_back")
    any_hub.sessions["shop-a"] = shop.session()
    if is_stale:
        shop.faults.force("F41")
        any_hub.clock.advance(30)
        any_hub.run("write_back")
    settle_long(any_hub)
    assert state_of(any_hub, write) == ("confirmed", "")
    assert given_back(shop, order) == 1550
    assert len(done(shop, "refunded")) == 1


@pytest.mark.proves("I-28")
def test_money_given_by_hand_before_ours_was_ever_sent_is_not_ours(any_hub):
    shop = keyless(any_hub)
    order = sold(any_hub, shop, 2)
    write = ask_refund(any_hub, order, lines={"TEE": 1})

    class Busy(FakeSession):
        def refund_order(self, refund):
            raise RateLimited("later", retry_after_seconds=None)

    any_hub.sessions["shop-a"] = Busy(shop, shop.request())
    with pytest.raises(RateLimited):
        any_hub.run("write_back")
    any_hub.sessions["shop-a"] = shop.session()
    shop.refund_money(order, 1250)
    settle_long(any_hub)
    assert state_of(any_hub, write) == ("confirmed", "")
    assert given_back(shop, order) == 2500
    assert len(done(shop, "refunded")) == 1, "the other one was made by hand"


def crash_around_a_refund(hub, commit, *, is_after, seconds):
    shop = hub.open_shop(options={"keeps_refund_keys": False, "decides_after_seconds": seconds})
    order = sold(hub, shop, 2)
    write = ask_refund(hub, order, amount="5.00")
    hub.crash_at(commit, is_after=is_after)
    for _ in range(4):
        try:
            hub.run("write_back")
        except hub.Crash:
            break
        hub.clock.advance(61)
    settle_long(hub)
    assert state_of(hub, write) == ("confirmed", "")
    assert given_back(shop, order) == 500
    assert len(done(shop, "refunded")) == 1


@pytest.mark.proves("I-28", "I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_crash_around_a_refund_pays_once(any_hub, commit, is_after):
    crash_around_a_refund(any_hub, commit, is_after=is_after, seconds=0.0)


@pytest.mark.proves("I-28", "I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
def test_a_crash_before_the_channel_has_decided_pays_once(hub, commit, is_after):
    crash_around_a_refund(hub, commit, is_after=is_after, seconds=60.0)


@pytest.mark.proves("I-28")
@pytest.mark.parametrize("error", [ChannelDown, AuthFailed, BadPayload])
def test_a_look_that_fails_after_the_send_does_not_send_again(any_hub, error):
    shop = keyless(any_hub)
    order = sold(any_hub, shop)
    write = ask_refund(any_hub, order, amount="5.00")

    class Blind(FakeSession):
        def read_refunds(self, channel_order_id):
            if done(shop, "refunded"):
                raise error("not now")
            return super().read_refunds(channel_order_id)

    any_hub.sessions["shop-a"] = Blind(shop, shop.request())
    if error is BadPayload:
        any_hub.run("write_back")
    else:
        with pytest.raises(error):
            any_hub.run("write_back")
    any_hub.sessions["shop-a"] = shop.session()
    settle_long(any_hub)
    assert state_of(any_hub, write) == ("confirmed", "")
    assert given_back(shop, order) == 500


@pytest.mark.proves("I-28", "I-32")
def test_two_flows_at_once_pay_once(any_hub):
    shop = keyless(any_hub)
    order = sold(any_hub, shop)
    write = ask_refund(any_hub, order, amount="5.00")
    contexts = [any_hub.context("shop-a") for _ in range(2)]
    inside, go_on = threading.Event(), threading.Event()

    class Slow(FakeSession):
        def refund_order(self, refund):
            inside.set()
            assert go_on.wait(10)
            return super().refund_order(refund)

    slow = replace(contexts[0], session=Slow(shop, shop.request()))
    first = threading.Thread(target=write_back.run, args=(slow,))
    first.start()
    assert inside.wait(10)
    any_hub.clock.advance(60)  # the first turn is believed lost: a second one takes it up
    assert write_back.run(contexts[1]).done == 1
    go_on.set()
    first.join(10)
    assert not first.is_alive()
    settle_long(any_hub)
    assert state_of(any_hub, write) == ("confirmed", "")
    assert given_back(shop, order) == 500


@pytest.mark.proves("I-28", "I-32")
def test_a_turn_that_looked_long_ago_does_not_pay_any_more(any_hub):
    shop = keyless(any_hub)
    order = sold(any_hub, shop)
    write = ask_refund(any_hub, order, amount="5.00")
    contexts = [any_hub.context("shop-a") for _ in range(2)]
    inside, go_on = threading.Event(), threading.Event()

    class SlowLook(FakeSession):
        def read_refunds(self, channel_order_id):
            shown = super().read_refunds(channel_order_id)
            inside.set()
            assert go_on.wait(10)
            return shown

    slow = replace(contexts[0], session=SlowLook(shop, shop.request()))
    first = threading.Thread(target=write_back.run, args=(slow,))
    first.start()
    assert inside.wait(10)
    any_hub.clock.advance(60)
    assert write_back.run(contexts[1]).done == 1
    assert state_of(any_hub, write) == ("confirmed", "")
    go_on.set()
    first.join(10)
    assert not first.is_alive()
    assert given_back(shop, order) == 500
    assert state_of(any_hub, write) == ("confirmed", "")


@pytest.mark.proves("I-28", "F41")
def test_a_refund_the_channel_took_is_never_sent_again_however_late_it_shows(hub):
    shop = keyless(hub)
    order = sold(hub, shop)
    write = ask_refund(hub, order, amount="5.00")

    class Late(FakeSession):
        def read_refunds(self, channel_order_id):
            return ()

    hub.sessions["shop-a"] = Late(shop, shop.request())
    settle_long(hub, 6)
    late = "the channel took it more than an hour ago and does not show it yet"
    assert state_of(hub, write) == ("sent", late)
    hub.sessions["shop-a"] = shop.session()
    settle_long(hub)
    assert state_of(hub, write) == ("confirmed", "")
    assert given_back(shop, order) == 500


@pytest.mark.proves("I-28")
def test_another_refund_that_appeared_after_a_lost_answer_stops_the_second_try(any_hub):
    shop = keyless(any_hub)
    order = sold(any_hub, shop)
    write = ask_refund(any_hub, order, amount="5.00")

    class Deaf(FakeSession):
        def refund_order(self, refund):
            raise OutcomeUnknown("no answer")

    any_hub.sessions["shop-a"] = Deaf(shop, shop.request())
    any_hub.run("write_back")
    any_hub.sessions["shop-a"] = shop.session()
    shop.refund_money(order, 499)
    settle_long(any_hub)
    state, reason = state_of(any_hub, write)
    assert state == "refused"
    assert "another refund has appeared" in reason
    assert given_back(shop, order) == 499


def test_money_that_went_back_at_the_channel_is_counted_before_the_send(any_hub, shop):
    order = sold(any_hub, shop, 1)
    shop.refund_money(order, 1000)
    write = ask_refund(any_hub, order)
    assert write.wish.amount.text() == "12.50"
    any_hub.settle()
    state, reason = state_of(any_hub, write)
    assert (state, reason) == ("refused", "2.50 EUR of 12.50 can go back, not 12.50")
    assert given_back(shop, order) == 1000


def test_a_refund_the_channel_could_not_send_is_refused_and_may_be_asked_again(any_hub, shop):
    order = sold(any_hub, shop, 1)
    write = ask_refund(any_hub, order)

    class Failing(FakeSession):
        def read_refunds(self, channel_order_id):
            return tuple(replace(one, state="failed") for one in super().read_refunds(
                channel_order_id))  # fmt: skip

    any_hub.sessions["shop-a"] = Failing(shop, shop.request())
    any_hub.settle()
    assert state_of(any_hub, write) == ("refused", "the channel could not send the money")
    ask_refund(any_hub, order)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"amount": "25.01"}, "cannot go back: up to 25.00 EUR"),
        ({"amount": "0"}, "more than nothing"),
        ({"amount": "5.00", "shipping": "6.00"}, "--amount includes --shipping"),
        ({"lines": {"TEE": 3}}, "2 units are possible, not 3"),
        ({"lines": {"MUG": 1}}, "no line 'MUG'"),
    ],
)
def test_what_cannot_be_refunded_is_refused_at_the_desk(hub, wanted, message):
    shop = hub.open_shop()
    order = sold(hub, shop, 2)
    with pytest.raises(CommandRefused, match=message):
        ask_refund(hub, order, **wanted)
    assert hub.storage.reports.order(hub.order(order).order_id)["write_backs"] == []


def test_refunds_of_one_order_never_add_up_to_more_than_was_paid(hub):
    shop = hub.open_shop()
    order = sold(hub, shop, 2)
    ask_refund(hub, order, amount="20.00")
    with pytest.raises(CommandRefused, match="under way"):
        ask_refund(hub, order, amount="1.00")
    hub.settle()
    with pytest.raises(CommandRefused, match=r"up to 5\.00 EUR"):
        ask_refund(hub, order, amount="5.01")
    ask_refund(hub, order, lines={"TEE": 1}, amount="4.00", shipping="1.00", is_restocked=True)
    hub.settle()
    assert [one.minor for one in shop.refunds(order)] == [2000, 400]
    with pytest.raises(CommandRefused, match="not paid yet"):
        ask_refund(hub, sold(hub, shop, 1, is_paid=False))
