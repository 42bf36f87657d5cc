"""An order as eBay answered it, translated into one sight. Pure; raises BadPayload.

A line is known by its OrderLineItemID for good; the order's own id changes with payment, and when
unpaid orders are combined. Whether it is cancelled is judged before anything else: a cancelled
order goes on saying that its checkout is complete.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from connectors.ebay.ids import listing_id, variation_id
from connectors.ebay.markup import Node, read_markup
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment

Tables = Mapping[str, sdk.MappingTable]
#: what orders.py wraps around an order: the contract's level it is written in
ENVELOPE: Final = "SeenOrder"
LINES: Final = "TransactionArray/Transaction"
CANCELLED: Final = frozenset(
    "CancelClosedNoRefund CancelClosedWithRefund CancelClosedUnknownRefund "
    "CancelClosedForCommitment CancelComplete".split()
)
_CALM: Final = frozenset("NotApplicable Invalid CancelRejected CancelFailed".split())
#: eBay keeps the seller's money back; the goods may leave all the same
_PAYOUT_HOLDS: Final = frozenset(
    "None MerchantHold NewSellerHold PaymentHold ReleasePending ReleaseConfirmed ReleaseFailed "
    "Released".split()
)
_MASKED: Final = frozenset({"invalid request", "***", "n/a"})
#: tax eBay takes of the buyer and pays to the state itself; the other is the seller's to pay
_REMITTED: Final = "eBayCollectAndRemitTaxes"
#: eBay's numbers for goods that cross a border; its others are of sales within one market
_IMPORT_NUMBERS: Final = frozenset("ABN GST IOSS IRD SST VAT VOEC".split())
_NO_NUMBER: Final = "-"
_DIGITS: Final = re.compile(r"\d{1,10}")
_COUNTRY: Final = re.compile("[A-Z]{2}")
_MISFORMED: Final = (sdk.InvalidValue, LookupError, TypeError, ValueError, AttributeError)


def parse_order(payload: bytes, seen_at: datetime, *, tables: Tables) -> sdk.OrderSight:
    """Translate an envelope of `orders.py`."""
    root = read_markup(payload)
    order = root.find("Order")
    if root.name != ENVELOPE or order is None:
        raise sdk.BadPayload(f"this is no order of eBay, but {root.name[:60]!r}")
    try:
        lines = tuple(_line(line, order) for line in order.all(LINES))
        return sdk.OrderSight(
            channel_order_id=_needed(order, "OrderID"),
            version=sdk.Version(changed_at(order), seen_at),
            facts=_facts(order, lines, tables),
            lines=lines,
            aliases=tuple(sorted(order_ids(order) - {order.text("OrderID") or ""})),
        )
    except _MISFORMED as error:
        raise sdk.BadPayload(f"this is no order of eBay: {error!r}"[:300]) from error


def order_ids(order: Node) -> frozenset[str]:
    """Every id eBay answers for this order."""
    paths = (
        "OrderID",
        "ExtendedOrderID",
        f"{LINES}/ExtendedOrderID",
        f"{LINES}/ContainingOrder/OrderID",
        f"{LINES}/ContainingOrder/ExtendedOrderID",
    )
    found = (each.text() for path in paths for each in order.all(path))
    return frozenset(each for each in found if each)


def line_id(line: Node) -> str:
    """What a line is known by, whatever order it is in."""
    whole = line.text("OrderLineItemID")
    return whole or f"{_needed(line, 'Item/ItemID')}-{_needed(line, 'TransactionID')}"


def is_cancelled(order: Node) -> bool:
    """True once the order or its cancellation request says so."""
    return order.text("OrderStatus") == "Cancelled" or order.text("CancelStatus") in CANCELLED


def is_finished(order: Node) -> bool:
    """True for an order nothing is left to be done for."""
    return is_cancelled(order) or order.text("ShippedTime") is not None


def placed_at(order: Node) -> datetime:
    """When the buyer committed to it."""
    return moment(_needed(order, "CreatedTime"))


def changed_at(order: Node) -> datetime:
    """When eBay last changed it, as far as it says."""
    path = "CheckoutStatus/LastModifiedTime"
    return moment(_needed(order, path if order.text(path) else "CreatedTime"))


def units(line: Node) -> int:
    """How many were bought."""
    return _number(line, "QuantityPurchased")


def tracking(line: Node) -> tuple[tuple[str, str], ...]:
    """Carrier and number of every package eBay knows of the line."""
    details = line.all("ShippingDetails/ShipmentTrackingDetails")
    return tuple(
        (each.text("ShippingCarrierUsed") or "Other", number)
        for each in details
        if (number := each.text("ShipmentTrackingNumber"))
    )


def is_shipped(line: Node) -> bool:
    """True when eBay has the line as sent; it never says how many units of it."""
    return line.text("ShippedTime") is not None or bool(tracking(line))


def specifics(variation: Node) -> dict[str, tuple[str, ...]]:
    """What tells a variation from its neighbours, by name."""
    return {
        _needed(pair, "Name"): tuple(each.text() or "" for each in pair.all("Value"))
        for pair in variation.all("VariationSpecifics/NameValueList")
    }


# --- lines ---------------------------------------------------------------------------------------


def _line(line: Node, order: Node) -> sdk.LineSight:
    variation = line.find("Variation")
    item_id = line.text("Item/ItemID") or line_id(line).partition("-")[0]
    sku = (variation or line).text("SKU" if variation else "Item/SKU")
    listing = listing_id(item_id)
    if variation is not None:
        listing = variation_id(item_id, sku, specifics(variation))
    title = variation.text("VariationTitle") if variation else None
    bought = units(line) if line.text("QuantityPurchased") else None
    return sdk.LineSight(
        channel_line_id=line_id(line),
        channel_listing_id=listing,
        channel_sku=sku,
        title=title or line.text("Item/Title"),
        quantity_ordered=bought,
        quantity_cancelled=bought if is_line_cancelled(line) else 0,
        is_marked_shipped=is_shipped(line),
        unit_price=_money(line, "TransactionPrice", order),
        is_stocked=False if line.text("IntangibleItem") == "true" else None,
    )


def is_line_cancelled(line: Node) -> bool:
    """True for a line that was cancelled by itself."""
    return line.text("Status/CancelStatus") in CANCELLED


# --- facts ---------------------------------------------------------------------------------------


def _facts(order: Node, lines: tuple[sdk.LineSight, ...], tables: Tables) -> sdk.OrderFacts:
    state, unmapped = _state(order, tables)
    is_complete = _is_complete(order)
    total = _money(order, "Total", order)
    return sdk.OrderFacts(
        channel_order_number=order.text("ExtendedOrderID") or order.text("OrderID"),
        channel_status=_status_words(order, tables),
        state=state,
        placed_at=_moment(order, "CreatedTime"),
        cancelled_at=changed_at(order) if is_cancelled(order) else None,
        ship_by=min(_deadlines(order), default=None),
        currency=total.currency if total else None,
        total=total,
        shipping=_money(order, "ShippingServiceSelected/ShippingServiceCost", order),
        tax=_sum(order, (f"{_REMITTED}/TotalTaxAmount", "Taxes/TotalTaxAmount")),
        tax_remitted=_sum(order, (f"{_REMITTED}/TotalTaxAmount",)),
        import_tax_number=_import_tax_number(order),
        discount=_sum(
            order,
            tuple(
                f"SellerDiscounts/SellerDiscount/{kind}DiscountAmount"
                for kind in ("Item", "Shipping")
            ),
        ),
        are_taxes_included=False,
        fulfilled_by="seller",
        shipping_service=_service(order, tables),
        buyer_note=_buyer_note(order),
        buyer=_buyer(order),
        recipient=_recipient(order),
        channel_holds=_holds(order, tables),
        unmapped_codes=(unmapped,) if unmapped else (),
        line_ids=tuple(line.channel_line_id for line in lines) if is_complete else None,
        is_complete=is_complete,
    )


def _state(order: Node, tables: Tables) -> tuple[sdk.OrderState | None, str | None]:
    if is_cancelled(order):
        return sdk.OrderState.CANCELLED, None
    status = order.text("OrderStatus")
    mapped = tables["order_status"].look_up(status or "")
    if mapped.value is None:
        return None, mapped.unmapped
    state = sdk.OrderState(mapped.value)
    if state is sdk.OrderState.OPEN and not _is_paid_for(order):
        return sdk.OrderState.PENDING, None
    return state, None


def _is_paid_for(order: Node) -> bool:
    """The whole rule: a status alone says Complete for cash on pickup and failed payments, too."""
    return (
        order.text("CheckoutStatus/Status") == "Complete"
        and order.text("CheckoutStatus/eBayPaymentStatus") == "NoPaymentFailure"
        and order.text("PaidTime") is not None
    )


def _holds(order: Node, tables: Tables) -> tuple[str, ...]:
    """Why a person has to look before the goods leave."""
    wishes = [order.text("CancelStatus")]
    wishes += [line.text("Status/CancelStatus") for line in order.all(LINES)]
    payments = [order.text("PaymentHoldStatus")]
    payments += [line.text("Status/PaymentHoldStatus") for line in order.all(LINES)]
    codes = {one for one in wishes if one and one not in _CALM | CANCELLED}
    codes |= {one for one in payments if one and one not in _PAYOUT_HOLDS}
    if order.text("OrderStatus") == "CancelPending":
        codes.add("CancelRequested")
    return tuple(sorted({tables["hold_reasons"].look_up(one).value or one for one in codes}))


def _is_complete(order: Node) -> bool:
    """False when eBay could not show every line, or one of them only in part."""
    lines = order.all(LINES)
    is_whole = all(line.find("Item") and line.text("QuantityPurchased") for line in lines)
    told = order.text("OrderLineItemCount")
    return bool(lines) and is_whole and (told is None or len(lines) >= int(told))


def _status_words(order: Node, tables: Tables) -> str:
    words = [order.text("OrderStatus"), order.text("CheckoutStatus/Status")]
    wish, reason = order.text("CancelStatus"), order.text("CancelReason")
    if wish and wish != "NotApplicable":
        words.append(wish)
    if reason:
        words.append(f"({tables['cancel_reasons'].look_up(reason).value or reason})")
    return " ".join(word for word in words if word)


def _service(order: Node, tables: Tables) -> str | None:
    service = order.text("PickupMethodSelected/PickupMethod")
    service = service or order.text("ShippingServiceSelected/ShippingService")
    return tables["services"].look_up(service).value if service else None


def _import_tax_number(order: Node) -> str | None:
    """What a customs form names, so that nobody taxes the parcel a second time."""
    told = order.all(f"{LINES}/{_REMITTED}/eBayReference")
    numbers = {each.text() for each in told if each.attribute("name") in _IMPORT_NUMBERS}
    return ", ".join(sorted(one for one in numbers if one and one != _NO_NUMBER)) or None


def _deadlines(order: Node) -> Iterable[datetime]:
    path = f"{LINES}/ShippingServiceSelected/ShippingPackageInfo/HandleByTime"
    return [moment(text) for each in order.all(path) if (text := each.text())]


# --- people --------------------------------------------------------------------------------------


def _buyer(order: Node) -> sdk.Person | None:
    line = order.find(LINES)
    names = ("UserFirstName", "UserLastName")
    parts = [_shown(line.text(f"Buyer/{one}")) for one in names] if line else []
    email = _shown(line.text("Buyer/Email")) if line else None
    # A name may change and differs by jurisdiction; the token does not, and notices name it, too.
    buyer_id = _shown(order.text("EIASToken")) or _shown(order.text("BuyerUserID"))
    name = " ".join(one for one in parts if one) or None
    if not (name or email or buyer_id):
        return None
    return sdk.Person(name=name, email=email, channel_buyer_id=buyer_id)


def _buyer_note(order: Node) -> str | None:
    """What the buyer wrote at checkout; orders combined into one keep each line's."""
    said = [order.text("BuyerCheckoutMessage")]
    said += [line.text("BuyerCheckoutMessage") for line in order.all(LINES)]
    notes = dict.fromkeys(text for one in said if (text := _shown(one)))
    rows = (row.strip() for note in notes for row in note.splitlines())
    return "\n".join(row for row in rows if row) or None


