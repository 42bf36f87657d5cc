"""Listings: which channel listing sells which SKU, found by exact match or said by an operator."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.events import Event
from oms_sync.domain.listing import Listing, want
from oms_sync.domain.values import Sku, parse_sku
from oms_sync.flows import pools
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import UnitOfWork
from oms_sync.sdk import ChannelListing, DiscoverListings

PAGES_MAX = 5_000
LISTINGS_MAX = 500_000
SKUS_PER_PAGE = 5_000
SUGGESTIONS_MAX = 3
#: fuzzy suggestions compare every SKU with every listing: only so many are tried
FUZZY_SKUS_MAX = 5_000
FUZZY_LISTINGS_MAX = 200
_FOLDED = re.compile(r"[\W_]+")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A listing discovery could not link, why not, and what it may be."""

    listing: ChannelListing
    reason: str
    suggestions: tuple[Sku, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What a discovery found and did."""

    found: int
    linked: tuple[Link, ...]
    #: linked before; left as they are
    kept: int
    unmatched: tuple[Unmatched, ...]
    #: listings the operator should know something about
    warnings: tuple[ChannelListing, ...] = ()


def link(context: CommandContext, wanted: Sequence[Link]) -> set[Sku]:
    """Pair listings with SKUs in one transaction; answers the SKUs that are new, uncounted."""
    for one in wanted:
        if context.profile(one.account).name == MANUAL:
            raise CommandRefused(f"account {MANUAL} is no channel, it offers no listings")
    with context.open_work() as work:
        fresh = _link(context, work, wanted)
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


def read_all(session: DiscoverListings, *, on_page: Callable[[int], None]) -> list[ChannelListing]:
    """Everything the account offers, page by page; outside any transaction.

    `on_page` is told after each page how many listings came so far.
    """
    listings: list[ChannelListing] = []
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(PAGES_MAX):
        page = session.read_listings(cursor)
        listings += page.listings
        on_page(len(listings))
        if len(listings) > LISTINGS_MAX:
            raise CommandRefused(f"the channel offers more than {LISTINGS_MAX} listings")
        if page.cursor is None:
            return listings
        if page.cursor in seen:
            raise CommandRefused("the channel repeats a page of listings; try again later")
        seen.add(page.cursor)
        cursor = page.cursor
    raise CommandRefused(f"the channel has more than {PAGES_MAX} pages of listings")


def discover(
    context: CommandContext,
    account: str,
    offered: Sequence[ChannelListing],
    *,
    creates_skus: bool = False,
) -> Discovered:
    """Store what the account offers; link unambiguous exact SKU matches, name the rest.

    With `creates_skus`, a channel SKU nobody knows yet becomes a new, uncounted SKU.
    """
    context.profile(account)
    with context.open_work() as work:
        catalogue = _catalogue(work)
        ids = [one.channel_listing_id for one in offered]
        stored = work.listings.by_channel_ids(account, ids)
        matcher = _Matcher(catalogue, offered, creates_skus=creates_skus)
        links: list[Link] = []
        unmatched: list[Unmatched] = []
        kept = 0
        for one in offered:
            before = stored.get(one.channel_listing_id)
            if before is not None and before.sku is not None:
                kept += 1
                continue
            sku, reason = matcher.match(one)
            links.append(
                Link(
                    account=account,
                    channel_listing_id=one.channel_listing_id,
                    channel_sku=one.channel_sku,
                    sku=sku,
                )
            )
            if sku is None:
                suggestions = matcher.suggest(one)
                unmatched.append(Unmatched(listing=one, reason=reason, suggestions=suggestions))
        _link(context, work, links)
        held = {
            one.channel_listing_id: one.channel_pool
            for one in offered
            if one.channel_pool is not None
        }
        pools.record(work, account, held, at=context.clock.now())
        work.commit()
    linked = tuple(one for one in links if one.sku is not None)
    return Discovered(
        found=len(offered),
        linked=linked,
        kept=kept,
        unmatched=tuple(unmatched),
        warnings=tuple(one for one in offered if one.warning),
    )


class _Matcher:
    """Finds the SKU of a listing: exactly, or a guess for a person to judge."""

    def __init__(
        self, catalogue: Sequence[Sku], offered: Iterable[ChannelListing], *, creates_skus: bool
    ) -> None:
        self._known = set(catalogue)
        self._catalogue = catalogue if len(catalogue) <= FUZZY_SKUS_MAX else ()
        self._creates = creates_skus
        self._fuzzy_left = FUZZY_LISTINGS_MAX
        self._offers: dict[str, int] = {}
        self._folded: dict[str, list[Sku]] = {}
        for one in offered:
            self._offers[one.channel_sku] = self._offers.get(one.channel_sku, 0) + 1
        for sku in catalogue:
            self._folded.setdefault(_fold(sku), []).append(sku)

    def match(self, one: ChannelListing) -> tuple[Sku | None, str]:
        """The SKU, or None and why there is none."""
        if not one.is_stocked:
            return None, "the channel does not count its stock"
        try:
            sku = parse_sku(one.channel_sku)
        except InvalidValue:
            return None, "it has no SKU at the channel"
        if self._offers[one.channel_sku] > 1:
            return None, f"{self._offers[one.channel_sku]} listings carry this SKU"
        if sku in self._known or self._creates:
            return sku, ""
        return None, "nobody here knows this SKU"

    def suggest(self, one: ChannelListing) -> tuple[Sku, ...]:
        """SKUs it may be: the same but for case, blanks and signs; else the most alike."""
        alike = self._folded.get(_fold(one.channel_sku), [])
        if alike or not one.channel_sku or self._fuzzy_left <= 0:
            return tuple(alike[:SUGGESTIONS_MAX])
        self._fuzzy_left -= 1
        close = difflib.get_close_matches(
            one.channel_sku, self._catalogue, SUGGESTIONS_MAX, cutoff=0.75
        )
        return tuple(Sku(sku) for sku in close)


def _link(context: CommandContext, work: UnitOfWork, wanted: Sequence[Link]) -> set[Sku]:
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


def _catalogue(work: UnitOfWork) -> list[Sku]:
    skus: list[Sku] = []
    for _ in range(LISTINGS_MAX // SKUS_PER_PAGE):
        page = work.stock.page_of_skus(after=skus[-1] if skus else None, limit=SKUS_PER_PAGE)
        skus += page
        if len(page) < SKUS_PER_PAGE:
            break
    return skus


def _fold(text: str) -> str:
    return _FOLDED.sub("", text.casefold())
