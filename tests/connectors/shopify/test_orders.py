"""Reading orders from the sandbox: feeds, cursors, whole orders, and what sellers do to them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors.shopify import feeds, nested
from oms_sync.sdk import (
    AuthFailed,
    ChannelDown,
    OrderFeed,
    OutgoingPackage,
    OutgoingShipment,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.sandbox import Purchase

AT = datetime(2026, 3, 1, tzinfo=UTC)


def _sight(shop, session, order_id):
    (raw,) = session.read_orders_by_id([order_id])
    return session.parse_order(raw.payload, shop.now())


def _walk(session, feed, since, cursor=None, pages_max=50):
    found = []
    for _ in range(pages_max):
        page = session.read_orders(feed, cursor, since)
        found += [raw.channel_order_id for raw in page.orders]
        cursor = page.cursor
        if page.is_last:
            return found, cursor
    raise AssertionError("no last page")


def _batch(shop, *entries, key="b-1"):
    pushes = [
        StockPush(channel_listing_id=gid, channel_sku="", quantity=quantity, expected=expected)
        for gid, quantity, expected in entries
    ]
    return StockBatch(key=key, entries=tuple(pushes))


def _shipment(order_id, lines, *numbers, carrier="ups"):
    return OutgoingShipment(
        key="s-1",
        channel_order_id=order_id,
        lines=lines,
        packages=tuple(
            OutgoingPackage(carrier=carrier, tracking_number=number, tracking_url=None)
            for number in numbers
        ),
        service=None,
        shipped_at=AT,
    )


@pytest.mark.proves("I-04", "F32")
def test_the_watermark_moves_only_when_the_pass_is_complete(shop):
    for _ in range(2):
        shop.place_together(4)
        shop.advance(60)
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    first = session.read_orders(OrderFeed.CHANGES, None, since)
    assert not first.is_last
    assert "watermark" not in json.loads(first.cursor)
    _, cursor = _walk(session, OrderFeed.CHANGES, since, first.cursor)
    changed = "2026-03-01T12:01:00Z"
    assert json.loads(cursor) == {"watermark": changed, "work": changed}


def test_a_new_pass_begins_an_overlap_before_the_watermark(shop):
    old = shop.place_order(1)
    shop.advance(3600)
    recent = shop.place_order(1)
    session, since = shop.open(), shop.now() - timedelta(days=1)
    _, cursor = _walk(session, OrderFeed.CHANGES, since)
    again, _ = _walk(session, OrderFeed.CHANGES, since, cursor)
    assert recent in again
    assert old not in again


def test_open_orders_and_history_are_read_by_their_age(shop):
    shop.place_order(1)
    shop.advance(86_400 * 40)
    since = shop.now() - timedelta(days=30)
    closed, open_one = shop.place_order(1), shop.place_order(1)
    shop.cancel_order(closed)
    session = shop.open()
    assert _walk(session, OrderFeed.OPEN, since)[0] == [open_one]
    assert sorted(_walk(session, OrderFeed.HISTORY, since)[0]) == sorted([closed, open_one])
    assert sorted(_walk(session, OrderFeed.SWEEP, since)[0]) == sorted([closed, open_one])


@pytest.mark.proves("I-05", "F19", "F20", "F22")
@pytest.mark.parametrize("fault", ["F19", "F20"])
def test_empty_pages_and_looping_tokens_lose_nothing(fault, shop):
    placed = []
    for _ in range(12):
        placed.append(shop.place_order(1))
        shop.advance(2)
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    shop.sandbox.faults.force(fault, 2)
    found: set = set()
    cursor = None
    for _ in range(30):
        try:
            page = session.read_orders(OrderFeed.CHANGES, cursor, since)
        except ChannelDown:
            continue
        found |= {raw.channel_order_id for raw in page.orders}
        cursor = page.cursor
        if page.is_last:
            break
    assert found == set(placed)
    assert shop.sandbox.faults.counters()[fault]["fired"] > 0


@pytest.mark.proves("F21")
def test_a_place_in_the_list_that_expired_is_taken_up_by_time(shop):
    for _ in range(10):
        shop.place_order(1)
        shop.advance(2)
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    first = session.read_orders(OrderFeed.CHANGES, None, since)
    place = json.loads(first.cursor)
    expired = json.dumps(place | {"after": "bm8gc3VjaCBwbGFjZQ=="})
    rest, _ = _walk(session, OrderFeed.CHANGES, since, expired)
    assert {raw.channel_order_id for raw in first.orders} | set(rest) == set(
        shop.sandbox.truth()["orders"]
    )


def test_a_list_longer_than_the_shop_pages_is_taken_up_by_time(shop, monkeypatch):
    monkeypatch.setattr(feeds, "LISTED_MAX", 4)
    for _ in range(12):
        shop.place_order(1)
        shop.advance(1)
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    found, _ = _walk(session, OrderFeed.CHANGES, since)
    assert set(found) == set(shop.sandbox.truth()["orders"])


@pytest.mark.proves("I-06", "F24")
def test_nested_lists_are_read_to_their_end(running_shop):
    with running_shop(skus=60) as shop:
        skus = [sku for _, sku in shop.sandbox.sales.listings()]
        order_id = shop.sandbox.sales.place(Purchase(lines=tuple((sku, 1) for sku in skus)))
        session = shop.open()
        sight = _sight(shop, session, order_id)
        assert len(sight.lines) == 60
        assert sight.facts.is_complete is True
        lines = {line.channel_line_id: 1 for line in sight.lines}
        session.push_shipment(_shipment(order_id, lines, "1Z1"))
        (known,) = session.read_shipments(order_id)
        assert known.lines == lines
        assert all(line.quantity_shipped == 1 for line in _sight(shop, session, order_id).lines)


@pytest.mark.proves("I-06")
def test_an_order_that_cannot_be_read_to_its_end_says_so(running_shop, monkeypatch):
    monkeypatch.setattr(nested, "MORE_PAGES_MAX", 0)
    with running_shop(skus=30) as shop:
        skus = [sku for _, sku in shop.sandbox.sales.listings()]
        order_id = shop.sandbox.sales.place(Purchase(lines=tuple((sku, 1) for sku in skus)))
        assert _sight(shop, shop.open(), order_id).facts.is_complete is False


@pytest.mark.proves("F34", "F35", "F36")
def test_what_sellers_do_to_an_order_is_seen(shop):
    session, sales = shop.open(), shop.sandbox.sales
    order_id = sales.place(Purchase(lines=((shop.sku(0), 5), (shop.sku(1), 1))))
    first, second = (
        line["channel_line_id"] for line in shop.sandbox.truth()["orders"][order_id]["lines"]
    )
    session.push_shipment(_shipment(order_id, {first: 2}, "1Z1"))
    sales.refund(order_id, {shop.sku(1): 1}, restock=False)
    sales.edit(order_id, {shop.sku(0): 4})
    lines = {line.channel_line_id: line for line in _sight(shop, session, order_id).lines}
    assert (lines[first].quantity_shipped, lines[first].quantity_cancelled) == (2, 1)
    assert (lines[second].quantity_cancelled, lines[second].quantity_restocked) == (1, 0)
    sales.hold(order_id, release=False)
    assert _sight(shop, session, order_id).facts.channel_holds == ("other",)
    sales.hold(order_id, release=True)
    assert _sight(shop, session, order_id).facts.channel_holds == ()


@pytest.mark.proves("F26")
def test_a_token_that_expires_in_the_middle_of_a_walk_is_renewed(shop):
    shop.place_together(8)
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    shop.sandbox.faults.set("F26", 0.5)
    found: set = set()
    cursor = None
    for _ in range(40):
        try:
            page = session.read_orders(OrderFeed.CHANGES, cursor, since)
        except AuthFailed:
            continue  # a fresh token may be refused as well
        found |= {raw.channel_order_id for raw in page.orders}
        cursor = page.cursor
        if page.is_last:
            break
    assert found == set(shop.sandbox.truth()["orders"])


def test_an_odd_id_is_simply_gone(shop):
    known = shop.place_order(1)
    answers = shop.open().read_orders_by_id(["x", "\uff19", known, "1" * 40])
    assert [raw.is_gone for raw in answers] == [True, True, False, True]
    assert [raw.channel_order_id for raw in answers] == ["x", "\uff19", known, "1" * 40]


@pytest.mark.proves("I-05")
def test_of_the_overlap_only_what_changed_or_is_not_stored_yet_is_read_again(shop):
    old, changed = shop.place_order(1), shop.place_order(1)
    shop.advance(10)
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    first, cursor = _walk(session, OrderFeed.CHANGES, since)
    assert set(first) == {old, changed}
    # The same question again: the hub has not stored the answer, so it is given again.
    again, cursor = _walk(session, OrderFeed.CHANGES, since)
    assert set(again) == {old, changed}
    shop.cancel_order(changed)
    new = shop.place_order(1)
    shop.advance(10)
    later, cursor = _walk(session, OrderFeed.CHANGES, since, cursor)
    assert set(later) == {changed, new}
    quiet, cursor = _walk(session, OrderFeed.CHANGES, since, cursor)
    assert quiet == []
    # Another session knows nothing of what was stored, and reads the whole overlap.
    assert set(_walk(shop.open(), OrderFeed.CHANGES, since, cursor)[0]) == {old, changed, new}


@pytest.mark.proves("I-05", "F19")
def test_what_was_read_in_the_very_second_of_its_change_is_read_once_more(shop):
    session, since = shop.open(), shop.now() - timedelta(hours=1)
    order = shop.place_order(1)
    first, cursor = _walk(session, OrderFeed.CHANGES, since)
    assert first == [order]
    again, cursor = _walk(session, OrderFeed.CHANGES, since, cursor)
    assert again == [order], "the second of the change may not be over yet"
