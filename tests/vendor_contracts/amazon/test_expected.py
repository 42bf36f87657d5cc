"""What Amazon's examples mean, written by hand: words of theirs stand here as digests alone."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from contract_fixtures import digest

from connectors.amazon import reports
from connectors.amazon.orders_v0 import INCLUDED, newer
from connectors.amazon.parse import parse_order
from connectors.amazon.webhook import WEBHOOK
from oms_sync.domain.balance import balance
from oms_sync.domain.merge import first_sight
from oms_sync.sdk import (
    FixAccount,
    HintKind,
    Money,
    OrderFeed,
    OrderState,
    OutgoingRefund,
    PushOutcome,
    Rejected,
    StockBatch,
    StockPush,
)

SEEN_AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
ORDERS, OLDER = "orders-api-model/orders_2026-01-01", "orders-api-model/ordersV0"
LISTINGS = "listings-items-api-model/listingsItems_2021-08-01"
US, CANADA = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"


def _good(found):
    return [body for status, body in found if status < 300]


@pytest.fixture
def orders(pairs):
    """Every order of the newer pairs, by the digest of its id."""
    found = [each for page in _good(pairs(ORDERS, "searchOrders")) for each in page["orders"]]
    found += [body["order"] for body in _good(pairs(ORDERS, "getOrder"))]
    return {digest(each["orderId"]): each for each in found}


@pytest.fixture
def sight(orders, tables):
    def read(name):
        included = ["FULFILLMENT", "CANCELLATION", "RECIPIENT", "BUYER", "PROCEEDS"]
        payload = json.dumps({"included": included, "order": orders[name]}).encode()
        return parse_order(payload, SEEN_AT, tables=tables)

    return read


# --- the newer orders: where a parcel goes, what is in a hurry, what the buyer wrote --------------

#: order → number of address lines, digest of the last, region's length, programmes, ship by
PARCELS = {
    "ade8a04c3392": (2, "", 0, ("PRIME",), datetime(2024, 12, 25, 23, 59, 59, tzinfo=UTC)),
    # a county within a country that stands where states do
    "3b3450f7db24": (
        3,
        "fd7c2180ad72",
        7,
        ("PRIME",),
        datetime(2024, 12, 25, 23, 59, 59, tzinfo=UTC),
    ),
    "ed88f50f60c1": (3, "443f4756899d", 2, (), datetime(2024, 12, 24, 23, 59, 59, tzinfo=UTC)),
    "731c6b9d42d0": (
        3,
        "13e9c29ea886",
        2,
        ("PRIME",),
        datetime(2024, 12, 27, 23, 59, 59, tzinfo=UTC),
    ),
    "f5c787503dd2": (3, "670ff3843617", 8, (), datetime(2025, 3, 17, 23, 59, 59, tzinfo=UTC)),
    "fd5c10b29e8e": (2, "", 2, (), None),
}


@pytest.mark.parametrize("name", PARCELS)
def test_where_each_parcel_goes_and_by_when(name, sight):
    count, last, region, programmes, ship_by = PARCELS[name]
    facts = sight(name).facts
    address = facts.recipient.address
    assert len(address.lines) == count
    if len(last) == len(name):
        assert digest(address.lines[-1]) == last
    assert len(address.region or "") == region
    assert facts.channel_programmes == programmes
    assert facts.ship_by == ship_by
    assert facts.import_tax_number is None
    assert facts.channel_holds == ()


def test_the_one_gift_among_them_keeps_its_message(sight):
    notes = {name: sight(name).facts.buyer_note for name in PARCELS}
    told = notes.pop("731c6b9d42d0")
    assert (digest(told), len(told)) == ("e7376859465a", 67)
    assert set(notes.values()) == {None}


@pytest.mark.off_contract("the pair's order is answered to any id")
def test_the_package_of_a_pair_is_one_dispatch(amazon, open_session, orders):
    order = orders["3b3450f7db24"]
    amazon.on("getOrder", {"order": order})
    (found,) = open_session().read_shipments(order["orderId"])
    assert list(found.lines.values()) == [1]
    assert found.channel_shipment_id == order["packages"][0]["packageReferenceId"]
    assert [len(one) for one in found.tracking_numbers] == [20]
    assert found.is_cancelled is False


# --- the older orders ----------------------------------------------------------------------------


@pytest.fixture
def older(pairs, tables):
    """An order of the older API with the pair's lines, as a sight."""
    (lines,) = (body["payload"]["OrderItems"] for body in _good(pairs(OLDER, "getOrderItems")))

    def read(order, lines=lines):
        payload = json.dumps({"included": list(INCLUDED), "order": newer(order, lines)})
        return parse_order(payload.encode(), SEEN_AT, tables=tables)

    return read


