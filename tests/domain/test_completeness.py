"""Completeness: an order compared with what the channel lists, a day added up, what is signed."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.certificate import (
    Attested,
    Claim,
    LedgerHeads,
    canonical,
    document,
    named_differences,
)
from oms_sync.domain.completeness import (
    FAULTS,
    RECEIVED,
    DifferenceKind,
    Kept,
    ListedOrder,
    Ours,
    Standing,
    differences,
    judge,
    not_listed,
    window_of_day,
    windows_since,
)
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.values import Money

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR_END = datetime(2025, 12, 28, 7, tzinfo=UTC)
LONG_AGO = START + timedelta(days=1)


def shown(*, second: int = 0, seen: int = 0, lines=(("l-1", 2),), **facts):
    """What the channel shows of the order at a second of its own clock."""
    version = Version(START + timedelta(seconds=second), START + timedelta(seconds=second + seen))
    extra = {
        name: facts.pop(name)
        for name in ("quantity_shipped", "quantity_cancelled", "unit_price", "is_marked_shipped")
        if name in facts
    }
    return first_sight(
        "shop-a",
        OrderSight(
            channel_order_id="o-1",
            version=version,
            facts=OrderFacts(
                **{"state": OrderState.OPEN, "line_ids": tuple(one for one, _ in lines), **facts}
            ),
            lines=tuple(
                LineSight(channel_line_id=one, quantity_ordered=units, **extra)
                for one, units in lines
            ),
        ),
    )


def ours(known=None, **more) -> Ours:
    return Ours(order_id="id-1", known=known or shown(), **more)


def kinds(found) -> set[str]:
    return {str(one.kind) for one in found}


def eur(text: str) -> Money:
    return Money.parse(text, "EUR")


@pytest.mark.parametrize(
    ("here", "there", "kind", "words"),
    [
        # the channel closed it by shipping everything, and nobody noticed
        (shown(), shown(seen=1, quantity_shipped=2), "quantity", ("0 shipped", "2 shipped")),
        (shown(), shown(seen=1, cancelled_at=START), "state", ("open", "cancelled")),
        (shown(), shown(seen=1, lines=(("l-1", 3),)), "quantity", ("2 ordered", "3 ordered")),
        (shown(), shown(seen=1, lines=(("l-1", 2), ("l-2", 1))), "lines", ("", "listed")),
        (shown(total=eur("10")), shown(seen=1, total=eur("11")), "amount", ("10.00 EUR",)),
        (shown(unit_price=eur("5")), shown(seen=1, unit_price=eur("4")), "amount", ("5.00 EUR",)),
        (shown(), shown(seen=1, total=eur("1")), "amount", ("unknown", "1.00 EUR")),
    ],
)
def test_what_the_channel_shows_and_the_hub_does_not_know_is_named(here, there, kind, words):
    found = [one for one in differences(ours(here), there) if one.kind == kind]
    assert found
    assert (found[0].ours, found[0].theirs)[: len(words)] == words


def test_a_line_that_left_the_order_is_named():
    here = shown(lines=(("l-1", 2), ("l-2", 1)))
    found = differences(ours(here), shown(second=1, seen=1))
    assert [(one.kind, one.line) for one in found if one.kind == "lines"] == [("lines", "l-2")]


def test_an_older_or_a_silent_list_differs_in_nothing():
    here = shown(second=9, quantity_shipped=2, total=eur("10"))
    assert differences(ours(here), shown(second=3)) == ()
    silent = first_sight(
        "shop-a",
        OrderSight(channel_order_id="o-1", version=Version(LONG_AGO, LONG_AGO)),
    )
    assert differences(ours(here), silent) == ()


def test_a_dispatch_the_channel_confirmed_and_shows_no_more_is_tracking():
    one = ours(shown(quantity_shipped=2), told={"l-1": 2}, shipped_here={"l-1": 2})
    assert differences(one, shown(quantity_shipped=2)) == ()
    lost = differences(one, shown(seen=1, quantity_shipped=0))
    assert [(each.kind, each.ours, each.theirs) for each in lost] == [
        ("tracking", "2 confirmed", "0 shipped")
    ]
    # a channel that only marks whole lines counts no units
    marked = shown(seen=1, quantity_shipped=0, is_marked_shipped=True)
    assert "tracking" not in kinds(differences(one, marked))


FRESH = START + timedelta(seconds=100)
DEAD, DROPPED = Kept(is_dead=True, reason="bad"), Kept(is_dead=False, reason="a test of ours")


@pytest.mark.parametrize(
    ("here", "there", "kept", "standing"),
    [
        (shown(), shown(), None, Standing.IN_HUB),
        (None, shown(), None, Standing.MISSING),
        (None, shown(), DEAD, Standing.QUARANTINED),
        (None, shown(), DROPPED, Standing.IGNORED),
        (None, None, None, Standing.MISSING),
        (shown(), None, None, Standing.DIFFERENT),
        (shown(), None, DEAD, Standing.QUARANTINED),
        (shown(), shown(seen=1, lines=(("l-1", 3),)), None, Standing.DIFFERENT),
        # changed so lately that the news may be on its way
        (shown(), shown(second=100, lines=(("l-1", 3),)), None, Standing.BEHIND),
        (shown(), shown(second=99, lines=(("l-1", 3),)), None, Standing.DIFFERENT),
        # the same version shows something else: no news can explain that
        (shown(second=100), shown(second=100, seen=1, lines=(("l-1", 3),)), None, "different"),
        (shown(), shown(second=50, lines=(("l-1", 3),)), DEAD, Standing.QUARANTINED),
    ],
)
def test_every_listed_order_stands_somewhere(here, there, kept, standing):
    found = judge(
        "o-1", ours=ours(here) if here else None, shown=there, kept=kept, fresh_since=FRESH
    )
    assert found.standing == standing
    assert found.reason == (kept.reason if kept and standing in ("quarantined", "ignored") else "")
    assert bool(found.differences) == (standing is not Standing.IN_HUB)


def test_tracking_alone_is_named_and_keeps_nobody_from_certifying():
    one = ours(shown(quantity_shipped=2), told={"l-1": 2}, shipped_here={"l-1": 2})
    there = shown(seen=1, quantity_shipped=0)
    found = judge("o-1", ours=one, shown=there, kept=None, fresh_since=FRESH)
    assert (found.standing, kinds(found.differences)) == (Standing.IN_HUB, {"tracking"})


def test_an_order_the_list_lacks_is_extra_unless_the_hub_knows_it_is_gone():
    assert not_listed(ours(), is_gone=False).standing is Standing.EXTRA
    assert not_listed(ours(), is_gone=True).standing is Standing.GONE


@given(st.permutations([shown(second=n, seen=n, lines=(("l-1", n + 1),)) for n in range(4)]))
def test_what_is_merged_never_differs_whatever_came_first(sights):
    known = sights[0]
    for one in sights[1:]:
        known = merge(known, one)
    assert all(differences(ours(known), one) == () for one in sights)


# --- days ----------------------------------------------------------------------------------------


def test_a_day_is_utc_and_ends_where_the_next_begins():
    window = window_of_day(date(2026, 3, 29))  # clocks in Europe jump on it
    assert window.until - window.since == timedelta(hours=24)
    assert window.since in window
    assert window.until not in window
    assert window.until in window_of_day(date(2026, 3, 30))
    assert window.until - timedelta(microseconds=1) in window


@given(
    st.timedeltas(timedelta(0), timedelta(days=8)).map(lambda past: YEAR_END + past),
    st.timedeltas(timedelta(0), timedelta(days=9)),
)
def test_windows_cover_every_instant_once_and_only_whole_days_are_days(since, length):
    until = since + length
    windows = windows_since(since, until)
    edges = [one.since for one in windows] + [until]
    assert edges[0] == since
    assert all(a.until == b for a, b in zip(windows, edges[1:], strict=True))
    for one in windows:
        assert one.since < one.until
        is_whole = (
            one.since.time().isoformat() == "00:00:00"
            and one.until - one.since == timedelta(days=1)
        )
        assert (one.day is not None) == is_whole


# --- certificates --------------------------------------------------------------------------------


def listed(number: int, standing: Standing, reason: str = "") -> ListedOrder:
    kind = DifferenceKind.MISSING if standing is Standing.MISSING else DifferenceKind.STATE
    seen = judge(f"o-{number}", ours=None, shown=None, kept=None, fresh_since=FRESH).differences
    return ListedOrder(
        channel_order_id=f"o-{number}",
        standing=standing,
        reason=reason,
        differences=(replace(seen[0], kind=kind),) if standing in FAULTS else (),
    )


def claim(*orders: ListedOrder) -> Claim:
    return Claim(
        account="shop-a",
        connector="fake",
        window=window_of_day(date(2026, 3, 1)),
        list_began_at=LONG_AGO,
        list_ended_at=LONG_AGO,
        attempt=1,
        orders=orders,
    )


def signed(one: Claim) -> dict:
    attested = Attested(
        hashes={each.channel_order_id: f"hash of {each.channel_order_id}" for each in one.orders},
        heads=LedgerHeads(levels=0, digest="d"),
        issued_at=LONG_AGO,
        public_key="k",
        previous="",
    )
    return document(one, attested)


standings = st.lists(st.sampled_from(list(Standing)), max_size=12)


@given(standings)
def test_an_issued_certificate_adds_up_and_a_refused_one_names_what_does_not(chosen):
    one = claim(*(listed(number, each, "why") for number, each in enumerate(chosen)))
    found = signed(one)
    is_issued = found["outcome"] == "issued"
    assert is_issued == (not set(chosen) & set(FAULTS))
    assert found["received"] == sum(each not in ("extra", "gone") for each in chosen)
    if is_issued:
        assert found["received"] == found["in_hub"] + found["quarantined"] + found["ignored"]
    else:
        assert {each["channel_order_id"] for each in found["differences"]} == {
            f"o-{number}" for number, each in enumerate(chosen) if each in FAULTS
        }
    assert sum(len(hashes) for hashes in found["ids"].values()) == len(chosen)
    assert set(RECEIVED) & set(FAULTS) == set()


@given(standings, standings)
def test_two_different_statements_never_have_the_same_bytes(one, other):
    first, second = (
        signed(claim(*(listed(n, each) for n, each in enumerate(chosen))))
        for chosen in (one, other)
    )
    assert (canonical(first) == canonical(second)) == (first == second)
    assert json.loads(canonical(first)) == first


def test_reasons_of_what_is_kept_out_are_counted():
    found = signed(
        claim(
            listed(1, Standing.QUARANTINED, "bad"),
            listed(2, Standing.QUARANTINED, "bad"),
            listed(3, Standing.IGNORED, "ours"),
        )
    )
    assert found["reasons"] == {"ignored: ours": 1, "quarantined: bad": 2}
    assert (found["quarantined"], found["ignored"], found["outcome"]) == (2, 1, "issued")


def test_named_differences_fit_one_line():
    faults = [listed(number, Standing.MISSING) for number in range(5)]
    assert named_differences(faults, 2) == "o-0: missing; o-1: missing and 3 more"
    assert named_differences([], 2) == ""
