"""Listings: which channel listing sells which SKU, as an operator or a discovery says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oms_sync.domain.events import Event
from oms_sync.domain.listing import Listing, want
from oms_sync.domain.values import Sku
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A wanted pairing; `sku` None means not linked."""

    account: str
    channel_listing_id: str
    #: None keeps what is known, for a listing not known the SKU
    channel_sku: str | None
    sku: Sku | None
    buffer: int | None = None
    cap: int | None = None


def link(context: CommandContext, wanted: Sequence[Link]) -> set[Sku]:
    """Pair listings with SKUs in one transaction; answers the SKUs that are new, uncounted."""
    for one in wanted:
        if context.profile(one.account).name == MANUAL:
            raise CommandRefused(f"account {MANUAL} is no channel, it offers no listings")
    with context.open_work() as work:
        fresh = link_all(context, work, wanted)
        work.commit()
    return fresh


def unlink(context: CommandContext, account: str, channel_listing_id: str, *, reason: str) -> None:
    """Take the SKU off a listing: it is pushed no more and shows what it last showed."""
    context.profile(account)
    with context.open_work() as work:
        listing = work.listings.by_channel_ids(account, [channel_listing_id]).get(
            channel_listing_id
        )
        if listing is None or listing.sku is None:
            raise CommandRefused(f"{account} has no linked listing {channel_listing_id}")
        locked = work.listings.lock([listing.listing_id])[listing.listing_id]
        work.listings.save([_unlinked(locked)])
        work.timeline.add([_event(context, "listing.unlinked", listing, reason=reason)])
        work.commit()


def push(context: CommandContext, account: str, channel_listing_ids: Sequence[str]) -> int:
    """Have the listings looked at and pushed anew: an old refusal or hold no longer counts."""
    context.profile(account)
    now = context.clock.now()
    with context.open_work() as work:
        found = work.listings.by_channel_ids(account, channel_listing_ids)
        absent = [name for name in channel_listing_ids if name not in found]
        if absent:
            raise CommandRefused(f"{account} has no listing {', '.join(absent[:10])}")
        locked = work.listings.lock(sorted(one.listing_id for one in found.values()))
        wanted = [one for one in locked.values() if one.sku is not None]
        unlinked = len(locked) - len(wanted)
        if unlinked and not wanted:
            raise CommandRefused(
                "none of these listings is linked; link it: oms-sync listings link"
            )
        work.listings.save([_forced(one, now=now) for one in wanted])
        work.listings.mark_stale(sorted({one.sku for one in wanted if one.sku is not None}))
        work.timeline.add([_event(context, "listing.push_forced", one) for one in wanted])
        work.wake("push_stock", account)
        work.commit()
    return len(wanted)


def link_all(
    context: CommandContext,
    work: UnitOfWork,
    wanted: Sequence[Link],
    *,
    reasons: Mapping[str, str] | None = None,
) -> set[Sku]:
    """Store the pairs; `reasons` says of what was found just now why it is not linked."""
    skus = sorted({one.sku for one in wanted if one.sku is not None})
    fresh = set(skus) - work.stock.known(skus)
    work.stock.ensure(skus)
    saved: list[Listing] = []
    events: list[Event] = []
    for account in sorted({one.account for one in wanted}):
        mine = {one.channel_listing_id: one for one in wanted if one.account == account}
        stored = work.listings.by_channel_ids(account, mine)
        locked = work.listings.lock(sorted(one.listing_id for one in stored.values()))
        for channel_listing_id, one in mine.items():
            before = stored.get(channel_listing_id)
            listing = _linked(context, locked[before.listing_id] if before else None, one)
            saved.append(listing)
            if listing.sku != (before.sku if before else None):
                name = "listing.linked" if listing.sku else "listing.unlinked"
                events.append(_event(context, name, listing))
            elif reasons and channel_listing_id in reasons:
                why = reasons[channel_listing_id]
                events.append(_event(context, "listing.found", listing, reason=why))
        work.wake("normalise", account)
        work.wake("push_stock", account)
    work.listings.save(saved)
    work.listings.mark_stale(skus)
    work.timeline.add(events)
    return fresh


def _linked(context: CommandContext, before: Listing | None, wanted: Link) -> Listing:
    listing = before or Listing(
        listing_id=context.ids.new(),
        account=wanted.account,
        channel_listing_id=wanted.channel_listing_id,
        channel_sku=wanted.sku or "",
    )
    listing = replace(
        listing,
        channel_sku=listing.channel_sku if wanted.channel_sku is None else wanted.channel_sku,
        buffer=wanted.buffer if wanted.buffer is not None else listing.buffer,
        cap=wanted.cap if wanted.cap is not None else listing.cap,
    )
    if wanted.sku is None:
        return _unlinked(listing)
    return replace(listing, sku=wanted.sku)


def _unlinked(listing: Listing) -> Listing:
    return replace(want(listing, None), sku=None, held_reason=None)


def _forced(listing: Listing, *, now: datetime) -> Listing:
    return replace(
        listing,
        look_due_at=now,
        held_reason=None,
        refused_reason=None,
        refused_generation=None,
        retry_at=None,
        stale_count=0,
    )


def _event(context: CommandContext, name: str, listing: Listing, *, reason: str = "") -> Event:
    detail: Mapping[str, str] = {
        "channel_listing_id": listing.channel_listing_id,
        "channel_sku": listing.channel_sku,
        **({"reason": reason} if reason else {}),
    }
    return Event(
        name=name,
        at=context.clock.now(),
        actor=context.actor,
        sku=listing.sku,
        account=listing.account,
        detail=detail,
    )