def test_an_order_of_the_older_api_is_what_it_says(pairs, older):
    first, _ = (body["payload"] for body in _good(pairs(OLDER, "getOrder")))
    sight = older(first)
    facts = sight.facts
    assert (facts.state, facts.fulfilled_by) == (OrderState.OPEN, "seller")
    assert (facts.total, facts.tax) == (_usd("11.01"), _usd("1.01"))
    assert (facts.discount, facts.shipping) == (_usd("0.00"), _usd("0.00"))
    assert facts.are_taxes_included is False
    assert facts.channel_holds == ("cancellation_requested",)
    assert facts.placed_at == datetime(1970, 1, 19, 3, 58, 30, tzinfo=UTC)
    assert facts.ship_by == datetime(1970, 1, 19, 4, 5, 13, tzinfo=UTC)
    assert (facts.recipient, facts.buyer, facts.import_tax_number) == (None, None, None)
    (line,) = sight.lines
    assert line.unit_price == _usd("10.00")
    assert (line.quantity_ordered, line.quantity_shipped, line.quantity_cancelled) == (1, 0, 0)
    assert balance(first_sight("seller-a", sight)).name == ""


def test_what_amazon_shipped_of_another_country_is_closed(pairs, older):
    _, second = (body["payload"] for body in _good(pairs(OLDER, "getOrder")))
    facts = older(second, []).facts
    assert (facts.state, facts.fulfilled_by) == (OrderState.CLOSED, "channel")
    assert facts.total == Money(Decimal("100.00"), "EUR")
    assert facts.placed_at == datetime(2019, 5, 7, 15, 42, 57, 58000, tzinfo=UTC)


def test_an_unpaid_order_of_the_older_api_has_no_price(pairs, older):
    pages = [body["payload"]["Orders"] for body in _good(pairs(OLDER, "getOrders"))]
    assert [len(page) for page in pages] == [2, 1, 1]
    facts = older(pages[1][0], []).facts
    assert (facts.state, facts.total) == (OrderState.PENDING, None)
    assert pages[1][0]["AmazonOrderId"] == pages[2][0]["AmazonOrderId"], "told twice, and one order"


@pytest.mark.off_contract("the pairs are answered to any window")
def test_the_pages_of_the_older_api_are_read_order_by_order(pairs, amazon, open_session, tables):
    pages, items = _good(pairs(OLDER, "getOrders")), _good(pairs(OLDER, "getOrderItems"))
    amazon.on("getOrders", *pages)
    amazon.on("getOrderItems", *items)
    session = open_session(orders_api="v0")
    amazon.on("getOrderV0", *(_good(pairs(OLDER, "getOrder"))[:1]))
    page = session.read_orders(OrderFeed.HISTORY, None, SEEN_AT)
    assert len(page.orders) == 2
    assert amazon.counts["searchOrders"] == amazon.counts["getOrder"] == 0


# --- listings, quantities, the account -----------------------------------------------------------


@pytest.mark.off_contract("the pair knows one SKU, whichever is asked for")
def test_the_listing_of_the_pairs_shows_its_quantity_and_its_errors(pairs, amazon, open_session):
    (page,) = _good(pairs(LISTINGS, "searchListingsItems"))
    amazon.on("searchListingsItems", page)
    sku = page["items"][0]["sku"]
    reading = open_session(marketplace_ids=(US, CANADA)).read_stock([sku, "NO-SUCH"])
    assert dict(reading.quantities) == {sku: 100}
    (told,) = reading.problems.values()
    assert told.startswith("90220: ")
    assert "; 18027: " in told


@pytest.mark.off_contract("the pairs are about SKUs of their own")
@pytest.mark.parametrize(
    ("number", "outcome", "reason"),
    [
        (0, PushOutcome.ACCEPTED, ""),
        (1, PushOutcome.REJECTED, "VALID "),
        (2, PushOutcome.REJECTED, "INVALID 90000900: "),
    ],
)
def test_what_each_answer_to_a_patch_means(number, outcome, reason, pairs, amazon, open_session):
    answers = _good(pairs(LISTINGS, "patchListingsItem"))
    assert len(answers) == 3
    shown = {"fulfillmentChannelCode": "DEFAULT", "quantity": 1}
    listing = {"sku": "A", "summaries": [], "fulfillmentAvailability": [shown]}
    amazon.on("getFeeds", {"feeds": []})
    amazon.on("searchListingsItems", {"numberOfResults": 1, "items": [listing]})
    amazon.on("patchListingsItem", answers[number])
    entry = StockPush(channel_listing_id="A", channel_sku="A", quantity=2, expected=None)
    (result,) = open_session().push_stock(StockBatch(key="b", entries=(entry,)))
    assert result.outcome is outcome
    assert result.reason.startswith(reason)
    assert bool(result.reason) is bool(reason)


