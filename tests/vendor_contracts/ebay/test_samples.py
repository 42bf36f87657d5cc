"""Answers eBay really gave, read with the vendor's samples at hand."""

import re
from datetime import UTC, datetime

import pytest
from contract_fixtures import digest

from connectors.ebay.faults import is_token_refused, read_faults
from connectors.ebay.listings import shown
from connectors.ebay.markup import read_markup, wrap
from connectors.ebay.parse import ENVELOPE, parse_order, tracking
from oms_sync.domain.balance import balance
from oms_sync.domain.merge import first_sight
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
#: by sample, written by hand; lines as (price, ordered, cancelled, marked as shipped)
EXPECTED = {
    "ItemVariationSku": {
        "state": OrderState.OPEN,
        "sums": ("6.86", "3.45", "0.00"),
        "placed_at": datetime(2014, 5, 2, 14, 1, 46, tzinfo=UTC),
        "status": "Completed Complete",
        "lines": (("1.14", 1, 0, False), ("1.12", 1, 0, False), ("1.15", 1, 0, False)),
        "residual": ("0.00", ""),
    },
    # eBay collects the tax, and leaves it out of the total
    "TrackingNumber": {
        "state": OrderState.OPEN,
        "sums": ("34.45", "0.00", "2.15"),
        "placed_at": datetime(2021, 9, 1, 8, 47, 21, tzinfo=UTC),
        "status": "Completed Complete",
        "lines": (("34.45", 1, 0, True),),
        "residual": ("-2.15", "tax_apart"),
    },
    # cancelled and refunded in full: the total reads 0
    "outMonetaryDetailsRefundOptionalFields": {
        "state": OrderState.CANCELLED,
        "sums": ("0.00", "5.93", "0.00"),
        "placed_at": datetime(2021, 9, 13, 15, 49, 55, 803000, tzinfo=UTC),
        "status": "Cancelled Complete CancelClosedWithRefund (buyer)",
        "lines": (("316.18", 1, 0, False),),
        "residual": ("-322.11", "refunded"),
    },
}


@pytest.mark.parametrize("name", ORDERS)
def test_every_order_shown_is_whole_and_understood_as_before(name, sights, fingerprint):
    for number, sight in enumerate(sights(name)):
        facts = sight.facts
        assert sight.channel_order_id
        assert facts.is_complete
        assert facts.unmapped_codes == ()
        assert facts.line_ids == tuple(line.channel_line_id for line in sight.lines)
        found = balance(first_sight("ebay-a", sight))
        assert not found.is_flagged
        assert {
            "state": facts.state,
            "sums": tuple(one.text() for one in (facts.total, facts.shipping, facts.tax)),
            "placed_at": facts.placed_at,
            "status": facts.channel_status,
            "lines": tuple(
                (
                    line.unit_price.text(),
                    line.quantity_ordered,
                    line.quantity_cancelled,
                    line.is_marked_shipped,
                )
                for line in sight.lines
            ),
            "residual": (found.residual.text(), found.name),
        } == EXPECTED[name]
        assert {facts.currency, *(line.unit_price.currency for line in sight.lines)} == {"USD"}
        fingerprint(f"ebay {name} {number}", _essence(sight))


def _essence(sight):
    """Identity, state, money and quantities; what else a sight holds may grow."""
    facts = sight.facts
    money = [each and each.text() for each in (facts.total, facts.tax, facts.shipping)]
    lines = [
        (one.channel_line_id, one.channel_sku, one.quantity_ordered, one.quantity_cancelled)
        for one in sight.lines
    ]
    return sight.channel_order_id, str(facts.state), facts.currency, money, lines


def test_three_variations_are_three_lines(sample, sights):
    (sight,) = sights("ItemVariationSku")
    (order,) = sample("EbayServiceGetOrdersResponseWithItemVariationSku").all("OrderArray/Order")
    bought = order.all("TransactionArray/Transaction")
    skus = [line.text("Variation/SKU") for line in bought]
    assert [line.channel_sku for line in sight.lines] == skus
    assert len(set(skus)) == 3
    assert [line.channel_listing_id for line in sight.lines] == [
        f"{line.text('Item/ItemID')}/{sku}" for line, sku in zip(bought, skus, strict=True)
    ]


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


BELL = "EbayServiceGetOrdersResponseWithBelInShippingAddressName"


def test_a_control_character_in_a_name_loses_only_itself(sample, sights, folder):
    root = sample(BELL)
    name = root.text("OrderArray/Order/ShippingAddress/Name")
    raw = (folder / f"{BELL}.xml").read_bytes()
    assert b"\x07" in raw
    assert re.sub(rb"[\x00-\x08]", b"", raw).count(f"<Name>{name}</Name>".encode()) == 1
    with pytest.raises(BadPayload):  # it is a fragment: it has no times
        sights("BelInShippingAddressName")


def test_the_variations_of_a_listing_show_what_is_left(sample):
    listing = sample("EbayServiceGetItemResponseWithItemVariations").find("Item")
    assert {digest(one.sku): one.quantity for one in shown(listing)} == {
        "606d339c77d6": 299,
        "0866a2e065f5": 298,
        "c6ac17461e25": 299,
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
    assert echo.text("SKU") is None
    assert echo.text("ItemID").isdigit()
