"""Amazon's own sandbox pairs, replayed through our client; red unless each does as it says."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from contract_fixtures import digest
from contract_shapes import Shapes

from connectors.amazon import render
from connectors.amazon.feeds import _apart
from connectors.amazon.parse import parse_order
from connectors.amazon.webhook import WEBHOOK
from oms_sync.domain.balance import balance
from oms_sync.domain.merge import first_sight
from oms_sync.sdk import (
    BadPayload,
    ChannelError,
    HintKind,
    OrderFeed,
    OrderState,
    Priority,
    PushOutcome,
    StockPush,
)

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


def _pairs(folder, model, operation_id):
    """(status, request parameters, response) of every static pair of an operation."""
    text = (folder / "models" / f"{model}.json").read_text(encoding="utf-8")
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
def folder(specs):
    return specs / "amazon"


@pytest.fixture
def replay(amazon, open_client):
    def act(operation, status, parameters, response):
        content = b"" if response in (None, {}) else json.dumps(response).encode()
        kind = {"content-type": "application/json"}
        amazon.on(operation, httpx.Response(status, content=content, headers=kind))
        arguments, words = _arguments(operation, parameters)
        return open_client().run(operation, *arguments, priority=READ, **words)

    return act


@pytest.mark.off_contract("the pairs ask for what no model allows, and the SDK adds its own")
@pytest.mark.parametrize(("model", "operation"), USED)
def test_every_pair_does_what_its_status_says(
    model, operation, replay, folder, example, fingerprint
):
    counted = 0
    for status, parameters, response in _pairs(folder, model, operation):
        counted += 1
        example("amazon pair", f"{operation} {counted}")
        if status < 300:
            answer = replay(operation, status, parameters, response)
            assert answer.fields == (response or {})
            fingerprint(f"amazon {operation} {counted}", sorted(answer.fields))
        else:
            with pytest.raises(ChannelError):
                replay(operation, status, parameters, response)
    assert counted >= 1


def _orders(folder):
    model = "orders-api-model/orders_2026-01-01"
    for status, parameters, response in _pairs(folder, model, "searchOrders"):
        if status == 200:
            included = parameters["includedData"]["value"]
            yield from ((order, included) for order in response["orders"])
    for status, parameters, response in _pairs(folder, model, "getOrder"):
        if status == 200:
            yield response["order"], parameters["includedData"]["value"]


def _seller(state, total, currency, *lines, **more):
    """What an order of the pairs is, where it says nothing special."""
    usual = {"by": "seller", "shipping": 0, "tax": 0, "discount": 0}
    return usual | {"state": state, "total": total, "currency": currency, "lines": lines, **more}


#: by the digest of its id, written by hand: sums as decimals, lines as (price, ordered, shipped)
ORDERS = {
    "ade8a04c3392": _seller(
        OrderState.CLOSED,
        "19940",
        "JPY",
        ("5980", 1, 1),
        ("6980", 2, 2),
        by="channel",
        country="JP",
        placed_at=datetime(2024, 12, 25, 2, 30, tzinfo=UTC),
    ),
    "3b3450f7db24": _seller(
        OrderState.CLOSED,
        "34.99",
        "GBP",
        ("34.99", 1, 1),
        country="GB",
        placed_at=datetime(2024, 12, 24, 14, 20, tzinfo=UTC),
    ),
    "ed88f50f60c1": _seller(
        OrderState.OPEN,
        "1599.90",
        "BRL",
        ("1599.90", 1, 0),
        country="BR",
        placed_at=datetime(2024, 12, 22, 15, 30, tzinfo=UTC),
    ),
    "731c6b9d42d0": _seller(
        OrderState.OPEN,
        "299.90",
        "BRL",
        ("299.90", 1, 0),
        country="BR",
        placed_at=datetime(2024, 12, 24, 20, 30, tzinfo=UTC),
    ),
    "f5c787503dd2": _seller(
        OrderState.CLOSED,
        "125.00",
        "TRY",
        ("62.50", 2, 2),
        country="TR",
        placed_at=datetime(2025, 3, 15, 10, 30, tzinfo=UTC),
    ),
    # the price is without the tax, the total with it
    "fd5c10b29e8e": _seller(
        OrderState.OPEN,
        "49.99",
        "USD",
        ("39.99", 1, 0),
        tax=10,
        country="US",
        placed_at=datetime(2025, 3, 10, 14, 0, tzinfo=UTC),
    ),
}


def test_every_order_shown_becomes_the_sight_it_is_and_adds_up(tables, folder):
    told = {}
    for order, included in _orders(folder):
        payload = json.dumps({"included": included, "order": order}).encode()
        sight = parse_order(payload, SEEN_AT, tables=tables)
        facts = sight.facts
        assert facts.is_complete is True
        assert facts.unmapped_codes == ()
        assert balance(first_sight("seller-a", sight)).name == ""
        told[digest(sight.channel_order_id)] = {
            "state": facts.state,
            "by": facts.fulfilled_by,
            "total": facts.total.text(),
            "currency": facts.currency,
            "shipping": facts.shipping.amount,
            "tax": facts.tax.amount,
            "discount": facts.discount.amount,
            "country": facts.recipient.address.country,
            "placed_at": facts.placed_at,
            "lines": tuple(
                (line.unit_price.text(), line.quantity_ordered, line.quantity_shipped)
                for line in sight.lines
            ),
        }
    assert told == ORDERS


def test_the_pages_of_the_pairs_are_walked_to_their_end(amazon, open_session, folder):
    model = "orders-api-model/orders_2026-01-01"
    pages = [page for status, _, page in _pairs(folder, model, "searchOrders") if status == 200]
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
    session = open_session()
    first = session.read_orders(OrderFeed.CHANGES, None, SEEN_AT)
    assert not first.is_last
    assert session.read_orders(OrderFeed.CHANGES, first.cursor, SEEN_AT).is_last
    sent = amazon.of("searchOrders")[1].query["paginationToken"]
    assert sent == pages[0]["pagination"]["nextToken"]


def test_the_quantities_of_the_pairs_are_read(amazon, open_session, folder):
    model = "listings-items-api-model/listingsItems_2021-08-01"
    found = [
        page for status, _, page in _pairs(folder, model, "searchListingsItems") if status == 200
    ]
    amazon.on("searchListingsItems", *found)
    sku = found[0]["items"][0]["sku"]
    assert dict(open_session().read_stock([sku]).quantities) == {sku: 100}


def _examples(folder, name):
    path = folder / "schemas" / "notifications" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")).get("examples", [])


def test_every_order_change_example_is_understood(tables, folder, example):
    examples = _examples(folder, "OrderChangeNotification")
    assert examples
    for number, one in enumerate(examples):
        example("amazon notification", f"OrderChangeNotification {number}")
        body = json.dumps(one).encode()
        hint = WEBHOOK.read_hint({}, body)
        assert hint.order is not None
        sight = parse_order(hint.order.payload, SEEN_AT, tables=tables)
        change = one["Payload"]["OrderChangeNotification"]
        summary = change["Summary"]
        assert sight.channel_order_id == hint.object_id == change["AmazonOrderId"]
        assert sight.facts.state is OrderState.OPEN
        assert sight.facts.channel_holds == ("cancellation_requested",)
        assert [line.quantity_ordered for line in sight.lines] == [
            one["Quantity"] for one in summary["OrderItems"]
        ]


def test_every_other_notification_example_is_a_hint_or_nothing(folder, example):
    kinds = {}
    for path in sorted((folder / "schemas" / "notifications").glob("*.json")):
        for number, one in enumerate(_examples(folder, path.stem)):
            example("amazon notification", f"{path.stem} {number}")
            kinds[path.stem] = WEBHOOK.read_hint({}, json.dumps(one).encode()).kind
    assert kinds.pop("OrderChangeNotification") is HintKind.ORDER
    assert kinds.pop("ListingsItemMfnQuantityChange") is HintKind.LISTING
    assert set(kinds.values()) == {HintKind.NOTHING}
    assert len(kinds) >= 3


def test_the_example_of_a_processing_report_is_taken_apart(folder, example):
    name = "listings-feed-processing-report-schema-v2.example.json"
    example("amazon feed report", name)
    report = json.loads((folder / "schemas" / "feeds" / name).read_text(encoding="utf-8"))
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


def test_the_feed_we_write_fits_the_vendors_schemas(folder, contract_layer):
    entries = [
        StockPush(channel_listing_id=sku, channel_sku=sku, quantity=3, expected=None)
        for sku in ("A", "B & C", "ü 'quoted'")
    ]
    document = json.loads(render.feed("A1EXAMPLESELLER", entries))
    feed = contract_layer.contracts["amazon"].feed
    assert list(feed.problems(document, feed.document)) == []
    path = folder / "schemas" / "feeds" / "listings-feed-message-schema-v2.json"
    message = Shapes(document=json.loads(path.read_text(encoding="utf-8")))
    for each in document["messages"]:
        assert list(message.problems(each, message.document)) == []


@pytest.mark.parametrize("name", ["listings-feed", "listings-feed-processing-report"])
def test_the_check_takes_the_vendors_own_example(name, folder):
    where = folder / "schemas" / "feeds"
    schema = Shapes(document=json.loads((where / f"{name}-schema-v2.json").read_text("utf-8")))
    shown = json.loads((where / f"{name}-schema-v2.example.json").read_text("utf-8"))
    assert list(schema.problems(shown, schema.document)) == []


@pytest.mark.off_contract("the pair names no order")
@pytest.mark.usefixtures("specs")
def test_a_broken_pair_is_never_silent(replay):
    """The two pairs that pass the SDK as empty successes are of its kind: an error, no list."""
    for body in ({}, {"errors": []}, None):
        with pytest.raises(ChannelError):
            replay("getOrder", 400, {"orderId": {"value": "x"}}, body)
    with pytest.raises((ChannelError, BadPayload)):
        replay("getOrder", 200, {"orderId": {"value": "x"}}, {})
