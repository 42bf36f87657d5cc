"""What a notification is about; nothing that comes over the web is Amazon's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.amazon.webhook import WEBHOOK
from oms_sync.sdk import BadPayload, HintKind


def _hint(fields):
    return WEBHOOK.read_hint({}, json.dumps(fields).encode())


@pytest.fixture
def order_change(recordings):
    return json.loads((recordings / "notification-pending.json").read_bytes())


@pytest.mark.proves("F15")
def test_an_order_change_shows_its_order(order_change):
    hint = _hint(order_change)
    assert (hint.kind, hint.object_id) == (HintKind.ORDER, "112-0000000-0000002")
    assert hint.order is not None
    assert hint.order.channel_order_id == hint.object_id
    assert json.loads(hint.order.payload) == order_change


@pytest.mark.parametrize("missing", ["OrderItems", "PurchaseDate", None])
def test_an_order_change_that_shows_too_little_is_a_hint_alone(missing, order_change):
    change = order_change["Payload"]["OrderChangeNotification"]
    if missing is None:
        del change["Summary"]
    else:
        change["Summary"][missing] = None
    hint = _hint(order_change)
    assert (hint.kind, hint.order) == (HintKind.ORDER, None)


def test_a_changed_quantity_is_a_hint_at_its_listing():
    payload = {"SellerId": "A1", "FulfillmentChannelCode": "DEFAULT", "Sku": "TEE-M", "Quantity": 9}
    fields = {"NotificationType": "LISTINGS_ITEM_MFN_QUANTITY_CHANGE", "Payload": payload}
    hint = _hint(fields)
    assert (hint.kind, hint.object_id, hint.quantity) == (HintKind.LISTING, "TEE-M", 9)
    assert _hint(
        {**fields, "Payload": {**payload, "FulfillmentChannelCode": "AMAZON_NA"}}
    ).kind is (HintKind.NOTHING)
    for wrong in ({"Sku": ""}, {"Quantity": -1}, {"Quantity": True}, {"Quantity": "9"}):
        with pytest.raises(BadPayload):
            _hint({**fields, "Payload": {**payload, **wrong}})


def test_the_end_of_a_feed_or_report_and_what_is_new_say_nothing():
    for kind in ("FEED_PROCESSING_FINISHED", "REPORT_PROCESSING_FINISHED", "SOMETHING_NEW"):
        assert _hint({"notificationType": kind, "payload": {}}).kind is HintKind.NOTHING


@pytest.mark.proves("A13", "A22")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        [],
        None,
        "x",
        {"NotificationType": 7},
        {"NotificationType": "ORDER_CHANGE"},
        {"NotificationType": "ORDER_CHANGE", "Payload": {}},
        {"NotificationType": "ORDER_CHANGE", "Payload": {"OrderChangeNotification": []}},
        {"NotificationType": "ORDER_CHANGE", "Payload": "x"},
    ],
)
def test_what_makes_no_sense_is_bad_payload(fields):
    with pytest.raises(BadPayload):
        _hint(fields)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_the_only_error_is_bad_payload(body):
    with pytest.raises(BadPayload):
        WEBHOOK.read_hint({}, body)


def test_nothing_over_the_web_is_genuine(order_change):
    assert not WEBHOOK.verify(None, {}, json.dumps(order_change).encode())
    assert WEBHOOK.topic({"x-amz-topic": "ORDER_CHANGE"}) == ""
