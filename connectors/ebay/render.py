"""What is asked of eBay, written as the children of a Trading request, or as JSON. Pure.

Elements stand in the order of the schema, texts are escaped: the SDK's own writer does neither.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from lxml import etree

from oms_sync.sdk import MappingTable, Money, OutgoingPackage, OutgoingRefund, Rejected

#: an element: its name and its text, or its name and its children
Element: TypeAlias = "tuple[str, str | Sequence[Element]]"

ORDERS_PER_PAGE: Final = 100
LISTINGS_PER_PAGE: Final = 200
CARRIER_FALLBACK: Final = "Other"
#: for reasons eBay has no word for: what it calls not being able to serve an order
CANCEL_FALLBACK: Final = "OUT_OF_STOCK_OR_CANNOT_FULFILL"
UNPAID: Final = "ORDER_UNPAID"
REFUND_FALLBACK: Final = "OTHER_ADJUSTMENT"
COMMENT_MAX: Final = 100
_LANGUAGE: Final[Element] = ("ErrorLanguage", "en_US")
_ALL: Final[Element] = ("DetailLevel", "ReturnAll")
_NOT_ALPHANUMERIC: Final = re.compile("[^0-9A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time orders are listed by."""

    #: "ModTime" or "CreateTime"; of two of them eBay ignores one, so there is only one
    field: str
    start: datetime
    until: datetime


def list_orders(window: Window, page: int, per_page: int = ORDERS_PER_PAGE) -> str:
    """Children of GetOrders for one page of a window.

    eBay sorts by change whatever the window is of. By change the oldest come first. By creation an
    order that changes stays in the window: coming last first it moves to where the reader was, and
    hides none behind it; what it became is in the feed of changes.
    """
    pages: Element = ("Pagination", [("EntriesPerPage", str(per_page)), ("PageNumber", str(page))])
    span: list[Element] = [
        (f"{window.field}From", stamp(window.start)),
        (f"{window.field}To", stamp(window.until)),
    ]
    order: list[Element] = [("OrderRole", "Seller"), ("OrderStatus", "All"), pages]
    # The schema has creation before the page, and modification behind it.
    if window.field == "CreateTime":
        return _body(_ALL, _LANGUAGE, *span, *order, ("SortingOrder", "Descending"))
    return _body(_ALL, _LANGUAGE, *order, *span, ("SortingOrder", "Ascending"))


def orders_by_id(order_ids: Iterable[str]) -> str:
    """Children of GetOrders for single orders; eBay ignores every other filter beside ids."""
    ids: list[Element] = [("OrderID", each) for each in order_ids]
    return _body(_ALL, _LANGUAGE, ("OrderIDArray", ids))


def active_listings(page: int, per_page: int = LISTINGS_PER_PAGE) -> str:
    """Children of GetMyeBaySelling for one page of what is on sale, oldest first."""
    pages: Element = ("Pagination", [("EntriesPerPage", str(per_page)), ("PageNumber", str(page))])
    # Sorted by their start, new listings come last and move nothing.
    wanted: list[Element] = [("Include", "true"), ("Sort", "StartTime"), pages]
    return _body(_LANGUAGE, ("ActiveList", wanted), ("HideVariations", "false"))


def one_listing(item_id: str) -> str:
    """Children of GetItem."""
    return _body(_LANGUAGE, ("ItemID", item_id))


def who_we_are() -> str:
    """Children of GetUser."""
    return _body(_LANGUAGE)


def preferences() -> str:
    """Children of GetUserPreferences: whether a listing may stand at 0."""
    unwanted: list[Element] = [
        (f"Show{name}", "false")
        for name in (
            "BidderNoticePreferences",
            "CombinedPaymentPreferences",
            "SellerPaymentPreferences",
            "SellerProfilePreferences",
        )
    ]
    return _body(_LANGUAGE, *unwanted, ("ShowOutOfStockControlPreference", "true"))


def quantities(nodes: Iterable[tuple[str, str | None, int]]) -> str:
    """Children of ReviseInventoryStatus: ItemID, SKU of a variation, units on sale from now on."""
    return _body(
        _LANGUAGE,
        *(
            (
                "InventoryStatus",
                [
                    *([("SKU", sku)] if sku else []),
                    ("ItemID", item_id),
                    ("Quantity", str(quantity)),
                ],
            )
            for item_id, sku, quantity in nodes
        ),
    )


def shipped(line_id: str, shipped_at: datetime, tracking: Iterable[tuple[str, str]]) -> str:
    """Children of CompleteSale for one line; `tracking` is complete, for it replaces the old."""
    details: list[Element] = [
        (
            "ShipmentTrackingDetails",
            [("ShippingCarrierUsed", carrier), ("ShipmentTrackingNumber", number)],
        )
        for carrier, number in tracking
    ]
    return _body(
        _LANGUAGE,
        ("Shipped", "true"),
        ("Shipment", [("ShippedTime", stamp(shipped_at)), *details]),
        ("OrderLineItemID", line_id),
    )


