"""A store on each database, and short ways to make orders, stock and listings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from oms_sync.domain.listing import Basis, Listing
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.reservation import Draft, LineNeed, plan_reservations
from oms_sync.domain.stock import MovementKind
from oms_sync.domain.values import Address, Money, Person, Sku
from oms_sync.flows.records import StoredLine, StoredOrder
from oms_sync.sdk.fake_ports import FakeClock, SeededIds
from oms_sync.storage.crypto import KeyRing, create_key_file, load_key_ring
from oms_sync.storage.engine import Storage, StorageOptions, open_storage


@pytest.fixture
def postgres_url(made_postgres_url: str) -> str:
    """A fresh PostgreSQL database with tables."""
    return made_postgres_url


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    path = tmp_path / "oms-sync.key"
    create_key_file(path)
    return path


@pytest.fixture
def keys(key_path: Path) -> KeyRing:
    return load_key_ring(key_path)


@pytest.fixture
def open_store(database_url: str, keys: KeyRing, clock: FakeClock) -> Iterator[Any]:
    opened: list[Storage] = []

    def make(*, ring: KeyRing | None = None, announces: bool = False, seed: int = 1) -> Storage:
        storage = open_storage(
            database_url,
            keys=ring or keys,
            clock=clock,
            ids=SeededIds(seed + len(opened)),
            options=StorageOptions(announces=announces),
        )
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        storage.close()


@pytest.fixture
def storage(open_store: Callable[[], Storage]) -> Storage:
    return open_store()


@dataclass
class Builder:
    """Makes things that need to be there before a test begins."""

    storage: Storage
    clock: FakeClock
    count: int = 0

    def order(self, channel_order_id: str, *, sku: str | None = "MUG", units: int = 1, **more: Any):
        """An order of one line, not stored yet."""
        self.count += 1
        version = Version(self.clock.now(), self.clock.now())
        line = LineSight(
            channel_line_id="line-1",
            channel_listing_id=more.pop("channel_listing_id", None),
            channel_sku=more.pop("channel_sku", sku),
            title="Blue mug",
            quantity_ordered=units,
            unit_price=Money.parse("10.00", "USD"),
        )
        person = Person(
            name="Vilja Canaryberg",
            email="vilja@canary.example",
            channel_buyer_id=more.pop("buyer_id", None),
            address=Address(lines=("Canary Lane 7",), city="Canaryville", country="US"),
        )
        facts: dict[str, Any] = {
            "channel_order_number": f"#{channel_order_id}",
            "state": OrderState.OPEN,
            "placed_at": self.clock.now(),
            "currency": "USD",
            "total": Money.parse("10.00", "USD"),
            "buyer": person,
            "recipient": person,
            "buyer_note": "Canary: behind the shed",
            "channel_holds": (),
            "line_ids": ("line-1",),
            **more.pop("facts", {}),
        }
        sight = OrderSight(
            channel_order_id=channel_order_id,
            version=version,
            facts=OrderFacts(**facts),
            lines=(line,),
        )
        fields: dict[str, Any] = {
            "order_id": f"order-{self.count:04}",
            "known": first_sight(more.pop("account", "shop-a"), sight),
            "state": OrderState.OPEN,
            "lines": (
                StoredLine(
                    line_id=f"line-{self.count:04}",
                    channel_line_id="line-1",
                    sku=Sku(sku) if sku else None,
                ),
            ),
            "imported_at": self.clock.now(),
            **more,
        }
        return StoredOrder(**fields)

    def stored(self, *orders: StoredOrder) -> None:
        with self.storage.open_work() as work:
            work.orders.add(orders)
            work.commit()

    def counted(self, sku: str, units: int, *, location: str = "main") -> None:
        """Change on hand by `units`, as a count would."""
        with self.storage.open_work() as work:
            levels = work.stock.lock([Sku(sku)])
            draft = Draft(levels, at=self.clock.now(), actor="cli:anna")
            draft.move(
                (Sku(sku), location),
                MovementKind.ADJUSTMENT,
                reason="count",
                source="count",
                on_hand_delta=units,
            )
            work.stock.append(draft.movements, draft.levels)
            work.commit()

    def reserved(self, *order_ids: str, storage: Storage | None = None) -> int:
        """Reserve for these orders, as the flow does; gives the units held afterwards."""
        with (storage or self.storage).open_work() as work:
            orders = work.orders.lock(order_ids)
            skus = {line.sku for order in orders.values() for line in order.lines if line.sku}
            levels = work.stock.lock(skus)
            orders = work.orders.load(order_ids)
            needs = [
                LineNeed(
                    line_id=line.line_id,
                    source=f"order:{order.order_id}",
                    placed_at=order.placed_at,
                    sku=line.sku,
                    locations=("main",),
                    wanted=known.line.quantity_ordered,
                    held=line.held,
                )
                for order in orders.values()
                for known, line in zip(order.known.lines, order.lines, strict=True)
                if line.sku
            ]
            plan = plan_reservations(needs, levels, at=self.clock.now())
            outcomes = {outcome.line_id: outcome for outcome in plan.outcomes}
            work.stock.append(plan.movements, plan.levels)
            work.orders.save_reservations(
                [
                    replace(
                        order,
                        is_reserve_due=False,
                        lines=tuple(
                            replace(
                                line,
                                held=outcomes[line.line_id].held,
                                quantity_short=outcomes[line.line_id].short,
                            )
                            for line in order.lines
                        ),
                    )
                    for order in orders.values()
                ]
            )
            work.commit()
        return sum(sum(outcome.held.values()) for outcome in plan.outcomes)

    def listed(self, listing_id: str, *, sku: str | None = "MUG", **more: Any) -> Listing:
        """A stored listing, seen once, no longer stale."""
        fields: dict[str, Any] = {
            "listing_id": listing_id,
            "account": "shop-a",
            "channel_listing_id": f"channel-{listing_id}",
            "channel_sku": sku or "UNKNOWN",
            "sku": Sku(sku) if sku else None,
            "desired": 5,
            "basis": Basis(quantity=5, taken=0),
            **more,
        }
        listing = Listing(**fields)
        with self.storage.open_work() as work:
            if listing.sku:
                work.stock.ensure([listing.sku])
            work.listings.save([listing])
            work.listings.lock_stale(listing.account, 1_000)
            work.commit()
        return listing


@pytest.fixture
def build(storage: Storage, clock: FakeClock) -> Builder:
    return Builder(storage, clock)


@pytest.fixture
def builder() -> type[Builder]:
    """For tests that open a store of their own."""
    return Builder


@pytest.fixture
def tamper(storage: Storage) -> Callable[..., None]:
    """Write to the database behind the hub's back."""

    def run(statement: str, **parameters: Any) -> None:
        from sqlalchemy import text

        with storage._database.write() as transaction:
            transaction.run(text(statement), parameters)
            transaction.commit()

    return run
