"""Runs one flow for one account: lease, context, run, and what becomes of what it raised.

The one place of the pipeline with a broad except. Nothing a flow raises stops another flow or
another account: it is counted, logged once, and the flow comes back later.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from structlog.contextvars import bound_contextvars

from oms_sync.flows.ports import FlowContext, FlowReport, LeaseLost, UnitOfWork
from oms_sync.flows.records import AccountProfile
from oms_sync.runtime import retry
from oms_sync.runtime.breaker import Breaker
from oms_sync.runtime.health import NEEDS_REAUTH, PAUSED, AccountHealth
from oms_sync.runtime.identity_proofs import IdentityProofs
from oms_sync.runtime.leases import Fence, LeaseKeeper
from oms_sync.runtime.pipeline import (
    LOCAL_FLOWS,
    SESSIONLESS_FLOWS,
    STANDING_FLOWS,
    Flow,
)
from oms_sync.runtime.sessions import AccountWiring, Sessions
from oms_sync.runtime.tend import TEND
from oms_sync.sdk import Bug, Clock, FixAccount, Ids, Metrics, RateLimited

log = structlog.get_logger()

#: how soon a lease that another process holds is asked for again
BUSY_SECONDS: Final = 2.0
#: how soon a flow asks again whether its account was proved to be its own
PROOF_SECONDS: Final = 1.0
#: flows whose failures say nothing of the account's channel
_NOT_OF_THE_CHANNEL: Final = LOCAL_FLOWS | STANDING_FLOWS


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What became of one run, and when the flow wants to look again."""

    #: ok, skipped, busy, lease_lost, stopped, or what went wrong
    outcome: str
    done: int = 0
    is_more: bool = False
    next_at: datetime | None = None
    #: the flow that looks then; None means this one
    next_flow: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerParts:
    """What a runner works with."""

    flows: Mapping[str, Flow]
    wirings: Mapping[str, AccountWiring]
    #: every configured account, the disabled ones too: stock is shared between them
    profiles: Mapping[str, AccountProfile]
    sessions: Sessions
    health: AccountHealth
    leases: LeaseKeeper
    open_work: Callable[[Fence], AbstractContextManager[UnitOfWork]]
    clock: Clock
    ids: Ids
    metrics: Metrics
    is_stopping: Callable[[], bool]
    #: what `tend` proves; None lets every account run unproved
    proofs: IdentityProofs | None = None


