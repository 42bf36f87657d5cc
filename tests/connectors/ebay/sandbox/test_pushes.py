"""The Notification API: endpoints proved by a challenge, subscriptions, genuine signatures."""

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SKU, OTHER = "TEE RED M", "00042"
BASE = "/commerce/notification/v1"
PAYLOAD = {"format": "JSON", "schemaVersion": "1.0", "deliveryProtocol": "HTTPS"}


def configure(seller):
    body = {"alertEmail": "alerts@example.com"}
    assert seller.rest("PUT", f"{BASE}/config", body, token="application")[0] == 204


def make_destination(seller, hub, **changes):
    delivery = {"endpoint": hub.url, "verificationToken": hub.token}
    body = {"name": "hub", "status": "ENABLED", "deliveryConfig": delivery} | changes
    return seller.rest("POST", f"{BASE}/destination", body, token="application")


def subscribe(seller, destination, *, token="user", **changes):
    body = {"topicId": "ORDER_CONFIRMATION", "destinationId": destination}
    body |= {"payload": PAYLOAD, "status": "ENABLED"} | changes
    return seller.rest("POST", f"{BASE}/subscription", body, token=token)


@pytest.fixture
def subscribed(seller, hub):
    """A seller that tells the hub of orders; the number of the subscription."""
    configure(seller)
    status, headers, _ = make_destination(seller, hub)
    assert status == 201, hub
    number = headers["location"].rpartition("/")[2]
    status, headers, _ = subscribe(seller, number)
    assert status == 201
    return headers["location"].rpartition("/")[2]


def verified(seller, headers, body):
    """The message of a push, after the whole check a receiver makes."""
    parts = json.loads(base64.b64decode(headers["x-ebay-signature"], validate=True))
    path = f"{BASE}/public_key/{parts['kid']}"
    status, _, shown = seller.rest("GET", path, token="application")
    assert (status, shown["algorithm"], shown["digest"]) == (200, "ECDSA", "SHA1")
    assert "\n" not in shown["key"]
    key = load_pem_public_key(shown["key"].encode())
    assert isinstance(key.curve, ec.SECP256R1)
    scheme = ec.ECDSA(hashes.SHA1())  # noqa: S303 - the vendor signs with it
    key.verify(base64.b64decode(parts["signature"]), body, scheme)
    return json.loads(body)


def test_a_paid_order_is_pushed_line_by_line_with_a_good_signature(seller, hub, subscribed, wait):
    order_id = seller.buy((SKU, 2), (OTHER, 1))
    wait(lambda: len(hub.received) == 2)
    messages = [verified(seller, *each) for each in hub.received]
    for message in messages:
        assert message["metadata"]["topic"] == "ORDER_CONFIRMATION"
        assert message["notification"]["data"]["order"]["orderId"] == order_id
    lines = [each["notification"]["data"]["order"]["orderLineItems"] for each in messages]
    bought = {(one["listingId"], one["quantity"]) for each in lines for one in each}
    assert bought == {(seller.item(SKU), 2), (seller.item(OTHER), 1)}
    assert len({each["notification"]["notificationId"] for each in messages}) == 2
    assert seller.sandbox.pushes.answers == {204: 2}


def test_the_signature_is_over_the_very_bytes(seller, hub, subscribed, wait):
    seller.buy((SKU, 1))
    wait(lambda: hub.received)
    headers, body = hub.received[0]
    assert verified(seller, headers, body)
    respaced = json.dumps(json.loads(body)).encode()
    for changed in (respaced, body[:-1] + b" ", body.replace(b"orderId", b"orderID")):
        assert changed != body
        with pytest.raises(InvalidSignature):
            verified(seller, headers, changed)


def test_an_unpaid_order_is_pushed_when_it_is_paid(seller, hub, subscribed, wait):
    unpaid = seller.buy((SKU, 1), paid=False)
    seller.act(unpaid, "pay")
    wait(lambda: hub.received)
    told = json.loads(hub.received[0][1])["notification"]["data"]["order"]
    assert told["orderId"] == next(iter(seller.truth()["orders"])) != unpaid


def test_a_refused_push_is_counted_and_sent_again(seller, hub, subscribed, wait):
    hub.answers[:] = [412, 500]
    seller.buy((SKU, 1))
    wait(lambda: len(hub.received) == 3)
    assert len({body for _, body in hub.received}) == 1
    wait(lambda: seller.sandbox.pushes.answers == {412: 1, 500: 1, 204: 1})


def test_a_destination_nobody_answers_is_marked_down(start_seller, hub, wait):
    seller = start_seller(retry_gap_seconds=0.001)
    configure(seller)
    number = make_destination(seller, hub)[1]["location"].rpartition("/")[2]
    subscribe(seller, number)
    hub.answers[:] = [503] * 20
    seller.buy((SKU, 1))

    def shown():
        path = f"{BASE}/destination/{number}"
        return seller.rest("GET", path, token="application")[2]["status"]

    wait(lambda: shown() == "MARKED_DOWN")
    path = f"{BASE}/subscription"
    assert seller.rest("GET", path)[2]["subscriptions"][0]["destinationId"] == number
    body = {"name": "hub", "status": "ENABLED"}
    body["deliveryConfig"] = {"endpoint": hub.url, "verificationToken": hub.token}
    path = f"{BASE}/destination/{number}"
    assert seller.rest("PUT", path, body, token="application")[0] == 204
    hub.answers.clear()
    before = len(hub.received)
    seller.buy((SKU, 1))
    wait(lambda: len(hub.received) > before)


