"""Write-backs, pure: what a cancellation misses, which refund is ours, how money is split."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.order import LineCounts, OrderFacts
from oms_sync.domain.values import Money
from oms_sync.domain.write_back import (
    Wish,
    WriteBack,
    WriteKind,
    WriteState,
    cancellation_left,
    find_refund,
    lateness,
    refundable,
    share,
    superseded,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def euros(text):
    return Money(Decimal(text), "EUR")


TEN = euros("10.00")


def counts(ordered, *, shipped=0, cancelled=0, elsewhere=0):
    return LineCounts(
        ordered=ordered,
        shipped=shipped,
        elsewhere=elsewhere,
        cancelled=cancelled,
        open=ordered - shipped - cancelled - elsewhere,
        returned=0,
        taken=ordered,
        put_back=0,
    )


@dataclass(frozen=True, kw_only=True)
class Refund:
    channel_refund_id: str
    amount: Money = TEN
    lines: dict[str, int] = field(default_factory=dict)
    state: Any = "done"
    key: str | None = None


WRITE = WriteBack(
    write_id="w1",
    order_id="o1",
    account="a",
    kind=WriteKind.REFUND,
    wish=Wish(amount=euros("10.00"), lines={"L1": 1}),
    asked_at=NOW,
    actor="cli",
    next_at=NOW,
    known_before=("R1",),
)


@pytest.mark.parametrize(
    ("count", "missing", "lost"),
    [
        (counts(3), 2, 0),  # nothing happened
        (counts(3, cancelled=1), 1, 0),  # a part shows
        (counts(3, cancelled=2), 0, 0),  # all of it shows
        (counts(3, cancelled=3), 0, 0),  # more than was asked
        (counts(3, shipped=2), 1, 1),  # a unit left meanwhile
        (counts(3, shipped=3), 0, 2),  # all left
        (counts(3, elsewhere=3), 0, 2),
    ],
)
def test_what_a_cancellation_misses(count, missing, lost):
    left = cancellation_left(Wish(lines={"L1": 2}), {"L1": count, "L2": counts(1)})
    assert (sum(left.missing.values()), sum(left.lost.values())) == (missing, lost)


def test_units_cancelled_before_it_was_asked_do_not_count():
    wish = Wish(lines={"L1": 1}, cancelled_before={"L1": 1})
    assert cancellation_left(wish, {"L1": counts(3, cancelled=1)}).missing == {"L1": 1}
    assert cancellation_left(wish, {"L1": counts(3, cancelled=2)}).missing == {}


def test_a_line_that_is_in_another_order_by_now_is_lost_to_the_cancellation():
    left = cancellation_left(Wish(lines={"L1": 1, "L2": 2}), {"L1": counts(1)})
    assert (left.missing, left.lost) == ({"L1": 1}, {"L2": 2})


@pytest.mark.parametrize(
    ("age", "lag", "found"),
    [
        (3599, 0, "none"),
        (3600, 0, "late"),
        (3600, 7200, "none"),
        (259_199, 7200, "late"),
        (259_200, 7200, "too_late"),
        (259_200, 400_000, "none"),
    ],
)
def test_what_was_taken_and_does_not_show_is_late_then_too_late(age, lag, found):
    taken = replace(WRITE, answered_at=NOW - timedelta(seconds=age))
    assert lateness(taken, now=NOW, lag_seconds=lag).value == found
    assert lateness(WRITE, now=NOW, lag_seconds=lag).value == "none"


def test_a_cancellation_of_everything_open_is_whole():
    shown = {"L1": counts(3, shipped=1), "L2": counts(1)}
    assert cancellation_left(Wish(lines={"L1": 2, "L2": 1}), shown).is_whole
    assert not cancellation_left(Wish(lines={"L1": 2}), shown).is_whole


UNITS = st.integers(0, 5)


@given(ordered=UNITS, shipped=UNITS, cancelled=UNITS, asked=st.integers(1, 5))
def test_never_more_is_cancelled_than_is_open_or_was_asked(ordered, shipped, cancelled, asked):
    shipped = min(shipped, ordered)
    cancelled = min(cancelled, ordered - shipped)
    count = counts(ordered, shipped=shipped, cancelled=cancelled)
    left = cancellation_left(Wish(lines={"L1": asked}), {"L1": count})
    missing = left.missing.get("L1", 0)
    assert missing <= count.open
    assert missing + left.lost.get("L1", 0) + cancelled == max(asked, cancelled)
    after = counts(ordered, shipped=shipped, cancelled=cancelled + missing)
    assert cancellation_left(Wish(lines={"L1": asked}), {"L1": after}).missing == {}


@pytest.mark.parametrize(
    ("shown", "is_ours"),
    [
        (Refund(channel_refund_id="R2", key="w1", amount=euros("1.00")), True),  # our key
        (Refund(channel_refund_id="R1", key="w1"), True),
        (Refund(channel_refund_id="R2"), True),  # new, our amount, lines not told
        (Refund(channel_refund_id="R2", lines={"L1": 1}), True),
        (Refund(channel_refund_id="R2", state="pending"), True),
        (Refund(channel_refund_id="R2", state="failed"), False),  # somebody's failure
        (Refund(channel_refund_id="R2", state="failed", key="w1"), True),  # ours failed
        (Refund(channel_refund_id="R2", lines={"L2": 1}), False),  # other lines
        (Refund(channel_refund_id="R2", amount=euros("9.99")), False),
        (Refund(channel_refund_id="R1"), False),  # was there before
        (Refund(channel_refund_id="R3"), False),  # another write-back's
        (Refund(channel_refund_id="R2", key="w2"), False),  # another key
    ],
)
def test_which_refund_is_ours(shown, is_ours):
    assert (find_refund(WRITE, [shown], {"R3"}) is not None) == is_ours


def test_a_refund_recognised_once_stays_ours():
    known = replace(WRITE, channel_refund_id="R1", known_before=None)
    assert find_refund(known, [Refund(channel_refund_id="R1", amount=euros("3.00"))], {"R1"})


def test_nothing_is_ours_before_the_first_send():
    fresh = replace(WRITE, known_before=None)
    assert find_refund(fresh, [Refund(channel_refund_id="R2")], ()) is None


def test_what_may_still_go_back_is_never_below_nothing():
    paid = OrderFacts(total=euros("10.00"))
    assert refundable(paid, [euros("3.00"), euros("4.00")]) == euros("3.00")
    assert refundable(paid, [euros("30.00")]) == Money.zero("EUR")
    assert refundable(OrderFacts(), []) is None


def test_tax_the_channel_collects_and_pays_is_not_the_sellers_to_give_back():
    taxed = OrderFacts(total=euros("12.00"), tax=euros("3.00"), tax_remitted=euros("2.00"))
    assert refundable(taxed, []) == TEN
    assert refundable(taxed, [TEN]) == Money.zero("EUR")
    assert refundable(replace(taxed, tax_remitted=euros("20.00")), []) == Money.zero("EUR")
    in_other_money = replace(taxed, tax_remitted=Money(Decimal(2), "USD"))
    assert refundable(in_other_money, []) == euros("12.00")


MINOR = st.integers(0, 10_000)


@given(
    minor=MINOR,
    weights=st.dictionaries(st.sampled_from("abcd"), MINOR, min_size=1),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_a_split_adds_up_to_the_minor_unit(minor, weights, currency):
    parts = share(
        Money.from_minor(minor, currency),
        {name: Money.from_minor(weight, currency) for name, weight in weights.items()},
    )
    assert parts.keys() == weights.keys()
    assert sum(part.minor() for part in parts.values()) == minor
    assert all(part.minor() >= 0 for part in parts.values())


def test_what_cannot_be_split_is_refused():
    with pytest.raises(InvalidValue):
        share(euros("-1.00"), {"a": euros("1.00")})
    with pytest.raises(InvalidValue):
        share(euros("1.00"), {})


def test_a_superseded_write_is_over_and_its_turn_is_lost():
    given_up = superseded(WRITE)
    assert given_up.turn == WRITE.turn + 1
    assert [state for state in WriteState if state.is_open] == ["waiting", "sent"]
    assert not given_up.state.is_open
