"""Accounts under an operator's hand: pause, resume, and what going live would change."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from oms_sync.domain.events import Event
from oms_sync.flows import identity
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import AccountRecord
from oms_sync.sdk import AccountCheck

FLOWS = (
    "tend",
    "listen",
    "ingest",
    "normalise",
    "reserve",
    "push_stock",
    "push_tracking",
    "write_back",
    "reconcile",
    "certify",
    "discover",
    "watch",
)


def pause(context: CommandContext, account: str, *, reason: str) -> None:
    """Stop every flow of the account, across restarts, until it is resumed."""
    with context.open_work() as work:
        record = _record(context, work, account)
        if record.is_paused:
            raise CommandRefused(f"account {account} is paused already")
        work.accounts.put(replace(record, is_paused=True, reason=reason))
        work.timeline.add([_event(context, "account.paused", account, reason=reason)])
        for flow in FLOWS:
            work.wake(flow, account)
        work.commit()


def resume(context: CommandContext, account: str) -> None:
    """Let the account run again, after a pause or with new credentials."""
    with context.open_work() as work:
        record = _record(context, work, account)
        if not record.is_paused and record.health == "ok":
            raise CommandRefused(f"account {account} is running, there is nothing to resume")
        work.accounts.put(replace(record, is_paused=False, health="ok", reason=""))
        work.timeline.add([_event(context, "account.resumed", account, reason="")])
        for flow in FLOWS:
            work.wake(flow, account)
        work.commit()


def adopt(context: CommandContext, account: str, check: AccountCheck) -> None:
    """Make the account the shop its credentials open, whatever it was before, and let it run."""
    with context.open_work() as work:
        record = _record(context, work, account)
        known = work.upkeep.identity(account)
        if known is not None and known.channel_account_id == check.channel_account_id:
            raise CommandRefused(f"account {account} is {check.channel_account} already")
        identity.keep(work, account, check, at=context.clock.now(), actor=context.actor)
        work.accounts.put(replace(record, health="ok", reason=""))
        for flow in FLOWS:
            work.wake(flow, account)
        work.commit()


def preview(listings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per listing what going live would change; from the listing report, largest decrease first."""
    changes = []
    for one in listings:
        shown, wanted = one.get("expected"), one.get("channel_quantity")
        if one.get("sku") is None:
            action = "unlinked: nothing is pushed"
        elif wanted is None:
            action = "uncounted: nothing is pushed"
        elif shown is None:
            action = "never seen: it is looked at first"
        elif shown == wanted:
            action = "keep"
        else:
            action = f"{shown} → {wanted}"
        changes.append(
            {
                "channel_listing_id": one["channel_listing_id"],
                "channel_sku": one["channel_sku"],
                "sku": one.get("sku"),
                "shows": shown,
                "would_show": wanted,
                "change": wanted - shown if wanted is not None and shown is not None else None,
                "action": action,
            }
        )
    return sorted(changes, key=lambda one: (one["change"] is None, one["change"] or 0))


def agreement(changes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How far the quantities the hub would push agree with what the channel shows."""
    compared = [one["change"] for one in changes if one["change"] is not None]
    agreeing = sum(1 for change in compared if change == 0)
    return {
        "compared": len(compared),
        "agreeing": agreeing,
        "would_change": len(compared) - agreeing,
        "units_off": sum(abs(change) for change in compared),
        "percent": round(100 * agreeing / len(compared), 1) if compared else None,
    }


def _record(context: CommandContext, work: UnitOfWork, account: str) -> AccountRecord:
    profile = context.profile(account)
    return work.accounts.get(account) or AccountRecord(name=account, connector=profile.connector)


def _event(context: CommandContext, name: str, account: str, *, reason: str) -> Event:
    return Event(
        name=name,
        at=context.clock.now(),
        actor=context.actor,
        account=account,
        detail={"reason": reason} if reason else {},
    )
