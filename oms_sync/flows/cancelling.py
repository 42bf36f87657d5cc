"""A cancellation begins: the order is held from shipping until its channel shows it, or refuses.

Units stay reserved until then. Stores nothing itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from oms_sync.domain.order import Hold, order_state
from oms_sync.domain.write_back import Wish, WriteBack, WriteKind
from oms_sync.flows.records import CANCELLING, MANUAL_HOLD, StoredOrder, counts_of
from oms_sync.sdk import WriteReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who asks for it, when and why."""

    write_id: str
    at: datetime
    actor: str
    reason: WriteReason = "other"
    note: str = ""
    is_restocked: bool = True


def open_units(order: StoredOrder) -> dict[str, int]:
    """Units that can still be cancelled, by channel line id."""
    counts = zip(order.lines, counts_of(order), strict=True)
    return {line.channel_line_id: count.open for line, count in counts if count.open}


def begin(order: StoredOrder, units: Mapping[str, int], ask: Ask) -> tuple[StoredOrder, WriteBack]:
    """The order, held, and what its channel shall be told."""
    cancelled = {
        line.channel_line_id: count.cancelled
        for line, count in zip(order.lines, counts_of(order), strict=True)
    }
    write = WriteBack(
        write_id=ask.write_id,
        order_id=order.order_id,
        account=order.known.ref.account,
        kind=WriteKind.CANCEL,
        wish=Wish(
            reason=ask.reason,
            note=ask.note,
            lines=dict(units),
            cancelled_before={line_id: cancelled[line_id] for line_id in units},
            is_restocked=ask.is_restocked,
        ),
        asked_at=ask.at,
        actor=ask.actor,
        next_at=ask.at,
    )
    hold = Hold(code=CANCELLING, since=ask.at, actor=ask.actor, detail=ask.reason)
    return with_holds(order, (*order.holds, hold)), write


def end(order: StoredOrder, *, is_unsure: bool = False) -> StoredOrder:
    """The order without that hold; what is left of it may ship, or waits for a person."""
    holds = tuple(one for one in order.holds if one.code != CANCELLING)
    ended = [one for one in order.holds if one.code == CANCELLING]
    if is_unsure and ended and all(one.code != MANUAL_HOLD for one in holds):
        detail = "the channel took a cancellation and never showed it"
        holds += (replace(ended[0], code=MANUAL_HOLD, actor="hub", detail=detail),)
    return replace(with_holds(order, holds), is_reserve_due=True)


def with_holds(order: StoredOrder, holds: tuple[Hold, ...]) -> StoredOrder:
    """The order with these holds, and the state that follows."""
    state = order_state(order.known, counts_of(order), has_holds=bool(holds))
    return replace(order, holds=holds, state=state)
