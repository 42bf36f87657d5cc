"""An order as GetOrders shows it, and the lies of F33 and F42."""

import re
from datetime import datetime
from decimal import Decimal
from itertools import cycle
from typing import Final

from connectors.ebay.sandbox.books import Books, Sheet, is_cancelled, is_gone, subtotal
from connectors.ebay.sandbox.markup import Markup, fill, join
from oms_sync.sdk.sandbox_records import Line, Order, Variant

#: from this compatibility level on totals include the tax eBay collects
TAX_IN_TOTALS_FROM: Final = 1307
TAX_RATE: Final = Decimal("0.08875")
SHIPPING: Final = Decimal("4.95")
_ZERO: Final = Decimal(0)
_MILLISECONDS: Final = re.compile(r"(T\d\d:\d\d:\d\d)\.\d{3}Z<")
_BELL: Final = "\x07"


class OrderViews:
    """Makes the XML of orders."""

    def __init__(self, books: Books) -> None:
        self._books, self._faults = books, books.store.faults
        self._oddities = cycle(("bell", "empty", "word"))

    def order(self, order: Order, level: int) -> Markup:
        """One order, sometimes odd in a way real answers are."""
        shown = self._shown(order, level)
        if self._faults.fires("F33"):
            shown = Markup(_MILLISECONDS.sub(r"\1Z<", shown))
        if self._faults.fires("F42"):
            shown = self._odd(shown)
        return shown

    def _odd(self, shown: str) -> Markup:
        """A control character, an empty time, or a word outside every list of words."""
        kind = next(self._oddities)
        if kind == "bell":
            shown = shown.replace("<Name>", f"<Name>{_BELL}", 1)
        elif kind == "empty" and "<ShippedTime>" not in shown:
            shown = shown.replace("<EIASToken>", "<ShippedTime/><EIASToken>", 1)
        else:
            shown = shown.replace(">CreditCard<", ">CustomCode<")
        return Markup(shown)

    def _shown(self, order: Order, level: int) -> Markup:
        sheet, is_off = self._books.sheets[order.id], is_cancelled(order)
        items = subtotal(order, sheet)
        wanted = [line for line in order.lines if is_off or not is_gone(line)]
        tax = sum((_tax(line, sheet) for line in wanted), _ZERO)
        total = items + SHIPPING + (tax if level >= TAX_IN_TOTALS_FROM else _ZERO)
        refunded = sum((each.amount for each in order.refunds), _ZERO)
        has_refunds = bool(order.refunds) and not is_off
        return fill(
            "Order",
            **order.buyer,
            name=sheet.name,
            # a held payment reads Completed all the same: the hold stands elsewhere
            status="Cancelled" if is_off else "Completed" if order.is_paid else "Active",
            adjustment=-refunded,
            paid=total if order.is_paid and not is_off else _ZERO,
            modified_at=order.updated_at,
            method="CreditCard" if order.is_paid else "None",
            # a cancelled order that was paid still reads Complete, as in reality
            checkout="Complete" if order.is_paid else "Incomplete",
            shipping=SHIPPING,
            number=order.number,
            created_at=order.created_at,
            subtotal=items,
            total=_ZERO if is_off and order.is_paid else total,
            lines=join(self._line(order, sheet, line) for line in order.lines),
            paid_at=sheet.paid_at,
            shipped_at=_shipped_at(sheet, wanted),
            hold=_hold(order),
            refunded=refunded if has_refunds else None,
            refund_status="Successful" if has_refunds else None,
            is_abroad=sheet.goes_abroad,
            legs=_legs(order) if sheet.goes_abroad else None,
            payments=_payments(order, sheet, total),
            seller=self._books.store.options.account,
            cancel_reason="BuyerCancelOrder" if is_off or sheet.is_cancel_asked else None,
            cancel_status=_cancel_status(order, sheet),
            count=len(order.lines),
        )

    def _line(self, order: Order, sheet: Sheet, line: Line) -> Markup:
        variant, name = line.variant, self._books.line_name(line)
        listing = self._books.listings[int(name.partition("-")[0])]
        title, parcels = listing.title, (each for each in sheet.parcels if each.line is line)
        variation = fill(
            "Variation",
            sku=variant.sku or None,
            style=style_of(variant),
            title=title,
            price=None,
            quantity=None,
            sold=None,
        )
        return fill(
            "Transaction",
            **order.buyer,
            number=order.number,
            tracking=join(
                fill("Tracking", carrier=each.carrier, number=each.number) for each in parcels
            ),
            created_at=order.created_at,
            item=listing.id,
            title=title,
            sku=None if listing.has_variations else variant.sku or None,
            units=sheet.purchased[line.id],
            hold=_hold(order),
            cancel_status="CancelComplete" if is_gone(line) else None,
            transaction=line.id,
            price=variant.price,
            paid_at=sheet.paid_at,
            shipped_at=sheet.shipped_at.get(line.id),
            variation=variation if listing.has_variations else None,
            shipping=SHIPPING if line is order.lines[0] else _ZERO,
            line=name,
            name=sheet.name,
            tax=_tax(line, sheet),
        )


def style_of(variant: Variant) -> str:
    """What tells a variation from its neighbours, though its seller gave it no SKU."""
    return variant.sku or f"No. {variant.id}"


def _legs(order: Order) -> Markup:
    """The programme's own hall: goods go there, never to the buyer abroad."""
    buyer = order.buyer
    name = f"{buyer['first_name']} {buyer['last_name']}"
    return fill("Legs", name=name, reference=f"PGSP US{order.id}")


def _payments(order: Order, sheet: Sheet, total: Decimal) -> Markup | None:
    if sheet.paid_at is None:
        return None
    refunds = join(
        fill("Refund", at=each.created_at, amount=each.amount, reference=each.id)
        for each in order.refunds
    )
    paid_at, reference = sheet.paid_at, order.id
    return fill(
        "MonetaryDetails", paid_at=paid_at, amount=total, reference=reference, refunds=refunds
    )


def _cancel_status(order: Order, sheet: Sheet) -> str:
    if not is_cancelled(order):
        return "CancelRequested" if sheet.is_cancel_asked else "NotApplicable"
    return "CancelClosedWithRefund" if order.is_paid else "CancelClosedForCommitment"


def _hold(order: Order) -> str:
    return "PaymentReview" if order.state == "held" else "None"


def _shipped_at(sheet: Sheet, lines: list[Line]) -> datetime | None:
    """The order's own time appears only when every line has one."""
    times = [sheet.shipped_at.get(line.id) for line in lines]
    known = [each for each in times if each is not None]
    return max(known) if lines and len(known) == len(lines) else None


def _tax(line: Line, sheet: Sheet) -> Decimal:
    """What eBay collects for a line and pays to the state itself."""
    amount = line.variant.price * sheet.purchased[line.id]
    return (amount * TAX_RATE).quantize(Decimal("0.01"))
