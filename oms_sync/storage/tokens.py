"""Tokens issued after set-up: encrypted in the database, refreshed by one process at a time."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import bindparam, select

from oms_sync.sdk import Clock, Ids
from oms_sync.storage.connections import Database
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.errors import DatabaseBusy
from oms_sync.storage.leases import Leases
from oms_sync.storage.tables.hub import account_tokens
from oms_sync.storage.writing import insert_or_update

REFRESH_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.1
_LOAD = select(account_tokens.c.sealed).where(account_tokens.c.account == bindparam("account"))
_SAVE = insert_or_update(account_tokens, ("sealed", "saved_at"))


class AccountTokens:
    """Implements the SDK's port `TokenStore` for one account."""

    def __init__(self, account: str, *, database: Database, keys: KeyRing, leases: "TokenLeases"):
        self._account = account
        self._database = database
        self._keys = keys
        self._leases = leases

    def load(self) -> Mapping[str, str]:
        with self._database.read() as transaction:
            row = transaction.row(_LOAD, {"account": self._account})
        if row is None:
            return {}
        fields: dict[str, str] = json.loads(self._keys.unseal(row.sealed, self._about))
        return fields

    def save(self, fields: Mapping[str, str]) -> None:
        sealed = self._keys.seal(json.dumps(dict(fields)).encode(), self._about)
        with self._database.write() as transaction:
            row = {
                "account": self._account,
                "sealed": sealed,
                "saved_at": self._leases.clock.now(),
            }
            _SAVE.run(transaction, [row])
            transaction.commit()

    def locked(self) -> AbstractContextManager[None]:
        return self._leases.hold(f"tokens:{self._account}")

    @property
    def _about(self) -> str:
        return f"tokens {self._account}"


class TokenLeases:
    """The refresh locks: leases, so that a dead refresher frees them by itself."""

    def __init__(self, leases: Leases, *, clock: Clock, ids: Ids) -> None:
        self._leases = leases
        self._ids = ids
        self.clock = clock

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Wait for the lock at most as long as one refresh may take, then give up."""
        owner = self._ids.uuid()
        deadline = self.clock.monotonic() + 2 * REFRESH_SECONDS_MAX
        fence = self._leases.acquire(name, owner, REFRESH_SECONDS_MAX)
        while fence is None:
            if self.clock.monotonic() > deadline:
                raise DatabaseBusy(f"{name}: another process has been refreshing for too long")
            self.clock.sleep(LOOK_SECONDS)
            fence = self._leases.acquire(name, owner, REFRESH_SECONDS_MAX)
        try:
            yield
        finally:
            self._leases.release(fence)
