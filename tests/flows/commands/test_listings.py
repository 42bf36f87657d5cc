"""Listings: linked by hand, by file, by discovery; pushed anew."""

from dataclasses import replace

import pytest

from oms_sync.domain.listing import want
from oms_sync.domain.values import parse_sku
from oms_sync.flows.commands import discovery, listings, stock
from oms_sync.flows.commands.context import BadFile, CommandRefused
from oms_sync.flows.commands.listing_files import export_listings, import_listings
from oms_sync.sdk import ChannelListing, ListingPage

TEE, MUG = parse_sku("TEE"), parse_sku("MUG")
HEADER = "account,channel_listing_id,channel_sku,sku,buffer,cap\n"


def pair(listing="L1", sku=TEE, **more):
    return listings.Link(
        account="shop-a", channel_listing_id=listing, channel_sku="tee", sku=sku, **more
    )


def stored(bench, *ids, account="shop-a"):
    with bench.storage.open_work() as work:
        found = work.listings.by_channel_ids(account, ids)
        return [found[one] for one in ids]


def test_a_link_pairs_a_listing_and_makes_an_unknown_sku(bench):
    assert listings.link(bench.context, [pair(buffer=1, cap=9)]) == {TEE}
    (one,) = stored(bench, "L1")
    assert (one.sku, one.channel_sku, one.buffer, one.cap) == (TEE, "tee", 1, 9)
    assert {("normalise", "shop-a"), ("push_stock", "shop-a")} <= set(bench.wakes)
    assert listings.link(bench.context, [pair()]) == set()
    (again,) = stored(bench, "L1")
    assert again.listing_id == one.listing_id
    assert (again.buffer, again.cap) == (1, 9), "what is not said stays"


def test_an_unlinked_listing_wants_no_quantity(bench):
    listings.link(bench.context, [pair()])
    with bench.storage.open_work() as work:
        (one,) = work.listings.lock([stored_id(work)]).values()
        work.listings.save([want(one, 5)])
        work.commit()
    listings.unlink(bench.context, "shop-a", "L1", reason="gone")
    (one,) = stored(bench, "L1")
    assert (one.sku, one.desired) == (None, None)
    with pytest.raises(CommandRefused, match="no linked listing L1"):
        listings.unlink(bench.context, "shop-a", "L1", reason="gone")


def stored_id(work):
    return work.listings.by_channel_ids("shop-a", ["L1"])["L1"].listing_id


def test_a_listing_of_an_unknown_account_is_refused(bench):
    with pytest.raises(CommandRefused, match="there is no account 'nobody'"):
        listings.link(bench.context, [replace(pair(), account="nobody")])
    with pytest.raises(CommandRefused, match="no channel"):
        listings.link(bench.context, [replace(pair(), account="manual")])


def test_a_forced_push_forgets_refusals_and_looks_again(bench):
    listings.link(bench.context, [pair()])
    (one,) = stored(bench, "L1")
    refused = replace(want(one, 5), refused_reason="no", refused_generation=1, held_reason="x")
    with bench.storage.open_work() as work:
        work.listings.lock([one.listing_id])
        work.listings.save([refused])
        work.commit()
    assert listings.push(bench.context, "shop-a", ["L1"]) == 1
    (after,) = stored(bench, "L1")
    assert (after.refused_reason, after.held_reason) == (None, None)
    assert after.look_due_at == bench.clock.now()
    with pytest.raises(CommandRefused, match="no listing L9"):
        listings.push(bench.context, "shop-a", ["L1", "L9"])


class Shop:
    """A session that offers pages of listings."""

    def __init__(self, *pages):
        self.pages = pages

    def read_listings(self, cursor):
        number = int(cursor or 0)
        is_last = number + 1 >= len(self.pages)
        return ListingPage(listings=self.pages[number], cursor=None if is_last else str(number + 1))


def offer(listing, sku, **more):
    return ChannelListing(channel_listing_id=listing, channel_sku=sku, **more)


