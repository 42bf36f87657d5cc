"""Names and their order, checked against the vendor's own WSDL where it is at hand."""

import re

import pytest
from contract_ebay import XS

from connectors.ebay.sandbox.wrongs import contract

SKU, VARIATION = "TEE RED M", "NUTS&BOLTS"


@pytest.fixture
def types(specs, contract_layer):
    """Per complex type its elements in order, with their types; per simple type its words."""
    schema = contract_layer.contracts["ebay"].wsdl
    return {
        each.get("name"): {
            one.get("name", one.get("value")): (one.get("type") or "").rpartition(":")[2]
            for one in each.iter(f"{XS}element", f"{XS}enumeration")
        }
        for each in schema
        if each.tag in (f"{XS}complexType", f"{XS}simpleType")
    }


def check_answer(element, name, types):
    """Every child is an element of the type, in the type's order."""
    known = types[name]
    order = list(known)
    reached = -1
    for child in element:
        assert child.tag in known, f"{name} has no {child.tag}"
        assert order.index(child.tag) >= reached, f"{name}: {child.tag} is out of order"
        reached = order.index(child.tag)
        inner = known[child.tag]
        if len(child):
            check_answer(child, inner, types)
        elif inner.endswith("CodeType") and child.text:
            assert child.text in types[inner], f"{inner} has no {child.text}"


def test_answers_are_made_of_the_contracts_elements(seller, types):
    unpaid = seller.buy((SKU, 2), (VARIATION, 1), paid=False)
    paid = seller.buy((SKU, 2))
    item, variation = seller.item(SKU), seller.item(VARIATION)
    seller.act(paid, "refund", {"lines": [{"channel_sku": SKU, "quantity": 1}]})
    details = "<ShippingCarrierUsed>UPS</ShippingCarrierUsed>"
    details += "<ShipmentTrackingNumber>1Z1</ShipmentTrackingNumber>"
    details = f"<ShipmentTrackingDetails>{details}</ShipmentTrackingDetails>"
    both = f"<OrderID>{paid}</OrderID><OrderID>{unpaid}</OrderID>"
    nodes = "".join(
        f"<InventoryStatus><ItemID>{each}</ItemID><Quantity>5</Quantity></InventoryStatus>"
        for each in (item, variation)
    )
    for call, body in (
        ("CompleteSale", f"<Shipment>{details}</Shipment><OrderID>{paid}</OrderID>"),
        ("GetOrders", f"<OrderIDArray>{both}</OrderIDArray>"),
        ("GetItem", f"<ItemID>{variation}</ItemID>"),
        ("GetMyeBaySelling", "<ActiveList><Include>true</Include></ActiveList>"),
        ("ReviseInventoryStatus", nodes),
        ("GetUser", ""),
        ("SetUserPreferences", "<OutOfStockControlPreference>true</OutOfStockControlPreference>"),
        (
            "GetUserPreferences",
            "<ShowOutOfStockControlPreference>true</ShowOutOfStockControlPreference>",
        ),
        ("GeteBayDetails", "<DetailName>ShippingCarrierDetails</DetailName>"),
    ):
        answer = seller.trading(call, body + "<MessageID>m</MessageID>")
        assert answer.ack in ("Success", "PartialFailure"), answer.raw
        base, own = dict(types["AbstractResponseType"]), types[f"{call}ResponseType"]
        check_answer(answer.root, f"{call}Response", {**types, f"{call}Response": base | own})


def test_requests_may_hold_what_the_contract_knows_and_in_its_order(types):
    own = contract()

    def fits(shape, name):
        known = list(types[name])
        places = [known.index(each) for each in shape if each in known]
        assert len(places) == len(shape), f"{name} lacks {sorted(set(shape) - set(known))}"
        assert places == sorted(places), f"{name}: another order"
        for each, inner in shape.items():
            plain = own["types"].get(inner, inner) if isinstance(inner, str) else inner
            kind = types[name][each]
            if isinstance(plain, dict):
                fits(plain, kind)
            elif plain.startswith("one of "):
                foreign = set(plain.removeprefix("one of ").split()) - set(types[kind])
                assert not foreign, f"{kind} lacks {sorted(foreign)}"

    fits(own["common"], "AbstractRequestType")
    for call, shape in own["calls"].items():
        fits(shape, f"{call}RequestType")


def test_error_numbers_are_whole_and_have_words():
    errors = contract()["errors"] | {
        code: wording for code, (_, _, wording) in contract()["rest_errors"].items()
    }
    assert all(re.fullmatch(r"\d{1,8}", code) and words for code, words in errors.items())
