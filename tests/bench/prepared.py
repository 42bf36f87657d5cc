"""A hub in this process whose channels answer at once: real flows, storage, leases, dispatcher.

Its accounts hand out payloads that were rendered before, so that only the hub's own work is seen.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from oms_sync.domain.values import Sku
from oms_sync.flows import ingest, normalise, reserve
from oms_sync.flows.commands.context import CommandContext
from oms_sync.flows.commands.listings import Link, link
from oms_sync.flows.commands.stock import set_count
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.flows.records import AccountProfile
from oms_sync.runtime.clock import SystemClock, SystemIds
from oms_sync.runtime.dispatch import LocalDispatcher
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.leases import LeaseKeeper
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.runner import FlowRunner, RunnerParts
from oms_sync.runtime.sessions import AccountWiring, Sessions
from oms_sync.sdk import Capability, Manifest, OrderFeed, OrderPage, RawOrder
from oms_sync.sdk.fake_orders import FakeLine, FakeOrder, parse_order, render_order
from oms_sync.storage.crypto import create_key_file, load_key_ring
from oms_sync.storage.engine import Storage, open_storage

PAGE_ORDERS: Final = 50
UNITS: Final = 1_000_000
WAIT_SECONDS_MAX: Final = 300.0


class PreparedSession:
    """Answers every order of its pile through the feed of changes, page by page."""

    def __init__(self, orders: Sequence[RawOrder]) -> None:
        self._orders = orders

    def close(self) -> None:
        """Nothing to give back."""

    def read_orders(self, feed: OrderFeed, cursor: str | None, since: datetime) -> OrderPage:
        """The next page."""
        begin = int(cursor or 0)
        orders = self._orders[begin : begin + PAGE_ORDERS] if feed is OrderFeed.CHANGES else ()
        end = begin + len(orders)
        return OrderPage(
            orders=tuple(orders), cursor=str(end), is_last=not orders or end == len(self._orders)
        )

    def parse_order(self, payload: bytes, seen_at: datetime) -> Any:
        """What the payload says."""
        return parse_order(payload, seen_at)


def pile(account: str, orders: int, skus: Sequence[str], *, seed: int) -> list[RawOrder]:
    """Paid orders, four in five of one line, the others of two; one unit a line."""
    chance, now = Random(f"{seed}/{account}"), datetime.now(UTC)
    made = []
    for number in range(orders):
        order_id = f"{account}-{number:07d}"
        chosen = chance.sample(skus, k=min(len(skus), 2 if chance.random() < 0.2 else 1))
        at = now + timedelta(microseconds=number)
        order = FakeOrder(
            channel_order_id=order_id,
            placed_at=at,
            updated_at=at,
            visible_at=at,
            currency="EUR",
            is_paid=True,
            lines=tuple(
                FakeLine(
                    channel_line_id=f"{order_id}-{line}",
                    channel_listing_id=f"{account}/{sku}",
                    channel_sku=sku,
                    ordered=1,
                    price_minor=1250,
                    is_stocked=True,
                )
                for line, sku in enumerate(chosen, start=1)
            ),
        )
        made.append(RawOrder(channel_order_id=order_id, payload=render_order(order)))
    return made


@dataclass
class PreparedHub:
    """Accounts with a pile of orders each; `work_off` runs the pipeline until all are reserved."""

    storage: Storage
    clock: SystemClock
    ids: SystemIds
    sessions: dict[str, PreparedSession] = field(default_factory=dict)
    profiles: dict[str, AccountProfile] = field(default_factory=dict)
    _reserved: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def connect(self, account: str, orders: Sequence[RawOrder], skus: Sequence[str]) -> None:
        """An account whose listings are linked and whose stock is ample."""
        self.sessions[account] = PreparedSession(orders)
        self.profiles[account] = AccountProfile(name=account, connector="fake")
        link(
            self.command,
            [
                Link(
                    account=account,
                    channel_listing_id=f"{account}/{sku}",
                    channel_sku=sku,
                    sku=Sku(sku),
                )
                for sku in skus
            ],
        )

    def count(self, skus: Sequence[str], units: int = UNITS) -> None:
        """So many units of each lie in the warehouse."""
        for sku in skus:
            set_count(self.command, Sku(sku), location="main", units=units, reason="count")

    @property
    def command(self) -> CommandContext:
        """What commands work with."""
        return CommandContext(
            open_work=self.storage.open_work,
            clock=self.clock,
            ids=self.ids,
            actor="bench",
            profiles=self.profiles,
            locations=frozenset({"main"}),
        )

    def work_off(self, orders: int) -> float:
        """Wake every account and answer after how many seconds so many orders were reserved."""
        dispatcher = self._dispatcher()
        self.storage.on_wake[:] = [dispatcher.wake]
        started_at = self.clock.monotonic()
        for account in self.profiles:
            dispatcher.wake("ingest", account)
        dispatcher.start()
        with self._changed:
            is_done = self._changed.wait_for(lambda: self._reserved >= orders, WAIT_SECONDS_MAX)
        seconds = self.clock.monotonic() - started_at
        dispatcher.stop(WAIT_SECONDS_MAX)
        if not is_done:
            raise RuntimeError(f"only {self._reserved} of {orders} orders were reserved")
        return seconds

    def _dispatcher(self) -> LocalDispatcher:
        wirings = {name: self._wiring(name) for name in self.profiles}
        runner = FlowRunner(
            RunnerParts(
                flows={
                    "ingest": ingest.run,
                    "normalise": normalise.run,
                    "reserve": self._counted_reserve,
                    "push_stock": lambda _: FlowReport(),  # the figure ends where orders do
                },
                wirings=wirings,
                profiles=self.profiles,
                sessions=Sessions(wirings),
                health=AccountHealth(
                    self.storage.open_work, clock=self.clock, profiles=self.profiles
                ),
                leases=LeaseKeeper(self.storage.leases, owner="bench"),
                open_work=self.storage.open_work,
                clock=self.clock,
                ids=self.ids,
                metrics=NullMetrics(),
                is_stopping=lambda: False,
            )
        )
        manifests = {name: wiring.manifest for name, wiring in wirings.items()}
        return LocalDispatcher(runner.run, manifests=manifests, on_next=lambda *_: None)

    def _wiring(self, account: str) -> AccountWiring:
        manifest = Manifest(
            id="fake", label="Prepared", capabilities=frozenset({Capability.READ_ORDERS})
        )
        return AccountWiring(
            profile=self.profiles[account],
            manifest=manifest,
            open=lambda: self.sessions[account],
            gate=RateBuckets((), clock=self.clock, metrics=NullMetrics(), account=account),
        )

    def _counted_reserve(self, context: FlowContext) -> FlowReport:
        report = reserve.run(context)
        with self._changed:
            self._reserved += report.done
            self._changed.notify_all()
        return report


@contextmanager
def open_hub(url: str, folder: Path) -> Iterator[PreparedHub]:
    """A hub on an empty database."""
    keys = folder / "keys"
    if not keys.exists():
        create_key_file(keys)
    clock, ids = SystemClock(), SystemIds()
    storage = open_storage(url, keys=load_key_ring(keys), clock=clock, ids=ids)
    try:
        yield PreparedHub(storage, clock, ids)
    finally:
        storage.close()


def quantities(hub: PreparedHub, skus: Sequence[str]) -> Mapping[str, int]:
    """Available to sell by SKU."""
    return {
        str(sku): units for sku, units in hub.storage.available(Sku(one) for one in skus).items()
    }
