"""An owner lets the hub in: sent to the channel's page, and the answer turned into tokens.

What was asked is kept, so that the answer may come with another command, and is good once.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from oms_sync.domain.events import Event
from oms_sync.flows.commands.accounts import FLOWS
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.upkeep import AskedConsent
from oms_sync.sdk import Consent

#: so long an answer is waited for
ANSWER_MAX: Final = timedelta(hours=1)


def ask(context: CommandContext, account: str, *, consent: Consent) -> str:
    """The page to open; its state is kept, an earlier one is forgotten."""
    asked = AskedConsent(account=account, state=context.ids.uuid(), asked_at=context.clock.now())
    url = consent.consent_url(asked.state)
    with context.open_work() as work:
        work.upkeep.put_consent(asked)
        work.commit()
    return url


def answer(context: CommandContext, account: str, text: str, *, consent: Consent) -> None:
    """Turn the answer into tokens, and let the account run; raises AuthFailed when refused."""
    with context.open_work() as work:
        asked = work.upkeep.consent(account)
    again = f"begin anew: oms-sync accounts authorize {account}"
    if asked is None:
        raise CommandRefused(f"account {account} awaits no answer; {again}")
    if context.clock.now() - asked.asked_at > ANSWER_MAX:
        raise CommandRefused(f"the answer came more than an hour after the question; {again}")
    consent.redeem(text.strip(), asked.state)
    with context.open_work() as work:
        work.upkeep.end_consent(account)
        _let_run(context, work, account)
        work.commit()


def _let_run(context: CommandContext, work: UnitOfWork, account: str) -> None:
    """New credentials end `needs_reauth`; a pause stays."""
    record = work.accounts.get(account)
    if record is not None and record.health != "ok":
        work.accounts.put(replace(record, health="ok", reason=""))
    event = Event(
        name="account.authorised", at=context.clock.now(), actor=context.actor, account=account
    )
    work.timeline.add([event])
    for flow in FLOWS:
        work.wake(flow, account)
