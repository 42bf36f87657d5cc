"""All traffic with one seller's account: Trading calls by the SDK, the rest by REST.

Knows XML and HTTP and nothing of orders. It never retries, save once after a renewed token, and
raises only errors of the SDK.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from connectors.ebay.faults import (
    STATUS_OK,
    Fault,
    is_token_refused,
    lost,
    raise_for_status,
    raise_general,
    read_faults,
    refusal,
)
from connectors.ebay.markup import Node, read_markup
from connectors.ebay.rest import STATUS_UNAUTHORISED, Budget, Rest
from connectors.ebay.tokens import USER, Credentials
from connectors.ebay.trading import TradingCall, TradingConnection
from connectors.ebay.wire import Reply, Wire
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment

HOST: Final = "https://api.ebay.com"
_ACKS: Final = frozenset({"Success", "Warning", "PartialFailure", "Failure"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a Trading call was answered."""

    root: Node
    ack: str
    faults: tuple[Fault, ...]
    #: the channel's clock
    at: datetime

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that are no mere warnings."""
        return tuple(fault for fault in self.faults if not fault.is_warning)

    @property
    def is_clean(self) -> bool:
        """True when all of it was done."""
        return self.ack in ("Success", "Warning") and not self.errors


class Client:
    """Calls for one account; safe from several threads."""

    def __init__(self, request: sdk.OpenRequest, *, keeps_connections: bool = True) -> None:
        self._settings, self._gate, self._clock = request.settings, request.gate, request.clock
        self._may_write = request.may_write
        #: the level of the contract every answer is in
        self.level = str(request.settings.compatibility_level)
        self._base_url = (request.endpoint or HOST).rstrip("/")
        self._wire = Wire(
            request.clock, self._base_url, request.calls, keeps_connections=keeps_connections
        )
        self.credentials = Credentials(request, self._base_url, self._wire)
        self.rest = Rest(request, self._base_url, self._wire, self.credentials)
        self.budget = Budget(self.rest, request)
        self._skew = timedelta()

    def close(self) -> None:
        self._wire.close()

    def now(self) -> datetime:
        """The present in the channel's clock, as far as its last answer told."""
        return self._clock.now() + self._skew

    def run(self, call: TradingCall, *, priority: sdk.Priority) -> Answer:
        """Send a call; whatever eBay did not do completely is raised."""
        answer = self.attempt(call, priority=priority)
        if not answer.is_clean:
            raise refusal(call.name, answer.errors, is_write=call.is_write)
        return answer

    def attempt(self, call: TradingCall, *, priority: sdk.Priority) -> Answer:
        """Send a call; refusals of the objects it names are the caller's to judge."""
        if call.is_write and not self._may_write:
            raise sdk.Rejected(f"{call.name} not sent: the account is in shadow mode")
        self.budget.correct()
        token = self.credentials.token(USER)
        answer = self._once(call, token, priority)
        if answer is None:
            answer = self._once(call, self.credentials.renew(USER, token), priority)
        if answer is None:
            raise sdk.AuthFailed(
                f"{call.name}: eBay refuses even a fresh token: let the seller consent anew, then "
                "resume the account"
            )
        if answer.ack == "Failure":
            self._raise_general(call, answer.faults)
        return answer

    def _raise_general(self, call: TradingCall, faults: Sequence[Fault]) -> None:
        try:
            raise_general(call.name, faults, is_write=call.is_write)
        except sdk.RateLimited:
            self.budget.forget()
            raise

    def _once(self, call: TradingCall, token: str, priority: sdk.Priority) -> Answer | None:
        """The answer; None when the token was refused."""
        self._gate.spend(call.name, priority=priority)
        self.budget.count()
        connection = TradingConnection(self._settings, self._base_url, self._wire, token)
        reply = connection.run(call)
        if reply.status == STATUS_UNAUTHORISED:
            return None
        root = self._read(call, reply)
        faults = read_faults(root)
        if root.text("Ack") == "Failure" and is_token_refused(faults):
            return None
        if reply.status not in STATUS_OK:
            self._raise_general(call, faults)
            raise_for_status(reply.status, reply.headers, is_write=call.is_write)
        return self._answer(call, root, faults)

    def _read(self, call: TradingCall, reply: Reply) -> Node:
        """The answer's root; an answer that is no Trading answer is lost, whatever its status."""
        try:
            root = read_markup(reply.body)
        except sdk.BadPayload as error:
            raise_for_status(reply.status, reply.headers, is_write=call.is_write)
            message = f"{call.name}: no answer of eBay's (HTTP {reply.status}): {error}"
            raise lost(message, is_write=call.is_write) from error
        is_named = root.name == f"{call.name}Response" or root.text("Ack") == "Failure"
        if root.text("Ack") not in _ACKS or not is_named:
            raise_for_status(reply.status, reply.headers, is_write=call.is_write)
            message = f"{call.name}: eBay answered {root.name[:60]!r} (HTTP {reply.status})"
            raise lost(message, is_write=call.is_write)
        return root

    def _answer(self, call: TradingCall, root: Node, faults: tuple[Fault, ...]) -> Answer:
        now = self._clock.now()
        try:
            at = moment(root.text("Timestamp") or "")
        except (ValueError, sdk.BadPayload):
            at = now + self._skew
        self._skew = at - now
        ack = root.text("Ack") or ""
        return Answer(root=root, ack=ack, faults=faults, at=at)
