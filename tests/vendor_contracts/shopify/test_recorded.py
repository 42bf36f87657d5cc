"""What real shops answered, replayed: refusals are classified, and no refusal passes as success."""

import contextlib

import pytest

from connectors.shopify.faults import raise_top_level
from connectors.shopify.stock import StockDesk
from oms_sync.sdk import ChannelError, PushOutcome, StockBatch, StockPush
from oms_sync.sdk.strict_json import read_json

DONE = {PushOutcome.APPLIED}
PUSH = "inventorySetQuantities"
FOLDERS = ("orders", "products", "shipping-fulfillments", "webhooks", "bulk-operations")


@pytest.fixture
def answers(specs, example):
    def read(folder="*"):
        for path in sorted((specs / "shopify/recorded").rglob(f"{folder}/*.json")):
            for number, answer in enumerate(_answers(read_json(path.read_bytes()))):
                example("shopify recorded answer", f"{path} {number}")
                yield answer

    return read


def _answers(value):
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            has_errors = bool(one.get("errors")) and ("data" in one or "extensions" in one)
            if has_errors or isinstance(one.get("data"), dict):
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _is_refused(answer):
    """Refused as a whole: an error that is more than a part withheld."""
    try:
        raise_top_level(answer, is_write=True)
    except ChannelError:
        return True
    return False


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_recorded_answer_is_a_success_or_a_typed_error(folder, answers):
    outcomes = [(_is_refused(each), bool(each.get("errors"))) for each in answers(folder)]
    assert len(outcomes) > 5
    assert not any(is_refused and not has_errors for is_refused, has_errors in outcomes)


def test_every_recorded_refusal_is_an_error_of_ours(answers):
    refused = [each for each in answers() if each.get("errors")]
    assert len(refused) > 50
    passed = [each for each in refused if not _is_refused(each)]
    # what passes is an object whose withheld part has a path of its own
    assert all(len(error["path"]) > 1 for each in passed for error in each["errors"])


def test_every_recorded_answer_to_a_push_says_what_became_of_it(answers, scripted, make_client):
    entry = StockPush(channel_listing_id="gid://1", channel_sku="A", quantity=3, expected=2)
    batch = StockBatch(key="key-1", entries=(entry,))
    told = {"applied": 0, "refused": 0}
    for answer in answers("products"):
        payload = (answer.get("data") or {}).get(PUSH, answer)
        if payload is answer:
            continue
        scripted.answers = [(200, {}, {"data": answer["data"], "errors": answer.get("errors")})]
        outcomes = set()
        with contextlib.suppress(ChannelError):
            desk = StockDesk(make_client(), ["gid://shopify/Location/1"])
            outcomes = {each.outcome for each in desk.push(batch)}
        is_good = bool(payload) and not payload["userErrors"] and not answer.get("errors")
        assert (outcomes == DONE) == is_good, answer
        told["applied" if is_good else "refused"] += 1
    assert told["applied"] > 30
    assert told["refused"] > 10
