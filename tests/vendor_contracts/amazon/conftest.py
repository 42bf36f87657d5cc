"""The fixtures of the connector's own tests serve here, too."""

import json

import pytest
from contract_fixtures import borrow

globals().update(borrow("amazon"))


@pytest.fixture
def pairs(specs):
    """(status, response) of every static pair of an operation."""

    def read(model, name):
        text = (specs / "amazon" / "models" / f"{model}.json").read_text(encoding="utf-8")
        return [
            (int(status), pair.get("response"))
            for methods in json.loads(text)["paths"].values()
            for operation in methods.values()
            if isinstance(operation, dict) and operation.get("operationId") == name
            for status, response in operation["responses"].items()
            for pair in (response.get("x-amzn-api-sandbox") or {}).get("static", ())
        ]

    return read
