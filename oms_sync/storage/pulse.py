"""What was last heard of an account, and what is overdue there; each question from an index.

Asked twice a minute for every account, so nothing here grows with the orders there ever were.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, literal, not_, or_, select, text

from oms_sync.domain.silence import Overdue, Pulse, SilenceKind, overdue_before
from oms_sync.domain.waiting import units_unseen
from oms_sync.sdk import OrderFeed
from oms_sync.storage import codec
from oms_sync.storage.columns import EPOCH, Instant
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.hub import accounts, feeds
from oms_sync.storage.tables.listings import listing_policies, listings
from oms_sync.storage.tables.orders import order_lines, orders, shipment_pushes, shipments
from oms_sync.storage.tables.upkeep import subscriptions
from oms_sync.storage.tables.write_backs import write_backs

#: listings looked at to tell since when one waits
WAITING_MAX = 50
#: orders or shipments counted; more of them are told as so many
COUNT_MAX = 1_000
_ACCOUNT: Any = bindparam("b_account")
_BEFORE: Any = bindparam("b_before", type_=Instant())
FIRST = select(accounts.c.first_connected_at).where(accounts.c.name == _ACCOUNT)
FEEDS = select(feeds).where(feeds.c.account == _ACCOUNT)
NEWEST = select(func.max(orders.c.imported_at)).where(orders.c.account == _ACCOUNT)
#: since when each waiting listing wants a push: the first wish after its last confirmation
_WISHED_AT = (
    select(func.min(listing_policies.c.at))
    .where(
        listing_policies.c.listing_id == listings.c.listing_id,
        listing_policies.c.at > func.coalesce(listings.c.confirmed_at, literal(EPOCH, Instant())),
    )
    .scalar_subquery()
)
WAITING = (
    select(func.coalesce(_WISHED_AT, listings.c.looked_at).label("since"))
    .where(listings.c.account == _ACCOUNT, listings.c.push_delta.is_not(None))
    .limit(WAITING_MAX)
)
#: what the channel put off waits; what it was given up for is refused
POSTPONED = (
    select(func.coalesce(_WISHED_AT, listings.c.looked_at).label("since"))
    .where(
        listings.c.account == _ACCOUNT,
        listings.c.retry_at.is_not(None),
        listings.c.refused_reason.is_(None),
    )
    .limit(WAITING_MAX)
)
#: what was sent and never answered waits, too
UNANSWERED = (
    select(func.coalesce(_WISHED_AT, listings.c.flight_sent_at).label("since"))
    .where(listings.c.account == _ACCOUNT, listings.c.flight_push_id.is_not(None))
    .limit(WAITING_MAX)
)
CONFIRMED = select(func.max(listings.c.confirmed_at)).where(listings.c.account == _ACCOUNT)
HEARD = (
    select(func.max(func.coalesce(subscriptions.c.heard_at, subscriptions.c.seen_at)))
    .where(subscriptions.c.account == _ACCOUNT)
)  # fmt: skip
UNANNOUNCED = (
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
UNWRITTEN = _ASKED.where(not_(_IS_TAKEN_UP))
UNDECIDED = _ASKED.where(_IS_TAKEN_UP)
#: states are spelled as the partial indexes spell them
_LATE = (
    select(orders.c.ship_due_at.label("since"), literal(0).label("units"))
    .where(
        orders.c.account == _ACCOUNT,
        text("orders.ship_due_at IS NOT NULL AND orders.state IN ('open', 'held')"),
        orders.c.ship_due_at <= _BEFORE,
    )
    .order_by(orders.c.ship_due_at)
    .limit(COUNT_MAX)
    .subquery()
)
_UNCONFIRMED = (
    select(shipments.c.added_at.label("since"), literal(0).label("units"))
    .join(shipment_pushes, shipment_pushes.c.shipment_id == shipments.c.shipment_id)
    .where(
        shipment_pushes.c.account == _ACCOUNT,
        text("shipment_pushes.state IN ('waiting', 'sent')"),
        shipments.c.added_at <= _BEFORE,
    )
    .limit(COUNT_MAX)
    .subquery()
)
_UNITS = func.sum(order_lines.c.quantity_reserved)
_PENDING = (
    select(orders.c.placed_at.label("since"), _UNITS.label("units"))
    .join(order_lines, order_lines.c.order_id == orders.c.order_id)
    .where(
        orders.c.account == _ACCOUNT,
        text("orders.state = 'pending'"),
        orders.c.placed_at <= _BEFORE,
    )
    .group_by(orders.c.order_id, orders.c.placed_at)
    .having(_UNITS > 0)
    .order_by(orders.c.placed_at)
    .limit(COUNT_MAX)
    .subquery()
)


def _summed(found: Any) -> Any:
    return select(
        func.min(found.c.since, type_=Instant()).label("since"),
        func.count().label("number"),
        func.sum(found.c.units).label("units"),
    ).select_from(found)


UNSHIPPED = _summed(_LATE)
UNTOLD = _summed(_UNCONFIRMED)
UNPAID = _summed(_PENDING)
#: refused shipments of orders the channel still shows open, with every line of those
REFUSED = (
    select(
        shipments.c.shipment_id,
        shipments.c.added_at,
        shipments.c.lines,
        order_lines.c.line_id,
        order_lines.c.facts,
        order_lines.c.shipped_here,
    )
    .select_from(shipment_pushes)
    .join(shipments, shipments.c.shipment_id == shipment_pushes.c.shipment_id)
    .join(orders, orders.c.order_id == shipments.c.order_id)
    .join(order_lines, order_lines.c.order_id == shipments.c.order_id)
    .where(
        shipment_pushes.c.account == _ACCOUNT,
        text("shipment_pushes.state = 'refused'"),
        orders.c.is_waited_for,
    )
    .limit(COUNT_MAX)
)


def read_pulse(
    transaction: Transaction, account: str, *, now: datetime, unannounced_max: int
) -> Pulse | None:
    """See the flows' port `Upkeep.pulse`."""
    asked = _Asked(transaction, account)
    first = asked.instant(FIRST)
    if first is None:
        return None
    read: dict[str, Any] = {row.feed: row for row in asked.rows(FEEDS)}
    changes, sweep = read.get(OrderFeed.CHANGES.value), read.get(OrderFeed.SWEEP.value)
    return Pulse(
        first_connected_at=first,
        read_at=changes.drained_at if changes else None,
        page_at=changes.page_at if changes else None,
        swept_at=sweep.drained_at if sweep else None,
        sweep_began_at=sweep.pass_started_at if sweep else None,
        sweep_page_at=sweep.page_at if sweep else None,
        sweep_due_at=sweep.next_at if sweep else None,
        last_order_at=asked.instant(NEWEST),
        unannounced=_unannounced(asked, unannounced_max),
        unpushed_since=_unpushed_since(asked),
        unwritten_since=asked.instant(UNWRITTEN),
        undecided_since=asked.instant(UNDECIDED),
        unshipped=asked.overdue(UNSHIPPED, overdue_before(SilenceKind.NOT_SHIPPED, now)),
        untold=asked.overdue(UNTOLD, overdue_before(SilenceKind.NOT_TOLD, now)),
        refused=_refused(asked.rows(REFUSED)),
        unpaid=asked.overdue(UNPAID, overdue_before(SilenceKind.NOT_PAID, now)),
    )


