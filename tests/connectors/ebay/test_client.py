"""Trading calls by the vendor's SDK: what goes over the wire, and what each answer means."""

import gzip
import logging
import threading

import pytest
from ebaysdk.trading import Connection

from connectors.ebay import wire
from connectors.ebay.render import one_listing, quantities, who_we_are
from connectors.ebay.trading import TradingCall, TradingConnection
from oms_sync.sdk import (
    Bug,
    ChannelDown,
    FixAccount,
    OutcomeUnknown,
    Priority,
    RateLimited,
    Rejected,
    RetryLater,
)

READ = TradingCall(name="GetUser", body=who_we_are())
WRITE = TradingCall(name="ReviseInventoryStatus", body=quantities([("1", "A&B", 3)]), is_write=True)
USER = "<User><UserID>seller</UserID></User>"


@pytest.fixture
def run(make_client):
    def ask(call=READ, **changes):
        return make_client(**changes).run(call, priority=Priority.READ)

    return ask


# --- what is sent --------------------------------------------------------------------------------


def test_the_vendors_connection_is_used_and_pinned(scripted, answers, run):
    assert issubclass(TradingConnection, Connection)
    answers(("GetUser", USER))
    run(prefix="/ebay")
    ((what, headers, body),) = scripted.asked
    assert what == "GetUser"
    assert headers["x-ebay-api-compatibility-level"] == "1423"
    assert headers["x-ebay-api-siteid"] == "0"
    assert headers["x-ebay-api-iaf-token"].startswith("user-token")
    assert headers["user-agent"].startswith("eBaySDK/")
    assert headers["content-type"] == 'text/xml; charset="utf-8"'
    assert body.startswith(b"<?xml version='1.0' encoding='utf-8'?><GetUserRequest xmlns=")
    assert b"RequesterCredentials" not in body


def test_empty_headers_are_left_out_and_the_applications_secret_stays_here(scripted, answers, run):
    answers(("GetUser", USER))
    run(settings={"dev_id": ""})
    headers = scripted.asked[0][1]
    assert "x-ebay-api-dev-name" not in headers
    assert "x-ebay-api-cert-name" not in headers
    assert "canary" not in str(headers)


def test_a_body_is_sent_escaped_and_in_our_order(scripted, answers, make_client):
    answers(("ReviseInventoryStatus", ""))
    make_client().attempt(WRITE, priority=Priority.WRITE)
    assert (
        "<InventoryStatus><SKU>A&amp;B</SKU><ItemID>1</ItemID><Quantity>3</Quantity>"
        in scripted.bodies("ReviseInventoryStatus")[0]
    )


def test_one_call_is_one_gate_pass_under_its_own_name(answers, make_request, make_client):
    answers(("GetUser", USER))
    client = make_client()
    client.run(READ, priority=Priority.BULK)
    assert client._gate.spent["GetUser"] == 1
    assert client._gate.priorities["GetUser"] == {Priority.BULK}


def test_shadow_mode_sends_no_write(scripted, make_client):
    with pytest.raises(Rejected, match="shadow"):
        make_client(may_write=False).attempt(WRITE, priority=Priority.WRITE)
    assert scripted.asked == []


def test_threads_get_their_own_answers(scripted, make_client, say):
    def echo(handler):
        item_id = handler.body.decode().split("<ItemID>")[1].split("<")[0]
        return (200, {}, say.answer("GetItem", f"<Item><ItemID>{item_id}</ItemID></Item>"))

    scripted.answers = [echo]
    client, wrong = make_client(), []

    def ask(number):
        for turn in range(5):
            item_id = f"{number}{turn}"
            call = TradingCall(name="GetItem", body=one_listing(item_id))
            answer = client.run(call, priority=Priority.READ)
            if answer.root.text("Item/ItemID") != item_id:
                wrong.append(item_id)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.proves("A57")
def test_the_sdks_logger_never_says_a_token(answers, run, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("ebaysdk").setLevel(logging.DEBUG)
    answers(("GetUser", USER))
    run()
    assert "user-token" not in caplog.text
    assert "canary" not in caplog.text
    assert logging.getLogger("ebaysdk").level == logging.WARNING


# --- what is answered ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (841, FixAccount),
        (518, RateLimited),
        (10007, ChannelDown),
        (16100, ChannelDown),
        (248, ChannelDown),
        (5, Bug),
        (99999, Bug),
    ],
)
def test_each_error_code_has_its_meaning(code, kind, answers, run, say):
    answers(("GetUser", say.fault(code), {"ack": "Failure"}))
    with pytest.raises(kind, match=str(code)):
        run()


def test_a_quota_used_up_says_how_long_to_keep_still(answers, run, say):
    answers(("GetUser", say.fault(518), {"ack": "Failure"}))
    with pytest.raises(RateLimited) as error:
        run()
    assert error.value.retry_after_seconds == 1800


def test_a_system_error_of_any_code_is_tried_again(answers, run, say):
    answers(("GetUser", say.fault(4711, kind="SystemError"), {"ack": "Failure"}))
    with pytest.raises(ChannelDown):
        run()