def _recipient(order: Node) -> sdk.Person | None:
    """Where the parcel goes: in a programme of eBay's to its provider, never to the buyer."""
    address = order.find("ShippingAddress")
    if order.text("IsMultiLegShipping") == "true":
        leg = "MultiLegShippingDetails/SellerShipmentToLogisticsProvider/ShipToAddress"
        address = order.find(leg) or order.find(f"{LINES}/{leg}")
    if address is None:
        return None
    reference = _shown(address.text("ReferenceID"))
    streets = (reference, *(_shown(address.text(f"Street{one}")) for one in ("", "1", "2")))
    country = address.text("Country") or ""
    person = sdk.Person(
        name=_shown(address.text("Name")),
        company=_shown(address.text("CompanyName")),
        phone=_shown(address.text("Phone")),
        address=sdk.Address(
            lines=tuple(street for street in streets if street),
            city=_shown(address.text("CityName")),
            region=_shown(address.text("StateOrProvince")),
            postal_code=_shown(address.text("PostalCode")),
            country=country if _COUNTRY.fullmatch(country) else None,
        ),
    )
    return None if person == sdk.Person(address=sdk.Address()) else person


def _shown(text: str | None) -> str | None:
    """The text unless eBay put another in its place."""
    return None if text is None or text.lower() in _MASKED else text