def price_quantity(sku: str, quantity: int, offer_ids: Sequence[str]) -> dict[str, Any]:
    """The payload of bulk_update_price_quantity for one SKU.

    What is listed is the lower of the two numbers, so both are set.
    """
    wanted: dict[str, Any] = {"sku": sku, "shipToLocationAvailability": {"quantity": quantity}}
    if offer_ids:
        wanted["offers"] = [{"offerId": each, "availableQuantity": quantity} for each in offer_ids]
    return {"requests": [wanted]}


def variations(item_id: str, quantities: Iterable[tuple[str, int]]) -> str:
    """Children of ReviseFixedPriceItem: units on sale of each SKU; unnamed variations stay."""
    changed: list[Element] = [
        ("Variation", [("SKU", sku), ("Quantity", str(quantity))]) for sku, quantity in quantities
    ]
    return _body(_LANGUAGE, ("Item", [("ItemID", item_id), ("Variations", changed)]))


def cancellation(order_id: str, reason: str | None, *, paid_at: str | None) -> dict[str, Any]:
    """The payload that cancels an order; `paid_at` as eBay wrote it, None of an unpaid one."""
    if reason is None or (reason == UNPAID and paid_at is not None):
        reason = CANCEL_FALLBACK
    payload = {"legacyOrderId": order_id, "cancelReason": reason, "buyerPaid": paid_at is not None}
    return payload | ({"buyerPaidDate": {"value": paid_at}} if paid_at else {})


def refund(refund: OutgoingRefund, reason: str | None, *, is_single: bool) -> dict[str, Any]:
    """The payload of issue_refund: of the order, or of each line where it has several.

    Of lines eBay knows no part for shipping: what is no line's own goes to the first of them. It
    refuses a part of nothing.
    """
    payload: dict[str, Any] = {"reasonForRefund": reason or REFUND_FALLBACK}
    if refund.note:
        payload["comment"] = refund.note[:COMMENT_MAX]
    if is_single or not refund.line_amounts:
        return payload | {"orderLevelRefundAmount": _amount(refund.amount)}
    first, *others = refund.line_amounts
    rest = refund.amount
    for line_id in others:
        rest = rest - refund.line_amounts[line_id]
    parts = {first: rest, **{line_id: refund.line_amounts[line_id] for line_id in others}}
    paid = [_refund_of(*each) for each in parts.items() if each[1].amount]
    return payload | {"refundItems": paid}


def _refund_of(line_id: str, amount: Money) -> dict[str, Any]:
    item_id, _, transaction_id = line_id.partition("-")
    reference = {"legacyItemId": item_id, "legacyTransactionId": transaction_id}
    return {"refundAmount": _amount(amount), "legacyReference": reference}


def _amount(amount: Money) -> dict[str, str]:
    return {"value": amount.text(), "currency": amount.currency}


def plain_number(number: str | None) -> str:
    """A tracking number as eBay takes it: letters and digits alone."""
    return _NOT_ALPHANUMERIC.sub("", number or "").upper()


def tracking_of(
    packages: Iterable[OutgoingPackage], carriers: MappingTable
) -> dict[str, tuple[str, str]]:
    """Each package's own number → carrier and number for eBay: always both, or neither."""
    names = carriers.reverse().entries
    return {
        package.tracking_number: (names.get(package.carrier, CARRIER_FALLBACK), number)
        for package in packages
        if package.tracking_number and (number := plain_number(package.tracking_number))
    }


def complete_set(
    known: Iterable[tuple[str, str]],
    new: Iterable[tuple[str, str]],
    *,
    without: frozenset[str] = frozenset(),
) -> list[tuple[str, str]]:
    """Every tracking of a line, those already there first, each number once.

    `without` are numbers that go; a new one that is among them stays.
    """
    by_number: dict[str, tuple[str, str]] = {}
    kept = ((carrier, number) for carrier, number in known if plain_number(number) not in without)
    for carrier, number in (*kept, *new):
        by_number.setdefault(plain_number(number), (carrier, number))
    return list(by_number.values())


def stamp(instant: datetime) -> str:
    """An instant as eBay writes them, cut off at milliseconds and never rounded up."""
    whole = instant.astimezone(UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{whole.microsecond // 1000:03d}Z"


def subscription(topic: str, destination_id: str) -> Mapping[str, Any]:
    """The payload that subscribes to a topic of the Notification API."""
    payload = {"format": "JSON", "schemaVersion": "1.0", "deliveryProtocol": "HTTPS"}
    return {
        "topicId": topic,
        "destinationId": destination_id,
        "status": "ENABLED",
        "payload": payload,
    }


def destination(name: str, url: str, verification_token: str) -> Mapping[str, Any]:
    """The payload that makes or mends a destination of the Notification API."""
    delivery = {"endpoint": url, "verificationToken": verification_token}
    return {"name": name, "status": "ENABLED", "deliveryConfig": delivery}


def _body(*elements: Element) -> str:
    try:
        written = (etree.tostring(_build(each), encoding="unicode") for each in elements)
        return "".join(written)
    except ValueError as error:  # a character XML cannot carry
        raise Rejected(f"this cannot be written to eBay: {error}") from error


def _build(element: Element) -> etree._Element:
    name, content = element
    built = etree.Element(name)
    if isinstance(content, str):
        built.text = content
    else:
        built.extend([_build(each) for each in content])
    return built
