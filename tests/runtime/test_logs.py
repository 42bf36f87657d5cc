import io
import json
import logging
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.runtime.logs import LogOutput, set_up_logs
from oms_sync.runtime.redaction import VALUE_LENGTH_MAX, Redactor, reason_of
from oms_sync.sdk import BadPayload

AT = datetime(2026, 10, 1, 12, 30, 15, 123_456, tzinfo=UTC)
SECRET = "whsec-Canary/5ecret+value="
TOKEN = "shpat_c0ffee0123456789c0ffee0123456789"
NAME = "Johanna Canary"
EMAIL = "johanna.canary@example.com"
PHONE = "+49 30 5550 1234"
CANARIES = (SECRET, TOKEN, NAME, EMAIL, PHONE, "Canary", "c0ffee", "5550")


class FixedClock:
    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"logging does not sleep {seconds} s")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore_logging():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.register_secret(SECRET)
    return made


@pytest.fixture
def start(redactor):
    """Set logging up and give the stream it writes to."""

    def make(form="json", level="debug", stream=None) -> io.StringIO:
        stream = stream or io.StringIO()
        set_up_logs(level=level, form=form, clock=FixedClock(), redactor=redactor, stream=stream)
        return stream

    return make


def _records(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- form ----------------------------------------------------------------------------------------


def test_a_json_record_is_one_object_with_time_level_event_and_keys(start):
    stream = start()
    structlog.get_logger().info("stock.pushed", sku="TEE RED M", quantity=3, at=AT)
    assert _records(stream) == [
        {
            "timestamp": "2026-10-01T12:30:15.123Z",
            "level": "info",
            "event": "stock.pushed",
            "sku": "TEE RED M",
            "quantity": 3,
            "at": "2026-10-01T12:30:15.123456+00:00",
        }
    ]


def test_a_plain_record_is_one_line_without_colours(start):
    stream = start("console")
    structlog.get_logger().warning("stock.ran_short", sku="TEE RED M", units=2, table={"sku": 1})
    assert stream.getvalue() == (
        "2026-10-01T12:30:15.123Z warning stock.ran_short"
        ' sku="TEE RED M" units=2 table={"sku": 1}\n'
    )


def test_a_terminal_gets_colours(start):
    stream = start("console", stream=Terminal())
    structlog.get_logger().error("flow.failed")
    assert "\x1b[31merror" in stream.getvalue()


def test_bound_context_is_on_every_line(start):
    stream = start()
    with structlog.contextvars.bound_contextvars(account="shop-us"):
        structlog.get_logger().info("orders.read", orders=2)
    assert _records(stream)[0]["account"] == "shop-us"


def test_levels_below_the_chosen_one_are_silent(start):
    stream = start(level="warning")
    structlog.get_logger().info("stock.pushed")
    logging.getLogger("httpx").info("HTTP Request: %s", "GET")
    assert stream.getvalue() == ""
    structlog.get_logger().warning("stock.ran_short")
    logging.getLogger("httpx").warning("odd")
    assert [each["level"] for each in _records(stream)] == ["warning", "warning"]


@pytest.mark.usefixtures("as_imported")
@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 1), ("error", 0)])
def test_every_timer_and_every_call_is_told_to_those_who_debug_alone(start, level, lines):
    stream = start(level=level)
    logging.getLogger("httpx").info("HTTP Request: %s", "GET")
    logging.getLogger("apscheduler.scheduler").info("Running job %s", "wake")
    logging.getLogger("apscheduler.executors.default").warning("Run time of %s was missed", "wake")
    assert len(_records(stream)) == lines


def test_setting_up_twice_writes_once(start):
    stream = [start(), start()][-1]
    logging.getLogger("alembic.runtime").info("once")
    structlog.get_logger().info("hub.ready")
    assert len(_records(stream)) == 2


def test_a_stream_that_is_gone_costs_lines_and_nothing_else(redactor):
    stream = io.StringIO()
    output = set_up_logs(
        level="info", form="json", clock=FixedClock(), redactor=redactor, stream=stream
    )
    stream.close()
    structlog.get_logger().info("hub.ready")
    logging.getLogger("uvicorn").error("also gone")
    assert output.lost == 2
    assert isinstance(output, LogOutput)


# --- one record, one line ------------------------------------------------------------------------


@pytest.mark.proves("A41")
@pytest.mark.parametrize("form", ["json", "console"])
@given(text=st.text(max_size=40) | st.sampled_from(["\r\n", "\x1b[31m", "\u2028x", "\u202etxt"]))
def test_no_text_can_forge_a_second_record(form, text):
    stream = io.StringIO()
    set_up_logs(level="debug", form=form, clock=FixedClock(), redactor=Redactor(), stream=stream)
    structlog.get_logger().info("order.merged", sku=text, reason=f"a\n{text}")
    logging.getLogger("uvicorn.error").info("%s", text)
    lines = stream.getvalue().split("\n")
    assert len(lines) == 3
    assert lines[-1] == ""
    assert all(line.isprintable() for line in lines)


