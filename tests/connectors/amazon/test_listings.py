"""Discovery by report: complete beyond what a search reaches, read in the right letters."""

import gzip

import httpx
import pytest

from connectors.amazon.reports import decode
from oms_sync.sdk import BadPayload, ChannelDown, RetryLater
from oms_sync.sdk.testing import FakeClock

TITLES = "item-name\tseller-sku\tprice\tquantity\tfulfillment-channel\tstatus"


def _rows(*rows):
    return "\r\n".join([TITLES, *("\t".join(row) for row in rows)]).encode()


def _row(sku, place="DEFAULT", title="Tee", quantity="3"):
    return (title, sku, "10.00", quantity, place, "Active")


@pytest.fixture
def prepared(amazon, documents):
    amazon.on("createReport", {"reportId": "r1"})
    amazon.on("getReport", {"processingStatus": "IN_QUEUE"}, {**_DONE})
    amazon.on("getReportDocument", {"reportDocumentId": "d1", "url": f"{documents}/d1?sig=1"})
    return amazon


_DONE = {"processingStatus": "DONE", "reportDocumentId": "d1"}


@pytest.fixture
def listings(prepared, open_session):
    def read(body=None, **settings):
        if body is not None:
            prepared.on("download", httpx.Response(200, content=body))
        page = open_session(**settings).read_listings(None)
        assert page.cursor is None
        return {one.channel_listing_id: one for one in page.listings}

    prepared.on("getInventorySummaries", _pool())
    return read


def _pool(**units):
    rows = [
        {"sellerSku": sku, "inventoryDetails": {"fulfillableQuantity": count}}
        for sku, count in units.items()
    ]
    granularity = {"granularityType": "Marketplace", "granularityId": "ATVPDKIKX0DER"}
    return {"payload": {"granularity": granularity, "inventorySummaries": rows}}


def test_every_sku_of_the_report_is_a_listing(prepared, listings):
    found = listings(_rows(*(_row(f"SKU-{n}") for n in range(1500))))
    assert len(found) == 1500, "a search would end after a thousand"
    assert prepared.of("createReport")[0].json["reportType"] == "GET_MERCHANT_LISTINGS_ALL_DATA"
    assert prepared.of("createReport")[0].json["marketplaceIds"] == ["ATVPDKIKX0DER"]
    assert found["SKU-7"].channel_sku == "SKU-7"
    assert found["SKU-7"].is_stocked
    assert found["SKU-7"].quantity is None, "a report may be hours old"


@pytest.mark.parametrize(
    ("place", "is_stocked", "warning"),
    [
        ("DEFAULT", True, ""),
        ("AMAZON_NA", False, "Amazon holds its stock"),
        ("AMAZON_EU", False, "Amazon holds its stock"),
        ("LOCATION-1", False, "kept at LOCATION-1"),
        ("", False, "kept at no place"),
    ],
)
def test_who_holds_the_stock_decides_whether_it_is_ever_written(
    place, is_stocked, warning, listings
):
    found = listings(_rows(_row("A", place)))["A"]
    assert found.is_stocked is is_stocked
    assert warning in found.warning


def test_a_sku_of_several_marketplaces_is_one_listing(prepared, listings):
    prepared.on(
        "download",
        httpx.Response(200, content=_rows(_row("A"), _row("B", "AMAZON_NA"))),
        httpx.Response(200, content=_rows(_row("B"), _row("C"))),
    )
    found = listings(marketplace_ids=("ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"))
    assert {sku: one.is_stocked for sku, one in found.items()} == {"A": True, "B": False, "C": True}
    asked = [one.json["marketplaceIds"] for one in prepared.of("createReport")]
    assert asked == [["ATVPDKIKX0DER"], ["A2EUQ1WTGCTBG2"]], "one report tells of one marketplace"


@pytest.mark.parametrize(
    ("body", "marketplace", "text"),
    [
        ("Größe".encode(), "ATVPDKIKX0DER", "Größe"),
        ("Größe".encode("utf-8-sig"), "ATVPDKIKX0DER", "Größe"),
        ("Größe €".encode("cp1252"), "A1PA6795UKMFR9", "Größe €"),
        ("商品名".encode("cp932"), "A1VC38T7YXB528", "商品名"),
        ("商品名".encode(), "A1VC38T7YXB528", "商品名"),
    ],
)
def test_a_report_is_read_in_the_letters_it_is_written_in(body, marketplace, text):
    assert decode(body, marketplace) == text


def test_a_report_in_no_known_letters_is_bad_payload():
    with pytest.raises(BadPayload):
        decode(b"\x81", "ATVPDKIKX0DER")


def test_translated_titles_are_known_and_unknown_ones_said(listings):
    japanese = "商品名\t出品者SKU\tフルフィルメント・チャンネル\r\nシャツ\tA\tDEFAULT".encode(
        "cp932"
    )
    found = listings(japanese, region="fe", marketplace_ids=("A1VC38T7YXB528",))
    assert found["A"].title == "シャツ"
    with pytest.raises(BadPayload, match="no column for sku"):
        listings(b"nom\tsku-vendeur\tcanal\r\nx\tA\tDEFAULT")


def test_quotes_in_a_title_are_letters_like_any_other(listings):
    found = listings(_rows(_row("A", title='12" "vinyl'), _row("B")))
    assert found["A"].title == '12" "vinyl'
    assert "B" in found


