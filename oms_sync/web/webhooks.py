"""The webhook route: verify, store, answer. It parses nothing and looks nothing up by payload.

The order of the checks is the security of the route: route and method, declared length and
encoding, the body within its cap and deadline, the signature over its raw bytes, a durable insert,
then 2xx. An unknown account is answered exactly like a bad signature. A GET is answered only where
a channel asks whether the address is ours; to everybody else there is no such method.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from starlette.datastructures import Headers

from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.sdk import ChallengeAnswer, Clock, Metrics
from oms_sync.web.inbox_writer import NotStored, Overloaded, Stored
from oms_sync.web.limits import Receive, Scope, Send, answer
from oms_sync.web.verifiers import REFUSAL_STATUS, NotVerified, Verifier, waste_time_on

log = structlog.get_logger()

BODY_BYTES_MAX: Final = 2_000_000
BODY_SECONDS_MAX: Final = 10.0
#: the longest a request waits for its commit; a channel gives up soon after
COMMIT_SECONDS_MAX: Final = 8.0
RETRY_AFTER_SECONDS: Final = 5
TOPIC_LENGTH_MAX: Final = 200
HEADER_LENGTH_MAX: Final = 1_000
#: bodies being read at the same time, together with their bytes, bound the memory of the route
READING_BYTES_MAX: Final = 48_000_000
UNKNOWN: Final = "unknown"


class Writer(Protocol):
    """Where deliveries go."""

    def put(self, message: NewMessage) -> Stored:
        """Take a delivery; the future ends when it is durable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookParts:
    """Everything the route is handed."""

    verifiers: Mapping[str, Verifier]
    writer: Writer
    clock: Clock
    metrics: Metrics
    #: False while intake is stopped, as when the disk is nearly full
    is_accepting: Callable[[], bool] = lambda: True
    body_seconds: float = BODY_SECONDS_MAX


class _Refused(Exception):
    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(outcome)
        self.status, self.outcome = status, outcome


class WebhookRoute:
    """The ASGI endpoint of `/webhooks/{account}`."""

    def __init__(self, parts: WebhookParts) -> None:
        self._parts = parts
        #: bytes of bodies being read or waiting for their commit
        self._reading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        account = str(scope.get("path_params", {}).get("account", ""))
        held = _Held()
        try:
            if scope["method"] == "GET":
                await self._answer_challenge(account, scope, send)
                return
            await self._take(account, scope, receive, held)
        except _Refused as refused:
            self._count(account, refused.outcome)
            await answer(send, refused.status, headers=_advice(refused.status))
        else:
            self._count(account, "stored")
            await answer(send, 200)
        finally:
            self._reading -= held.size

    async def _answer_challenge(self, account: str, scope: Scope, send: Send) -> None:
        verifier = self._parts.verifiers.get(account)
        answered = verifier and verifier.answer_challenge(scope["query_string"])
        if not answered:
            raise _Refused(405, "bad_method")
        self._count(account, "challenged")
        await _answer_with(send, answered)

    async def _take(self, account: str, scope: Scope, receive: Receive, held: "_Held") -> None:
        parts = self._parts
        if scope["method"] != "POST":
            raise _Refused(405, "bad_method")
        headers = Headers(scope=scope)
        self._check_declared(headers)
        if not parts.is_accepting():
            raise _Refused(503, "overloaded")
        body = await self._read(receive, held)
        verifier = parts.verifiers.get(account)
        if verifier is None:
            await waste_time_on(body)
            raise _Refused(REFUSAL_STATUS, "refused")
        try:
            is_genuine = await verifier.is_genuine(_joined(headers), body)
        except NotVerified as error:
            raise _Refused(503, "postponed") from error
        if not is_genuine:
            raise _Refused(verifier.refusal_status, "refused")
        await self._store(_message(account, verifier, headers, body, parts.clock))

    def _check_declared(self, headers: Headers) -> None:
        declared = headers.get("content-length", "0")
        if len(declared) > len(str(BODY_BYTES_MAX)) or int(declared) > BODY_BYTES_MAX:
            raise _Refused(413, "too_large")
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise _Refused(415, "encoded")

    async def _read(self, receive: Receive, held: "_Held") -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._parts.body_seconds):
                is_more = True
                while is_more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(400, "disconnected")
                    chunk = message.get("body", b"")
                    is_more = bool(message.get("more_body", False))
                    if len(body) + len(chunk) > BODY_BYTES_MAX:
                        raise _Refused(413, "too_large")
                    if self._reading + len(chunk) > READING_BYTES_MAX:
                        raise _Refused(503, "overloaded")
                    body += chunk
                    held.size += len(chunk)
                    self._reading += len(chunk)
        except TimeoutError as error:
            raise _Refused(408, "too_slow") from error
        return bytes(body)

    async def _store(self, message: NewMessage) -> None:
        try:
            stored = self._parts.writer.put(message)
            async with asyncio.timeout(COMMIT_SECONDS_MAX):
                await asyncio.wrap_future(stored)
        except (Overloaded, TimeoutError) as error:
            raise _Refused(503, "overloaded") from error
        except NotStored as error:
            raise _Refused(503, "not_stored") from error

    def _count(self, account: str, outcome: str) -> None:
        # names an attacker makes up must not become labels
        label = account if account in self._parts.verifiers else UNKNOWN
        self._parts.metrics.count("webhooks", account=label, outcome=outcome)
        if outcome not in ("stored", "challenged"):
            log.debug("webhook.refused", account=label, outcome=outcome)


@dataclass(slots=True)
class _Held:
    size: int = 0


async def _answer_with(send: Send, answered: ChallengeAnswer) -> None:
    headers = [
        (b"content-type", answered.media_type.encode("ascii")),
        (b"content-length", str(len(answered.body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answered.body})


def _joined(headers: Headers) -> dict[str, str]:
    """Header values by lower-case name; a doubled one is joined, so that it proves nothing."""
    return {name: ", ".join(headers.getlist(name)) for name in headers}


def _message(
    account: str, verifier: Verifier, headers: Headers, body: bytes, clock: Clock
) -> NewMessage:
    joined = _joined(headers)
    try:
        topic = verifier.webhook.topic(joined)
    except Exception as error:
        # it is not signed and proves nothing: an odd one is no reason to refuse the delivery
        log.warning("webhook.unnamed", account=account, reason=str(error), exc_info=True)
        topic = UNKNOWN
    return NewMessage(
        account=account,
        topic=_plain(topic, TOPIC_LENGTH_MAX) or UNKNOWN,
        source=MessageSource.WEBHOOK,
        body=body,
        received_at=clock.now(),
        headers={
            name: _plain(joined[name], HEADER_LENGTH_MAX)
            for name in verifier.headers
            if name in joined
        },
    )


def _plain(text: str, length_max: int) -> str:
    return "".join(sign for sign in text[:length_max] if sign.isascii() and sign.isprintable())


def _advice(status: int) -> tuple[tuple[bytes, bytes], ...]:
    if status == 503:  # noqa: PLR2004 - HTTP
        return ((b"retry-after", str(RETRY_AFTER_SECONDS).encode()),)
    return ((b"allow", b"POST"),) if status == 405 else ()  # noqa: PLR2004 - HTTP
