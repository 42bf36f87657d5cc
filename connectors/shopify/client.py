"""All traffic with one shop: the SDK's Session and GraphQL, made safe for a daemon.

Knows GraphQL and HTTP and nothing of orders. Keeps no global SDK state, follows no redirect, obeys
no proxy, and raises only errors of the SDK. It never retries, save once after a renewed token.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NoReturn

import shopify

from connectors.shopify.documents import Document, documents
from connectors.shopify.faults import (
    CostTooHigh,
    check_root,
    lost,
    raise_for_status,
    raise_top_level,
    search_warnings,
)
from connectors.shopify.tokens import Credentials
from connectors.shopify.wire import GRAPHQL, Reply, Wire
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

COST_FIRST: Final = 50.0
HALVINGS_MAX: Final = 12
STATUS_UNAUTHORISED: Final = 401
OPERATION: Final = GRAPHQL


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a document was answered."""

    fields: dict[str, Any]
    #: the channel's clock
    at: datetime
    #: parts withheld for want of a permission
    withheld: tuple[str, ...] = ()


class ShopSession(shopify.Session):  # type: ignore[misc] # the SDK ships no types
    """The SDK's session under one base URL, path prefix kept."""

    def __init__(self, base_url: str, version: str, token: str) -> None:
        super().__init__("shop", version, token)
        self._base_url = base_url

    @property
    def site(self) -> str:
        return str(self.version.api_path(self._base_url))


class ShopGraphQL(shopify.GraphQL):  # type: ignore[misc] # the SDK ships no types
    """The SDK's GraphQL with an endpoint, headers and wire of its own."""

    def __init__(self, session: ShopSession, wire: Wire) -> None:
        self.endpoint = f"{session.site}/graphql.json"
        self.headers = {"X-Shopify-Access-Token": session.token}
        self._wire = wire
        self.is_write = False

    def execute(
        self, query: str, variables: Any = None, operation_name: str | None = None
    ) -> Reply:
        body = {"query": query, "variables": variables, "operationName": operation_name}
        kind = {"Accept": "application/json", "Content-Type": "application/json"}
        headers = self.merge_headers(kind, self.headers)
        encoded = json.dumps(body).encode()
        return self._wire.post(self.endpoint, encoded, headers, is_write=self.is_write)


