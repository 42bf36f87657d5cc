"""Answers eBay really gave, read with the vendor's samples at hand."""

from datetime import UTC, datetime

import pytest

from connectors.ebay.faults import is_token_refused, read_faults
from connectors.ebay.listings import shown
from connectors.ebay.markup import read_markup, wrap
from connectors.ebay.parse import ENVELOPE, parse_order, tracking
from oms_sync.sdk import BadPayload, OrderState

SEEN_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SAMPLES = """
AuthTokenIsInvalidResponse EbayServiceGetItemResponseWithItemVariations
EbayServiceGetOrdersResponseWithBelInShippingAddressName
EbayServiceGetOrdersResponseWithItemVariationSku EbayServiceGetOrdersResponseWithOutItems
EbayServiceGetOrdersResponseWithTrackingNumber
EbayServiceGetOrdersResponseWithoutMonetaryDetailsRefundOptionalFields
EbayServiceGetSellerListCustomResponse ReviseInventoryStatusResponse
platform_notification_ask_seller_question
""".split()


@pytest.fixture
def folder(specs):
    return specs / "ebay/samples"


@pytest.fixture
def sample(folder, example):
    def read(name):
        example("ebay sample", name)
        return read_markup((folder / f"{name}.xml").read_bytes())

    return read


@pytest.fixture
def sights(sample, tables):
    def read(name):
        orders = sample(f"EbayServiceGetOrdersResponseWith{name}").all("OrderArray/Order")
        return [parse_order(wrap(ENVELOPE, {}, order), SEEN_AT, tables=tables) for order in orders]

    return read


def test_every_sample_is_read(sample, folder):
    assert sorted(path.stem for path in folder.glob("*.xml")) == sorted(SAMPLES)
    for name in SAMPLES:
        assert sample(name).name


ORDERS = ("ItemVariationSku", "TrackingNumber", "outMonetaryDetailsRefundOptionalFields")


@pytest.mark.parametrize("name", ORDERS)
def test_every_order_shown_is_whole_and_understood_as_before(name, sights, fingerprint):
    for number, sight in enumerate(sights(name)):
        facts = sight.facts
        assert sight.channel_order_id
        assert facts.is_complete
        assert facts.unmapped_codes == ()
        assert facts.line_ids == tuple(line.channel_line_id for line in sight.lines)
        assert facts.total is not None
        assert facts.total.currency == facts.currency
        assert residual(facts, sight.lines) in _named_residuals(facts, sight.lines)
        for line in sight.lines:
            assert line.quantity_ordered > 0
            assert (line.quantity_cancelled or 0) <= line.quantity_ordered
        fingerprint(f"ebay {name} {number}", _essence(sight))


def _named_residuals(facts, lines):
    """What may be left of a total: nothing, or what eBay itself leaves out of it."""
    goods = sum(one.unit_price.amount * one.quantity_ordered for one in lines)
    tax = facts.tax.amount if facts.tax else 0
    named = {0, -tax}  # below compatibility level 1307 totals are without the tax eBay collects
    if facts.state is OrderState.CANCELLED:
        shipping = facts.shipping.amount if facts.shipping else 0
        named.add(-(goods + shipping + tax))  # refunded in full, the total reads 0
    return named


def residual(facts, lines):
    """Total − (lines + shipping + tax − discount), in the order's currency."""
    parts = sum(one.unit_price.amount * one.quantity_ordered for one in lines)
    for money, sign in ((facts.shipping, 1), (facts.tax, 1), (facts.discount, -1)):
        is_inside = money is facts.tax and facts.are_taxes_included
        parts += 0 if money is None or is_inside else sign * money.amount
    return facts.total.amount - parts


def _essence(sight):
    """Identity, state, money and quantities; what else a sight holds may grow."""
    facts = sight.facts
    money = [each and each.text() for each in (facts.total, facts.tax, facts.shipping)]
    lines = [
        (one.channel_line_id, one.channel_sku, one.quantity_ordered, one.quantity_cancelled)
        for one in sight.lines
    ]
    return sight.channel_order_id, str(facts.state), facts.currency, money, lines


def test_three_variations_are_three_lines(sights):
    (sight,) = sights("ItemVariationSku")
    skus = [line.channel_sku for line in sight.lines]
    assert sorted(skus) == ["testSku501_B", "testSku501_W", "testSku501_Y"]
    assert {line.channel_listing_id for line in sight.lines} == {
        f"110142400319/{sku}" for sku in skus
    }
    assert sight.facts.state is OrderState.OPEN


def test_an_order_that_was_sent_shows_its_tracking(sample, sights):
    (sight,) = sights("TrackingNumber")
    (line,) = sight.lines
    assert (line.is_marked_shipped, line.quantity_ordered) == (True, 1)
    (order,) = sample("EbayServiceGetOrdersResponseWithTrackingNumber").all("OrderArray/Order")
    (shown_line,) = order.all("TransactionArray/Transaction")
    ((carrier, number),) = tracking(shown_line)
    assert (carrier, number[:2]) == ("UPS", "1Z")
    assert str(sight.facts.tax.amount) == "2.15"


def test_cancelled_orders_that_read_complete_are_cancelled(sights):
    for sight in sights("outMonetaryDetailsRefundOptionalFields"):
        assert sight.facts.state is OrderState.CANCELLED
        assert sight.facts.recipient.address.country is None, "masked"


def test_an_answer_without_orders_has_none(sights):
    assert sights("OutItems") == []


def test_a_control_character_in_a_name_loses_only_itself(sample, sights):
    root = sample("EbayServiceGetOrdersResponseWithBelInShippingAddressName")
    assert root.text("OrderArray/Order/ShippingAddress/Name") == "TestAddress"
    with pytest.raises(BadPayload):  # it is a fragment: it has no times
        sights("BelInShippingAddressName")


def test_the_variations_of_a_listing_show_what_is_left(sample):
    listing = sample("EbayServiceGetItemResponseWithItemVariations").find("Item")
    assert {one.sku: one.quantity for one in shown(listing)} == {
        "testSku501_B": 299,
        "testSku501_W": 298,
        "testSku501_Y": 299,
    }


def test_every_listing_of_a_sellers_list_is_understood(sample):
    items = sample("EbayServiceGetSellerListCustomResponse").all("ItemArray/Item")
    found = [one for each in items for one in shown(each)]
    assert len(found) >= len(items) > 3
    assert all(one.quantity is not None for one in found)


def test_a_refused_token_is_recognised(sample):
    faults = read_faults(sample("AuthTokenIsInvalidResponse"))
    assert is_token_refused(faults)
    assert [fault.code for fault in faults] == ["931"]


def test_an_echo_with_an_empty_sku_is_read(sample):
    (echo,) = sample("ReviseInventoryStatusResponse").all("InventoryStatus")
    assert (echo.text("SKU"), echo.text("ItemID")) == (None, "110136942332")
