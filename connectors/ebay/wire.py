"""One HTTP exchange, bounded in time and size: no proxies, no redirects, every status visible.

The Trading SDK's requests and our REST calls both go through here.
"""

import ipaddress
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from connectors.ebay.faults import lost
from oms_sync.sdk import Call, CallLog, ChannelError, Clock, FixAccount

CONNECT_SECONDS: Final = 10.0
TIMEOUT_SECONDS: Final = 15.0
DEADLINE_SECONDS: Final = 30.0
ANSWER_BYTES_MAX: Final = 20_000_000
CONNECTIONS_MAX: Final = 20
#: shorter than any server keeps an idle connection, so that a call seldom meets a dying one
IDLE_SECONDS: Final = 2.0
REQUEST_ID_MAX: Final = 120
_GZIP: Final = 31
#: where eBay names a request, to be quoted to its support; the first that is there counts
_REQUEST_IDS: Final = ("x-ebay-c-request-id", "x-ebay-request-id", "rlogid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request; header names as they are sent."""

    #: what it is noted as: a bucket of the budget, or a Trading call
    operation: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    is_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, whatever its status; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Sends to one base URL; safe from several threads."""

    def __init__(
        self, clock: Clock, base_url: str, calls: CallLog, *, keeps_connections: bool = True
    ) -> None:
        _refuse_open_http(base_url)
        self._clock, self._calls = clock, calls
        self._http = httpx.Client(
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX if keeps_connections else 0,
                keepalive_expiry=IDLE_SECONDS,
            ),
        )

    def close(self) -> None:
        self._http.close()

    def send(self, exchange: Exchange) -> Reply:
        """Send and read; raises ChannelDown, or OutcomeUnknown when a write may have arrived."""
        at, began = self._clock.now(), self._clock.monotonic()
        status, request_id = "lost", ""
        try:
            reply = self._exchange(exchange)
        except ChannelError as error:
            if isinstance(error.__cause__, httpx.TimeoutException | TimeoutError):
                status = "timeout"
            raise
        else:
            status = str(reply.status)
            told = (reply.headers[name] for name in _REQUEST_IDS if name in reply.headers)
            request_id = next(told, "")
            return reply
        finally:
            took = self._clock.monotonic() - began
            self._calls.note(
                Call(
                    operation=exchange.operation,
                    at=at,
                    duration_seconds=took,
                    status=status,
                    request_id=request_id[:REQUEST_ID_MAX],
                )
            )

    def _exchange(self, exchange: Exchange) -> Reply:
        until = self._clock.monotonic() + DEADLINE_SECONDS
        request = self._http.build_request(
            exchange.method,
            exchange.url,
            headers={**exchange.headers, "Accept-Encoding": "gzip"},
            content=exchange.body or None,
        )
        with _translated(is_write=exchange.is_write):
            response = self._http.send(request, stream=True)
            try:
                body = self._read(response, until)
            finally:
                response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(status=response.status_code, headers=headers, body=body)

    def _read(self, response: httpx.Response, until: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise OSError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
            if self._clock.monotonic() > until:
                raise TimeoutError(f"the answer took longer than {DEADLINE_SECONDS:.0f} s")
        packing = response.headers.get("content-encoding", "identity").lower()
        if packing == "gzip":
            return _unpack(bytes(body))
        if packing not in ("", "identity"):
            raise OSError(f"the answer is packed as {packing[:40]!r}, which was not asked for")
        return bytes(body)


def _unpack(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    plain = unpacker.decompress(body, ANSWER_BYTES_MAX)
    if unpacker.unconsumed_tail:
        raise OSError(f"the answer unpacks to more than {ANSWER_BYTES_MAX} bytes")
    if not unpacker.eof:
        raise OSError("the packed answer is cut off")
    return plain


def _refuse_open_http(base_url: str) -> None:
    """Tokens travel in headers: nothing but TLS, or this machine itself."""
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return
    try:
        is_local = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_local = parts.hostname == "localhost"
    if parts.scheme != "http" or not is_local:
        raise FixAccount("endpoint must be https, or http on this machine: correct it, then resume")


@contextmanager
def _translated(*, is_write: bool) -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise lost(f"eBay cannot be reached: {error!r}"[:300], is_write=False) from error
    except (httpx.HTTPError, OSError, zlib.error) as error:
        raise lost(f"the answer was lost: {error!r}"[:300], is_write=is_write) from error
