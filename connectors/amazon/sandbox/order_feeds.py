"""Order feeds: one XML message read, checked against the order's truth, done, and reported.

What Amazon refuses stands in the report; the feed itself is DONE.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lxml import etree

from connectors.amazon.sandbox.marketplace import CURRENCY, order_number
from connectors.amazon.sandbox.order_views import price_of, status_of
from oms_sync.sdk.sandbox import Refusal
from oms_sync.sdk.sandbox_records import Line, Order
from oms_sync.sdk.sandbox_sales import Sales
from oms_sync.sdk.sandbox_store import Store

CANCEL_FEED: Final = "POST_ORDER_ACKNOWLEDGEMENT_DATA"
ADJUST_FEED: Final = "POST_PAYMENT_ADJUSTMENT_DATA"
ORDER_FEEDS: Final = (CANCEL_FEED, ADJUST_FEED)
CANCEL_REASONS: Final = frozenset(
    "NoInventory ShippingAddressUndeliverable CustomerExchange BuyerCanceled GeneralAdjustment "
    "CarrierCreditDecision RiskAssessmentInformationNotValid CarrierCoverageFailure "
    "CustomerReturn MerchandiseNotReceived".split()
)
ADJUST_REASONS: Final = frozenset(
    "NoInventory BuyerCanceled CustomerReturn GeneralAdjustment CouldNotShip DifferentItem "
    "Abandoned CustomerCancel PriceError ProductOutofStock CustomerAddressIncorrect Exchange "
    "Other CarrierCreditDecision RiskAssessmentInformationNotValid CarrierCoverageFailure".split()
)
#: for units that go these two and no other
_UNIT_REASONS: Final = frozenset({"NoInventory", "BuyerCanceled"})
_OPEN: Final = ("UNSHIPPED", "PARTIALLY_SHIPPED")
_RESTOCKED: Final = "BuyerCanceled"


class Unreadable(Exception):
    """The document as a whole is refused: the feed ends FATAL."""


class Unwanted(Exception):
    """One message is refused, with Amazon's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidBack:
    """One refund as the books know it; money by line and kind of charge."""

    id: int
    at: datetime
    visible_at: datetime
    money: dict[Line, dict[str, Decimal]]

    @property
    def amount(self) -> Decimal:
        """Everything that went back."""
        return sum((each for kinds in self.money.values() for each in kinds.values()), Decimal(0))


@dataclass(slots=True, kw_only=True)
class OrderFeeds:
    """Works off order feeds, and keeps the refunds they made by order."""

    store: Store
    sales: Sales
    #: how late a refund shows among the financial events
    delay_seconds: float = 0.0
    paid_back: dict[int, list[PaidBack]] = field(default_factory=dict)

    def work_off(self, kind: str, content: bytes, seller: str) -> bytes:
        """Do what the one message says; gives the report."""
        root, message = _message(content, kind, seller)
        try:
            act: Callable[[], None] | None = self._act(kind, message)
            if act is not None and not (kind == CANCEL_FEED and self.store.faults.fires("F09")):
                with self.store.act():
                    act()
        except Unwanted as refused:
            return _report(root, refused)
        except Refusal as refusal:
            return _report(root, Unwanted("18028", f"The order cannot be changed: {refusal}"))
        return _report(root, None)

    def _act(self, kind: str, message: etree._Element) -> Callable[[], None] | None:
        order = self._order(message.findtext("AmazonOrderID"))
        if kind == CANCEL_FEED:
            return self._cancel(order, message)
        if message.findtext("ActionType") == "Cancel":
            return self._cancel_units(order, message)
        return self._refund(order, message)

    def _order(self, text: str | None) -> Order:
        order = self.store.orders.get(order_number(text or "") or 0)
        if order is None:
            raise Unwanted("18006", f"The order {text} does not exist.")
        if order.fulfilled_by == "channel":
            raise Unwanted("18018", "Orders fulfilled by Amazon cannot be changed by the seller.")
        return order

    # --- cancelling ------------------------------------------------------------------------------

    def _cancel(self, order: Order, message: etree._Element) -> Callable[[], None] | None:
        code = message.findtext("StatusCode")
        if code == "Success":
            return None
        if code != "Failure":
            raise Unwanted("90200", f"StatusCode {code!r} is neither Success nor Failure.")
        lines, reason = list(order.lines), ""
        for entry in message.findall("Item"):
            _line(order, entry)
            reason = entry.findtext("CancelReason") or ""
            if reason not in CANCEL_REASONS:
                raise Unwanted("90200", f"CancelReason {reason!r} is unknown.")
        self._check_open(order)
        if any(line.fulfilled for line in lines):
            raise Unwanted("18028", "Items of the order were shipped: it cannot be cancelled.")
        is_restocked = reason == _RESTOCKED
        return lambda: self.sales.cancel(str(order.id), restock=is_restocked, reason="SELLER")

    def _cancel_units(self, order: Order, message: etree._Element) -> Callable[[], None]:
        self._check_open(order)
        wanted: dict[Line, int] = {}
        reason = ""
        for entry in message.findall("AdjustedItem"):
            line, reason = _line(order, entry), entry.findtext("AdjustmentReason") or ""
            if reason not in _UNIT_REASONS:
                raise Unwanted("90200", f"AdjustmentReason {reason!r} cancels no units.")
            text = entry.findtext("QuantityCancelled") or ""
            count = int(text) if text.isascii() and text.isdecimal() else 0
            if not 0 < count <= line.unfulfilled:
                raise Unwanted("18030", f"QuantityCancelled {text!r} is not what is open.")
            wanted[line] = count

        def act() -> None:
            for line, count in wanted.items():
                self.store.release(order, line, count, restock=reason == _RESTOCKED)
            order.cancel_reason = "SELLER"
            if not any(line.unfulfilled for line in order.lines):
                order.closed_at = self.store.second()
            for work in order.work:
                work.holds.clear()
            self.store.tell("order.edited", order, {"additions": {}, "removals": wanted})
            self.store.changed(order)

        return act

    def _check_open(self, order: Order) -> None:
        status = status_of(order)
        if status not in _OPEN:
            raise Unwanted("18028", f"The order is {status}: it cannot be cancelled.")

    # --- paying back -----------------------------------------------------------------------------

    def _refund(self, order: Order, message: etree._Element) -> Callable[[], None]:
        if not any(line.fulfilled for line in order.lines):
            raise Unwanted("18029", "Nothing of the order was shipped: cancel it instead.")
        money: dict[Line, dict[str, Decimal]] = {}
        for entry in message.findall("AdjustedItem"):
            line, reason = _line(order, entry), entry.findtext("AdjustmentReason") or ""
            if reason not in ADJUST_REASONS:
                raise Unwanted("90200", f"AdjustmentReason {reason!r} is unknown.")
            for part in entry.findall("ItemPriceAdjustments/Component"):
                kinds = money.setdefault(line, {})
                kinds[part.findtext("Type") or ""] = _amount(part)
        paid = sum(
            (price_of(order, each) * (each.quantity - each.removed) for each in order.lines),
            Decimal(0),
        )
        known = self.paid_back.get(order.id, [])
        back = PaidBack(
            id=self.store.next_id(),
            at=self.store.second(),
            visible_at=self.store.now() + timedelta(seconds=self.delay_seconds),
            money=money,
        )
        if not 0 < back.amount <= paid - sum((each.amount for each in known), Decimal(0)):
            raise Unwanted("18031", "The adjustment is nothing, or more than is left of the price.")
        return lambda: self.paid_back.setdefault(order.id, []).append(back)

    def told(self, order: Order) -> list[dict[str, Any]]:
        """The refunds of an order, for the truth."""
        return [
            {"amount": f"{each.amount:.2f}", "currency": CURRENCY}
            for each in self.paid_back.get(order.id, [])
        ]


