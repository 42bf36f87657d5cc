"""The hub of the flows' own tests serves here, too; and hubs that sell at a connector's sandbox."""

import contextlib
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from oms_sync.cli.workbench import workbench
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import line_counts
from oms_sync.domain.values import parse_sku
from oms_sync.flows.commands.listings import Link, link
from oms_sync.sdk import Capability, ChannelError, OutgoingPackage, OutgoingShipment
from oms_sync.sdk.sandbox import Purchase, Refusal

PAGES_MAX = 50
TURNS_MAX = 12
COUNTED = 40
SKUS = 12
NUMBERS = itertools.count(1)

_PATH = Path(__file__).parents[1] / "flows" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("flows_conftest_for_orders", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
flow_template, hub, any_hub = _MODULE.flow_template, _MODULE.hub, _MODULE.any_hub


@dataclass
class Market:
    """A connector's sandbox over HTTP, its session, and a hub whose accounts all are the seller's.

    Every account of the hub reads with the one session, and links each listing to a SKU of its own.
    """

    name: str
    connector: Any
    driver: Any
    session: Any
    hub: Any

    def advance(self, seconds: float) -> None:
        self.driver.advance(seconds)
        self.hub.clock.advance(seconds)

    def work(self, flow: str, is_over: Callable[[], bool]) -> None:
        """Let one flow work, and the hub take in what it reads, until it has come to its end."""
        for _ in range(TURNS_MAX):
            if is_over():
                return
            for each in (flow, "normalise", "reserve"):
                self.hub.run(each, "own")
            self.advance(150)
        raise AssertionError(f"{flow} does not come to its end")

    def listings(self) -> list[Any]:
        found: list[Any] = []
        cursor = None
        for _ in range(PAGES_MAX):
            page = self.session.read_listings(cursor)
            found += page.listings
            if page.cursor is None:
                return found
            cursor = page.cursor
        raise AssertionError("the listings do not end")

    def account(self, account: str, *channel_skus: str) -> dict[str, str]:
        """A hub account that sells these; answers its own SKU of each."""
        hub = self.hub
        hub.connect(account, {})
        hub.sessions[account] = self.session
        hub.manifests[account] = self.connector.manifest
        own = {sku: f"{sku} of {account}" for sku in channel_skus}
        for one in self.listings():
            if one.channel_sku in own:
                sku = parse_sku(own[one.channel_sku])
                wanted = Link(
                    account=account,
                    channel_listing_id=one.channel_listing_id,
                    channel_sku=one.channel_sku,
                    sku=sku,
                )
                link(hub.command, [wanted])
                hub.count(sku, COUNTED)
        return own

    def read(self, channel_order_id: str) -> Any:
        (raw,) = self.session.read_orders_by_id([channel_order_id])
        return raw

    def told(self) -> list[Any]:
        """What notifications show of orders, where the channel sends such."""
        if Capability.PULL_NOTIFICATIONS not in self.connector.manifest.capabilities:
            return []
        hints = [self.driver.part.read_hint({}, one.body) for one in self.session.pull(0.0)]
        return [hint.order for hint in hints if hint.order is not None]

    def sight(self, channel_order_id: str) -> Any:
        return self.session.parse_order(self.read(channel_order_id).payload, self.driver.now())

    def take_in(self, account: str, raw: Any) -> Any:
        """Let the hub have one reading; answers the order as it keeps it."""
        hub = self.hub
        hub.add(
            raw.payload,
            "read",
            account=account,
            channel_order_id=raw.channel_order_id,
            received_at=self.driver.now(),
        )
        hub.run("normalise", account)
        hub.run("reserve", account)
        assert hub.inbox("dead", account) == []
        return hub.order(raw.channel_order_id, account)

    def attempt(self, act: Callable[..., Any], *words: Any, **more: Any) -> bool:
        """Do it; False where the channel has no such thing, or refuses."""
        self.advance(2)
        with contextlib.suppress(Refusal):
            act(*words, **more)
            return True
        return False

    def place(self, *lines: tuple[str, int], is_paid: bool = True) -> str:
        self.advance(2)
        purchase = Purchase(lines=lines, is_paid=is_paid)
        placed: str = self.driver.sandbox.sales.place(purchase)
        return placed

    def ship(self, channel_order_id: str, units: int | None = None) -> None:
        """The seller tells the channel of a parcel: of so many units of each line, or of all."""
        self.advance(2)
        sight = self.sight(channel_order_id)
        known = first_sight("any", sight)
        wanted = {
            one.line.channel_line_id: min(left, left if units is None else units)
            for one in known.lines
            if (left := line_counts(known, one, 0).open)
        }
        package = OutgoingPackage(
            carrier="ups", tracking_number=f"1Z{next(NUMBERS):06d}", tracking_url=None
        )
        sent = OutgoingShipment(
            key=f"parcel-{next(NUMBERS)}",
            channel_order_id=sight.channel_order_id,
            lines=wanted,
            packages=(package,),
            service=None,
            shipped_at=self.driver.now(),
        )
        with contextlib.suppress(ChannelError):
            self.session.push_shipment(sent)


@pytest.fixture(params=["amazon", "ebay", "shopify"])
def market(request: pytest.FixtureRequest, hub: Any) -> Iterator[Market]:
    """Each connector in turn, with a catalogue that has every awkward SKU."""
    connector = import_module(f"connectors.{request.param}").CONNECTOR
    start = connector.load_contract()
    options = {"skus": SKUS, **getattr(request.function, "sandbox", {})}
    with start(workbench(connector), **options) as driver:
        session = driver.open()
        yield Market(request.param, connector, driver, session, hub)
