"""How each account fares: what stops it, what is said of it, once, and what the database keeps.

The first failure and the recovery are logged, not the hundred failures in between. The record in
the database wins: an operator's pause or resume holds across restarts.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import structlog

from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import AccountProfile, AccountRecord
from oms_sync.sdk import Clock, FixAccount

log = structlog.get_logger()

OK: Final = "ok"
DEGRADED: Final = "degraded"
NEEDS_REAUTH: Final = "needs_reauth"
PAUSED: Final = "paused"

#: how old what we know of the record may be; a pause holds after this at the latest
RECORD_SECONDS_MAX: Final = 1.0
REASON_LENGTH_MAX: Final = 300


@dataclass(slots=True)
class _Known:
    record: AccountRecord
    read_at: float
    #: what is wrong, by flow
    failing: dict[str, str] = field(default_factory=dict)
    needs_reauth: str | None = None
    is_unsaved: bool = False

    def health(self) -> tuple[str, str]:
        if self.needs_reauth is not None:
            return NEEDS_REAUTH, self.needs_reauth
        if self.failing:
            flow, reason = next(iter(self.failing.items()))
            return DEGRADED, f"{flow}: {reason}"
        return OK, ""


class AccountHealth:
    """What the runner asks before a run and tells after it."""

    def __init__(
        self,
        open_work: Callable[[], AbstractContextManager[UnitOfWork]],
        *,
        clock: Clock,
        profiles: Mapping[str, AccountProfile],
    ) -> None:
        self._open_work, self._clock, self._profiles = open_work, clock, profiles
        self._locks = {name: threading.Lock() for name in profiles}
        self._known: dict[str, _Known] = {}

    def state(self, account: str) -> str:
        """`ok`, `degraded`, `needs_reauth` or `paused`; reads the record when ours is old."""
        with self._locks[account]:
            known = self._refreshed(account)
            return PAUSED if known.record.is_paused else known.health()[0]

    def forget(self, account: str) -> None:
        """Another process changed something of the account: read its record again."""
        if account in self._locks:
            with self._locks[account]:
                known = self._known.get(account)
                if known is not None:
                    known.read_at = float("-inf")

    def succeeded(self, account: str, flow: str, *, is_proof: bool = False) -> None:
        """A run of the flow went well; `is_proof` says that the credentials were just accepted."""
        with self._locks[account]:
            known = self._refreshed(account)
            before = known.health()[0]
            known.failing.pop(flow, None)
            if is_proof:
                known.needs_reauth = None
            if known.health()[0] == OK != before:
                log.info("account.recovered", account=account)
            self._save(account, known)

    def failed(self, account: str, flow: str, error: BaseException, *, stops: bool = True) -> None:
        """A run of the flow failed for a reason of the account or its channel.

        `stops` False: whatever it is, the account's other flows go on.
        """
        reason = (str(error) or type(error).__name__)[:REASON_LENGTH_MAX]
        with self._locks[account]:
            known = self._refreshed(account)
            before = known.health()[0]
            if isinstance(error, FixAccount) and stops:
                known.needs_reauth = known.needs_reauth or reason
            else:
                known.failing[flow] = reason
            after = known.health()[0]
            if after != before and after == NEEDS_REAUTH:
                log.error(
                    "account.needs_reauth",
                    account=account,
                    reason=reason,
                    remedy=f"enter new credentials, then oms-sync accounts resume {account}",
                )
            elif after != before:
                log.warning("account.degraded", account=account, flow=flow, reason=reason)
            self._save(account, known)

    def note_check(self, account: str, *, expires_at: datetime | None, skew_seconds: float) -> None:
        """Keep when the account's token runs out, and how far our clock is ahead."""
        with self._locks[account]:
            known = self._refreshed(account)
            noted = replace(
                known.record,
                token_expires_at=expires_at,
                clock_skew_seconds=round(skew_seconds),
            )
            if noted != known.record:
                known.record = noted
                known.is_unsaved = True
            self._save(account, known)

    def _refreshed(self, account: str) -> _Known:
        known, now = self._known.get(account), self._clock.monotonic()
        if known is not None and (known.is_unsaved or now - known.read_at < RECORD_SECONDS_MAX):
            return known
        record = self._read(account)
        if known is None:
            # what was wrong before a restart is found out anew, except revoked credentials
            needs = record.reason if record.health == NEEDS_REAUTH else None
            known = self._known[account] = _Known(record, now, needs_reauth=needs)
        elif known.record.health == NEEDS_REAUTH and record.health == OK:
            known.needs_reauth = None  # resumed by an operator
            known.failing.clear()
        known.record, known.read_at = record, now
        return known

    def _read(self, account: str) -> AccountRecord:
        with self._open_work() as work:
            stored = work.accounts.get(account)
        return stored or AccountRecord(name=account, connector=self._profiles[account].connector)

    def _save(self, account: str, known: _Known) -> None:
        health, reason = known.health()
        if (known.record.health, known.record.reason) == (health, reason) and not known.is_unsaved:
            return
        known.is_unsaved = True  # until the commit below: an outage of the database loses nothing
        with self._open_work() as work:
            stored = work.accounts.get(account) or known.record
            known.record = replace(
                stored,
                health=health,
                reason=reason,
                token_expires_at=known.record.token_expires_at,
                clock_skew_seconds=known.record.clock_skew_seconds,
            )
            work.accounts.put(known.record)
            work.commit()
        known.is_unsaved = False
        known.read_at = self._clock.monotonic()
