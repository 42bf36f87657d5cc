"""Every call is told of where the one transport is: what, how long, with which request id."""

from dataclasses import replace

import httpx
import pytest

from connectors.amazon.client import Client
from connectors.amazon.session import AmazonSession, open_session
from oms_sync.sdk import (
    ChannelDown,
    ChannelError,
    OutcomeUnknown,
    OutgoingPackage,
    OutgoingShipment,
)


class Log:
    """A CallLog one can read."""

    def __init__(self):
        self.calls = []

    def note(self, call):
        self.calls.append(call)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def told(amazon, request_for, log, clock):
    """A session whose calls are told of."""
    request = replace(request_for(clock=clock), calls=log)
    client = Client(request, inner=httpx.MockTransport(amazon))
    yield AmazonSession(request, client)
    client.close()


def test_a_call_is_noted_with_its_request_id_and_duration(amazon, told, log, clock, shown_order):
    def slowly(_):
        clock.advance(0.25)
        return {"order": shown_order()}

    amazon.headers = {"x-amzn-RequestId": "request-7"}
    amazon.on("getOrder", slowly)
    began = clock.now()
    told.read_orders_by_id(["111-0000000-0000001"])
    grant, call = log.calls
    assert grant.operation == "token"
    assert (call.operation, call.status, call.request_id) == ("getOrder", "200", "request-7")
    assert (call.duration_seconds, call.cost) == (0.25, 1)
    assert call.at == began
    assert "canary" not in repr(log.calls)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (500, "500"),
        (429, "429"),
        (httpx.Response(200, content=b"<html>"), "200"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.ConnectError("refused"), "no answer"),
    ],
)
def test_a_call_that_fails_is_noted_too(answer, status, amazon, told, log):
    amazon.on("getOrder", answer)
    with pytest.raises(ChannelError):
        told.read_orders_by_id(["111-0000000-0000001"])
    assert (log.calls[-1].operation, log.calls[-1].status) == ("getOrder", status)


def test_a_write_without_an_answer_is_noted_as_such(amazon, told, log, shown_order):
    amazon.on("getOrder", {"order": shown_order()})
    amazon.on("confirmShipment", httpx.ReadTimeout("slow"))
    package = OutgoingPackage(carrier="ups", tracking_number="1Z", tracking_url=None)
    with pytest.raises(OutcomeUnknown):
        told.push_shipment(
            OutgoingShipment(
                key="k",
                channel_order_id="111-0000000-0000001",
                lines={"90000000000001": 1},
                packages=(package,),
                service=None,
                shipped_at=told._client.now(),
            )
        )
    assert (log.calls[-1].operation, log.calls[-1].status) == ("confirmShipment", "timeout")


def test_the_queue_is_noted_where_it_gave_something(seller, log):
    session = open_session(replace(seller.request(), calls=log))
    assert session.pull(0) == ()
    assert log.calls == [], "empty pulls, every few seconds, would drown the others"
    seller.place_order(1)
    (one,) = session.pull(0)
    session.acknowledge([one.receipt])
    seller.sandbox.sqs.secret_access_key = "another"
    with pytest.raises(ChannelDown):
        session.pull(0)
    session.close()
    names = [(call.operation, call.status) for call in log.calls]
    assert names == [
        ("sqs receive_message", "200"),
        ("sqs delete_message_batch", "200"),
        ("sqs receive_message", "403"),
    ]
