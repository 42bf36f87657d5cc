"""Many quantities at once: sent as one feed, waited for, its report taken apart by message."""

import gzip
import json

import httpx
import pytest

from connectors.amazon.stock import PATCH_SECONDS
from oms_sync.sdk import (
    ChannelDown,
    OutcomeUnknown,
    PushOutcome,
    RateLimited,
    RetryLater,
    StockBatch,
    StockPush,
)
from oms_sync.sdk.testing import FakeClock, MemoryTokens

A, R, U = PushOutcome.ACCEPTED, PushOutcome.REJECTED, PushOutcome.UNKNOWN


def _batch(**quantities):
    return StockBatch(
        key="batch-1",
        entries=tuple(
            StockPush(channel_listing_id=sku, channel_sku=sku, quantity=quantity, expected=None)
            for sku, quantity in quantities.items()
        ),
    )


BATCH = _batch(A=1, B=2, C=3)


def _outcomes(results):
    return {one.channel_listing_id: one.outcome for one in results}


def _feed(status, **more):
    return {
        "feedId": "f1",
        "feedType": "JSON_LISTINGS_FEED",
        "createdTime": "2026-03-01T12:00:00Z",
        "processingStatus": status,
        **more,
    }


def _report(processed=3, accepted=3, issues=()):
    invalid = processed - accepted
    summary = {"errors": len(issues), "warnings": 0, "messagesProcessed": processed}
    summary |= {"messagesAccepted": accepted, "messagesInvalid": invalid}
    header = {"sellerId": "A1EXAMPLESELLER", "version": "2.0", "feedId": "f1"}
    return {"header": header, "issues": list(issues), "summary": summary}


def _issue(number, severity="ERROR", text="no"):
    issue = {"severity": severity, "message": text, "code": "90220", "sku": "x"}
    return issue | ({} if number is None else {"messageId": number})


DONE = _feed("DONE", resultFeedDocumentId="r1")


@pytest.fixture
def prepared(amazon, documents):
    """Everything a feed needs, ending well."""
    shown = [
        {
            "sku": sku,
            "summaries": [],
            "fulfillmentAvailability": [{"fulfillmentChannelCode": "DEFAULT", "quantity": 9}],
        }
        for sku in "ABC"
    ]
    amazon.on("searchListingsItems", {"numberOfResults": 3, "items": shown})
    amazon.on("getFeeds", {"feeds": []})
    amazon.on("createFeedDocument", {"feedDocumentId": "d1", "url": f"{documents}/up?sig=1"})
    amazon.on("upload", 200)
    amazon.on("createFeed", {"feedId": "f1"})
    amazon.on("getFeed", _feed("IN_QUEUE"), _feed("IN_PROGRESS"), DONE)
    amazon.on("getFeedDocument", {"feedDocumentId": "r1", "url": f"{documents}/down"})
    amazon.on("download", _report())
    return amazon


@pytest.fixture
def session(prepared, open_session):
    return open_session(bulk_threshold=2)


def test_a_feed_goes_through_all_its_stations(prepared, session):
    assert _outcomes(session.push_stock(BATCH)) == {"A": A, "B": A, "C": A}
    asked = [one.operation for one in prepared.asked if one.operation != "token"]
    assert asked == [
        "getFeeds",
        "searchListingsItems",
        "createFeedDocument",
        "upload",
        "createFeed",
        "getFeed",
        "getFeed",
        "getFeed",
        "getFeedDocument",
        "download",
    ]
    upload = prepared.of("upload")[0]
    assert upload.headers["content-type"] == "application/json; charset=UTF-8"
    assert "x-amz-access-token" not in upload.headers, "the storage is not given our token"
    assert [one["sku"] for one in upload.json["messages"]] == ["A", "B", "C"]
    created = prepared.of("createFeed")[0].json
    assert created["feedType"] == "JSON_LISTINGS_FEED"
    assert created["inputFeedDocumentId"] == "d1"
    assert created["marketplaceIds"] == ["ATVPDKIKX0DER"]


def test_up_to_the_threshold_quantities_go_one_by_one(prepared, open_session):
    prepared.on("patchListingsItem", {"sku": "x", "status": "ACCEPTED", "submissionId": "s"})
    open_session(bulk_threshold=3).push_stock(BATCH)
    assert prepared.counts["patchListingsItem"] == 3
    assert prepared.counts["createFeed"] == 0


