"""Every Trading body we can write, and that the check sees what the WSDL or REST does not allow."""

from datetime import UTC, datetime, timedelta

import pytest
from contract_tap import Exchange

from connectors.ebay import render

AT = datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)
NAMESPACE = "urn:ebay:apis:eBLBaseComponents"
pytestmark = pytest.mark.usefixtures("specs")


def _window(field):
    return render.Window(field=field, start=AT - timedelta(days=1), until=AT)


BODIES = {
    "GetOrders": [
        render.list_orders(_window("ModTime"), 3),
        render.list_orders(_window("CreateTime"), 1, 25),
        render.orders_by_id(["12-34567-89012", "110000000001-0"]),
    ],
    "GetMyeBaySelling": [render.active_listings(2)],
    "GetItem": [render.one_listing("110000000001")],
    "GetUser": [render.who_we_are()],
    "GetUserPreferences": [render.preferences()],
    "ReviseInventoryStatus": [
        render.quantities([("1101", None, 0), ("1102", "A&B <1>", 7), ("1102", "ü", 1)])
    ],
    "ReviseFixedPriceItem": [render.variations("1102", [("A&B <1>", 7), ("ü", 0)])],
    "CompleteSale": [
        render.shipped("1101-1", AT, [("UPS", "1Z1"), ("Other", "X2")]),
        render.shipped("1101-1", AT, []),
    ],
}


@pytest.fixture
def contracts(contract_layer):
    return contract_layer.contracts["ebay"]


def _trading(call, body, **changes):
    headers = {
        "x-ebay-api-call-name": call,
        "x-ebay-api-compatibility-level": "1423",
        "x-ebay-api-siteid": "0",
        "x-ebay-api-iaf-token": "t",
    }
    return Exchange(
        channel="ebay",
        method="POST",
        url="https://api.ebay.com/ws/api.dll",
        headers=headers | changes,
        body=f'<{call}Request xmlns="{NAMESPACE}">{body}</{call}Request>'.encode(),
    )


@pytest.mark.parametrize("call", BODIES)
def test_every_body_is_valid_in_the_wsdl(call, contracts):
    for body in BODIES[call]:
        assert contracts.check_request(_trading(call, body)) == (call, [])


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ("<OrderStatus>All</OrderStatus><OrderRole>Seller</OrderRole>", {}),  # the other order
        ("<Colour>red</Colour>", {}),
        ("<OrderStatus>Lost</OrderStatus>", {}),
        ("<NumberOfDays>many</NumberOfDays>", {}),
        ("<OrderRole>", {}),
        ("", {"x-ebay-api-compatibility-level": ""}),
        ("", {"x-ebay-api-iaf-token": ""}),
        ("", {"x-ebay-api-call-name": "GetItem"}),
    ],
)
def test_a_body_that_does_not_fit_is_seen(body, changes, contracts):
    assert contracts.check_request(_trading("GetOrders", body, **changes))[1]


INVENTORY = "https://api.ebay.com/sell/inventory/v1"


@pytest.mark.parametrize(
    ("method", "path", "body", "is_good"),
    [
        ("GET", "/offer?sku=A", b"", True),
        ("GET", "/offer?colour=A", b"", False),
        ("DELETE", "/offer?sku=A", b"", False),
        ("POST", "/bulk_update_price_quantity", b'{"requests": [{"sku": "A"}]}', True),
        ("POST", "/bulk_update_price_quantity", b'{"requests": [{"colour": "A"}]}', False),
        ("POST", "/bulk_update_price_quantity", b'{"requests": {}}', False),
        ("POST", "/bulk_update_price_quantity", b"", False),
    ],
)
def test_rest_requests_are_held_against_their_document(method, path, body, is_good, contracts):
    headers = {"authorization": "Bearer t", "content-type": "application/json"}
    asked = Exchange(
        channel="ebay", method=method, url=INVENTORY + path, headers=headers, body=body
    )
    assert (contracts.check_request(asked)[1] == []) is is_good


def test_every_carrier_that_is_sent_is_one_of_the_contracts(contracts, tables):
    known = {
        each.get("value")
        for kind in contracts.wsdl
        if kind.get("name") == "ShippingCarrierCodeType"
        for each in kind.iter()
    }
    assert [code for code in tables["carriers"].entries if code not in known] == []
