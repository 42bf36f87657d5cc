"""A hub without a daemon: real storage, the real flows, fake channels, a clock the test moves."""

import itertools
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from oms_sync.domain.listing import Listing
from oms_sync.domain.shipment import Package, Shipment
from oms_sync.domain.stock import StockLevel
from oms_sync.domain.values import Sku
from oms_sync.flows.commands import stock
from oms_sync.flows.commands.context import CommandContext
from oms_sync.flows.commands.listings import Link, link
from oms_sync.flows.commands.shipments import Dispatch, ship
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import (
    AccountProfile,
    FeedPosition,
    MessageSource,
    NewMessage,
    StoredLine,
    StoredOrder,
)
from oms_sync.runtime.pipeline import FLOWS
from oms_sync.sdk import Manifest, OrderFeed
from oms_sync.sdk.fake import FakeChannel, FakeOptions
from oms_sync.sdk.fake_ports import FakeClock
from oms_sync.storage.crypto import KeyRing, create_key_file, load_key_ring
from oms_sync.storage.engine import Storage, open_storage

ROUNDS_MAX = 40
ROUND = ("ingest", "normalise", "reserve", "push_stock", "push_tracking", "write_back")
#: long enough for a poll, a look and what they lead to
ROUND_SECONDS = 6.0


class Crash(BaseException):
    """The process dies here; no product code may catch it."""


