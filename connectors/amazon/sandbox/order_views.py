"""Orders as the 2026-01-01 API shows them: nothing that `includedData` did not ask for."""

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from connectors.amazon.sandbox.marketplace import (
    MARKETPLACE_ID,
    MARKETPLACES,
    asin,
    money,
    order_id,
    stamp,
)
from oms_sync.sdk.sandbox_records import Dispatch, Line, Order

DATA_SETS: Final = tuple(
    "BUYER RECIPIENT PROCEEDS EXPENSE PROMOTION CANCELLATION FULFILLMENT PACKAGES TAX PAYMENT "
    "FULFILLMENT_ORDERS".split()
)
STATUSES: Final = tuple(
    "PENDING_AVAILABILITY PENDING UNSHIPPED PARTIALLY_SHIPPED SHIPPED CANCELLED "
    "UNFULFILLABLE".split()
)
SHIP_WITHIN: Final = timedelta(days=2)
DELIVER_WITHIN: Final = timedelta(days=7)
#: tags that stand for what only Amazon's orders have
PREORDER: Final = "PREORDER"
PROGRAMS: Final = ("PRIME", "PREMIUM", PREORDER)
REPLACES: Final = "REPLACES "
SOLD_IN: Final = "SOLD IN "
_CANCELLED_BY: Final = {"CUSTOMER": "BUYER", "SELLER": "MERCHANT"}


def status_of(order: Order) -> str:
    if order.state == "cancelled":
        return "CANCELLED"
    if not order.is_paid:
        return "PENDING_AVAILABILITY" if PREORDER in order.tags else "PENDING"
    if order.state == "closed":
        return "SHIPPED"
    return "PARTIALLY_SHIPPED" if any(line.fulfilled for line in order.lines) else "UNSHIPPED"


def programs_of(order: Order) -> list[str]:
    return [each for each in PROGRAMS if each in order.tags]


def original_of(order: Order) -> str | None:
    """The order this one replaces, for nothing."""
    found = (tag.removeprefix(REPLACES) for tag in order.tags if tag.startswith(REPLACES))
    return next(found, None)


def sold_in(order: Order) -> str:
    """The marketplace; the main one where no tag says another."""
    found = (tag.removeprefix(SOLD_IN) for tag in order.tags if tag.startswith(SOLD_IN))
    return next(found, MARKETPLACE_ID)


def price_of(order: Order, line: Line) -> Decimal:
    return Decimal(0) if original_of(order) is not None else line.variant.price


def requested_lines(order: Order) -> set[int]:
    """The ids of lines whose buyer asked for a cancellation: a hold on their open work."""
    held = (work for work in order.work if work.status == "ON_HOLD")
    return {each.line.id for work in held for each in work.lines if each.remaining}


def fulfiller_of(order: Order) -> str:
    return "AMAZON" if order.fulfilled_by == "channel" else "MERCHANT"


def view_order(order: Order, included: Collection[str]) -> dict[str, Any]:
    is_known = order.is_paid  # before, Amazon tells no price, no buyer and no address
    requested = requested_lines(order)
    shown: dict[str, Any] = {
        "orderId": order_id(order),
        "createdTime": stamp(order.created_at),
        "lastUpdatedTime": stamp(order.updated_at),
        "salesChannel": {
            "channelName": "AMAZON",
            "marketplaceId": sold_in(order),
            "marketplaceName": MARKETPLACES[sold_in(order)][0],
        },
        "orderItems": [
            _line(order, line, included, is_requested=line.id in requested) for line in order.lines
        ],
    }
    if programs_of(order):
        shown["programs"] = programs_of(order)
    original = original_of(order)
    if original is not None:
        kind = "REPLACEMENT_ORIGINAL_ID"
        shown["associatedOrders"] = [{"orderId": original, "associationType": kind}]
    if "BUYER" in included and is_known:
        shown["buyer"] = _buyer(order)
    if "RECIPIENT" in included and is_known:
        shown["recipient"] = {"deliveryAddress": _address(order)}
    if "PROCEEDS" in included and is_known:
        shown["proceeds"] = _proceeds(order)
    if "FULFILLMENT" in included:
        shown["fulfillment"] = _fulfilment(order)
    if "PACKAGES" in included and order.dispatches:
        shown["packages"] = [_package(each) for each in order.dispatches]
    return shown


