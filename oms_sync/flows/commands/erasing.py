"""Personal data of single orders destroyed because somebody asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from oms_sync.domain.personal import obstacles
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.erasures import erased_events
from oms_sync.flows.ports import UnitOfWork

ORDERS_MAX = 500
KEYS_MAX = ORDERS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was destroyed, and when the orders were erased that had been before."""

    orders: int
    messages: int
    before: Mapping[str, datetime]


def erase(context: CommandContext, named: Mapping[str, str], *, reason: str) -> Erased:
    """Destroy the personal data of these orders (order id to how it was named) and the bytes of
    all messages about them; refuses while one of them is unfinished, then nothing was changed.
    """
    if not reason.strip():
        raise CommandRefused("say why: personal data is erased only with a reason")
    if len(named) > ORDERS_MAX:
        raise CommandRefused(f"at most {ORDERS_MAX} orders at once")
    now = context.clock.now()
    with context.open_work() as work:
        asked = _asked(work, named)
        found = work.erasures.lock(asked)
        moved = [name for key, name in asked.items() if key not in found]
        if moved:
            joined = ", ".join(sorted(moved))
            raise CommandRefused(f"{joined} became part of another order this moment; try again")
        refused = [f"{asked[key]}: {why}" for key, one in found.items() for why in obstacles(one)]
        if refused:
            raise CommandRefused("\n".join(sorted(refused)))
        before = {asked[key]: one.erased_at for key, one in found.items() if one.erased_at}
        due = sorted(key for key, one in found.items() if one.erased_at is None)
        messages = work.erasures.erase(due, at=now)
        orders = work.orders.load(due)
        accounts = sorted({one.known.ref.account for one in orders.values()})
        for account in accounts:
            mine = {key: reason for key, one in orders.items() if one.known.ref.account == account}
            work.timeline.add(erased_events(mine, account=account, at=now, actor=context.actor))
        work.commit()
    for account in accounts:
        _forget_people(context, account)
    return Erased(orders=len(due), messages=messages, before=before)


def _asked(work: UnitOfWork, named: Mapping[str, str]) -> dict[str, str]:
    """The orders meant: one that was merged into another is part of that one."""
    orders = work.orders.load(sorted(named))
    return {(one.merged_into or key): named[key] for key, one in orders.items()}


def _forget_people(context: CommandContext, account: str) -> None:
    """Keys of people without orders go at once; the daemon would do it within the hour."""
    with context.open_work() as work:
        work.erasures.drop_keys(account, KEYS_MAX)
        work.erasures.scrub()
        work.commit()
