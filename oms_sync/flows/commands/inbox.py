"""Messages under an operator's hand: worked off once more, or taken out for good with a reason."""

from collections.abc import Mapping, Sequence

from oms_sync.domain.events import Event
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.ports import UnitOfWork

MESSAGES_MAX = 10_000


def replay(context: CommandContext, message_ids: Sequence[str]) -> int:
    """Work the messages off once more; merging twice changes nothing, so this is always safe."""
    _check(message_ids)
    with context.open_work() as work:
        reopened = work.inbox.reopen(message_ids)
        _check_all(message_ids, reopened, "cannot be replayed: unknown, waiting, or erased")
        _record(context, work, reopened, "message.replayed", reason="")
        for account in sorted(set(reopened.values())):
            work.wake("ingest", account)
            work.wake("normalise", account)
        work.commit()
    return len(reopened)


def drop(context: CommandContext, message_ids: Sequence[str], *, reason: str) -> int:
    """Take messages that wait or failed out for good; their bytes and the reason are kept."""
    _check(message_ids)
    if not reason.strip():
        raise CommandRefused("say why: a message is dropped only with a reason")
    with context.open_work() as work:
        dropped = work.inbox.drop(message_ids, reason, at=context.clock.now())
        _check_all(message_ids, dropped, "cannot be dropped: unknown, or worked off already")
        _record(context, work, dropped, "message.dropped", reason=reason)
        work.commit()
    return len(dropped)


def record_reveal(context: CommandContext, message_id: str, *, account: str) -> None:
    """Log that somebody saw the raw bytes of a message; before they are shown."""
    with context.open_work() as work:
        _record(context, work, {message_id: account}, "message.revealed", reason="")
        work.commit()


def _check(message_ids: Sequence[str]) -> None:
    if not message_ids:
        raise CommandRefused("no message was named, nothing to do")
    if len(message_ids) > MESSAGES_MAX:
        raise CommandRefused(f"at most {MESSAGES_MAX} messages at once")


def _check_all(message_ids: Sequence[str], done: Mapping[str, str], what: str) -> None:
    absent = [message_id for message_id in message_ids if message_id not in done]
    if absent:
        raise CommandRefused(f"{', '.join(absent[:10])}: {what}")


def _record(
    context: CommandContext,
    work: UnitOfWork,
    accounts: Mapping[str, str],
    name: str,
    *,
    reason: str,
) -> None:
    now = context.clock.now()
    work.timeline.add(
        [
            Event(
                name=name,
                at=now,
                actor=context.actor,
                account=account,
                detail={"message_id": message_id, **({"reason": reason} if reason else {})},
            )
            for message_id, account in sorted(accounts.items())
        ]
    )
