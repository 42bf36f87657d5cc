"""FakeChannel: its truth adds up whatever buyers and the seller do."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.sdk import (
    OrderFeed,
    OrderState,
    Priority,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.fake import FakeChannel, FakeOptions, FakeRefusal
from oms_sync.sdk.testing import (
    FakeClock,
    FakeDriver,
    MemoryTokens,
    OpenGate,
    SeededChance,
    SeededIds,
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


# --- the truth -----------------------------------------------------------------------------------


def test_a_sale_lowers_what_is_on_sale_and_a_restock_raises_it():
    channel = make()
    order = channel.buy(("TEE", 3), ("MUG", 1))
    assert channel.quantities() == {"TEE": 7, "MUG": 4}
    channel.edit(order, {"TEE": 1, "MUG": 2})
    assert channel.quantities() == {"TEE": 9, "MUG": 3}
    channel.refund(order, {"MUG": 1}, restock=False)
    assert channel.quantities() == {"TEE": 9, "MUG": 3}
    channel.cancel(order)
    assert channel.quantities() == {"TEE": 10, "MUG": 4}
    assert channel.sold() == {"TEE": 0, "MUG": 0}
    assert channel.order(order).state == "cancelled"


def test_what_is_not_there_is_not_sold_and_nothing_changes():
    channel = make()
    for lines in ([("TEE", 11)], [("TEE", 6), ("TEE", 5)], [("CAP", 1)], [("TEE", -1)]):
        with pytest.raises(FakeRefusal):
            channel.buy(*lines)
    order = channel.buy(("TEE", 2))
    channel.fulfil_at_channel(order, {"TEE": 1})
    refused = [
        lambda: channel.edit(order, {"TEE": 12}),
        lambda: channel.edit(order, {"TEE": 0}),
        lambda: channel.refund(order, {"TEE": 3}),
        lambda: channel.fulfil_at_channel(order, {"TEE": 2}),
        lambda: channel.fulfil_at_channel(order, {}),
        lambda: channel.cancel_fulfilment(order, "no-such"),
        lambda: channel.pay("no-such"),
        lambda: channel.offer("TEE", 1),
    ]
    for act in refused:
        with pytest.raises(FakeRefusal):
            act()
    assert channel.quantities() == {"TEE": 8, "MUG": 5}
    channel.cancel(order)
    for act in (channel.cancel, channel.fulfil_at_channel):
        with pytest.raises(FakeRefusal):
            act(order)


def test_orders_the_channel_ships_take_nothing_from_the_seller():
    channel = make()
    channel.buy(("TEE", 2), fulfilled_by="channel")
    gift_card = channel.offer("GIFT", 0, is_stocked=False)
    order = channel.buy(("GIFT", 3), is_test=True)
    assert channel.quantities() == {"TEE": 10, "MUG": 5, "GIFT": 0}
    assert channel.sold() == {"GIFT": 3}
    assert channel.session().read_stock([gift_card]).quantities == {}
    sight = parsed(channel, order)
    assert (sight.facts.is_test, sight.lines[0].is_stocked) == (True, False)


def test_an_order_lives_from_unpaid_to_shipped_and_back():
    channel = make()
    order = channel.buy(("TEE", 2), is_paid=False)
    assert parsed(channel, order).facts.state is OrderState.PENDING
    channel.pay(order)
    channel.hold(order)
    assert parsed(channel, order).facts.channel_holds == ("fraud_review",)
    channel.release(order)
    shipped = channel.fulfil_at_channel(order, tracking_number="T1")
    assert parsed(channel, order).facts.state is OrderState.CLOSED
    channel.cancel_fulfilment(order, shipped)
    assert parsed(channel, order).facts.state is OrderState.OPEN
    assert [one.is_cancelled for one in channel.fulfilments(order)] == [True]
    channel.fulfil_at_channel(order)
    channel.refund(order)
    assert parsed(channel, order).lines[0].quantity_returned == 2
    assert channel.quantities()["TEE"] == 10
    channel.delete(order)
    assert channel.session().read_orders_by_id([order])[0].is_gone


ACTS = {
    "cancel": lambda channel, order, number: channel.cancel(order, restock=number % 2 == 0),
    "edit": lambda channel, order, number: channel.edit(order, {"TEE": number % 5}),
    "refund": lambda channel, order, number: channel.refund(
        order, {"TEE": number % 3}, restock=number % 2 == 0
    ),
    "ship": lambda channel, order, number: channel.fulfil_at_channel(order, {"TEE": 1}),
}
acts = st.lists(st.tuples(st.sampled_from(["buy", *ACTS]), st.integers(0, 9)))


@given(acts)
def test_on_sale_plus_taken_is_always_the_same(steps):
    channel = make()
    orders: list[str] = []
    for act, number in steps:
        with contextlib.suppress(FakeRefusal):
            if act == "buy":
                orders.append(channel.buy(("TEE", number % 4), ("MUG", 1)))
            elif orders:
                ACTS[act](channel, orders[number % len(orders)], number)
    taken = dict.fromkeys(channel.quantities(), 0)
    for one in channel.orders().values():
        for line in one.lines:
            taken[line.channel_sku] += line.ordered - line.restocked
            assert min(line.open, line.shipped, line.restocked, line.returned) >= 0
    assert {sku: n + taken[sku] for sku, n in channel.quantities().items()} == {"TEE": 10, "MUG": 5}


# --- ports and driver ----------------------------------------------------------------------------


def test_the_ports_a_test_hands_over():
    clock, gate = FakeClock(), OpenGate()
    clock.sleep(2.5)
    assert clock.monotonic() == 2.5
    channel = make()
    channel.session("shop-a", gate=gate).check()
    gate.learn("check", available=1, capacity=2, refill_per_second=3)
    assert (gate.spent["check"], gate.priorities["check"]) == (1, {Priority.READ})
    assert gate.learnt == {"check": (1, 2, 3)}
    tokens = MemoryTokens({"access": "a"})
    with tokens.locked():
        tokens.save({**tokens.load(), "refresh": "b"})
    assert tokens.load() == {"access": "a", "refresh": "b"}
    one, two = SeededIds(7), SeededIds(7)
    assert [one.new(), one.uuid(), one.random()] == [two.new(), two.uuid(), two.random()]
    assert [len(part) for part in one.uuid().split("-")] == [8, 4, 4, 4, 12]


def test_secrets_stay_out_of_repr():
    settings = make().settings
    assert settings.token not in repr(settings)
    assert settings.webhook_secret not in repr(settings)


def test_the_driver_is_late_by_its_option_only():
    with pytest.raises(AssertionError, match="by its option"):
        FakeDriver(FakeOptions()).place_late(1.0)
