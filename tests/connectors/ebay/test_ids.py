"""A listing's id names the ItemID, and for a variation its SKU or its specifics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ebay.ids import is_order_id, listing_id, read_listing_id, variation_id

COLOUR = {"Color": ("Red",), "Size": ("L",)}


def test_a_listing_without_variations_is_named_by_its_item_id():
    name = read_listing_id(listing_id("110000000319"))
    assert (name.item_id, name.sku, name.is_variation) == ("110000000319", None, False)


@given(st.text(min_size=1, max_size=50).filter(lambda text: text.strip() == text))
def test_every_sku_of_a_variation_survives_its_id(sku):
    name = read_listing_id(variation_id("1101", sku, COLOUR))
    assert (name.item_id, name.sku, name.is_variation) == ("1101", sku, True)


def test_a_variation_without_sku_is_named_by_its_specifics_in_any_order():
    turned = {"Size": ("L",), "Color": ("Red",)}
    one = variation_id("1101", None, COLOUR)
    assert one == variation_id("1101", None, turned)
    assert one != variation_id("1101", None, {"Color": ("Blue",), "Size": ("L",)})
    name = read_listing_id(one)
    assert (name.sku, name.is_variation) == (None, True)


def test_a_sku_that_looks_like_a_digest_is_still_a_sku():
    sku = variation_id("1", None, COLOUR).partition("/")[2]
    assert read_listing_id(variation_id("1", sku, COLOUR)).sku == sku


@pytest.mark.parametrize("text", ["", "x", "12a", "12/", "1" * 20, "/sku", "-1", "\uff11\uff12"])
def test_what_is_no_id_of_ours_is_told(text):
    assert read_listing_id(text) is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("24-01234-56789", True),
        ("110000000319-27000037001", True),
        ("270000010", True),
        ("110000000319!27000037001", True),
        ("", False),
        ("<OrderID>", False),
        ("a" * 65, False),
        ("é", False),
    ],
)
def test_only_what_may_be_an_order_id_is_ever_asked_for(text, is_one):
    assert is_order_id(text) is is_one
