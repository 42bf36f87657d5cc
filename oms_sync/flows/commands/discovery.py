"""Discovery: what a channel offers, matched with our SKUs exactly or not at all."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.values import Sku, parse_sku
from oms_sync.flows import pools
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.commands.listings import Link, link_all
from oms_sync.flows.ports import UnitOfWork
from oms_sync.sdk import ChannelListing, DiscoverListings

PAGES_MAX = 5_000
LISTINGS_MAX = 500_000
SKUS_PER_PAGE = 5_000
LINKS_PER_WORK = 500
SUGGESTIONS_MAX = 3
#: fuzzy suggestions compare every SKU with every listing: only so many are tried
FUZZY_SKUS_MAX = 5_000
FUZZY_LISTINGS_MAX = 200
_FOLDED = re.compile(r"[\W_]+")


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
    begun_at: datetime | None = None,
) -> Discovered:
    """Store what the account offers; link unambiguous exact SKU matches, name the rest.

    With `creates_skus`, a channel SKU nobody knows yet becomes a new, uncounted SKU. `begun_at` is
    when the list was begun, just now without it: who asks for one later is not answered by it.
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
            links.append(_link_of(account, one, sku))
            if sku is None:
                suggestions = matcher.suggest(one)
                unmatched.append(Unmatched(listing=one, reason=reason, suggestions=suggestions))
        link_all(context, work, links)
        pools.record(work, account, _held(offered), at=context.clock.now())
        _note_discovery(work, account, begun_at or context.clock.now())
        work.commit()
    linked = tuple(one for one in links if one.sku is not None)
    return Discovered(
        found=len(offered),
        linked=linked,
        kept=kept,
        unmatched=tuple(unmatched),
        warnings=tuple(one for one in offered if one.warning),
    )


def _note_discovery(work: UnitOfWork, account: str, begun_at: datetime) -> None:
    """It was done as if by the hub itself."""
    work.upkeep.begin_discovery(account, at=begun_at)
    work.upkeep.end_discovery(account, begun_at=begun_at)


def discover_new(
    context: CommandContext, account: str, offered: Sequence[ChannelListing]
) -> Discovered:
    """Store listings never stored here before; link unambiguous exact SKU matches among them.

    Of a SKU whose other listing people left unlinked, or linked to another SKU, is linked nothing
    by itself.
    """
    context.profile(account)
    with context.open_work() as work:
        stored = work.listings.by_channel_ids(account, [one.channel_listing_id for one in offered])
        fresh = [one for one in offered if one.channel_listing_id not in stored]
        if not fresh:
            return Discovered(found=len(offered), linked=(), kept=len(stored), unmatched=())
        catalogue = _catalogue(work)
        left = _left_to_people(work, account, fresh)
    # What the channel has refused lately may be listed still, and go by another id already.
    refused = {name for name, one in stored.items() if one.is_refused}
    alive = [one for one in offered if one.channel_listing_id not in refused]
    matcher = _Matcher(catalogue, alive, creates_skus=False)
    linked: list[Link] = []
    unmatched: list[Unmatched] = []
    for one in fresh:
        sku, reason = matcher.match(one)
        if sku is not None and one.channel_sku in left:
            sku, reason = None, left[one.channel_sku]
        if sku is None:
            unmatched.append(Unmatched(listing=one, reason=reason))
        else:
            linked.append(_link_of(account, one, sku))
    links = [*linked, *(_link_of(account, one.listing, None) for one in unmatched)]
    reasons = {one.listing.channel_listing_id: one.reason for one in unmatched}
    held, done = _held(fresh), set[str]()
    for begin in range(0, len(links), LINKS_PER_WORK):
        with context.open_work() as work:
            some = links[begin : begin + LINKS_PER_WORK]
            # What a person has linked in the meantime is his.
            taken = work.listings.by_channel_ids(account, [one.channel_listing_id for one in some])
            mine = [one for one in some if one.channel_listing_id not in taken]
            link_all(context, work, mine, reasons=reasons)
            pools.record(work, account, held, at=context.clock.now())
            work.commit()
        done |= {one.channel_listing_id for one in mine}
    return Discovered(
        found=len(offered),
        linked=tuple(one for one in linked if one.channel_listing_id in done),
        kept=len(offered) - len(done),
        unmatched=tuple(one for one in unmatched if one.listing.channel_listing_id in done),
    )


def _left_to_people(
    work: UnitOfWork, account: str, fresh: Iterable[ChannelListing]
) -> dict[str, str]:
    """Of these listings' SKUs, those that people left a listing of without, or said is another."""
    names = sorted({one.channel_sku for one in fresh if one.channel_sku})
    left = {}
    for name, ones in work.listings.by_channel_skus(account, names).items():
        for one in ones:
            what = f"linked to {one.sku}" if one.sku else "not linked"
            if one.sku != name.strip():
                left[name] = f"listing {one.channel_listing_id} with this SKU is {what}"
    return left


def _link_of(account: str, one: ChannelListing, sku: Sku | None) -> Link:
    return Link(
        account=account,
        channel_listing_id=one.channel_listing_id,
        channel_sku=one.channel_sku,
        sku=sku,
    )


def _held(offered: Iterable[ChannelListing]) -> dict[str, int]:
    """What the channel itself holds, by channel listing id."""
    return {
        one.channel_listing_id: one.channel_pool for one in offered if one.channel_pool is not None
    }


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
            name = one.channel_sku.strip()  # as ours are read
            self._offers[name] = self._offers.get(name, 0) + 1
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
        if (offers := self._offers[sku]) > 1:
            return None, f"{offers} listings carry this SKU"
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
