"""The queue of the fake channel: at least once, in any order, until somebody acknowledges."""

import json
from random import Random

import pytest

from oms_sync.sdk import Bug, ChannelDown, HintKind, OutcomeUnknown
from oms_sync.sdk.fake import FakeChannel, FakeOptions
from oms_sync.sdk.fake_ports import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def channel(clock):
    options = FakeOptions(has_queue=True, queue_batch_max=2, redelivery_seconds=30.0)
    return FakeChannel(clock=clock, chance=Random(1), options=options, catalogue={"TEE": 50})


def bodies(messages):
    return [json.loads(one.body)["id"] for one in messages]


def test_a_channel_has_no_queue_unless_told(clock):
    channel = FakeChannel(clock=clock, chance=Random(1), catalogue={"TEE": 5})
    channel.buy(("TEE", 1))
    assert not channel.session().has_queue()
    assert channel.queue.depth() == 0


def test_every_change_of_an_order_is_written_and_given_in_batches(channel):
    session = channel.session()
    orders = [channel.buy(("TEE", 1)) for _ in range(3)]
    first, second = session.pull(0), session.pull(0)
    assert [len(first), len(second)] == [2, 1]
    assert sorted(bodies(first + second)) == sorted(orders)
    session.acknowledge([one.receipt for one in first + second])
    channel.cancel(orders[0])
    channel.delete(orders[1])
    assert {one.topic for one in session.pull(0)} == {"orders/shown", "orders/delete"}


@pytest.mark.proves("F16")
def test_a_channel_that_forgot_the_queue_is_silent_until_it_is_subscribed_again(channel):
    session = channel.session()
    assert session.subscribe_queue() == (), "it writes from the start"
    channel.queue.topics.discard("orders/shown")
    channel.buy(("TEE", 1))
    assert session.pull(0) == ()
    assert session.subscribe_queue() == ("orders/shown",)
    assert channel.effects[-1].kind == "subscribed"
    order = channel.buy(("TEE", 1))
    assert bodies(session.pull(0)) == [order]
    with pytest.raises(Bug, match="shadow"):
        channel.session(may_write=False).subscribe_queue()


def test_what_nobody_acknowledged_comes_again_under_another_receipt(channel, clock):
    session = channel.session()
    channel.buy(("TEE", 1))
    (before,) = session.pull(0)
    assert session.pull(0) == (), "while somebody has it nobody else is given it"
    clock.advance(31)
    (again,) = channel.session().pull(0)
    assert again.body == before.body
    session.acknowledge([before.receipt])
    assert channel.queue.depth() == 1, "an old receipt is worth nothing"
    session.acknowledge([again.receipt])
    assert channel.queue.depth() == 0


@pytest.mark.proves("F11", "F13", "F14")
def test_messages_come_twice_late_or_never(channel, clock):
    session = channel.session()
    channel.faults.force("F11")
    twice = channel.buy(("TEE", 1))
    found = session.pull(0)
    assert bodies(found) == [twice, twice]
    session.acknowledge([found[0].receipt])
    assert channel.queue.depth() == 1, "each copy is acknowledged for itself"
    session.acknowledge([found[1].receipt])
    channel.faults.force("F13")
    late, soon = channel.buy(("TEE", 1)), channel.buy(("TEE", 1))
    assert bodies(session.pull(0)) == [soon]
    clock.advance(6)
    assert bodies(session.pull(0)) == [late]
    channel.faults.force("F14")
    channel.buy(("TEE", 1))
    assert session.pull(0) == ()


def test_pulling_from_an_empty_queue_waits_as_long_as_asked(channel, clock):
    before = clock.monotonic()
    assert channel.session().pull(2.0) == ()
    assert clock.monotonic() - before == 2.0


@pytest.mark.proves("F01", "F02")
def test_calls_about_the_queue_fail_like_any_call(channel):
    session = channel.session()
    channel.buy(("TEE", 1))
    channel.faults.force("F01")
    with pytest.raises(ChannelDown):
        session.pull(0)
    (message,) = session.pull(0)
    with pytest.raises(Bug, match="shadow"):
        channel.session(may_write=False).acknowledge([message.receipt])
    assert channel.queue.depth() == 1
    channel.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        session.acknowledge([message.receipt])
    assert channel.queue.depth() == 0


def test_what_a_message_shows_is_the_order_without_money_and_buyer(channel):
    session = channel.session()
    order = channel.buy(("TEE", 2), is_paid=False)
    (message,) = session.pull(0)
    hint = channel.webhook_part.read_hint(message.headers, message.body)
    assert (hint.kind, hint.object_id) == (HintKind.ORDER, order)
    shown = session.parse_order(hint.order.payload, channel.books.now())
    (raw,) = session.read_orders_by_id([order])
    read = session.parse_order(raw.payload, channel.books.now())
    assert shown.version.at == read.version.at
    assert [(one.channel_line_id, one.quantity_ordered) for one in shown.lines] == [
        (one.channel_line_id, one.quantity_ordered) for one in read.lines
    ]
    assert (shown.facts.state, shown.facts.placed_at) == (read.facts.state, read.facts.placed_at)
    assert shown.facts.total is None
    assert shown.facts.buyer is None
