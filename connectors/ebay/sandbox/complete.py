"""CompleteSale: shipped, tracking (always the whole set of its target), paid."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from connectors.ebay.sandbox.books import Books, Parcel, Sheet, is_cancelled, is_gone
from connectors.ebay.sandbox.markup import Markup
from connectors.ebay.sandbox.sales import SellerSales
from connectors.ebay.sandbox.shapes import Asked
from connectors.ebay.sandbox.wrongs import Refused, invalid, wrong
from oms_sync.sdk.sandbox_records import Line, Order

CARRIER: Final = re.compile(r"[A-Za-z0-9 -]{1,64}")
NUMBER: Final = re.compile(r"[A-Za-z0-9]{1,64}")
#: site ids where a carrier may be any text
FREE_CARRIER_SITES: Final = ("3", "16", "212")
FUTURE_MAX: Final = timedelta(days=3)
PACKAGES_MAX: Final = 50

Target = tuple[Order, list[Line]]


class CompleteSale:
    """Answers the call; `site` is the request's site id."""

    def __init__(self, books: Books, sales: SellerSales) -> None:
        self._books, self._store, self._sales = books, books.store, sales

    def __call__(self, asked: Asked, site: str) -> Markup:
        order, lines = self._target(asked)
        if is_cancelled(order):
            raise Refused(wrong(21917328, "A cancelled order cannot be completed."))
        sheet = self._books.sheets[order.id]
        shipment = asked.all("Shipment")
        packages = self._packages(shipment[0], order, site) if shipment else []
        shipped = asked.flag("Shipped")
        if asked.flag("Paid") is False:
            raise invalid("Paid", "an order cannot be marked as unpaid")
        if self._store.faults.fires("F09"):
            return Markup("")  # reported as done, and dropped
        if asked.flag("Paid") and not order.is_paid:
            self._sales.pay(sheet.name)
        if shipment:
            self._set_packages(sheet, lines, packages)
        if packages or shipped:
            self.ship(order, lines)
        elif shipped is False:
            self._take_back(order, lines)
        self._store.changed(order)
        return Markup("")

    def _target(self, asked: Asked) -> Target:
        """OrderID wins, then OrderLineItemID, then ItemID with TransactionID."""
        name, line_name = asked.text("OrderID"), asked.text("OrderLineItemID")
        if name:
            order = self._books.find(name)
            if order is None:
                raise Refused(wrong(21917327, f"There is no order {name}.", ("OrderID", name)))
            return order, [line for line in order.lines if not is_gone(line)]
        if not line_name:
            item, transaction = asked.text("ItemID"), asked.text("TransactionID")
            if not item or not transaction:
                raise invalid("OrderID", "an order, a line, or ItemID and TransactionID")
            line_name = f"{item}-{transaction}"
        found = self._books.find_line(line_name)
        if found is None:
            about = ("OrderLineItemID", line_name)
            raise Refused(wrong(21917327, f"There is no line {line_name}.", about))
        return found[0], [found[1]]

    def _packages(self, shipment: Asked, order: Order, site: str) -> list[tuple[str, str]]:
        shipped_at = shipment.time("ShippedTime")
        if shipped_at and shipped_at > self._store.now() + FUTURE_MAX:
            raise invalid("ShippedTime", "at most 3 days from now")
        details = shipment.all("ShipmentTrackingDetails")
        if len(details) > PACKAGES_MAX:
            raise invalid("ShipmentTrackingDetails", f"at most {PACKAGES_MAX}")
        packages = [
            (each.text("ShippingCarrierUsed") or "", each.text("ShipmentTrackingNumber") or "")
            for each in details
        ]
        for carrier, number in packages:
            if not NUMBER.fullmatch(number):
                raise invalid("ShipmentTrackingNumber", "letters and digits only, and a carrier")
            if not carrier or not (site in FREE_CARRIER_SITES or CARRIER.fullmatch(carrier)):
                raise invalid("ShippingCarrierUsed", "letters, digits, blanks and dashes only")
            if not self._books.claim(number, order):
                about = ("ShipmentTrackingNumber", number)
                raise Refused(wrong(21916964, f"{number} belongs to another order.", about))
        return packages

    def _set_packages(
        self, sheet: Sheet, lines: list[Line], packages: Iterable[tuple[str, str]]
    ) -> None:
        """The new set replaces the old one of every line aimed at; an empty one deletes it."""
        packages, group = list(dict.fromkeys(packages)), self._store.next_id()
        for line in lines:
            old = {(each.carrier, each.number): each for each in sheet.parcels if each.line is line}
            sheet.parcels = [each for each in sheet.parcels if each.line is not line]
            sheet.parcels += [
                old.get((carrier, number))
                or Parcel(
                    id=self._store.next_id(),
                    line=line,
                    carrier=carrier,
                    number=number,
                    shipped_at=self._store.second(),
                    group=group,
                )
                for carrier, number in packages
            ]

    def ship(self, order: Order, lines: Iterable[Line]) -> None:
        """Mark lines as shipped, with all their units; the first time counts."""
        sheet = self._books.sheets[order.id]
        for line in lines:
            sheet.shipped_at.setdefault(line.id, self._store.second())
            line.fulfilled = line.quantity - line.removed
            self._settle_work(order, line, is_open=False)

    def _take_back(self, order: Order, lines: Iterable[Line]) -> None:
        for line in lines:
            self._books.sheets[order.id].shipped_at.pop(line.id, None)
            line.fulfilled = 0
            self._settle_work(order, line, is_open=True)

    def _settle_work(self, order: Order, line: Line, *, is_open: bool) -> None:
        for work in order.work:
            for each in work.lines:
                if each.line is line:
                    each.remaining = each.total if is_open else 0
