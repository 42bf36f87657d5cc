"""One transaction with its repositories; wakes and the lease's token belong to its commit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import insert, text

from oms_sync.flows import erasures as erasure_ports
from oms_sync.flows import listing_repository as listing_ports
from oms_sync.flows import proofs
from oms_sync.flows import repositories as ports
from oms_sync.flows import upkeep as upkeep_ports
from oms_sync.sdk import Clock, Ids
from oms_sync.storage.completeness import Certificates, OrderLists
from oms_sync.storage.connections import Database, Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.cursors import Accounts, Feeds, Rereads
from oms_sync.storage.erasures import Erasures
from oms_sync.storage.inbox import Inbox
from oms_sync.storage.leases import Fence, check_fence
from oms_sync.storage.listings import Listings
from oms_sync.storage.orders import Orders
from oms_sync.storage.outbox import Outbox
from oms_sync.storage.shipments import Shipments
from oms_sync.storage.stock import Stock
from oms_sync.storage.tables.hub import wakes
from oms_sync.storage.timeline import Timeline
from oms_sync.storage.upkeep import Upkeep
from oms_sync.storage.write_backs import WriteBacks

OnWake = Callable[[str, str], None]
NOTIFY_CHANNEL = "oms_sync_wakes"
_ANNOUNCE = insert(wakes)
_NOTIFY = text(f"NOTIFY {NOTIFY_CHANNEL}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkParts:
    """What every unit of work of one storage shares."""

    database: Database
    keys: KeyRing
    clock: Clock
    ids: Ids
    #: called after a commit with each flow and account it woke
    on_wake: Sequence[OnWake]
    #: wakes also become rows, for a daemon in another process
    announces: bool


class UnitOfWork:
    """Implements the flows' port `UnitOfWork`."""

    def __init__(self, transaction: Transaction, parts: WorkParts, fence: Fence | None) -> None:
        self._transaction = transaction
        self._parts = parts
        self._fence = fence
        self._wakes: dict[tuple[str, str], None] = {}
        self._is_committed = False
        self._is_scrub_asked = False
        keys, clock = parts.keys, parts.clock
        self.inbox: ports.Inbox = Inbox(transaction, keys=keys, clock=clock, ids=parts.ids)
        self.rereads: ports.Rereads = Rereads(transaction)
        self.feeds: ports.Feeds = Feeds(transaction)
        self.accounts: ports.Accounts = Accounts(transaction)
        stock = Stock(transaction, keys)
        self.stock: ports.Stock = stock
        self.orders: ports.Orders = Orders(transaction, keys, stock.locked)
        self.listings: listing_ports.Listings = Listings(transaction, clock)
        self.outbox: ports.Outbox = Outbox(transaction, clock)
        self.shipments: ports.Shipments = Shipments(transaction)
        self.write_backs: ports.WriteBacks = WriteBacks(transaction)
        self.timeline: ports.Timeline = Timeline(transaction)
        self.order_lists: proofs.OrderLists = OrderLists(transaction)
        self.certificates: proofs.Certificates = Certificates(transaction, keys)
        self.upkeep: upkeep_ports.Upkeep = Upkeep(transaction)
        self.erasures: erasure_ports.Erasures = Erasures(transaction, keys, self._ask_scrub)

    def wake(self, flow: str, account: str) -> None:
        self._wakes[(flow, account)] = None

    def commit(self) -> None:
        if self._fence is not None:
            check_fence(self._transaction, self._fence)
        if self._wakes and self._parts.announces:
            rows = [{"flow": flow, "account": account} for flow, account in self._wakes]
            self._transaction.run_many(_ANNOUNCE, rows)
            if self._transaction.is_postgres:
                self._transaction.run(_NOTIFY)
        self._transaction.commit()
        self._is_committed = True

    def _ask_scrub(self) -> None:
        self._is_scrub_asked = True

    def _deliver(self) -> None:
        """After the transaction has ended: whoever is woken may write at once."""
        if not self._is_committed:
            return
        for flow, account in self._wakes:
            for on_wake in self._parts.on_wake:
                on_wake(flow, account)
        if self._is_scrub_asked:
            self._parts.database.scrub()


@contextmanager
def open_unit_of_work(parts: WorkParts, fence: Fence | None) -> Iterator[UnitOfWork]:
    """One unit of work; leaving without `commit` rolls back."""
    with parts.database.write() as transaction:
        work = UnitOfWork(transaction, parts, fence)
        yield work
    work._deliver()
