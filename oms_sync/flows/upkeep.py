"""What the hub keeps of an account across restarts: who it is, subscriptions, alarms, gaps.

Records and the repository over them; `storage/` implements it. Nothing is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from oms_sync.domain.silence import Pulse, SilenceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """How a channel was made to tell us of changes."""

    account: str
    #: "webhooks" or "queue"
    kind: str
    #: the address it was made for; empty for a queue
    target: str
    #: all topics were there then; None before the first time
    seen_at: datetime | None = None
    #: the newest hint about an order; it may lag by a minute
    heard_at: datetime | None = None
    #: a look at it was begun and never told to have ended
    is_unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A silence as it was told."""

    account: str
    kind: SilenceKind
    since: datetime
    raised_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch of time whose changes the channel showed no more when we came back."""

    account: str
    since: datetime
    until: datetime
    found_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedConsent:
    """An owner was sent to the channel's page with this state."""

    account: str
    state: str
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The shop or seller an account is, by the channel's own words."""

    account: str
    #: stands for it for good
    channel_account_id: str
    #: its name, as it was last
    channel_account: str
    kept_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """When the account's listings were looked through."""

    account: str
    #: since when somebody wants that done soon
    asked_at: datetime | None = None
    #: the newest time it was begun
    tried_at: datetime | None = None
    #: the beginning of the newest one that came to its end
    done_at: datetime | None = None


class Upkeep(Protocol):
    """Accounts' health in the database."""

    def pulse(self, account: str, *, now: datetime, unannounced_max: int) -> Pulse | None:
        """What was last heard of the account, and what is overdue at `now`; None before its first
        connection.
        """

    def subscription(self, account: str, kind: str) -> Subscription | None:
        """The subscription as it was last seen."""

    def put_subscription(self, subscription: Subscription) -> None:
        """Insert or replace; `heard_at` stays the later one."""

    def hear(self, account: str, *, at: datetime) -> None:
        """The channel announced an order then, by whichever way it has."""

    def alarms(self, account: str) -> Mapping[SilenceKind, Alarm]:
        """The alarms that stand."""

    def put_alarms(self, alarms: Sequence[Alarm]) -> None:
        """Insert or replace."""

    def end_alarms(self, account: str, kinds: Sequence[SilenceKind]) -> None:
        """Forget these."""

    def add_gap(self, gap: Gap) -> None:
        """Keep it for good; the same stretch again changes nothing."""

    def consent(self, account: str) -> AskedConsent | None:
        """What the owner was last asked."""

    def put_consent(self, asked: AskedConsent) -> None:
        """Insert or replace."""

    def end_consent(self, account: str) -> None:
        """Forget it: it was answered."""

    def identity(self, account: str) -> Identity | None:
        """Whose shop the account is; None before its credentials were first accepted."""

    def put_identity(self, identity: Identity) -> None:
        """Insert or replace."""

    def discovery(self, account: str) -> Discovery | None:
        """When its listings were looked through; None when never and nobody asked."""

    def ask_discovery(self, account: str, *, at: datetime) -> None:
        """Somebody wants the listings looked through soon."""

    def begin_discovery(self, account: str, *, at: datetime) -> None:
        """It was begun then."""

    def end_discovery(self, account: str, *, begun_at: datetime) -> None:
        """What was begun then came to its end; who asked later still waits."""
