"""A sandbox's seeded store: identities, look-ups and the moves of its stock; no wire format."""

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from oms_sync.sdk.sandbox import FaultSwitches, Now, Refusal, SandboxOptions, seed_catalogue
from oms_sync.sdk.sandbox_changes import ChangeLog
from oms_sync.sdk.sandbox_records import (
    Level,
    Line,
    Order,
    Place,
    Subscription,
    Variant,
    Work,
    WorkLine,
)

REFUSED_KEPT_MAX: Final = 10_000
#: a stale replica answers for this long after a write
STALE_SECONDS: Final = 10.0
_WALK_MARGIN: Final = timedelta(seconds=60)

#: (topic, the record it is about, detail) for every fact subscribers may hear of
Listener = Callable[[str, Any, Any], None]


class Store:
    """All records of one shop. Every act holds the lock, so that a sale is atomic."""

    def __init__(self, options: SandboxOptions, faults: FaultSwitches, now: Now) -> None:
        self.options, self.faults, self.now = options, faults, now
        self.lock = threading.RLock()
        self.event = 0
        self._listeners: list[Listener] = []
        self._id = _first_id(options)
        self.shop_id, self.app_id = self.next_id(), self.next_id()
        self.created_at = self.second()
        self.places = [
            Place(id=self.next_id(), code=code, name=code.capitalize())
            for code in options.locations
        ]
        self.variants: dict[int, Variant] = {}
        self.orders: dict[int, Order] = {}
        self._by_update: dict[int, Order] = {}
        self.work: dict[int, tuple[Order, Work]] = {}
        self.dispatches: dict[int, Order] = {}
        self.subscriptions: dict[int, Subscription] = {}
        self.jobs: dict[str, bool] = {}
        self.refused: deque[dict[str, Any]] = deque(maxlen=REFUSED_KEPT_MAX)
        self.calls: Counter[str] = Counter()
        self.changes = ChangeLog()
        self._stock_up()
        self.by_item = {variant.item_id: variant for variant in self.variants.values()}
        self.by_sku = {variant.sku: variant for variant in self.variants.values()}

    def _stock_up(self) -> None:
        for seeded in seed_catalogue(self.options.seed, self.options.skus):
            variant = Variant(
                id=self.next_id(),
                product_id=self.next_id(),
                item_id=self.next_id(),
                sku=seeded.sku,
                title=seeded.title,
                price=seeded.price,
                created_at=self.created_at,
                updated_at=self.created_at,
            )
            for place in self.places:
                quantity = seeded.quantity if place is self.places[0] else 0
                level = Level(place=place, available=quantity, updated_at=self.created_at)
                variant.levels[place.id] = level
            self.variants[variant.id] = variant

    @contextmanager
    def act(self) -> Iterator[None]:
        """One atomic act of somebody; all it tells carries the same event number."""
        with self.lock:
            self.event += 1
            yield

    def second(self) -> datetime:
        """The time as the API shows it: whole seconds."""
        return self.now().replace(microsecond=0)

    def next_id(self) -> int:
        """A number no other record of this store has."""
        self._id += 1
        return self._id

    def secret(self, purpose: str) -> str:
        """32 hexadecimal digits that follow from seed, account and purpose."""
        text = f"{self.options.seed}/{self.options.account}/{purpose}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    # --- telling ---------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """Hear of every fact from now on."""
        self._listeners.append(listener)

    def tell(self, topic: str, record: Any, detail: Any = None) -> None:
        """Tell every listener."""
        for listener in self._listeners:
            listener(topic, record, detail)

    def touch(self, order: Order) -> None:
        """Note that the order changed just now."""
        order.updated_at = max(self.second(), order.created_at)
        self._by_update.pop(order.id, None)
        self._by_update[order.id] = order

    def forget(self, order: Order) -> None:
        """The order is no more: another one took over its lines."""
        del self.orders[order.id]
        self._by_update.pop(order.id, None)

    def changed(self, order: Order) -> None:
        """`touch`, and tell."""
        self.touch(order)
        self.tell("order.updated", order)

    # --- look-ups --------------------------------------------------------------------------------

    def order(self, channel_order_id: str) -> Order:
        """The order of this number, or of a path that ends in it."""
        number = channel_order_id.rpartition("/")[2]
        found = self.orders.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise Refusal(404, "unknown_order", channel_order_id=channel_order_id)
        return found

    def updated_since(self, moment: datetime | None) -> Iterator[Order]:
        """Orders changed since, newest first; a superset, as clocks may stand or step back."""
        for order in reversed(self._by_update.values()):
            if moment is not None and order.updated_at < moment - _WALK_MARGIN:
                return
            yield order

    def variant_of(self, channel_sku: str) -> Variant:
        """What is offered under a SKU."""
        if channel_sku not in self.by_sku:
            raise Refusal(404, "unknown_sku", channel_sku=channel_sku)
        return self.by_sku[channel_sku]

    def place(self, place_id: int) -> Place | None:
        """The location of this number."""
        return next((place for place in self.places if place.id == place_id), None)

    # --- stock -----------------------------------------------------------------------------------

    def move(
        self,
        variant: Variant,
        place: Place,
        available: int,
        committed: int = 0,
        *,
        by_api: bool = False,
    ) -> None:
        """Change a level by differences and tell subscribers when `available` moved."""
        level = variant.levels[place.id]
        if by_api:
            level.available_before, level.written_at = level.available, self.now()
        level.available += available
        level.committed += committed
        variant.updated_at = level.updated_at = self.second()
        if available:
            offered = variant.available()
            self.changes.add(
                self.now(), variant.sku, quantity=offered, delta=available, is_hub=by_api
            )
            self.tell("stock.changed", (variant, level), by_api)

    def new_work(self, order: Order, place: Place, units: list[tuple[Line, int]]) -> Work:
        """A fulfilment order for units that are committed at `place`."""
        at = self.second()
        lines = [
            WorkLine(id=self.next_id(), line=line, total=count, remaining=count)
            for line, count in units
        ]
        work = Work(id=self.next_id(), place=place, lines=lines, created_at=at, updated_at=at)
        order.work.append(work)
        self.work[work.id] = (order, work)
        return work

    def sell(self, order: Order, wanted: dict[Line, int]) -> None:
        """Commit stock for line units, everything or nothing, and route it into work."""
        for line, count in wanted.items():
            available = line.variant.available()
            if line.variant.is_tracked and available < count:
                sku = line.variant.sku
                detail = {"channel_sku": sku, "wanted": count, "available": available}
                raise Refusal(409, "sold_out", **detail)
        taken: dict[int, list[tuple[Line, int]]] = {}
        for line, count in wanted.items():
            for level, units in _spread(line.variant, count):
                self.move(line.variant, level.place, -units, units)
                taken.setdefault(level.place.id, []).append((line, units))
        for place in self.places:
            if place.id in taken:
                self.new_work(order, place, taken[place.id])

    def release(
        self, order: Order, line: Line, count: int, *, restock: bool, at: Place | None = None
    ) -> Place | None:
        """Take unshipped units of a line off the order's open work.

        Work `at` a place comes first, then the newest.
        """
        place = None
        newest_first = list(reversed(order.work))
        for work in sorted(newest_first, key=lambda one: one.place is not at):
            for work_line in work.lines:
                units = min(count, work_line.remaining)
                if work_line.line is not line or not units:
                    continue
                work_line.remaining -= units
                work_line.total -= units
                line.removed += units
                count -= units
                work.updated_at, place = self.second(), work.place
                self.move(line.variant, place, units if restock else 0, -units)
        return place


def _spread(variant: Variant, count: int) -> Iterator[tuple[Level, int]]:
    """From one location when one has it all, else from each what it has, the last the rest."""
    levels = list(variant.levels.values())
    whole = next((level for level in levels if level.available >= count), None)
    for level in [whole] if whole else levels:
        is_last = level in (whole, levels[-1])
        units = count if is_last else min(count, max(0, level.available))
        if units:
            yield level, units
        count -= units


def _first_id(options: SandboxOptions) -> int:
    """Ids far apart between accounts, so that a mix-up shows; 13 digits as in real shops."""
    digest = hashlib.sha256(f"{options.seed}/{options.account}".encode()).digest()
    return 4_000_000_000_000 + int.from_bytes(digest[:4], "big") * 1_000
