"""The Fulfilment API: one order by id. Orders whose payment is pending do not exist here."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from connectors.ebay.sandbox.books import Books, Sheet, is_cancelled, is_gone, subtotal
from connectors.ebay.sandbox.markup import CURRENCY, stamp
from connectors.ebay.sandbox.order_views import SHIPPING
from connectors.ebay.sandbox.rest import USER, RestCall, make_door, show
from connectors.ebay.sandbox.wrongs import RestError
from oms_sync.sdk.sandbox_records import Line, Order
from oms_sync.sdk.sandbox_wire import Reply

#: a numeric id of its own, beside the OrderLineItemID
_LINE_PREFIX: Final = "10"
_DELIVERED_WITHIN: Final = timedelta(days=5)
_NOTHING: Final = Decimal(0)


def rest_line_id(line: Line) -> str:
    """`lineItemId`: not the OrderLineItemID."""
    return f"{_LINE_PREFIX}{line.id}"


class FulfilmentDoors:
    """The operations."""

    def __init__(self, books: Books) -> None:
        self._books, self._store = books, books.store
        where = "GET /sell/fulfillment/v1/order/{order}"
        self.doors = (make_door("getOrder", where, self._get, ("sell", "fulfillment"), USER),)

    def _order(self, call: RestCall) -> tuple[Order, Sheet]:
        """Orders whose payment is pending do not exist here."""
        order = self._books.find(call.path[0])
        if order is None or not order.is_paid or order.visible_at > self._store.now():
            raise RestError(32100)
        return order, self._books.sheets[order.id]

    def _get(self, call: RestCall) -> Reply:
        order, sheet = self._order(call)
        items = subtotal(order, sheet)
        total, payment = items + SHIPPING, _payment(order)
        cancelled = is_cancelled(order)
        lines = [line for line in order.lines if cancelled or not is_gone(line)]
        shipped = [line for line in lines if line.id in sheet.shipped_at]
        state = "NOT_STARTED" if not shipped else "IN_PROGRESS"
        shown: dict[str, Any] = {"orderId": sheet.name}
        shown |= {"creationDate": stamp(order.created_at)}
        shown |= {"lastModifiedDate": stamp(order.updated_at)}
        shown |= {"orderFulfillmentStatus": "FULFILLED" if shipped == lines else state}
        shown |= {"orderPaymentStatus": payment, "sellerId": self._store.options.account}
        shown |= {"buyer": _buyer(order), "totalFeeBasisAmount": _amount(total)}
        shown |= {"fulfillmentStartInstructions": [{"fulfillmentInstructionsType": "SHIP_TO"}]}
        parts = {"priceSubtotal": _amount(items), "deliveryCost": _amount(SHIPPING)}
        shown |= {"pricingSummary": parts | {"total": _amount(total)}}
        paid = {"amount": _amount(total), "paymentMethod": "CREDIT_CARD", "paymentStatus": "PAID"}
        refunds = [
            {"amount": _amount(each.amount), "refundDate": stamp(each.created_at)}
            for each in order.refunds
        ]
        due = total - sum(each.amount for each in order.refunds)
        payments = {"payments": [paid], "refunds": refunds, "totalDueSeller": _amount(due)}
        shown |= {"paymentSummary": payments}
        cancel = "CANCELED" if cancelled else "NONE_REQUESTED"
        shown |= {"cancelStatus": {"cancelState": cancel, "cancelRequests": []}}
        promised = stamp(order.created_at + _DELIVERED_WITHIN)
        listed = [self._line(sheet, line, promised, line is lines[0]) for line in lines]
        return show(200, shown | {"lineItems": listed})

    def _line(
        self, sheet: Sheet, line: Line, promised: str | None, is_first: bool
    ) -> dict[str, Any]:
        units, is_shipped = sheet.purchased[line.id], line.id in sheet.shipped_at
        state = "FULFILLED" if is_shipped else "NOT_STARTED"
        item, _, _ = self._books.line_name(line).partition("-")
        shown: dict[str, Any] = {"lineItemId": rest_line_id(line), "legacyItemId": item}
        shown |= {"quantity": units, "sku": line.variant.sku, "title": line.variant.title}
        cost, shipping = line.variant.price * units, SHIPPING if is_first else _NOTHING
        shown |= {"lineItemCost": _amount(cost), "total": _amount(cost + shipping)}
        shown |= {"deliveryCost": {"shippingCost": _amount(shipping)}}
        span = {"minEstimatedDeliveryDate": promised, "maxEstimatedDeliveryDate": promised}
        shown |= {"lineItemFulfillmentInstructions": span | {"guaranteedDelivery": False}}
        shown |= {"listingMarketplaceId": "EBAY_US", "purchaseMarketplaceId": "EBAY_US"}
        shown |= {"soldFormat": "FIXED_PRICE", "properties": {"buyerProtection": True}}
        shown |= {"appliedPromotions": [], "refunds": [], "taxes": []}
        return shown | {"lineItemFulfillmentStatus": state}


def _buyer(order: Order) -> dict[str, Any]:
    """Masked, as eBay shows buyers to most applications."""
    address = {"addressLine1": "Masked", "city": "Masked", "countryCode": "US"}
    registered = {"contactAddress": address, "fullName": "Masked"}
    shown: dict[str, Any] = {"username": f"buyer_{order.number}", "taxAddress": {}}
    return shown | {"buyerRegistrationAddress": registered}


def _payment(order: Order) -> str:
    if is_cancelled(order):
        return "FULLY_REFUNDED"
    return "PARTIALLY_REFUNDED" if order.refunds else "PAID"


def _amount(amount: Any) -> dict[str, str]:
    return {"value": f"{amount:.2f}", "currency": CURRENCY}
