"""Accounts' health: whose they are, what was told of them, what was lost."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    and_,
    bindparam,
    case,
    delete,
    or_,
    select,
    update,
)

from oms_sync.domain.silence import Pulse, SilenceKind
from oms_sync.flows.upkeep import Alarm, AskedConsent, Discovery, Gap, Identity, Subscription
from oms_sync.storage.columns import Instant, among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.pulse import read_pulse
from oms_sync.storage.tables.upkeep import (
    alarms,
    consents,
    discoveries,
    gaps,
    identities,
    subscriptions,
)
from oms_sync.storage.writing import insert_or_ignore, insert_or_update

_ACCOUNT: Any = bindparam("b_account")
_SUBSCRIPTION = select(subscriptions).where(
    subscriptions.c.account == _ACCOUNT, subscriptions.c.kind == bindparam("b_kind")
)
_PUT_SUBSCRIPTION = insert_or_update(subscriptions, ("target", "seen_at", "is_unsure"))
_AT = bindparam("b_at", type_=Instant())
_HEAR = (
    update(subscriptions)
    .where(
        subscriptions.c.account == _ACCOUNT,
        or_(subscriptions.c.heard_at.is_(None), subscriptions.c.heard_at < _AT),
    )
    .values(heard_at=_AT)
)
_ALARMS = select(alarms).where(alarms.c.account == _ACCOUNT)
_PUT_ALARMS = insert_or_update(alarms, ("since", "raised_at", "reason"))
_END_ALARMS = delete(alarms).where(
    and_(alarms.c.account == _ACCOUNT, among(alarms.c.kind, "b_kinds"))
)
_ADD_GAP = insert_or_ignore(gaps)
_CONSENT = select(consents).where(consents.c.account == _ACCOUNT)
_PUT_CONSENT = insert_or_update(consents, ("state", "asked_at"))
_END_CONSENT = delete(consents).where(consents.c.account == _ACCOUNT)
_IDENTITY = select(identities).where(identities.c.account == _ACCOUNT)
_PUT_IDENTITY = insert_or_update(identities, ("channel_account_id", "channel_account", "kept_at"))
_DISCOVERY = select(discoveries).where(discoveries.c.account == _ACCOUNT)
_ASK_DISCOVERY = insert_or_update(discoveries, ("asked_at",))
_BEGIN_DISCOVERY = insert_or_update(discoveries, ("tried_at",))
_END_DISCOVERY = (
    update(discoveries)
    .where(discoveries.c.account == _ACCOUNT)
    .values(
        tried_at=_AT,
        done_at=_AT,
        asked_at=case((discoveries.c.asked_at > _AT, discoveries.c.asked_at)),
    )
)


class Upkeep:
    """Implements the flows' port `Upkeep`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def pulse(self, account: str, *, now: datetime, unannounced_max: int) -> Pulse | None:
        return read_pulse(self._transaction, account, now=now, unannounced_max=unannounced_max)

    def subscription(self, account: str, kind: str) -> Subscription | None:
        row = self._transaction.row(_SUBSCRIPTION, {"b_account": account, "b_kind": kind})
        if row is None:
            return None
        return Subscription(
            account=row.account,
            kind=row.kind,
            target=row.target,
            seen_at=row.seen_at,
            heard_at=row.heard_at,
            is_unsure=row.is_unsure,
        )

    def put_subscription(self, subscription: Subscription) -> None:
        row = {
            "account": subscription.account,
            "kind": subscription.kind,
            "target": subscription.target,
            "seen_at": subscription.seen_at,
            "heard_at": subscription.heard_at,
            "is_unsure": subscription.is_unsure,
        }
        _PUT_SUBSCRIPTION.run(self._transaction, [row])

    def hear(self, account: str, *, at: datetime) -> None:
        self._transaction.run(_HEAR, {"b_account": account, "b_at": at})

    def alarms(self, account: str) -> Mapping[SilenceKind, Alarm]:
        found = self._transaction.rows(_ALARMS, {"b_account": account})
        return {
            SilenceKind(row.kind): Alarm(
                account=row.account,
                kind=SilenceKind(row.kind),
                since=row.since,
                raised_at=row.raised_at,
                reason=row.reason,
            )
            for row in found
        }

    def put_alarms(self, alarms: Sequence[Alarm]) -> None:
        rows = [
            {
                "account": one.account,
                "kind": one.kind.value,
                "since": one.since,
                "raised_at": one.raised_at,
                "reason": one.reason,
            }
            for one in alarms
        ]
        if rows:
            _PUT_ALARMS.run(self._transaction, rows)

    def end_alarms(self, account: str, kinds: Sequence[SilenceKind]) -> None:
        named = [kind.value for kind in kinds]
        self._transaction.run(_END_ALARMS, {"b_account": account, "b_kinds": named})

    def add_gap(self, gap: Gap) -> None:
        row = {
            "account": gap.account,
            "since": gap.since,
            "until": gap.until,
            "found_at": gap.found_at,
        }
        _ADD_GAP.run(self._transaction, [row])

    def consent(self, account: str) -> AskedConsent | None:
        row = self._transaction.row(_CONSENT, {"b_account": account})
        if row is None:
            return None
        return AskedConsent(account=row.account, state=row.state, asked_at=row.asked_at)

    def put_consent(self, asked: AskedConsent) -> None:
        row = {"account": asked.account, "state": asked.state, "asked_at": asked.asked_at}
        _PUT_CONSENT.run(self._transaction, [row])

    def end_consent(self, account: str) -> None:
        self._transaction.run(_END_CONSENT, {"b_account": account})

    def identity(self, account: str) -> Identity | None:
        row = self._transaction.row(_IDENTITY, {"b_account": account})
        if row is None:
            return None
        return Identity(
            account=row.account,
            channel_account_id=row.channel_account_id,
            channel_account=row.channel_account,
            kept_at=row.kept_at,
        )

    def put_identity(self, identity: Identity) -> None:
        row = {
            "account": identity.account,
            "channel_account_id": identity.channel_account_id,
            "channel_account": identity.channel_account,
            "kept_at": identity.kept_at,
        }
        _PUT_IDENTITY.run(self._transaction, [row])

    def discovery(self, account: str) -> Discovery | None:
        row = self._transaction.row(_DISCOVERY, {"b_account": account})
        if row is None:
            return None
        return Discovery(
            account=row.account,
            asked_at=row.asked_at,
            tried_at=row.tried_at,
            done_at=row.done_at,
        )

    def ask_discovery(self, account: str, *, at: datetime) -> None:
        _ASK_DISCOVERY.run(self._transaction, [{"account": account, "asked_at": at}])

    def begin_discovery(self, account: str, *, at: datetime) -> None:
        _BEGIN_DISCOVERY.run(self._transaction, [{"account": account, "tried_at": at}])

    def end_discovery(self, account: str, *, begun_at: datetime) -> None:
        self._transaction.run(_END_DISCOVERY, {"b_account": account, "b_at": begun_at})
