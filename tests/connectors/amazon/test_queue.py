"""The queue: long polls, batches in part, others' messages, trouble that stops nothing."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from connectors.amazon.queue import Queue
from connectors.amazon.settings import QueueSettings
from connectors.amazon.webhook import WEBHOOK
from oms_sync.sdk import ChannelDown, RateLimited, RetryLater

SELLER = "A1EXAMPLESELLER"
URL = "http://127.0.0.1:9/123456789012/orders"


class Sqs:
    """What boto3's client would do, laid ready."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: Any = {}

    def _act(self, name: str, words: dict[str, Any]) -> Any:
        self.asked.append((name, words))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def receive_message(self, **words: Any) -> Any:
        return self._act("receive", words)

    def delete_message_batch(self, **words: Any) -> Any:
        return self._act("delete", words)


@pytest.fixture
def queue(request_for) -> Queue:
    settings = QueueSettings.model_validate(
        {
            "queue_url": URL,
            "endpoint_url": "http://127.0.0.1:9",
            "aws_region": "us-east-1",
            "access_key_id": "AKIAEXAMPLE",
            "secret_access_key": "canary-key",
        }
    )
    made = Queue(settings, SELLER, request_for())
    made._sqs = Sqs()  # in place of the client that would be made at the first pull
    return made


def _message(seller=SELLER, receipt="r1", **changes):
    change = {"SellerId": seller, "AmazonOrderId": "111-0000000-0000001"}
    fields = {
        "NotificationType": "ORDER_CHANGE",
        "Payload": {"OrderChangeNotification": change},
        **changes,
    }
    return {"MessageId": "m", "ReceiptHandle": receipt, "Body": json.dumps(fields)}


def _failure(code):
    return ClientError({"Error": {"Code": code, "Message": "canary"}}, "ReceiveMessage")


def test_a_pull_waits_as_long_as_it_is_told_and_never_long(queue):
    for seconds, sent in ((2.0, 2), (0.0, 0), (0.4, 0), (60.0, 5), (-1.0, 0)):
        assert queue.pull(seconds) == ()
        assert queue._sqs.asked[-1] == (
            "receive",
            {"QueueUrl": URL, "MaxNumberOfMessages": 10, "WaitTimeSeconds": sent},
        )


def test_a_message_is_its_body_receipt_and_type(queue):
    queue._sqs.answer = {"Messages": [_message()]}
    (one,) = queue.pull(0)
    assert (one.receipt, one.topic, dict(one.headers)) == ("r1", "ORDER_CHANGE", {})
    assert WEBHOOK.read_hint(one.headers, one.body).object_id == "111-0000000-0000001"


@pytest.mark.proves("F38", "A11")
def test_another_sellers_message_stays_in_the_queue(queue):
    camel = {
        "notificationType": "FEED_PROCESSING_FINISHED",
        "payload": {"feedProcessingFinishedNotification": {"sellerId": SELLER}},
    }
    queue._sqs.answer = {
        "Messages": [
            _message("A2OTHER", "foreign"),
            _message(receipt="ours"),
            {"MessageId": "m", "ReceiptHandle": "feed", "Body": json.dumps(camel)},
        ]
    }
    assert [one.receipt for one in queue.pull(0)] == ["ours", "feed"]


@pytest.mark.proves("A12", "A13", "A26")
@pytest.mark.parametrize("body", ["", "no json", "[]", "{}", '{"NotificationType": 7}', "\ud800"])
def test_a_message_without_sense_is_handed_on_as_it_is(body, queue):
    queue._sqs.answer = {"Messages": [{"ReceiptHandle": "r", "Body": body}]}
    (one,) = queue.pull(0)
    assert (one.topic, one.receipt) == ("unknown", "r")


def test_acknowledging_goes_in_batches_of_ten(queue):
    queue._sqs.answer = {"Successful": [{"Id": str(n)} for n in range(10)]}
    queue.acknowledge([f"r{n}" for n in range(23)])
    sizes = [len(words["Entries"]) for _, words in queue._sqs.asked]
    assert sizes == [10, 10, 3]
    assert queue._sqs.asked[2][1]["Entries"][0] == {"Id": "0", "ReceiptHandle": "r20"}
    queue.acknowledge([])
    assert len(queue._sqs.asked) == 3