def test_discovery_reads_every_page_an_empty_one_included():
    seen = []
    shop = Shop((offer("L1", "A"),), (), (offer("L2", "B"),))
    assert len(discovery.read_all(shop, on_page=seen.append)) == 2
    assert seen == [1, 1, 2]


def test_discovery_stops_at_a_page_that_repeats():
    class Loop:
        def read_listings(self, cursor):
            return ListingPage(listings=(), cursor="same")

    with pytest.raises(CommandRefused, match="repeats"):
        discovery.read_all(Loop(), on_page=lambda _: None)


def test_discovery_links_exact_matches_and_suggests_the_rest(bench):
    for sku in ("TEE", "MUG", "Big Box 9"):
        stock.set_count(bench.context, parse_sku(sku), location="main", units=1, reason="count")
    listings.link(bench.context, [pair("L0", MUG)])
    found = discovery.discover(
        bench.context,
        "shop-a",
        [
            offer("L0", "whatever"),
            offer("L1", "TEE"),
            offer("L2", "tee"),
            offer("L3", "MUG"),
            offer("L4", "MUG"),
            offer("L5", ""),
            offer("L6", "TEE-X", is_stocked=False),
            offer("L7", "big-box-9", warning="sells on when sold out"),
            offer("L8", "zzz"),
        ],
    )
    assert (found.found, found.kept) == (9, 1)
    assert [(one.channel_listing_id, one.sku) for one in found.linked] == [("L1", TEE)]
    rest = {one.listing.channel_listing_id: one for one in found.unmatched}
    assert rest["L2"].suggestions == (TEE,)
    assert "2 listings carry this SKU" in rest["L3"].reason
    assert "no SKU" in rest["L5"].reason
    assert "does not count" in rest["L6"].reason
    assert rest["L7"].suggestions == (parse_sku("Big Box 9"),)
    assert rest["L8"].suggestions == ()
    assert [one.channel_listing_id for one in found.warnings] == ["L7"]
    assert stored(bench, "L0")[0].sku == MUG, "what a person linked stays"
    assert stored(bench, "L2")[0].sku is None


def test_discovery_can_make_the_skus_it_finds(bench):
    found = discovery.discover(bench.context, "shop-a", [offer("L1", "NEW")], creates_skus=True)
    assert [one.sku for one in found.linked] == ["NEW"]


def test_listings_are_imported_and_exported_the_same(bench):
    content = (HEADER + "shop-a,L1,=tee,=TEE,1,\nshop-b,L1,x,,,5\n").encode()
    done = import_listings(bench.context, content, file="l.csv")
    assert (done.links, done.new_skus) == (2, ("=TEE",))
    (one,) = stored(bench, "L1", account="shop-b")
    assert (one.sku, one.cap) == (None, 5)
    reports = [
        {"account": "shop-a", "channel_listing_id": "L1", "channel_sku": "=tee", "sku": "=TEE",
         "buffer": 1, "cap": None, "state": "uncounted"},
    ]  # fmt: skip
    text = "".join(export_listings(reports))
    assert '"\'=TEE"' in text
    assert import_listings(bench.context, text.encode(), file="l.csv").new_skus == ()


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("nobody,L1,t,T,,", "l.csv:3: there is no channel account 'nobody'"),
        ("manual,L1,t,T,,", "l.csv:3: there is no channel account 'manual'"),
        ("shop-a,L0,t,T,,", "l.csv:3: listing L0 of shop-a stands in the file twice"),
        ("shop-a,,t,T,,", "l.csv:3: channel_listing_id is empty"),
        ("shop-a,L1,t,T,-1,", "l.csv:3: buffer must be a whole number"),
    ],
)
def test_a_bad_row_is_named_and_nothing_changes(bench, nothing_changed, row, complaint):
    content = (HEADER + "shop-a,L0,t,T,,\n" + row + "\n").encode()
    assert nothing_changed()
    with pytest.raises(BadFile) as refusal:
        import_listings(bench.context, content, file="l.csv")
    assert complaint in str(refusal.value)
    assert nothing_changed()
    assert import_listings(bench.context, content, file="l.csv", skip_bad=True).links == 1
