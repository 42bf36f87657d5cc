"""Many threads and several pools on one row: nothing is lost to waiting for the lock."""

import threading
import time

import pytest

from oms_sync.runtime.clock import SystemClock, SystemIds
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.pools import BudgetPool
from oms_sync.runtime.rate import RateBuckets
from oms_sync.sdk import Priority, RateLimit
from oms_sync.storage.engine import open_storage

SECONDS = 1.5
LIMIT = RateLimit(operation="orders", capacity=10, refill_per_second=100)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.proves("I-26")
def test_threads_of_two_nodes_keep_the_limit_and_use_it(database_url, keys):
    clock = SystemClock()
    opened = [open_storage(database_url, keys=keys, clock=clock, ids=SystemIds()) for _ in range(2)]
    pools = [
        BudgetPool((LIMIT,), clock=clock, store=one.budgets, owner="app", node=f"node-{number}")
        for number, one in enumerate(opened)
    ]
    calls: list[float] = []
    began = time.monotonic()

    def spend(pool, priority):
        gate = RateBuckets((), clock=clock, metrics=NullMetrics(), account="shop", pool=pool)
        while time.monotonic() - began < SECONDS:
            gate.spend("orders", priority=priority)
            calls.append(time.monotonic() - began)

    threads = [
        threading.Thread(target=spend, args=(pool, priority))
        for pool in pools
        for priority in (Priority.WRITE, Priority.READ)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for one in opened:
        one.close()
    assert len(calls) <= LIMIT.capacity + LIMIT.refill_per_second * max(calls) + 1
    assert len(calls) >= 0.8 * (LIMIT.capacity + LIMIT.refill_per_second * SECONDS)
