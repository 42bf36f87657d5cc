"""One account under the limits its channel publishes, in virtual time.

The sandbox is served over real HTTP, yet nobody waits: both ends live on a clock that stands until
somebody sleeps. Requests take no time, so what passes is what limits and the channel's work cost.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import ceil
from typing import Any, Final, Protocol, TypeVar

from oms_sync.bootstrap import open_sandbox
from oms_sync.cli.demo_control import SandboxControl
from oms_sync.cli.demo_stage import rows
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.pools import EVERY_OPERATION
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.registry import Registry
from oms_sync.sdk import (
    Manifest,
    OpenRequest,
    OrderFeed,
    OrderPage,
    OutcomeUnknown,
    Priority,
    PushOutcome,
    PushResult,
    RateGate,
    RateLimit,
    RateLimited,
    RawOrder,
    RetryLater,
    Session,
    StockBatch,
    StockPush,
    StockReading,
)
from oms_sync.sdk.fake_ports import FakeClock, MemoryTokens, SeededIds
from oms_sync.sdk.seeding import Purchase, SandboxOptions

LOCATION: Final = "main"
OVERLAP_SECONDS: Final = 600.0
TRIES_MAX: Final = 10_000
PAGES_MAX: Final = 10_000
LOOKS_MAX: Final = 200
#: what a caller waits who is not told how long
RETRY_SECONDS: Final = 1.0
#: how long a merely accepted quantity is left alone before somebody looks
LOOK_SECONDS: Final = 5.0

Answered = TypeVar("Answered")


class NeverDone(Exception):
    """The channel did not come to an end in the tries there are."""


class Buckets(RateGate, Protocol):
    """A gate that tells what is left."""

    def budget(self) -> list[dict[str, Any]]:
        """Per operation, as `RateBuckets` tells it."""


#: makes the gate of an account from its connector's manifest and the virtual clock
MakeBuckets = Callable[[Manifest, FakeClock], Buckets]


def own_buckets(manifest: Manifest, clock: FakeClock) -> RateBuckets:
    """One account alone in one process."""
    return RateBuckets(
        manifest.rate_limits, clock=clock, metrics=NullMetrics(), account=manifest.id
    )


class WatchedGate:
    """The account's buckets, and what passed through them. A `sdk.RateGate`."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        #: calls and their cost in the bucket's unit, by operation
        self.calls: Counter[str] = Counter()
        self.cost: defaultdict[str, float] = defaultdict(float)
        #: how often a caller was sent away before anything was sent
        self.refusals = 0

    def spend(self, operation: str, *, cost: float = 1, priority: Priority) -> None:
        """Wait for the bucket, and count."""
        try:
            self._buckets.spend(operation, cost=cost, priority=priority)
        except RateLimited:
            self.refusals += 1
            raise
        self.calls[operation] += 1
        self.cost[operation] += cost

    def learn(
        self,
        operation: str,
        *,
        available: float,
        capacity: float | None = None,
        refill_per_second: float | None = None,
    ) -> None:
        """What the channel says counts more: it may give back points that were not needed."""
        before = self._available(operation)
        self._buckets.learn(
            operation, available=available, capacity=capacity, refill_per_second=refill_per_second
        )
        self.cost[operation] -= self._available(operation) - before

    def _available(self, operation: str) -> float:
        budget = {one["operation"]: one["available"] for one in self._buckets.budget()}
        return float(budget.get(operation, 0.0))


