"""The sandbox as a whole: one ASGI application that is a shop, its token desk and its controls."""

import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from starlette.applications import Starlette

from connectors.shopify.sandbox.changes_orders import OrderChanges
from connectors.shopify.sandbox.changes_stock import StockChanges
from connectors.shopify.sandbox.changes_work import WorkChanges
from connectors.shopify.sandbox.endpoint import Endpoint
from connectors.shopify.sandbox.gids import gid
from connectors.shopify.sandbox.merchant import Merchant, ShopSales
from connectors.shopify.sandbox.order_views import OrderViews
from connectors.shopify.sandbox.queries import Queries
from connectors.shopify.sandbox.tokens import Tokens
from connectors.shopify.sandbox.views import CatalogueViews, domain
from connectors.shopify.sandbox.webhooks import Webhooks
from oms_sync.sdk.sandbox import (
    FaultSwitches,
    Now,
    Purchase,
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
    *"F07 F08 F09 F11 F12 F13 F14 F15 F17 F18 F19 F20 F26 F40 F41".split(),
)
VERSIONS: Final = ("2026-04", "2026-07", "2026-10")
TOPICS: Final = tuple(
    "ORDERS_CREATE ORDERS_UPDATED ORDERS_CANCELLED ORDERS_EDITED ORDERS_PAID REFUNDS_CREATE "
    "FULFILLMENTS_CREATE INVENTORY_LEVELS_UPDATE ORDERS_DELETE "
    "REVERSE_FULFILLMENT_ORDERS_DISPOSE RETURNS_CLOSE".split()
)
_GRAPHQL: Final = re.compile(r"/admin/api/(\d{4}-\d{2})/graphql\.json$")
_TOKEN_PATH: Final = "/admin/oauth/access_token"  # noqa: S105 - a path
_CONTROL_PATH: Final = "/_sandbox/"
#: its times are whole seconds, so nothing is known to show sooner
LAG_SECONDS_MIN: Final = 1.0


def create_sandbox(options: SandboxOptions, *, now: Now | None = None) -> Sandbox:
    """The connector's `sandbox` factory."""
    return ShopifySandbox(options, now or (lambda: datetime.now(UTC)))


class ShopifySandbox:
    """A shop on loopback; see `oms_sync.sdk.sandbox.Sandbox`."""

    def __init__(self, options: SandboxOptions, now: Now) -> None:
        self.options = options
        self.faults = FaultSwitches(FAULTS, seed=options.seed, stream=options.account)
        self.store = Store(options, self.faults, now)
        self._courier = Courier(options)
        self.merchant = Merchant(self.store)
        catalogue = CatalogueViews(self.store, self.merchant)
        orders = OrderViews(catalogue)
        self.sales = ShopSales(self.store, self.merchant)
        self._webhooks = Webhooks(self.store, catalogue, self._courier)
        later = self._courier.later
        self.stock_changes = StockChanges(self.store, catalogue)
        mutations = (
            OrderChanges(self.store, self.sales, orders, later).root
            | WorkChanges(self.store, orders).root
            | self.stock_changes.root
            | self._webhooks.root
        )
        #: every mutation by name, for a merchant's hand that does what the API can do too
        self.hands = mutations
        queries = Queries(self.store, catalogue, orders)
        self._endpoint = Endpoint(self.store, queries, mutations)
        self.tokens = Tokens(self.store)
        self._wire = Wire(self.faults, options)
        self._requests = itertools.count(1)
        self._controls = Starlette(
            routes=control_routes(self.sales, self.faults, options),
            exception_handlers={Refusal: refusal_response},
            lifespan=self._lifespan,
        )
        if options.public_hub:
            hub = options.public_hub.rstrip("/")
            self._webhooks.configure(f"{hub}/webhooks/{options.account}", TOPICS)

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
        secret = self.store.secret
        credentials = {"access_token": self.tokens.static}
        if self.options.grants_tokens:
            credentials = {
                "client_id": secret("client_id"),
                "client_secret": secret("client_secret"),
            }
        return {
            "name": self.options.account,
            "connector": "shopify",
            "mode": "live",
            "endpoint": self.options.base_url,
            "poll_seconds": 1,
            "settings": {
                "shop": domain(self.store),
                **credentials,
                "webhook_secret": secret("client_secret"),
                "visibility_lag_seconds": max(LAG_SECONDS_MIN, self.options.lag_seconds),
                "location_ids": {
                    place.code: gid("Location", place.id) for place in self.store.places
                },
            },
        }

    def sell_over_the_counter(self, channel_sku: str, units: int, place_code: str) -> str:
        """An order of the till: paid and taken away at that place; answers its id."""
        with self.store.act():
            order = self.sales.new_order(Purchase(lines=((channel_sku, units),)), [])
            self.merchant.sell_over_the_counter(channel_sku, units, place_code, order)
            self.sales.announce(order)
            return str(order.id)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith(_CONTROL_PATH):
            await self._controls(scope, receive, send)
            return
        graphql = _GRAPHQL.search(path)
        if scope["method"] != "POST" or not (graphql or path.endswith(_TOKEN_PATH)):
            await send_reply(send, _reply(404, {"errors": "Not Found"}))
            return
        body = await read_request(receive)
        if body is None:
            await send_reply(send, _reply(413, {"errors": "Request entity too large"}))
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        if graphql is None:
            await send_reply(send, self.tokens.grant(body, headers.get("content-type", "")))
            return
        await self._graphql(graphql[1], headers, body, (receive, send))

    def _identified(self, reply: Reply) -> Reply:
        """The reply with the id people quote to the vendor's support."""
        own = self.store.secret(f"request/{next(self._requests)}")
        return replace(reply, headers=(*reply.headers, ("x-request-id", own)))

    async def _graphql(
        self, version: str, headers: dict[str, str], body: bytes, ends: tuple[Receive, Send]
    ) -> None:
        served = max((each for each in VERSIONS if each <= version), default=VERSIONS[0])
        if not self.tokens.opens(headers.get("x-shopify-access-token", "")):
            text = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            await send_reply(ends[1], _reply(401, {"errors": text}, served))
            return
        endpoint, request = self._endpoint, self._endpoint.read(body)
        call = Call(
            work=lambda: self._identified(_reply(200, endpoint.answer(request), served)),
            is_write=request.is_mutation,
            hanging=lambda running: endpoint.keys.mark(request.keys(), is_running=running),
        )
        await self._wire.answer(call, *ends)


def _reply(status: int, body: dict[str, Any], version: str | None = None) -> Reply:
    headers = [("content-type", "application/json; charset=utf-8")]
    if version is not None:
        headers.append(("x-shopify-api-version", version))
    return Reply(status=status, body=json.dumps(body).encode(), headers=tuple(headers))