class _Asked:
    """Questions about one account in one transaction."""

    __slots__ = ("_account", "_transaction")

    def __init__(self, transaction: Transaction, account: str) -> None:
        self._transaction, self._account = transaction, account

    def rows(self, query: Any, **values: Any) -> Any:
        return self._transaction.rows(query, {"b_account": self._account, **values})

    def instant(self, query: Any) -> datetime | None:
        rows = self.rows(query)
        found: datetime | None = rows[0][0] if rows else None
        return found

    def overdue(self, query: Any, before: datetime) -> Overdue | None:
        (row,) = self.rows(query, b_before=before)
        if not row.number:
            return None
        return Overdue(since=row.since, count=row.number, units=int(row.units))


def _unannounced(asked: _Asked, limit: int) -> tuple[datetime, ...]:
    heard_at = asked.instant(HEARD)
    if heard_at is None:
        return ()
    rows = asked.rows(UNANNOUNCED, b_after=heard_at, b_limit=limit)
    return tuple(row.imported_at for row in rows)


def _unpushed_since(asked: _Asked) -> datetime | None:
    waiting: list[datetime] = [
        row.since
        for query in (WAITING, POSTPONED, UNANSWERED)
        for row in asked.rows(query)
        if row.since is not None
    ]
    if not waiting:
        return None
    return max(min(waiting), asked.instant(CONFIRMED) or min(waiting))


def _refused(rows: Iterable[Any]) -> Overdue | None:
    """Refused ones of which the channel misses units; told of by hand, it misses none."""
    missed: dict[str, datetime] = {}
    for row in rows:
        its_lines = {line_id for line_id, *_ in json.loads(row.lines)}
        line = codec.read_line(row.facts).line
        if row.line_id in its_lines and units_unseen(line, row.shipped_here):
            missed[row.shipment_id] = row.added_at
    return Overdue(since=min(missed.values()), count=len(missed)) if missed else None
