"""What the flows need from the outside: a unit of work with its repositories, and a context."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from oms_sync.flows.erasures import Erasures
from oms_sync.flows.listing_repository import Listings
from oms_sync.flows.proofs import Certificates, OrderLists
from oms_sync.flows.records import AccountProfile
from oms_sync.flows.repositories import (
    Accounts,
    Feeds,
    Inbox,
    Orders,
    Outbox,
    Rereads,
    Shipments,
    Stock,
    Timeline,
    WriteBacks,
)
from oms_sync.flows.upkeep import Upkeep
from oms_sync.sdk import Clock, Ids, Manifest, Metrics, WebhookPart


class UnitOfWork(Protocol):
    """One transaction. Leaving the `with` block without `commit` rolls back."""

    inbox: Inbox
    rereads: Rereads
    feeds: Feeds
    accounts: Accounts
    orders: Orders
    stock: Stock
    listings: Listings
    outbox: Outbox
    shipments: Shipments
    write_backs: WriteBacks
    timeline: Timeline
    order_lists: OrderLists
    certificates: Certificates
    upkeep: Upkeep
    erasures: Erasures

    def wake(self, flow: str, account: str) -> None:
        """After the commit, make `flow` look at `account` soon, in whichever process runs it."""

    def commit(self) -> None:
        """Make it durable; raises LeaseLost when the flow's lease is no longer ours."""


OpenWork = Callable[[], AbstractContextManager[UnitOfWork]]


class LeaseLost(Exception):
    """Another owner has taken the lease; this run's changes were not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowContext:
    """Everything one run of a flow works with."""

    account: AccountProfile
    #: every configured account, by name: stock is shared between them
    profiles: Mapping[str, AccountProfile]
    manifest: Manifest
    #: the account's session, implementing the capabilities of the manifest
    session: Any
    webhook: WebhookPart | None
    open_work: OpenWork
    clock: Clock
    ids: Ids
    metrics: Metrics
    #: True once the daemon drains: finish the step at hand and return
    is_stopping: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowReport:
    """What a run did, and when the flow should look again by itself."""

    done: int = 0
    #: there is more to do at once
    is_more: bool = False
    #: look again then, None for the flow's ordinary period
    next_at: datetime | None = None