@dataclass(slots=True, kw_only=True)
class VirtualAccount:
    """A session, its channel, and the clock both live on."""

    manifest: Manifest
    session: Any
    gate: WatchedGate
    clock: FakeClock
    control: SandboxControl
    ids: SeededIds
    #: (channel listing id, channel SKU) of everything on offer
    listings: tuple[tuple[str, str], ...]
    #: calls the channel itself refused as too many
    throttled: int = 0

    def patiently(self, call: Callable[[], Answered]) -> Answered:
        """Call again, as late as asked, until it is answered."""
        for _ in range(TRIES_MAX):
            refusals = self.gate.refusals
            try:
                return call()
            except OutcomeUnknown:
                raise
            except RetryLater as error:
                is_throttled = isinstance(error, RateLimited)
                self.throttled += is_throttled and self.gate.refusals == refusals
                asked = error.retry_after_seconds if isinstance(error, RateLimited) else None
                self.clock.advance(asked or RETRY_SECONDS)
        raise NeverDone(f"{self.manifest.label} does not answer after {TRIES_MAX} tries")

    def place(self, orders: int, *, every_seconds: float = 1.0) -> list[str]:
        """So many orders of one unit, one after the other; waits until every one can be read."""
        offered = self.control.truth()["quantities"]
        units = [sku for _, sku in self.listings for _ in range(offered.get(sku, 0))]
        if len(units) < orders:
            raise NeverDone(f"{len(units)} units do not make {orders} orders: offer more SKUs")
        placed = []
        for sku in units[:orders]:
            placed.append(self.control.place(Purchase(lines=((sku, 1),))))
            self.clock.advance(every_seconds)
        self.clock.advance(self.manifest.visibility_lag_seconds + every_seconds)
        return placed

    def read_changes(
        self, *, back_seconds: float, cursor: str | None = None
    ) -> tuple[set[str], str | None]:
        """One whole pass over the feed of changes: the ids it showed, and where it ended."""
        since = self.clock.now() - timedelta(seconds=back_seconds)
        found: set[str] = set()
        for _ in range(PAGES_MAX):
            read = partial(self.session.read_orders, OrderFeed.CHANGES, cursor, since)
            page: OrderPage = self.patiently(read)
            found |= {order.channel_order_id for order in page.orders}
            cursor = page.cursor
            if page.is_last:
                return found, cursor
        raise NeverDone(f"the orders of {self.manifest.label} do not end")

    def read_by_id(self, channel_order_ids: Sequence[str]) -> int:
        """Read each order by its id; answers how many there were."""
        found = 0
        for part in _parts(channel_order_ids, self.manifest.order_read_max):
            answered: tuple[RawOrder, ...] = self.patiently(
                partial(self.session.read_orders_by_id, part)
            )
            found += sum(not order.is_gone for order in answered)
        return found

    def push(self, listings: Sequence[tuple[str, str]], *, delta: int = 1) -> None:
        """Give every listing a new quantity, and look until all of them show it."""
        self.prove(self.send(listings, delta=delta))

    def send(self, listings: Sequence[tuple[str, str]], *, delta: int = 1) -> dict[str, int]:
        """Send every listing a new quantity; answers those only a look can answer for."""
        offered = self.control.truth()["quantities"]
        wanted = {
            listing: StockPush(
                channel_listing_id=listing,
                channel_sku=sku,
                quantity=offered[sku] + delta,
                expected=offered[sku],
            )
            for listing, sku in listings
        }
        unproven: set[str] = set()
        for part in _parts(list(wanted.values()), self.manifest.stock_batch_max):
            unproven |= self._push_batch(StockBatch(key=self.ids.uuid(), entries=tuple(part)))
        return {listing: wanted[listing].quantity for listing in sorted(unproven)}

    def _push_batch(self, batch: StockBatch) -> set[str]:
        """Send it; answers the listings only a look can answer for."""
        try:
            results: tuple[PushResult, ...] = self.patiently(
                partial(self.session.push_stock, batch)
            )
        except OutcomeUnknown:
            return {entry.channel_listing_id for entry in batch.entries}
        open_outcomes = (PushOutcome.ACCEPTED, PushOutcome.POSTPONED, PushOutcome.UNKNOWN)
        for result in results:
            if result.outcome not in (PushOutcome.APPLIED, *open_outcomes):
                raise NeverDone(f"{result.channel_listing_id}: {result.outcome} {result.reason}")
        return {one.channel_listing_id for one in results if one.outcome in open_outcomes}

    def prove(self, wanted: Mapping[str, int]) -> None:
        """Look until the listings show these quantities."""
        left = dict(wanted)
        for _ in range(LOOKS_MAX):
            if not left:
                return
            self.clock.advance(LOOK_SECONDS)
            for part in _parts(list(left), self.manifest.stock_read_max):
                reading: StockReading = self.patiently(partial(self.session.read_stock, part))
                for listing, quantity in reading.quantities.items():
                    if left.get(listing) == quantity:
                        del left[listing]
        if left:
            raise NeverDone(f"{len(left)} listings of {self.manifest.label} do not show their push")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one piece of work took."""

    seconds: float
    #: calls and their cost by operation
    calls: Mapping[str, int]
    cost: Mapping[str, float]
    throttled: int

    def least_seconds(self, limits: Sequence[RateLimit]) -> float:
        """The time nobody can go below who keeps the limits, starting with full buckets."""
        return max((max(0.0, one.wait_seconds) for one in self.shares(limits)), default=0.0)

    def tightest(self, limits: Sequence[RateLimit]) -> "Share | None":
        """The bucket that carries most of its rate for this work."""
        return max(self.shares(limits), key=lambda one: one.steady_seconds, default=None)

    def shares(self, limits: Sequence[RateLimit]) -> "list[Share]":
        """What each bucket with an end gave."""
        by_name = {limit.operation: limit for limit in limits}
        poured: defaultdict[str, float] = defaultdict(float)
        for operation, cost in self.cost.items():
            poured[operation if operation in by_name else EVERY_OPERATION] += cost
        known = poured.keys() & by_name.keys()
        return [Share(limit=by_name[name], cost=poured[name]) for name in sorted(known)]

    @property
    def calls_total(self) -> int:
        return sum(self.calls.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What some work took from one bucket."""

    limit: RateLimit
    cost: float

    @property
    def steady_seconds(self) -> float:
        """How long the bucket refills for it."""
        rate = self.limit.refill_per_second
        return self.cost / rate if rate > 0 else float("inf")

    @property
    def wait_seconds(self) -> float:
        """The same for one who begins with a full bucket."""
        rate = self.limit.refill_per_second
        missing = self.cost - self.limit.capacity
        return missing / rate if rate > 0 and missing > 0 else 0.0


