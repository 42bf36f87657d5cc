"""The vendor SDK's Trading connection, made safe for a daemon: a fresh one for every call.

The SDK builds address, headers and envelope; the exchange itself goes through our wire, and the
answer's bytes are read by our own reader, never by the SDK's. It keeps no state between calls.
"""

import logging
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ebaysdk.trading import Connection

from connectors.ebay.settings import EbaySettings
from connectors.ebay.wire import Exchange, Reply, Wire

PATH: Final = "/ws/api.dll"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingCall:
    """One Trading call; `body` is the request's children, written in the schema's order."""

    name: str
    body: str
    is_write: bool = False


class TradingConnection(Connection):  # type: ignore[misc] # the SDK ships no types
    """One call with one token."""

    def __init__(self, settings: EbaySettings, base_url: str, wire: Wire, token: str) -> None:
        # At DEBUG the SDK's logger prints whole requests.
        logging.getLogger("ebaysdk").setLevel(logging.WARNING)
        parts = urlsplit(base_url)
        wanted = {
            "domain": parts.netloc,
            "uri": f"{parts.path.rstrip('/')}{PATH}",
            "appid": settings.app_id,
            "devid": settings.dev_id,
            # Beside an OAuth token it is not asked for, so the secret stays here.
            "certid": "",
            "iaf_token": token,
            "token": None,
            "siteid": str(settings.site_id),
            # Pinned: the SDK's own default of 2013 books other totals.
            "compatibility": str(settings.compatibility_level),
            "warnings": False,
            "errors": False,
        }
        super().__init__(config_file=None, debug=False, **wanted)
        for name, value in {**wanted, "https": parts.scheme == "https"}.items():
            # Forced, for the SDK overwrites some, and a stray file may have set others.
            self.config.set(name, value, force=True)
        self.datetime_nodes: list[str] = []
        self._wire, self.is_write, self.operation = wire, False, ""

    def run(self, call: TradingCall) -> Reply:
        """Send it; raises what the wire raises, and answers every HTTP status."""
        self.is_write, self.operation = call.is_write, call.name
        reply: Reply = self.execute(call.name, call.body)
        return reply

    def build_request_headers(self, verb: str) -> dict[str, str]:
        headers: dict[str, str] = super().build_request_headers(verb)
        headers["Content-Type"] = 'text/xml; charset="utf-8"'
        return {name: value for name, value in headers.items() if value}

    def execute_request(self) -> None:
        request: Any = self.request
        body = request.body
        self.response = self._wire.send(
            Exchange(
                operation=self.operation,
                method=request.method,
                url=request.url,
                headers={
                    name: value
                    for name, value in request.headers.items()
                    if name.lower() not in ("content-length", "accept-encoding", "connection")
                },
                body=body.encode() if isinstance(body, str) else body,
                is_write=self.is_write,
            )
        )
