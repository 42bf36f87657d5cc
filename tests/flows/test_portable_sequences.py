"""Whatever sequence the sights of several ids come in, every line is reserved and taken once."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from oms_sync.sdk.fake_orders import render_order

NUMBERS = itertools.count(1)
STEPS = ("one", "two", "combined", "paid", "cancelled")


def story(hub, account):
    """The payload of each step in the life of two orders that become one, with the id it shows."""
    shop = hub.channels[account]
    one, two = (shop.buy((f"{sku} {account}", 2), is_paid=False) for sku in ("TEE", "MUG"))
    told = {
        "one": (one, render_order(shop.order(one))),
        "two": (two, render_order(shop.order(two))),
    }
    for step, act in (
        ("combined", lambda: shop.combine(one, two)),
        ("paid", lambda: shop.pay(one)),
        ("cancelled", lambda: shop.cancel(one)),
    ):
        hub.clock.advance(1)
        act()
        order = shop.order(one)
        told[step] = (order.channel_order_id, render_order(order))
    return told


def reserved(hub, account):
    """Units reserved per line, of orders that are orders still; and rows per line and location."""
    with hub.storage._database.read() as transaction:
        rows = transaction.rows(
            text(
                "SELECT order_lines.channel_line_id, count(reservations.line_id), "
                "coalesce(sum(reservations.units), 0) FROM order_lines "
                "JOIN orders ON orders.order_id = order_lines.order_id "
                "LEFT JOIN reservations ON reservations.line_id = order_lines.line_id "
                "WHERE orders.account = :account AND orders.merged_into IS NULL "
                "GROUP BY order_lines.channel_line_id"
            ),
            {"account": account},
        )
    return {line: (count, int(units)) for line, count, units in rows}


@pytest.mark.proves("I-02", "I-07", "I-13", "I-16", "F11", "F13", "F34", "F36")
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.permutations(STEPS),
    again=st.lists(st.sampled_from(STEPS), max_size=3),
    is_cancelled=st.booleans(),
    cuts=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_any_sequence_of_sights_reserves_each_line_once(hub, steps, again, is_cancelled, cuts):
    account = f"shop-{next(NUMBERS)}"
    skus = [f"{sku} {account}" for sku in ("TEE", "MUG")]
    hub.connect(account, dict.fromkeys(skus, 9), options={"has_portable_lines": True})
    hub.link(account)
    for sku in skus:
        hub.count(sku, 9)
    told = story(hub, account)
    for step, is_cut in zip([*steps, *again], cuts, strict=False):
        if step == "cancelled" and not is_cancelled:
            continue
        channel_order_id, body = told[step]
        hub.add(body, "read", account=account, channel_order_id=channel_order_id)
        if is_cut:
            hub.run("normalise", account)
            hub.run("reserve", account)
    hub.run("normalise", account)
    hub.run("reserve", account)
    (order,) = hub.storage.reports.orders(account=account)
    assert order["state"] == ("cancelled" if is_cancelled else "open")
    assert order["channel_order_id"] == told["paid"][0]
    assert set(order["aliases"]) == {told[step][0] for step in STEPS[:3]}
    held = (0, 0) if is_cancelled else (1, 2)
    assert reserved(hub, account) == {line["channel_line_id"]: held for line in order["lines"]}
    assert len(order["lines"]) == 2
    for sku in skus:
        assert hub.stock(sku) == (9, held[1])
        assert hub.listing(sku, account).taken == held[1]
    assert hub.inbox("dead", account) == hub.inbox("new", account) == []
