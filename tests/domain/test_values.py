"""SKUs, money, explained numbers: what means something and what is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.values import (
    SKU_LENGTH_MAX,
    ChannelRef,
    Explained,
    Money,
    Term,
    currency_exponent,
    explained,
    parse_sku,
)


@pytest.mark.proves("A26")
@pytest.mark.parametrize(
    ("text", "sku"),
    [
        ("TEE", "TEE"),
        ("  TEE RED  ", "TEE RED"),
        ("00042", "00042"),
        ("mug-☕", "mug-☕"),
        # kept as they are: equality is on code points, and no listing is matched by look
        ("TEE\u202eDER", "TEE\u202eDER"),
        ("TE\u200bE", "TE\u200bE"),
        ("=1+1", "=1+1"),
        ("'; DROP TABLE orders; --", "'; DROP TABLE orders; --"),
        ("x" * SKU_LENGTH_MAX, "x" * SKU_LENGTH_MAX),
    ],
)
def test_a_sku_is_trimmed_once_and_otherwise_untouched(text, sku):
    assert parse_sku(text) == sku


@pytest.mark.proves("A26")
@pytest.mark.parametrize(
    "text", ["", "   ", "\x00", "TE\x00E", "TE\nE", "\ud800", "TEE\udfff", "x" * 256, "\x7f1"]
)
def test_a_sku_that_cannot_be_stored_safely_is_refused(text):
    with pytest.raises(InvalidValue):
        parse_sku(text)


@pytest.mark.proves("A26")
@given(st.text(max_size=300))
def test_any_text_is_a_sku_that_stays_or_is_refused(text):
    try:
        sku = parse_sku(text)
    except InvalidValue:
        return
    assert parse_sku(sku) == sku == text.strip()
    sku.encode()


def test_a_case_makes_another_sku():
    assert parse_sku("mug") != parse_sku("MUG")


@pytest.mark.proves("I-10")
@pytest.mark.parametrize(
    ("text", "currency", "minor", "shown"),
    [
        ("10.00", "USD", 1000, "10.00"),
        ("10", "EUR", 1000, "10.00"),
        ("1200", "JPY", 1200, "1200"),
        ("0.125", "KWD", 125, "0.125"),
        ("-1.5", "EUR", -150, "-1.50"),
        ("1.2345", "CLF", 12345, "1.2345"),
        ("0", "EUR", 0, "0.00"),
    ],
)
def test_money_in_minor_units_and_as_text(text, currency, minor, shown):
    money = Money.parse(text, currency)
    assert money.minor() == minor
    assert money.text() == shown
    assert Money.from_minor(minor, currency) == money


@pytest.mark.proves("I-10")
@given(st.integers(-(10**12), 10**12), st.sampled_from(["JPY", "EUR", "KWD", "CLF"]))
def test_money_survives_the_database(minor, currency):
    money = Money.from_minor(minor, currency)
    assert money.minor() == minor
    assert Money.parse(money.text(), currency).minor() == minor


@pytest.mark.proves("I-10")
@pytest.mark.parametrize(
    ("text", "currency"), [("0.5", "JPY"), ("0.001", "EUR"), ("1.2345", "KWD")]
)
def test_money_finer_than_its_currency_has_no_minor_units(text, currency):
    with pytest.raises(InvalidValue, match="finer"):
        Money.parse(text, currency).minor()


@pytest.mark.proves("A24")
@pytest.mark.parametrize("text", ["", "ten", "1,00", "0x10", "NaN", "Infinity", "-inf", "sNaN"])
def test_text_that_is_no_exact_amount_is_refused(text):
    with pytest.raises(InvalidValue):
        Money.parse(text, "EUR")


@pytest.mark.parametrize("amount", [1.0, 1, "1"])
def test_money_is_never_a_float(amount):
    with pytest.raises(InvalidValue):
        Money(amount, "EUR")


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "E1R", "€", "EUR\n"])
def test_what_is_no_currency_code_is_refused(currency):
    with pytest.raises(InvalidValue):
        currency_exponent(currency)
    with pytest.raises(InvalidValue):
        Money(Decimal(1), currency)


def test_money_adds_within_one_currency_only():
    ten, three = Money.parse("10", "EUR"), Money.parse("3", "EUR")
    assert (ten + three).text() == "13.00"
    assert (ten - three).text() == "7.00"
    assert ten.times(3).text() == "30.00"
    assert Money.zero("EUR").text() == "0.00"
    with pytest.raises(InvalidValue, match="USD to EUR"):
        ten + Money.parse("1", "USD")
    with pytest.raises(InvalidValue, match="USD to EUR"):
        ten - Money.parse("1", "USD")


@pytest.mark.proves("I-40")
@given(st.lists(st.integers(-100, 100)))
def test_an_explained_number_is_the_sum_of_its_terms(amounts):
    number = explained(*(Term(name="part", amount=amount) for amount in amounts))
    assert number.value == sum(amounts)
    with pytest.raises(InvalidValue, match="add up"):
        Explained(value=number.value + 1, terms=number.terms)


def test_a_reference_reads_as_a_person_types_it():
    assert str(ChannelRef(account="shop-a", channel_order_id="1001")) == "shop-a:1001"
