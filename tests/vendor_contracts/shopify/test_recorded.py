"""What real shops answered, replayed: refusals are classified, and no refusal passes as success."""

import contextlib
from types import SimpleNamespace

import pytest

from connectors.shopify.cancels import CancelDesk
from connectors.shopify.faults import raise_top_level
from connectors.shopify.refunds import RefundDesk
from connectors.shopify.stock import Places, StockDesk
from oms_sync.sdk import (
    ChannelError,
    OutgoingCancellation,
    PushOutcome,
    Rejected,
    StockBatch,
    StockPush,
)
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


def test_every_recorded_answer_to_a_refund_says_what_became_of_it(answers, scripted, make_client):
    told = {"given": 0, "refused": 0}
    for answer in answers("orders"):
        payload = (answer.get("data") or {}).get("refundCreate", answer)
        if payload is answer:
            continue
        scripted.answers = [(200, {}, {"data": answer["data"], "errors": answer.get("errors")})]
        desk = RefundDesk(make_client(), None, return_to=str, notify_buyer=False)
        is_given = False
        with contextlib.suppress(ChannelError):
            desk.give({"orderId": "gid://shopify/Order/1"}, "key-1", "")
            is_given = True
        is_good = bool(payload) and not payload["userErrors"] and not answer.get("errors")
        assert is_given == is_good, answer
        told["given" if is_good else "refused"] += 1
    assert told["given"] > 1
    assert told["refused"] > 3


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_recorded_refusal_to_cancel_is_decided_by_a_look(
    is_cancelled, answers, scripted, make_client, tables
):
    cancellation = OutgoingCancellation(
        key="c", channel_order_id="1", lines={}, is_whole=True, reason="buyer"
    )
    told = 0
    for answer in answers("orders"):
        payload = (answer.get("data") or {}).get("orderCancel")
        if not payload or not payload.get("orderCancelUserErrors"):
            continue
        told += 1
        looks = [_changeable(None), _changeable("2026-03-01T10:00:00Z" if is_cancelled else None)]
        scripted.answers = [looks[0], (200, {}, {"data": answer["data"]}), looks[1]]
        client = make_client()
        refunds = RefundDesk(client, None, return_to=str, notify_buyer=False)
        settings = SimpleNamespace(notify_buyer=False, refund_cancelled=True)
        desk = CancelDesk(client, refunds, tables["cancel_reasons"], settings)
        if is_cancelled:
            assert desk.cancel(cancellation) is None
        else:
            with pytest.raises(Rejected, match="refuses to cancel"):
                desk.cancel(cancellation)
    assert told > 0


def _changeable(cancelled_at):
    order = {"id": "gid://shopify/Order/1", "cancelledAt": cancelled_at}
    order |= {"transactions": [], "fulfillments": []}
    order["lineItems"] = {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    return 200, {}, {"data": {"order": order}}


def test_every_recorded_answer_to_a_push_says_what_became_of_it(answers, scripted, make_client):
    entry = StockPush(channel_listing_id="gid://1", channel_sku="A", quantity=3, expected=2)
    batch = StockBatch(key="key-1", entries=(entry,))
    told = {"applied": 0, "refused": 0}
    for answer in answers("products"):
        payload = (answer.get("data") or {}).get(PUSH, answer)
        if payload is answer:
            continue
        pushed = {"data": answer["data"], "errors": answer.get("errors")}
        looked = {"data": {"nodes": []}}
        scripted.answers = [(200, {}, pushed), (200, {}, looked)]
        outcomes = set()
        with contextlib.suppress(ChannelError):
            client = make_client()
            desk = StockDesk(client, Places(client, ["gid://shopify/Location/1"]))
            outcomes = {each.outcome for each in desk.push(batch)}
        is_good = bool(payload) and not payload["userErrors"] and not answer.get("errors")
        assert (outcomes == DONE) == is_good, answer
        told["applied" if is_good else "refused"] += 1
    assert told["applied"] > 30
    assert told["refused"] > 10
