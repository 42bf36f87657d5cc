"""An order as Amazon shows it, by API or by notification, translated into one sight. Pure.

Raises BadPayload. What a reading left out is None, never a default: an order without its
fulfilment block has no status and is marked as half read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from oms_sync import sdk
from oms_sync.sdk.strict_json import moment, read_json

Tables = Mapping[str, sdk.MappingTable]
CANCELLATION_REQUESTED: Final = "cancellation_requested"
PREORDER: Final = "preorder"
#: an order of another shop that Amazon was to ship and cannot
UNFULFILLABLE: Final = "unfulfillable"
#: of what a reading holds: all of the buyer's words that this application is shown
NOTE: Final = "NOTE"
#: programmes with a tight window, which whoever ships has to see
URGENT: Final = ("PRIME", "PREMIUM")
#: placed, and nothing of it is paid or released
_UNPAID: Final = frozenset({"PENDING", "PENDING_AVAILABILITY"})
_FULFILLED_BY: Final[Mapping[str, Literal["seller", "channel"]]] = {
    "MERCHANT": "seller",
    "AMAZON": "channel",
    "MFN": "seller",
    "AFN": "channel",
}
_MISFORMED: Final = (sdk.InvalidValue, KeyError, TypeError, ValueError, AttributeError)
#: the buyer pays these on top of goods and postage; the books have one place for them
_SURCHARGES: Final = frozenset({"SHIPPING", "GIFT_WRAP", "COD_FEE", "DELIVERY_TIP", "OTHER"})


def parse_order(payload: bytes, seen_at: datetime, *, tables: Tables) -> sdk.OrderSight:
    """Translate an envelope of `orders.py`, or an ORDER_CHANGE notification."""
    fields = read_json(payload)
    try:
        if "NotificationType" in fields:
            return _announced(fields, seen_at, tables)
        return _read(fields["order"], frozenset(fields["included"]), seen_at, tables)
    except _MISFORMED as error:
        raise sdk.BadPayload(f"this is no order of Amazon: {error!r}"[:300]) from error


# --- read through the API ------------------------------------------------------------------------


def _read(
    order: Mapping[str, Any], included: frozenset[str], seen_at: datetime, tables: Tables
) -> sdk.OrderSight:
    fulfilment = order.get("fulfillment") or {}
    status = fulfilment.get("fulfillmentStatus")
    lines = tuple(_line(each, status) for each in order["orderItems"])
    return sdk.OrderSight(
        channel_order_id=_text(order["orderId"]),
        version=sdk.Version(moment(order["lastUpdatedTime"]), seen_at),
        facts=_facts(order, included, lines, tables),
        lines=lines,
    )


def _line(line: Mapping[str, Any], status: str | None) -> sdk.LineSight:
    product, told = line["product"], line["quantityOrdered"]
    ordered = 0 if told is None else _units(told)
    progress = line.get("fulfillment") or {}
    done, left = progress.get("quantityFulfilled"), progress.get("quantityUnfulfilled")
    if done is None and status == "SHIPPED":
        done, left = ordered, 0
    sku = product.get("sellerSku") or None
    price = (product.get("price") or {}).get("unitPrice")
    return sdk.LineSight(
        channel_line_id=_text(line["orderItemId"]),
        # One SKU is one listing in the whole region.
        channel_listing_id=sku,
        channel_sku=sku,
        title=product.get("title"),
        quantity_ordered=None if told is None else ordered,
        quantity_cancelled=None if told is None else _cancelled(line, status, ordered, done, left),
        quantity_shipped=None if done is None else _units(done),
        unit_price=_money(price),
        # A pre-order is sold from what is still to come: it takes nothing from the shelf.
        is_stocked=status != "PENDING_AVAILABILITY",
    )


def _cancelled(
    line: Mapping[str, Any], status: str | None, ordered: int, done: Any, left: Any
) -> int | None:
    """Units neither shipped nor left to ship; of unpaid orders only where Amazon says cancelled."""
    is_executed = bool((line.get("cancellation") or {}).get("cancellationExecution"))
    if done is not None and left is not None and (is_executed or status not in _UNPAID):
        return max(0, ordered - _units(done) - _units(left))
    return max(0, ordered - _units(done or 0)) if is_executed else None


def _facts(
    order: Mapping[str, Any],
    included: frozenset[str],
    lines: tuple[sdk.LineSight, ...],
    tables: Tables,
) -> sdk.OrderFacts:
    fulfilment = order.get("fulfillment") or {}
    status = fulfilment.get("fulfillmentStatus")
    state, unmapped = _state(status, tables)
    is_complete = status is not None
    aliases = order.get("orderAliases") or ()
    number = next((a["aliasId"] for a in aliases if a["aliasType"] == "SELLER_ORDER_ID"), None)
    recipient = (order.get("recipient") or {}).get("deliveryAddress")
    window = fulfilment.get("shipByWindow") or {}
    return sdk.OrderFacts(
        channel_order_number=number or order["orderId"],
        channel_status=_status_words(order, status, tables),
        state=state,
        placed_at=moment(order["createdTime"]),
        cancelled_at=(
            moment(order["lastUpdatedTime"]) if state is sdk.OrderState.CANCELLED else None
        ),
        ship_by=_time(window.get("latestDateTime")),
        fulfilled_by=_FULFILLED_BY.get(str(fulfilment.get("fulfilledBy"))),
        shipping_service=_look_up(tables, "services", fulfilment.get("fulfillmentServiceLevel")),
        channel_programmes=tuple(each for each in URGENT if each in (order.get("programs") or ())),
        import_tax_number=_import_tax_number(order["orderItems"]),
        # Part of it comes with the recipient alone: half of it must not replace the whole.
        buyer_note=_note(order) if included & {"RECIPIENT", NOTE} else None,
        buyer=_buyer(order.get("buyer")),
        recipient=_recipient(recipient),
        channel_holds=_holds(order, status) if is_complete and "CANCELLATION" in included else None,
        unmapped_codes=(unmapped,) if unmapped else (),
        line_ids=tuple(line.channel_line_id for line in lines) if is_complete else None,
        is_complete=is_complete,
        **_sums(order, lines),
    )


def _status_words(order: Mapping[str, Any], status: str | None, tables: Tables) -> str | None:
    """The status for people: with who cancelled."""
    for line in order["orderItems"]:
        executed = (line.get("cancellation") or {}).get("cancellationExecution") or {}
        reason = _look_up(tables, "cancel_reasons", executed.get("cancelledBy"))
        if status == "CANCELLED" and reason:
            return f"{status} ({reason})"
    return status


def _holds(order: Mapping[str, Any], status: str | None) -> tuple[str, ...]:
    """What keeps the order from being shipped; a buyer's request waits for the seller's word."""
    holds = {PREORDER} if status == "PENDING_AVAILABILITY" else set()
    cancellations = {
        line["orderItemId"]: line.get("cancellation") or {} for line in order["orderItems"]
    }
    asked = [
        line
        for line, cancellation in cancellations.items()
        if cancellation.get("cancellationRequest") is not None
        and not cancellation.get("cancellationExecution")
    ]
    if status == "UNFULFILLABLE":
        holds.add(UNFULFILLABLE)
    return tuple(sorted(holds | _requests(asked, len(cancellations))))


def _requests(asked: Sequence[str], lines: int) -> set[str]:
    """The hold of a whole order, or one for each of the lines it is about."""
    if len(asked) == lines:
        return {CANCELLATION_REQUESTED} if lines else set()
    return {f"{CANCELLATION_REQUESTED}:{line}" for line in asked}


# --- money ---------------------------------------------------------------------------------------


def _sums(order: Mapping[str, Any], lines: tuple[sdk.LineSight, ...]) -> dict[str, Any]:
    """Total and its parts; a reading without prices says nothing of them."""
    proceeds = order.get("proceeds") or {}
    total = _money(proceeds.get("grandTotal"))
    if total is None:
        return {}
    rows = proceeds.get("breakdowns")
    if rows is None:
        rows = [
            row
            for line in order["orderItems"]
            for row in (line.get("proceeds") or {}).get("breakdowns") or ()
        ]
    currency = total.currency
    extra = _sum(rows, _SURCHARGES.__contains__, currency)
    tax = _sum(rows, "TAX".__eq__, currency)
    # Discounts are written with and without a sign.
    discount = sdk.Money(abs(_sum(rows, "DISCOUNT".__eq__, currency).amount), currency)
    goods = sdk.Money.zero(currency)
    for line in lines:
        if line.unit_price is not None:
            goods += line.unit_price.times(line.quantity_ordered or 0)
    without_tax = goods + extra - discount
    is_with_tax = None
    if tax.amount:
        is_with_tax = {without_tax: True, without_tax + tax: False}.get(total)
    return {
        "currency": currency,
        "total": total,
        "shipping": extra,
        "tax": tax,
        "discount": discount,
        "are_taxes_included": is_with_tax,
    }


def _sum(
    rows: Iterable[Mapping[str, Any]], is_wanted: Callable[[str], bool], currency: str
) -> sdk.Money:
    found = sdk.Money.zero(currency)
    for row in rows:
        if is_wanted(row["type"]):
            found += _money(row["subtotal"]) or sdk.Money.zero(currency)
    return found


def _money(money: Mapping[str, Any] | None) -> sdk.Money | None:
    if money is None:
        return None
    amount = money["amount"]
    if not isinstance(amount, str | int | Decimal) or isinstance(amount, bool):
        raise sdk.BadPayload(f"{str(amount)[:40]!r} is no amount of money")
    return sdk.Money.parse(str(amount), money["currencyCode"])


# --- people --------------------------------------------------------------------------------------


def _buyer(buyer: Mapping[str, Any] | None) -> sdk.Person | None:
    if not buyer:
        return None
    return sdk.Person(
        name=buyer.get("buyerName"),
        company=buyer.get("buyerCompanyName"),
        email=buyer.get("buyerEmail"),
    )


def _recipient(address: Mapping[str, Any] | None) -> sdk.Person | None:
    if not address:
        return None
    lines = [address[f"addressLine{n}"] for n in (1, 2, 3) if address.get(f"addressLine{n}")]
    # A parcel goes nowhere without these where they are used: what has no place is a line.
    areas = [(address.get("extendedFields") or {}).get("neighborhood")]
    if address.get("city"):
        areas.append(address.get("municipality"))
    if address.get("stateOrRegion"):
        areas.append(address.get("districtOrCounty"))
    written = {*lines, address.get("city"), address.get("stateOrRegion")}
    lines += dict.fromkeys(area for area in areas if area and area not in written)
    return sdk.Person(
        name=address.get("name"),
        company=address.get("companyName"),
        phone=address.get("phone"),
        address=sdk.Address(
            lines=tuple(lines),
            city=address.get("city") or address.get("municipality") or None,
            region=address.get("stateOrRegion") or address.get("districtOrCounty") or None,
            postal_code=address.get("postalCode"),
            country=address.get("countryCode"),
        ),
    )


def _note(order: Mapping[str, Any]) -> str | None:
    """What the buyer wrote to whoever packs or delivers."""
    preference = (order.get("recipient") or {}).get("deliveryPreference") or {}
    words = [preference.get("dropOffLocation"), preference.get("addressInstruction")]
    for line in order["orderItems"]:
        packing = (line.get("fulfillment") or {}).get("packing") or {}
        words.append((packing.get("giftOption") or {}).get("giftMessage"))
    return "\n".join(dict.fromkeys(filter(None, words))) or None


def _import_tax_number(lines: Iterable[Mapping[str, Any]]) -> str | None:
    """The IOSS number under which Amazon has paid the import tax."""
    for line in lines:
        shipping = (line.get("fulfillment") or {}).get("shipping") or {}
        number = (shipping.get("internationalShipping") or {}).get("iossNumber")
        if number:
            return str(number)
    return None


# --- announced by ORDER_CHANGE -------------------------------------------------------------------


def _announced(fields: Mapping[str, Any], seen_at: datetime, tables: Tables) -> sdk.OrderSight:
    """What a notification shows: enough to reserve at once, never the whole order.

    Its times are of the change; where it has none it counts as old as the order itself, so that
    whatever was read stays.
    """
    change = fields["Payload"]["OrderChangeNotification"]
    summary = change["Summary"]
    placed_at = moment(summary["PurchaseDate"])
    changed_at = _time((change.get("OrderChangeTrigger") or {}).get("TimeOfOrderChange"))
    # Orders that are read know whole seconds: a fraction would make the notification newer.
    at = (changed_at or placed_at).replace(microsecond=0)
    status = summary["OrderStatus"]
    state, unmapped = _state(status, tables)
    lines = summary["OrderItems"]
    asked = [each["OrderItemId"] for each in lines if each.get("IsBuyerRequestedCancel") is True]
    facts = sdk.OrderFacts(
        channel_status=status,
        state=state,
        placed_at=placed_at,
        cancelled_at=at if state is sdk.OrderState.CANCELLED else None,
        ship_by=_time(summary.get("LatestShipDate")),
        fulfilled_by=_FULFILLED_BY.get(summary["FulfillmentType"]),
        channel_holds=tuple(sorted(_requests(asked, len(lines)))) if asked else None,
        unmapped_codes=(unmapped,) if unmapped else (),
    )
    return sdk.OrderSight(
        channel_order_id=_text(change["AmazonOrderId"]),
        version=sdk.Version(at, seen_at),
        facts=facts,
        lines=tuple(_announced_line(each, status) for each in summary["OrderItems"]),
    )


def _announced_line(line: Mapping[str, Any], status: str) -> sdk.LineSight:
    shipped = line.get("QuantityShipped")
    return sdk.LineSight(
        channel_line_id=_text(line["OrderItemId"]),
        channel_listing_id=line["SellerSKU"] or None,
        channel_sku=line["SellerSKU"] or None,
        quantity_ordered=_units(line["Quantity"]),
        quantity_shipped=None if shipped is None else _units(shipped),
        is_stocked=status != "PendingAvailability",
    )


# --- small things --------------------------------------------------------------------------------


def _state(status: str | None, tables: Tables) -> tuple[sdk.OrderState | None, str | None]:
    if status is None:
        return None, None
    mapped = tables["order_status"].look_up(_text(status))
    return (sdk.OrderState(mapped.value) if mapped.value else None), mapped.unmapped


def _look_up(tables: Tables, table: str, code: str | None) -> str | None:
    return tables[table].look_up(code).value if code else None


def _time(text: str | None) -> datetime | None:
    return moment(text) if text else None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise sdk.BadPayload(f"{str(value)[:60]!r} is no id")
    return value


def _units(value: Any) -> int:
    if type(value) is not int:
        raise sdk.BadPayload(f"{str(value)[:60]!r} is no number of units")
    return value
