"""Orders whose channel changes their ids or moves their lines: whose a sight is, and what moved.

Used by `normalise` for accounts whose line ids are unique in the account. Works on the orders of
one batch in memory; a line keeps its record here, and with it all that was booked for it. What
came of it is stored by `regrouped.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from oms_sync.domain.cancel_requests import still_declined
from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import Hold, KnownLine, KnownOrder, OrderSight, OrderState
from oms_sync.domain.portable import (
    absorb,
    follow,
    is_newer,
    takes,
    unlisted,
    with_lines,
    without_lines,
)
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import CANCELLING, GONE, MANUAL_HOLD, Batch, Read, StoredOrder


def regroup(context: FlowContext, work: UnitOfWork, reads: Sequence[Read]) -> Batch:
    """Let every read fall on the orders it is about, however they are called by now."""
    account = context.account.name
    record = work.accounts.lock(account)
    names = {read.channel_order_id for read in reads}
    lines = set()
    for sight in (read.sight for read in reads if read.sight is not None):
        names |= {sight.channel_order_id, *sight.aliases}
        lines |= {line.channel_line_id for line in sight.lines}
    grouping = Regrouping(
        work.orders.lock_by_names(account, sorted(names), sorted(lines)),
        account=account,
        now=context.clock.now(),
        new_id=context.ids.new,
    )
    for read in reads:
        if read.sight is None:
            grouping.miss(read.channel_order_id)
        else:
            grouping.show(read.channel_order_id, read.sight, read.message.dedupe_key)
    return replace(grouping.result(), record=record)


class Regrouping:
    """The orders of one batch while sights fall on them."""

    def __init__(
        self,
        stored: Iterable[StoredOrder],
        *,
        account: str,
        now: datetime,
        new_id: Callable[[], str],
    ) -> None:
        self._stored = {order.order_id: order for order in stored}
        self._orders = dict(self._stored)
        self._names = {name: one.order_id for one in self._stored.values() for name in one.names}
        self._homes = {
            line.channel_line_id: order.order_id
            for order in self._stored.values()
            for line in order.lines
        }
        self._merged: dict[str, str] = {}
        self._parted: dict[str, None] = {}
        self._account = account
        self._now = now
        self._new_id = new_id

    def miss(self, asked: str) -> None:
        """The channel has no order `asked`: news of an order only while it goes by that id."""
        order = self._named(asked)
        if order is None or order.known.ref.channel_order_id != asked:
            return
        gone = [hold for hold in order.holds if hold.code == GONE]
        holds = [hold for hold in order.holds if hold.code != GONE]
        holds += gone or [Hold(code=GONE, since=self._now, actor="hub")]
        # Should the order come back as it was, that is news: nothing counts as merged.
        self._orders[order.order_id] = replace(order, holds=tuple(holds), payload_key="")

    def show(self, asked: str, sight: OrderSight, payload_key: str) -> None:
        """Asked for the order `asked`, the channel showed `sight`."""
        seen = first_sight(self._account, sight)
        others = sorted({asked, *sight.aliases} - {sight.channel_order_id})
        order = self._gather(self._known_as(seen, others) or self._begin(seen), seen)
        order, seen = self._leave_out(order, seen)
        is_current = seen.ref == order.known.ref or is_newer(seen, order.known)
        declined = still_declined(order.declined, seen)
        known = follow(order.known, seen)
        order = replace(order, known=known, declined=declined, is_reserve_due=True)
        if is_current:
            holds = tuple(hold for hold in order.holds if hold.code != GONE)
            order = replace(order, holds=holds, payload_key=payload_key)
        self._orders[order.order_id] = order
        self._names |= dict.fromkeys((sight.channel_order_id, *others), order.order_id)
        self._homes |= dict.fromkeys(_line_ids(seen), order.order_id)

    def result(self) -> Batch:
        """What has become of the orders."""
        names: dict[str, list[str]] = {}
        for name, order_id in sorted(self._names.items()):
            names.setdefault(order_id, []).append(name)
        orders = [replace(one, names=tuple(names[key])) for key, one in self._orders.items()]
        before = {name: one.order_id for one in self._stored.values() for name in one.names}
        homes = {
            line.line_id: order.order_id for order in self._stored.values() for line in order.lines
        }
        return Batch(
            stored=self._stored,
            orders=orders,
            owners=self._names,
            fresh_names={key: one for key, one in self._names.items() if key not in before},
            moved_names={
                key: one for key, one in self._names.items() if before.get(key, one) != one
            },
            moved={
                line.line_id: order.order_id
                for order in orders
                for line in order.lines
                if homes[line.line_id] != order.order_id
            },
            merged=self._merged,
            parted=[
                self._orders[one].known.ref.channel_order_id
                for one in self._parted
                if one in self._orders
            ],
        )

    # --- whose a sight is ------------------------------------------------------------------------

    def _named(self, channel_order_id: str) -> StoredOrder | None:
        return self._orders.get(self._names.get(channel_order_id, ""))

    def _known_as(self, seen: KnownOrder, others: list[str]) -> StoredOrder | None:
        """The order that has the sight's id or, by the channel's word, another of its ids."""
        order = self._named(seen.ref.channel_order_id)
        if order is not None and not others and self._is_apart(order, seen):
            order = None
        for name in others:
            same = self._named(name)
            if order is not None and same is not None and same.order_id != order.order_id:
                is_first = is_newer(order.known, same.known)
                order = self._join(order, same) if is_first else self._join(same, order)
                # What each once listed says nothing of the other's lines.
                order = replace(order, known=unlisted(order.known))
            order = order or same
        return order

    def _is_apart(self, order: StoredOrder, seen: KnownOrder) -> bool:
        """True when a former id of `order` shows itself as an order of its own.

        It does when it lists lines now and leaves out some of that order, or when it once listed
        lines that never moved there.
        """
        if seen.ref == order.known.ref or not seen.lines:
            return False
        if is_newer(seen, order.known):
            return not _line_ids(order.known) <= _line_ids(seen)
        return any(
            self._homes.get(_id(line)) != order.order_id and self._is_won(line, order, seen)
            for line in seen.lines
        )

    def _begin(self, seen: KnownOrder) -> StoredOrder:
        return StoredOrder(
            order_id=self._new_id(),
            known=replace(seen, lines=()),
            state=OrderState.PENDING,
            lines=(),
            imported_at=self._now,
        )

    # --- where its lines are ---------------------------------------------------------------------

    def _is_won(self, line: KnownLine, order: StoredOrder, seen: KnownOrder) -> bool:
        """True when `seen` shows the line later than any sight of another order."""
        home = self._orders.get(self._homes.get(_id(line), ""))
        if home is None or home.order_id == order.order_id:
            return True
        there = next(one for one in home.known.lines if _id(one) == _id(line))
        return takes(there, home.known, seen)

    def _gather(self, order: StoredOrder, seen: KnownOrder) -> StoredOrder:
        """Bring the lines here that the sight shows here, and nothing newer elsewhere."""
        coming: dict[str, set[str]] = {}
        for line in seen.lines:
            home = self._homes.get(_id(line), order.order_id)
            if home != order.order_id and self._is_won(line, order, seen):
                coming.setdefault(home, set()).add(_id(line))
        for home, ids in coming.items():
            order = self._move(self._orders[home], order, ids)
        return order

    def _move(self, source: StoredOrder, order: StoredOrder, ids: set[str]) -> StoredOrder:
        """Put these lines of `source` into `order`; who gives all it has, is that order."""
        if _line_ids(source.known) <= ids:
            return self._join(order, source)
        self._orders[source.order_id] = replace(
            source,
            known=without_lines(source.known, ids),
            lines=tuple(one for one in source.lines if one.channel_line_id not in ids),
        )
        self._parted[source.order_id] = None
        self._homes |= dict.fromkeys(ids, order.order_id)
        return replace(
            order,
            known=with_lines(order.known, (one for one in source.known.lines if _id(one) in ids)),
            lines=(*order.lines, *(one for one in source.lines if one.channel_line_id in ids)),
            holds=_holds(order, replace(source, holds=tuple(map(_parted, source.holds)))),
        )

    def _leave_out(self, order: StoredOrder, seen: KnownOrder) -> tuple[StoredOrder, KnownOrder]:
        """Tell other orders what the sight says of lines that are theirs by now."""
        theirs = [
            line for line in seen.lines if self._homes.get(_id(line)) not in (None, order.order_id)
        ]
        for line in theirs:
            home = self._orders[self._homes[_id(line)]]
            self._orders[home.order_id] = replace(home, known=with_lines(home.known, (line,)))
        seen = without_lines(seen, {_id(line) for line in theirs})
        if theirs and not seen.lines and not order.known.lines:
            # An old sight: the order went on under another id, and nothing of it stayed.
            homes = (self._orders[self._homes[_id(line)]] for line in theirs)
            order = self._join(max(homes, key=lambda home: home.known.version), order)
        return order, seen

    def _join(self, order: StoredOrder, other: StoredOrder) -> StoredOrder:
        """Two are one, under the id of the first. The record that was here first goes on."""
        survivor, absorbed = sorted((order, other), key=self._age)
        into = survivor.order_id
        for owners in (self._names, self._homes, self._merged):
            owners.update({key: into for key, one in owners.items() if one == absorbed.order_id})
        self._orders.pop(absorbed.order_id, None)
        if absorbed.order_id in self._stored:
            self._merged[absorbed.order_id] = into
        joined = replace(
            survivor,
            known=absorb(order.known, other.known),
            lines=(*order.lines, *other.lines),
            holds=_holds(order, other),
            payload_key=order.payload_key,
            declined=order.declined,
            erased_at=_erased_at(order, other),
        )
        self._orders[into] = joined
        return joined

    def _age(self, order: StoredOrder) -> tuple[bool, datetime, str]:
        return order.order_id not in self._stored, order.imported_at, order.order_id


def _id(line: KnownLine) -> str:
    return line.line.channel_line_id


def _line_ids(order: KnownOrder) -> set[str]:
    return {_id(line) for line in order.lines}


def _parted(hold: Hold) -> Hold:
    """A hold for lines that leave its order: their cancellation stays behind, a person decides."""
    if hold.code != CANCELLING:
        return hold
    detail = "lines of it are from an order that is being cancelled"
    return replace(hold, code=MANUAL_HOLD, actor="hub", detail=detail)


def _erased_at(order: StoredOrder, other: StoredOrder) -> datetime | None:
    """When both were erased; who has lines and was not, still needs the people."""
    times = [one.erased_at for one in (order, other) if one.known.lines]
    if not times:
        # Nothing is left to ship: nobody is brought back.
        times = [one.erased_at for one in (order, other) if one.erased_at]
    return max(one for one in times if one) if times and all(times) else None


def _holds(order: StoredOrder, other: StoredOrder) -> tuple[Hold, ...]:
    """The holds of `order`, and of the other one those of an operator or a cancellation."""
    own = {hold.code for hold in order.holds}
    lasting = {MANUAL_HOLD, CANCELLING} - own
    taken = {hold.code: hold for hold in reversed(other.holds) if hold.code in lasting}
    return (*order.holds, *taken.values())
