"""Shadow mode at the socket: of a session that must not write no write arrives, whoever asks."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from oms_sync.cli.workbench import serve, workbench
from oms_sync.domain.values import Money
from oms_sync.runtime.registry import load_registry
from oms_sync.sdk import (
    Capability,
    ChannelError,
    OutcomeUnknown,
    OutgoingPackage,
    OutgoingShipment,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.writes import (
    OutgoingCancellation,
    OutgoingHold,
    OutgoingRefund,
    TrackingCorrection,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
#: paths that are asked by POST and change nothing
READING = ("/token", "/access_token", "/check_eligibility")
CHANNELS = ("amazon", "ebay", "shopify")
PACKAGE = OutgoingPackage(carrier="ups", tracking_number="1Z9", tracking_url=None)


def is_write(method: str, path: str, headers: dict[str, str], body: bytes) -> bool:
    """What changes something at the channel; whatever is not known to read counts as writing."""
    if method in ("GET", "HEAD") or path.endswith(READING):
        return False
    if path.endswith("/ws/api.dll"):
        return not headers.get("x-ebay-api-call-name", "").startswith("Get")
    if path.endswith("/graphql.json"):
        return "mutation" in json.loads(body)["query"]
    return True


class Socket:
    """Remembers every request that reaches the look-alike's port, and which of them write."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.writes: list[str] = []

    def watch(self, app: Any) -> Any:
        async def watched(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            messages = [await receive()]
            while messages[-1].get("more_body"):
                messages.append(await receive())
            self._note(scope, b"".join(one.get("body", b"") for one in messages))

            async def replayed() -> Any:
                return messages.pop(0) if messages else await receive()

            await app(scope, replayed, send)

        return watched

    def _note(self, scope: Any, body: bytes) -> None:
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        request = f"{scope['method']} {scope['path']}"
        self.requests.append(request)
        if is_write(scope["method"], scope["path"], headers, body):
            self.writes.append(request)


@contextmanager
def shadowed(name: str) -> Iterator[tuple[Any, Any, Any, Socket]]:
    """A session in shadow mode, warmed up, with its channel, manifest and socket."""
    connector = load_registry().get(name)
    start = connector.load_contract()
    assert start is not None
    socket = Socket()
    bench = workbench(connector)

    @contextmanager
    def serve_watched(app: Any) -> Iterator[str]:
        with serve(socket.watch(app)) as url:
            yield url

    with start(replace(bench, serve=serve_watched)) as channel:
        session = channel.open(may_write=False)
        yield session, channel, connector.manifest, socket


def _acts(session: Any, channel: Any, order_id: str) -> dict[Capability, Callable[[], object]]:
    """Every write there is, each with something the channel would do at once."""
    listing_id = channel.listing_ids()[0]
    quantity = channel.quantity(listing_id)
    push = StockPush(
        channel_listing_id=listing_id, channel_sku="SKU", quantity=quantity + 1, expected=quantity
    )
    (order,) = session.read_orders_by_id([order_id])
    lines = {
        line.channel_line_id: line.quantity_ordered or 0
        for line in session.parse_order(order.payload, channel.now()).lines
    }
    about = {"key": "k-1", "channel_order_id": order_id}
    sent = {"packages": (PACKAGE,), "service": None, "shipped_at": AT}
    correction = {"channel_shipment_id": "s-1", "lines": lines, **sent}
    amount = Money.parse("1.00", "USD")
    return {
        Capability.PUSH_STOCK: lambda: session.push_stock(StockBatch(key="k-1", entries=(push,))),
        Capability.PUSH_TRACKING: lambda: session.push_shipment(
            OutgoingShipment(**about, lines=lines, **sent)
        ),
        Capability.CORRECT_TRACKING: lambda: session.correct_shipment(
            TrackingCorrection(**about, **correction)
        ),
        Capability.CANCEL_ORDERS: lambda: session.cancel_order(
            OutgoingCancellation(**about, lines=lines, is_whole=True, reason="stock")
        ),
        Capability.REFUND_ORDERS: lambda: session.refund_order(
            OutgoingRefund(**about, amount=amount, reason="other")
        ),
        Capability.HOLD_ORDERS: lambda: session.hold_order(OutgoingHold(**about)),
        Capability.RECEIVE_WEBHOOKS: lambda: session.ensure_subscriptions("https://hub.example/w"),
    }


@pytest.mark.parametrize("name", CHANNELS)
def test_no_write_of_a_shadowed_account_reaches_the_socket(name):
    with shadowed(name) as (session, channel, manifest, socket):
        order_id = channel.place_order(1)
        channel.advance(600)
        session.read_orders_by_id([order_id])  # tokens are fetched now
        session.read_stock(channel.listing_ids()[:1])
        before = channel.quantity(channel.listing_ids()[0])
        refused: dict[Capability, str] = {}
        for capability, act in _acts(session, channel, order_id).items():
            if capability not in manifest.capabilities:
                continue
            try:
                act()
            except OutcomeUnknown as error:
                raise AssertionError(f"{capability} was sent: its outcome is unknown") from error
            except ChannelError as error:
                refused[capability] = str(error)
            assert socket.writes == [], f"{capability} reached the socket"
        assert "shadow" in refused[Capability.PUSH_STOCK]
        assert "shadow" in refused[Capability.PUSH_TRACKING]
        assert channel.quantity(channel.listing_ids()[0]) == before
        assert channel.fulfilments(order_id) == 0


@pytest.mark.parametrize("name", ["ebay", "shopify"])
def test_the_socket_sees_what_a_live_account_writes(name):
    """The counter itself works: the same write, live, arrives."""
    connector = load_registry().get(name)
    socket, start = Socket(), connector.load_contract()
    assert start is not None

    @contextmanager
    def serve_watched(app: Any) -> Iterator[str]:
        with serve(socket.watch(app)) as url:
            yield url

    with start(replace(workbench(connector), serve=serve_watched)) as channel:
        session = channel.open()
        order_id = channel.place_order(1)
        channel.advance(600)
        _acts(session, channel, order_id)[Capability.PUSH_STOCK]()
        assert len(socket.writes) == 1
