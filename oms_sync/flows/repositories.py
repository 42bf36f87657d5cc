"""The repositories of a unit of work, as the flows use them.

Implemented by `storage/`. Every method works on many rows at once. Locks are taken in one order:
an account, orders by id, then stock levels by SKU and location, then listings by id. What a
`lock…` method returns stays locked until the unit of work ends.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from oms_sync.domain.events import Event
from oms_sync.domain.reservation import LevelKey
from oms_sync.domain.shipment import Shipment
from oms_sync.domain.stock import StockLevel, StockMovement
from oms_sync.domain.values import Sku
from oms_sync.domain.write_back import WriteBack
from oms_sync.flows.records import (
    AccountRecord,
    FeedPosition,
    InboxMessage,
    MessageSource,
    NewMessage,
    PushRecord,
    Reread,
    ShipmentPush,
    StoredBatch,
    StoredOrder,
)
from oms_sync.sdk import OrderFeed


class Inbox(Protocol):
    """Messages that came in, encrypted, and what became of them."""

    def add(self, messages: Sequence[NewMessage]) -> int:
        """Store; answers how many were new.

        A hint equal to one not yet worked off collapses into it (database constraint). An order
        payload equal to the one last merged into its order is skipped, and so is one polled, read
        or shown by a hint again that is a dead letter (or, unless read, was dropped).
        """

    def lock_new(
        self, account: str, sources: Sequence[MessageSource], limit: int
    ) -> list[InboxMessage]:
        """The oldest messages not yet worked off."""

    def settle(self, message_ids: Sequence[str], *, order_ids: Mapping[str, str]) -> None:
        """Worked off; `order_ids` (message id to order id) links bytes to whom they are about."""

    def bury(self, message_id: str, reason: str, *, at: datetime) -> None:
        """Make it a dead letter, kept with its bytes."""

    def reopen(self, message_ids: Sequence[str]) -> dict[str, str]:
        """Make settled, dropped or dead messages new again, attempts back to 0; answers message
        id to account of those that exist and are new now. One whose bytes were erased is left out.
        """

    def drop(self, message_ids: Sequence[str], reason: str, *, at: datetime) -> dict[str, str]:
        """Take new or dead messages out for good, kept with the reason; answers message id to
        account of those that were dropped.
        """

    def has_new(self, account: str, *, until: datetime | None = None) -> bool:
        """True while any message of the account waits; with `until`, one received by then."""


class Rereads(Protocol):
    """Orders to read again, one row per order however many hints came."""

    def arm(
        self, account: str, ids: Iterable[str], *, at: datetime, is_deletion: bool = False
    ) -> None:
        """Ask for a re-read at `at`; of an order already armed, `armed` grows."""

    def due(self, account: str, *, at: datetime, limit: int) -> list[Reread]:
        """The re-reads due, longest waiting first."""

    def settle(self, account: str, rereads: Sequence[Reread]) -> None:
        """Forget those whose `armed` is unchanged; a hint that came meanwhile stays armed."""

    def next_at(self, account: str) -> datetime | None:
        """When the next re-read is due, None when none is armed."""

    def postpone(self, account: str, rereads: Sequence[Reread], *, until: datetime) -> None:
        """Count an attempt and wait."""


class Feeds(Protocol):
    """How far each feed of each account was read."""

    def get(self, account: str, feed: OrderFeed) -> FeedPosition | None:
        """The position, None when the feed never began."""

    def put(self, position: FeedPosition) -> None:
        """Store it; in the same transaction as the page it passes."""

    def hasten(self, account: str, feed: OrderFeed, *, at: datetime) -> None:
        """Make the next pass due at `at`, unless it is due earlier."""


class Accounts(Protocol):
    """What the hub remembers of accounts."""

    def get(self, name: str) -> AccountRecord | None:
        """The record, None for an account never connected."""

    def lock(self, name: str) -> AccountRecord | None:
        """The same, locked: who gives orders other ids or moves their lines does so alone. Taken
        before any order's lock.
        """

    def put(self, record: AccountRecord) -> None:
        """Insert or replace."""


class Orders(Protocol):
    """Canonical orders with their lines, holds and reservations."""

    def lock_by_channel_ids(self, account: str, ids: Sequence[str]) -> dict[str, StoredOrder]:
        """Those that exist, by channel order id."""

    def lock_by_names(
        self, account: str, names: Sequence[str], channel_line_ids: Sequence[str]
    ) -> list[StoredOrder]:
        """Orders that answer to any of these ids or have any of these lines, with all their names.

        Only for accounts whose line ids are unique in the account, and with the account locked.
        """

    def lock(self, order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        """Those that exist, by order id."""

    def lock_reserve_due(self, account: str, limit: int) -> dict[str, set[Sku]]:
        """Orders of the account whose reservation is due, locked, oldest placed first: the SKUs of
        their lines, by order id.
        """

    def short_order_ids(self, skus: Sequence[Sku], limit: int) -> list[str]:
        """Orders of any account with a line of these SKUs short of stock, oldest placed first."""

    def load(self, order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        """Like `lock`, without the lock. What reservation books of a line changes only under the
        lock of its stock level, so reservation loads after it holds the levels.
        """

    def ids_by_channel_ids(self, account: str, ids: Iterable[str]) -> dict[str, str]:
        """Order ids of those that exist, by any channel order id of theirs, without locks."""

    def ids_with_unmapped_lines(self, account: str, limit: int) -> list[str]:
        """Orders of the account with a line that has no SKU though a listing now has one."""

    def take_unchecked(
        self, account: str, *, before: datetime, since: datetime, limit: int, at: datetime
    ) -> list[str]:
        """Channel order ids of unfinished orders placed at `since` or later that were neither seen
        nor checked after `before`, longest ago first; they count as checked at `at` now.
        """

    def add(self, orders: Sequence[StoredOrder]) -> None:
        """Insert new orders with all their lines; a doubled (account, channel order id) raises, and
        so does a doubled (account, channel line id) of orders with names.
        """

    def rename(self, renamed: Sequence[StoredOrder], merged: Mapping[str, str]) -> None:
        """Store the channel order id the `renamed` have now. `merged` (order id to order id) have
        given all their lines to another order: cancelled, without holds, kept for their timeline.
        """

    def move_lines(self, order_ids: Mapping[str, str]) -> None:
        """Put lines (by line id) into other orders; what is reserved for them goes along."""

    def save_names(
        self, account: str, *, fresh: Mapping[str, str], moved: Mapping[str, str]
    ) -> None:
        """Store which order answers to a channel order id; a `fresh` one somebody has raises."""

    def save(self, orders: Sequence[StoredOrder]) -> None:
        """Store facts, state, holds, flags, and lines (inserting lines not yet known); not what
        reservation books: held, short, and the booked counters of existing lines stay.
        """

    def save_reservations(self, orders: Sequence[StoredOrder]) -> None:
        """Store per line: held by location, short, shipped_here, shipped_booked, returned_booked;
        and the order's state and `is_reserve_due`.
        """

    def save_filled(self, orders: Sequence[StoredOrder]) -> None:
        """Store only held by location and short, per line: for orders that are not locked, whose
        lines are filled under the level locks.
        """


class Stock(Protocol):
    """Stock levels and their ledger."""

    def lock(self, skus: Iterable[Sku]) -> dict[LevelKey, StockLevel]:
        """Every level of these SKUs at any location, locked in SKU order."""

    def levels(self, skus: Iterable[Sku]) -> dict[LevelKey, StockLevel]:
        """The same without locks."""

    def append(
        self, movements: Sequence[StockMovement], levels: Mapping[LevelKey, StockLevel]
    ) -> None:
        """Chain and store the movements; store the counters `levels` they lead to. The levels
        must be locked by this unit of work; a level that did not exist is inserted.
        """

    def ensure(self, skus: Iterable[Sku]) -> None:
        """Make the SKUs known, uncounted, where they are not."""

    def known(self, skus: Iterable[Sku]) -> set[Sku]:
        """Those of these SKUs the hub knows, counted or not."""

    def page_of_skus(self, *, after: Sku | None, limit: int) -> list[Sku]:
        """SKUs the hub knows, sorted, from the first one greater than `after`."""

    def on_hand_moved(self, sku: Sku, location: str, *, since: datetime) -> int:
        """Sum of `on_hand_delta` of the movements there with `at` later than `since`."""

    def last_counted_at(self, sku: Sku, location: str) -> datetime | None:
        """When the newest count there was booked; None where nothing was counted."""

    def holders(self, sku: Sku, location: str) -> list[tuple[str, str, datetime, int]]:
        """(line id, order id, placed_at, units) of every reservation there."""

    def set_safety_stock(
        self, sku: Sku, location: str, units: int, *, at: datetime, actor: str
    ) -> None:
        """Change the units kept from every channel; an append-only fact and a counter."""

    def lock_fill_due(self, limit: int) -> list[Sku]:
        """SKUs whose supply grew while orders are short of them; clears the mark."""

    def mark_fill_due(self, skus: Sequence[Sku]) -> None:
        """Mark those of these SKUs that orders are short of, as if their supply grew."""


class Outbox(Protocol):
    """Stock batches: stored before sending, answered for afterwards; rows are facts."""

    def add(self, batch: StoredBatch) -> None:
        """Store key and exact entries."""

    def open_batches(self, account: str) -> list[StoredBatch]:
        """Batches sent and not settled, oldest first."""

    def retry(self, key: str) -> None:
        """Count another attempt of the same batch."""

    def settle(self, key: str, records: Sequence[PushRecord]) -> None:
        """The outcome of every entry."""


class Shipments(Protocol):
    """Shipments and how far their accounts were told."""

    def add(self, shipment: Shipment, *, at: datetime) -> None:
        """Store with a push due at once; the same shipment id twice is a no-op."""

    def get(self, shipment_ids: Iterable[str]) -> dict[str, Shipment]:
        """Those that exist, by shipment id."""

    def of_orders(self, order_ids: Iterable[str]) -> list[Shipment]:
        """Every shipment of these orders."""

    def readdress(self, shipments: Sequence[Shipment]) -> None:
        """Store the order, and its channel order id, that each of these belongs to now."""

    def lock_due(self, account: str, *, at: datetime, limit: int) -> list[ShipmentPush]:
        """Pushes waiting or sent whose `next_at` has come."""

    def lock(self, shipment_ids: Iterable[str]) -> dict[str, ShipmentPush]:
        """Shipments with how far their accounts were told, in whatever state."""

    def repack(self, shipment: Shipment) -> None:
        """Store other packages of a shipment."""

    def next_at(self, account: str) -> datetime | None:
        """When the next push falls due, None when all are resolved."""

    def claimed(self, order_ids: Iterable[str]) -> dict[str, set[str]]:
        """Channel shipment ids already claimed by our shipments, by order id."""

    def save(self, pushes: Sequence[ShipmentPush]) -> None:
        """Store state, attempts, next_at, confirmation, error."""


class WriteBacks(Protocol):
    """What orders shall change at their channels, and how far each channel was told."""

    def add(self, write: WriteBack) -> None:
        """Store a new one."""

    def of_orders(self, order_ids: Iterable[str]) -> list[WriteBack]:
        """Every one of these orders, oldest first."""

    def lock_due(self, account: str, *, at: datetime, limit: int) -> list[WriteBack]:
        """Those waiting or sent whose `next_at` has come."""

    def lock(self, write_id: str) -> WriteBack | None:
        """One as it is now; None once it is over."""

    def next_at(self, account: str) -> datetime | None:
        """When the next one falls due, None when all are over."""

    def save(self, writes: Sequence[WriteBack]) -> None:
        """Store how far each is, passing over those somebody took a later turn at."""

    def readdress(self, order_ids: Mapping[str, str]) -> None:
        """Every one of an order belongs to the order it was merged into."""

    def orders_asking(self, account: str, limit: int, *, after: str = "") -> list[str]:
        """Held orders whose buyer asked to cancel, and that nobody here cancels or tried to; by
        id, those behind `after`.
        """


class Timeline(Protocol):
    """Append-only events."""

    def add(self, events: Sequence[Event]) -> None:
        """Append."""

    def count(
        self, name: str, *, account: str, skus: Iterable[str], since: datetime
    ) -> dict[str, int]:
        """How many events of that name each of these SKUs had at the account."""