def _fulfilment(order: Order) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "fulfillmentStatus": status_of(order),
        "fulfilledBy": fulfiller_of(order),
        "fulfillmentServiceLevel": "STANDARD",
    }
    if order.is_paid:
        begin = order.created_at
        for name, within in (("ship", SHIP_WITHIN), ("deliver", DELIVER_WITHIN)):
            window = {"earliestDateTime": stamp(begin), "latestDateTime": stamp(begin + within)}
            shown[f"{name}ByWindow"] = window
    return shown


def _address(order: Order) -> dict[str, str]:
    buyer = order.buyer
    shown = {
        "name": f"{buyer['first_name']} {buyer['last_name']}",
        "addressLine1": buyer["address1"],
        "city": buyer["city"],
        "stateOrRegion": buyer["province_code"],
        "postalCode": buyer["zip"],
        "countryCode": buyer["country_code"],
        "addressType": "RESIDENTIAL",
    }
    return shown if order.fulfilled_by == "channel" else shown | {"phone": buyer["phone"]}


def _buyer(order: Order) -> dict[str, str]:
    buyer = order.buyer
    name = f"{buyer['first_name']} {buyer['last_name']}"
    return {"buyerName": name, "buyerEmail": buyer["email"]}


def _subtotal(order: Order, line: Line) -> Decimal:
    return price_of(order, line) * (line.quantity - line.removed)


def _proceeds(order: Order) -> dict[str, Any]:
    total = sum((_subtotal(order, line) for line in order.lines), Decimal(0))
    return {"grandTotal": money(total), "breakdowns": [{"type": "ITEM", "subtotal": money(total)}]}


def _line(
    order: Order, line: Line, included: Collection[str], *, is_requested: bool
) -> dict[str, Any]:
    variant = line.variant
    product: dict[str, Any] = {
        "asin": asin(variant.sku),
        "title": variant.title,
        "sellerSku": variant.sku,
        "condition": {"conditionType": "NEW"},
    }
    if order.is_paid:
        product["price"] = {"unitPrice": money(price_of(order, line))}
    shown: dict[str, Any] = {
        "orderItemId": str(line.id),
        "quantityOrdered": line.quantity,
        "product": product,
    }
    if "PROCEEDS" in included and order.is_paid:
        total = money(_subtotal(order, line))
        shown["proceeds"] = {
            "proceedsTotal": total,
            "breakdowns": [{"type": "ITEM", "subtotal": total}],
        }
    if "CANCELLATION" in included and (is_requested or line.removed):
        shown["cancellation"] = _cancellation(order, line, is_requested=is_requested)
    if "FULFILLMENT" in included:
        shown["fulfillment"] = {
            "quantityFulfilled": line.fulfilled,
            "quantityUnfulfilled": line.unfulfilled,
        }
    return shown


def _cancellation(order: Order, line: Line, *, is_requested: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if is_requested:
        shown["cancellationRequest"] = {"requester": "BUYER", "cancelReason": "No longer needed"}
    if line.removed:
        by = _CANCELLED_BY.get(order.cancel_reason or "SELLER", "AMAZON")
        shown["cancellationExecution"] = {"cancelledBy": by, "cancelReason": "CANCELLED"}
    return shown


def _package(dispatch: Dispatch) -> dict[str, Any]:
    package = dispatch.packages[0]
    shown: dict[str, Any] = {
        "packageReferenceId": dispatch.name,
        "createdTime": stamp(dispatch.created_at),
        "packageStatus": {"status": "SHIPPED"},
        "carrier": package["company"],
        "shipTime": package["shipped_at"],
        "trackingNumber": package["number"],
        "packageItems": [
            {"orderItemId": str(sent.work_line.line.id), "quantity": sent.quantity}
            for sent in dispatch.lines
        ],
    }
    if package["service"]:
        shown["shippingService"] = package["service"]
    return shown
