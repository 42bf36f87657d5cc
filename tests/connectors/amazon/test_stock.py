"""Quantities: what is read, what is never written, and what an answer to a patch means."""

import httpx
import pytest

from connectors.amazon import stock
from oms_sync.sdk import (
    AuthFailed,
    ChannelDown,
    OutcomeUnknown,
    PushOutcome,
    RateLimited,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.testing import FakeClock

ACCEPTED = {"sku": "x", "status": "ACCEPTED", "submissionId": "s", "issues": []}


def _shown(sku, *availability, markets=("ATVPDKIKX0DER",)):
    return {
        "sku": sku,
        "summaries": [{"marketplaceId": one} for one in markets],
        "fulfillmentAvailability": [
            {"fulfillmentChannelCode": code} | ({} if quantity is None else {"quantity": quantity})
            for code, quantity in availability
        ],
    }


def _found(*listings):
    return {"numberOfResults": len(listings), "items": list(listings)}


def _batch(**quantities):
    return StockBatch(
        key="batch-1",
        entries=tuple(
            StockPush(channel_listing_id=sku, channel_sku=sku, quantity=quantity, expected=None)
            for sku, quantity in quantities.items()
        ),
    )


def _outcomes(results):
    return {one.channel_listing_id: one.outcome for one in results}


@pytest.fixture
def desk(amazon, open_session):
    """A session whose seller has no feed under way."""
    amazon.on("getFeeds", {"feeds": []})
    amazon.on("patchListingsItem", ACCEPTED)
    return open_session()


# --- reading -------------------------------------------------------------------------------------


def test_quantities_are_asked_for_by_sku_joined_by_commas(amazon, desk):
    amazon.on(
        "searchListingsItems", _found(_shown("B", ("DEFAULT", 2)), _shown("A", ("DEFAULT", 7)))
    )
    reading = desk.read_stock(["A", "B", "GONE"])
    assert dict(reading.quantities) == {"A": 7, "B": 2}, "by SKU, not by order"
    asked = amazon.of("searchListingsItems")[0]
    assert asked.query == {
        "marketplaceIds": "ATVPDKIKX0DER",
        "includedData": "summaries,fulfillmentAvailability,issues",
        "identifiersType": "SKU",
        "identifiers": "A,B,GONE",
        "pageSize": "20",
    }


def test_a_sku_with_a_comma_is_asked_for_alone(amazon, desk):
    amazon.on(
        "getListingsItem",
        lambda asked: (
            httpx.Response(404, json={"errors": [{"code": "NOT_FOUND", "message": "no"}]})
            if asked.url.path.endswith("gone")
            else _shown("A,1", ("DEFAULT", 4))
        ),
    )
    assert dict(desk.read_stock(["A,1", "A,gone"]).quantities) == {"A,1": 4}
    assert amazon.counts["searchListingsItems"] == 0


def test_a_sku_is_written_into_the_address_whole(amazon, desk):
    sku = "a,/ b%+é?#"
    amazon.on("getListingsItem", lambda _: _shown(sku, ("DEFAULT", 1)))
    assert dict(desk.read_stock([sku]).quantities) == {sku: 1}
    path = amazon.of("getListingsItem")[0].url.raw_path.decode().partition("?")[0]
    assert path.endswith("/A1EXAMPLESELLER/a%2C%2F%20b%25%2B%C3%A9%3F%23")


@pytest.mark.parametrize(
    ("availability", "quantity"),
    [
        ([("DEFAULT", 0)], 0),
        # an offer never given a quantity has nothing to sell
        ([("DEFAULT", None)], 0),
        ([("AMAZON_NA", None)], None),
        ([("DEFAULT", 5), ("AMAZON_NA", None)], None),
        ([("LOCATION-1", 5)], None),
        ([("DEFAULT", 0), ("LOCATION-1", 5)], None),
        ([], None),
    ],
)
def test_only_the_merchants_own_single_quantity_is_one(availability, quantity, amazon, desk):
    amazon.on("searchListingsItems", _found(_shown("A", *availability)))
    assert desk.read_stock(["A"]).quantities.get("A") == quantity


def test_what_amazon_calls_an_error_of_a_listing_is_told_in_its_words(amazon, desk):
    blocked = _shown("A", ("DEFAULT", 2)) | {
        "issues": [
            _issue("8541", "The SKU is blocked."),
            _issue("99022", "A title could be better.", "WARNING"),
            _issue("18155", "Approval is needed."),
        ]
    }
    warned = _shown("B", ("DEFAULT", 7)) | {"issues": [_issue("1", "Mind this.", "WARNING")]}
    amazon.on("searchListingsItems", _found(blocked, warned, _shown("C", ("DEFAULT", 1))))
    reading = desk.read_stock(["A", "B", "C"])
    assert dict(reading.quantities) == {"A": 2, "B": 7, "C": 1}
    assert dict(reading.problems) == {"A": "8541: The SKU is blocked.; 18155: Approval is needed."}


def test_a_listing_blocked_at_the_sandbox_says_why(seller):
    sku = seller.sku()
    seller.sandbox.offers.issues[sku] = [_issue("8541", "The SKU is blocked.")]
    reading = seller.open().read_stock([sku])
    assert dict(reading.problems) == {sku: "8541: The SKU is blocked."}


def _issue(code, message, severity="ERROR"):
    return {"code": code, "message": message, "severity": severity, "categories": []}


@pytest.mark.parametrize("quantity", [-1, True, "5", 1.5])
@pytest.mark.proves("I-09")
def test_a_quantity_that_is_none_costs_its_own_listing_only(quantity, amazon, desk):
    shown = _shown("A", ("DEFAULT", quantity)), _shown("B", ("DEFAULT", 7))
    amazon.on("searchListingsItems", _found(*shown))
    assert dict(desk.read_stock(["A", "B"]).quantities) == {"B": 7}
    (result,) = desk.push_stock(_batch(A=1))
    assert (result.outcome, "no quantity" in result.reason) == (PushOutcome.REJECTED, True)
    assert amazon.counts["patchListingsItem"] == 0


@pytest.mark.proves("I-09")
def test_a_listing_without_an_offer_costs_no_other(amazon, desk):
    """A parent of variations has summaries and nothing to sell."""
    parent = {"sku": "P", "summaries": [{"marketplaceId": "ATVPDKIKX0DER"}]}
    amazon.on("searchListingsItems", _found(parent, _shown("A", ("DEFAULT", 7))))
    assert dict(desk.read_stock(["P", "A"]).quantities) == {"A": 7}


@pytest.mark.proves("F07")
def test_a_listing_without_the_part_asked_for_is_no_empty_listing(amazon, desk):
    amazon.on("searchListingsItems", _found({"sku": "A"}))
    with pytest.raises(ChannelDown):
        desk.read_stock(["A"])
    amazon.on("searchListingsItems", {"numberOfResults": 0})
    with pytest.raises(ChannelDown):
        desk.read_stock(["A"])


@pytest.mark.parametrize("sku", [".", ".."])
@pytest.mark.proves("I-09")
def test_a_sku_that_would_become_the_collection_is_never_written(sku, amazon, desk):
    shown = _shown(sku, ("DEFAULT", 1)), _shown("A", ("DEFAULT", 7))
    amazon.on("searchListingsItems", _found(*shown))
    assert desk.read_stock([sku, "A"]).quantities["A"] == 7, "it keeps no other from being seen"
    results = desk.push_stock(_batch(**{sku: 2, "A": 2}))
    assert _outcomes(results) == {sku: PushOutcome.REJECTED, "A": PushOutcome.ACCEPTED}
    assert amazon.counts["patchListingsItem"] == 1


def test_more_listings_than_are_remembered_are_written_all_the_same(
    amazon, open_session, clock, monkeypatch
):
    monkeypatch.setattr(stock, "REMEMBERED_MAX", 1)
    amazon.on("getFeeds", {"feeds": []})
    amazon.on("patchListingsItem", ACCEPTED)
    amazon.on("searchListingsItems", _found(*(_shown(sku, ("DEFAULT", 1)) for sku in "AB")))
    results = open_session(clock=clock).push_stock(_batch(A=2, B=2))
    assert set(_outcomes(results).values()) == {PushOutcome.ACCEPTED}


# --- patches -------------------------------------------------------------------------------------


def test_a_patch_that_is_accepted_is_not_yet_applied(amazon, desk):
    amazon.on("searchListingsItems", _found(_shown("A", ("DEFAULT", 7))))
    assert _outcomes(desk.push_stock(_batch(A=5))) == {"A": PushOutcome.ACCEPTED}
    asked = amazon.of("patchListingsItem")[0]
    assert asked.query == {"marketplaceIds": "ATVPDKIKX0DER"}
    assert asked.json["patches"][0]["value"] == [
        {"fulfillment_channel_code": "DEFAULT", "quantity": 5}
    ]
    assert "path" not in asked.json


@pytest.mark.proves("F07", "B-17", "I-23")
@pytest.mark.parametrize("status", ["INVALID", "VALID", "SOMETHING_NEW"])
def test_a_refusal_inside_a_200_is_a_refusal(status, amazon, desk):
    issue = {"code": "90220", "message": "'size' is required", "severity": "ERROR"}
    amazon.on("searchListingsItems", _found(_shown("A", ("DEFAULT", 7))))
    amazon.on("patchListingsItem", {**ACCEPTED, "status": status, "issues": [issue]})
    (result,) = desk.push_stock(_batch(A=5))
    assert result.outcome is PushOutcome.REJECTED
    assert "90220: 'size' is required" in result.reason


@pytest.mark.parametrize(
    ("availability", "reason"),
    [
        ([("AMAZON_NA", None)], "Amazon holds the stock"),
        ([("DEFAULT", 5), ("AMAZON_EU", 1)], "Amazon holds the stock"),
        ([("DEFAULT", 0), ("LOCATION-1", 5)], "per location"),
        ([], "no quantity of the seller's own"),
    ],
)
def test_nothing_is_sent_for_a_sku_that_is_not_the_merchants_own(
    availability, reason, amazon, desk
):
    amazon.on("searchListingsItems", _found(_shown("A", *availability)))
    (result,) = desk.push_stock(_batch(A=5))
    assert result.outcome is PushOutcome.REJECTED
    assert reason in result.reason
    assert amazon.counts["patchListingsItem"] == 0


def test_an_unknown_sku_is_refused_and_its_company_is_not(amazon, desk):
    amazon.on("searchListingsItems", _found(_shown("A", ("DEFAULT", 1))))
    results = desk.push_stock(_batch(GONE=1, A=2))
    assert _outcomes(results) == {"GONE": PushOutcome.REJECTED, "A": PushOutcome.ACCEPTED}


def test_a_recent_look_is_the_gate_and_an_old_one_is_not(amazon, open_session):
    clock = FakeClock()
    amazon.on("getFeeds", {"feeds": []})
    amazon.on("patchListingsItem", ACCEPTED)
    amazon.on("searchListingsItems", _found(_shown("A", ("DEFAULT", 1))))
    session = open_session(clock=clock)
    session.read_stock(["A"])
    session.push_stock(_batch(A=2))
    assert amazon.counts["searchListingsItems"] == 1
    clock.advance(3601)
    amazon.on("searchListingsItems", _found(_shown("A", ("AMAZON_NA", None))))
    assert _outcomes(session.push_stock(_batch(A=3))) == {"A": PushOutcome.REJECTED}


def test_a_sku_is_patched_in_a_marketplace_that_sells_it(amazon, open_session):
    amazon.on("getFeeds", {"feeds": []})
    amazon.on("patchListingsItem", ACCEPTED)
    listing = _shown("A", ("DEFAULT", 1), markets=("A2EUQ1WTGCTBG2",))
    amazon.on("searchListingsItems", _found(listing))
    session = open_session(marketplace_ids=("ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"))
    session.push_stock(_batch(A=2))
    assert amazon.of("patchListingsItem")[0].query == {"marketplaceIds": "A2EUQ1WTGCTBG2"}


@pytest.mark.proves("F02", "F05", "F08", "B-18")
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.ReadTimeout("late"), PushOutcome.UNKNOWN),
        (500, PushOutcome.UNKNOWN),
        (429, PushOutcome.NOT_APPLIED),
        (httpx.ConnectError("refused"), PushOutcome.NOT_APPLIED),
    ],
)
def test_what_was_accepted_before_a_failure_stays_accepted(answer, outcome, amazon, desk):
    amazon.on("searchListingsItems", _found(*(_shown(sku, ("DEFAULT", 1)) for sku in "ABC")))
    amazon.on("patchListingsItem", ACCEPTED, answer)
    assert _outcomes(desk.push_stock(_batch(A=2, B=2, C=2))) == {
        "A": PushOutcome.ACCEPTED,
        "B": outcome,
        "C": PushOutcome.NOT_APPLIED,
    }
    assert amazon.counts["patchListingsItem"] == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [(httpx.ReadTimeout("late"), OutcomeUnknown), (429, RateLimited), (503, OutcomeUnknown)],
)
def test_a_failure_of_the_first_concerns_them_all(answer, error, amazon, desk):
    amazon.on("searchListingsItems", _found(*(_shown(sku, ("DEFAULT", 1)) for sku in "AB")))
    amazon.on("patchListingsItem", answer)
    with pytest.raises(error):
        desk.push_stock(_batch(A=2, B=2))