@pytest.mark.proves("I-09")
def test_one_broken_row_costs_no_other(listings):
    broken = ("A title\rof two lines", "A", "10.00", "3", "DEFAULT", "Active")
    found = listings(_rows(broken, ("cut off",), _row("B")))
    assert set(found) == {"A", "B"}


def test_a_packed_report_is_unpacked(prepared, listings, documents):
    packed = {"reportDocumentId": "d1", "url": f"{documents}/d1", "compressionAlgorithm": "GZIP"}
    prepared.on("getReportDocument", packed)
    assert set(listings(gzip.compress(_rows(_row("A"))))) == {"A"}
    prepared.on("getReportDocument", {**packed, "compressionAlgorithm": "ZSTD"})
    with pytest.raises(BadPayload):
        listings(b"x")


def test_a_seller_with_nothing_to_sell_has_no_listings(prepared, listings):
    prepared.on("getReport", {"processingStatus": "CANCELLED"})
    assert listings(b"") == {}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ({"processingStatus": "FATAL"}, ChannelDown),
        ({"processingStatus": "DONE"}, ChannelDown),
        ({}, ChannelDown),
    ],
)
def test_a_report_that_fails_is_no_empty_list(status, error, prepared, listings):
    prepared.on("getReport", status)
    with pytest.raises(error):
        listings(b"")


def test_waiting_for_a_report_is_bounded(prepared, open_session):
    clock = FakeClock()
    prepared.on("getReport", {"processingStatus": "IN_PROGRESS"})
    began = clock.monotonic()
    with pytest.raises(RetryLater, match="within 600 s"):
        open_session(clock=clock).read_listings(None)
    assert clock.monotonic() - began < 700


def test_the_sandbox_is_discovered_with_what_amazon_holds(seller):
    page = seller.open().read_listings(None)
    stocked = {one.channel_sku for one in page.listings if one.is_stocked}
    assert stocked == set(seller.listing_ids())
    assert [one for one in page.listings if not one.is_stocked], "FBA listings are recorded"


def test_units_at_amazon_are_a_pool_of_their_own_and_read_page_by_page(prepared, listings):
    prepared.on(
        "getInventorySummaries",
        {**_pool(B=7), "pagination": {"nextToken": "next"}},
        _pool(C=0, A=99),
    )
    found = listings(_rows(_row("A"), _row("B", "AMAZON_NA"), _row("C", "AMAZON_NA")))
    told = {sku: (one.channel_pool, one.is_stocked) for sku, one in found.items()}
    assert told == {"A": (None, True), "B": (7, False), "C": (0, False)}
    assert "7 can be sold there" in found["B"].warning
    first, second = prepared.of("getInventorySummaries")
    assert first.query["details"] == "true"
    assert second.query["nextToken"] == "next"


def test_without_the_role_for_it_the_pool_stays_unknown_and_says_why(prepared, listings):
    prepared.on("getInventorySummaries", 403)
    found = listings(_rows(_row("B", "AMAZON_NA")))["B"]
    assert found.channel_pool is None
    assert "role Amazon Fulfillment" in found.warning


def test_nobody_is_asked_for_a_pool_where_amazon_holds_nothing(prepared, listings):
    listings(_rows(_row("A")))
    assert prepared.of("getInventorySummaries") == []


# --- quantities that are not one number ----------------------------------------------------------

US, CANADA = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"


def test_quantities_that_differ_by_marketplace_are_told(prepared, listings):
    prepared.on(
        "download",
        httpx.Response(
            200,
            content=_rows(
                _row("A", quantity="5"),
                _row("B", quantity="3"),
                _row("C", quantity=""),
                _row("F", "AMAZON_NA", quantity="1"),
            ),
        ),
        httpx.Response(
            200,
            content=_rows(
                _row("A", quantity="2"),
                _row("B", quantity="3"),
                _row("C", quantity="9"),
                _row("F", "AMAZON_NA", quantity="2"),
            ),
        ),
    )
    found = listings(marketplace_ids=(US, CANADA))
    assert f"({US}: 5, {CANADA}: 2)" in found["A"].warning
    assert "one account per marketplace" in found["A"].warning
    assert found["A"].is_stocked, "it is written as before"
    assert (found["B"].warning, found["C"].warning) == ("", "")
    assert "differs" not in found["F"].warning


def test_a_report_without_quantities_says_nothing_of_them(listings):
    body = b"seller-sku\tfulfillment-channel\r\nA\tDEFAULT"
    assert listings(body, marketplace_ids=(US, CANADA))["A"].warning == ""


def test_the_account_says_that_its_quantities_are_not_shared(seller):
    seller.settings = seller.settings.model_copy(update={"marketplace_ids": (US, CANADA)})
    sku = seller.sku()
    assert seller.open().check().warnings == ()
    seller.sandbox.offers.unshared = {CANADA: {sku: 1_000}}
    seller.open().read_listings(None)
    (warning,) = seller.open().check().warnings
    assert warning.startswith(f"the quantity of 1 SKUs, such as {sku}, differs by marketplace")
    seller.sandbox.offers.unshared = {}
    seller.open().read_listings(None)
    assert seller.open().check().warnings == ()