def test_values_are_bounded(start):
    stream = start()
    structlog.get_logger().info(
        "order.merged", reason="x " * 50_000, skus=["a"] * 1_000, table={"sku": {"sku": {}}}
    )
    [record] = _records(stream)
    assert len(record["reason"]) <= VALUE_LENGTH_MAX + 1
    assert len(record["skus"]) == 50


def test_absent_values_are_plain_and_values_nested_without_end_are_cut(start):
    stream, deep = start(), []
    structlog.get_logger().info("order.merged", until=None)
    assert _records(stream)[0].items() >= {"until": None}.items()
    deep.append(deep)
    structlog.get_logger().info("order.merged", skus=deep)
    assert "[withheld]" in stream.getvalue()


# --- secrets and people --------------------------------------------------------------------------


@pytest.mark.proves("A57", "C-21")
def test_a_key_outside_the_list_is_withheld(start):
    stream = start()
    structlog.get_logger().info("order.merged", buyer=NAME, recipient={"a": NAME}, sku="A")
    structlog.get_logger().info("order.merged", table={"buyer": NAME, "sku": "A"})
    first, second = _records(stream)
    assert (first["buyer"], first["recipient"], first["sku"]) == ("[withheld]", "[withheld]", "A")
    assert second["table"] == {"buyer": "[withheld]", "sku": "A"}
    assert NAME not in stream.getvalue()


def test_an_object_is_shown_by_its_type_alone(start):
    class Buyer:
        def __repr__(self) -> str:
            return NAME

    stream = start()
    structlog.get_logger().info("order.merged", source=Buyer(), rows=b"Johanna Canary")
    [record] = _records(stream)
    assert (record["source"], record["rows"]) == ("<Buyer>", "<bytes>")


@pytest.mark.proves("A57")
@pytest.mark.parametrize(
    "text",
    [
        f"refused {SECRET}!",
        "url ?hmac=whsec-Canary%2F5ecret%2Bvalue%3D&x=1",
        f"token {TOKEN} is wrong",
        f"X-Shopify-Access-Token: {TOKEN}",
        "{'X-Shopify-Access-Token': 'opaque-Canary-value'}",
        '{"access_token":"opaque-Canary-value","scope":"a"}',
        "Authorization: Bearer opaque-Canary-value",
        "'authorization': 'Basic b3BhcXVlLUNhbmFyeQ-Canary'",
        "b'Authorization', b'Bearer opaque-Canary'",
        "password=opaque-Canary&next=1",
        "client_secret = opaque-Canary",
        "Set-Cookie: session=Canary",
        "postgresql+psycopg://oms:Canary-pw@db/oms",
        f"mail {EMAIL} bounced",
        "mail johanna.Canary%40example.com bounced",
        f"call {PHONE} or (555) 555-0123 Canary".replace(" Canary", ""),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJDYW5hcnkifQ.c0ffee",
    ],
)
def test_secrets_and_contacts_are_recognised_in_any_text(start, text):
    stream = start("console")
    structlog.get_logger().info("account.checked", reason=text, problems=[text], path=Path(text))
    structlog.get_logger().info(text)
    logging.getLogger("apscheduler").debug("job %s", text)
    shown = stream.getvalue()
    assert not [canary for canary in (*CANARIES, "opaque", "555-0123") if canary in shown], shown


def test_ordinary_values_are_left_alone(start):
    texts = [
        "gid://shopify/Order/5550123456789",
        "shop-us:#1001",
        "2026-10-01T12:30:15Z",
        "+5 -3",
        "cursor 20261001123015",
        "192.168.10.20:8080",
        "SKU-555-123-4567",
        "https://hub.example.com/webhooks/shop-us",
    ]
    stream = start()
    structlog.get_logger().info("account.checked", problems=texts)
    assert _records(stream)[0]["problems"] == texts


def test_a_secret_registered_later_is_hidden_from_then_on(start, redactor):
    stream = start()
    redactor.register_secret("rotated-Canary-token")
    redactor.register_secret("abc")  # too short: it would black out words
    structlog.get_logger().info("account.checked", reason="got rotated-Canary-token, abcdef")
    assert _records(stream)[0]["reason"] == "got [secret], abcdef"


