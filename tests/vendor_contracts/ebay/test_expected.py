"""What eBay's samples are, read by a person, against what the whole connector makes of them."""

import json
from datetime import UTC, datetime

import pytest
from contract_fixtures import digest

from connectors.ebay.listings import offered, shown
from connectors.ebay.markup import read_markup, wrap
from connectors.ebay.parse import ENVELOPE, parse_order
from connectors.ebay.webhook import WEBHOOK
from oms_sync.sdk import (
    AuthFailed,
    BadPayload,
    ChannelDown,
    HintKind,
    OrderFeed,
    PushOutcome,
    StockBatch,
    StockPush,
)

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
ORDERS = "EbayServiceGetOrdersResponseWith"
BELL = f"{ORDERS}BelInShippingAddressName"


@pytest.fixture
def folder(specs):
    return specs / "ebay/samples"


@pytest.fixture
def body(folder, example):
    def read(name):
        example("ebay sample", name)
        return (folder / f"{name}.xml").read_bytes()

    return read


@pytest.fixture
def served(body, scripted, make_session):
    """A session that is answered with a sample, whatever it asks."""

    def serve(name):
        scripted.answers = [(200, {}, body(name))]
        return make_session()

    return serve


# --- orders --------------------------------------------------------------------------------------

#: sample and number of the order → what a person reads in it
EXPECTED_ORDERS = {
    ("ItemVariationSku", 0): {
        "buyer": "7514c9246588",
        "note": 0,
        "service": "standard",
        "taxes": ("0.00", None, None),
        "discount": None,
        "ship_by": None,
        "cancelled_at": None,
        "sent_to": ("98102", "US", 1),
        "version": datetime(2014, 5, 2, 14, 1, 46, tzinfo=UTC),
    },
    # sent long ago; eBay collected the tax; the buyer wrote two lines
    ("TrackingNumber", 0): {
        "buyer": "40cfceb8acdc",
        "note": 2,
        "service": "standard",
        "taxes": ("2.15", "2.15", None),
        "discount": None,
        "ship_by": datetime(2021, 9, 3, 4, 59, 59, tzinfo=UTC),
        "cancelled_at": None,
        "sent_to": ("01844-1938", None, 1),
        "version": datetime(2021, 10, 4, 18, 19, 57, tzinfo=UTC),
    },
    # given back; the address is masked but for the postal code
    **{
        ("outMonetaryDetailsRefundOptionalFields", number): {
            "buyer": "0a5b7315131c",
            "note": 0,
            "service": "usps_priority",
            "taxes": ("0.00", None, None),
            "discount": None,
            "ship_by": datetime(2021, 11, 9, 5, 59, 59, 803000, tzinfo=UTC),
            "cancelled_at": datetime(2021, 9, 13, 15, 49, 55, 803000, tzinfo=UTC),
            "sent_to": ("97217-8190", None, 0),
            "version": datetime(2021, 9, 13, 15, 49, 55, 803000, tzinfo=UTC),
        }
        for number in (0, 1)
    },
}


@pytest.mark.parametrize(("name", "number"), EXPECTED_ORDERS)
def test_an_order_is_what_a_person_reads_in_it(name, number, body, tables):
    order = read_markup(body(f"{ORDERS}{name}")).all("OrderArray/Order")[number]
    sight = parse_order(wrap(ENVELOPE, {}, order), AT, tables=tables)
    facts, where = sight.facts, sight.facts.recipient.address
    assert {
        "buyer": digest(facts.buyer.channel_buyer_id),
        "note": len((facts.buyer_note or "").splitlines()),
        "service": facts.shipping_service,
        "taxes": (
            facts.tax.text(),
            facts.tax_remitted and facts.tax_remitted.text(),
            facts.import_tax_number,
        ),
        "discount": facts.discount,
        "ship_by": facts.ship_by,
        "cancelled_at": facts.cancelled_at,
        "sent_to": (where.postal_code, where.country, len(where.lines)),
        "version": sight.version.at,
    } == EXPECTED_ORDERS[name, number]
    assert (facts.channel_holds, facts.is_test, facts.fulfilled_by) == ((), None, "seller")