@dataclass(slots=True)
class _Streaks:
    """Failures in a row, by flow and account, and the accounts' breakers."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    #: (flow, account) whose failure was logged and whose recovery is owed
    told: set[tuple[str, str]] = field(default_factory=set)
    breakers: dict[str, Breaker] = field(default_factory=dict)


class FlowRunner:
    """Runs flows one at a time per call; safe to call from several threads."""

    def __init__(self, parts: RunnerParts) -> None:
        self._parts = parts
        self._streaks = _Streaks()

    def run(self, flow: str, account: str) -> RunResult:
        """Run it once; never raises an Exception."""
        parts, started_at = self._parts, self._parts.clock.monotonic()
        with bound_contextvars(account=account, flow=flow):
            try:
                result = self._refused(flow, account) or self._run_leased(flow, account)
            except Exception as error:  # noqa: BLE001 - the one place: counted, logged, comes back
                result = self._failed(flow, account, error)
            seconds = parts.clock.monotonic() - started_at
            log.debug(
                "flow.finished",
                outcome=result.outcome,
                done=result.done,
                duration_seconds=round(seconds, 4),
                reason=result.reason,
            )
        parts.metrics.count("flow_runs", flow=flow, account=account, outcome=result.outcome)
        return result

    def breaker(self, account: str) -> Breaker:
        """The account's breaker as it stands."""
        with self._streaks.lock:
            return self._streaks.breakers.get(account, Breaker())

    def _refused(self, flow: str, account: str) -> RunResult | None:
        """Why the flow must not run now, None when it may."""
        if flow in LOCAL_FLOWS:
            return None  # what was read is worked off whatever becomes of the channel
        state = self._parts.health.state(account)
        if state == PAUSED or (state == NEEDS_REAUTH and flow != TEND):
            return RunResult(outcome="skipped", reason=state)
        if flow != TEND and not self._is_proved(account):
            soon = self._parts.clock.now() + timedelta(seconds=PROOF_SECONDS)
            return RunResult(outcome="skipped", reason="not checked yet", next_at=soon)
        if flow in STANDING_FLOWS:
            return None
        now = self._parts.clock.monotonic()
        with self._streaks.lock:
            breaker = self._streaks.breakers.get(account, Breaker())
            breaker, is_admitted = breaker.admit(now)
            self._streaks.breakers[account] = breaker
        if is_admitted:
            return None
        wait = timedelta(seconds=breaker.wait_seconds(now))
        return RunResult(
            outcome="skipped", reason="breaker open", next_at=self._parts.clock.now() + wait
        )

    def _is_proved(self, account: str) -> bool:
        parts = self._parts
        return parts.proofs is None or parts.proofs.may_run(account, at=parts.clock.monotonic())

    def _run_leased(self, flow: str, account: str) -> RunResult:
        parts = self._parts
        with parts.leases.hold(f"{flow}:{account}") as fence:
            if fence is None:
                self._abandon_probe(flow, account)
                soon = parts.clock.now() + timedelta(seconds=BUSY_SECONDS)
                return RunResult(outcome="busy", next_at=soon)
            calls_before = parts.wirings[account].gate.calls
            uses_session = flow not in SESSIONLESS_FLOWS
            with parts.sessions.use(account) if uses_session else nullcontext() as session:
                context = self._context(account, session, fence)
                policy = retry.short_policy(parts.clock, parts.ids)
                report: FlowReport = policy(parts.flows[flow], context)
        self._succeeded(flow, account, calls_before)
        return RunResult(
            outcome="ok", done=report.done, is_more=report.is_more, next_at=report.next_at
        )

    def _context(self, account: str, session: object, fence: Fence) -> FlowContext:
        parts, wiring = self._parts, self._parts.wirings[account]
        return FlowContext(
            account=wiring.profile,
            profiles=parts.profiles,
            manifest=wiring.manifest,
            session=session,
            webhook=wiring.webhook,
            open_work=lambda: parts.open_work(fence),
            clock=parts.clock,
            ids=parts.ids,
            metrics=parts.metrics,
            is_stopping=parts.is_stopping,
        )

    def _succeeded(self, flow: str, account: str, calls_before: int) -> None:
        with self._streaks.lock:
            self._streaks.failures.pop((flow, account), None)
            is_told = (flow, account) in self._streaks.told
            self._streaks.told.discard((flow, account))
            if flow not in _NOT_OF_THE_CHANNEL:
                breaker = self._streaks.breakers.get(account, Breaker())
                # only a run that spoke to the channel says that the channel is well
                is_proof = flow == TEND or self._parts.wirings[account].gate.calls > calls_before
                changed = breaker.succeeded() if is_proof else breaker.abandoned()
                self._streaks.breakers[account] = changed
        if is_told:
            log.info("flow.recovered")
        self._parts.health.succeeded(account, flow)

    def _failed(self, flow: str, account: str, error: Exception) -> RunResult:
        parts, outcome, key = self._parts, _outcome(error), (flow, account)
        chance = parts.ids.random()
        if isinstance(error, LeaseLost):
            self._abandon_probe(flow, account)
            soon = parts.clock.now() + timedelta(seconds=BUSY_SECONDS)
            return RunResult(outcome=outcome, next_at=soon, reason=str(error))
        with self._streaks.lock:
            failures = self._streaks.failures[key] = self._streaks.failures.get(key, 0) + 1
            self._note_breaker(flow, account, error, chance)
            is_new = outcome in ("bug", "failed") and key not in self._streaks.told
            if is_new:
                self._streaks.told.add(key)
        if is_new:
            log.error("flow.failed", reason=str(error), exc_info=error)
        if outcome != "rate_limited":
            self._note_health(flow, account, error)
        is_apart = flow in STANDING_FLOWS
        if outcome in ("fix_account", "channel_failed") and not is_apart:
            parts.sessions.discard(account)
        if outcome == "fix_account" and not is_apart and parts.proofs is not None:
            parts.proofs.refuse(account)
        return RunResult(
            outcome=outcome,
            next_at=retry.next_at(parts.clock.now(), error, failures=failures, chance=chance),
            # Refused credentials stop every other flow: only a look at the account frees them.
            next_flow=TEND if outcome == "fix_account" and not is_apart else None,
            reason=str(error),
        )

    def _note_breaker(self, flow: str, account: str, error: Exception, chance: float) -> None:
        if flow in _NOT_OF_THE_CHANNEL:
            return
        breaker = self._streaks.breakers.get(account, Breaker())
        if retry.tells_of_the_channel(error):
            changed = breaker.failed(self._parts.clock.monotonic(), chance)
            if changed.opened > breaker.opened == 0:
                log.warning("breaker.opened", reason=str(error))
        else:
            changed = breaker.abandoned()
        self._streaks.breakers[account] = changed

    def _abandon_probe(self, flow: str, account: str) -> None:
        if flow not in _NOT_OF_THE_CHANNEL:
            with self._streaks.lock:
                breaker = self._streaks.breakers.get(account, Breaker())
                self._streaks.breakers[account] = breaker.abandoned()

    def _note_health(self, flow: str, account: str, error: Exception) -> None:
        try:
            self._parts.health.failed(account, flow, error, stops=flow not in STANDING_FLOWS)
        except Exception as trouble:  # noqa: BLE001 - must not hide what the flow raised
            # the database is away too: the health is in memory and stored by the next run
            log.warning("account.unsaved", reason=str(trouble))


def _outcome(error: Exception) -> str:
    """One word per class of error, the label of the metric."""
    if isinstance(error, LeaseLost):
        return "lease_lost"
    if isinstance(error, RateLimited):
        return "rate_limited"
    if isinstance(error, FixAccount):
        return "fix_account"
    if retry.tells_of_the_channel(error):
        return "channel_failed"
    return "bug" if isinstance(error, Bug) else "failed"