class CountedIds:
    """Identifiers in sequence; several threads may ask."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def new(self) -> str:
        return f"id-{next(self._count):09d}"

    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._count):012d}"

    def random(self) -> float:
        return 0.5


class CountedMetrics:
    """Remembers what was counted and observed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.observed: defaultdict[str, list[float]] = defaultdict(list)
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counts[name] += int(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[" ".join([name, *(labels[key] for key in sorted(labels))])] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        assert value >= 0
        self.observed[" ".join([name, *filter(None, [labels.get("flow")])])].append(value)


class Hub:
    """One storage, any number of fake accounts, and short ways to look at what the flows did."""

    Crash = Crash

    def __init__(self, url: str, keys: KeyRing) -> None:
        self.clock = FakeClock()
        self.ids = CountedIds()
        self.metrics = CountedMetrics()
        self.storage: Storage = open_storage(url, keys=keys, clock=self.clock, ids=self.ids)
        self.wakes: list[tuple[str, str]] = []
        self.storage.on_wake.append(lambda flow, account: self.wakes.append((flow, account)))
        self.channels: dict[str, FakeChannel] = {}
        self.profiles: dict[str, AccountProfile] = {}
        #: put another session, manifest or webhook part here and the flows work with it
        self.sessions: dict[str, Any] = {}
        self.manifests: dict[str, Manifest] = {}
        self.webhooks: dict[str, Any] = {}
        self.is_stopping: Callable[[], bool] = lambda: False
        #: the commit from now at which the process dies, and whether it was made before
        self._crash_at: int | None = None
        self._is_crash_after = False

    def close(self) -> None:
        self.storage.close()

    # --- setting the scene -----------------------------------------------------------------------

    def connect(
        self,
        name: str = "shop-a",
        catalogue: Mapping[str, int] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        **profile: Any,
    ) -> FakeChannel:
        """A new account with a channel of its own, nothing linked."""
        channel = FakeChannel(
            name,
            clock=self.clock,
            chance=Random(name),
            options=FakeOptions(**{"late_seconds": 0.0, **(options or {})}),
            catalogue={"TEE": 10} if catalogue is None else catalogue,
        )
        self.channels[name] = channel
        self.profiles[name] = AccountProfile(
            name=name, connector="fake", **{"poll_seconds": 5, **profile}
        )
        self.sessions[name] = channel.session(name)
        self.manifests[name] = channel.manifest
        self.webhooks[name] = channel.webhook_part
        return channel

    def open_shop(
        self, name: str = "shop-a", catalogue: Mapping[str, int] | None = None, **more: Any
    ) -> FakeChannel:
        """A connected account, its listings linked, its stock counted, everything in step."""
        channel = self.connect(name, catalogue, **more)
        self.link(name)
        for sku, units in channel.quantities().items():
            if not self.levels(sku):
                self.count(sku, units)
        self.settle()
        return channel

    def profile(self, name: str, **changes: Any) -> None:
        self.profiles[name] = replace(self.profiles[name], **changes)

    def manual(self) -> None:
        """The account of orders our own people type in."""
        self.profiles[MANUAL] = AccountProfile(name=MANUAL, connector=MANUAL)
        self.sessions[MANUAL] = self.webhooks[MANUAL] = None
        self.manifests[MANUAL] = Manifest(id=MANUAL, label="By hand")

    @property
    def command(self) -> CommandContext:
        return CommandContext(
            open_work=self.storage.open_work,
            clock=self.clock,
            ids=self.ids,
            actor="cli:anna",
            profiles=self.profiles,
            locations=frozenset({"main", "annex"}),
            manifest_of=self.manifests.__getitem__,
        )

    def count(self, sku: str, units: int, location: str = "main") -> None:
        stock.set_count(self.command, Sku(sku), location=location, units=units, reason="count")

    def receive(self, sku: str, units: int) -> None:
        stock.receive(self.command, Sku(sku), location="main", units=units, reason="arrived")

    def link(self, account: str = "shop-a", *skus: str) -> None:
        """Link the account's listings to the SKU of their own name."""
        for one in self.channels[account].books.listings.values():
            if not skus or one.channel_sku in skus:
                wanted = Link(
                    account=account,
                    channel_listing_id=one.channel_listing_id,
                    channel_sku=one.channel_sku,
                    sku=Sku(one.channel_sku),
                )
                link(self.command, [wanted])

    def ship(self, channel_order_id: str, *numbers: str, account: str = "shop-a") -> Shipment:
        """Ship everything open, one package per tracking number."""
        packages = tuple(Package(carrier="ups", tracking_number=one) for one in numbers)
        order_id = self.order(channel_order_id, account).order_id
        return ship(
            self.command, order_id, Dispatch(packages=packages or (Package(carrier="ups"),))
        )

    def add(self, body: bytes, source: str = "poll", **message: Any) -> None:
        """Put a message into the inbox."""
        one = NewMessage(
            **{
                "account": "shop-a",
                "topic": "order",
                "source": MessageSource(source),
                "body": body,
                "received_at": self.clock.now(),
                **message,
            }
        )
        with self.storage.open_work() as work:
            work.inbox.add([one])
            work.commit()

    def hint(self, topic: str, body: bytes, account: str = "shop-a") -> None:
        self.add(body, "webhook", account=account, topic=topic, headers={"x-fake-topic": topic})

    def subscribe(self, account: str = "shop-a") -> None:
        self.channels[account].session(account).ensure_subscriptions("http://127.0.0.1/hub")

    def deliver(self, account: str = "shop-a") -> int:
        """The webhooks due arrive and are stored, as the endpoint does."""
        deliveries = self.channels[account].take_webhooks()
        for one in deliveries:
            topic = one.headers["x-fake-topic"]
            headers = {"x-fake-topic": topic}
            self.add(one.body, "webhook", account=account, topic=topic, headers=headers)
        return len(deliveries)

    # --- running ---------------------------------------------------------------------------------

    @contextmanager
    def open_work(self) -> Iterator[UnitOfWork]:
        with self.storage.open_work() as work:
            commit = work.commit

            def counted_commit() -> None:
                if self._crash_at is None:
                    commit()
                    return
                self._crash_at -= 1
                is_now = self._crash_at == 0
                if is_now:
                    self._crash_at = None
                if not is_now or self._is_crash_after:
                    commit()
                if is_now:
                    raise Crash

            work.commit = counted_commit  # type: ignore[method-assign]
            yield work

    def crash_at(self, commit: int, *, is_after: bool = False) -> None:
        """Die at the `commit`-th commit from now, before it is made or after."""
        self._crash_at, self._is_crash_after = commit, is_after

    def context(self, account: str) -> FlowContext:
        return FlowContext(
            account=self.profiles[account],
            profiles=self.profiles,
            manifest=self.manifests[account],
            session=self.sessions[account],
            webhook=self.webhooks[account],
            open_work=self.open_work,
            clock=self.clock,
            ids=self.ids,
            metrics=self.metrics,
            is_stopping=self.is_stopping,
        )

    def run(self, flow: str, account: str = "shop-a") -> FlowReport:
        """One run of one flow, a tenth of a second later."""
        self.clock.advance(0.1)
        report: FlowReport = FLOWS[flow](self.context(account))
        return report

    def take_in(
        self,
        account: str = "shop-a",
        *,
        flows: tuple[str, ...] = ("ingest", "normalise", "reserve"),
    ) -> None:
        """Poll now, then fold and reserve what came in."""
        with self.storage.open_work() as work:
            work.feeds.hasten(account, OrderFeed.CHANGES, at=self.clock.now())
            work.commit()
        for flow in flows:
            self.run(flow, account)

    def round(self) -> int:
        """Every flow but reconcile once, for every account; answers how much was done."""
        self.clock.advance(ROUND_SECONDS)
        done = 0
        for flow in ROUND:
            for account in sorted(self.profiles):
                done += self.run(flow, account).done
        return done

    def settle(self) -> None:
        """Let the flows work until two rounds in a row have nothing left to do."""
        quiet = 0
        for _ in range(ROUNDS_MAX):
            quiet = quiet + 1 if self.round() == 0 else 0
            if quiet == 2:
                return
        raise AssertionError("the hub does not come to rest")

    # --- looking ---------------------------------------------------------------------------------

    def find_order(self, channel_order_id: str, account: str = "shop-a") -> StoredOrder | None:
        with self.storage.open_work() as work:
            found = work.orders.lock_by_channel_ids(account, [channel_order_id])
        return found.get(channel_order_id)

    def order(self, channel_order_id: str, account: str = "shop-a") -> StoredOrder:
        found = self.find_order(channel_order_id, account)
        assert found is not None, f"the hub does not know {account}:{channel_order_id}"
        return found

    def line(self, channel_order_id: str, account: str = "shop-a", index: int = 0) -> StoredLine:
        return self.order(channel_order_id, account).lines[index]

    def filled(self, channel_order_id: str, account: str = "shop-a") -> tuple[int, int]:
        """Units reserved and units short of an order's first line."""
        line = self.line(channel_order_id, account)
        return sum(line.held.values()), line.quantity_short

    def holds(self, channel_order_id: str, account: str = "shop-a") -> list[str]:
        return [hold.code for hold in self.order(channel_order_id, account).holds]

    def levels(self, sku: str = "TEE") -> dict[str, StockLevel]:
        with self.storage.open_work() as work:
            found = work.stock.levels([Sku(sku)])
        return {place: level for (_, place), level in found.items()}

    def stock(self, sku: str = "TEE", location: str = "main") -> tuple[int, int]:
        """On hand and reserved."""
        level = self.levels(sku)[location]
        return level.on_hand, level.reserved

    def listing(self, sku: str = "TEE", account: str = "shop-a") -> Listing:
        with self.storage.open_work() as work:
            (found,) = work.listings.by_channel_skus(account, [sku])[sku]
        return found

    def feed(self, feed: str = "changes", account: str = "shop-a") -> FeedPosition:
        with self.storage.open_work() as work:
            position = work.feeds.get(account, OrderFeed(feed))
        assert position is not None
        return position

    def push_of(self, shipment: Shipment) -> Mapping[str, Any]:
        """The push of a shipment as `orders show` prints it."""
        shown = self.storage.reports.order(shipment.order_id)["shipments"]
        (push,) = [one["push"] for one in shown if one["shipment_id"] == shipment.shipment_id]
        found: Mapping[str, Any] = push
        return found

    def events(self, channel_order_id: str, account: str = "shop-a") -> list[Mapping[str, Any]]:
        order_id = self.order(channel_order_id, account).order_id
        timeline: list[Mapping[str, Any]] = self.storage.reports.order(order_id)["timeline"]
        return timeline

    def inbox(self, state: str, account: str = "shop-a") -> list[Any]:
        return self.storage.reports.inbox(state, account)

    def writes(self, account: str = "shop-a") -> list[tuple[str, int | None]]:
        """Quantities the channel was set to, by channel SKU, oldest first."""
        channel = self.channels[account]
        return [
            (channel.books.listings[effect.target].channel_sku, effect.quantity)
            for effect in channel.effects
            if effect.kind == "quantity_set"
        ]


@pytest.fixture(scope="session")
def flow_template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KeyRing]:
    """An empty, migrated SQLite file and its key ring, copied for every test."""
    folder = tmp_path_factory.mktemp("flows")
    create_key_file(folder / "keys")
    keys = load_key_ring(folder / "keys")
    clock, ids = FakeClock(), CountedIds()
    open_storage(f"sqlite:///{folder / 'hub.db'}", keys=keys, clock=clock, ids=ids).close()
    return folder / "hub.db", keys


@pytest.fixture
def hub(flow_template: tuple[Path, KeyRing], tmp_path: Path) -> Iterator[Hub]:
    """A hub on SQLite."""
    shutil.copy(flow_template[0], tmp_path / "hub.db")
    made = Hub(f"sqlite:///{tmp_path / 'hub.db'}", flow_template[1])
    yield made
    made.close()


@pytest.fixture
def any_hub(made_database_url: str, flow_template: tuple[Path, KeyRing]) -> Iterator[Hub]:
    """A hub, once on SQLite and once on PostgreSQL."""
    made = Hub(made_database_url, flow_template[1])
    yield made
    made.close()
