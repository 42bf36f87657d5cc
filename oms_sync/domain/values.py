"""Small values everything else is made of: SKU, money, people, places, explained numbers.

Refuses what cannot mean anything (empty SKUs, non-finite or inexact money); knows no order, no
stock, and no channel.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import NewType

from oms_sync.domain.errors import InvalidValue

Sku = NewType("Sku", str)
"""Our stock-keeping unit: exact text, trimmed once at the edge, never re-cased."""

SKU_LENGTH_MAX = 255
QUANTITY_MAX = 1_000_000_000
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs"})
_CURRENCY = re.compile("[A-Z]{3}")
_EXPONENT_DEFAULT = 2
_EXPONENTS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}


def parse_sku(text: str) -> Sku:
    """Trim `text` once and accept it as a SKU; equality is on exact code points.

    Raises InvalidValue for empty text, control characters (NUL included), lone surrogates, and
    more than 255 characters.
    """
    trimmed = text.strip()
    if not trimmed:
        raise InvalidValue("a SKU cannot be empty")
    if len(trimmed) > SKU_LENGTH_MAX:
        raise InvalidValue(f"a SKU has at most {SKU_LENGTH_MAX} characters, not {len(trimmed)}")
    if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in trimmed):
        raise InvalidValue(f"a SKU cannot hold control characters: {trimmed!r}")
    return Sku(trimmed)


def currency_exponent(currency: str) -> int:
    """How many decimals the ISO 4217 `currency` has (2 for most, 0 for JPY, 3 for KWD)."""
    if not _CURRENCY.fullmatch(currency):
        raise InvalidValue(f"{currency!r} is not an ISO 4217 currency code such as USD")
    return _EXPONENTS.get(currency, _EXPONENT_DEFAULT)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency; never a float, never mixed with another currency."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        currency_exponent(self.currency)
        if not isinstance(self.amount, Decimal) or not self.amount.is_finite():
            raise InvalidValue(f"{self.amount!r} is not an exact, finite amount of money")

    @classmethod
    def parse(cls, text: str, currency: str) -> "Money":
        """Read a decimal string as the channel wrote it; raises InvalidValue."""
        try:
            return cls(Decimal(text), currency)
        except InvalidOperation as error:
            raise InvalidValue(f"{text!r} is not a decimal amount") from error

    @classmethod
    def from_minor(cls, minor: int, currency: str) -> "Money":
        """Build from integer minor units (cents), as the database keeps them."""
        return cls(Decimal(minor).scaleb(-currency_exponent(currency)), currency)

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Nothing, in `currency`."""
        return cls(Decimal(0), currency)

    def minor(self) -> int:
        """Integer minor units; raises InvalidValue when the amount is finer than the currency."""
        scaled = self.amount.scaleb(currency_exponent(self.currency))
        if scaled != scaled.to_integral_value():
            raise InvalidValue(f"{self.amount} is finer than {self.currency} allows")
        return int(scaled)

    def text(self) -> str:
        """The amount as a decimal string at the currency's exponent: 10.00, 1200, 0.125."""
        return f"{self.amount:.{currency_exponent(self.currency)}f}"

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.amount - other.amount, self.currency)

    def times(self, quantity: int) -> "Money":
        """This amount `quantity` times over."""
        return Money(self.amount * quantity, self.currency)

    def _same_currency(self, other: "Money") -> None:
        if other.currency != self.currency:
            raise InvalidValue(f"cannot add {other.currency} to {self.currency}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where goods go. Any part may be withheld by the channel."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    #: ISO 3166-1 alpha-2
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A buyer or a recipient: personal data, encrypted at rest, shown only when revealed."""

    name: str | None = None
    company: str | None = None
    email: str | None = None
    phone: str | None = None
    address: Address | None = None
    #: the channel's own id of this person, where it has one
    channel_buyer_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRef:
    """An order as the outside names it: which account, which channel order id."""

    account: str
    channel_order_id: str

    def __str__(self) -> str:
        return f"{self.account}:{self.channel_order_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of an explained number; the amounts of all terms add up to the value."""

    name: str
    amount: int
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A number together with where it comes from: `value == sum(term.amount)`, always."""

    value: int
    terms: tuple[Term, ...] = field(default=())

    def __post_init__(self) -> None:
        total = sum(term.amount for term in self.terms)
        if total != self.value:
            raise InvalidValue(f"the terms add up to {total}, not {self.value}")


def explained(*terms: Term) -> Explained:
    """The sum of `terms`, explained by them."""
    return Explained(value=sum(term.amount for term in terms), terms=terms)
