"""Reading orders: windows, page tokens, cursors, and who an order goes to."""

import json
from datetime import timedelta

import httpx
import pytest

from connectors.amazon import orders
from oms_sync.sdk import (
    BadPayload,
    ChannelDown,
    OrderFeed,
    RetryLater,
)

CHANGES = OrderFeed.CHANGES
BOUND = "2026-03-01T11:58:00Z"


def _page(*shown, token=None, bound=BOUND):
    page = {"orders": list(shown), "lastUpdatedBefore": bound}
    return page | ({"pagination": {"nextToken": token}} if token else {})


def _refusal(status, code="InvalidInput"):
    return httpx.Response(status, json={"errors": [{"code": code, "message": "no"}]})


def _ids(page):
    return [raw.channel_order_id for raw in page.orders]


def _place(page):
    return json.loads(page.cursor)


# --- the window ----------------------------------------------------------------------------------


def test_a_list_is_asked_by_change_for_what_the_stock_decision_needs(amazon, reading, clock):
    amazon.on("searchOrders", _page())
    reading()
    asked = amazon.of("searchOrders")[0].query
    assert asked == {
        "lastUpdatedAfter": (clock.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "marketplaceIds": "ATVPDKIKX0DER",
        "includedData": "FULFILLMENT,CANCELLATION",
        "maxResultsPerPage": "100",
    }


@pytest.mark.proves("F23", "I-04", "B-05")
def test_with_a_lag_the_window_ends_two_minutes_ago(amazon, open_session, clock):
    amazon.on("searchOrders", _page())
    session = open_session(clock=clock, visibility_lag_seconds=120)
    page = session.read_orders(CHANGES, None, clock.now() - timedelta(hours=1))
    ended = amazon.of("searchOrders")[0].query["lastUpdatedBefore"]
    assert ended == (clock.now() - timedelta(seconds=122)).strftime("%Y-%m-%dT%H:%M:%SZ")
    session.read_orders(CHANGES, page.cursor, clock.now())
    # the next pass begins an overlap before the bound the channel named, not before our clock
    assert amazon.of("searchOrders")[1].query["lastUpdatedAfter"] == "2026-03-01T11:48:00Z"


def test_the_bound_is_reckoned_by_the_channels_clock(amazon, open_session, clock):
    amazon.headers = {"date": "Sun, 01 Mar 2026 11:50:00 GMT"}
    amazon.on("searchOrders", _page())
    session = open_session(clock=clock, visibility_lag_seconds=120)
    page = session.read_orders(CHANGES, None, clock.now())
    session.read_orders(CHANGES, page.cursor, clock.now())
    assert amazon.of("searchOrders")[1].query["lastUpdatedBefore"] == "2026-03-01T11:47:58Z"


def test_the_window_is_never_turned_round(amazon, open_session, clock):
    amazon.on("searchOrders", _page())
    session = open_session(clock=clock, visibility_lag_seconds=600)
    session.read_orders(CHANGES, None, clock.now())
    asked = amazon.of("searchOrders")[0].query
    assert asked["lastUpdatedAfter"] <= asked["lastUpdatedBefore"]


@pytest.mark.parametrize(
    ("feed", "statuses"),
    [
        (OrderFeed.OPEN, "PENDING_AVAILABILITY,PENDING,UNSHIPPED,PARTIALLY_SHIPPED"),
        (OrderFeed.HISTORY, None),
        (OrderFeed.SWEEP, None),
    ],
)
def test_the_other_feeds_read_by_change_as_well(feed, statuses, amazon, reading):
    amazon.on("searchOrders", _page())
    assert reading(feed=feed).is_last
    asked = amazon.of("searchOrders")[0].query
    assert asked.get("fulfillmentStatuses") == statuses
    assert "createdAfter" not in asked


# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.proves("F19", "I-05", "B-04")
def test_pages_go_on_while_there_is_a_token_empty_ones_too(amazon, reading, shown_order):
    pending = [shown_order(n, status="PENDING") for n in (1, 2)]
    amazon.on("searchOrders", _page(pending[0], token="t1"), _page(token="t2"), _page(pending[1]))
    pages = [reading()]
    while not pages[-1].is_last:
        pages.append(reading(pages[-1].cursor))
    assert [_ids(page) for page in pages] == [["111-0000000-0000001"], [], ["111-0000000-0000002"]]
    queries = [asked.query for asked in amazon.of("searchOrders")]
    assert [query.pop("paginationToken", None) for query in queries] == [None, "t1", "t2"]
    assert queries[0] == queries[1] == queries[2], "a token repeats all other parameters"
    assert _place(pages[-1]) == {"watermark": BOUND}


@pytest.mark.proves("F07", "I-04", "B-02")
@pytest.mark.parametrize(
    "answer",
    [{}, {"orders": None}, {"payload": {"Orders": []}}, {"orders": {}}, {"orders": [{}]}, 500, 200],
)
def test_no_cursor_moves_on_an_answer_without_orders(answer, amazon, reading):
    amazon.on("searchOrders", answer)
    with pytest.raises(ChannelDown):
        reading()


@pytest.mark.proves("F07")
def test_a_pagination_of_another_shape_is_not_the_last_page(amazon, reading):
    amazon.on("searchOrders", {"orders": [], "pagination": "t1"})
    with pytest.raises(BadPayload):
        reading()


@pytest.mark.proves("F21", "I-05")
@pytest.mark.parametrize("hours", [23.5, 48])
def test_a_token_a_day_old_restarts_the_window(hours, amazon, reading, clock):
    amazon.on("searchOrders", _page(token="t1"))
    first = reading()
    clock.advance(hours * 3600)
    again = reading(first.cursor)
    assert not again.is_last
    assert amazon.counts["searchOrders"] == 1, "an old token is not sent"
    assert _place(again)["after"] == _place(first)["after"]
    amazon.on("searchOrders", _page())
    assert reading(again.cursor).is_last
    assert "paginationToken" not in amazon.of("searchOrders")[1].query


@pytest.mark.proves("F21")
def test_a_token_amazon_refuses_restarts_the_window(amazon, reading):
    amazon.on("searchOrders", _page(token="t1"), _refusal(400), _page())
    page = reading(reading().cursor)
    assert not page.is_last
    assert reading(page.cursor).is_last


def test_a_refusal_without_a_token_moves_nothing(amazon, reading):
    """A sudden 400 for a valid list of parts, in one region, was seen for hours."""
    amazon.on("searchOrders", _refusal(400))
    with pytest.raises(orders.Refused):
        reading()


@pytest.mark.proves("F20", "F22", "I-05")
@pytest.mark.parametrize("tokens", [["t1"], ["t1", "t2"], ["t1", "t2", "t3"]])
def test_a_list_that_goes_round_in_circles_is_restarted_then_given_up(tokens, amazon, reading):
    turns = iter(tokens * 1000)
    amazon.on("searchOrders", lambda _: _page(token=next(turns)))
    cursors = [None]

    def walk():
        for _ in range(100):
            cursors.append(reading(cursors[-1]).cursor)

    with pytest.raises(ChannelDown, match="circles"):
        walk()
    assert len(set(cursors)) == len(cursors)


@pytest.mark.proves("F20")
def test_the_same_orders_under_new_tokens_are_a_circle(amazon, reading, shown_order):
    numbers = iter(range(1000))
    amazon.on(
        "searchOrders",
        lambda _: _page(shown_order(1, status="PENDING"), token=f"t{next(numbers)}"),
    )
    first = reading()
    second = reading(first.cursor)
    assert _place(second)["restarts"] == 1
    assert "token" not in _place(second)


@pytest.mark.proves("F20", "F21", "I-05")
def test_a_list_given_up_is_begun_again_after_a_while(amazon, reading, clock):
    """A token Amazon never takes again must not hold up an account's orders for ever."""
    amazon.on("searchOrders", lambda asked: _dead_end(asked.query))
    cursor = None
    for _ in range(2 * orders.RESTARTS_MAX + 1):
        cursor = reading(cursor).cursor
    for _ in range(2):
        with pytest.raises(ChannelDown, match="nowhere"):
            reading(cursor)
    clock.advance(901)
    again = reading(cursor)
    assert "token" not in _place(again)
    amazon.on("searchOrders", _page())
    assert reading(again.cursor).is_last


def _dead_end(query):
    return _refusal(400) if "paginationToken" in query else _page(token="t1")


def test_a_list_longer_than_the_marks_kept_is_no_circle(amazon, reading, monkeypatch):
    monkeypatch.setattr(orders, "SEEN_MAX", 4)
    tokens = iter(f"t{n}" for n in range(100))
    amazon.on("searchOrders", lambda _: _page(token=next(tokens)))
    cursor = None
    for _ in range(20):
        cursor = reading(cursor).cursor
    assert "restarts" not in json.loads(cursor)
    assert len(json.loads(cursor)["seen"]) == 4


@pytest.mark.proves("I-04")
def test_a_bound_that_is_no_time_is_not_kept(amazon, reading):
    """Kept in the cursor it would stop every later pass."""
    amazon.on("searchOrders", _page(bound="soon"))
    with pytest.raises(BadPayload):
        reading()


def test_a_refused_bound_teaches_the_channels_time(amazon, open_session, clock):
    """Our clock is a minute fast: Amazon refuses the bound until we go by its own time."""
    date = {"date": "Sun, 01 Mar 2026 11:59:00 GMT"}
    errors = {"errors": [{"code": "InvalidInput", "message": "lastUpdatedBefore"}]}
    amazon.on("searchOrders", httpx.Response(400, json=errors, headers=date), _page())
    session = open_session(clock=clock, visibility_lag_seconds=120)
    with pytest.raises(orders.Refused):
        session.read_orders(CHANGES, None, clock.now() - timedelta(hours=1))
    session.read_orders(CHANGES, None, clock.now() - timedelta(hours=1))
    bounds = [asked.query["lastUpdatedBefore"] for asked in amazon.of("searchOrders")]
    assert bounds == ["2026-03-01T11:57:58Z", "2026-03-01T11:56:58Z"]


def test_a_cursor_that_is_none_of_ours_is_bad_payload(reading):
    for cursor in ('{"foreign": 1}', "[]", "nonsense"):
        with pytest.raises(BadPayload):
            reading(cursor)


# --- by id ---------------------------------------------------------------------------------------


def test_orders_are_read_by_id_as_they_are_now(amazon, reading, shown_order):
    def answer(asked):
        number = int(asked.url.path[-7:])
        return _refusal(404, "NotFound") if number == 9 else {"order": shown_order(number)}

    amazon.on("getOrder", answer)
    ids = ["111-0000000-0000001", "111-0000000-0000009", "../../nonsense", "."]
    found = reading.session.read_orders_by_id(ids)
    assert [(raw.channel_order_id, raw.is_gone) for raw in found] == [
        (ids[0], False),
        (ids[1], True),
        (ids[2], True),
        (ids[3], True),
    ]
    assert amazon.counts["getOrder"] == 2, "what can be no id is not asked for"


def test_another_order_than_asked_for_is_bad_payload(amazon, reading, shown_order):
    amazon.on("getOrder", {"order": shown_order(2)})
    with pytest.raises(BadPayload):
        reading.session.read_orders_by_id(["111-0000000-0000001"])


def test_numbers_with_decimals_survive_the_way_to_the_inbox(amazon, reading, shown_order, clock):
    order = shown_order(1, status="PENDING")
    order["orderItems"][0]["measurement"] = {"unit": "POUNDS", "value": 0.1}
    amazon.on("getOrder", {"order": order})
    (raw,) = reading.session.read_orders_by_id([order["orderId"]])
    line = json.loads(raw.payload)["order"]["orderItems"][0]
    assert line["measurement"]["value"] == "0.1"
    assert reading.session.parse_order(raw.payload, clock.now()).lines[0].quantity_ordered == 2


def test_a_stopping_hub_is_not_waited_out(open_client):
    client = open_client()
    client._clock.sleep = lambda _: None
    with pytest.raises(RetryLater, match="stopping"):
        client.wait(30)


# --- against the sandbox -------------------------------------------------------------------------


@pytest.mark.proves("F17", "F18", "F41")
def test_every_order_of_the_sandbox_is_read_with_its_address(seller):
    placed = {seller.place_order(1) for _ in range(9)}
    seller.advance(1)
    session, cursor, found = seller.open(), None, {}
    for _ in range(20):
        page = session.read_orders(CHANGES, cursor, seller.now() - timedelta(hours=1))
        found |= {raw.channel_order_id: raw for raw in page.orders}
        cursor = page.cursor
        if page.is_last:
            break
    assert set(found) == placed
    sights = [session.parse_order(raw.payload, seller.now()) for raw in found.values()]
    assert all(sight.facts.recipient is not None for sight in sights)
    assert all(sight.facts.total is not None for sight in sights)
