"""All traffic with one seller's account: the SDK's clients, made safe for a daemon.

Knows operations and HTTP and nothing of orders. One SDK client per thread and API, transports and
token our own, and only errors of the hub's SDK. It never retries, save once after a renewed token.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from sp_api.api import (
    Feeds,
    FinancesV0,
    Inventories,
    ListingsItems,
    Notifications,
    Orders,
    Reports,
    Sellers,
)
from sp_api.auth import AccessTokenClient
from sp_api.base import fill_query_params
from sp_api.base._transport_httpx import HttpxTransport
from sp_api.base.credential_provider import CredentialProvider, FromCodeCredentialProvider

from connectors.amazon import CONNECTOR, faults
from connectors.amazon.tokens import Tokens
from connectors.amazon.wire import DOCUMENT_BYTES_MAX, TIMEOUT, Call, Wire, gunzip, hush
from oms_sync import sdk

LOGIN: Final = "https://api.amazon.com"
#: where Amazon keeps documents; anything else is not fetched
DOCUMENT_HOSTS: Final = (".amazonaws.com", ".cloudfront.net")
WAIT_SECONDS_MAX: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation was answered."""

    fields: dict[str, Any]
    #: the channel's clock
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What the SDK wants of a marketplace."""

    endpoint: str
    marketplace_id: str
    region: str


_APIS: Final[Mapping[str, tuple[Any, str]]] = {
    "orders": (Orders, "2026-01-01"),
    "orders_v0": (Orders, "v0"),
    "listings": (ListingsItems, "2021-08-01"),
    "feeds": (Feeds, "2021-06-30"),
    "reports": (Reports, "2021-06-30"),
    "sellers": (Sellers, ""),
    "notifications": (Notifications, ""),
    "finances": (FinancesV0, ""),
    "inventories": (Inventories, ""),
}
_WRITES: Final = frozenset(
    "confirmShipment patchListingsItem createFeed createDestination createSubscription "
    "deleteSubscriptionById".split()
)
#: these take a token of the application; the SDK sends the seller's for the last
_GRANTLESS: Final = frozenset({"getDestinations", "createDestination", "deleteSubscriptionById"})
#: operation → API, the SDK's method, and what makes an answer one
_OPERATIONS: Final[Mapping[str, tuple[str, str, str]]] = {
    "searchOrders": ("orders", "search_orders", "orders"),
    "getOrder": ("orders", "get_order", "order"),
    "confirmShipment": ("orders_v0", "confirm_shipment", ""),
    "searchListingsItems": ("listings", "search_listings_items", "items"),
    "getListingsItem": ("listings", "get_listings_item", "sku"),
    "patchListingsItem": ("listings", "patch_listings_item", "status"),
    "createFeedDocument": ("feeds", "create_feed_document", "url"),
    "createFeed": ("feeds", "create_feed", "feedId"),
    "getFeed": ("feeds", "get_feed", "processingStatus"),
    "getFeeds": ("feeds", "get_feeds", "feeds"),
    "getFeedDocument": ("feeds", "_request", "url"),  # the SDK's own method downloads it, badly
    "createReport": ("reports", "create_report", "reportId"),
    "getReport": ("reports", "get_report", "processingStatus"),
    "getReportDocument": ("reports", "get_report_document", "url"),
    "getMarketplaceParticipations": ("sellers", "get_marketplace_participation", "payload"),
    "getSubscription": ("notifications", "_request", "payload"),
    "createSubscription": ("notifications", "_request", "payload"),
    "deleteSubscriptionById": ("notifications", "_request_grantless_operation", ""),
    "getDestinations": ("notifications", "get_destinations", "payload"),
    "createDestination": ("notifications", "create_destination", "payload"),
    "getOrders": ("orders_v0", "get_orders", "payload"),
    "getOrderV0": ("orders_v0", "_request", "payload"),
    "getOrderItems": ("orders_v0", "_request", "payload"),
    "listFinancialEventsByOrderId": ("finances", "_request", "payload"),
    "getInventorySummaries": ("inventories", "get_inventory_summary_marketplace", "payload"),
}
_BURSTS: Final = {limit.operation: limit for limit in CONNECTOR.manifest.rate_limits}


class Client:
    """Runs operations for one account; safe from several threads."""

    def __init__(
        self, request: sdk.OpenRequest, *, inner: httpx.BaseTransport | None = None
    ) -> None:
        settings = request.settings
        self._gate, self._clock, self._may_write = request.gate, request.clock, request.may_write
        self.seller_id: str = settings.seller_id
        self.configured_ids: tuple[str, ...] = settings.marketplace_ids
        #: those of them the seller sells in, as far as that is known
        self.marketplace_ids: list[str] = list(settings.marketplace_ids)
        endpoint = request.endpoint.rstrip("/") if request.endpoint else None
        self._host = urlsplit(endpoint).netloc if endpoint else None
        self._login = endpoint or LOGIN
        self._place = _Place(
            endpoint=endpoint or f"https://sellingpartnerapi-{settings.region}.amazon.com",
            marketplace_id=self.marketplace_ids[0],
            region=settings.region,
        )
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._wire = Wire(
            request.clock,
            inner or httpx.HTTPTransport(verify=self._tls, trust_env=False),
            request.calls,
        )
        self._http = httpx.Client(
            transport=self._wire,
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )
        self._keys = {
            "lwa_app_id": settings.lwa_client_id,
            "lwa_client_secret": settings.lwa_client_secret.get_secret_value(),
        }
        self.tokens = Tokens(request, self._grant)
        self._apis = threading.local()
        self._rates: dict[str, float] = {}
        self._offset = timedelta(0)
        hush()

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def now(self) -> datetime:
        """The channel's time, as far as its answers told it."""
        return self._clock.now() + self._offset

    def run(self, name: str, *arguments: Any, priority: sdk.Priority, **parameters: Any) -> Answer:
        """Call an operation; raises by the layers transport, status, JSON, errors, shape."""
        if name in _WRITES:
            self.check_may_write(name)
        granted = self.tokens.grantless if name in _GRANTLESS else self.tokens.sellers
        token = granted.token()
        try:
            return self._once(name, arguments, parameters, priority)
        except faults.Denied:
            # The SDK would send an expired token for ever: once with a fresh one, then believe it.
            granted.renew(token)
            return self._once(name, arguments, parameters, priority)

    def check_may_write(self, what: str) -> None:
        """Raise Rejected in shadow mode, before anything is sent."""
        if not self._may_write:
            raise sdk.Rejected(f"{what} not sent: the account is in shadow mode")

    def ask(
        self, name: str, path: str, *names: str, priority: sdk.Priority, **words: Any
    ) -> Answer:
        """An operation by its path, without the marketplaces the SDK would write into it.

        `words` are the query, or with a method in them the body.
        """
        part = "data" if words.get("method") == "POST" else "params"
        # For the application's own operations the SDK leaves no choice.
        choice = {} if name in _GRANTLESS else {"add_marketplace": False}
        place = fill_query_params(path, *names)
        return self.run(name, place, priority=priority, **choice, **{part: words})

    def document_of(self, operation: str, document_id: str, *, priority: sdk.Priority) -> bytes:
        """Fetch a document by id, unpacked; `operation` tells where it is."""
        if operation == "getFeedDocument":
            path = "/feeds/2021-06-30/documents/{}"
            fields = self.ask(operation, path, document_id, priority=priority).fields
        else:
            fields = self.run(operation, document_id, priority=priority).fields
        packing = fields.get("compressionAlgorithm")
        if packing not in (None, "GZIP"):
            raise sdk.BadPayload(f"{operation}: a document packed with {str(packing)[:20]!r}")
        body = self._transfer("GET", str(fields["url"]))
        return gunzip(body, DOCUMENT_BYTES_MAX) if packing else body

    def upload(self, url: str, body: bytes, media_type: str) -> None:
        """Put a document where Amazon said; a half-put one is of no effect."""
        self._transfer("PUT", url, body, media_type)

    def wait(self, seconds: float) -> None:
        """Let time pass; RetryLater when the hub is stopping."""
        began = self._clock.monotonic()
        self._clock.sleep(seconds)
        if self._clock.monotonic() - began < seconds / 2:
            raise sdk.RetryLater("the hub is stopping")

    def _once(
        self, name: str, arguments: Any, parameters: Mapping[str, Any], priority: sdk.Priority
    ) -> Answer:
        self._gate.spend(name, priority=priority)
        api, method, needed = _OPERATIONS[name]
        act, is_write = getattr(self._api(api), method), name in _WRITES
        with self._wire.call(Call(operation=name, is_write=is_write, read=_read)) as call:
            try:
                act(*arguments, **parameters)
            except sdk.RateLimited as error:
                self._slow(name, error)
                raise
            except sdk.ChannelError:
                raise
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                message = f"{name}: the SDK does not understand the answer: {error!r}"[:300]
                raise faults.lost(message, is_write=is_write) from error
            finally:
                # Refusals, too, tell the time: a bound set by a wrong clock would be refused anew.
                at = self._channel_time(call.headers)
        self._learn(name, call.headers)
        if needed and call.fields.get(needed) is None:
            # An empty success is no success: nothing may be concluded from it.
            raise faults.lost(f"{name}: the answer holds no {needed!r}", is_write=is_write)
        return Answer(fields=call.fields, at=at)

    def _api(self, name: str) -> Any:
        """This thread's own client of an API; the SDK's are not safe to share."""
        apis: dict[str, Any] = self._apis.__dict__
        if name not in apis:
            kind, version = _APIS[name]
            chosen = {"version": version} if version else {}
            api = kind(
                marketplace=self._place,
                credentials=self._keys,
                credential_providers=(FromCodeCredentialProvider,),
                auth_token_client_class=lambda **_: self.tokens,
                verify=self._tls,
                **chosen,
            )
            api._transport.close()
            api._transport = HttpxTransport(client=self._http)
            apis[name] = api
            hush()
        return apis[name]

    def _grant(self, asked: Mapping[str, str]) -> Mapping[str, Any]:
        keys = CredentialProvider.Config(**self._keys, refresh_token=asked.get("refresh_token"))
        login = AccessTokenClient(credentials=keys, verify=self._tls)
        login._transport.close()
        login._transport = HttpxTransport(client=self._http)
        identity = {
            "client_id": self._keys["lwa_app_id"],
            "client_secret": self._keys["lwa_client_secret"],
        }
        with self._wire.call(Call(operation="token", read=_read_grant)):
            granted: Mapping[str, Any] = login._request(
                self._login + login.path, {**asked, **identity}, login.headers
            )
        return granted

    def _transfer(self, method: str, url: str, body: bytes = b"", media_type: str = "") -> bytes:
        place = urlsplit(url)
        is_ours = self._host is not None and place.netloc == self._host
        if not is_ours and (
            place.scheme != "https" or not (place.hostname or "").endswith(DOCUMENT_HOSTS)
        ):
            raise sdk.BadPayload("Amazon names a document at a place that is not Amazon's")
        headers = {"content-type": media_type} if media_type else {}
        with self._wire.call(Call(operation="document", bytes_max=DOCUMENT_BYTES_MAX)):
            response = self._http.request(method, url, content=body or None, headers=headers)
        if response.status_code not in faults.STATUS_OK:
            # A presigned URL is good for minutes; the error page is never the document.
            raise sdk.ChannelDown(f"a document's {method} was answered {response.status_code}")
        return response.content

    def _learn(self, name: str, headers: Mapping[str, str]) -> None:
        """Believe the header's rate; how much of the burst is left it does not say: little."""
        rate, limit = faults.read_rate(headers), _BURSTS[name]
        if rate is None or rate == self._rates.get(name, limit.refill_per_second):
            return
        self._rates[name] = rate
        burst = max(limit.capacity, rate)
        self._gate.learn(name, available=rate, capacity=burst, refill_per_second=rate)

    def _slow(self, name: str, error: sdk.RateLimited) -> None:
        """A 429 rarely says how long: then the bucket's own time.

        A rate learnt before this session was opened is the gate's to know: it says how long.
        """
        limit, rate = _BURSTS[name], self._rates.get(name)
        wait = error.retry_after_seconds
        if wait is None and rate is not None:
            wait = 1.0 / rate
        error.retry_after_seconds = None if wait is None else min(wait, WAIT_SECONDS_MAX)
        if rate is None:
            self._gate.learn(name, available=0.0)
            return
        self._gate.learn(
            name, available=0.0, capacity=max(limit.capacity, rate), refill_per_second=rate
        )

    def _channel_time(self, headers: Mapping[str, str]) -> datetime:
        now = self._clock.now()
        try:
            at = parsedate_to_datetime(headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError):
            return now + self._offset
        self._offset = at - now
        return at


def _read(call: Call, status: int, body: bytes) -> dict[str, Any]:
    return faults.read_answer(call.operation, status, call.headers, body, is_write=call.is_write)


def _read_grant(call: Call, status: int, body: bytes) -> dict[str, Any]:
    """Let the SDK read what a 4xx says of the credentials; everything else is judged here."""
    if status == faults.STATUS_THROTTLED:
        wait = faults.read_retry_after(call.headers)
        raise sdk.RateLimited("Login with Amazon answered 429", retry_after_seconds=wait)
    if status in faults.STATUS_BROKEN or status in faults.STATUS_REDIRECT:
        raise sdk.ChannelDown(f"Login with Amazon answered {status}")
    return {}
