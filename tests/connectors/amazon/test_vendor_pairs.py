"""Amazon's own sandbox pairs, replayed through our client; red unless each does as it says."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from connectors.amazon.parse import parse_order
from connectors.amazon.webhook import WEBHOOK
from oms_sync.sdk import BadPayload, ChannelError, HintKind, OrderState, Priority

SEEN_AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
READ = Priority.READ
#: model, operation id there, our name for it where that is another
USED = [
    ("orders-api-model/orders_2026-01-01", "searchOrders"),
    ("orders-api-model/orders_2026-01-01", "getOrder"),
    ("orders-api-model/ordersV0", "confirmShipment"),
    ("listings-items-api-model/listingsItems_2021-08-01", "searchListingsItems"),
    ("listings-items-api-model/listingsItems_2021-08-01", "getListingsItem"),
    ("listings-items-api-model/listingsItems_2021-08-01", "patchListingsItem"),
    ("feeds-api-model/feeds_2021-06-30", "createFeedDocument"),
    ("feeds-api-model/feeds_2021-06-30", "createFeed"),
    ("feeds-api-model/feeds_2021-06-30", "getFeed"),
    ("feeds-api-model/feeds_2021-06-30", "getFeeds"),
    ("feeds-api-model/feeds_2021-06-30", "getFeedDocument"),
    ("reports-api-model/reports_2021-06-30", "createReport"),
    ("reports-api-model/reports_2021-06-30", "getReport"),
    ("reports-api-model/reports_2021-06-30", "getReportDocument"),
    ("sellers-api-model/sellers", "getMarketplaceParticipations"),
]
#: operation → the SDK's arguments by position
POSITIONS = {
    "getOrder": ["orderId"],
    "confirmShipment": ["orderId"],
    "searchListingsItems": ["sellerId"],
    "getListingsItem": ["sellerId", "sku"],
    "patchListingsItem": ["sellerId", "sku"],
    "getFeed": ["feedId"],
    "getReport": ["reportId"],
    "getReportDocument": ["reportDocumentId"],
}
BODIES = {"createFeed": ["feedType", "inputFeedDocumentId"], "createFeedDocument": []}


def _folder():
    named = os.environ.get("OMS_SYNC_VENDOR_SPECS")
    path = Path(named or "/nonexistent") / "amazon"
    if not path.exists():
        pytest.skip("OMS_SYNC_VENDOR_SPECS names no folder")
    return path


def _pairs(model, operation_id):
    """(status, request parameters, response) of every static pair of an operation."""
    text = (_folder() / "models" / f"{model}.json").read_text(encoding="utf-8")
    for methods in json.loads(text)["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict) and operation.get("operationId") == operation_id:
                for status, response in operation["responses"].items():
                    sandbox = response.get("x-amzn-api-sandbox") or {}
                    for pair in sandbox.get("static", ()):
                        yield int(status), pair["request"]["parameters"], pair.get("response")


def _arguments(operation, parameters):
    """The pair's request as the SDK's method is called with it."""
    values = {name: told.get("value") for name, told in parameters.items()}
    body = values.pop("body", None) or {}
    arguments = [values.pop(name, None) or "PLACEHOLDER" for name in POSITIONS.get(operation, ())]
    if operation == "createFeedDocument":
        return [None, body.pop("contentType", "text/plain")], {**values, **body}
    if operation == "createFeed":
        arguments = [body.pop(name, "PLACEHOLDER") for name in BODIES[operation]]
    if operation == "getFeedDocument":
        path = f"/feeds/2021-06-30/documents/{values['feedDocumentId']}"
        return [path], {"add_marketplace": False}
    if operation == "patchListingsItem":
        values["body"] = body or {"productType": "PRODUCT", "patches": []}
    else:
        values.update(body)
    return arguments, values


@pytest.fixture
def replay(amazon, open_client):
    def act(operation, status, parameters, response):
        content = b"" if response in (None, {}) else json.dumps(response).encode()
        kind = {"content-type": "application/json"}
        amazon.on(operation, httpx.Response(status, content=content, headers=kind))
        arguments, words = _arguments(operation, parameters)
        return open_client().run(operation, *arguments, priority=READ, **words)

    return act


@pytest.mark.parametrize(("model", "operation"), USED)
def test_every_pair_does_what_its_status_says(model, operation, replay):
    counted = 0
    for status, parameters, response in _pairs(model, operation):
        counted += 1
        if status < 300:
            answer = replay(operation, status, parameters, response)
            assert answer.fields == (response or {})
        else:
            with pytest.raises(ChannelError):
                replay(operation, status, parameters, response)
    assert counted >= 1


def _orders():
    model = "orders-api-model/orders_2026-01-01"
    for status, parameters, response in _pairs(model, "searchOrders"):
        if status == 200:
            included = parameters["includedData"]["value"]
            yield from ((order, included) for order in response["orders"])
    for status, parameters, response in _pairs(model, "getOrder"):
        if status == 200:
            yield response["order"], parameters["includedData"]["value"]


def test_every_order_shown_becomes_the_sight_it_is(tables):
    told = {}
    for order, included in _orders():
        payload = json.dumps({"included": included, "order": order}).encode()
        sight = parse_order(payload, SEEN_AT, tables=tables)
        facts, line = sight.facts, sight.lines[0]
        assert facts.is_complete is True
        assert facts.unmapped_codes == ()
        assert facts.total is not None
        assert facts.recipient is not None
        told[sight.channel_order_id] = (
            facts.state,
            facts.fulfilled_by,
            facts.total.text(),
            facts.currency,
            line.quantity_ordered,
            line.quantity_shipped,
        )
    assert told == {
        "250-1234567-8901234": (OrderState.CLOSED, "channel", "19940", "JPY", 1, 1),
        "202-7654321-1098765": (OrderState.CLOSED, "seller", "34.99", "GBP", 1, 1),
        "171-2345678-9012345": (OrderState.OPEN, "seller", "1599.90", "BRL", 1, 0),
        "171-9876543-2109876": (OrderState.OPEN, "seller", "299.90", "BRL", 1, 0),
        "028-1234567-8901234": (OrderState.CLOSED, "seller", "125.00", "TRY", 2, 2),
        "114-9876543-1234567": (OrderState.OPEN, "seller", "49.99", "USD", 1, 0),
    }


def test_the_pages_of_the_pairs_are_walked_to_their_end(amazon, open_session):
    model = "orders-api-model/orders_2026-01-01"
    pages = [page for status, _, page in _pairs(model, "searchOrders") if status == 200]
    amazon.on("searchOrders", *pages)
    amazon.on(
        "getOrder",
        lambda asked: {
            "order": next(
                order
                for page in pages
                for order in page["orders"]
                if order["orderId"] == asked.url.path.rpartition("/")[2]
            )
        },
    )
    from oms_sync.sdk import OrderFeed

    session = open_session()
    first = session.read_orders(OrderFeed.CHANGES, None, SEEN_AT)
    assert not first.is_last
    assert session.read_orders(OrderFeed.CHANGES, first.cursor, SEEN_AT).is_last
    sent = amazon.of("searchOrders")[1].query["paginationToken"]
    assert sent == pages[0]["pagination"]["nextToken"]


def test_the_quantities_of_the_pairs_are_read(amazon, open_session):
    model = "listings-items-api-model/listingsItems_2021-08-01"
    found = [page for status, _, page in _pairs(model, "searchListingsItems") if status == 200]
    amazon.on("searchListingsItems", *found)
    assert dict(open_session().read_stock(["GM-ZDPI-9B4E"]).quantities) == {"GM-ZDPI-9B4E": 100}


def _examples(name):
    path = _folder() / "schemas" / "notifications" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")).get("examples", [])


def test_every_order_change_example_is_understood(tables):
    examples = _examples("OrderChangeNotification")
    assert examples
    for example in examples:
        body = json.dumps(example).encode()
        hint = WEBHOOK.read_hint({}, body)
        assert hint.order is not None
        sight = parse_order(hint.order.payload, SEEN_AT, tables=tables)
        summary = example["Payload"]["OrderChangeNotification"]["Summary"]
        assert sight.channel_order_id == hint.object_id == "903-8868176-2219830"
        assert sight.facts.state is OrderState.OPEN
        assert sight.facts.channel_holds == ("cancellation_requested",)
        assert [line.quantity_ordered for line in sight.lines] == [
            one["Quantity"] for one in summary["OrderItems"]
        ]


def test_every_other_notification_example_is_a_hint_or_nothing():
    kinds = {}
    for path in sorted((_folder() / "schemas" / "notifications").glob("*.json")):
        for example in _examples(path.stem):
            kinds[path.stem] = WEBHOOK.read_hint({}, json.dumps(example).encode()).kind
    assert kinds.pop("OrderChangeNotification") is HintKind.ORDER
    assert kinds.pop("ListingsItemMfnQuantityChange") is HintKind.LISTING
    assert set(kinds.values()) == {HintKind.NOTHING}
    assert len(kinds) >= 3


def test_the_example_of_a_processing_report_is_taken_apart(documents):
    from connectors.amazon.feeds import _apart
    from oms_sync.sdk import PushOutcome, StockPush

    name = "listings-feed-processing-report-schema-v2.example.json"
    report = json.loads((_folder() / "schemas" / "feeds" / name).read_text(encoding="utf-8"))
    count = report["summary"]["messagesProcessed"]
    entries = [
        StockPush(channel_listing_id=f"SKU-{n}", channel_sku=f"SKU-{n}", quantity=1, expected=None)
        for n in range(1, count + 1)
    ]
    outcomes = [one.outcome for one in _apart(report, entries, SEEN_AT)]
    refused = {
        issue["messageId"]
        for issue in report["issues"]
        if issue["severity"] == "ERROR" and "messageId" in issue
    }
    for number, outcome in enumerate(outcomes, start=1):
        assert (outcome is PushOutcome.REJECTED) == (number in refused)
    assert len(outcomes) == count


def test_the_feed_we_write_fits_the_vendors_message_schema():
    from connectors.amazon import render
    from oms_sync.sdk import StockPush

    name = "listings-feed-message-schema-v2.json"
    schema = json.loads((_folder() / "schemas" / "feeds" / name).read_text(encoding="utf-8"))
    entry = StockPush(channel_listing_id="A", channel_sku="A", quantity=3, expected=None)
    (message,) = json.loads(render.feed("A1EXAMPLESELLER", [entry]))["messages"]
    patch_shape = next(
        shape
        for shape in schema["oneOf"]
        if shape["properties"]["operationType"].get("const") == "PATCH"
    )
    assert set(schema["required"]) | set(patch_shape["required"]) <= set(message)
    assert set(message) <= set(schema["properties"])
    (patch,) = message["patches"]
    members = schema["properties"]["patches"]["items"]["properties"]
    assert patch["op"] in members["op"]["enum"]
    assert patch["path"] == members["path"]["example"]


def test_a_broken_pair_is_never_silent(replay):
    """The two pairs that pass the SDK as empty successes are of its kind: an error, no list."""
    for body in ({}, {"errors": []}, None):
        with pytest.raises(ChannelError):
            replay("getOrder", 400, {"orderId": {"value": "x"}}, body)
    with pytest.raises((ChannelError, BadPayload)):
        replay("getOrder", 200, {"orderId": {"value": "x"}}, {})