@pytest.mark.proves("F08", "I-23")
def test_a_message_that_could_not_be_taken_out_is_said(queue):
    failed = [{"Id": "1", "Code": "InternalError", "SenderFault": False}]
    queue._sqs.answer = {"Successful": [{"Id": "0"}], "Failed": failed}
    with pytest.raises(RetryLater, match="1 notifications"):
        queue.acknowledge(["a", "b"])
    queue._sqs.answer = {}
    with pytest.raises(RetryLater):
        queue.acknowledge(["a"])


def test_a_receipt_somebody_else_holds_by_now_is_no_failure(queue):
    failed = [{"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": True}]
    queue._sqs.answer = {"Failed": failed}
    queue.acknowledge(["a"])


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (_failure("RequestThrottled"), RateLimited),
        (_failure("AccessDenied"), ChannelDown),
        (_failure("AWS.SimpleQueueService.NonExistentQueue"), ChannelDown),
        (_failure("InvalidClientTokenId"), ChannelDown),
        (EndpointConnectionError(endpoint_url=URL), ChannelDown),
        (ReadTimeoutError(endpoint_url=URL), ChannelDown),
    ],
)
def test_a_queue_in_trouble_delays_and_never_stops_the_account(failure, error, queue):
    """Polling finds every order without it: a queue is no reason to stop selling."""
    queue._sqs.answer = failure
    for act in (lambda: queue.pull(0), lambda: queue.acknowledge(["a"])):
        with pytest.raises(error) as raised:
            act()
        assert isinstance(raised.value, RetryLater)
        assert "canary" not in str(raised.value)


def test_an_answer_of_another_shape_is_retried(queue):
    for answer in ({"Messages": [{}]}, {"Messages": "x"}, {"Messages": [{"Body": 7}]}):
        queue._sqs.answer = answer
        with pytest.raises(ChannelDown):
            queue.pull(0)


@pytest.mark.proves("A35")
def test_only_the_settings_credentials_and_address_are_used(monkeypatch, tmp_path, request_for):
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    for name, value in {
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ACCESS_KEY_ID": "AKIAFOREIGN",
        "AWS_SECRET_ACCESS_KEY": "foreign",
        "AWS_SESSION_TOKEN": "foreign",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:2",
    }.items():
        monkeypatch.setenv(name, value)
    settings = QueueSettings.model_validate(
        {
            "queue_url": "https://sqs.us-west-2.amazonaws.com/1/q",
            "aws_region": "us-west-2",
            "access_key_id": "AKIAEXAMPLE",
            "secret_access_key": "canary-key",
        }
    )
    queue = Queue(settings, SELLER, request_for())
    sqs = queue._sqs
    credentials = sqs._request_signer._credentials
    assert (credentials.access_key, credentials.token) == ("AKIAEXAMPLE", None)
    assert sqs.meta.endpoint_url == "https://sqs.us-west-2.amazonaws.com"
    assert sqs.meta.region_name == "us-west-2"
    assert not sqs._endpoint.http_session._proxy_config.proxy_url_for(sqs.meta.endpoint_url)
    queue.close()
    assert boto3.DEFAULT_SESSION is None


@pytest.mark.proves("F11", "F12", "I-03")
def test_what_is_not_acknowledged_comes_again_from_the_sandbox(seller):
    session = seller.open()
    assert session.has_queue()
    placed = seller.announce()
    (first,) = session.pull(0)
    assert session.pull(0) == ()
    seller.redeliver()
    (again,) = session.pull(0)
    assert again.body == first.body
    hint = WEBHOOK.read_hint(again.headers, again.body)
    assert hint.object_id == placed
    assert hint.order is not None
    sight = session.parse_order(hint.order.payload, seller.now())
    assert sight.lines[0].channel_listing_id == seller.sku()
    session.acknowledge([again.receipt])
    seller.redeliver()
    assert session.pull(0) == ()


def test_an_account_without_a_queue_has_none(open_session):
    session = open_session()
    assert not session.has_queue()
    assert session.pull(2.0) == ()
    session.acknowledge([])
