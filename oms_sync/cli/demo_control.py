"""Speaks to one sandbox's control routes. Safe to use from several threads."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from oms_sync.cli.demo_plan import PlannedAct
from oms_sync.cli.demo_propagation import Change
from oms_sync.sdk.seeding import Purchase

TIMEOUT_SECONDS: Final = 30.0
TRIES_MAX: Final = 3
PAGES_MAX: Final = 1_000
_REFUSED: Final = 400
_BROKEN: Final = 500


class Refused(Exception):
    """The sandbox refuses: sold out, already shipped and the like."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


class SandboxDown(Exception):
    """The sandbox does not answer as it should; its log says more."""


class SandboxControl:
    """One account's sandbox."""

    def __init__(self, account: str, base_url: str) -> None:
        self.account, self.base_url = account, base_url
        self._address = urlsplit(base_url).netloc
        self._own = threading.local()
        self._lock = threading.Lock()
        self._connections: set[http.client.HTTPConnection] = set()

    def place(self, purchase: Purchase) -> str:
        """Try to buy; answers the channel order id or raises Refused."""
        lines = [{"channel_sku": sku, "quantity": units} for sku, units in purchase.lines]
        body = {"lines": lines, "paid": purchase.is_paid, "fulfilled_by": purchase.fulfilled_by}
        placed: str = self._call("POST", "/_sandbox/orders", body)["channel_order_id"]
        return placed

    def act(self, channel_order_id: str, act: PlannedAct) -> None:
        """Do something to an order; raises Refused."""
        body: dict[str, Any] = {}
        if act.quantities:
            body["lines"] = [{"channel_sku": s, "quantity": units} for s, units in act.quantities]
        if act.kind == "release":
            body["release"] = True
        name = "hold" if act.kind == "release" else act.kind
        self._call("POST", f"/_sandbox/orders/{quote(channel_order_id, safe='')}/{name}", body)

    def truth(self) -> dict[str, Any]:
        truth: dict[str, Any] = self._call("GET", "/_sandbox/truth")
        return truth

    @property
    def ships_itself(self) -> bool:
        """The channel has a warehouse of its own and ships some orders from it."""
        return "sold_by_channel" in self.truth()

    def changes(self, after: int) -> Iterator[tuple[int, Change]]:
        """Changes of offered quantities numbered above `after`, with their numbers."""
        for _ in range(PAGES_MAX):
            page = self._call("GET", f"/_sandbox/changes?after={after}")
            if not page:
                return
            for entry in page:
                after = entry["number"]
                yield after, self._change(entry)

    def _change(self, entry: Mapping[str, Any]) -> Change:
        return Change(
            account=self.account,
            at=datetime.fromisoformat(entry["at"]),
            sku=entry["channel_sku"],
            quantity=entry["quantity"],
            delta=entry["delta"],
            is_hub=entry["is_hub"],
        )

    def faults(self) -> dict[str, dict[str, Any]]:
        """The counters of every fault the sandbox knows."""
        faults: dict[str, dict[str, Any]] = self._call("GET", "/_sandbox/faults")
        return faults

    def switch(self, kind: str, rate: float, *, force: int = 0) -> None:
        """Let a fault happen at `rate` of its chances, and surely at the next `force`."""
        self._call("PUT", f"/_sandbox/faults/{kind}", {"rate": rate, "force": force})

    def seed(self, name: str) -> bytes:
        """One of the seed CSVs: stock or listings."""
        return self._answer("GET", f"/_sandbox/seed/{name}.csv", None)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return json.loads(self._answer(method, path, None if body is None else json.dumps(body)))

    def _answer(self, method: str, path: str, body: str | None) -> bytes:
        for _ in range(TRIES_MAX):
            is_reused = getattr(self._own, "connection", None) is not None
            connection = self._connection()
            try:
                connection.request(method, path, body)
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if is_reused and isinstance(error, ConnectionError):
                    continue  # an idle connection the server had closed: nothing was done
                raise SandboxDown(f"{self.account} at {self.base_url}: {error!r}") from error
            if response.status >= _BROKEN:
                raise SandboxDown(f"{self.account}: {method} {path} answered {response.status}")
            if response.status >= _REFUSED:
                raise Refused(str(json.loads(content).get("reason", "")), response.status)
            return content
        raise SandboxDown(f"{self.account} at {self.base_url} closes every connection")

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
            self._own.connection = connection
            with self._lock:
                self._connections.add(connection)
        return connection

    def close(self) -> None:
        """Give back this thread's connection."""
        connection = getattr(self._own, "connection", None)
        self._own.connection = None
        if connection is not None:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def close_all(self) -> None:
        """Give back the connections of all threads; those must have ended."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.close()