def test_an_endpoint_that_fails_the_challenge_is_no_destination(seller, hub):
    assert make_destination(seller, hub)[2]["errors"][0]["errorId"] == 195003
    configure(seller)
    told, hub.token = hub.token, "b-verification-token-of-32-letters-x"
    delivery = {"endpoint": hub.url, "verificationToken": told}
    status, _, said = make_destination(seller, hub, deliveryConfig=delivery)
    assert (status, said["errors"][0]["errorId"]) == (409, 195020)
    hub.token = told
    assert make_destination(seller, hub)[0] == 201
    assert make_destination(seller, hub)[2]["errors"][0]["errorId"] == 195021
    assert make_destination(seller, hub, status="MARKED_DOWN")[2]["errors"][0]["errorId"] == 195018


@pytest.mark.parametrize(
    ("endpoint", "token", "code"),
    [
        ("http://hub.example/webhooks/a", "x" * 40, 195017),
        ("ftp://127.0.0.1/webhooks/a", "x" * 40, 195017),
        ("http://127.0.0.1:9/webhooks/a", "short", 195019),
        ("http://127.0.0.1:9/webhooks/a", "x" * 40, 195020),  # nobody there
    ],
)
def test_bad_destinations_are_refused(seller, hub, endpoint, token, code):
    configure(seller)
    delivery = {"endpoint": endpoint, "verificationToken": token}
    said = make_destination(seller, hub, deliveryConfig=delivery)[2]
    assert said["errors"][0]["errorId"] == code


@pytest.mark.parametrize(
    ("changes", "token", "code"),
    [
        ({"topicId": "ORDER_CANCELLED"}, "user", 195027),
        ({}, "application", 195011),  # a topic of the seller's own
        ({"payload": PAYLOAD | {"schemaVersion": "9.9"}}, "user", 195008),
        ({"payload": PAYLOAD | {"format": "XML"}}, "user", 195009),
        ({"payload": {}}, "user", 195010),
        ({"status": "ON"}, "user", 195006),
        ({"destinationId": "1"}, "user", 195007),
        ({}, "user", 195012),  # it is there already
    ],
)
def test_bad_subscriptions_are_refused(seller, subscribed, changes, token, code):
    path = f"{BASE}/destination"
    (known,) = seller.rest("GET", path, token="application")[2]["destinations"]
    said = subscribe(seller, known["destinationId"], token=token, **changes)[2]
    assert said["errors"][0]["errorId"] == code


def test_a_subscription_can_be_tested_and_given_up(seller, hub, subscribed, wait):
    path = f"{BASE}/subscription/{subscribed}"
    assert seller.rest("POST", f"{path}/test")[0] == 202
    wait(lambda: hub.received)
    assert verified(seller, *hub.received[0])
    assert seller.rest("DELETE", path)[0] == 204
    assert seller.rest("GET", path)[0] == 404
    seller.buy((SKU, 1))
    assert len(hub.received) == 1


def test_an_unknown_key_is_not_found_and_needs_the_applications_token(seller):
    path = f"{BASE}/public_key/6c9a0d0e-0000-0000-0000-000000000000"
    assert seller.rest("GET", path, token="application")[0] == 404
    assert seller.rest("GET", path)[0] == 403


def test_a_hub_given_at_the_start_is_subscribed_without_asking(start_seller, hub, wait):
    base = hub.url.removesuffix("/webhooks/ebay-us")
    seller = start_seller(public_hub=f"{base}/")
    seller.buy((SKU, 1))
    wait(lambda: hub.received)
    assert verified(seller, *hub.received[0])
    assert seller.rest("GET", f"{BASE}/subscription")[2]["total"] == 0
    # one made through the API takes its place, so that nothing comes twice
    configure(seller)
    number = make_destination(seller, hub)[1]["location"].rpartition("/")[2]
    assert subscribe(seller, number)[0] == 201
    hub.received.clear()
    seller.buy((SKU, 1))
    wait(lambda: hub.received)
    assert len(hub.received) == 1


@pytest.mark.proves("F11")
def test_the_same_push_may_come_twice(seller, hub, subscribed, wait):
    seller.force("F11")
    seller.buy((SKU, 1))
    wait(lambda: len(hub.received) == 2)
    assert hub.received[0][1] == hub.received[1][1]
    assert seller.fired("F11") == 1


@pytest.mark.proves("F12")
def test_the_same_fact_may_come_under_two_ids(seller, hub, subscribed, wait):
    seller.force("F12")
    seller.buy((SKU, 1))
    wait(lambda: len(hub.received) == 2)
    told = [json.loads(body)["notification"] for _, body in hub.received]
    assert told[0]["data"] == told[1]["data"]
    assert told[0]["notificationId"] != told[1]["notificationId"]


@pytest.mark.proves("F13")
def test_a_late_push_comes_after_a_younger_one(seller, hub, subscribed, wait):
    seller.force("F13")
    orders = [seller.buy((SKU, 1)), seller.buy((SKU, 1))]
    wait(lambda: len(hub.received) == 2)
    told = [json.loads(body)["notification"]["data"]["order"] for _, body in hub.received]
    assert [each["orderId"] for each in told] == orders[::-1]


@pytest.mark.proves("F14")
def test_a_push_may_never_come(seller, hub, subscribed, wait):
    seller.force("F14")
    seller.buy((SKU, 1))
    second = seller.buy((OTHER, 1))
    wait(lambda: hub.received)
    assert second in hub.received[0][1].decode()
    assert (len(hub.received), seller.fired("F14")) == (1, 1)