def test_one_refused_sku_keeps_the_others_going(amazon, desk):
    amazon.on("searchListingsItems", _found(*(_shown(sku, ("DEFAULT", 1)) for sku in "AB")))
    refusal = httpx.Response(400, json={"errors": [{"code": "InvalidInput", "message": "no"}]})
    amazon.on("patchListingsItem", refusal, ACCEPTED)
    assert _outcomes(desk.push_stock(_batch(A=2, B=2))) == {
        "A": PushOutcome.REJECTED,
        "B": PushOutcome.ACCEPTED,
    }


def test_revoked_credentials_stop_a_push_before_it_begins(amazon, desk):
    amazon.on("token", httpx.Response(400, json={"error": "invalid_grant"}))
    with pytest.raises(AuthFailed):
        desk.push_stock(_batch(A=2))


# --- against the sandbox -------------------------------------------------------------------------


@pytest.mark.proves("F09")
def test_accepted_and_not_applied_is_seen_by_the_next_look(seller):
    sku, session = seller.sku(), seller.open()
    before = seller.quantity(sku)
    seller.sandbox.faults.set("F09", 1.0)
    assert _outcomes(session.push_stock(_batch(**{sku: before + 3}))) == {sku: PushOutcome.ACCEPTED}
    seller.heal()
    assert session.read_stock([sku]).quantities[sku] == before


def test_other_members_of_the_attribute_survive_a_push(seller):
    """The sandbox replaces what a patch names: a merge leaves the rest."""
    sku, session = seller.sku(), seller.open()
    session.push_stock(_batch(**{sku: 5}))
    assert session.read_stock([sku]).quantities[sku] == 5
    assert seller.sandbox.truth()["forbidden_writes"] == []
