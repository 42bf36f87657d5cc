"""Accounts' health: what was last heard of them, what was told, what was lost."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, literal, not_, or_, select, text, update

from oms_sync.domain.silence import Pulse, SilenceKind
from oms_sync.flows.upkeep import Alarm, AskedConsent, Gap, Subscription
from oms_sync.sdk import OrderFeed
from oms_sync.storage.columns import EPOCH, Instant, among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.hub import accounts, feeds
from oms_sync.storage.tables.listings import listing_policies, listings
from oms_sync.storage.tables.orders import orders
from oms_sync.storage.tables.upkeep import alarms, consents, gaps, subscriptions
from oms_sync.storage.tables.write_backs import write_backs
from oms_sync.storage.writing import insert_or_ignore, insert_or_update

#: listings looked at to tell since when one waits
WAITING_MAX = 50
_ACCOUNT: Any = bindparam("b_account")
_FIRST = select(accounts.c.first_connected_at).where(accounts.c.name == _ACCOUNT)
_FEEDS = select(feeds).where(feeds.c.account == _ACCOUNT)
_NEWEST = select(func.max(orders.c.imported_at)).where(orders.c.account == _ACCOUNT)
#: since when each waiting listing wants a push: the first wish after its last confirmation
_WISHED_AT = (
    select(func.min(listing_policies.c.at))
    .where(
        listing_policies.c.listing_id == listings.c.listing_id,
        listing_policies.c.at > func.coalesce(listings.c.confirmed_at, literal(EPOCH, Instant())),
    )
    .scalar_subquery()
)
_WAITING = (
    select(func.coalesce(_WISHED_AT, listings.c.looked_at).label("since"))
    .where(listings.c.account == _ACCOUNT, listings.c.push_delta.is_not(None))
    .limit(WAITING_MAX)
)
#: what was sent and never answered waits, too
_UNANSWERED = (
    select(func.coalesce(_WISHED_AT, listings.c.flight_sent_at).label("since"))
    .where(listings.c.account == _ACCOUNT, listings.c.flight_push_id.is_not(None))
    .limit(WAITING_MAX)
)
_CONFIRMED = select(func.max(listings.c.confirmed_at)).where(listings.c.account == _ACCOUNT)
_HEARD = (
    select(func.max(func.coalesce(subscriptions.c.heard_at, subscriptions.c.seen_at)))
    .where(subscriptions.c.account == _ACCOUNT)
)  # fmt: skip
_UNANNOUNCED = (
    select(orders.c.imported_at)
    .where(
        orders.c.account == _ACCOUNT,
        orders.c.imported_at > bindparam("b_after", type_=Instant()),
        orders.c.placed_at > bindparam("b_after", type_=Instant()),
    )
    .order_by(orders.c.imported_at)
    .limit(bindparam("b_limit"))
)
#: the channel decides on these, or is sending their money
_IS_TAKEN_UP = or_(
    write_backs.c.channel_refund_id != "",
    and_(write_backs.c.receipt != "", write_backs.c.answered_at.is_(None)),
)
_ASKED = select(func.min(write_backs.c.asked_at)).where(
    write_backs.c.account == _ACCOUNT, text("write_backs.state IN ('waiting', 'sent')")
)
_UNWRITTEN = _ASKED.where(not_(_IS_TAKEN_UP))
_UNDECIDED = _ASKED.where(_IS_TAKEN_UP)
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


class Upkeep:
    """Implements the flows' port `Upkeep`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def pulse(self, account: str, *, unannounced_max: int) -> Pulse | None:
        first = self._instant(_FIRST, account)
        if first is None:
            return None
        read: dict[str, Any] = {
            row.feed: row for row in self._transaction.rows(_FEEDS, {"b_account": account})
        }
        changes, sweep = read.get(OrderFeed.CHANGES.value), read.get(OrderFeed.SWEEP.value)
        return Pulse(
            first_connected_at=first,
            read_at=changes.drained_at if changes else None,
            page_at=changes.page_at if changes else None,
            swept_at=sweep.drained_at if sweep else None,
            last_order_at=self._instant(_NEWEST, account),
            unannounced=self._unannounced(account, unannounced_max),
            unpushed_since=self._unpushed_since(account),
            unwritten_since=self._instant(_UNWRITTEN, account),
            undecided_since=self._instant(_UNDECIDED, account),
        )

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

    def _unannounced(self, account: str, limit: int) -> tuple[datetime, ...]:
        heard_at = self._instant(_HEARD, account)
        if heard_at is None:
            return ()
        values = {"b_account": account, "b_after": heard_at, "b_limit": limit}
        return tuple(row.imported_at for row in self._transaction.rows(_UNANNOUNCED, values))

    def _unpushed_since(self, account: str) -> datetime | None:
        waiting: list[datetime] = [
            row.since
            for query in (_WAITING, _UNANSWERED)
            for row in self._transaction.rows(query, {"b_account": account})
            if row.since is not None
        ]
        if not waiting:
            return None
        confirmed_at = self._instant(_CONFIRMED, account)
        return max(min(waiting), confirmed_at or min(waiting))

    def _instant(self, query: Any, account: str) -> datetime | None:
        row = self._transaction.row(query, {"b_account": account})
        found: datetime | None = None if row is None else row[0]
        return found