@pytest.mark.proves("F07")
def test_a_partial_failure_is_no_success(answers, run, say):
    answers(("GetUser", USER + say.fault(99999), {"ack": "PartialFailure"}))
    with pytest.raises(Bug):
        run()


def test_a_warning_is_a_success(answers, run, say):
    warned = USER + say.fault(21918011, severity="Warning")
    answers(("GetUser", warned, {"ack": "Warning"}))
    assert run().root.text("User/UserID") == "seller"


@pytest.mark.proves("F06", "F07")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html><body>Sorry</body></html>"),
        (200, b"plain text"),
        (200, b"<?xml version='1.0'?><GetUserResponse><Ack>Success</Ack>"),
        (200, b"<GetUserResponse><Timestamp>x</Timestamp></GetUserResponse>"),
        (200, b"<OtherResponse><Ack>Success</Ack></OtherResponse>"),
        (200, b"<!DOCTYPE a><GetUserResponse><Ack>Success</Ack></GetUserResponse>"),
        (500, b""),
        (502, b"<html>bad gateway</html>"),
        (503, b"Service Unavailable"),
        (504, b""),
        (302, b""),
        (307, b""),
    ],
)
def test_what_is_no_answer_of_ebays_is_down_or_for_a_write_unknown(
    status, body, scripted, make_client
):
    headers = {"Location": "http://127.0.0.1:9/"} if status in (302, 307) else {}
    scripted.answers = [(status, headers, body)]
    with pytest.raises(ChannelDown):
        make_client().run(READ, priority=Priority.READ)
    with pytest.raises(RetryLater) as error:
        make_client().attempt(WRITE, priority=Priority.WRITE)
    # A redirect was not followed, so nothing was done; of all others nobody knows.
    assert isinstance(error.value, OutcomeUnknown) == (status not in (302, 307))
    assert len(scripted.asked) == 2


@pytest.mark.proves("F05")
@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("9" * 400, None)],
)
def test_a_429_is_rate_limited_whatever_its_body(header, seconds, scripted, run):
    scripted.answers = [(429, {"Retry-After": header}, b"<html>")]
    with pytest.raises(RateLimited) as error:
        run()
    assert error.value.retry_after_seconds == seconds


def test_an_answer_of_the_api_counts_whatever_its_http_status(answers, scripted, run, say):
    body = say.answer("GetUser", say.fault(10007), ack="Failure")
    scripted.answers = [(500, {}, body)]
    with pytest.raises(ChannelDown, match="10007"):
        run()


@pytest.mark.proves("F42")
def test_a_control_character_hides_nothing(answers, run):
    answers(("GetUser", "<User><UserID>sel\x07ler&#7;</UserID></User>"))
    assert run().root.text("User/UserID") == "seller"


def test_a_packed_answer_is_unpacked(scripted, run, say):
    body = gzip.compress(say.answer("GetUser", USER))
    scripted.answers = [(200, {"Content-Encoding": "gzip"}, body)]
    assert run().root.text("User/UserID") == "seller"


@pytest.mark.proves("F04", "A16", "F43")
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Encoding": "gzip"}, gzip.compress(b"<a/>")[:-4]),
        ({"Content-Encoding": "gzip"}, gzip.compress(b" " * 3_000_000)),
        ({"Content-Encoding": "br"}, b"x"),
        ({}, b" " * 3_000_000),
        ({"Content-Length": "500"}, b"<GetUserResponse>"),
    ],
    ids=["packed, cut off", "packed, too long", "packed oddly", "too long", "cut off"],
)
def test_cut_off_and_oversized_answers_are_lost(headers, body, scripted, run, monkeypatch):
    monkeypatch.setattr(wire, "ANSWER_BYTES_MAX", 1_000_000)
    scripted.answers = [(200, headers, body)]
    with pytest.raises(ChannelDown):
        run()
    with pytest.raises(OutcomeUnknown):
        run(WRITE)


@pytest.mark.proves("F10")
def test_an_answer_that_drips_ends_at_the_deadline(scripted, make_request, make_client):
    client = make_client()
    clock = client._clock

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(4):
            clock.advance(10)  # slower than any single read may take, and never silent
            handler.wfile.write(b"<")
            handler.wfile.flush()
        raise BrokenPipeError

    scripted.answers = [drip]
    with pytest.raises(ChannelDown):
        client.run(READ, priority=Priority.READ)


def test_nobody_listening_means_nothing_was_sent(make_client):
    client = make_client(endpoint="http://127.0.0.1:9")
    with pytest.raises(ChannelDown):
        client.attempt(WRITE, priority=Priority.WRITE)


@pytest.mark.proves("F50", "A37")
@pytest.mark.parametrize("endpoint", ["http://api.ebay.com", "ftp://127.0.0.1", "http://10.0.0.1"])
def test_tokens_never_travel_in_the_open(endpoint, make_client):
    with pytest.raises(FixAccount, match="https"):
        make_client(endpoint=endpoint)


def test_the_channels_clock_is_taken_from_its_answers(answers, make_client):
    answers(("GetUser", USER, {"at": "2026-03-01T12:05:00.250Z"}))
    client = make_client()
    answer = client.run(READ, priority=Priority.READ)
    assert answer.at == client.now()
    assert (client.now() - client._clock.now()).total_seconds() == 300.25
