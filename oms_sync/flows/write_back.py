"""What an order shall change → channel: look, send, follow, read back, confirmed or refused.

Stored before it is sent, and marked as sent before the call, so that whatever becomes of the
answer the next turn looks first. What must not happen twice waits out a lost answer.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from oms_sync.domain.errors import DomainError
from oms_sync.domain.events import Event
from oms_sync.domain.write_back import (
    Lateness,
    WriteBack,
    WriteKind,
    WriteState,
    lateness,
    over,
)
from oms_sync.flows.accepting import accept
from oms_sync.flows.cancelling import end
from oms_sync.flows.half_read import pass_waits_until
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import StoredOrder
from oms_sync.flows.write_looks import NEVER_SHOWN, NOT_SHOWN, Look, is_unsettled, look
from oms_sync.sdk import (
    Bug,
    Capability,
    FixAccount,
    FixData,
    OutcomeUnknown,
    Rejected,
    RetryLater,
)

log = structlog.get_logger(__name__)

BATCH_MAX: Final = 50
REFUSALS_MAX: Final = 3
MERGES_MAX: Final = 10
WAIT_SECONDS: Final = 1.0
WAIT_SECONDS_MAX: Final = 1800.0
LATE: Final = "the channel took it more than an hour ago and does not show it yet"
#: what each kind needs of the connector
NEEDS: Final[Mapping[WriteKind, Capability]] = {
    WriteKind.CANCEL: Capability.CANCEL_ORDERS,
    WriteKind.REFUND: Capability.REFUND_ORDERS,
    WriteKind.HOLD: Capability.HOLD_ORDERS,
    WriteKind.RELEASE: Capability.HOLD_ORDERS,
    WriteKind.CORRECT: Capability.CORRECT_TRACKING,
    WriteKind.DECLINE: Capability.CANCEL_ORDERS,
}


def run(context: FlowContext) -> FlowReport:
    """Tell the channel everything that is due."""
    if context.account.mode != "live":
        return FlowReport()
    waits_until = pass_waits_until(context, "write_back")
    if waits_until is not None:
        return FlowReport(next_at=waits_until)
    accepted = accept(context)
    writes = _claim(context)
    for index, write in enumerate(writes):
        if context.is_stopping():
            _hand_back(context, writes[index:])
            break
        try:
            _advance(context, write)
        except (RetryLater, FixAccount):
            # The account is in trouble, not this order: give the rest back and let it be known.
            _hand_back(context, writes[index:])
            raise
        except (FixData, Bug, DomainError) as error:
            log.warning(
                "write_back.failed",
                account=context.account.name,
                order=write.order_id,
                kind=write.kind.value,
                reason=str(error),
            )
            _put_off(context, write, str(error))
    is_more = len(writes) == BATCH_MAX
    return FlowReport(done=len(writes) + accepted, is_more=is_more, next_at=_next_at(context))


def _claim(context: FlowContext) -> list[WriteBack]:
    """Take what is due; should we never come back, it is due again after a while."""
    now = context.clock.now()
    with context.open_work() as work:
        claimed = [
            replace(
                one,
                attempts=one.attempts + 1,
                turn=one.turn + 1,
                next_at=now + timedelta(seconds=_wait(one.attempts + 1)),
            )
            for one in work.write_backs.lock_due(context.account.name, at=now, limit=BATCH_MAX)
        ]
        if claimed:
            work.write_backs.save(claimed)
            work.commit()
    return sorted(claimed, key=lambda one: (one.asked_at, one.write_id))


def _hand_back(context: FlowContext, writes: list[WriteBack]) -> None:
    """Make them due again; a try that never was a try does not count."""
    now = context.clock.now()
    with context.open_work() as work:
        ours = [one for write in writes if (one := _ours(work, write))]
        work.write_backs.save(
            [replace(one, attempts=one.attempts - 1, next_at=now) for one in ours]
        )
        work.commit()


def _put_off(context: FlowContext, write: WriteBack, reason: str) -> None:
    """Leave it for its next turn with whatever it got to."""
    with context.open_work() as work:
        present = _ours(work, write)
        if present is not None:
            work.write_backs.save([replace(present, error=reason)])
            work.commit()


def _ours(work: UnitOfWork, write: WriteBack) -> WriteBack | None:
    """The row as it is now, with what was learnt since; None when it is somebody else's turn."""
    present = work.write_backs.lock(write.write_id)
    return present if present is not None and present.turn == write.turn else None


