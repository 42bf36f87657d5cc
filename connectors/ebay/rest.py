"""eBay's REST calls, for what Trading cannot; and the day's call budget, which REST tells."""

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from connectors.ebay.faults import MESSAGE_MAX, STATUS_OK, lost, raise_for_status
from connectors.ebay.tokens import APPLICATION, USER, Credentials
from connectors.ebay.wire import Exchange, Reply, Wire
from connectors.ebay.writes import SIGNATURE_CODES, Signer
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
#: what a day is planned with: a poll as often as the manifest says, some of several pages
POLL_SECONDS: Final = 120.0
POLL_PAGES: Final = 1.1
HOUR_SECONDS: Final = 3600.0
#: a quota may be told per call; what others cannot do is none of our business
CALLS: Final = frozenset(
    "CompleteSale GetItem GetMyeBaySelling GetOrders GetUser GetUserPreferences "
    "ReviseFixedPriceItem ReviseInventoryStatus".split()
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
    #: Post-Order is spoken to with another word before the token
    scheme: str = "Bearer"
    #: of some sellers eBay demands a digital signature for it
    is_signed: bool = False


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
        self._signer = Signer(request.settings, request.clock)

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
            "Authorization": f"{call.scheme} {token}",
            "Accept": "application/json",
            "X-EBAY-C-MARKETPLACE-ID": self._marketplace,
        }
        body = b""
        if call.payload is not None:
            headers["Content-Type"] = "application/json"
            headers["Content-Language"] = "en-US"
            body = json.dumps(call.payload, separators=(",", ":")).encode()
        url = f"{self._base_url}{quote(call.path)}{query}"
        if call.is_signed:
            headers |= self._signer.headers(call.method, url, body)
        return self._wire.send(
            Exchange(
                operation=call.operation,
                method=call.method,
                url=url,
                headers=headers,
                body=body,
                is_write=call.is_write,
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
        said = f"{call.path}: HTTP {reply.status}: {errors_text(fields)}"
        if call.is_signed and not is_good and error_codes(fields) & SIGNATURE_CODES:
            raise sdk.FixAccount(
                f"{said}: of this seller eBay demands signed calls: enter settings.signing_key and "
                "signing_jwe from its Key Management API, then resume the account"
            )
        if is_good or reply.status in call.allowed:
            return RestAnswer(status=reply.status, fields=fields, headers=reply.headers)
        if reply.status == STATUS_FORBIDDEN:
            raise sdk.PermissionMissing(f"{said}: let the seller consent to it, then resume")
        raise (sdk.Rejected if call.is_write else sdk.Bug)(said)


def error_codes(fields: Mapping[str, Any]) -> frozenset[str]:
    """The numbers of an answer's `errors`."""
    return frozenset(str(each.get("errorId")) for each in _errors(fields))


def errors_text(fields: Mapping[str, Any]) -> str:
    """What the `errors` of an answer say."""
    texts = [
        f"{each.get('errorId')} {each.get('longMessage') or each.get('message')}"
        for each in _errors(fields)
    ]
    return "; ".join(texts)[:MESSAGE_MAX] or "no reason given"


def _errors(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of `errors`; Post-Order wraps one in `error`."""
    errors = fields.get("errors") or fields.get("error")
    listed = errors if isinstance(errors, list) else [errors]
    return [each for each in listed if isinstance(each, dict)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is left of the day's Trading calls, and what the rest of the day needs."""

    remaining: int
    limit: int
    #: until all of them are there again
    seconds: float

    @property
    def for_orders(self) -> int:
        """Polls until then, and some that need a second page."""
        return math.ceil(self.seconds / POLL_SECONDS * POLL_PAGES)

    @property
    def words(self) -> str:
        """As an operator reads it."""
        hours = f"{self.seconds / HOUR_SECONDS:.1f} h"
        return f"{max(0, self.remaining)} of {self.limit} Trading calls left for {hours}"

    @property
    def warning(self) -> str:
        """Empty while there is enough for reading orders."""
        if self.remaining > self.for_orders:
            return ""
        return f"{self.words}: reading orders alone needs {self.for_orders}; raise poll_seconds"


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
        #: how many calls are left, as far as we know: eBay's number, less what we sent since
        self._remaining = 0

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

    def count(self) -> None:
        """One Trading call is sent."""
        with self._lock:
            self._remaining -= 1

    def told(self) -> "Planned | None":
        """What is left of the day, None while eBay does not say."""
        with self._lock:
            if self._anew is None:
                return None
            seconds = max(0.0, self._anew[0] - self._clock.monotonic())
            return Planned(remaining=self._remaining, limit=self._anew[1], seconds=seconds)

    def leave_for_orders(self) -> None:
        """Raise RateLimited where the calls left today are all needed to go on reading orders."""
        plan = self.told()
        if plan is not None and plan.remaining <= plan.for_orders:
            raise sdk.RateLimited(
                f"{plan.words}: they are kept for reading orders",
                retry_after_seconds=min(BUDGET_SECONDS, plan.seconds),
            )

    def _learn(self, remaining: int, limit: int) -> None:
        with self._lock:
            self._remaining = remaining
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
        (int(rate["remaining"]), int(rate["limit"]), (moment(rate["reset"]) - now).total_seconds())
        for resource in [one for one in told if one.get("name") in CALLS] or told
        for rate in resource["rates"]
        if rate["limit"] > 0 and rate.get("timeWindow", DAY_SECONDS) >= WINDOW_SECONDS_MIN
    ]
