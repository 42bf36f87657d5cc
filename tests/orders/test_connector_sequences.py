"""What each connector read of one order, in any sequence and again, ends in what it read last."""

from dataclasses import fields
from random import Random

import pytest

from oms_sync.flows.records import counts_of

FIRST, SECOND = "NUTS&BOLTS", "TEE RED M"
#: permutations delivered per life; each is another account of the hub
PERMUTATIONS = 4

LIVES = {
    "paid, held, released, sent": [
        ("pay",), ("hold", False), ("hold", True), ("ship", None),
    ],
    "fewer units, then cancelled": [
        ("pay",), ("edit", {FIRST: 2}), ("hold", False), ("cancel", True),
    ],
    "refunded in part, the rest sent": [
        ("pay",), ("refund", {FIRST: 1}, True), ("ship", 1), ("ship", None),
    ],
    "more units of another, one line off, sent, refunded": [
        ("pay",), ("edit", {SECOND: 3}), ("edit", {FIRST: 1}), ("ship", 1),
        ("refund", {SECOND: 1}, False), ("ship", None), ("refund", None, True),
    ],
    "never paid": [("hold", False), ("hold", True), ("cancel", False)],
}  # fmt: skip


def act(market, order_id, step):
    sales = market.driver.sandbox.sales
    match step:
        case ("pay",):
            market.attempt(sales.pay, order_id)
        case ("hold", is_release):
            market.attempt(sales.hold, order_id, release=is_release)
        case ("edit", quantities):
            market.attempt(sales.edit, order_id, quantities)
        case ("refund", quantities, is_restocked):
            market.attempt(sales.refund, order_id, quantities, restock=is_restocked)
        case ("cancel", is_restocked):
            market.attempt(sales.cancel, order_id, restock=is_restocked)
        case ("ship", units):
            market.ship(order_id, units)


def fields_of(record):
    return [(field.name, getattr(record, field.name)) for field in fields(record)]


def differing(one, other):
    """What two ends do not share, by name."""
    names = one.keys() | other.keys()
    return {name: (one[name], other[name]) for name in names if one[name] != other[name]}


def life(market, steps):
    """All that was read or told of an order that lives through `steps`, and when it was seen."""
    order_id = market.place((FIRST, 4), (SECOND, 2), is_paid=False)
    readings = []
    for step in [None, *steps]:
        if step is not None:
            act(market, order_id, step)
        market.advance(2)
        readings += [("notification", market.driver.now(), one) for one in market.told()]
        market.advance(2)
        raw = market.read(order_id)
        order_id = raw.channel_order_id
        readings.append(("read", market.driver.now(), raw))
    return readings


def deliver(market, account, readings, chance=None):
    """Let the hub have them in this sequence; all that came of it, but our own ids."""
    own = market.account(account, FIRST, SECOND)
    hub = market.hub
    for source, seen_at, raw in readings:
        hub.add(
            raw.payload,
            source,
            account=account,
            channel_order_id=raw.channel_order_id,
            received_at=seen_at,
        )
        if chance is None or chance.random() < 0.5:
            hub.run("normalise", account)
            hub.run("reserve", account)
    hub.run("normalise", account)
    hub.run("reserve", account)
    assert hub.inbox("dead", account) == hub.inbox("new", account) == []
    (shown,) = hub.storage.reports.orders(account=account)
    order = hub.order(shown["channel_order_id"], account)
    return {
        "id": order.known.ref.channel_order_id,
        "state": order.state,
        "holds": sorted(hold.code for hold in order.holds),
        **{f"facts {name}": value for name, value in fields_of(order.known.facts)},
        **{
            f"line {number} {name}": value
            for number, one in enumerate(order.known.lines)
            for name, value in fields_of(one.line)
        },
        "counts": counts_of(order),
        "filled": [(sum(one.held.values()), one.quantity_short) for one in order.lines],
        "stock": {sku: hub.stock(mine) for sku, mine in own.items()},
        "taken": {sku: _taken(hub, sku, account) for sku, mine in own.items()},
    }


def _taken(hub, channel_sku, account):
    return hub.listing(channel_sku, account).taken


@pytest.mark.proves("I-02", "I-07", "I-16", "I-17", "F11", "F13", "F32")
@pytest.mark.parametrize("steps", LIVES.values(), ids=list(LIVES))
def test_any_permutation_of_readings_ends_in_the_last_one(market, steps):
    readings = life(market, steps)
    assert len({raw.payload for source, _, raw in readings if source == "read"}) > 1
    is_told = any(source == "notification" for source, _, _ in readings)
    assert is_told == (market.name == "amazon")
    last = deliver(market, "the last alone", readings[-1:])
    whole = deliver(market, "as it was", readings)
    # What the last one no longer says, stays as it was known: people, and what a sale was once.
    assert {
        name: pair for name, pair in differing(whole, last).items() if pair[1] is not None
    } == {}
    for number in range(PERMUTATIONS):
        chance = Random(f"{market.name} {number}")
        mixed = readings + chance.choices(readings, k=2)
        chance.shuffle(mixed)
        assert differing(deliver(market, f"mixed {number}", mixed, chance), whole) == {}
    assert market.hub.metrics.counts["orders_unbalanced"] == 0, "what they sold for is explained"
