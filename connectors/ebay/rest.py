"""eBay's REST calls, for what Trading cannot; and the day's call budget, which REST tells."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from connectors.ebay.faults import MESSAGE_MAX, STATUS_OK, lost, raise_for_status
from connectors.ebay.tokens import APPLICATION, USER, Credentials
from connectors.ebay.wire import Exchange, Reply, Wire
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment, read_json

STATUS_UNAUTHORISED: Final = 401
STATUS_FORBIDDEN: Final = 403
STATUS_NOT_FOUND: Final = 404
STATUS_CONFLICT: Final = 409
BUDGET_PATH: Final = "/developer/analytics/v1_beta/rate_limit/"
BUDGET_SECONDS: Final = 1800.0
BUDGET_SECONDS_MIN: Final = 60.0
#: until the budget is asked for again when it could not be read
BUDGET_RETRY_SECONDS: Final = 300.0
TRADING: Final = "tradingapi"
#: the bucket of the manifest that all Trading calls share
TRADING_BUCKET: Final = "*"
DAY_SECONDS: Final = 86_400.0
#: limits of seconds are no budget to plan a day with
WINDOW_SECONDS_MIN: Final = 3600
#: a quota may be told per call; what others cannot do is none of our business
CALLS: Final = frozenset(
    "CompleteSale GetItem GetMyeBaySelling GetOrders GetUser GetUserPreferences "
    "ReviseInventoryStatus".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """One REST call."""

    method: str
    #: segments are quoted; a trailing empty one stays
    path: str
    #: the bucket it counts in
    operation: str
    query: Mapping[str, str] = field(default_factory=dict)
    payload: Any = None
    #: with the application's own token instead of the seller's
    is_application: bool = False
    is_write: bool = False
    #: statuses that are an answer, too
    allowed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """What a call was answered; `fields` is empty where there was no body."""

    status: int
    fields: Mapping[str, Any]
    headers: Mapping[str, str]


class Rest:
    """Sends REST calls for one account; safe from several threads."""

    def __init__(
        self, request: sdk.OpenRequest, base_url: str, wire: Wire, credentials: Credentials
    ) -> None:
        self._gate, self._may_write = request.gate, request.may_write
        self._base_url, self._wire, self._credentials = base_url, wire, credentials
        self._marketplace: str = request.settings.marketplace_id

    def call(self, call: RestCall, *, priority: sdk.Priority) -> RestAnswer:
        """Send it, once more after a refused token; raises by status."""
        if call.is_write and not self._may_write:
            raise sdk.Rejected(f"{call.path} not sent: the account is in shadow mode")
        kind = APPLICATION if call.is_application else USER
        token = self._credentials.token(kind)
        reply = self._send(call, token, priority)
        if reply.status == STATUS_UNAUTHORISED:
            reply = self._send(call, self._credentials.renew(kind, token), priority)
            if reply.status == STATUS_UNAUTHORISED:
                raise sdk.AuthFailed(
                    f"eBay refuses even a fresh token for {call.path}: let the seller consent "
                    "anew, then resume the account"
                )
        return self._judge(call, reply)

    def _send(self, call: RestCall, token: str, priority: sdk.Priority) -> Reply:
        self._gate.spend(call.operation, priority=priority)
        query = f"?{urlencode(call.query)}" if call.query else ""
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "X-EBAY-C-MARKETPLACE-ID": self._marketplace,
        }
        body = b""
        if call.payload is not None:
            headers["Content-Type"] = "application/json"
            headers["Content-Language"] = "en-US"
            body = json.dumps(call.payload, separators=(",", ":")).encode()
        url = f"{self._base_url}{quote(call.path)}{query}"
        return self._wire.send(
            Exchange(
                method=call.method, url=url, headers=headers, body=body, is_write=call.is_write
            )
        )

    def _judge(self, call: RestCall, reply: Reply) -> RestAnswer:
        raise_for_status(reply.status, reply.headers, is_write=call.is_write)
        is_good = reply.status in STATUS_OK
        try:
            fields = read_json(reply.body) if reply.body.strip() else {}
        except sdk.BadPayload as error:
            message = f"{call.path}: an answer that is not eBay's ({reply.status}): {error}"
            raise lost(message, is_write=call.is_write) from error
        if not isinstance(fields, dict):
            raise lost(f"{call.path}: the answer is no object", is_write=call.is_write)
        if is_good or reply.status in call.allowed:
            return RestAnswer(status=reply.status, fields=fields, headers=reply.headers)
        said = f"{call.path}: HTTP {reply.status}: {errors_text(fields)}"
        if reply.status == STATUS_FORBIDDEN:
            raise sdk.PermissionMissing(f"{said}: let the seller consent to it, then resume")
        raise (sdk.Rejected if call.is_write else sdk.Bug)(said)


def errors_text(fields: Mapping[str, Any]) -> str:
    """What the `errors` of an answer say."""
    errors = fields.get("errors")
    texts = [
        f"{each.get('errorId')} {each.get('longMessage') or each.get('message')}"
        for each in (errors if isinstance(errors, list) else ())
        if isinstance(each, dict)
    ]
    return "; ".join(texts)[:MESSAGE_MAX] or "no reason given"


class Budget:
    """Keeps the bucket of Trading calls to what eBay says is left of the day's quota.

    The quota is the application's: other programs draw on it, too. Until eBay resets it nothing
    flows in, so the bucket never promises a call that eBay would refuse.
    """

    def __init__(self, rest: Rest, request: sdk.OpenRequest) -> None:
        self._rest, self._gate, self._clock = rest, request.gate, request.clock
        self._lock = threading.Lock()
        self._due_at = request.clock.monotonic()
        #: when the quota last told of begins anew, and how much it is then
        self._anew: tuple[float, int] | None = None

    def correct(self) -> None:
        """Ask eBay when it is time to; what cannot be read leaves the bucket as it is."""
        with self._lock:
            now = self._clock.monotonic()
            if now < self._due_at:
                return
            self._due_at = now + BUDGET_RETRY_SECONDS
        try:
            rate = self._read()
        except sdk.ChannelError:
            # The call this one only prepares meets the same trouble, and says so.
            rate = None
        if rate is not None:
            remaining, limit, seconds = rate
            self._due_at = now + min(BUDGET_SECONDS, max(BUDGET_SECONDS_MIN, seconds))
            self._anew = now + seconds, limit
            self._learn(remaining, limit)
        elif self._anew is not None and now >= self._anew[0]:
            # eBay does not say so, but by what it said before the next day has begun.
            limit = self._anew[1]
            self._anew = now + DAY_SECONDS, limit
            self._learn(limit, limit)

    def _learn(self, remaining: int, limit: int) -> None:
        self._gate.learn(TRADING_BUCKET, available=remaining, capacity=limit, refill_per_second=0.0)

    def forget(self) -> None:
        """A call was refused for the quota: what was learnt is no longer true."""
        self._due_at = self._clock.monotonic()

    def _read(self) -> "_Rate | None":
        """The quota of which the least is left."""
        call = RestCall(
            method="GET",
            path=BUDGET_PATH,
            operation="analytics",
            query={"api_name": TRADING},
            is_application=True,
        )
        answer = self._rest.call(call, priority=sdk.Priority.READ)
        try:
            rates = _rates(answer.fields, self._clock.now())
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise sdk.BadPayload(f"eBay's rate limits have another shape: {error!r}") from error
        return min(rates, default=None)


#: calls remaining, calls in all, seconds until it begins anew
_Rate: TypeAlias = tuple[int, int, float]


def _rates(fields: Mapping[str, Any], now: datetime) -> list[_Rate]:
    apis = [api for api in fields.get("rateLimits") or () if api["apiName"].lower() == TRADING]
    told = [resource for api in apis for resource in api["resources"]]
    return [
        (
            int(rate["remaining"]),
            int(rate["limit"]),
            (moment(rate["reset"]) - now).total_seconds(),
        )
        for resource in [one for one in told if one.get("name") in CALLS] or told
        for rate in resource["rates"]
        if rate["limit"] > 0 and rate.get("timeWindow", DAY_SECONDS) >= WINDOW_SECONDS_MIN
    ]