def _message(content: bytes, kind: str, seller: str) -> tuple[str, etree._Element]:
    name = "OrderAcknowledgement" if kind == CANCEL_FEED else "OrderAdjustment"
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(str(error)) from error
    if root.tag != "AmazonEnvelope" or root.findtext("MessageType") != name:
        raise Unreadable(f"the envelope is not one of {name}")
    if root.findtext("Header/MerchantIdentifier") != seller:
        raise Unreadable("the header names another seller")
    messages = root.findall("Message")
    found = messages[0].find(name) if len(messages) == 1 else None
    if found is None:
        raise Unreadable("one message is understood here, no more and no fewer")
    return messages[0].findtext("MessageID") or "", found


def _line(order: Order, entry: etree._Element) -> Line:
    code = entry.findtext("AmazonOrderItemCode")
    for line in order.lines:
        if str(line.id) == code:
            return line
    raise Unwanted("18008", f"The order has no item {code}.")


def _amount(part: etree._Element) -> Decimal:
    found = part.find("Amount")
    text = "" if found is None else found.text or ""
    if found is None or found.get("currency") != CURRENCY:
        raise Unwanted("90205", f"An amount must be in {CURRENCY}.")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise Unwanted("90205", f"{text!r} is no amount.") from None
    if not amount.is_finite() or amount <= 0 or amount != amount.quantize(Decimal("0.01")):
        raise Unwanted("90205", f"{text!r} is no amount that can be paid back.")
    return amount


def _report(message_id: str, refused: Unwanted | None) -> bytes:
    root = etree.Element("AmazonEnvelope")
    header = etree.SubElement(root, "Header")
    etree.SubElement(header, "DocumentVersion").text = "1.02"
    etree.SubElement(root, "MessageType").text = "ProcessingReport"
    message = etree.SubElement(root, "Message")
    etree.SubElement(message, "MessageID").text = "1"
    report = etree.SubElement(message, "ProcessingReport")
    etree.SubElement(report, "StatusCode").text = "Complete"
    summary = etree.SubElement(report, "ProcessingSummary")
    errors = 0 if refused is None else 1
    counts = {"Processed": 1, "Successful": 1 - errors, "WithError": errors, "WithWarning": 0}
    for name, count in counts.items():
        etree.SubElement(summary, f"Messages{name}").text = str(count)
    if refused is not None:
        result = etree.SubElement(report, "Result")
        etree.SubElement(result, "MessageID").text = message_id
        etree.SubElement(result, "ResultCode").text = "Error"
        etree.SubElement(result, "ResultMessageCode").text = refused.code
        etree.SubElement(result, "ResultDescription").text = str(refused)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