@pytest.mark.proves("F08", "I-23", "B-18")
@pytest.mark.parametrize(
    ("report", "outcomes"),
    [
        # refused by message id, whatever the order of the issues
        (_report(accepted=2, issues=[_issue(2)]), {"A": A, "B": R, "C": A}),
        (_report(accepted=1, issues=[_issue(3), _issue(1), _issue(3)]), {"A": R, "B": A, "C": R}),
        (_report(accepted=0, issues=[_issue(n) for n in (1, 2, 3)]), {"A": R, "B": R, "C": R}),
        (_report(issues=[_issue(2, "WARNING")]), {"A": A, "B": A, "C": A}),
        # what the report does not account for, nobody knows
        (_report(accepted=2), {"A": U, "B": U, "C": U}),
        (_report(processed=2, accepted=2), {"A": U, "B": U, "C": U}),
        (_report(processed=2, accepted=1, issues=[_issue(1)]), {"A": R, "B": U, "C": U}),
        (_report(issues=[_issue(None)]), {"A": U, "B": U, "C": U}),
    ],
)
def test_the_report_is_taken_apart_by_message(report, outcomes, prepared, session):
    prepared.on("download", report)
    assert _outcomes(session.push_stock(BATCH)) == outcomes


def test_a_refusal_tells_its_text(prepared, session):
    prepared.on("download", _report(accepted=2, issues=[_issue(2, text="'size' is required")]))
    reasons = {one.channel_listing_id: one.reason for one in session.push_stock(BATCH)}
    assert reasons["B"] == "90220: 'size' is required"


def test_a_packed_report_is_unpacked(prepared, session, documents):
    packed = {"feedDocumentId": "r1", "url": f"{documents}/down", "compressionAlgorithm": "GZIP"}
    prepared.on("getFeedDocument", packed)
    body = gzip.compress(json.dumps(_report(accepted=2, issues=[_issue(1)])).encode())
    prepared.on("download", httpx.Response(200, content=body))
    assert _outcomes(session.push_stock(BATCH)) == {"A": R, "B": A, "C": A}


@pytest.mark.proves("F02", "F06", "I-22")
@pytest.mark.parametrize(
    ("operation", "answer", "error"),
    [
        # before the feed exists nothing is applied
        ("createFeedDocument", 500, ChannelDown),
        ("createFeedDocument", {}, ChannelDown),
        ("upload", httpx.Response(403, content=b"<Error/>"), ChannelDown),
        ("upload", httpx.ReadTimeout("late"), ChannelDown),
        ("createFeed", 429, RetryLater),
        ("getFeed", _feed("CANCELLED"), ChannelDown),
        # afterwards only Amazon knows
        ("createFeed", 500, OutcomeUnknown),
        ("createFeed", httpx.ReadTimeout("late"), OutcomeUnknown),
        ("createFeed", {}, OutcomeUnknown),
        ("getFeed", 500, OutcomeUnknown),
        ("getFeed", _feed("FATAL"), OutcomeUnknown),
        ("getFeed", _feed("FATAL", resultFeedDocumentId="r1"), OutcomeUnknown),
        ("getFeed", _feed("DONE"), OutcomeUnknown),
        ("getFeed", _feed("IN_PROGRESS"), OutcomeUnknown),
        ("getFeedDocument", 500, OutcomeUnknown),
        ("download", 403, OutcomeUnknown),
        ("download", httpx.Response(200, content=b"<Error/>"), OutcomeUnknown),
        ("download", {"summary": {}}, OutcomeUnknown),
    ],
)
def test_a_feed_whose_end_was_not_seen_is_unknown(operation, answer, error, prepared, session):
    prepared.on(operation, answer)
    with pytest.raises(error) as raised:
        session.push_stock(BATCH)
    if error is not OutcomeUnknown:
        assert not isinstance(raised.value, OutcomeUnknown)


def test_waiting_for_a_feed_is_bounded(prepared, open_session):
    clock = FakeClock()
    session = open_session(bulk_threshold=2, clock=clock)
    prepared.on("getFeed", _feed("IN_PROGRESS"))
    began = clock.monotonic()
    with pytest.raises(OutcomeUnknown, match="not ended within"):
        session.push_stock(BATCH)
    assert clock.monotonic() - began <= 300


# --- never two ways for one SKU ------------------------------------------------------------------


