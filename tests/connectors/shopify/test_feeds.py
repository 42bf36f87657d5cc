"""Lists beside the orders that fail or go in circles, older cursors; and every pass ends."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors.shopify import feeds
from oms_sync.sdk import AuthFailed, BadPayload, ChannelDown, OrderFeed, RateLimited, Rejected

AT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, PAGES_MAX = timedelta(hours=1), 30
WORK, RETURNS = "WorkByChange", "OrdersWithReturns"


def _pages(session, feed, since, cursor=None):
    """The pages of one pass, which ends."""
    pages = []
    for _ in range(PAGES_MAX):
        pages.append(session.read_orders(feed, cursor, since))
        cursor = pages[-1].cursor
        if pages[-1].is_last:
            return pages
    raise AssertionError("no last page")


def _ids(pages):
    return [raw.channel_order_id for page in pages for raw in page.orders]


def _answering(session, monkeypatch, answers):
    """The client answers these documents by functions of the answer, and all others truly."""
    run = session._client.run

    def changed(name, variables, **more):
        answer = run(name, variables, **more)
        return answers[name](answer) if name in answers else answer

    monkeypatch.setattr(session._client, "run", changed)


def _raising(error):
    def answer(_):
        raise error

    return answer


def _circling(field):
    """The list says again and again that there is more, at the same place."""

    def answer(one):
        one.fields[field]["pageInfo"] = {"hasNextPage": True, "endCursor": None}
        return one

    return answer


def _misshapen(one):
    for field in ("fulfillmentOrders", "orders"):
        if field in one.fields:
            one.fields[field] = {"nodes": None}
    return one


BROKEN = [
    _raising(ChannelDown("down")),
    _raising(Rejected("unknown")),
    _raising(BadPayload("odd")),
    _misshapen,
]


@pytest.mark.parametrize(
    "broken",
    [*BROKEN, _circling("fulfillmentOrders")],
    ids=["down", "no", "odd", "shape", "circle"],
)
@pytest.mark.parametrize("feed", [OrderFeed.CHANGES, OrderFeed.SWEEP])
@pytest.mark.proves("I-05")
def test_a_broken_list_of_work_keeps_no_order_out_and_the_pass_ends(
    broken, feed, shop, monkeypatch
):
    session, since = shop.open(), shop.now() - HOUR
    order_id = shop.place_order(1)
    _answering(session, monkeypatch, {WORK: broken})
    pages = _pages(session, feed, since)
    assert order_id in _ids(pages)
    later = shop.place_order(1)
    shop.advance(60)
    again = _pages(session, feed, since, pages[-1].cursor if feed is OrderFeed.CHANGES else None)
    assert later in _ids(again), "the next pass goes on from where the orders were read"
    assert "holds and moves" in " ".join(session.check().warnings)


@pytest.mark.parametrize(
    "broken", [*BROKEN, _circling("orders")], ids=["down", "no", "odd", "shape", "circle"]
)
@pytest.mark.proves("I-05")
def test_a_broken_list_of_returns_keeps_no_sweep_from_its_end(broken, shop, monkeypatch):
    session, since = shop.open(), shop.now() - HOUR
    order_id = shop.place_order(1)
    _answering(session, monkeypatch, {RETURNS: broken})
    assert order_id in _ids(_pages(session, OrderFeed.SWEEP, since))
    assert "returned goods" in " ".join(session.check().warnings)


@pytest.mark.proves("I-05")
def test_an_order_of_the_list_of_work_that_cannot_be_read_keeps_no_other_out(shop, monkeypatch):
    session, since, poisoned = shop.open(), shop.now() - HOUR, shop.place_order(1)
    shop.advance(60)
    cursor = _pages(session, OrderFeed.CHANGES, since)[-1].cursor
    cursor = _pages(session, OrderFeed.CHANGES, since, cursor)[-1].cursor
    shop.sandbox.sales.hold(poisoned, release=False)
    run = session._client.run

    def refused(name, variables, **more):
        if name == "Orders" and any(each.endswith(poisoned) for each in variables["ids"]):
            raise ChannelDown("this one never comes")
        return run(name, variables, **more)

    monkeypatch.setattr(session._client, "run", refused)
    shop.advance(3600)
    later = shop.place_order(1)
    shop.advance(60)
    pages = _pages(session, OrderFeed.CHANGES, since, cursor)
    assert _ids(pages) == [later]
    # Nothing of it is lost: once it can be read, it is.
    monkeypatch.undo()
    assert poisoned in _ids(_pages(session, OrderFeed.CHANGES, since, pages[-1].cursor))


@pytest.mark.parametrize("error", [RateLimited("slow", retry_after_seconds=1), AuthFailed("out")])
def test_what_is_read_is_handed_out_before_a_failure_that_concerns_all(error, shop, monkeypatch):
    session, since, order_id = shop.open(), shop.now() - HOUR, shop.place_order(1)
    _answering(session, monkeypatch, {WORK: _raising(error)})
    page = session.read_orders(OrderFeed.CHANGES, None, since)
    assert [raw.channel_order_id for raw in page.orders] == [order_id]
    assert not page.is_last
    with pytest.raises(type(error)):
        session.read_orders(OrderFeed.CHANGES, page.cursor, since)
    monkeypatch.undo()
    assert _pages(session, OrderFeed.CHANGES, since, page.cursor)[-1].is_last


@pytest.mark.parametrize(
    "stored",
    [
        {"watermark": "2026-02-01T00:00:00Z"},
        {"watermark": "2026-02-01T00:00:00Z", "start": "2026-01-31T23:50:00Z", "listed": 50},
        {"start": "2026-01-31T23:50:00Z", "until": "2026-04-01T00:00:00Z", "listed": 50},
    ],
)
def test_a_cursor_stored_before_there_were_several_lists_is_read_on(stored, shop):
    session, order_id = shop.open(), shop.place_order(1)
    shop.advance(60)
    pages = _pages(session, OrderFeed.CHANGES, shop.now() - HOUR, json.dumps(stored))
    assert order_id in _ids(pages)
    assert feeds.read_cursor(pages[-1].cursor).is_done


@pytest.mark.parametrize("cursor", ['{"phase": "end", "colour": 1}', "[]", "7", "{"])
def test_what_is_no_cursor_is_named(cursor, shop):
    with pytest.raises(BadPayload):
        shop.open().read_orders(OrderFeed.CHANGES, cursor, shop.now())


@pytest.mark.parametrize("status", ["RETURN_REQUESTED", "INSPECTION_COMPLETE", "IN_PROGRESS"])
@pytest.mark.proves("I-10")
def test_an_order_with_a_return_not_dealt_with_is_read_at_every_sweep(status, shop):
    # One request more says REQUESTED of the order, whatever is done with the goods meanwhile.
    session, order_id = shop.open(), shop.place_order(1)
    shop.sandbox.merchant.dress("Order", int(order_id), returnStatus=status)
    shop.advance(10 * 86_400)
    for _ in range(3):
        orders = _listed_as(shop, session, order_id)
        assert orders == [order_id]


def _listed_as(shop, session, order_id):
    """One sweep where the list of returns names the order."""
    run = session._client.run

    def named(name, variables, **more):
        if name == RETURNS:
            variables = {**variables, "query": variables["query"].partition(" ")[2]}
        return run(name, variables, **more)

    session._client.run = named
    try:
        return _ids(_pages(session, OrderFeed.SWEEP, shop.now() - 48 * HOUR))
    finally:
        session._client.run = run


def test_every_return_of_a_busy_season_is_remembered(monkeypatch):
    statuses, many = feeds.ReturnStatuses(), feeds.STORED_MAX * 4
    statuses.hand_out("c", {str(number): "RETURNED" for number in range(many)})
    statuses.prove("c")
    assert statuses.of("0") == "RETURNED"