def _raise_with(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as error:
        raise BadPayload("an order lacks its id") from error


@pytest.mark.proves("A57")
def test_a_traceback_shows_places_and_our_words_but_no_strangers_words(start):
    stream = start()
    try:
        _raise_with(f"{NAME} {SECRET}")
    except BadPayload:
        structlog.get_logger().exception("flow.failed", reason=f"odd: '{NAME} {SECRET}'")
        logging.getLogger("urllib3").exception("no luck with %s", NAME)
        logging.getLogger("shopify").error(NAME, exc_info=True)  # noqa: G201 - as libraries do it
    shown = stream.getvalue()
    assert not [canary for canary in CANARIES if canary in shown]
    records = _records(stream)
    assert [each["level"] for each in records] == ["error"] * 3
    for record in records:
        assert record["exception"].startswith("BadPayload: an order lacks its id (")
        assert "runtime/test_logs.py:" in record["exception"]
        assert " <- KeyError (" in record["exception"]


def test_exceptions_passed_as_values_are_sieved_too(start):
    stream = start()
    structlog.get_logger().warning("session.leaked", reason=ValueError(NAME))
    structlog.get_logger().warning("session.leaked", exc_info=BadPayload(f"odd {EMAIL}"))
    first, second = _records(stream)
    assert first["reason"] == "ValueError"
    assert second["exception"].startswith("BadPayload: odd [e-mail]")
    assert reason_of(BadPayload("odd")) == "BadPayload: odd"
    assert reason_of(TypeError(NAME)) == "TypeError"


@pytest.mark.usefixtures("as_imported")
@pytest.mark.proves("A57", "A58")
@pytest.mark.parametrize(
    "name",
    [
        "urllib3.connectionpool", "shopify", "pyactiveresource.connection", "httpx",
        "httpcore.http11", "ebaysdk", "sp_api", "botocore.endpoint", "sqlalchemy.engine", "other",
    ],
)  # fmt: skip
def test_other_libraries_say_nothing_of_what_they_carry_at_any_level(start, name):
    stream = start()
    logger = logging.getLogger(name)
    body = f'{{"name": "{NAME}", "email": "{EMAIL}", "phone": "{PHONE}", "t": "{TOKEN}"}}'
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "request-headers:%s", {"X-Shopify-Access-Token": TOKEN})
        logger.log(level, "response-body: %s %r", body, SECRET)
        logger.log(level, f"headers={body} {SECRET}")  # noqa: G004 - as libraries do it
        logger.log(level, "%(name)s", {"name": NAME})
        logger.log(level, "does not fit %s %s", NAME)
        logger.log(level, body, extra={"buyer": NAME})
    records = _records(stream)
    assert len(records) == 24
    assert not [canary for canary in CANARIES if canary in stream.getvalue()]
    assert {each["event"] for each in records} == {"library.logged"}
    assert {each["logger"] for each in records} == {name}
    assert records[1]["text"] == "response-body: %s %r"
    assert records[2]["text"] == "[withheld]"
    assert all(each["place"].startswith("test_logs.py:") for each in records)


@pytest.mark.usefixtures("as_imported")
def test_the_real_urllib3_and_httpx_show_no_canary_at_debug(start):
    import http.server
    import threading

    import httpx
    import urllib3

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("X-Buyer", NAME)
            self.end_headers()
            self.wfile.write(NAME.encode())

        def log_message(self, *_: object) -> None:
            return

    stream = start(level="debug")
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/?email={EMAIL}&token={TOKEN}"
        with urllib3.PoolManager() as pool:
            assert pool.request("GET", url, headers={"Authorization": SECRET}).status == 200
        headers = {"X-Shopify-Access-Token": TOKEN}
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
        server.shutdown()
        thread.join()
    loggers = {each["logger"].split(".")[0] for each in _records(stream)}
    assert {"urllib3", "httpx"} <= loggers
    assert not [canary for canary in CANARIES if canary in stream.getvalue()]


def test_a_library_that_brought_its_own_handler_does_not_write_past_the_sieve(start):
    aside = io.StringIO()
    logger = logging.getLogger("chatty.library")
    logger.addHandler(logging.StreamHandler(aside))
    logger.propagate = False
    stream = start()
    logger.warning("hello %s", NAME)
    assert aside.getvalue() == ""
    assert _records(stream)[0]["logger"] == "chatty.library"


def test_a_trusted_librarys_message_is_shown(start):
    stream = start()
    logging.getLogger("alembic.runtime.migration").info("Running upgrade %s", "0001")
    logging.getLogger("uvicorn.error").info("does not fit %s %s", 1)  # noqa: PLE1206 - the case
    texts = [each["text"] for each in _records(stream)]
    assert texts == ["Running upgrade 0001", "[message that does not fit its arguments]"]


def test_warnings_become_records(start):
    stream = start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"odd {NAME}", UserWarning, stacklevel=1)
    assert _records(stream)[0]["logger"] == "py.warnings"
    assert NAME not in stream.getvalue()
