"""Personal data destroyed: people of orders, bytes of messages, keys of persons."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, or_, select, text, union, update

from oms_sync.domain.order import OrderState
from oms_sync.domain.personal import FINISHED, Unfinished, obstacles
from oms_sync.flows.erasures import Cause
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant, among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.destruction import destroy_messages, drop_dead, name_orders
from oms_sync.storage.order_statements import IS_ALIVE
from oms_sync.storage.tables.hub import accounts, subjects
from oms_sync.storage.tables.inbox import inbox_messages
from oms_sync.storage.tables.orders import order_names, orders, shipment_pushes, shipments
from oms_sync.storage.tables.write_backs import write_backs
from oms_sync.storage.vault import buyer_subject

ERASED_REASON = "personal data of its order was erased"
_BEFORE = bindparam("before", type_=Instant())
_ACCOUNT: Any = bindparam("account")
#: spelled as the partial indexes spell them
_MAY_BE_ERASED = text("orders.erased_at IS NULL AND orders.state IN ('closed', 'cancelled')")
#: as a range, so that the index of those who asked is always the better one
_IS_WANTED = text("subjects.erase_wanted_at IS NOT NULL AND subjects.erase_wanted_at > 0")
_HAS_BYTES = text("inbox_messages.data_key IS NOT NULL")
_HAS_OLD_BYTES = text(
    "inbox_messages.data_key IS NOT NULL AND inbox_messages.state IN ('done', 'dropped')"
)
_PUSHES = (
    select(shipment_pushes.c.shipment_id)
    .join(shipments, shipments.c.shipment_id == shipment_pushes.c.shipment_id)
    .where(shipments.c.order_id == orders.c.order_id)
)
_UNTOLD = _PUSHES.where(text("shipment_pushes.state IN ('waiting', 'sent')"))
_REFUSED = _PUSHES.where(text("shipment_pushes.state = 'refused'"), orders.c.is_waited_for)
_SHIPPED_SINCE = _PUSHES.where(
    or_(shipments.c.shipped_at > _BEFORE, shipment_pushes.c.confirmed_at > _BEFORE)
)
_UNWRITTEN = select(write_backs.c.write_id).where(
    write_backs.c.order_id == orders.c.order_id,
    text("write_backs.state IN ('waiting', 'sent')"),
)
#: nothing is under way that may still need who bought
_IS_AT_REST = (
    IS_ALIVE,
    orders.c.is_reserve_due.is_(False),
    ~_UNTOLD.exists(),
    ~_REFUSED.exists(),
    ~_UNWRITTEN.exists(),
)
_IS_FINISHED = (_MAY_BE_ERASED, *_IS_AT_REST)
#: the channel's time of the newest sight is never before a cancellation it shows
_IS_OLD = (
    orders.c.updated_at <= _BEFORE,
    orders.c.placed_at <= _BEFORE,
    or_(orders.c.ship_by.is_(None), orders.c.ship_by <= _BEFORE),
    ~_SHIPPED_SINCE.exists(),
)
_OLD = (
    select(orders.c.order_id)
    .where(orders.c.account == _ACCOUNT, *_IS_FINISHED, *_IS_OLD)
    .order_by(orders.c.updated_at)
    .limit(bindparam("limit"))
)
_WANTED = (
    select(orders.c.order_id)
    .join(subjects, subjects.c.subject_id == orders.c.subject_id)
    .where(
        subjects.c.account == _ACCOUNT,
        _IS_WANTED,
        orders.c.placed_at <= subjects.c.erase_wanted_at,
        orders.c.erased_at.is_(None),
        # Spelled so that no index of states helps: begin at the few people who asked.
        or_(*(func.coalesce(orders.c.state, "") == str(state) for state in FINISHED)),
        *_IS_AT_REST,
    )
    .order_by(orders.c.order_id)
    .limit(bindparam("limit"))
)
_BY_ID = among(orders.c.order_id, "order_ids")
_LOCK = locks.orders_in_order(select(orders.c.order_id).where(_BY_ID))
#: asked once they are locked, by a statement of its own: another run may have been quicker, a
#: sight may have come, and a statement that waits sees other tables as they were before it waited
_STANDING = select(
    orders.c.order_id,
    orders.c.merged_into,
    orders.c.state,
    orders.c.is_reserve_due,
    orders.c.erased_at,
    _UNTOLD.with_only_columns(func.count()).scalar_subquery().label("untold"),
    _REFUSED.with_only_columns(func.count()).scalar_subquery().label("refused"),
    _UNWRITTEN.with_only_columns(func.count()).scalar_subquery().label("unwritten"),
).where(_BY_ID)
_ERASE = (
    update(orders)
    .where(_BY_ID)
    .values(personal=None, subject_id=None, erased_at=bindparam("b_at", type_=Instant()))
)
#: every id these orders answer to
_NAMES = union(
    select(orders.c.account, orders.c.channel_order_id).where(_BY_ID),
    select(order_names.c.account, order_names.c.channel_order_id).where(
        among(order_names.c.order_id, "order_ids")
    ),
)
_ABOUT = select(inbox_messages.c.message_id, inbox_messages.c.state).where(
    inbox_messages.c.account == _ACCOUNT,
    among(inbox_messages.c.channel_order_id, "channel_ids"),
    _HAS_BYTES,
    inbox_messages.c.state != "new",
)
_EXPIRED = (
    select(inbox_messages.c.message_id)
    .where(
        inbox_messages.c.account == _ACCOUNT, inbox_messages.c.received_at < _BEFORE, _HAS_OLD_BYTES
    )
    .order_by(inbox_messages.c.received_at)
    .limit(bindparam("limit"))
)
#: the message names an erased order, by its id or by another one the order answers to
_OF_ERASED = or_(
    exists().where(
        orders.c.account == inbox_messages.c.account,
        orders.c.channel_order_id == inbox_messages.c.channel_order_id,
        IS_ALIVE,
        orders.c.erased_at.is_not(None),
    ),
    exists().where(
        order_names.c.account == inbox_messages.c.account,
        order_names.c.channel_order_id == inbox_messages.c.channel_order_id,
        orders.c.order_id == order_names.c.order_id,
        orders.c.erased_at.is_not(None),
    ),
)
_LATE = (
    select(inbox_messages.c.message_id)
    .where(
        text("inbox_messages.state = 'dead'"),
        inbox_messages.c.account == _ACCOUNT,
        inbox_messages.c.received_at < _BEFORE,
        _HAS_BYTES,
        _OF_ERASED,
    )
    .order_by(inbox_messages.c.received_at)
    .limit(bindparam("limit"))
)
_HAS_ORDERS = exists().where(orders.c.subject_id == subjects.c.subject_id)
_NEEDLESS = locks.subjects_to_erase(
    select(subjects.c.subject_id)
    .where(subjects.c.account == _ACCOUNT, ~_HAS_ORDERS)
    .limit(bindparam("limit"))
)
_DROP_KEYS = delete(subjects).where(among(subjects.c.subject_id, "subject_ids"), ~_HAS_ORDERS)
_WANT = (
    update(subjects)
    .where(
        subjects.c.subject_id == bindparam("b_subject_id"),
        # an older request may be read after a newer one
        func.coalesce(subjects.c.erase_wanted_at, 0) < bindparam("b_at", type_=Instant()),
    )
    .values(erase_wanted_at=bindparam("b_at", type_=Instant()))
)
_OF_SUBJECT = (
    select(orders.c.order_id)
    .where(
        orders.c.subject_id == bindparam("subject_id"),
        orders.c.placed_at <= bindparam("at", type_=Instant()),
    )
    .order_by(orders.c.order_id)
)
_ACCOUNTS = select(accounts.c.name).order_by(accounts.c.name)


class Erasures:
    """Implements the flows' port `Erasures`."""

    __slots__ = ("_ask_scrub", "_keys", "_transaction")

    def __init__(
        self, transaction: Transaction, keys: KeyRing, ask_scrub: Callable[[], None]
    ) -> None:
        self._transaction = transaction
        self._keys = keys
        self._ask_scrub = ask_scrub

    def accounts(self) -> list[str]:
        return [row.name for row in self._transaction.rows(_ACCOUNTS)]

    def lock_due(self, account: str, *, before: datetime, limit: int) -> dict[str, Cause]:
        asked = {"account": account, "limit": limit}
        causes = {
            row.order_id: Cause.RETENTION
            for row in self._transaction.rows(_OLD, asked | {"before": before})
        }
        causes |= {row.order_id: Cause.BUYER for row in self._transaction.rows(_WANTED, asked)}
        standing = self.lock(sorted(causes)[:limit])
        return {
            order_id: causes[order_id]
            for order_id, found in standing.items()
            if not (found.erased_at or found.refused or obstacles(found))
        }

    def lock(self, order_ids: Iterable[str]) -> dict[str, Unfinished]:
        chosen = {"order_ids": sorted(order_ids)}
        if not self._transaction.rows(_LOCK, chosen):
            return {}
        return {
            row.order_id: Unfinished(
                state=OrderState(row.state),
                is_reserve_due=row.is_reserve_due,
                untold=row.untold,
                unwritten=row.unwritten,
                refused=row.refused,
                erased_at=row.erased_at,
            )
            for row in self._transaction.rows(_STANDING, chosen)
            if row.merged_into is None
        }

    def erase(self, order_ids: Sequence[str], *, at: datetime) -> int:
        named: dict[str, list[str]] = {}
        chosen = {"order_ids": list(order_ids)}
        for account, channel_order_id in self._transaction.rows(_NAMES, chosen):
            named.setdefault(account, []).append(channel_order_id)
        self._transaction.run(_ERASE, {**chosen, "b_at": at})
        found: list[Any] = []
        for account, ids in sorted(named.items()):
            found += self._transaction.rows(_ABOUT, {"account": account, "channel_ids": ids})
        message_ids = [row.message_id for row in found]
        drop_dead(
            self._transaction,
            [row.message_id for row in found if row.state == "dead"],
            ERASED_REASON,
        )
        destroy_messages(self._transaction, message_ids)
        return len(message_ids)

    def name_orders(self, account: str, named: Mapping[str, str]) -> None:
        name_orders(self._transaction, account, named)

    def destroy_messages(self, message_ids: Sequence[str]) -> None:
        destroy_messages(self._transaction, message_ids)

    def expire_messages(self, account: str, *, before: datetime, limit: int) -> int:
        asked = {"account": account, "before": before, "limit": limit}
        expired = [row.message_id for row in self._transaction.rows(_EXPIRED, asked)]
        destroy_messages(self._transaction, expired)
        return len(expired)

    def drop_late(self, account: str, *, before: datetime, limit: int) -> int:
        asked = {"account": account, "before": before, "limit": limit}
        late = [row.message_id for row in self._transaction.rows(_LATE, asked)]
        drop_dead(self._transaction, late, ERASED_REASON)
        destroy_messages(self._transaction, late)
        return len(late)

    def drop_keys(self, account: str, limit: int) -> int:
        asked = {"account": account, "limit": limit}
        chosen = [row.subject_id for row in self._transaction.rows(_NEEDLESS, asked)]
        # Asked again now that they are locked: an order of theirs may have come in between.
        return self._transaction.run(_DROP_KEYS, {"subject_ids": chosen}) if chosen else 0

    def want(self, account: str, channel_buyer_id: str, *, at: datetime) -> list[str]:
        subject = buyer_subject(self._keys, account, channel_buyer_id)
        self._transaction.run(_WANT, {"b_subject_id": subject, "b_at": at})
        rows = self._transaction.rows(_OF_SUBJECT, {"subject_id": subject, "at": at})
        return [row.order_id for row in rows]

    def scrub(self) -> None:
        self._ask_scrub()
