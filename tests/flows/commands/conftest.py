"""A hub without a daemon: real storage on SQLite, a standing clock, orders as channels show."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.stock import StockLevel
from oms_sync.domain.values import Address, Money, Person, Sku
from oms_sync.flows import normalise, reserve
from oms_sync.flows.commands.context import CommandContext
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import FlowContext
from oms_sync.flows.records import AccountProfile, StoredLine, StoredOrder
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.sdk import Capability, Manifest
from oms_sync.storage.crypto import create_key_file, load_key_ring
from oms_sync.storage.engine import Storage, open_storage

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@dataclass
class StandingClock:
    """Time moves when the test says so."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class CountingIds:
    """id-1, id-2, …"""

    count: int = 0

    def new(self) -> str:
        self.count += 1
        return f"id-{self.count:06d}"

    def uuid(self) -> str:
        return self.new()

    def random(self) -> float:
        return 0.5


@dataclass
class Bench:
    """A storage, the context commands get, and short ways to look at what they did."""

    storage: Storage
    context: CommandContext
    clock: StandingClock
    wakes: list[tuple[str, str]] = field(default_factory=list)

    def add_order(
        self,
        number: str = "1001",
        lines: Mapping[str, int] | None = None,
        *,
        account: str = "shop-a",
        placed_at: datetime | None = None,
        **facts: Any,
    ) -> str:
        """Store an order as its channel showed it; every SKU is mapped, nothing is reserved yet."""
        wanted = {"TEE": 2} if lines is None else dict(lines)
        placed = placed_at or NOW - timedelta(hours=1)
        shown = {
            "state": OrderState.OPEN,
            "placed_at": placed,
            "currency": "USD",
            "total": Money(Decimal("20.00"), "USD"),
            "fulfilled_by": "seller",
            "recipient": Person(name="Zoë Müller", address=Address(lines=("1 Main St",))),
            **facts,
        }
        sight = OrderSight(
            channel_order_id=number,
            version=Version(placed, placed),
            facts=OrderFacts(**shown),
            lines=tuple(
                LineSight(
                    channel_line_id=f"{number}-{sku}",
                    channel_sku=sku,
                    title=f"Article {sku}",
                    quantity_ordered=units,
                    unit_price=Money(Decimal("10.00"), "USD"),
                )
                for sku, units in wanted.items()
            ),
        )
        known = first_sight(account, sight)
        order = StoredOrder(
            order_id=f"order-{account}-{number}",
            known=known,
            state=shown["state"],
            lines=tuple(
                StoredLine(
                    line_id=f"line-{one.line.channel_line_id}",
                    channel_line_id=one.line.channel_line_id,
                    sku=Sku(one.line.channel_sku or ""),
                )
                for one in known.lines
            ),
            imported_at=NOW,
        )
        with self.storage.open_work() as work:
            work.stock.ensure([line.sku for line in order.lines if line.sku])
            work.orders.add([order])
            work.commit()
        return order.order_id

    def run(self, flow: Any, account: str = "shop-a") -> None:
        """Run one flow of an account, as the daemon would."""
        flow.run(
            FlowContext(
                account=self.context.profiles[account],
                profiles=self.context.profiles,
                manifest=Manifest(id="fake", label="Fake", capabilities=frozenset(Capability)),
                session=None,
                webhook=None,
                open_work=self.storage.open_work,
                clock=self.clock,
                ids=self.context.ids,
                metrics=NullMetrics(),
                is_stopping=lambda: False,
            )
        )

    def reserve(self, account: str = "shop-a") -> None:
        self.run(reserve, account)

    def normalise(self, account: str = MANUAL) -> None:
        self.run(normalise, account)

    def order(self, order_id: str) -> StoredOrder:
        with self.storage.open_work() as work:
            return work.orders.load([order_id])[order_id]

    def level(self, sku: str, location: str = "main") -> StockLevel:
        with self.storage.open_work() as work:
            return work.stock.levels([Sku(sku)])[(Sku(sku), location)]

    def as_account(self, name: str, **changes: Any) -> None:
        """Change what the configuration says of an account."""
        profiles = dict(self.context.profiles)
        profiles[name] = replace(profiles[name], **changes)
        self.context = replace(self.context, profiles=profiles)


@pytest.fixture
def bench(made_sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    clock, ids = StandingClock(), CountingIds()
    create_key_file(tmp_path / "test.key")
    storage = open_storage(
        made_sqlite_url,
        keys=load_key_ring(tmp_path / "test.key"),
        clock=clock,
        ids=ids,
    )
    places = ("main", "annex")
    profiles = {
        name: AccountProfile(name=name, connector="fake", locations=places)
        for name in ("shop-a", "shop-b")
    }
    profiles[MANUAL] = AccountProfile(name=MANUAL, connector=MANUAL, locations=places)
    context = CommandContext(
        open_work=storage.open_work,
        clock=clock,
        ids=ids,
        actor="cli:anna",
        profiles=profiles,
        locations=frozenset(places),
    )
    made = Bench(storage=storage, context=context, clock=clock)
    storage.on_wake.append(lambda flow, account: made.wakes.append((flow, account)))
    yield made
    storage.close()


@pytest.fixture
def nothing_changed(bench: Bench, tmp_path: Path) -> Callable[[], bool]:
    """Says whether every row of the database is as it was when the fixture was made."""
    import sqlite3

    def rows() -> list[str]:
        connection = sqlite3.connect(tmp_path / "hub.db")
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    before: list[str] = []

    def check() -> bool:
        if not before:
            before.extend(rows())
            return True
        return rows() == before

    return check
