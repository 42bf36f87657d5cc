"""The log of calls: bounded, masked as it comes in, and never in the way of a call."""

from datetime import UTC, datetime

from oms_sync.flows.budgets import CALLS_MAX
from oms_sync.runtime.calls import TEXT_MAX, CallRing
from oms_sync.runtime.redaction import SECRET, Redactor
from oms_sync.sdk import Call

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _call(operation: str = "orders", *, request_id: str = "r-1", status: str = "200") -> Call:
    return Call(
        operation=operation, at=AT, duration_seconds=0.25, status=status, request_id=request_id
    )


def test_calls_are_handed_out_once_in_order():
    ring = CallRing(Redactor())
    ring.note(_call("one"))
    ring.note(_call("two"))
    assert [call.operation for call in ring.drain()] == ["one", "two"]
    assert ring.drain() == ()


def test_only_the_last_calls_are_kept():
    ring = CallRing(Redactor())
    for number in range(CALLS_MAX + 30):
        ring.note(_call(f"operation {number}"))
    kept = ring.drain()
    assert len(kept) == CALLS_MAX
    assert kept[-1].operation == f"operation {CALLS_MAX + 29}"


def test_a_secret_and_a_person_are_masked_before_a_call_is_kept():
    redactor = Redactor()
    redactor.register_secret("shop-secret-1")
    ring = CallRing(redactor)
    ring.note(
        _call(
            "orders?token=shop-secret-1",
            request_id="of vilja@canary.example",
            status="refresh_token=abcdefgh",
        )
    )
    (kept,) = ring.drain()
    assert SECRET in kept.operation
    assert SECRET in kept.status
    for hidden in ("shop-secret-1", "canary", "abcdefgh"):
        assert hidden not in repr(kept)


def test_text_of_any_length_and_kind_is_cut_and_put_on_one_line():
    ring = CallRing(Redactor())
    ring.note(_call("x" * 5_000, request_id="a\nb\x1b[31m"))
    (kept,) = ring.drain()
    assert len(kept.operation) == TEXT_MAX
    assert kept.request_id.isprintable()


def test_calls_that_could_not_be_stored_are_given_back_before_newer_ones():
    ring = CallRing(Redactor())
    for number in range(CALLS_MAX):
        ring.note(_call(f"old {number}"))
    old = ring.drain()
    ring.note(_call("new"))
    ring.give_back(old)
    kept = ring.drain()
    assert [kept[0].operation, kept[-1].operation] == ["old 1", "new"]
    assert len(kept) == CALLS_MAX
