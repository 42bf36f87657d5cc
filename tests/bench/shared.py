"""Published limits once more, kept by several accounts of one application in two hubs together.

Each call passes the gate of the next account, in turn in both hubs; the hubs share nothing but the
database. What the look-alike refuses as too many, and how much of the rate is used, must be as good
as with one account in one process.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from figures import Figure
from limits import ONE_BY_ONE, Job, figures_of, push
from orders import OpenDatabase

from oms_sync.runtime.clock import SystemIds
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.pools import BudgetPool
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.registry import load_registry
from oms_sync.sdk import Manifest, Priority
from oms_sync.sdk.fake_ports import FakeClock
from oms_sync.storage.budgets import CallBudgets
from oms_sync.storage.crypto import create_key_file, load_key_ring
from oms_sync.storage.engine import Storage, open_storage

HUBS: Final = 2
ACCOUNTS: Final = 3
APPLICATION: Final = "the application"
#: connectors whose budget belongs to the application, and the one whose rate is tight
JOBS: Final = (("ebay", "", None), ("amazon", "_one_by_one", ONE_BY_ONE))

Open = Callable[[], Storage]


class SharedGates:
    """The gates of every account in every hub; each call passes the next one."""

    def __init__(self, gates: list[RateBuckets]) -> None:
        self._gates, self._turns = gates, cycle(gates)
        self._last = gates[0]

    def spend(self, operation: str, *, cost: float = 1, priority: Priority) -> None:
        self._last = next(self._turns)
        self._last.spend(operation, cost=cost, priority=priority)

    def learn(self, operation: str, **told: float) -> None:
        self._last.learn(operation, **told)

    def budget(self) -> list[dict[str, Any]]:
        return self._last.budget()


def three_accounts_in_two_hubs(open_database: OpenDatabase, *, count: int) -> list[Figure]:
    """The share of the published rate that is used, and the calls refused all the same."""
    listed = load_registry().names
    figures: list[Figure] = []
    for connector, way, settings in JOBS:
        if connector not in listed:
            continue
        with open_database() as url, _hubs(url) as hubs:
            job = Job(
                name=f"push_{count}_{connector}{way}_{ACCOUNTS}_accounts_{HUBS}_hubs",
                connector=connector,
                skus=count,
                work=push,
                settings=settings,
                make_buckets=lambda manifest, clock, hubs=hubs: _gates(manifest, clock, hubs),
            )
            figures += figures_of(job, count)
    return figures


def _gates(manifest: Manifest, clock: FakeClock, hubs: list[Storage]) -> SharedGates:
    """The database's time is the virtual clock's, too."""
    pools = [
        BudgetPool(
            manifest.rate_limits,
            clock=clock,
            store=CallBudgets(storage._database, clock, now=clock.now),
            owner=APPLICATION,
            node=f"hub-{number}",
        )
        for number, storage in enumerate(hubs)
    ]
    return SharedGates(
        [
            RateBuckets((), clock=clock, metrics=NullMetrics(), account=f"shop-{n}", pool=pool)
            for n in range(ACCOUNTS)
            for pool in pools
        ]
    )


@contextmanager
def _hubs(url: str) -> Iterator[list[Storage]]:
    with tempfile.TemporaryDirectory(prefix="oms-sync-bench-") as folder:
        key_path = Path(folder) / "oms-sync.key"
        create_key_file(key_path)
        ids = SystemIds()
        opened = [
            open_storage(url, keys=load_key_ring(key_path), clock=FakeClock(), ids=ids)
            for _ in range(HUBS)
        ]
        try:
            yield opened
        finally:
            for storage in opened:
                storage.close()
