"""Who an order goes to: read in full once, within the call budget, and only where we ship."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from oms_sync.sdk import FixAccount, FixData, OrderFeed, PermissionMissing, RateLimited
from oms_sync.sdk.testing import OpenGate

CHANGES = OrderFeed.CHANGES
BOUND = "2026-03-01T11:58:00Z"


def _page(*shown):
    return {"orders": list(shown), "lastUpdatedBefore": BOUND}


def _refusal(status, code="InvalidInput"):
    return httpx.Response(status, json={"errors": [{"code": code, "message": "no"}]})


def _ids(page):
    return [raw.channel_order_id for raw in page.orders]


def _place(page):
    return json.loads(page.cursor)


def _address(order):
    return order | {"recipient": {"deliveryAddress": {"name": "Ada Example"}}}


@pytest.mark.proves("C-06")
def test_only_shippable_orders_of_the_seller_are_read_in_full(amazon, reading, shown_order):
    listed = [
        shown_order(1),
        shown_order(2, status="PENDING"),
        shown_order(3, by="AMAZON"),
        shown_order(4, status="SHIPPED"),
    ]
    amazon.on("searchOrders", _page(*listed))
    amazon.on("getOrder", {"order": _address(listed[0])})
    page = reading()
    assert sorted(_ids(page)) == [one["orderId"] for one in listed]
    asked = amazon.of("getOrder")
    assert [one.url.path.rpartition("/")[2] for one in asked] == ["111-0000000-0000001"]
    included = asked[0].query["includedData"]
    assert included == "FULFILLMENT,CANCELLATION,PROCEEDS,RECIPIENT,BUYER"
    full = json.loads(
        next(raw for raw in page.orders if raw.channel_order_id.endswith("1")).payload
    )
    assert full["order"]["recipient"]


def test_details_once_stored_are_not_read_again(amazon, reading, shown_order):
    order = shown_order(1)
    amazon.on("searchOrders", _page(order))
    amazon.on("getOrder", {"order": order})
    page = reading()
    again = reading()  # as after a crash: the page was not stored, so it is read in full again
    assert amazon.counts["getOrder"] == 2
    reading(again.cursor)
    assert amazon.counts["getOrder"] == 2
    changed = shown_order(1, lastUpdatedTime="2026-03-01T11:30:00Z")
    amazon.on("searchOrders", _page(changed))
    amazon.on("getOrder", {"order": changed})
    reading(page.cursor)
    assert amazon.counts["getOrder"] == 3


def test_what_was_read_in_full_is_known_to_another_session(
    amazon, open_session, clock, shown_order
):
    amazon.on("searchOrders", _page(*(shown_order(n) for n in range(1, 4))))
    amazon.on("getOrder", _any_order(shown_order))
    cursor = open_session(clock=clock).read_orders(CHANGES, None, clock.now()).cursor
    for _ in range(3):
        cursor = open_session(clock=clock).read_orders(CHANGES, cursor, clock.now()).cursor
    assert amazon.counts["getOrder"] == 3
    amazon.on("searchOrders", _page())
    page = open_session(clock=clock).read_orders(CHANGES, cursor, clock.now())
    assert _place(page) == {"watermark": BOUND}, "what the window no longer shows is forgotten"


class Tight(OpenGate):
    """Grants so many calls of getOrder."""

    def __init__(self, left):
        super().__init__()
        self.left = left

    def spend(self, operation, *, cost=1, priority):
        if operation == "getOrder":
            if self.left <= 0:
                raise RateLimited("used up", retry_after_seconds=2.0)
            self.left -= 1


def _any_order(shown_order):
    return lambda asked: {"order": shown_order(int(asked.url.path[-7:]))}


@pytest.mark.proves("I-26")
def test_details_that_do_not_fit_the_budget_wait_in_the_cursor(
    amazon, open_session, clock, shown_order
):
    gate = Tight(2)
    session = open_session(clock=clock, gate=gate)
    amazon.on("searchOrders", _page(*(shown_order(n) for n in range(1, 6))))
    amazon.on("getOrder", _any_order(shown_order))
    page = session.read_orders(CHANGES, None, clock.now())
    assert page.is_last, "the stock decision does not wait for an address"
    assert len(page.orders) == 5
    waiting = _place(page)["waiting"]
    assert waiting == [f"111-0000000-{n:07d}" for n in (3, 4, 5)]
    gate.left = 10
    amazon.on("searchOrders", _page())
    after = session.read_orders(CHANGES, page.cursor, clock.now())
    assert sorted(_ids(after)) == waiting
    assert "waiting" not in _place(after)


def test_a_back_fill_ends_only_with_its_details(amazon, open_session, clock, shown_order):
    gate = Tight(1)
    session = open_session(clock=clock, gate=gate)
    amazon.on("searchOrders", _page(*(shown_order(n) for n in (1, 2))))
    amazon.on("getOrder", _any_order(shown_order))
    page = session.read_orders(OrderFeed.OPEN, None, clock.now())
    assert not page.is_last
    with pytest.raises(RateLimited):
        session.read_orders(OrderFeed.OPEN, page.cursor, clock.now())
    gate.left = 5
    last = session.read_orders(OrderFeed.OPEN, page.cursor, clock.now())
    assert last.is_last
    assert _ids(last) == ["111-0000000-0000002"]
    assert amazon.counts["searchOrders"] == 1


def test_one_order_whose_details_are_broken_keeps_no_other_waiting(amazon, reading, shown_order):
    amazon.on("searchOrders", _page(shown_order(1), shown_order(2)))
    amazon.on(
        "getOrder",
        lambda asked: _refusal(400) if asked.url.path.endswith("1") else {"order": shown_order(2)},
    )
    page = reading()
    assert sorted(_ids(page)) == ["111-0000000-0000001", "111-0000000-0000002"]
    assert "waiting" not in _place(page)


def _with_gift(order):
    order["orderItems"][0]["fulfillment"]["packing"] = {"giftOption": {"giftMessage": "Hello"}}
    return order


SEEN_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PORCH = {"deliveryPreference": {"dropOffLocation": "Porch"}}


@pytest.mark.parametrize(
    ("status", "is_granted", "note"),
    [
        ("UNSHIPPED", True, "Porch\nHello"),
        ("UNSHIPPED", False, "Hello"),
        ("SHIPPED", True, None),
        ("SHIPPED", False, None),
    ],
)
def test_all_of_a_note_that_is_shown_is_kept_and_half_of_it_replaces_nothing(
    status, is_granted, note, amazon, reading, shown_order
):
    def answer(asked):
        is_asked = "RECIPIENT" in asked.query["includedData"]
        if is_asked and not is_granted:
            return _refusal(403, "Unauthorized")
        order = _with_gift(shown_order(1, status=status))
        return {"order": {**order, "recipient": PORCH} if is_asked else order}

    amazon.on("getOrder", answer)
    (raw,) = reading.session.read_orders_by_id(["111-0000000-0000001"])
    assert reading.session.parse_order(raw.payload, SEEN_AT).facts.buyer_note == note


@pytest.mark.proves("F30")
def test_a_missing_role_costs_parts_of_an_order_and_not_the_order(amazon, reading, shown_order):
    def answer(asked):
        forbidden = {"BUYER", "RECIPIENT"} & set(asked.query["includedData"].split(","))
        return _refusal(403, "Unauthorized") if forbidden else {"order": shown_order(1)}

    amazon.on("getOrder", answer)
    (raw,) = reading.session.read_orders_by_id(["111-0000000-0000001"])
    assert json.loads(raw.payload)["included"] == [
        "FULFILLMENT",
        "CANCELLATION",
        "PROCEEDS",
        "NOTE",
    ]
    asked = amazon.counts["getOrder"]
    reading.session.read_orders_by_id(["111-0000000-0000001"])
    assert amazon.counts["getOrder"] == asked + 1, "what is withheld is remembered"
    amazon.on(
        "getMarketplaceParticipations",
        {
            "payload": [
                {
                    "marketplace": {"id": "ATVPDKIKX0DER", "name": "Amazon.com"},
                    "participation": {"isParticipating": True, "hasSuspendedListings": False},
                    "storeName": "Shop",
                }
            ]
        },
    )
    missing = reading.session.check().missing_permissions
    assert [one.partition(":")[0] for one in missing] == ["BUYER", "RECIPIENT"]
    # a role may be granted meanwhile: after each look at the account all is asked for again
    amazon.on("getOrder", {"order": _address(shown_order(1))})
    (raw,) = reading.session.read_orders_by_id(["111-0000000-0000001"])
    assert json.loads(raw.payload)["order"]["recipient"]


def test_a_403_for_the_decision_itself_is_a_missing_permission(amazon, reading):
    amazon.on("searchOrders", _refusal(403, "Unauthorized"))
    with pytest.raises(PermissionMissing):
        reading()


@pytest.mark.proves("I-09")
@pytest.mark.parametrize("odd", [None, "x", [], {"fulfillmentStatus": []}])
def test_one_order_of_another_shape_does_not_cost_the_page(odd, amazon, reading, shown_order):
    odd_one = shown_order(1) | {"fulfillment": odd}
    amazon.on("searchOrders", _page(odd_one, shown_order(2, status="PENDING")))
    assert len(reading().orders) == 2


@pytest.mark.proves("I-26")
@pytest.mark.parametrize(
    ("status", "by", "is_named"),
    [
        ("UNSHIPPED", "MERCHANT", True),
        ("PARTIALLY_SHIPPED", "MERCHANT", True),
        ("SHIPPED", "MERCHANT", False),
        ("UNSHIPPED", "AMAZON", False),
    ],
)
def test_an_order_by_id_costs_one_call_and_names_nobody_in_vain(
    status, by, is_named, amazon, reading, shown_order
):
    order = _address(shown_order(1, status=status, by=by)) | {"buyer": {"buyerName": "Ada"}}
    amazon.on("getOrder", {"order": order})
    (raw,) = reading.session.read_orders_by_id([order["orderId"]])
    assert amazon.counts["getOrder"] == 1
    assert (b"Ada" in raw.payload) is is_named


@pytest.mark.proves("I-26")
def test_what_was_read_by_id_is_not_read_again_for_the_list(amazon, reading, shown_order):
    order = shown_order(1)
    amazon.on("getOrder", {"order": order})
    amazon.on("searchOrders", _page(order))
    reading.session.read_orders_by_id([order["orderId"]])
    assert _ids(reading()) == [order["orderId"]]
    assert amazon.counts["getOrder"] == 1
    amazon.on("searchOrders", _page(shown_order(1, lastUpdatedTime="2026-03-01T11:30:00Z")))
    reading()
    assert amazon.counts["getOrder"] == 2, "it changed since"


@pytest.mark.proves("I-09")
def test_one_order_amazon_withholds_stops_nothing_and_takes_no_address_away(
    amazon, reading, shown_order
):
    def answer(asked):
        number = int(asked.url.path[-7:])
        return _refusal(403, "Unauthorized") if number == 1 else {"order": shown_order(number)}

    amazon.on("getOrder", answer)
    with pytest.raises(FixData) as raised:
        reading.session.read_orders_by_id(["111-0000000-0000001"])
    assert not isinstance(raised.value, FixAccount)
    (raw,) = reading.session.read_orders_by_id(["111-0000000-0000002"])
    assert "RECIPIENT" in json.loads(raw.payload)["included"]
    amazon.on("searchOrders", _page(shown_order(1), shown_order(2)))
    assert len(reading().orders) == 2
