"""Whose budget each account takes from, and what of budgets and calls the database is told.

One pool per owner: an account, or an application several accounts belong to.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from oms_sync.flows.budgets import WriteCost
from oms_sync.runtime.calls import CallRing
from oms_sync.runtime.pools import BudgetPool, BudgetStore
from oms_sync.runtime.rate import RateBuckets
from oms_sync.runtime.redaction import Redactor
from oms_sync.sdk import Call, Clock, Metrics, RateLimit

log = structlog.get_logger()

#: how often the database hears of them; a crash forgets as much
KEEP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetParts:
    """What budgets are made with."""

    #: None keeps everything in memory
    store: BudgetStore | None
    clock: Clock
    metrics: Metrics
    redactor: Redactor
    #: tells this process from others on the same database
    node: str


class Budgets:
    """Every gate and every call log of this process."""

    def __init__(self, parts: BudgetParts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._pools: dict[str, BudgetPool] = {}
        self._gates: dict[str, RateBuckets] = {}
        self._calls: dict[str, CallRing] = {}
        #: account → owner, as the database is told once its first call was made
        self._owners: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def gate(self, account: str, limits: Sequence[RateLimit], *, owner: str) -> RateBuckets:
        """The account's gate to the owner's pool."""
        with self._lock:
            pool = self._pools.get(owner)
            if pool is None:
                pool = self._pools[owner] = BudgetPool(
                    limits,
                    clock=self._parts.clock,
                    store=self._parts.store,
                    owner=owner,
                    node=self._parts.node,
                )
            if account not in self._gates or self._owners[account] != owner:
                self._owners[account] = owner
                self._gates[account] = RateBuckets(
                    (),
                    clock=self._parts.clock,
                    metrics=self._parts.metrics,
                    account=account,
                    pool=pool,
                )
            return self._gates[account]

    def calls(self, account: str) -> CallRing:
        """The account's log of calls."""
        with self._lock:
            return self._calls.setdefault(account, CallRing(self._parts.redactor))

    def keep(self) -> None:
        """Tell the database and hear of other processes; what it refuses is told the next time."""
        store = self._parts.store
        if store is None:
            return
        with self._lock:
            pools, gates = list(self._pools.values()), dict(self._gates)
            rings = dict(self._calls)
        for pool in pools:
            pool.settle()
        costs = {name: gate.drain_costs() for name, gate in gates.items()}
        calls = {name: drained for name, ring in rings.items() if (drained := ring.drain())}
        owners = self._untold(gates)
        try:
            self._note(store, owners, costs, calls)
        except BaseException:
            for name, gate in gates.items():
                gate.return_costs(costs[name])
            for name, drained in calls.items():
                rings[name].give_back(drained)
            raise
        self._told |= owners

    def close(self) -> None:
        """Tell the database a last time; its refusal hides nothing else that happened."""
        try:
            self.keep()
        except Exception as error:  # noqa: BLE001 - the work itself is done, whatever is noted
            log.warning("budget.unsaved", reason=str(error))

    def _untold(self, gates: Mapping[str, RateBuckets]) -> dict[str, str]:
        """Whose budget the accounts take from that spoke to their channel, where that is news."""
        return {
            name: owner
            for name, owner in self._owners.items()
            if gates[name].calls and self._told.get(name) != owner
        }

    def _note(
        self,
        store: BudgetStore,
        owners: Mapping[str, str],
        costs: Mapping[str, Sequence[WriteCost]],
        calls: Mapping[str, Sequence[Call]],
    ) -> None:
        listed = [cost for part in costs.values() for cost in part]
        if owners or listed or calls:
            store.note(owners=owners, costs=listed, calls=calls)
