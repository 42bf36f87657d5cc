"""Channel's listings → ours: finds new and relisted ones, and links those beyond doubt.

Once a day, and soon after an order or a refusal named a listing that is not known. What was ever
stored here stays as people left it. A list broken off is begun anew, since one SKU is unambiguous
only in the whole of it.
"""

from datetime import datetime
from typing import Final

import structlog

from oms_sync.flows import asked_discovery
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.commands.discovery import Discovered, discover_new, read_all
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.sdk import (
    Capability,
    ChannelDown,
    FixData,
    ListingPage,
    PermissionMissing,
    RateLimited,
    RetryLater,
)

log = structlog.get_logger(__name__)

#: of one list: how often a page is asked for again, and how long is waited for the call budget
TRIES_MAX: Final = 3
WAIT_SECONDS: Final = 1.0
WAIT_SECONDS_MAX: Final = 60.0
WAITED_SECONDS_MAX: Final = 600.0
WAITS_MAX: Final = 100
#: so many new, unlinked listings are named in one log line
NAMED_MAX: Final = 10


class _Stopped(Exception):
    """The hub drains; the list is begun anew after the next start."""


def run(context: FlowContext) -> FlowReport:
    """Look through everything the account offers when that is due."""
    if Capability.DISCOVER_LISTINGS not in context.manifest.capabilities:
        return FlowReport()
    account, now = context.account.name, context.clock.now()
    with context.open_work() as work:
        record, known = work.accounts.get(account), work.upkeep.discovery(account)
        due_at = asked_discovery.due_at(record, known)
        if due_at is None or due_at > now:
            return FlowReport(next_at=due_at)
        work.upkeep.begin_discovery(account, at=now)
        work.commit()
    found = _find(context, now)
    with context.open_work() as work:
        if found is not None:
            work.upkeep.end_discovery(account, begun_at=now)
            work.commit()
        known = work.upkeep.discovery(account)
    if found is not None:
        _tell(context, found)
    linked = len(found.linked) if found is not None else 0
    return FlowReport(done=linked, next_at=asked_discovery.due_at(record, known))


def _find(context: FlowContext, now: datetime) -> Discovered | None:
    """What is new; None where the hub drains. What the channel withholds is told, and is no end."""
    account = context.account.name
    patient = _Patient(context)
    try:
        offered = read_all(patient, on_page=patient.on_page)
        return discover_new(_acting(context), account, offered)
    except _Stopped:
        return None
    except (PermissionMissing, FixData, CommandRefused) as error:
        # Orders come in and known listings are pushed without it: only this stands still.
        log.warning("listings.not_discovered", account=account, reason=str(error))
        return Discovered(found=0, linked=(), kept=0, unmatched=())
    except ChannelDown as error:
        # Whoever runs us would begin the list anew at once; it is as long as the shop is large.
        raise RetryLater(f"the listings broke off: {error}") from error


class _Patient:
    """The session's list of listings: what fails is asked for again, the call budget waited for."""

    def __init__(self, context: FlowContext) -> None:
        self._context = context
        self._waited = 0.0

    def read_listings(self, cursor: str | None) -> ListingPage:
        for _ in range(TRIES_MAX - 1):
            try:
                return self._read(cursor)
            except ChannelDown:
                self._wait(WAIT_SECONDS)
        return self._read(cursor)

    def on_page(self, count: int) -> None:
        """A page is there: the moment to end, where the hub drains."""
        if self._context.is_stopping():
            raise _Stopped

    def _read(self, cursor: str | None) -> ListingPage:
        for _ in range(WAITS_MAX):
            try:
                page: ListingPage = self._context.session.read_listings(cursor)
            except RateLimited as error:
                asked = error.retry_after_seconds or WAIT_SECONDS
                if asked > WAIT_SECONDS_MAX or self._waited + asked > WAITED_SECONDS_MAX:
                    raise
                self._wait(asked)
            else:
                return page
        raise RateLimited("the budget for a page of listings does not come")

    def _wait(self, seconds: float) -> None:
        self._waited += max(seconds, WAIT_SECONDS)
        self._context.clock.sleep(seconds)
        self.on_page(0)


def _acting(context: FlowContext) -> CommandContext:
    return CommandContext(
        open_work=context.open_work,
        clock=context.clock,
        ids=context.ids,
        actor="hub",
        profiles=context.profiles,
        locations=frozenset(),
    )


def _tell(context: FlowContext, found: Discovered) -> None:
    account = context.account.name
    # What the channel counts no stock of is stored, and nobody has to do anything about it.
    waiting = [one.listing for one in found.unmatched if one.listing.is_stocked]
    for outcome, count in (("linked", len(found.linked)), ("unlinked", len(waiting))):
        if count:
            context.metrics.count("listings_discovered", count, account=account, outcome=outcome)
    if found.linked:
        log.info("listings.discovered", account=account, listings=len(found.linked))
    if waiting:
        named = [one.channel_listing_id for one in waiting[:NAMED_MAX]]
        log.warning(
            "listings.not_linked",
            account=account,
            listings=len(waiting),
            channel_listing_id=named,
            remedy=f"oms-sync listings discover {account}, then listings link",
        )
