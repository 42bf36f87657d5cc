"""Opening the store: schema, key ring and settings are checked before anything is read."""

import fcntl
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from oms_sync.domain.values import Sku
from oms_sync.flows.records import AccountProfile
from oms_sync.sdk import Clock, Ids, Metrics, TokenStore
from oms_sync.storage import policies, schema
from oms_sync.storage.budgets import CallBudgets
from oms_sync.storage.connections import Database
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.errors import DatabaseBusy, DatabaseDown, SecondDaemon, WrongKey
from oms_sync.storage.leases import Fence, Leases
from oms_sync.storage.reports import Reports
from oms_sync.storage.stock import available
from oms_sync.storage.tables.hub import hub_facts
from oms_sync.storage.tokens import AccountTokens, TokenLeases
from oms_sync.storage.unit_of_work import OnWake, UnitOfWork, WorkParts, open_unit_of_work
from oms_sync.storage.wakes import IsStopping, WakeWatch
from oms_sync.storage.writing import insert_or_ignore, insert_or_update

POOL_SIZE = 16
_FINGERPRINTS = select(hub_facts).where(hub_facts.c.name.startswith("ring "))
_ADD_FACT = insert_or_ignore(hub_facts)
_PUT_FACT = insert_or_update(hub_facts, ("value",))


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageOptions:
    """How a store is opened."""

    #: wakes also become rows, for the daemon beside this process
    announces: bool = False
    #: connections kept; as many again are opened under load
    pool_size: int = POOL_SIZE
    #: what a relative SQLite path is relative to
    base_dir: Path = Path()


class Storage:
    """An opened database: units of work, leases, tokens, wake-ups, reports."""

    def __init__(self, database: Database, parts: WorkParts) -> None:
        self._database = database
        self._parts = parts
        self._daemon_lock: int | None = None
        #: called with (flow, account) after each commit of this process that woke one
        self.on_wake: list[OnWake] = []
        self._work_parts = WorkParts(
            database=database,
            keys=parts.keys,
            clock=parts.clock,
            ids=parts.ids,
            on_wake=self.on_wake,
            announces=parts.announces,
        )
        self.leases = Leases(database, parts.clock)
        self.budgets = CallBudgets(database, parts.clock)
        self.reports = Reports(database, keys=parts.keys, clock=parts.clock)
        self._token_leases = TokenLeases(self.leases, clock=parts.clock, ids=parts.ids)

    def open_work(self, fence: Fence | None = None) -> AbstractContextManager[UnitOfWork]:
        """One transaction; with a fence its commit raises LeaseLost once the lease is not ours."""
        return open_unit_of_work(self._work_parts, fence)

    def tokens(self, account: str) -> TokenStore:
        """Where the account's tokens live."""
        return AccountTokens(
            account, database=self._database, keys=self._parts.keys, leases=self._token_leases
        )

    def watch(self, on_wake: OnWake, is_stopping: IsStopping) -> None:
        """Deliver other processes' wakes until `is_stopping`; blocks, for a thread of its own."""
        WakeWatch(self._database, self._parts.clock).run(on_wake, is_stopping)

    def available(self, skus: Iterable[Sku]) -> dict[Sku, int]:
        """Available to sell over all locations; SKUs never counted are absent."""
        with self._database.read() as transaction:
            return available(transaction, skus)

    def record_profiles(self, profiles: Iterable[AccountProfile]) -> None:
        """Remember what the configuration says of its accounts, all of them, as facts where it
        changed; reports and explanations rest on it.
        """
        now = self._parts.clock.now()
        listed = list(profiles)
        with self._database.read() as transaction:
            if not policies.changes(transaction, listed, at=now):
                return
        with self._database.write() as transaction:
            policies.append(transaction, policies.changes(transaction, listed, at=now))
            transaction.commit()

    def claim_daemon(self) -> None:
        """Be the one daemon of a SQLite file until `close`; raises SecondDaemon."""
        path = self._database.path
        if path is None or self._daemon_lock is not None:
            return
        lock_path = path.with_name(f"{path.name}.daemon")
        descriptor = os.open(lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise SecondDaemon(
                f"{path}: a daemon already runs on this database; stop it first (its lock is "
                f"{lock_path}), or use PostgreSQL for several daemons"
            ) from error
        self._daemon_lock = descriptor

    def ready(self) -> list[str]:
        """What keeps the store from working now; empty when nothing does."""
        try:
            problems = self._schema_problems()
            if not problems:
                with self._database.write() as transaction:
                    _PUT_FACT.run(transaction, [{"name": "probe", "value": "writable"}])
        except (DatabaseDown, DatabaseBusy) as error:
            return [str(error)]
        return problems

    def current_revision(self) -> str | None:
        """The schema the database has."""
        return schema.current_revision(self._database)

    def needed_revision(self) -> str:
        """The schema this version works with."""
        return schema.REVISION

    def upgrade(self) -> None:
        """Bring the database to the needed revision."""
        schema.upgrade(self._database)

    def close(self) -> None:
        """Give back all connections and the daemon's claim."""
        self._database.close()
        if self._daemon_lock is not None:
            os.close(self._daemon_lock)
            self._daemon_lock = None

    def _schema_problems(self) -> list[str]:
        current = self.current_revision()
        if current == schema.REVISION:
            return []
        return [
            f"the database is at revision {current}, this version needs {schema.REVISION}: "
            "run `oms-sync db upgrade`"
        ]


def open_storage(
    url: str,
    *,
    keys: KeyRing,
    clock: Clock,
    ids: Ids,
    metrics: Metrics | None = None,
    options: StorageOptions | None = None,
) -> Storage:
    """Open the database at `url`, making its tables when it is empty.

    Raises WrongKey when it was made with another key ring, DatabaseDown when it is out of reach.
    """
    chosen = options or StorageOptions()
    database = Database(url, base_dir=chosen.base_dir, pool_size=chosen.pool_size)
    try:
        schema.prepare_empty(database)
        _check_ring(database, keys)
    except BaseException:
        database.close()
        raise
    parts = WorkParts(
        database=database,
        keys=keys,
        clock=clock,
        ids=ids,
        on_wake=(),
        announces=chosen.announces,
    )
    return Storage(database, parts)


def _check_ring(database: Database, keys: KeyRing) -> None:
    """Refuse a ring that lacks a secret this database was written with; note new ones."""
    ours = {f"ring {name}": print_ for name, print_ in keys.fingerprints.items()}
    with database.read() as transaction:
        known: dict[str, Any] = {row.name: row.value for row in transaction.rows(_FINGERPRINTS)}
    missing = sorted(name for name, value in known.items() if ours.get(name) != value)
    if missing:
        names = ", ".join(name.removeprefix("ring ") for name in missing)
        raise WrongKey(
            f"{keys.path}: this is not the key file of the database: its {names} is another or "
            "missing; put the key file back that was used before (or restore it from your backup)"
        )
    fresh = [{"name": name, "value": value} for name, value in ours.items() if name not in known]
    if fresh:
        with database.write() as transaction:
            _ADD_FACT.run(transaction, fresh)
            transaction.commit()
