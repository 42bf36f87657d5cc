"""Every document we have is valid in every version we promise, and the check sees what is not."""

import json

import pytest
from contract_shopify import VERSIONS
from contract_tap import Exchange

from connectors.shopify.documents import documents

pytestmark = pytest.mark.usefixtures("specs")


@pytest.fixture
def contracts(contract_layer):
    return contract_layer.contracts["shopify"]


def test_every_document_is_valid_in_every_version(contracts):
    assert tuple(contracts.schemas) == VERSIONS
    wrong = {name: list(contracts.document_problems(one.text)) for name, one in documents().items()}
    assert {name: problems for name, problems in wrong.items() if problems} == {}
    assert len(wrong) > 15


def _asked(text, variables, name="Q", version="2026-10"):
    body = {"query": text, "variables": variables, "operationName": name}
    return Exchange(
        channel="shopify",
        method="POST",
        url=f"https://shop-a.myshopify.com/admin/api/{version}/graphql.json",
        headers={"x-shopify-access-token": "t"},
        body=json.dumps(body).encode(),
    )


FIND = "query Q($id: ID!, $first: Int) { order(id: $id) { id refunds(first: $first) { id } } }"


@pytest.mark.parametrize(
    ("text", "variables", "problem"),
    [
        (FIND, {"id": "gid://shopify/Order/1", "first": 1}, None),
        (FIND, {"id": "gid://shopify/Order/1", "first": "1"}, "first"),
        (FIND, {"first": 1}, "id"),
        (FIND, {"id": "gid://shopify/Order/1", "last": 1}, "$last"),
        ("query Q { shop { colour } }", {}, "colour"),
        ("query Q { orders(first: 1, colour: 2) { nodes { id } } }", {}, "colour"),
        ("query Q {", {}, "no GraphQL"),
        ("query R { shop { id } }", {}, "no operation 'Q'"),
    ],
)
def test_a_request_that_does_not_fit_is_seen(text, variables, problem, contracts):
    _, problems = contracts.check_request(_asked(text, variables))
    if problem is None:
        assert problems == []
    else:
        assert any(problem in each for each in problems), problems


def test_a_request_to_an_unsupported_version_is_seen(contracts):
    asked = _asked(FIND, {"id": "gid://shopify/Order/1"}, version="2025-10")
    assert contracts.check_request(asked)[1]


GOOD = {"id": "gid://shopify/Order/1", "createdAt": "2026-03-01T10:00:00Z", "tags": []}
SHOWN = "query Q { node(id: 1) { id ... on Order { createdAt tags cancelReason } } }"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cancelReason": None}, None),
        ({"cancelReason": "OTHER"}, None),
        ({"cancelReason": "BORED"}, "BORED"),
        ({"cancelReason": None, "createdAt": "yesterday"}, "createdAt"),
        ({"cancelReason": None, "tags": None}, "tags"),
        ({"cancelReason": None, "colour": "red"}, "colour"),
    ],
)
def test_an_answer_that_does_not_fit_is_seen(changes, problem, contracts):
    answer = json.dumps({"data": {"node": GOOD | changes}}).encode()
    asked = _asked(SHOWN.replace("id: 1", 'id: "gid://shopify/Order/1"'), {})
    heard = {name: getattr(asked, name) for name in ("channel", "method", "url", "headers", "body")}
    checked = contracts.check_answer(Exchange(**heard, status=200, answer=answer))
    assert checked is not None
    assert [each for each in checked[1] if problem is None or problem not in each] == []
    assert bool(checked[1]) == (problem is not None)