def _advance(context: FlowContext, write: WriteBack) -> None:
    """One write-back, as far as it goes this turn."""
    if NEEDS[write.kind] not in context.manifest.capabilities:
        _end(context, write, WriteState.REFUSED, f"the connector cannot {write.kind} any more")
        return
    if write.receipt and write.answered_at is None:
        followed = _follow(context, write)
        if followed is None:
            return
        write = followed
    found = look(context, _order(context, write), write)
    if found.refusal:
        _end(context, found.write, WriteState.REFUSED, found.refusal)
    elif found.is_done:
        state = WriteState.SUPERSEDED if found.is_moot else WriteState.CONFIRMED
        _end(context, found.write, state)
    elif found.waits_for or found.send is None or not _may_be_sent(context, found):
        _look_again(context, found)
    elif not found.is_repeatable and is_unsettled(context, write):
        _retry(context, found.write, "an answer was lost; it is looked for before a second try")
    else:
        _send(context, write, found)


def _may_be_sent(context: FlowContext, found: Look) -> bool:
    """False of what the channel took: that shows, or somebody is told that it does not.

    Only a cancellation of all there is, which happens once however often it is asked for, is asked
    anew until then: channels have taken such and forgotten them.
    """
    write = found.write
    if write.answered_at is None:
        return True
    if write.kind is not WriteKind.CANCEL or not found.is_repeatable:
        return False
    lag = context.manifest.visibility_lag_seconds
    late = lateness(write, now=context.clock.now(), lag_seconds=lag)
    return late is Lateness.NONE and not is_unsettled(context, write)


def _look_again(context: FlowContext, found: Look) -> None:
    """Wait for what the channel took to show; not in silence, and not for ever."""
    write, reason = found.write, found.waits_for or NOT_SHOWN
    if reason != NOT_SHOWN:
        _retry(context, write, reason, after=found.wait_seconds)
        return
    lag = context.manifest.visibility_lag_seconds
    late = lateness(write, now=context.clock.now(), lag_seconds=lag)
    if late is Lateness.TOO_LATE:
        _end(context, write, WriteState.REFUSED, NEVER_SHOWN)
        return
    is_news = late is Lateness.LATE and write.error != LATE
    _retry(context, write, LATE if late is Lateness.LATE else NOT_SHOWN)
    if is_news:
        context.metrics.count("write_backs_not_shown", account=write.account)
        log.error(
            "write_back.not_shown",
            account=write.account,
            order=write.order_id,
            kind=write.kind.value,
            since=write.answered_at,
        )


def _follow(context: FlowContext, write: WriteBack) -> WriteBack | None:
    """The write-back once the channel has decided for it; None while there is nothing to do."""
    try:
        is_decided = context.session.follow_write(write.receipt)
    except Rejected as error:
        _end(context, write, WriteState.REFUSED, str(error))
        return None
    if not is_decided:
        _retry(context, write, "the channel has not decided yet")
        return None
    return replace(write, answered_at=context.clock.now())


def _order(context: FlowContext, write: WriteBack) -> StoredOrder:
    """The order that has the lines now."""
    with context.open_work() as work:
        return _locked(work, write.order_id)


def _send(context: FlowContext, before: WriteBack, found: Look) -> None:
    """Say in the database that it is being sent, send it, and note what became of it."""
    write = replace(found.write, state=WriteState.SENT, sent_at=context.clock.now())
    assert found.send is not None, "there is something to send"
    with context.open_work() as work:
        if _ours(work, write) is None:
            return
        work.write_backs.save([write])
        work.commit()
    try:
        receipt = found.send()
    except OutcomeUnknown as error:
        _retry(context, write, str(error))
    except Rejected as error:
        # Refusals can be passing.
        write = _unsent(write, before)
        if write.attempts < REFUSALS_MAX or _may_have_happened(context, write):
            _retry(context, write, str(error))
        else:
            _end(context, write, WriteState.REFUSED, str(error))
    except (RetryLater, FixAccount, FixData) as error:
        _retry(context, _unsent(write, before), str(error))
        raise
    else:
        _taken(context, write, receipt)


def _may_have_happened(context: FlowContext, write: WriteBack) -> bool:
    """True of what was taken, or its answer lost, before it was refused: it is looked for."""
    return write.answered_at is not None or is_unsettled(context, write)