class Client:
    """Runs documents for one account; safe from several threads."""

    def __init__(
        self, request: sdk.OpenRequest, base_url: str, wire: Wire, credentials: Credentials
    ) -> None:
        self._gate: sdk.RateGate = request.gate
        self._clock: sdk.Clock = request.clock
        self._may_write = request.may_write
        self._version: str = request.settings.api_version
        self._base_url, self._wire, self._credentials = base_url, wire, credentials
        self._costs: dict[tuple[str, int], float] = {}
        self._sizes: dict[str, int] = {}
        self._fallen_to: str | None = None

    def run(self, name: str, variables: Mapping[str, Any], *, priority: sdk.Priority) -> Answer:
        """Send a document; raises by the layers transport, status, JSON, top-level errors."""
        document = documents()[name]
        if document.is_write and not self._may_write:
            raise sdk.Rejected(f"{document.name} not sent: the account is in shadow mode")
        self._refuse_when_fallen()
        # What a document costs depends on how many objects it asks for.
        priced = (name, len(variables.get("ids", ())) or int(variables.get("first", 1)))
        cost = self._costs.get(priced, COST_FIRST)
        self._gate.spend(OPERATION, cost=cost, priority=priority)
        reply = self._send(document, variables)
        self._check_version(reply)
        return self._read(document, reply, priced)

    def run_sized(
        self, name: str, variables: Mapping[str, Any], first: int, *, priority: sdk.Priority
    ) -> Answer:
        """`run` with `first` objects, halved and remembered while the shop finds it too dear."""
        for _ in range(HALVINGS_MAX):
            size = self.size(name, first)
            try:
                return self.run(name, {**variables, "first": size}, priority=priority)
            except CostTooHigh:
                self.halve(name, size)
        raise CostTooHigh(f"{name} is too dear even for one object")

    def size(self, name: str, first: int) -> int:
        """How many objects a document may ask for, at most `first`."""
        return min(first, self._sizes.get(name, first))

    def halve(self, name: str, size: int) -> None:
        """Remember that `size` objects were too dear; raises when it was a single one."""
        if size <= 1:
            raise CostTooHigh(f"{name} is too dear even for one object")
        self._sizes[name] = size // 2

    def _send(self, document: Document, variables: Mapping[str, Any]) -> Reply:
        token = self._credentials.token()
        reply = self._post(document, variables, token)
        if reply.status != STATUS_UNAUTHORISED:
            return reply
        reply = self._post(document, variables, self._credentials.renew(token))
        if reply.status == STATUS_UNAUTHORISED:
            raise sdk.AuthFailed("the shop refuses even a fresh token: is the app still installed?")
        return reply

    def _post(self, document: Document, variables: Mapping[str, Any], token: str) -> Reply:
        session = ShopSession(self._base_url, self._version, token)
        graphql = ShopGraphQL(session, self._wire)
        graphql.is_write = document.is_write
        return graphql.execute(document.text, dict(variables), document.name)

    def _read(self, document: Document, reply: Reply, priced: tuple[str, int]) -> Answer:
        raise_for_status(reply.status, reply.headers, is_write=document.is_write)
        try:
            return self._understand(document, reply, priced)
        except sdk.BadPayload as error:
            # Unreadable is unanswered: a write may have been done.
            raise (lost(str(error), is_write=True) if document.is_write else error) from error

    def _understand(self, document: Document, reply: Reply, priced: tuple[str, int]) -> Answer:
        answer = self._parse(document, reply)
        self._learn(priced, answer)
        withheld = raise_top_level(answer, is_write=document.is_write)
        warnings = search_warnings(answer)
        if warnings:
            raise sdk.BadPayload(
                f"{document.name}: the shop ignored part of the search: {warnings}"
            )
        fields = check_root(document.name, answer, withheld)
        return Answer(fields=fields, at=self._channel_time(reply), withheld=withheld)

    def _parse(self, document: Document, reply: Reply) -> dict[str, Any]:
        try:
            answer = read_json(reply.body)
        except sdk.BadPayload as error:
            self._foreign(document, reply, error)
        if not isinstance(answer, dict):
            raise sdk.BadPayload(f"{document.name}: the answer is no object")
        return answer

    def _foreign(self, document: Document, reply: Reply, error: sdk.BadPayload) -> NoReturn:
        kind = reply.headers.get("content-type", "")
        message = f"{document.name}: an answer of type {kind!r} is not the shop's: {error}"
        if "json" in kind or document.is_write:
            raise sdk.BadPayload(message) from error
        raise sdk.ChannelDown(message) from error

    def _learn(self, priced: tuple[str, int], answer: Mapping[str, Any]) -> None:
        cost = (answer.get("extensions") or {}).get("cost") or {}
        requested, status = cost.get("requestedQueryCost"), cost.get("throttleStatus")
        if isinstance(requested, int):
            self._costs[priced] = float(requested)
        if isinstance(status, dict):
            self._gate.learn(
                OPERATION,
                available=float(status["currentlyAvailable"]),
                capacity=float(status["maximumAvailable"]),
                refill_per_second=float(status["restoreRate"]),
            )

    def _check_version(self, reply: Reply) -> None:
        served = reply.headers.get("x-shopify-api-version", self._version)
        if served != self._version:
            self._fallen_to = served
            # A write has happened by now: its answer counts, and the next call is refused.

    def _refuse_when_fallen(self) -> None:
        if self._fallen_to is not None:
            raise sdk.FixAccount(
                f"the shop answers with API version {self._fallen_to}, not {self._version}: set "
                "api_version to a supported one, or update oms-sync, then resume the account"
            )

    def _channel_time(self, reply: Reply) -> datetime:
        try:
            return parsedate_to_datetime(reply.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError):
            return self._clock.now()
