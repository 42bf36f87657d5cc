"""Does the money of an order add up: what its total lacks or has too much, and why that may be.

Lines + shipping + tax − discounts = total, to the minor unit. What is left has a name and a bound;
what has none is flagged. Nothing is ever put right here, and no order waits for it.
"""

from dataclasses import dataclass
from decimal import Decimal

from oms_sync.domain.order import KnownOrder, money_residual
from oms_sync.domain.values import Money, currency_exponent

ROUNDING = "rounding"
TAX_APART = "tax_apart"
CANCELLED_UNITS = "cancelled_units"
REFUNDED = "refunded"
MIXED_CURRENCIES = "mixed_currencies"
UNEXPLAINED = "unexplained"
#: what a human has to look at
FLAGGED = frozenset({MIXED_CURRENCIES, UNEXPLAINED})
#: a price of one unit is off by half a minor unit at most
_ROUNDING_PER_UNIT = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What of an order's total its parts do not explain."""

    #: None where the parts are in several currencies
    residual: Money | None
    #: why that much is left; empty where nothing is
    name: str

    @property
    def is_flagged(self) -> bool:
        """True when nothing explains what is left."""
        return self.name in FLAGGED


def balance(order: KnownOrder) -> Balance | None:
    """Add up the order; None while its total, or the price of a line, is unknown."""
    if len(_currencies(order)) > 1:
        return Balance(residual=None, name=MIXED_CURRENCIES)
    residual = money_residual(order)
    if residual is None:
        return None
    return Balance(residual=residual, name=_name(order, residual))


def _currencies(order: KnownOrder) -> set[str]:
    facts = order.facts
    parts = [facts.total, facts.shipping, facts.tax, facts.discount]
    parts += [known.line.unit_price for known in order.lines]
    found = {part.currency for part in parts if part is not None}
    return found | ({facts.currency} if facts.currency else set())


def _name(order: KnownOrder, residual: Money) -> str:
    facts, left = order.facts, residual.amount
    if left == 0:
        return ""
    zero = Money.zero(residual.currency)
    slack = _slack(order, residual.currency)
    if abs(left) <= slack:
        return ROUNDING
    tax = (facts.tax or zero).amount
    if tax and abs(left + tax) <= slack:
        return TAX_APART  # collected and remitted by the channel, and never in the total
    if order.is_cancelled and facts.total is not None and facts.total.amount == 0:
        return REFUNDED  # given back in full, after which some channels' total reads 0
    # Units out of the total and still counted as ordered; the tax may still have their share.
    share = Decimal(0) if facts.are_taxes_included else tax
    if any(gone and -share - slack <= left + gone <= slack for gone in _cancelled(order)):
        return CANCELLED_UNITS
    return UNEXPLAINED


def _slack(order: KnownOrder, currency: str) -> Decimal:
    """The most that rounding can make of it.

    The price of one unit may be a rounded share of its line's; of a single unit it is exact.
    """
    units = sum(
        ordered for known in order.lines if (ordered := known.line.quantity_ordered or 0) > 1
    )
    return (_ROUNDING_PER_UNIT * units).scaleb(-currency_exponent(currency))


def _cancelled(order: KnownOrder) -> tuple[Decimal, Decimal]:
    """The price of the units that left unshipped: by the lines' word, and by the order's.

    That an order is cancelled may be known before its total is read again.
    """
    by_line = by_order = Decimal(0)
    for known in order.lines:
        line = known.line
        if line.unit_price is None:
            continue
        has_left = order.has_left(known)
        gone = (line.quantity_ordered if has_left else line.quantity_cancelled) or 0
        by_line += line.unit_price.times(gone).amount
        gone = (line.quantity_ordered if order.is_cancelled else gone) or 0
        by_order += line.unit_price.times(gone).amount
    return by_line, by_order