def test_the_seller_of_the_pair_sells_in_one_place(pairs, amazon, open_session):
    (answer,) = _good(pairs("sellers-api-model/sellers", "getMarketplaceParticipations"))
    amazon.on("getMarketplaceParticipations", answer)
    told = open_session(marketplace_ids=(US, CANADA)).check()
    assert told.channel_account == answer["payload"][0]["storeName"]
    assert told.detail["marketplaces"] == US
    (warning,) = told.warnings
    assert warning.startswith(f"the seller does not sell in {CANADA}")
    with pytest.raises(FixAccount, match=f"but in {US}"):
        open_session(marketplace_ids=(CANADA,)).check()


# --- notifications -------------------------------------------------------------------------------


@pytest.fixture
def example_of(specs):
    def read(name):
        path = specs / "amazon" / "schemas" / "notifications" / f"{name}.json"
        (one,) = json.loads(path.read_text(encoding="utf-8"))["examples"]
        return one

    return read


def test_the_order_change_of_the_schema_reserves_ten_units(example_of, tables):
    hint = WEBHOOK.read_hint({}, json.dumps(example_of("OrderChangeNotification")).encode())
    assert hint.kind is HintKind.ORDER
    sight = parse_order(hint.order.payload, SEEN_AT, tables=tables)
    assert sight.version.at == datetime(2022, 11, 29, 19, 42, 4, tzinfo=UTC)
    facts = sight.facts
    assert facts.placed_at == datetime(2022, 7, 13, 19, 42, 4, 284000, tzinfo=UTC)
    assert facts.ship_by == datetime(2022, 12, 7, 19, 42, 4, 284000, tzinfo=UTC)
    assert (facts.state, facts.fulfilled_by) == (OrderState.OPEN, "seller")
    assert (facts.total, facts.recipient, facts.is_complete) == (None, None, None)
    (line,) = sight.lines
    assert (line.quantity_ordered, line.quantity_shipped, line.is_stocked) == (10, 0, True)


def test_the_change_of_a_quantity_names_it(example_of):
    one = example_of("ListingsItemMfnQuantityChange")
    hint = WEBHOOK.read_hint({}, json.dumps(one).encode())
    assert (hint.kind, hint.object_id, hint.quantity) == (
        HintKind.LISTING,
        one["Payload"]["Sku"],
        99,
    )


# --- feeds, reports, the books -------------------------------------------------------------------


@pytest.mark.off_contract("the books of the pair are of an order of its own")
def test_charges_back_and_rentals_are_no_refunds(pairs, amazon, open_session):
    (first,) = _good(pairs("finances-api-model/financesV0", "listFinancialEventsByOrderId"))
    last = {"payload": {"FinancialEvents": {}}}
    amazon.on("listFinancialEventsByOrderId", first, last)
    assert open_session().read_refunds("111-0000000-0000001") == ()
    assert amazon.counts["listFinancialEventsByOrderId"] == 2, "it names a next page"


@pytest.mark.off_contract("the pair's feed is answered to any id")
def test_a_feed_called_off_did_nothing(pairs, amazon, open_session, shown_order, documents):
    (feed,) = _good(pairs("feeds-api-model/feeds_2021-06-30", "getFeed"))
    amazon.on("getOrder", {"order": shown_order(1)})
    amazon.on("createFeedDocument", {"feedDocumentId": "d1", "url": f"{documents}/up"})
    amazon.on("upload", 200)
    amazon.on("createFeed", {"feedId": feed["feedId"]})
    amazon.on("getFeed", feed)
    session = open_session()
    refund = OutgoingRefund(
        key="k",
        channel_order_id="111-0000000-0000001",
        amount=_usd("1.00"),
        reason="returned",
    )
    receipt = session.refund_order(refund)
    with pytest.raises(Rejected, match="was cancelled before it began"):
        session.follow_write(receipt)


@pytest.mark.off_contract("the pair's report is answered to any id")
def test_a_report_in_progress_is_not_there_yet(pairs, amazon, open_client):
    (report,) = _good(pairs("reports-api-model/reports_2021-06-30", "getReport"))
    amazon.on("getReport", httpx.Response(200, json=report))
    assert reports.ready(open_client(), report["reportId"], "orders") is None


def test_the_body_we_ask_a_report_of_orders_with_fits_the_model(
    amazon, open_session, clock, shown_order
):
    """The layer compares it; here it stands by hand."""
    amazon.on("searchOrders", {"orders": [], "lastUpdatedBefore": "2026-03-01T11:58:00Z"})
    session = open_session(clock=clock)
    session.read_orders(OrderFeed.SWEEP, None, datetime(2026, 2, 27, 12, tzinfo=UTC))
    (asked,) = amazon.of("createReport")
    assert asked.json == {
        "reportType": "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_LAST_UPDATE_GENERAL",
        "marketplaceIds": [US],
        "dataStartTime": "2026-02-27T12:00:00Z",
        "dataEndTime": "2026-03-01T11:58:00Z",
    }


def _usd(amount):
    return Money(Decimal(amount), "USD")
