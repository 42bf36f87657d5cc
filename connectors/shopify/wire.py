"""One HTTP exchange, bounded in time and size: no proxies, no redirects, every status visible."""

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from connectors.shopify.faults import lost
from oms_sync.sdk import BadPayload, Call, CallLog, ChannelError, Clock, NoCallLog

TIMEOUT_SECONDS: Final = 15.0
DEADLINE_SECONDS: Final = 30.0
ANSWER_BYTES_MAX: Final = 20_000_000
CHUNK_BYTES: Final = 65_536
#: what the call log names a document, and the one request that is none
GRAPHQL: Final = "graphql"
TOKEN: Final = "token"  # noqa: S105 - a name
#: the points an answer says it cost; quotes inside texts are escaped, so a name cannot pose as it
_COST: Final = re.compile(rb'"actualQueryCost":\s*(\d{1,9})')


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, whatever its status; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """One HTTP request at a time, bounded in time and size, for every status alike."""

    def __init__(self, clock: Clock, calls: CallLog | None = None) -> None:
        self._clock, self._calls = clock, calls or NoCallLog()
        # An opener of our own: no proxies, no redirects, no error handler that hides an answer.
        self._opener = urllib.request.OpenerDirector()
        self._opener.add_handler(urllib.request.HTTPHandler())
        self._opener.add_handler(urllib.request.HTTPSHandler())

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, is_write: bool) -> Reply:
        """Send and read; raises ChannelDown, or OutcomeUnknown when a write may have arrived."""
        at, began = self._clock.now(), self._clock.monotonic()
        status, request_id, cost = "lost", "", 1.0
        try:
            reply = self._exchange(url, body, headers, is_write=is_write)
            status, request_id = str(reply.status), reply.headers.get("x-request-id", "")
            found = _COST.search(reply.body)
            cost = float(found[1]) if found else cost
        except ChannelError as error:
            cause = error.__cause__
            reason = cause.reason if isinstance(cause, urllib.error.URLError) else cause
            status = "timeout" if isinstance(reason, TimeoutError) else status
            raise
        finally:
            self._calls.note(
                Call(
                    operation=GRAPHQL if url.endswith("/graphql.json") else TOKEN,
                    at=at,
                    duration_seconds=self._clock.monotonic() - began,
                    cost=cost,
                    status=status,
                    request_id=request_id,
                )
            )
        return reply

    def _exchange(
        self, url: str, body: bytes, headers: Mapping[str, str], *, is_write: bool
    ) -> Reply:
        # The settings allow https, and plain http on loopback; the opener knows nothing else.
        sent = dict(headers)
        request = urllib.request.Request(url, body, sent, method="POST")  # noqa: S310 - see above
        until = self._clock.monotonic() + DEADLINE_SECONDS
        with _translated(is_write=is_write):
            response = self._opener.open(request, timeout=TIMEOUT_SECONDS)
            assert response is not None, "an http or https URL is always opened"
            with response:
                return Reply(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=self._read(response, until, is_write=is_write),
                )

    def _read(self, response: http.client.HTTPResponse, until: float, *, is_write: bool) -> bytes:
        body = bytearray()
        while chunk := response.read1(CHUNK_BYTES):
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                message = f"the answer is longer than {ANSWER_BYTES_MAX} bytes"
                raise lost(message, is_write=True) if is_write else BadPayload(message)
            if self._clock.monotonic() > until:
                raise TimeoutError(f"the answer took longer than {DEADLINE_SECONDS:.0f} s")
        if response.length:  # what the declared length still lacks
            raise http.client.IncompleteRead(bytes(body), response.length)
        return bytes(body)


@contextmanager
def _translated(*, is_write: bool) -> Iterator[None]:
    try:
        yield
    except urllib.error.URLError as error:
        never_sent = (ConnectionRefusedError, socket.gaierror, ssl.SSLError)
        sent = is_write and not isinstance(error.reason, never_sent)
        raise lost(f"the shop cannot be reached: {error.reason}", is_write=sent) from error
    except (OSError, http.client.HTTPException) as error:
        raise lost(f"the answer was lost: {error!r}"[:300], is_write=is_write) from error
