"""One HTTP exchange, bounded in time and size: no proxies, no redirects, every refusal an error.

It stands where the SDK would put its own transport, so that nothing the SDK does can hide an
answer.
"""

import logging
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from connectors.amazon.faults import lost
from oms_sync import sdk
from oms_sync.sdk import BadPayload, Clock

TIMEOUT: Final = httpx.Timeout(15.0, connect=5.0)
DEADLINE_SECONDS: Final = 60.0
ANSWER_BYTES_MAX: Final = 20_000_000
DOCUMENT_BYTES_MAX: Final = 200_000_000
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_UNWANTED: Final = frozenset({"content-encoding", "transfer-encoding", "content-length"})
_TALKATIVE: Final = ("httpx", "httpcore", "sp_api", "boto3", "botocore", "urllib3")
_GZIP: Final = 31


@dataclass(slots=True, kw_only=True)
class Call:
    """What is asked, and, once it is answered, what came back; header names are lower case."""

    operation: str
    is_write: bool = False
    bytes_max: int = ANSWER_BYTES_MAX
    #: makes the answer's fields of status, headers and body, or raises
    read: Callable[["Call", int, bytes], dict[str, Any]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    #: the HTTP status, or one word where there was no answer
    status: str = ""


class Wire(httpx.BaseTransport):
    """Carries the SDK's requests; one call at a time in each thread."""

    def __init__(self, clock: Clock, inner: httpx.BaseTransport, calls: sdk.CallLog) -> None:
        self._clock, self._inner, self._calls = clock, inner, calls
        self._present = threading.local()

    @contextmanager
    def call(self, call: Call) -> Iterator[Call]:
        """Every request of this thread inside the block belongs to `call`.

        Blocks nest: a token may be granted in the midst of the call that needs it.
        """
        around = getattr(self._present, "call", None)
        self._present.call = call
        try:
            yield call
        finally:
            self._present.call = around

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        call: Call = self._present.call
        at, began = self._clock.now(), self._clock.monotonic()
        status, call.headers = "no answer", {}
        try:
            response = self._carry(request, call)
            status = str(response.status_code)
        except sdk.ChannelError as error:
            status = call.status or type(error).__name__
            raise
        finally:
            self._calls.note(
                sdk.Call(
                    operation=call.operation,
                    at=at,
                    duration_seconds=self._clock.monotonic() - began,
                    status=status,
                    request_id=call.headers.get("x-amzn-requestid", ""),
                )
            )
        return response

    def _carry(self, request: httpx.Request, call: Call) -> httpx.Response:
        # The SDK cuts the host out of its endpoint as if that always began with https://.
        request.headers["host"] = request.url.netloc.decode("ascii")
        until = self._clock.monotonic() + DEADLINE_SECONDS
        try:
            response = self._inner.handle_request(request)
            try:
                body = self._read(response, call, until)
            except BadPayload as error:
                # Unreadable is unanswered: a write may have been done.
                raise (lost(str(error), is_write=True) if call.is_write else error) from None
            finally:
                response.close()
        except httpx.TransportError as error:
            sent = call.is_write and not isinstance(error, _NEVER_SENT)
            is_late = isinstance(error, httpx.TimeoutException)
            call.status = "timeout" if is_late else "no answer"
            # Not `from error`: what a transport says may hold a presigned URL.
            raise lost(
                f"{call.operation}: no answer: {type(error).__name__}", is_write=sent
            ) from None
        call.status = str(response.status_code)
        call.headers = {name.lower(): value for name, value in response.headers.items()}
        if call.read is not None:
            call.fields = call.read(call, response.status_code, body)
        kept = [(name, value) for name, value in call.headers.items() if name not in _UNWANTED]
        return httpx.Response(response.status_code, headers=kept, content=body, request=request)

    def close(self) -> None:
        self._inner.close()

    def _read(self, response: httpx.Response, call: Call, until: float) -> bytes:
        body = bytearray()
        assert isinstance(response.stream, httpx.SyncByteStream), "we ask synchronously"
        for chunk in response.stream:
            body += chunk
            if len(body) > call.bytes_max:
                raise BadPayload(f"{call.operation}: more than {call.bytes_max} bytes came back")
            if self._clock.monotonic() > until:
                raise lost(f"{call.operation}: the answer took too long", is_write=call.is_write)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "gzip":
            return gunzip(bytes(body), call.bytes_max)
        if encoding not in ("identity", ""):
            raise BadPayload(f"{call.operation}: an answer in encoding {encoding[:20]!r}")
        return bytes(body)


def gunzip(packed: bytes, bytes_max: int) -> bytes:
    """Unpack, never to more than `bytes_max`."""
    unpacked, rest = bytearray(), packed
    try:
        while rest:  # a file may hold several parts; each turn takes one away
            part = zlib.decompressobj(_GZIP)
            unpacked += part.decompress(rest, bytes_max + 1 - len(unpacked))
            if len(unpacked) > bytes_max or not part.eof:
                raise BadPayload(f"a packed document is cut off, or longer than {bytes_max} bytes")
            rest = part.unused_data
    except zlib.error as error:
        raise BadPayload(f"a document is not packed as it says: {error}") from error
    return bytes(unpacked)


class _Quiet(logging.Filter):
    """Lets warnings through: below them these libraries log tokens, payloads, presigned URLs."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING


_QUIET: Final = _Quiet()


def hush() -> None:
    """Pin the loggers of the libraries used here, whatever level somebody else gives them."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name, logger in list(logging.getLogger().manager.loggerDict.items()):
        if name.partition(".")[0] in _TALKATIVE and isinstance(logger, logging.Logger):
            logger.addFilter(_QUIET)  # adding it a second time changes nothing
