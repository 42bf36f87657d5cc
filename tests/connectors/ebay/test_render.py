"""What is asked of eBay: in the schema's order, escaped, absolute and complete."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from connectors.ebay import render
from oms_sync.sdk import MappingTable, OutgoingPackage, Rejected

AT = datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)


def _window(field):
    return render.Window(field=field, start=AT - timedelta(days=1), until=AT)


def _tree(body):
    return etree.fromstring(f"<r>{body}</r>")


def _names(body):
    return [child.tag for child in _tree(body)]


# --- orders --------------------------------------------------------------------------------------


def test_a_window_is_asked_for_by_one_kind_of_time_only():
    for field, other in (("ModTime", "CreateTime"), ("CreateTime", "ModTime")):
        names = _names(render.list_orders(_window(field), 1))
        assert {f"{field}From", f"{field}To"} <= set(names)
        assert not [name for name in names if name.startswith((other, "NumberOfDays"))]


def test_orders_come_whole_oldest_change_first_a_hundred_a_page():
    tree = _tree(render.list_orders(_window("ModTime"), 7))
    assert tree.findtext("DetailLevel") == "ReturnAll"
    assert tree.findtext("SortingOrder") == "Ascending"
    assert tree.findtext("OrderStatus") == "All"
    assert tree.findtext("Pagination/EntriesPerPage") == "100"
    assert tree.findtext("Pagination/PageNumber") == "7"


@pytest.mark.proves("F32")
def test_times_are_written_in_utc_and_cut_off_never_rounded_up():
    assert render.stamp(AT) == "2026-03-01T12:00:00.999Z"
    assert render.stamp(AT.astimezone(timezone(timedelta(hours=5)))) == render.stamp(AT)


# --- stock ---------------------------------------------------------------------------------------


def test_a_listing_goes_by_its_item_id_and_a_variation_by_both():
    tree = _tree(render.quantities([("1101", None, 5), ("1102", "S", 0)]))
    nodes = [[(each.tag, each.text) for each in node] for node in tree.findall("InventoryStatus")]
    assert nodes == [
        [("ItemID", "1101"), ("Quantity", "5")],
        [("SKU", "S"), ("ItemID", "1102"), ("Quantity", "0")],
    ]


@pytest.mark.proves("I-22")
@given(st.integers(0, 10**9))
def test_a_quantity_is_sent_as_it_is(quantity):
    tree = _tree(render.quantities([("1", None, quantity)]))
    assert tree.findtext("InventoryStatus/Quantity") == str(quantity)


@pytest.mark.proves("A38")
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_every_text_arrives_as_it_was(sku):
    try:
        body = render.quantities([("1", sku, 1)])
    except Rejected:
        return  # two code points no XML can carry
    assert _tree(body).findtext("InventoryStatus/SKU") == sku


def test_a_text_xml_cannot_carry_is_refused():
    with pytest.raises(Rejected, match="cannot be written"):
        render.quantities([("1", "A\x07", 1)])


def test_a_listing_of_the_inventory_api_gets_both_its_numbers():
    assert render.price_quantity("S", 4, ["o1"]) == {
        "requests": [
            {
                "sku": "S",
                "shipToLocationAvailability": {"quantity": 4},
                "offers": [{"offerId": "o1", "availableQuantity": 4}],
            }
        ]
    }
    assert "offers" not in render.price_quantity("S", 4, [])["requests"][0]


# --- tracking ------------------------------------------------------------------------------------

CARRIERS = MappingTable(
    name="carriers", unmapped="pass", entries={"UPS": "ups", "UPS2": "ups", "RoyalMail": "royal"}
)


def _package(carrier, number):
    return OutgoingPackage(carrier=carrier, tracking_number=number, tracking_url=None)


@pytest.mark.parametrize(
    ("carrier", "number", "sent"),
    [
        ("ups", "1Z999", ("UPS", "1Z999")),
        ("ups", "1Z 999-AA.01", ("UPS", "1Z999AA01")),  # letters and digits only
        ("royal", "AB1", ("RoyalMail", "AB1")),
        ("bike_courier", "7", ("Other", "7")),  # a carrier eBay does not know
        ("", "7", ("Other", "7")),
        ("ups", None, None),  # both or neither
        ("ups", "--", None),
        ("ups", "é", None),
    ],
)
def test_tracking_has_a_carrier_ebay_knows_and_a_plain_number(carrier, number, sent):
    found = render.tracking_of([_package(carrier, number)], CARRIERS)
    assert found == ({number: sent} if sent else {})


def test_the_set_of_a_line_is_complete_and_names_each_number_once():
    known, new = [("UPS", "1"), ("DHL", "2")], [("UPS", "2"), ("UPS", "3")]
    assert render.complete_set(known, new) == [("UPS", "1"), ("DHL", "2"), ("UPS", "3")]
