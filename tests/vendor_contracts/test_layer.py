"""The layer itself: it hears everything, sees what does not fit, and nothing goes around it."""

import ast
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from contract_plugin import HERE, Layer
from contract_shapes import Shapes
from contract_tap import CONNECTORS, SPOOL_VARIABLE, Bypassed, Exchange

#: where connectors may hold something that opens connections, and what that is
OPENERS = {
    "amazon/client.py": "httpx and the SDK's clients, put on the wire",
    "amazon/tokens.py": "the SDK's token value",
    "amazon/queue.py": "boto3, heard in its own send",
    "amazon/wire.py": "the wire",
    "ebay/trading.py": "the SDK's connection, its exchange replaced by the wire",
    "ebay/wire.py": "the wire",
    "shopify/account.py": "the SDK's list of scopes",
    "shopify/client.py": "the SDK's session, its exchange replaced by the wire",
    "shopify/wire.py": "the wire",
}
NETWORK = frozenset(
    "socket ssl http urllib3 requests httpx aiohttp boto3 botocore shopify ebaysdk sp_api"
    " smtplib ftplib asyncio subprocess".split()
)


@pytest.fixture
def layer(specs):
    made = Layer(specs)
    yield made
    made.close()


@pytest.fixture
def unsettled(contract_layer):
    """What the run's own tap hears here is not left for the end of the test."""
    yield contract_layer.tap
    contract_layer.tap.bypassed.clear()


def _request(**changes):
    fields = {
        "channel": "amazon",
        "method": "GET",
        "url": "https://sellingpartnerapi-na.amazon.com/orders/2026-01-01/orders/1",
        "headers": {"x-amz-access-token": "t"},
        "body": b"",
    }
    return Exchange(**{**fields, **changes})


def test_only_known_files_hold_what_opens_connections():
    found = set()
    for path in Path(CONNECTORS).rglob("*.py"):
        name = path.relative_to(CONNECTORS).as_posix()
        if "/sandbox/" in name:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            is_network = any(each.split(".")[0] in NETWORK for each in names)
            if is_network or "urllib.request" in names:
                found.add(name)
    assert found == set(OPENERS), "a new place that opens connections must be listened to"


def _run_as(name, port):
    """Open a connection from code that lies in that file of the connectors."""
    text = f"import socket\nwith socket.socket() as one: one.connect(('127.0.0.1', {port}))"
    exec(compile(text, f"{CONNECTORS}{name}", "exec"), {})  # noqa: S102 - our own line


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("specs")
def test_a_connection_beside_the_transport_is_refused_and_remembered(port, unsettled):
    for name in ("shopify/elsewhere.py", "amazon/client.py", "ebay/wire.py"):
        with pytest.raises(Bypassed, match=name):
            _run_as(name, port)
    assert len(unsettled.bypassed) == 3
    with unsettled.inside():
        _run_as("ebay/wire.py", port)
    _run_as("ebay/sandbox/app.py", port)  # a sandbox plays the other side
    assert len(unsettled.bypassed) == 3


def test_a_request_that_does_not_fit_is_a_problem_of_the_test_that_sent_it(layer):
    layer.tap.hear(_request())
    assert layer.settle(is_exempt=False) == []
    layer.tap.hear(_request(url=_request().url + "?colour=red"))
    layer.tap.hear(_request(method="DELETE"))
    problems = layer.settle(is_exempt=False)
    assert len(problems) == 2
    assert layer.failing == 2
    layer.tap.hear(_request(method="DELETE"))
    assert layer.settle(is_exempt=True) == []
    assert layer.counts["requests"]["amazon getOrder"] == 2
    assert layer.counts["off_contract"]["amazon"] == 1


def test_an_answer_that_does_not_fit_is_a_problem_too(layer):
    good = {"errors": [{"code": "NotFound", "message": "no"}]}
    layer.tap.hear(_request(status=404, answer=json.dumps(good).encode()))
    assert layer.settle(is_exempt=False) == []
    layer.tap.hear(_request(status=404, answer=b'{"errors": [{"colour": 1}]}'))
    layer.tap.hear(_request(status=200, answer=b"{}"))
    layer.tap.hear(_request(status=299, answer=b"{}"))
    assert len(layer.settle(is_exempt=True)) >= 4, "an exemption is for requests alone"


