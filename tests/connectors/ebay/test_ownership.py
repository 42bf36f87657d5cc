"""Listings of the Inventory API: learnt from one refusal each, and not forgotten by a restart."""

import json

import pytest

from connectors.ebay import ownership
from connectors.ebay.ownership import Ownership
from oms_sync.sdk import ChannelDown, PushOutcome, StockBatch, StockPush
from oms_sync.sdk.testing import MemoryTokens

PUSH = "ReviseInventoryStatus"
OFFERS = (200, {}, {"offers": [{"offerId": "o1", "listing": {"listingId": "1"}}]})
DONE = (200, {}, {"responses": [{"statusCode": 200, "sku": "S"}]})


def _push(session, *listing_ids):
    entries = tuple(
        StockPush(channel_listing_id=one, channel_sku="S", quantity=7, expected=None)
        for one in listing_ids
    )
    return [one.outcome for one in session.push_stock(StockBatch(key="b", entries=entries))]


def _calls(scripted):
    return [what.partition("?")[0].rpartition("/")[2] for what, _, _ in scripted.asked]


@pytest.fixture
def tokens():
    return MemoryTokens()


@pytest.fixture
def wall(say):
    return (PUSH, say.fault(21919474, ItemID="1"), {"ack": "Failure"})


def test_a_restart_pays_for_no_second_refusal(answers, make_session, scripted, tokens, wall):
    answers(wall, OFFERS, DONE)
    assert _push(make_session(tokens=tokens), "1") == [PushOutcome.APPLIED]
    learnt_by = _calls(scripted)
    answers(OFFERS, DONE)
    assert _push(make_session(tokens=tokens), "1") == [PushOutcome.APPLIED]
    told = ["offer", "bulk_update_price_quantity"]
    assert (learnt_by, _calls(scripted)) == ([PUSH, *told], [PUSH, *told, *told])


def test_what_was_learnt_is_kept_though_the_push_came_to_nothing(
    answers, make_session, scripted, tokens, wall
):
    answers(wall, (503, {}, b""))
    with pytest.raises(ChannelDown):
        _push(make_session(tokens=tokens), "1")
    answers(OFFERS, DONE)
    assert _push(make_session(tokens=tokens), "1") == [PushOutcome.APPLIED]
    assert _calls(scripted).count(PUSH) == 1


def test_everything_else_in_the_store_stays(tokens):
    tokens.save({"refresh_token": "r"})
    known = Ownership(tokens)
    known.learn(["1", "2"])
    known.keep()
    assert tokens.load() == {"refresh_token": "r", "inventory_listings": json.dumps(["1", "2"])}


def test_nothing_is_written_while_nothing_is_learnt(tokens):
    known = Ownership(tokens)
    known.learn(["1"])
    known.keep()
    tokens.save({})
    known.learn(["1"])
    known.keep()
    assert (tokens.load(), "1" in known, "2" in known) == ({}, True, False)


def test_of_too_many_the_last_learnt_are_kept(tokens, monkeypatch):
    monkeypatch.setattr(ownership, "KNOWN_MAX", 3)
    monkeypatch.setattr(ownership, "KEPT_MAX", 2)
    known = Ownership(tokens)
    known.learn("abcde")
    assert ["a" in known, "b" in known, *(one in known for one in "cde")] == [False] * 2 + [
        True
    ] * 3
    known.keep()
    assert json.loads(tokens.load()["inventory_listings"]) == ["d", "e"]
