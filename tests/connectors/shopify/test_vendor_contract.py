"""What is sent and understood, held against the vendor's own contract where it is at hand."""

import contextlib
import gzip
import json
import os
from pathlib import Path

import pytest

from connectors.shopify.documents import documents
from connectors.shopify.faults import raise_top_level
from oms_sync.sdk import (
    ChannelError,
)
from oms_sync.sdk.strict_json import read_json


def _vendor(*parts):
    folder = os.environ.get("OMS_SYNC_VENDOR_SPECS")
    path = Path(folder or "/nonexistent").joinpath("shopify", *parts)
    if not path.exists():
        pytest.skip("OMS_SYNC_VENDOR_SPECS names no folder")
    return path


@pytest.mark.parametrize("version", ["2026-04", "2026-07", "2026-10"])
def test_every_document_is_valid_in_the_vendors_schema(version):
    from graphql import build_client_schema, parse, validate

    path = _vendor("admin-graphql", f"admin_{version}.json.gz")
    introspection = json.loads(gzip.decompress(path.read_bytes()))["data"]
    schema = build_client_schema(introspection, assume_valid=True)
    wrong = {
        name: [error.message for error in validate(schema, parse(document.text))]
        for name, document in documents().items()
    }
    assert {name: errors for name, errors in wrong.items() if errors} == {}


def test_the_vendors_recorded_refusals_are_all_classified():
    found = 0
    for path in sorted(_vendor("recorded").rglob("*.json")):
        for answer in _answers(read_json(path.read_bytes())):
            found += 1
            with contextlib.suppress(ChannelError):  # anything else is not classified
                raise_top_level(answer, is_write=True)
    assert found > 50


def _answers(value):
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.get("errors") and ("data" in one or "extensions" in one):
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
