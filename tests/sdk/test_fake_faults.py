"""Each knob of the fake channel does what its line says, when it says so."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.sdk import (
    BadPayload,
    Bug,
    ChannelDown,
    HintKind,
    OrderFeed,
    OutcomeUnknown,
    OutgoingPackage,
    OutgoingShipment,
    PushOutcome,
    RateLimited,
    Rejected,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.fake import FakeChannel, FakeOptions
from oms_sync.sdk.fake_faults import FAKE_FAULTS, FakeFaults
from oms_sync.sdk.testing import (
    FakeClock,
    SeededChance,
)

LISTING = "fake-listing-1"


def make(**options) -> FakeChannel:
    return FakeChannel(
        clock=FakeClock(),
        chance=SeededChance(1, "fake"),
        options=FakeOptions(**options),
        catalogue={"TEE": 10, "MUG": 5},
    )


def batch(key: str, *quantities: int, expected: int | None = None) -> StockBatch:
    return StockBatch(
        key=key,
        entries=tuple(
            StockPush(
                channel_listing_id=f"fake-listing-{number}",
                channel_sku="",
                quantity=quantity,
                expected=expected,
            )
            for number, quantity in enumerate(quantities, start=1)
        ),
    )


def read(channel: FakeChannel, feed=OrderFeed.CHANGES, cursor=None, *, since=None):
    start = since or channel.clock.now() - timedelta(days=1)
    return channel.session().read_orders(feed, cursor, start)


def ids(page) -> list[str]:
    return [order.channel_order_id for order in page.orders]


def parsed(channel: FakeChannel, order: str):
    (raw,) = channel.session().read_orders_by_id([order])
    return channel.session().parse_order(raw.payload, channel.clock.now())


# --- knobs ---------------------------------------------------------------------------------------


def test_a_knob_fires_at_its_rate_by_its_count_or_by_force():
    faults = FakeFaults(SeededChance(1, "knobs"))
    assert not any(faults.fires("F05") for _ in range(50))
    faults.set("F05", rate=1.0, count=2)
    assert [faults.fires("F05") for _ in range(3)] == [True, True, False]
    faults.set("F05", rate=0.5)
    assert 0 < sum(faults.fires("F05") for _ in range(100)) < 100
    faults.heal()
    faults.force("F01")
    assert [faults.fires("F01") for _ in range(2)] == [True, False]
    assert (faults.fired("F01"), faults.counters()["F01"].chances) == (1, 2)
    with pytest.raises(ValueError, match="0 to 1"):
        faults.set("F05", rate=1.5)
    assert set(faults.counters()) == set(FAKE_FAULTS)


@pytest.mark.proves("F01", "F02")
def test_a_lost_write_is_applied_or_not():
    channel = make()
    channel.faults.force("F01")
    with pytest.raises(OutcomeUnknown):
        channel.session().push_stock(batch("a", 3))
    assert channel.quantities()["TEE"] == 10
    channel.faults.force("F02")
    with pytest.raises(OutcomeUnknown):
        channel.session().push_stock(batch("b", 3))
    assert channel.quantities()["TEE"] == 3
    assert [(one.kind, one.key, one.quantity) for one in channel.effects] == [
        ("quantity_set", "b", 3)
    ]
    channel.faults.force("F01")
    with pytest.raises(ChannelDown):
        channel.session().check()


@pytest.mark.proves("F05", "F06")
def test_a_busy_or_broken_channel_says_so():
    channel = make()
    waits = set()
    for _ in range(20):
        channel.faults.force("F05")
        with pytest.raises(RateLimited) as told:
            channel.session().check()
        waits.add(told.value.retry_after_seconds)
    assert waits == {None, 2.0}
    channel.faults.force("F06")
    with pytest.raises(ChannelDown):
        channel.session().check()


@pytest.mark.proves("F08", "F09", "F40", "F41")
def test_pushes_go_wrong_as_asked():
    channel = make(answers_accepted=True)
    session = channel.session()
    session.ensure_subscriptions("http://hub")
    channel.faults.force("F08")
    results = session.push_stock(batch("a", 1, 2))
    assert [(one.channel_listing_id, one.outcome) for one in results] == [
        ("fake-listing-2", PushOutcome.ACCEPTED),
        ("fake-listing-1", PushOutcome.NOT_APPLIED),
    ]
    channel.faults.force("F09")
    session.push_stock(batch("b", 1))
    assert channel.quantities() == {"TEE": 10, "MUG": 2}
    channel.faults.force("F40")
    channel.faults.force("F41")
    session.push_stock(batch("c", 4))
    assert session.read_stock([LISTING, "none"]).quantities == {LISTING: 10}
    assert session.read_stock([LISTING]).quantities == {LISTING: 4}
    (echo,) = channel.take_webhooks()
    hint = channel.webhook_part.read_hint(echo.headers, echo.body)
    assert (hint.kind, hint.object_id, hint.quantity) == (HintKind.LISTING, LISTING, 4)


def test_a_key_is_answered_once_for_its_entries_and_batches_have_a_limit():
    channel = make(stock_batch_max=2)
    session = channel.session()
    first = session.push_stock(batch("a", 1))
    channel.hand_edit("TEE", 9)
    assert session.push_stock(batch("a", 1)) == first
    assert channel.quantities()["TEE"] == 9
    with pytest.raises(Rejected, match="other entries"):
        session.push_stock(batch("a", 2))
    with pytest.raises(Bug, match="3 at once"):
        session.push_stock(batch("b", 1, 2, 3))
    (negative,) = session.push_stock(batch("c", -1))
    assert negative.outcome is PushOutcome.REJECTED


@pytest.mark.proves("F15", "F17")
def test_late_orders_and_early_webhooks():
    channel = make(late_seconds=5)
    channel.session().ensure_subscriptions("http://hub")
    channel.faults.force("F17")
    late = channel.buy(("TEE", 1))
    channel.faults.force("F15")
    early = channel.buy(("TEE", 1))
    assert ids(read(channel)) == []
    (hook,) = channel.take_webhooks()
    assert json.loads(hook.body)["id"] == early
    channel.clock.advance(6)
    assert ids(read(channel)) == [late, early]
    assert [json.loads(one.body)["id"] for one in channel.take_webhooks()] == [late]
    assert channel.order(late).updated_at < channel.order(late).visible_at


@pytest.mark.proves("F19", "F20", "F22")
def test_pages_go_wrong_as_asked():
    channel = make(page_size=3)
    placed = [channel.buy(("TEE", 1)) for _ in range(5)]
    channel.faults.force("F19")
    empty = read(channel)
    assert (empty.orders, empty.is_last) == ((), False)
    channel.faults.force("F20")
    again = read(channel, cursor=empty.cursor)
    assert (again.cursor, ids(again)) == (empty.cursor, placed[:3])
    first = read(channel, cursor=empty.cursor)
    channel.faults.force("F22")
    shifted = read(channel, cursor=first.cursor)
    assert (ids(shifted), shifted.is_last) == (placed[2:4], False)
    assert ids(read(channel, cursor=shifted.cursor)) == placed[4:]
    channel.faults.force("page_duplicates")
    channel.faults.force("page_reordered")
    assert ids(read(channel)) == [placed[0], *reversed(placed[:3])]


def test_each_feed_lists_what_it_is_for():
    channel = make()
    done, still = channel.buy(("TEE", 1)), channel.buy(("MUG", 1))
    channel.fulfil_at_channel(done)
    assert ids(read(channel, OrderFeed.OPEN)) == [still]
    assert ids(read(channel, OrderFeed.HISTORY)) == [done, still]
    assert ids(read(channel, OrderFeed.SWEEP)) == [still, done]
    nothing = read(channel, since=channel.clock.now() + timedelta(days=1))
    assert (nothing.orders, nothing.is_last) == ((), True)


@pytest.mark.proves("F24", "F32", "F41", "F42")
def test_orders_are_shown_wrongly_as_asked():
    channel = make()
    order = channel.buy(("TEE", 1))
    channel.faults.force("F24")
    header = parsed(channel, order)
    assert (header.lines, header.facts.is_complete, header.facts.line_ids) == ((), False, None)
    channel.faults.force("F42")
    odd = parsed(channel, order).facts
    assert (odd.state, odd.unmapped_codes) == (None, ("order_status: quantum",))
    channel.cancel(order)
    channel.faults.force("F41")
    assert parsed(channel, order).facts.cancelled_at is None
    channel.faults.force("F32")
    tied = channel.buy(("TEE", 1))
    assert channel.order(tied).updated_at == channel.order(order).updated_at


@pytest.mark.proves("F11", "F12", "F13", "F14")
def test_webhooks_go_wrong_as_asked():
    channel = make(late_seconds=5)
    channel.buy(("TEE", 1))
    assert channel.take_webhooks() == ()
    session = channel.session()
    assert session.ensure_subscriptions("http://hub") == (
        "listings/update", "orders/delete", "orders/update",
    )  # fmt: skip
    for knob in ("F13", "F11", "F12"):
        channel.faults.force(knob)
        channel.buy(("TEE", 1))
    one, two, three, four = channel.take_webhooks()
    assert one == two
    assert three.body == four.body
    assert three.headers["x-fake-delivery"] != four.headers["x-fake-delivery"]
    channel.clock.advance(6)
    (late,) = channel.take_webhooks()
    assert late.due_at > four.due_at
    channel.faults.force("F14")
    channel.buy(("TEE", 1))
    assert channel.take_webhooks() == ()
    assert session.ensure_subscriptions("http://other") != ()


def test_a_webhook_about_nothing_we_follow_is_nothing():
    part = make().webhook_part
    assert part.read_hint({"x-fake-topic": "shop/closed"}, b"?").kind is HintKind.NOTHING
    with pytest.raises(BadPayload):
        part.read_hint({"x-fake-topic": "orders/update"}, b'{"id": 7}')


@pytest.mark.proves("A06")
def test_the_secret_before_the_last_one_is_taken_as_long_as_it_is_configured():
    channel = make()
    channel.session().ensure_subscriptions("http://hub")
    channel.buy(("TEE", 1))
    (hook,) = channel.take_webhooks()
    old = channel.settings.webhook_secret
    grace = replace(channel.settings, webhook_secret="new", webhook_secret_previous=old)
    assert channel.webhook_part.verify(grace, hook.headers, hook.body)
    over = replace(grace, webhook_secret_previous="")
    assert not channel.webhook_part.verify(over, hook.headers, hook.body)


@pytest.mark.proves("I-28")
def test_a_channel_asked_twice_makes_two_dispatches():
    channel = make()
    order = channel.buy(("TEE", 2))
    shipment = OutgoingShipment(
        key="s-1",
        channel_order_id=order,
        lines={f"{order}-1": 1},
        packages=(OutgoingPackage(carrier="ups", tracking_number=None, tracking_url=None),),
        service=None,
        shipped_at=channel.clock.now(),
    )
    session = channel.session()
    session.push_shipment(shipment)
    session.push_shipment(shipment)
    assert [one.key for one in channel.fulfilments(order)] == ["s-1", "s-1"]
    assert len(session.read_shipments(order)) == 2
    assert session.read_shipments("none") == ()
    with pytest.raises(Rejected):
        session.push_shipment(shipment)


@pytest.mark.proves("A24", "A25", "A28")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"ordered": 1', '"ordered": NaN'),
        ('"ordered": 1', '"ordered": 1e999'),
        ('"ordered": 1', '"ordered": true'),
        ('"ordered": 1', '"ordered": -1'),
        ('"ordered": 1', '"ordered": 1, "ordered": 2'),
        ("+00:00", ""),
        ('"EUR"', '"euro"'),
        ('"EUR"', "null"),
    ],
)
def test_a_hostile_payload_is_bad_payload(old, new):
    channel = make()
    (raw,) = channel.session().read_orders_by_id([channel.buy(("TEE", 1))])
    text = raw.payload.decode()
    assert old in text
    with pytest.raises(BadPayload):
        channel.session().parse_order(text.replace(old, new).encode(), channel.clock.now())