def measured(account: VirtualAccount, work: Callable[[], object]) -> Spent:
    """Do the work and answer what it took."""
    began_at, throttled = account.clock.monotonic(), account.throttled
    calls, cost = account.gate.calls.copy(), account.gate.cost.copy()
    work()
    spent = {name: now - cost.get(name, 0.0) for name, now in account.gate.cost.items()}
    return Spent(
        seconds=account.clock.monotonic() - began_at,
        calls=dict(account.gate.calls - calls),
        cost={name: units for name, units in spent.items() if units > 0},
        throttled=account.throttled - throttled,
    )


@contextmanager
def open_virtual(
    registry: Registry,
    connector: str,
    *,
    skus: int,
    settings: Mapping[str, Any] | None = None,
    make_buckets: MakeBuckets = own_buckets,
) -> Iterator[VirtualAccount]:
    """An account of a fresh sandbox with published limits; `settings` change the printed ones."""
    made = registry.get(connector)
    clock = FakeClock()
    options = SandboxOptions(
        account=f"{connector}-virtual",
        skus=skus,
        limits_published=True,
        lag_seconds=made.manifest.visibility_lag_seconds,
        token_seconds=10_000_000.0,
    )
    with open_sandbox(connector, options, now=clock.now) as (sandbox, url):
        entry = sandbox.account_entry()
        model = registry.settings_model(connector)
        own = model.model_validate(entry["settings"] | dict(settings or {}))
        control = SandboxControl(options.account, url)
        manifest = made.manifest_for(own)
        gate = WatchedGate(make_buckets(manifest, clock))
        ids = SeededIds(1)
        request = OpenRequest(
            account=options.account,
            settings=own,
            endpoint=entry["endpoint"],
            locations=(LOCATION,),
            overlap_seconds=OVERLAP_SECONDS,
            may_write=True,
            tables=load_tables(manifest),
            clock=clock,
            ids=ids,
            gate=gate,
            tokens=MemoryTokens(),
        )
        session: Session = made.load_open()(request)
        listed = rows(control.seed("listings"))
        try:
            yield VirtualAccount(
                manifest=manifest,
                session=session,
                gate=gate,
                clock=clock,
                control=control,
                ids=ids,
                listings=tuple((row["channel_listing_id"], row["channel_sku"]) for row in listed),
            )
        finally:
            session.close()
            control.close_all()


def _parts(whole: Sequence[Answered], size: int) -> Iterator[tuple[Answered, ...]]:
    """The sequence in pieces of at most `size`."""
    for number in range(ceil(len(whole) / size)):
        yield tuple(whole[number * size : (number + 1) * size])