def _unsent(write: WriteBack, before: WriteBack) -> WriteBack:
    """Nothing happened: the send does not count, and the next look begins where this one did."""
    return replace(write, sent_at=before.sent_at, known_before=before.known_before)


def _taken(context: FlowContext, write: WriteBack, receipt: str | None) -> None:
    """The channel took it: it shows at once, or it is followed by its receipt."""
    is_again = write.answered_at is not None
    if receipt is not None:
        reason = NOT_SHOWN if is_again else "the channel has not decided yet"
        _retry(context, replace(write, receipt=receipt), reason)
        return
    taken = write if is_again else replace(write, answered_at=context.clock.now())
    with context.open_work() as work:
        work.write_backs.save([taken])
        work.commit()
    _advance(context, taken)


def _end(context: FlowContext, write: WriteBack, state: WriteState, reason: str = "") -> None:
    """Confirmed, refused or out of date: it is over, and what waited for it goes on."""
    now, account = context.clock.now(), context.account.name
    confirmed_at = now if state is WriteState.CONFIRMED else None
    ended = replace(over(write, state), error=reason, confirmed_at=confirmed_at)
    with context.open_work() as work:
        order = _locked(work, write.order_id)
        if _ours(work, write) is None:
            return
        work.write_backs.save([ended])
        if write.kind is WriteKind.CANCEL:
            _let_go(work, order, replace(ended, next_at=now))
            work.wake("reserve", account)
        if write.kind not in (WriteKind.CANCEL, WriteKind.CORRECT):
            work.rereads.arm(account, [order.known.ref.channel_order_id], at=now)
            work.wake("ingest", account)
        work.timeline.add([_event(context, f"write_back.{state}", write, reason)])
        work.commit()
    _tell(context, ended)


def _locked(work: UnitOfWork, order_id: str) -> StoredOrder:
    """The order that has the lines now, locked: it cannot be merged while this is stored."""
    for _ in range(MERGES_MAX):
        order = work.orders.lock([order_id])[order_id]
        if order.merged_into is None:
            return order
        order_id = order.merged_into
    raise Bug(f"order {order_id} was merged more than {MERGES_MAX} times")


def _let_go(work: UnitOfWork, order: StoredOrder, ended: WriteBack) -> None:
    """Take its hold off, unless another cancellation needs it; a person decides what is unsure.

    Refunds that waited for it go on.
    """
    left = [one for one in work.write_backs.of_orders([order.order_id]) if one.state.is_open]
    if any(one.kind is WriteKind.CANCEL for one in left):
        return
    work.orders.save([end(order, is_unsure=ended.error == NEVER_SHOWN)])
    for one in left:
        present = work.write_backs.lock(one.write_id) if one.kind is WriteKind.REFUND else None
        if present is not None and present.sent_at is None:
            work.write_backs.save([replace(present, next_at=min(present.next_at, ended.next_at))])


def _tell(context: FlowContext, write: WriteBack) -> None:
    account = context.account.name
    if write.state is WriteState.CONFIRMED:
        log.info(
            "write_back.confirmed", account=account, order=write.order_id, kind=write.kind.value
        )
        return
    if write.state is WriteState.SUPERSEDED:
        return
    context.metrics.count("write_backs_refused", account=account)
    log.error(
        "write_back.refused",
        account=account,
        order=write.order_id,
        kind=write.kind.value,
        reason=write.error,
    )


def _retry(
    context: FlowContext, write: WriteBack, reason: str, *, after: float | None = None
) -> None:
    if after is not None:
        write = replace(write, next_at=context.clock.now() + timedelta(seconds=after))
    with context.open_work() as work:
        work.write_backs.save([replace(write, error=reason)])
        work.commit()


def _event(context: FlowContext, name: str, write: WriteBack, reason: str) -> Event:
    amount = write.wish.amount
    detail = {
        "kind": write.kind.value,
        "units": sum(write.wish.lines.values()) or None,
        "amount": f"{amount.text()} {amount.currency}" if amount else None,
        "reason": reason or None,
    }
    return Event(
        name=name,
        at=context.clock.now(),
        actor="hub",
        order_id=write.order_id,
        account=context.account.name,
        detail={name: value for name, value in detail.items() if value is not None},
    )


def _wait(attempts: int) -> float:
    return min(WAIT_SECONDS * 2.0 ** min(attempts, 12), WAIT_SECONDS_MAX)


def _next_at(context: FlowContext) -> datetime | None:
    with context.open_work() as work:
        return work.write_backs.next_at(context.account.name)
