"""How far everything was read: feeds, re-reads, and what the hub remembers of accounts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from oms_sync.flows.records import AccountRecord, FeedPosition, Reread
from oms_sync.sdk import OrderFeed
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.hub import accounts, feeds
from oms_sync.storage.tables.inbox import rereads
from oms_sync.storage.writing import TwinInsert, insert_or_update

_FEED = select(feeds).where(
    feeds.c.account == bindparam("account"), feeds.c.feed == bindparam("feed")
)
_PUT_FEED = insert_or_update(
    feeds,
    (column.name for column in feeds.columns if column.name not in ("account", "feed")),
)
_HASTEN = (
    update(feeds)
    .where(
        feeds.c.account == bindparam("b_account"),
        feeds.c.feed == bindparam("b_feed"),
        or_(feeds.c.next_at.is_(None), feeds.c.next_at > bindparam("b_at", type_=Instant())),
    )
    .values(next_at=bindparam("b_at", type_=Instant()))
)
_ACCOUNT = select(accounts).where(accounts.c.name == bindparam("name"))
#: facts that are set once: a writer who read the row before they were set does not unset them
_ONCE = ("first_connected_at", "backfilled_at")
_PUT_ACCOUNT = insert_or_update(
    accounts,
    (column.name for column in accounts.columns if column.name not in ("name", *_ONCE)),
    **{name: func.coalesce(accounts.c[name], literal_column(f"excluded.{name}")) for name in _ONCE},
)


def _arming(statement: Any) -> Any:
    fresh = statement.excluded
    earlier = case((fresh.due_at < rereads.c.due_at, fresh.due_at), else_=rereads.c.due_at)
    return statement.on_conflict_do_update(
        index_elements=[rereads.c.account, rereads.c.channel_order_id],
        set_={
            "armed": rereads.c.armed + 1,
            "due_at": earlier,
            "is_deletion": or_(rereads.c.is_deletion, fresh.is_deletion),
        },
    )


_ARM = TwinInsert(
    sqlite=_arming(sqlite_insert(rereads)), postgres=_arming(postgres_insert(rereads))
)
_DUE = (
    select(rereads)
    .where(
        rereads.c.account == bindparam("account"),
        rereads.c.due_at <= bindparam("at", type_=Instant()),
    )
    .order_by(rereads.c.due_at, rereads.c.channel_order_id)
    .limit(bindparam("limit"))
)
_FORGET = delete(rereads).where(
    rereads.c.account == bindparam("b_account"),
    rereads.c.channel_order_id == bindparam("b_id"),
    rereads.c.armed == bindparam("b_armed"),
)
_NEXT_AT = select(func.min(rereads.c.due_at)).where(rereads.c.account == bindparam("account"))
_POSTPONE = (
    update(rereads)
    .where(
        and_(
            rereads.c.account == bindparam("b_account"),
            rereads.c.channel_order_id == bindparam("b_id"),
        )
    )
    .values(attempts=rereads.c.attempts + 1, due_at=bindparam("b_until", type_=Instant()))
)


class Rereads:
    """Implements the flows' port `Rereads`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def arm(
        self, account: str, ids: Iterable[str], *, at: datetime, is_deletion: bool = False
    ) -> None:
        batch = [
            {
                "account": account,
                "channel_order_id": channel_id,
                "armed": 1,
                "is_deletion": is_deletion,
                "attempts": 0,
                "due_at": at,
            }
            for channel_id in sorted(set(ids))
        ]
        _ARM.run(self._transaction, batch)

    def due(self, account: str, *, at: datetime, limit: int) -> list[Reread]:
        rows = self._transaction.rows(_DUE, {"account": account, "at": at, "limit": limit})
        return [
            Reread(
                channel_order_id=row.channel_order_id,
                armed=row.armed,
                is_deletion=row.is_deletion,
                attempts=row.attempts,
            )
            for row in rows
        ]

    def settle(self, account: str, rereads: Sequence[Reread]) -> None:
        self._transaction.run_many(
            _FORGET,
            [
                {"b_account": account, "b_id": one.channel_order_id, "b_armed": one.armed}
                for one in sorted(rereads, key=lambda one: one.channel_order_id)
            ],
        )

    def next_at(self, account: str) -> datetime | None:
        row = self._transaction.row(_NEXT_AT, {"account": account})
        found: datetime | None = row[0] if row else None
        return found

    def postpone(self, account: str, rereads: Sequence[Reread], *, until: datetime) -> None:
        self._transaction.run_many(
            _POSTPONE,
            [
                {"b_account": account, "b_id": one.channel_order_id, "b_until": until}
                for one in sorted(rereads, key=lambda one: one.channel_order_id)
            ],
        )


class Feeds:
    """Implements the flows' port `Feeds`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, account: str, feed: OrderFeed) -> FeedPosition | None:
        row = self._transaction.row(_FEED, {"account": account, "feed": str(feed)})
        if row is None:
            return None
        return FeedPosition(
            account=row.account,
            feed=OrderFeed(row.feed),
            cursor=row.cursor,
            since=row.since,
            pass_started_at=row.pass_started_at,
            drained_at=row.drained_at,
            next_at=row.next_at,
            is_finished=row.is_finished,
            orders_read=row.orders_read,
            page_at=row.page_at,
        )

    def put(self, position: FeedPosition) -> None:
        row = {
            "account": position.account,
            "feed": str(position.feed),
            "cursor": position.cursor,
            "since": position.since,
            "pass_started_at": position.pass_started_at,
            "drained_at": position.drained_at,
            "next_at": position.next_at,
            "is_finished": position.is_finished,
            "orders_read": position.orders_read,
            "page_at": position.page_at,
        }
        _PUT_FEED.run(self._transaction, [row])

    def hasten(self, account: str, feed: OrderFeed, *, at: datetime) -> None:
        self._transaction.run(_HASTEN, {"b_account": account, "b_feed": str(feed), "b_at": at})


class Accounts:
    """Implements the flows' port `Accounts`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, name: str) -> AccountRecord | None:
        row = self._transaction.row(_ACCOUNT, {"name": name})
        return read_account(row) if row is not None else None

    def lock(self, name: str) -> AccountRecord | None:
        row = locks.lock_account(self._transaction, name)
        return read_account(row) if row is not None else None

    def put(self, record: AccountRecord) -> None:
        row = {
            "name": record.name,
            "connector": record.connector,
            "first_connected_at": record.first_connected_at,
            "backfilled_at": record.backfilled_at,
            "is_paused": record.is_paused,
            "health": record.health,
            "reason": record.reason,
            "token_expires_at": record.token_expires_at,
            "clock_skew_seconds": record.clock_skew_seconds,
        }
        _PUT_ACCOUNT.run(self._transaction, [row])


def read_account(row: Any) -> AccountRecord:
    """The record of a row of `accounts`."""
    return AccountRecord(
        name=row.name,
        connector=row.connector,
        first_connected_at=row.first_connected_at,
        backfilled_at=row.backfilled_at,
        is_paused=row.is_paused,
        health=row.health,
        reason=row.reason,
        token_expires_at=row.token_expires_at,
        clock_skew_seconds=row.clock_skew_seconds,
    )