def test_a_list_without_orders_is_the_last_page(served):
    page = served(f"{ORDERS}OutItems").read_orders(OrderFeed.CHANGES, None, AT)
    assert (page.orders, page.is_last) == ((), True)


def test_a_fragment_without_its_outcome_is_no_answer_and_ends_no_pass(served):
    with pytest.raises(ChannelDown, match="GetOrdersResponse"):
        served(BELL).read_orders(OrderFeed.CHANGES, None, AT)


# --- listings ------------------------------------------------------------------------------------

NO_SKU = "it has no SKU"
#: listing → (units left, active now, has a SKU, warning)
EXPECTED_LISTINGS = {
    "97a4ed8b6d22": (299, True, True, ""),
    "c069505fc62c": (299, True, True, ""),
    "fcd72a636f28": (299, True, True, ""),
    "67cfaab1d482": (299, True, True, ""),
    "7ac157133279": (299, True, True, ""),
    "563b42a61cf1": (203, False, True, ""),
    "fa5101197208": (204, False, False, NO_SKU),
    "440401e9859d": (896, False, False, NO_SKU),
    "d5093b67a34a": (900, False, False, NO_SKU),
}


def test_every_listing_is_what_a_person_reads_in_it(body):
    answer = read_markup(body("EbayServiceGetSellerListCustomResponse"))
    found = {}
    for one in (each for listing in answer.all("ItemArray/Item") for each in shown(listing)):
        told = offered(one, is_zero_allowed=True)
        assert told.is_stocked
        assert told.title
        left = (told.quantity, one.is_active, bool(told.channel_sku), told.warning)
        found[digest(told.channel_listing_id)] = left
    assert found == EXPECTED_LISTINGS


ITEM = "110142400319"


def test_a_look_at_variations_shows_what_is_left_of_each_and_when(served, folder):
    text = (folder / "EbayServiceGetItemResponseWithItemVariations.xml").read_text("utf-8")
    skus = [part.partition("<")[0] for part in text.split("<SKU>")[1:]][-3:]
    wanted = [f"{ITEM}/{sku}" for sku in skus]
    reading = served("EbayServiceGetItemResponseWithItemVariations").read_stock(wanted)
    assert [reading.quantities[one] for one in wanted] == [299, 298, 299]
    assert reading.read_at.tzinfo is UTC


def test_an_echo_with_an_empty_sku_proves_the_push(served):
    session = served("ReviseInventoryStatusResponse")
    entries = tuple(
        StockPush(channel_listing_id=one, channel_sku="OWN", quantity=100, expected=None)
        for one in ("110136942332", "110136942333")
    )
    results = session.push_stock(StockBatch(key="b", entries=entries))
    assert {one.channel_listing_id: one.outcome for one in results} == {
        "110136942332": PushOutcome.APPLIED,
        "110136942333": PushOutcome.UNKNOWN,  # eBay does not mention it: only a look tells
    }


# --- account and notices -------------------------------------------------------------------------


def test_a_refused_token_is_renewed_once_and_then_stops_the_account(served, scripted):
    session = served("AuthTokenIsInvalidResponse")
    with pytest.raises(AuthFailed, match="even a fresh token"):
        session.check()
    first, second = (headers["x-ebay-api-iaf-token"] for _, headers, _ in scripted.asked)
    assert first != second


def test_a_notice_of_a_closed_account_names_whom_orders_name(folder, example):
    vectors = json.loads((folder / "notification_signature_vectors.json").read_text("utf-8"))
    for name, vector in vectors.items():
        example("ebay notice", name)
        hint = WEBHOOK.read_hint({}, json.dumps(vector["message"]).encode())
        assert (hint.kind, digest(hint.object_id)) == (HintKind.ERASURE, "ce27b76bf9f7")


def test_what_is_no_notice_of_the_notification_api_is_refused(body):
    with pytest.raises(BadPayload):
        WEBHOOK.read_hint({}, body("platform_notification_ask_seller_question"))
