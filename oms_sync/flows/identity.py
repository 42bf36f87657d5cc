"""Whose shop an account is: kept when its credentials are first accepted, compared ever after.

Another shop's credentials would show its orders as ours, and ours as gone: nothing runs on them.
"""

from dataclasses import replace
from datetime import datetime

import structlog

from oms_sync.domain.events import Event
from oms_sync.flows.ports import OpenWork, UnitOfWork
from oms_sync.flows.upkeep import Identity
from oms_sync.sdk import AccountCheck, BadPayload, Clock, FixAccount

log = structlog.get_logger(__name__)


class OtherAccount(FixAccount):
    """The credentials open another shop than the account's: enter those of its own."""


def compare(known: Identity | None, account: str, check: AccountCheck) -> None:
    """Raises OtherAccount where the check is of another shop than the known one."""
    if not check.channel_account_id:
        raise BadPayload(f"the connector of {account} does not say whose account it opened")
    if known is None or known.channel_account_id == check.channel_account_id:
        return
    raise OtherAccount(
        f"these credentials open {check.channel_account} ({check.channel_account_id}), but account "
        f"{account} is {known.channel_account} ({known.channel_account_id}): enter those of the "
        f"latter; another shop is another account, and to make {account} that shop for good: "
        f"oms-sync accounts adopt {account}"
    )


def recognise(open_work: OpenWork, account: str, check: AccountCheck, *, clock: Clock) -> None:
    """Keep whose shop the account is, or compare; raises OtherAccount and changes nothing then."""
    with open_work() as work:
        known = work.upkeep.identity(account)
        compare(known, account, check)
        if known is not None and known.channel_account == check.channel_account:
            return
        keep(work, account, check, at=clock.now(), actor="hub")
        work.commit()
    if known is None:
        log.info("account.identified", account=account, channel_account_id=check.channel_account_id)


def keep(work: UnitOfWork, account: str, check: AccountCheck, *, at: datetime, actor: str) -> None:
    """The account is this shop from now on; told where it was none before, or another."""
    known = work.upkeep.identity(account)
    if known is not None and known.channel_account_id == check.channel_account_id:
        work.upkeep.put_identity(replace(known, channel_account=check.channel_account))
        return
    work.upkeep.put_identity(
        Identity(
            account=account,
            channel_account_id=check.channel_account_id,
            channel_account=check.channel_account,
            kept_at=at,
        )
    )
    detail = {
        "channel_account_id": check.channel_account_id,
        **({"before": known.channel_account_id} if known is not None else {}),
    }
    event = Event(name="account.identified", at=at, actor=actor, account=account, detail=detail)
    work.timeline.add([event])
