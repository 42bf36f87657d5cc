"""Orders as eBay shows them become sights: identity, state, lines, money, people."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ebay.ids import variation_id
from connectors.ebay.parse import parse_order
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import money_residual
from oms_sync.sdk import BadPayload, OrderState

SEEN_AT = datetime(2026, 3, 2, 9, 0, 10, tzinfo=UTC)
CASES = """
paid unpaid cancelled-that-reads-complete shipped abroad-by-ebays-programme held-and-odd combined
""".split()
NOT_READY = [
    # status, checkout, payment, has been paid for
    ("Active", "Incomplete", "NoPaymentFailure", False),
    ("InProcess", "Pending", "NoPaymentFailure", True),
    ("Completed", "Incomplete", "NoPaymentFailure", True),
    ("Completed", "Pending", "NoPaymentFailure", True),
    ("Completed", "Complete", "PaymentInProcess", True),
    ("Completed", "Complete", "BuyerFailedPaymentReportedBySeller", True),
    ("Completed", "Complete", "CustomCode", True),
    # cash on pickup reads Complete at checkout, without money
    ("Completed", "Complete", "NoPaymentFailure", False),
    ("Inactive", "Incomplete", "NoPaymentFailure", False),
]


@pytest.fixture
def parsed(recordings, tables):
    def read(case, *changes):
        text = (recordings / f"order-{case}.xml").read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"the recording has no {old}"
            text = text.replace(old, new)
        return parse_order(text.encode(), SEEN_AT, tables=tables)

    return read


def _plain(sight):
    return json.loads(json.dumps(asdict(sight), default=str, sort_keys=True))


@pytest.mark.parametrize("case", CASES)
def test_every_recording_becomes_the_expected_sight(case, parsed, expected):
    found, path = _plain(parsed(case)), expected / f"order-{case}.json"
    if os.environ.get("OMS_SYNC_UPDATE_EXPECTED"):
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(path.read_text(encoding="utf-8"))


def test_every_recording_is_a_case(recordings):
    assert sorted(path.stem for path in recordings.glob("order-*.xml")) == sorted(
        f"order-{case}" for case in CASES
    )


# --- identity ------------------------------------------------------------------------------------


def test_a_line_is_known_by_its_order_line_item_id_before_and_after_payment(parsed):
    unpaid = parsed("unpaid")
    paid = parsed(
        "unpaid",
        ("<OrderID>110142400320-27273538002</OrderID>", "<OrderID>14-00000-00001</OrderID>"),
    )
    assert unpaid.channel_order_id != paid.channel_order_id
    assert [line.channel_line_id for line in unpaid.lines] == [
        line.channel_line_id for line in paid.lines
    ]


def test_every_other_id_of_an_order_is_an_alias(parsed):
    sight = parsed("combined")
    assert sight.channel_order_id == "290000000002"
    assert sight.aliases == ("14-12345-67895", "290000000001")


def test_a_line_without_its_id_is_named_by_item_and_transaction(parsed):
    change = ("<OrderLineItemID>110142400320-27273538002</OrderLineItemID>", "")
    assert parsed("unpaid", change).lines[0].channel_line_id == "110142400320-27273538002"


# --- state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "checkout", "payment", "is_paid"), NOT_READY)
def test_an_order_that_is_not_safely_paid_is_pending(parsed, status, checkout, payment, is_paid):
    sight = parsed(
        "paid",
        ("<OrderStatus>Completed<", f"<OrderStatus>{status}<"),
        ("<Status>Complete<", f"<Status>{checkout}<"),
        ("NoPaymentFailure", payment),
        *([] if is_paid else [("<PaidTime>2026-03-01T11:00:05.000Z</PaidTime>", "")]),
    )
    assert sight.facts.state is OrderState.PENDING
    assert sight.facts.unmapped_codes == ()


def test_a_paid_order_is_open_and_free_of_holds(parsed):
    facts = parsed("paid").facts
    assert (facts.state, facts.channel_holds) == (OrderState.OPEN, ())


def test_a_cancelled_order_is_cancelled_though_its_checkout_reads_complete(parsed):
    facts = parsed("cancelled-that-reads-complete").facts
    assert facts.state is OrderState.CANCELLED
    assert facts.cancelled_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "word",
    [
        "CancelClosedNoRefund",
        "CancelClosedWithRefund",
        "CancelClosedUnknownRefund",
        "CancelClosedForCommitment",
        "CancelComplete",
    ],
)
def test_a_closed_cancellation_cancels_whatever_the_status_says(parsed, word):
    assert parsed("paid", (">NotApplicable<", f">{word}<")).facts.cancelled_at is not None


def test_an_order_of_status_cancelled_is_cancelled_whatever_its_cancellation_says(parsed):
    facts = parsed("paid", ("<OrderStatus>Completed<", "<OrderStatus>Cancelled<")).facts
    assert facts.cancelled_at is not None


@pytest.mark.parametrize(
    ("word", "holds"),
    [
        ("NotApplicable", ()),
        ("Invalid", ()),
        ("CancelRejected", ()),
        ("CancelFailed", ()),
        ("CancelRequested", ("cancellation_requested",)),
        ("CancelPending", ("cancellation_requested",)),
        ("SomethingNew", ("SomethingNew",)),  # unknown: kept, and not shippable
    ],
)
def test_a_wish_to_cancel_holds_the_order(parsed, word, holds):
    facts = parsed("paid", (">NotApplicable<", f">{word}<")).facts
    assert (facts.channel_holds, facts.cancelled_at) == (holds, None)


def test_an_order_of_status_cancel_pending_is_held(parsed):
    facts = parsed("paid", ("<OrderStatus>Completed<", "<OrderStatus>CancelPending<")).facts
    assert facts.channel_holds == ("cancellation_requested",)


@pytest.mark.parametrize("word", ["MerchantHold", "NewSellerHold", "PaymentHold", "ReleasePending"])
def test_a_hold_on_the_payout_forbids_no_shipping(parsed, word):
    change = ("<PaymentHoldStatus>None<", f"<PaymentHoldStatus>{word}<")
    assert parsed("paid", change).facts.channel_holds == ()


def test_a_payment_under_review_holds_the_order(parsed):
    change = ("<PaymentHoldStatus>None<", "<PaymentHoldStatus>PaymentReview<")
    assert parsed("paid", change).facts.channel_holds == ("payment_review",)


@pytest.mark.proves("F42")
def test_an_unknown_status_is_kept_and_never_shippable(parsed):
    facts = parsed("paid", ("<OrderStatus>Completed<", "<OrderStatus>Teleported<")).facts
    assert (facts.state, facts.unmapped_codes) == (None, ("order_status: Teleported",))
    assert "Teleported" in facts.channel_status


@pytest.mark.proves("F24", "I-06")
def test_an_order_whose_lines_are_not_all_shown_is_incomplete(parsed):
    more = ("<OrderLineItemCount>2<", "<OrderLineItemCount>3<")
    for change in (more, ("<QuantityPurchased>2</QuantityPurchased>", "")):
        facts = parsed("paid", change).facts
        assert (facts.is_complete, facts.line_ids) == (False, None)


@pytest.mark.proves("F33")
def test_times_with_and_without_fractions_and_empty_ones_are_read(parsed):
    sight = parsed("held-and-odd")  # <ShippedTime/>, and a time without fraction
    assert sight.version.at == datetime(2026, 3, 1, 11, 0, 6, tzinfo=UTC)
    assert parsed("paid").version.at.microsecond == 250_000


def test_a_time_without_zone_is_refused(parsed):
    with pytest.raises(BadPayload, match="zone"):
        parsed("paid", ("11:00:05.250Z", "11:00:05.250"))


# --- lines ---------------------------------------------------------------------------------------


def test_the_sku_of_a_line_is_its_variations_else_its_listings(parsed):
    first, second = parsed("paid").lines
    assert (first.channel_sku, second.channel_sku) == ("TR-RED", "MUG-1")
    assert first.channel_listing_id == "110000000319/TR-RED"
    assert second.channel_listing_id == "110142400320"


@pytest.mark.proves("I-08")
def test_a_line_without_sku_is_kept_under_a_listing_one_can_link(parsed):
    first, second = parsed("held-and-odd").lines
    assert (first.channel_sku, second.channel_sku) == (None, None)
    named = variation_id("110142400321", None, {"Glaze": ("Blue",)})
    assert (first.channel_listing_id, second.channel_listing_id) == (named, "110142400322")


def test_a_line_marked_as_shipped_says_so_and_counts_no_units(parsed):
    (line,) = parsed("shipped").lines
    assert (line.is_marked_shipped, line.quantity_shipped) == (True, None)
    assert [line.is_marked_shipped for line in parsed("held-and-odd").lines] == [False, False]


def test_what_is_delivered_as_a_download_reserves_nothing(parsed):
    first, second = parsed("paid").lines
    assert (first.is_stocked, second.is_stocked) == (None, None)
    named = "<TransactionID>27000037001"
    first, second = parsed("paid", (named, f"<IntangibleItem>true</IntangibleItem>{named}")).lines
    assert (first.is_stocked, second.is_stocked) == (False, None)


def test_goods_the_buyer_fetches_say_so_instead_of_a_carriers_service(parsed):
    assert parsed("paid").facts.shipping_service == "usps_priority"
    fetched = (
        "<Total currency",
        "<PickupMethodSelected><PickupMethod>InStorePickup</PickupMethod></PickupMethodSelected>"
        "<Total currency",
    )
    assert parsed("paid", fetched).facts.shipping_service == "pickup"


@pytest.mark.proves("I-06", "F24")
def test_a_cancelled_line_without_its_quantity_makes_the_order_incomplete_not_unreadable(parsed):
    sight = parsed(
        "paid",
        ("<QuantityPurchased>1</QuantityPurchased>", ""),
        (
            "</PaymentHoldStatus>\n     </Status>",
            "</PaymentHoldStatus><CancelStatus>CancelComplete</CancelStatus></Status>",
        ),
    )
    assert sight.facts.is_complete is False
    assert [line.quantity_ordered for line in sight.lines] == [2, None]


@pytest.mark.proves("A24")
@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "NaN", "9" * 11, "true", "\uff12"])
def test_a_quantity_that_is_no_count_is_refused(parsed, text):
    change = ("<QuantityPurchased>2<", f"<QuantityPurchased>{text}<")
    with pytest.raises(BadPayload):
        parsed("paid", change)


# --- money ---------------------------------------------------------------------------------------


@pytest.mark.proves("I-10")
def test_totals_add_up_with_the_tax_ebay_collects_and_the_sellers_discounts(parsed):
    sight = parsed("paid")
    assert sight.facts.tax.amount == Decimal("2.08")
    assert sight.facts.discount.amount == Decimal("1.00")
    assert money_residual(first_sight("ebay-a", sight)).amount == 0


OWN_TAX = (
    "</SellerDiscounts>",
    '</SellerDiscounts><Taxes><TotalTaxAmount currencyID="USD">0.50</TotalTaxAmount></Taxes>',
)


def test_tax_ebay_remits_is_kept_apart_from_the_sellers_own(parsed):
    assert parsed("paid").facts.tax_remitted.amount == Decimal("2.08")
    facts = parsed("paid", OWN_TAX).facts
    assert (facts.tax.amount, facts.tax_remitted.amount) == (Decimal("2.58"), Decimal("2.08"))


def test_a_sellers_own_tax_is_nothing_ebay_remits(parsed):
    facts = parsed("paid", ("eBayCollectAndRemitTaxes>", "Taxes>")).facts
    assert (facts.tax.amount, facts.tax_remitted) == (Decimal("2.08"), None)


@pytest.mark.parametrize(
    ("name", "number", "found"),
    [
        ("IOSS", "IM1234567890", "IM1234567890"),
        ("VOEC", "2024926", "2024926"),
        ("OSS", "DE123456789", None),  # a sale within the union
        ("DDG", "777", None),  # nothing that is sent
        ("SST", "-", None),  # there is no number
        ("", "7", None),
    ],
)
def test_the_number_import_tax_was_paid_under_is_known(parsed, name, number, found):
    reference = f'<eBayReference name="{name}">{number}</eBayReference>'
    for_one = '<TotalTaxAmount currencyID="USD">1.78'
    facts = parsed("paid", (for_one, reference + for_one)).facts
    assert facts.import_tax_number == found


def test_the_price_of_a_line_is_per_unit(parsed):
    assert parsed("paid").lines[0].unit_price.amount == Decimal("10.00")


def test_an_amount_without_currency_is_in_the_orders(parsed):
    change = ('<TransactionPrice currencyID="USD">10.00', "<TransactionPrice>10.00")
    assert parsed("paid", change).lines[0].unit_price.currency == "USD"


def test_an_amount_that_is_none_is_refused(parsed):
    with pytest.raises(BadPayload):
        parsed("paid", (">10.00<", ">ten<"))


# --- people --------------------------------------------------------------------------------------


def test_goods_for_a_programme_of_ebays_go_to_its_provider_and_never_to_the_buyer(parsed):
    address = parsed("abroad-by-ebays-programme").facts.recipient.address
    assert address.lines == ("PGSP US12345678", "100 Hub Drive")
    assert (address.city, address.country) == ("Hubtown", "US")


@pytest.mark.proves("F25")
def test_what_ebay_masked_is_not_taken_for_an_address(parsed):
    recipient = parsed("held-and-odd").facts.recipient
    assert (recipient.name, recipient.phone, recipient.address.lines) == (None, None, ())
    assert recipient.address.city == "Exampleton"


def test_an_empty_address_is_none(parsed, recordings):
    text = (recordings / "order-paid.xml").read_text(encoding="utf-8")
    begin, end = text.index("<ShippingAddress>"), text.index("</ShippingAddress>")
    change = (text[begin:end], "<ShippingAddress>")
    assert parsed("paid", change).facts.recipient is None


BUYER = "<BuyerUserID>immutable-7f3a</BuyerUserID>"


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (BUYER, "immutable-7f3a"),
        (f"{BUYER}<EIASToken>nY+s==</EIASToken>", "nY+s=="),
        ("<BuyerUserID>another-name</BuyerUserID><EIASToken>nY+s==</EIASToken>", "nY+s=="),
        (f"{BUYER}<EIASToken>Invalid Request</EIASToken>", "immutable-7f3a"),
        ("<BuyerUserID>Invalid Request</BuyerUserID>", None),
    ],
)
def test_the_buyer_is_keyed_on_the_id_that_never_changes(parsed, shown, found):
    assert parsed("paid", (BUYER, shown)).facts.buyer.channel_buyer_id == found


def test_what_the_buyer_wrote_is_kept_once_for_each_line_that_says_it(parsed):
    assert parsed("paid").facts.buyer_note is None
    said = "<BuyerCheckoutMessage>Ring &amp; wait</BuyerCheckoutMessage>"
    assert parsed("paid", (BUYER, BUYER + said)).facts.buyer_note == "Ring & wait"
    lines = ("<Buyer><Email>", f"{said}<Buyer><Email>")
    assert parsed("paid", lines).facts.buyer_note == "Ring & wait"
    other = said.replace("Ring", "Knock")
    facts = parsed("paid", lines, (BUYER, BUYER + other)).facts
    assert facts.buyer_note == "Knock & wait\nRing & wait"


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", [b"", b"<Order/>", b"<SeenOrder/>", b"<SeenOrder><Order/></SeenOrder>", b"{}"]
)
def test_what_is_no_order_is_refused(payload, tables):
    with pytest.raises(BadPayload):
        parse_order(payload, SEEN_AT, tables=tables)


@given(st.data())
def test_a_damaged_order_parses_or_is_bad_payload(recordings, tables, data):
    text = (recordings / "order-paid.xml").read_bytes()
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 80)))
    damaged = text[:begin] + data.draw(st.binary(max_size=8)) + text[end:]
    try:
        parse_order(damaged, SEEN_AT, tables=tables)
    except BadPayload:
        return
