"""The sandbox as a whole: one ASGI application that is a seller's account and its controls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from starlette.applications import Starlette

from connectors.ebay.sandbox.books import Books
from connectors.ebay.sandbox.complete import CompleteSale
from connectors.ebay.sandbox.extra_controls import extra_routes
from connectors.ebay.sandbox.limits import Limits
from connectors.ebay.sandbox.notifications import Notifications
from connectors.ebay.sandbox.post_order import PostOrderDoors
from connectors.ebay.sandbox.pushes import Pushes
from connectors.ebay.sandbox.rest import Rest
from connectors.ebay.sandbox.rest_account import AnalyticsDoors
from connectors.ebay.sandbox.rest_fulfilment import FulfilmentDoors
from connectors.ebay.sandbox.rest_inventory import InventoryDoors
from connectors.ebay.sandbox.sales import SellerSales
from connectors.ebay.sandbox.tokens import RU_NAME, Tokens
from connectors.ebay.sandbox.trading import WRITES, Trading
from oms_sync.sdk.sandbox import (
    FaultSwitches,
    Now,
    Refusal,
    Sandbox,
    SandboxOptions,
    buyers,
    control_routes,
    refusal_response,
)
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import (
    WIRE_FAULTS,
    Call,
    Courier,
    Receive,
    Reply,
    Send,
    Wire,
    read_request,
    send_reply,
)

FAULTS: Final = (
    *WIRE_FAULTS,
    *"F07 F08 F09 F11 F12 F13 F14 F15 F17 F18 F22 F26 F33 F41 F42 F50".split(),
)
LEVEL: Final = 1423
TOPICS: Final = ("ORDER_CONFIRMATION",)
_TRADING_PATH: Final = "/ws/api.dll"
_TOKEN_PATH: Final = "/identity/v1/oauth2/token"  # noqa: S105 - a path
_CONSENT_PATH: Final = "/oauth2/authorize"
_CONTROL_PATH: Final = "/_sandbox/"
#: where nobody listens: a caller that follows redirects gets no further
_ELSEWHERE: Final = "http://127.0.0.1:9/ws/api.dll"


def create_sandbox(options: SandboxOptions, *, now: Now | None = None) -> Sandbox:
    """The connector's `sandbox` factory."""
    return EbaySandbox(options, now or (lambda: datetime.now(UTC)))


class EbaySandbox:
    """A seller on loopback; see `oms_sync.sdk.sandbox.Sandbox`."""

    def __init__(self, options: SandboxOptions, now: Now) -> None:
        self.options = options
        self.faults = FaultSwitches(FAULTS, seed=options.seed, stream=options.account)
        self.store = Store(options, self.faults, now)
        self._courier = Courier(options)
        self.books = Books(self.store)
        self.sales = SellerSales(self.books)
        self.tokens, self.limits = Tokens(self.store), Limits(self.store)
        limits = self.limits
        complete = CompleteSale(self.books, self.sales)
        self.trading = Trading(self.books, self.tokens, limits, complete)
        self.pushes = Pushes(self.books, self._courier)
        self.post_order = PostOrderDoors(self.books, self.sales)
        self._notifications = Notifications(self.store, self.pushes)
        self._rest = Rest(
            self.store,
            self.tokens,
            limits,
            (
                *InventoryDoors(self.books).doors,
                *FulfilmentDoors(self.books).doors,
                *self.post_order.doors,
                *self._notifications.doors,
                *AnalyticsDoors(limits).doors,
            ),
        )
        self._wire = Wire(self.faults, options)
        self._request_numbers = count(1)
        self._controls = Starlette(
            routes=[
                *extra_routes(self.sales, self.post_order, self.pushes),
                *control_routes(self.sales, self.faults, options),
            ],
            exception_handlers={Refusal: refusal_response},
            lifespan=self._lifespan,
        )
        if options.public_hub:
            hub = options.public_hub.rstrip("/")
            self.pushes.configure(f"{hub}/webhooks/{options.account}", TOPICS)

    @property
    def app(self) -> Any:
        return self

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._courier.running(), buyers(self.sales, self.options):
            yield

    def truth(self) -> dict[str, Any]:
        return self.sales.truth()

    def account_entry(self) -> dict[str, Any]:
        secret, options = self.store.secret, self.options
        settings: dict[str, Any] = {name: secret(name) for name in ("app_id", "dev_id", "cert_id")}
        settings |= {"ru_name": RU_NAME, "site_id": 0}
        settings |= {"signing_key": self._rest.key.shown(), "signing_jwe": self._rest.key.jwe}
        settings |= {"refresh_token": self.tokens.refresh_token, "compatibility_level": LEVEL}
        settings |= {"marketplace_id": "EBAY_US", "visibility_lag_seconds": options.lag_seconds}
        settings |= {"verification_token": secret("verification_token")}
        entry: dict[str, Any] = {"name": options.account, "connector": "ebay", "mode": "live"}
        # Of 5,000 calls a day a poll every second would leave none.
        entry |= {"poll_seconds": 60 if options.limits_published else 1}
        entry |= {"endpoint": options.base_url, "settings": settings}
        return entry

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith(_CONTROL_PATH):
            await self._controls(scope, receive, send)
            return
        body = await read_request(receive)
        if body is None:
            await send_reply(send, Reply(status=413, body=b""))
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        if scope["method"] == "POST" and path.endswith(_TOKEN_PATH):
            with self.store.act():
                granted = self.tokens.grant(body, headers)
            await send_reply(send, granted)
            return
        if scope["method"] == "GET" and path.endswith(_CONSENT_PATH):
            with self.store.act():
                page = self.tokens.ask_seller(
                    scope.get("query_string", b"").decode(), self.options.base_url
                )
            await send_reply(send, page)
            return
        call = await self._call(scope, headers, body)
        if call is None:
            await send_reply(send, Reply(status=404, body=b'{"errors": []}'))
        elif self.faults.fires("F50"):
            moved = (("location", _ELSEWHERE),)
            await send_reply(send, Reply(status=307, body=b"", headers=moved))
        else:
            await self._wire.answer(call, receive, send)

    async def _call(self, scope: Any, headers: dict[str, str], body: bytes) -> Call | None:
        """The request, ready to be worked off; None when there is nothing at its path."""
        path, method = scope["path"], scope["method"]
        if method == "POST" and path.endswith(_TRADING_PATH):
            is_write = headers.get("x-ebay-api-call-name") in WRITES
            return Call(
                work=lambda: self._named(self.trading.answer(headers, body)), is_write=is_write
            )
        found = self._rest.find(method, path)
        if found is None:
            return None
        await self._notifications.challenge(found[0].name, body)
        query = scope.get("query_string", b"").decode()
        is_write = method != "GET"
        work = self._rest.answer
        return Call(
            work=lambda: self._named(work(found, headers, (query, body))), is_write=is_write
        )

    def _named(self, reply: Reply) -> Reply:
        """The answer with the id it is known by at the channel."""
        name = f"t6sandbox-{next(self._request_numbers):x}"
        return replace(reply, headers=(*reply.headers, ("rlogid", name)))