# --- values --------------------------------------------------------------------------------------


def _moment(order: Node, path: str) -> datetime | None:
    text = order.text(path)
    return moment(text) if text else None


def _money(node: Node, path: str, order: Node) -> sdk.Money | None:
    """An amount; one without a currency, which eBay sends for some, is in the order's."""
    found = node.find(path)
    text = found.text() if found else None
    if found is None or text is None:
        return None
    total = order.find("Total")
    currency = found.attribute("currencyID") or (total.attribute("currencyID") if total else None)
    return sdk.Money.parse(text, currency or "")


def _sum(order: Node, paths: tuple[str, ...]) -> sdk.Money | None:
    """All amounts at `paths` of the lines; None where there is none."""
    amounts = [
        money
        for path in paths
        for node in order.all(f"{LINES}/{path}")
        if (money := _money(node, ".", order))
    ]
    return sum(amounts[1:], amounts[0]) if amounts else None


def _number(node: Node, path: str) -> int:
    text = _needed(node, path)
    if not (text.isascii() and _DIGITS.fullmatch(text)):
        raise sdk.BadPayload(f"{path} is no count: {text[:40]!r}")
    return int(text)


def _needed(node: Node, path: str) -> str:
    text = node.text(path)
    if text is None:
        raise sdk.BadPayload(f"{node.name} has no {path}")
    return text
