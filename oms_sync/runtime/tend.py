"""Looks after an account as a whole: credentials, permissions, clock, webhook subscriptions.

It runs like a flow, at start and every hour, and moves no order and no quantity.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from oms_sync.flows import identity, subscriptions
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.flows.subscriptions import Subscribing
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.identity_proofs import IdentityProofs
from oms_sync.runtime.sessions import AccountWiring
from oms_sync.sdk import AccountCheck, Capability, FixAccount, FixData

log = structlog.get_logger()

TEND: Final = "tend"
#: the hub refuses to work beside a channel whose clock is further away
SKEW_MAX: Final = timedelta(minutes=5)
TEND_SECONDS: Final = 3600.0
SHADOW: Final = "mode is shadow: nothing is written"


class ClockSkewed(Exception):
    """This machine's clock and the channel's are too far apart; set this machine's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the last look at an account said."""

    skew_seconds: float | None

    @property
    def is_skewed(self) -> bool:
        """True when orders' times cannot be compared with ours."""
        return self.skew_seconds is not None and abs(self.skew_seconds) > SKEW_MAX.total_seconds()


class Caretaker:
    """The pseudo-flow `tend`, and what it found per account."""

    def __init__(self, wirings: Mapping[str, AccountWiring], *, health: AccountHealth) -> None:
        self._wirings, self._health = wirings, health
        self.proofs = IdentityProofs()
        self._lock = threading.Lock()
        self._findings: dict[str, Finding] = {}
        self._told: set[tuple[str, str]] = set()

    def findings(self) -> dict[str, Finding]:
        """What was found so far, by account."""
        with self._lock:
            return dict(self._findings)

    def tend(self, context: FlowContext) -> FlowReport:
        """Check the account, then its subscriptions. Raises ClockSkewed and any SDK error."""
        name, capabilities = context.account.name, context.manifest.capabilities
        if Capability.CHECK_ACCOUNT in capabilities:
            self._check(context)
        else:
            self._find(name, Finding(skew_seconds=None))
            self.proofs.prove(name)
        if Capability.RECEIVE_WEBHOOKS in capabilities:
            self._subscribe(context)
        if Capability.PULL_NOTIFICATIONS in capabilities:
            self._look_at_queue(context)
        return FlowReport(done=1)

    def _check(self, context: FlowContext) -> None:
        name = context.account.name
        check: AccountCheck = context.session.check()
        skew = (context.clock.now() - check.channel_time).total_seconds()
        self._find(name, Finding(skew_seconds=skew))
        identity.recognise(context.open_work, name, check, clock=context.clock)
        self.proofs.prove(name)
        self._health.note_check(name, expires_at=check.token_expires_at, skew_seconds=skew)
        context.metrics.gauge("clock_skew_seconds", skew, account=name)
        # Proof comes before the skew: the credentials work, whatever the time is.
        self._health.succeeded(name, TEND, is_proof=True)
        if abs(skew) > SKEW_MAX.total_seconds():
            raise ClockSkewed(
                f"this machine's clock is {skew:+.0f} s off the channel's; allowed are "
                f"{SKEW_MAX.total_seconds():.0f} s: set this machine's clock"
            )
        for permission in check.missing_permissions:
            if self._is_news(name, permission):
                log.warning("account.permission_missed", account=name, scope=permission)
        for warning in check.warnings:
            if self._is_news(name, warning):
                log.warning("account.warned", account=name, reason=warning)

    def _subscribe(self, context: FlowContext) -> None:
        name, url = context.account.name, self._wirings[context.account.name].webhook_url
        if url is None or context.account.mode == "shadow":
            self._tell_polled_only(context, "web.public_url is not set" if url is None else SHADOW)
            return
        session = context.session
        self._ensure(
            context,
            Subscribing(
                account=name,
                kind=subscriptions.WEBHOOKS,
                target=url,
                ask=lambda: tuple(session.ensure_subscriptions(url)),
            ),
        )

    def _look_at_queue(self, context: FlowContext) -> None:
        if not context.session.has_queue():
            self._tell_polled_only(context, "no queue of notifications is set under settings")
        elif context.account.mode == "shadow":
            self._tell_polled_only(context, SHADOW)
        else:
            self._subscribe_queue(context)

    def _subscribe_queue(self, context: FlowContext) -> None:
        """A queue in trouble delays orders and stops nothing: polling goes on without it."""
        name = context.account.name
        subscribing = Subscribing(
            account=name, kind=subscriptions.QUEUE, target="", ask=context.session.subscribe_queue
        )
        try:
            self._ensure(context, subscribing)
        except (FixAccount, FixData) as error:
            if self._is_news(name, str(error)):
                log.warning("account.not_subscribed", account=name, reason=str(error))

    def _ensure(self, context: FlowContext, subscribing: Subscribing) -> None:
        subscriptions.ensure(
            subscribing,
            open_work=context.open_work,
            clock=context.clock,
            metrics=context.metrics,
        )

    def _tell_polled_only(self, context: FlowContext, reason: str) -> None:
        name = context.account.name
        if self._is_news(name, reason):
            log.warning("account.polled_only", account=name, reason=reason)

    def _find(self, account: str, finding: Finding) -> None:
        with self._lock:
            self._findings[account] = finding

    def _is_news(self, account: str, text: str) -> bool:
        with self._lock:
            is_news = (account, text) not in self._told
            self._told.add((account, text))
            return is_news
