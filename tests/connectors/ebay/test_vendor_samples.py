"""Answers eBay really gave, read with the vendor's samples at hand."""

import os
from datetime import UTC, datetime
from pathlib import Path

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


def _folder():
    folder = Path(os.environ.get("OMS_SYNC_VENDOR_SPECS") or "/nonexistent") / "ebay/samples"
    if not folder.exists():
        pytest.skip("OMS_SYNC_VENDOR_SPECS names no folder")
    return folder


@pytest.fixture
def sample():
    def read(name):
        return read_markup((_folder() / f"{name}.xml").read_bytes())

    return read


@pytest.fixture
def sights(sample, tables):
    def read(name):
        orders = sample(f"EbayServiceGetOrdersResponseWith{name}").all("OrderArray/Order")
        return [parse_order(wrap(ENVELOPE, {}, order), SEEN_AT, tables=tables) for order in orders]

    return read


def test_every_sample_is_read(sample):
    assert sorted(path.stem for path in _folder().glob("*.xml")) == sorted(SAMPLES)
    for name in SAMPLES:
        assert sample(name).name


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