@pytest.mark.proves("F47", "I-21")
def test_after_a_start_an_unfinished_feed_keeps_every_write_back(prepared, open_session):
    prepared.on("getFeeds", {"feeds": [_feed("IN_PROGRESS")]})
    prepared.on("getFeed", _feed("IN_PROGRESS"))
    session = open_session(bulk_threshold=100)
    for _ in range(2):
        with pytest.raises(RetryLater, match="f1"):
            session.push_stock(BATCH)
    asked = prepared.of("getFeeds")
    assert len(asked) == 1, "which feeds there are is asked once"
    assert asked[0].query["feedTypes"] == "JSON_LISTINGS_FEED"
    assert asked[0].query["processingStatuses"] == "IN_QUEUE,IN_PROGRESS"
    prepared.on("getFeed", DONE)
    prepared.on("patchListingsItem", {"sku": "x", "status": "ACCEPTED", "submissionId": "s"})
    assert set(_outcomes(session.push_stock(BATCH)).values()) == {A}


def test_a_feed_not_seen_to_end_keeps_patches_back_until_it_ends(prepared, session):
    prepared.on("getFeed", _feed("IN_PROGRESS"))
    with pytest.raises(OutcomeUnknown):
        session.push_stock(BATCH)
    with pytest.raises(RetryLater, match="f1"):
        session.push_stock(_batch(A=5))
    assert prepared.counts["patchListingsItem"] == 0
    prepared.on("getFeed", DONE)
    prepared.on("patchListingsItem", {"sku": "A", "status": "ACCEPTED", "submissionId": "s"})
    assert _outcomes(session.push_stock(_batch(A=5))) == {"A": A}


def test_a_feed_whose_number_was_lost_is_looked_for(prepared, open_session, clock):
    session = open_session(bulk_threshold=2, clock=clock)
    prepared.on("createFeed", httpx.ReadTimeout("late"))
    with pytest.raises(OutcomeUnknown):
        session.push_stock(BATCH)
    prepared.on("getFeeds", {"feeds": []})
    with pytest.raises(RateLimited, match="not known yet"):
        session.push_stock(_batch(A=5))
    assert prepared.counts["getFeeds"] == 1, "a feed just made may not be listed yet"
    clock.advance(61)
    prepared.on("getFeeds", {"feeds": [_feed("IN_QUEUE")]})
    prepared.on("getFeed", _feed("IN_QUEUE"))
    with pytest.raises(RateLimited, match="f1"):
        session.push_stock(_batch(A=5))


@pytest.mark.proves("F47", "I-21")
def test_what_is_under_way_is_known_beyond_the_session(prepared, open_session):
    tokens = MemoryTokens()
    prepared.on("getFeed", _feed("IN_PROGRESS"))
    with pytest.raises(OutcomeUnknown):
        open_session(bulk_threshold=2, tokens=tokens).push_stock(BATCH)
    with pytest.raises(RetryLater, match="f1"):
        open_session(tokens=tokens).push_stock(_batch(A=5))
    prepared.on("getFeed", DONE)
    prepared.on("patchListingsItem", {"sku": "A", "status": "ACCEPTED", "submissionId": "s"})
    for _ in range(3):
        assert _outcomes(open_session(tokens=tokens).push_stock(_batch(A=5))) == {"A": A}
    assert prepared.counts["getFeeds"] == 1, "the budget of getFeeds is a call in 45 s"


@pytest.mark.proves("I-21", "I-26")
def test_a_feed_that_was_refused_keeps_nothing_back(prepared, session):
    prepared.on("createFeed", 429)
    with pytest.raises(RateLimited):
        session.push_stock(BATCH)
    prepared.on("patchListingsItem", {"sku": "A", "status": "ACCEPTED", "submissionId": "s"})
    assert _outcomes(session.push_stock(_batch(A=5))) == {"A": A}
    assert prepared.counts["getFeeds"] == 1


@pytest.mark.proves("I-21")
def test_nothing_read_while_a_feed_may_be_under_way_is_gone_by(prepared, session):
    """What the feed sets later would never be noticed."""
    prepared.on("getFeed", _feed("IN_PROGRESS"))
    with pytest.raises(OutcomeUnknown):
        session.push_stock(BATCH)
    with pytest.raises(RateLimited, match="f1"):
        session.read_stock(["A"])
    prepared.on("getFeed", DONE)
    assert session.read_stock(["A"]).quantities["A"] == 9


def test_a_feed_amazon_has_forgotten_refuses_no_listing(prepared, open_session):
    tokens = MemoryTokens()
    prepared.on("getFeed", _feed("IN_PROGRESS"))
    with pytest.raises(OutcomeUnknown):
        open_session(bulk_threshold=2, tokens=tokens).push_stock(BATCH)
    gone = {"errors": [{"code": "NotFound", "message": "no"}]}
    prepared.on("getFeed", httpx.Response(404, json=gone))
    prepared.on("patchListingsItem", {"sku": "A", "status": "ACCEPTED", "submissionId": "s"})
    session = open_session(tokens=tokens)
    with pytest.raises(RateLimited):
        session.push_stock(_batch(A=5))
    assert _outcomes(session.push_stock(_batch(A=5))) == {"A": A}, "no such feed is listed either"