CHILD = """
import logging
from connectors.ebay.wire import Exchange, Wire
from oms_sync.runtime.clock import SystemClock
from oms_sync.sdk import ChannelError, NoCallLog
wire = Wire(SystemClock(), "http://127.0.0.1:9", NoCallLog())
url = "http://127.0.0.1:9/sell/inventory/v1/offer?colour=1"
try:
    headers = {"Authorization": "Bearer t"}
    wire.send(Exchange(operation="offers", method="GET", url=url, headers=headers))
except ChannelError:
    print("sent")
"""


def test_what_a_process_of_a_test_sends_is_heard_as_well(layer, tmp_path):
    environment = {
        **os.environ,
        SPOOL_VARIABLE: str(layer.spool),
        "PYTHONPATH": str(HERE / "inside"),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=environment,
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "sent\n"
    problems = layer.settle(is_exempt=False)
    assert len(problems) == 1
    assert "colour" in problems[0]
    assert layer.counts["requests"] == {"ebay getOffers": 1}
    assert layer.settle(is_exempt=False) == [], "each is read once"


def test_a_line_cut_off_by_a_kill_waits_and_a_whole_one_counts(layer):
    line = _request().line()
    path = layer.spool / "1.jsonl"
    path.write_bytes(line + line[:20])
    assert layer.settle(is_exempt=False) == []
    assert layer.counts["requests"]["amazon getOrder"] == 1
    path.write_bytes(line + line)
    layer.settle(is_exempt=False)
    assert layer.counts["requests"]["amazon getOrder"] == 2


SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "word": {"type": "string", "enum": ["a", "b"], "maxLength": 1},
        "at": {"type": "string", "format": "date-time"},
        "listed": {"type": "array", "items": {"$ref": "#/parts/one"}, "maxItems": 2},
        "free": {"type": "object", "additionalProperties": {"type": "boolean"}},
    },
}
SHAPES = Shapes(document={"parts": {"one": {"type": ["string", "null"], "pattern": "^x"}}})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"word": "a", "at": "2026-03-01T10:00:00Z", "listed": ["x1", None]}, None),
        ({"free": {"any": True}}, None),
        ({"id": 0}, "below minimum"),
        ({"id": True}, "is no integer"),
        ({"id": "1"}, "is no integer"),
        ({"id": None}, "is no integer"),
        ({"word": "c"}, "is none of"),
        ({"at": "2026-03-01T10:00:00"}, "no time zone"),
        ({"at": "today"}, "date-time"),
        ({"listed": ["y"]}, "does not match"),
        ({"listed": ["x", "x", "x"]}, "over maxItems"),
        ({"free": {"any": 1}}, "is no boolean"),
        ({"colour": "red"}, "unknown"),
    ],
)
def test_the_shapes_say_what_does_not_fit(changes, problem):
    found = list(SHAPES.problems({"id": 1} | changes, SCHEMA))
    assert (found == []) if problem is None else [one for one in found if problem in one]


def test_a_missing_field_and_a_choice_that_fits_nothing_are_seen():
    assert list(SHAPES.problems({}, SCHEMA)) == ["$.id: missing"]
    choice = {
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [
            {"required": ["a"], "properties": {"b": False}},
            {"required": ["b"], "properties": {"a": False}},
        ],
    }
    assert list(SHAPES.problems({"a": "1"}, choice)) == []
    assert list(SHAPES.problems({}, choice))
    assert list(SHAPES.problems({"a": "1", "b": "2"}, choice))


def test_a_keyword_nobody_taught_the_check_is_never_passed_over():
    with pytest.raises(AssertionError, match="propertyNames"):
        list(SHAPES.problems({}, {"propertyNames": {"pattern": "x"}}))
