"""Whether the money of an order adds up, what may be left of it, and what is flagged."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.balance import balance
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.values import Money

NOW = datetime(2026, 3, 1, tzinfo=UTC)
#: how many decimals each has
CURRENCIES = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3}


def known(*lines, at=NOW, **facts):
    version = Version(at, at)
    seen = OrderSight(channel_order_id="1", version=version, facts=OrderFacts(**facts), lines=lines)
    return first_sight("shop-a", seen)


def line(price, units=1, line_id="a", **values):
    return LineSight(channel_line_id=line_id, unit_price=price, quantity_ordered=units, **values)


def name_is_money(name):
    return name in {"total", "tax", "shipping", "discount"}


def money(text, currency="EUR"):
    return Money(Decimal(text), currency)


@pytest.mark.proves("I-10", "A27")
@pytest.mark.parametrize("currency", CURRENCIES)
@given(
    minors=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 9)), min_size=1, max_size=5),
    parts=st.tuples(*[st.integers(0, 10**5)] * 3),
    is_included=st.booleans(),
    off=st.sampled_from([0, 0, 1, -1, 5, 10**6]),
)
def test_an_order_adds_up_to_the_minor_unit_in_every_currency(
    currency, minors, parts, is_included, off
):
    shipping, tax, discount = parts
    lines = [
        line(Money.from_minor(minor, currency), units, f"l{number}")
        for number, (minor, units) in enumerate(minors)
    ]
    total = sum(minor * units for minor, units in minors) + shipping - discount
    total += off + (0 if is_included else tax)
    order = known(
        *lines,
        currency=currency,
        total=Money.from_minor(total, currency),
        shipping=Money.from_minor(shipping, currency),
        tax=Money.from_minor(tax, currency),
        discount=Money.from_minor(discount, currency),
        are_taxes_included=is_included,
    )
    found = balance(order)
    assert found.residual.minor() == off
    slack = sum(units for _, units in minors if units > 1) // 2
    if abs(off) <= slack:
        assert found.name == ("rounding" if off else "")
    elif abs(off + tax) > slack:
        assert found.name == "unexplained"
    assert found.is_flagged == (found.name == "unexplained")


PRICED = line(money("5.00"), 2)


@pytest.mark.proves("I-10", "A27")
@pytest.mark.parametrize(
    ("lines", "facts", "name"),
    [
        ((PRICED,), {"total": "10.00"}, ""),
        ((PRICED,), {"total": "10.01"}, "rounding"),  # two units, half a cent each
        ((PRICED,), {"total": "10.02"}, "unexplained"),
        ((line(money("10.00")),), {"total": "10.01"}, "unexplained"),  # one unit is never rounded
        ((line(money("3.333333"), 3),), {"total": "10.00"}, "rounding"),
        ((PRICED,), {"total": "10.00", "tax": "1.90"}, "tax_apart"),
        ((PRICED,), {"total": "11.90", "tax": "1.90"}, ""),
        ((line(money("5"), 3, quantity_cancelled=1),), {"total": "10"}, "cancelled_units"),
        ((line(money("5"), 3, quantity_cancelled=1),), {"total": "9"}, "unexplained"),
        # the tax is still that of all three units, or of those that are left
        (
            (line(money("5"), 3, quantity_cancelled=1),),
            {"total": "11.00", "tax": "1.50"},
            "cancelled_units",
        ),
        (
            (line(money("5"), 3, quantity_cancelled=1),),
            {"total": "11.00", "tax": "1.00"},
            "cancelled_units",
        ),
        # more than the tax is gone, or less than the units' price
        (
            (line(money("5"), 3, quantity_cancelled=1),),
            {"total": "9.00", "tax": "0.50"},
            "unexplained",
        ),
        (
            (line(money("5"), 3, quantity_cancelled=1),),
            {"total": "12.00", "tax": "0.50"},
            "unexplained",
        ),
        ((PRICED,), {"total": "0", "state": OrderState.CANCELLED}, "refunded"),
        ((PRICED,), {"total": "0"}, "unexplained"),
        # cancelled, and the total is what was bought for
        ((PRICED,), {"total": "10.00", "state": OrderState.CANCELLED}, ""),
        # cancelled, and only the postage was kept
        (
            (PRICED,),
            {"total": "4.00", "shipping": "4.00", "state": OrderState.CANCELLED},
            "cancelled_units",
        ),
        ((PRICED, line(money("2", "USD"), line_id="b")), {"total": "12"}, "mixed_currencies"),
    ],
)
def test_what_is_left_has_a_name_and_a_bound_or_is_flagged(lines, facts, name):
    facts = {key: money(one) if name_is_money(key) else one for key, one in facts.items()}
    found = balance(known(*lines, currency="EUR", **facts))
    assert found.name == name
    assert found.is_flagged == (name in {"unexplained", "mixed_currencies"})


def test_an_order_in_several_currencies_has_no_sum():
    order = known(PRICED, currency="USD", total=money("10", "USD"))
    assert balance(order).residual is None


@pytest.mark.parametrize(
    ("lines", "facts"),
    [
        ((PRICED,), {}),
        ((LineSight(channel_line_id="a", quantity_ordered=1),), {"total": money("10")}),
        ((LineSight(channel_line_id="a", unit_price=money("1")),), {"total": money("10")}),
    ],
)
def test_nothing_is_said_of_an_order_half_known(lines, facts):
    assert balance(known(*lines, currency="EUR", **facts)) is None


def test_what_the_buyer_saw_in_another_currency_is_kept_and_never_added():
    shown = money("1510", "JPY")
    found = known(PRICED, currency="EUR", total=money("10"), presentment_total=shown)
    assert found.facts.presentment_total == shown
    assert balance(found).name == ""


def test_a_line_that_left_the_order_is_named_as_cancelled():
    both = known(
        PRICED, line(money("7"), 1, "b"), line_ids=("a", "b"), currency="EUR", total=money("17")
    )
    later = NOW.replace(hour=1)
    one = known(PRICED, at=later, line_ids=("a",), currency="EUR", total=money("10"))
    assert balance(merge(both, one)).name == "cancelled_units"


def test_a_cancellation_known_before_the_total_is_read_again_is_no_surprise():
    left = known(
        line(money("5"), 3, quantity_cancelled=1), line(money("2"), 1, "b"),
        currency="EUR", total=money("12"),
    )  # fmt: skip
    told = known(at=NOW.replace(hour=1), state=OrderState.CANCELLED)
    assert balance(left).name == "cancelled_units"
    assert balance(merge(left, told)).name == "cancelled_units"