@pytest.mark.proves("I-24")
def test_each_marketplace_has_its_own_feed_and_a_few_are_patched_first(prepared, open_session):
    main, other = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"
    shown = {
        "fulfillmentAvailability": [{"fulfillmentChannelCode": "DEFAULT", "quantity": 9}],
    }
    places = {"A": main, "B": other, "C": other, "D": other}
    listings = [
        {"sku": sku, "summaries": [{"marketplaceId": place}], **shown}
        for sku, place in places.items()
    ]
    prepared.on("searchListingsItems", {"numberOfResults": 4, "items": listings})
    prepared.on("patchListingsItem", {"sku": "A", "status": "ACCEPTED", "submissionId": "s"})
    session = open_session(bulk_threshold=2, marketplace_ids=(main, other))
    batch = _batch(B=1, A=1, C=1, D=1)
    assert _outcomes(session.push_stock(batch)) == dict.fromkeys("ABCD", A)
    (created,) = prepared.of("createFeed")
    assert created.json["marketplaceIds"] == [other]
    assert [one["sku"] for one in prepared.of("upload")[0].json["messages"]] == ["B", "C", "D"]
    assert prepared.of("patchListingsItem")[0].query == {"marketplaceIds": main}
    prepared.on("getFeed", _feed("FATAL"))
    assert _outcomes(session.push_stock(batch)) == {"A": A, "B": U, "C": U, "D": U}


def test_shadow_creates_no_feed(prepared, open_session):
    with pytest.raises(Exception, match="shadow"):
        open_session(bulk_threshold=2, may_write=False).push_stock(BATCH)
    assert prepared.asked == []


# --- against the sandbox -------------------------------------------------------------------------


@pytest.mark.proves("F08")
def test_a_feed_of_the_sandbox_tells_each_message_apart(running_seller):
    with running_seller() as seller:
        settings = seller.settings.model_copy(update={"bulk_threshold": 1})
        seller.settings = settings
        session, skus = seller.open(), seller.listing_ids()[:4]
        wanted = {sku: seller.quantity(sku) + 1 for sku in skus}
        results = session.push_stock(_batch(**wanted, **{"NO-SUCH-SKU": 3}))
        told = _outcomes(results)
        assert told.pop("NO-SUCH-SKU") is R
        assert set(told.values()) == {A}
        assert {sku: seller.quantity(sku) for sku in skus} == wanted
        seller.sandbox.faults.set("F08", 1.0)
        told = _outcomes(session.push_stock(_batch(**dict.fromkeys(skus, 70))))
        for sku, outcome in told.items():
            assert outcome is U or (outcome is A) == (seller.quantity(sku) == 70)


# --- a patch on its way --------------------------------------------------------------------------


ACCEPTED = {"sku": "x", "status": "ACCEPTED", "submissionId": "s"}


def _messages(amazon):
    return [
        [one["sku"] for one in json.loads(asked.body)["messages"]] for asked in amazon.of("upload")
    ]


def test_a_sku_patched_moments_ago_is_in_no_feed_but_patched_again(prepared, open_session):
    amazon, clock = prepared, FakeClock()
    amazon.on("patchListingsItem", ACCEPTED)
    session = open_session(bulk_threshold=1, clock=clock)
    session.push_stock(_batch(A=5))
    amazon.on("download", httpx.Response(200, json=_report(2, 2)))
    session.push_stock(_batch(A=1, B=2, C=3))
    assert _messages(amazon) == [["B", "C"]]
    patched = [asked.url.path.rpartition("/")[2] for asked in amazon.of("patchListingsItem")]
    assert patched == ["A", "A"]
    clock.advance(PATCH_SECONDS)
    amazon.on("download", httpx.Response(200, json=_report()))
    session.push_stock(_batch(A=4, B=5, C=6))
    assert _messages(amazon)[1:] == [["A", "B", "C"]]


def test_a_few_besides_those_patched_make_no_feed(prepared, open_session):
    prepared.on("patchListingsItem", ACCEPTED)
    session = open_session(bulk_threshold=2)
    session.push_stock(_batch(A=5))
    session.push_stock(_batch(A=1, B=2, C=3))
    assert prepared.counts["createFeed"] == 0
    assert prepared.counts["patchListingsItem"] == 4
