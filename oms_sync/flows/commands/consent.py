"""An owner lets the hub in: sent to the channel's page, and the answer turned into tokens.

What was asked is kept, so that the answer may come with another command, and is good once. Nobody
may use the tokens before they were seen to open the account's own shop.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from oms_sync.domain.events import Event
from oms_sync.flows import identity
from oms_sync.flows.commands.accounts import FLOWS
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.upkeep import AskedConsent
from oms_sync.sdk import AccountCheck, Consent

#: so long an answer is waited for
ANSWER_MAX: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An owner's consent whose tokens are tried before anybody else may use them."""

    #: its tokens go nowhere but into this trial
    consent: Consent
    #: what the channel says of the new tokens; None where the connector cannot tell
    check: Callable[[], AccountCheck | None]
    #: lets the account have the new tokens
    keep: Callable[[], None]
    #: True: whatever shop they open is the account's from now on
    is_adopting: bool = False


def ask(context: CommandContext, account: str, *, consent: Consent) -> str:
    """The page to open; its state is kept, an earlier one is forgotten."""
    asked = AskedConsent(account=account, state=context.ids.uuid(), asked_at=context.clock.now())
    url = consent.consent_url(asked.state)
    with context.open_work() as work:
        work.upkeep.put_consent(asked)
        work.commit()
    return url


def answer(context: CommandContext, account: str, text: str, *, trial: Trial) -> None:
    """Turn the answer into tokens, and let the account run; raises AuthFailed when refused.

    Tokens of another shop than the account's are thrown away: it goes on with those it had.
    """
    with context.open_work() as work:
        asked = work.upkeep.consent(account)
    again = f"begin anew: oms-sync accounts authorize {account}"
    if asked is None:
        raise CommandRefused(f"account {account} awaits no answer; {again}")
    if context.clock.now() - asked.asked_at > ANSWER_MAX:
        raise CommandRefused(f"the answer came more than an hour after the question; {again}")
    trial.consent.redeem(text.strip(), asked.state)
    check = trial.check()
    if check is not None and not trial.is_adopting:
        _compare(context, account, check)
    trial.keep()
    with context.open_work() as work:
        work.upkeep.end_consent(account)
        if check is not None:
            identity.keep(work, account, check, at=context.clock.now(), actor=context.actor)
        _let_run(context, work, account)
        work.commit()


def _compare(context: CommandContext, account: str, check: AccountCheck) -> None:
    with context.open_work() as work:
        known = work.upkeep.identity(account)
        try:
            identity.compare(known, account, check)
        except identity.OtherAccount as error:
            work.upkeep.end_consent(account)
            work.commit()
            raise CommandRefused(
                f"{error} (here: oms-sync accounts authorize {account}, then --answer with "
                "--adopt). Nothing was changed; the answer is used up: begin anew"
            ) from error


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
