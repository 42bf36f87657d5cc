"""Canonical quantities and shipments, written as Amazon's bodies. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from oms_sync.sdk import (
    InvalidValue,
    MappingTable,
    Money,
    OutgoingPackage,
    OutgoingRefund,
    OutgoingShipment,
    Rejected,
    StockPush,
    TrackingCorrection,
)

Tables = Mapping[str, MappingTable]
FEED_TYPE: Final = "JSON_LISTINGS_FEED"
FEED_MEDIA: Final = "application/json; charset=UTF-8"
FEED_MESSAGES_MAX: Final = 25_000
FEED_BYTES_MAX: Final = 10 * 1024 * 1024
PACKAGES_MAX: Final = 99
ADJUSTMENT_DIGITS: Final = 24
#: digits of a package reference that are the shipment's; two more number its packages
SHIPMENT_DIGITS: Final = 13
OURS: Final = re.compile(rf"1\d{{{SHIPMENT_DIGITS + 1}}}", re.ASCII)
#: an edit of the offer alone is taken under this type, whatever the product is
_PRODUCT_TYPE: Final = "PRODUCT"
CONFIRMABLE: Final = frozenset({"UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED"})
#: programmes whose labels tell Amazon of the shipment
LABELLED: Final = frozenset({"FBM_SHIP_PLUS", "AMAZON_EASY_SHIP"})
_NO_PATH: Final = frozenset({".", ".."})


def check_sku(sku: str) -> str:
    """A SKU that can stand in an address; the others would collapse onto the whole collection."""
    if sku in _NO_PATH:
        raise Rejected(f"the SKU {sku!r} cannot be written in an address: give it another one")
    return sku


def patch(quantity: int) -> dict[str, Any]:
    """The body that sets the merchant's own quantity and leaves the rest of the attribute alone."""
    availability = {"fulfillment_channel_code": "DEFAULT", "quantity": quantity}
    return {
        "productType": _PRODUCT_TYPE,
        "patches": [
            {
                # Replacing would take lead time and restock date away with it.
                "op": "merge",
                "path": "/attributes/fulfillment_availability",
                "value": [availability],
            }
        ],
    }


def feed(seller_id: str, entries: Sequence[StockPush]) -> bytes:
    """A JSON_LISTINGS_FEED of patches; message N is entry N, counted from one."""
    messages = [
        {
            "messageId": number,
            "sku": entry.channel_listing_id,
            "operationType": "PATCH",
            **patch(entry.quantity),
        }
        for number, entry in enumerate(entries, start=1)
    ]
    header = {"sellerId": seller_id, "version": "2.0", "issueLocale": "en_US"}
    body = json.dumps({"header": header, "messages": messages}, ensure_ascii=False).encode()
    if len(messages) > FEED_MESSAGES_MAX or len(body) > FEED_BYTES_MAX:
        raise Rejected(f"{len(messages)} messages, {len(body)} bytes: too much for one feed")
    return body


def package_reference(key: str, number: int) -> str:
    """The digits that name a package, the same at every attempt: sent again it is an edit."""
    tail = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 10 ** (SHIPMENT_DIGITS - 1)
    return f"1{tail:0{SHIPMENT_DIGITS - 1}d}{number:02d}"


def confirmations(
    shipment: OutgoingShipment, order: Mapping[str, Any], tables: Tables, now: datetime
) -> list[dict[str, Any]]:
    """One body per package, or Rejected with what an operator can do."""
    _check_confirmable(shipment, order)
    return [
        _body(
            order,
            package_reference(shipment.key, number),
            package,
            lines,
            when=min(shipment.shipped_at, now),  # never in the future
            service=shipment.service,
            tables=tables,
        )
        for number, (package, lines) in enumerate(
            zip(shipment.packages, _contents(shipment.lines, len(shipment.packages)), strict=True),
            start=1,
        )
    ]


def corrections(
    correction: TrackingCorrection, order: Mapping[str, Any], tables: Tables, now: datetime
) -> list[dict[str, Any]]:
    """One body per package under the reference it has: sent again it is an edit, never a second.

    Amazon takes no package away, so there must be as many as before.
    """
    known = {
        each["packageReferenceId"]: each
        for each in order.get("packages") or ()
        if dispatch_of(each["packageReferenceId"]) == correction.channel_shipment_id
    }
    if not known:
        raise Rejected(f"Amazon shows no shipment {correction.channel_shipment_id} of the order")
    if len(known) != len(correction.packages):
        raise Rejected(
            f"Amazon shows {len(known)} packages of it and takes none away and adds none: give as "
            "many, or confirm the change in Seller Central"
        )
    if not all(package.tracking_number for package in correction.packages):
        raise Rejected("not corrected: each package needs a tracking number")
    return [
        _body(
            order,
            reference,
            package,
            {line["orderItemId"]: line["quantity"] for line in old["packageItems"]},
            when=min(correction.shipped_at, now),
            service=correction.service,
            tables=tables,
        )
        for (reference, old), package in zip(
            sorted(known.items()), correction.packages, strict=True
        )
    ]


def dispatch_of(reference: str) -> str:
    """The shipment a package belongs to; references of others are shipments of their own."""
    return reference[:SHIPMENT_DIGITS] if OURS.fullmatch(reference) else reference


def _body(
    order: Mapping[str, Any],
    reference: str,
    package: OutgoingPackage,
    lines: Mapping[str, int],
    **more: Any,
) -> dict[str, Any]:
    tables, when, service = more["tables"], more["when"], more["service"]
    detail: dict[str, Any] = {
        "packageReferenceId": reference,
        **_carrier(package.carrier, tables["carriers"]),
        "trackingNumber": package.tracking_number,
        "shipDate": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "orderItems": [{"orderItemId": line, "quantity": units} for line, units in lines.items()],
    }
    if service:
        detail["shippingMethod"] = tables["services"].reverse().look_up(service).value
    return {"marketplaceId": _marketplace(order), "packageDetail": detail}


def _carrier(carrier: str, table: MappingTable) -> dict[str, str]:
    known = table.reverse().entries.get(carrier)
    return {"carrierCode": known} if known else {"carrierCode": "Other", "carrierName": carrier}


def _check_confirmable(shipment: OutgoingShipment, order: Mapping[str, Any]) -> None:
    fulfilment = order.get("fulfillment") or {}
    status = fulfilment.get("fulfillmentStatus")
    numbers = [package.tracking_number for package in shipment.packages]
    coded = [
        line["orderItemId"]
        for line in order["orderItems"]
        if "TRANSPARENCY" in (line.get("programs") or ()) and line["orderItemId"] in shipment.lines
    ]
    reasons = {
        "Amazon ships this order itself": fulfilment.get("fulfilledBy") != "MERCHANT",
        f"the order is {status}: do not ship it": status not in CONFIRMABLE,
        "Amazon confirms it with the label": bool(LABELLED & set(order.get("programs") or ())),
        "Amazon does not say where it was placed": not _marketplace(order),
        f"lines {coded} need Transparency codes: confirm it in Seller Central": bool(coded),
        "each package needs a tracking number": not numbers or not all(numbers),
        f"more than {PACKAGES_MAX} packages in one shipment": len(numbers) > PACKAGES_MAX,
    }
    for reason, holds in reasons.items():
        if holds:
            raise Rejected(f"not confirmed: {reason}")


def _marketplace(order: Mapping[str, Any]) -> Any:
    return (order.get("salesChannel") or {}).get("marketplaceId")


def _contents(lines: Mapping[str, int], packages: int) -> list[dict[str, int]]:
    """Which units go with which package: one unit with each but the first, which takes the rest."""
    units = [line for line in sorted(lines) for _ in range(lines[line])]
    extra = packages - 1
    if len(units) <= extra:
        raise Rejected(
            f"{extra + 1} packages for {len(units)} units: Amazon ties each package to units, so "
            "give at most as many packages as units"
        )
    cut = len(units) - extra
    return [
        {line: part.count(line) for line in dict.fromkeys(part)}
        for part in (units[:cut], *([one] for one in units[cut:]))
    ]


# --- order feeds ---------------------------------------------------------------------------------


def reason_code(table: MappingTable, reason: str) -> str:
    """Amazon's code for our reason; its general one where it has none."""
    codes = table.reverse().entries
    return codes.get(reason) or codes["other"]


def adjustment_id(key: str, line: str) -> str:
    """Our name for what changes about a line, the same at every attempt."""
    return hashlib.sha256(f"{key}\n{line}".encode()).hexdigest()[:ADJUSTMENT_DIGITS]


def refund_parts(refund: OutgoingRefund, order: Mapping[str, Any]) -> dict[str, dict[str, Money]]:
    """What goes back by line and component: Amazon refunds lines, never an order as a whole.

    What is for no line goes to those that have cost so much, in the order they stand.
    """
    currency = refund.amount.currency
    zero = Money.zero(currency)
    principal = dict(refund.line_amounts)
    shipping = refund.shipping or zero
    rest = refund.amount - shipping
    for money in principal.values():
        rest -= money
    if rest.amount < 0 or refund.amount.amount <= 0:
        raise Rejected("not refunded: the amount is not the sum of its parts, or nothing")
    lines = sorted(order["orderItems"], key=lambda each: each["orderItemId"] not in refund.lines)
    rest = _spread(principal, rest, lines, "ITEM")
    postage: dict[str, Money] = {}
    beyond = _spread(postage, shipping, lines, "SHIPPING")
    wrapping: dict[str, Money] = {}
    if not refund.lines:
        rest = _spread(postage, rest, lines, "SHIPPING")
        rest = _spread(wrapping, rest, lines, "GIFT_WRAP")
        taxes = sum((_cost(line, "TAX", currency) for line in lines), zero)
        rest = zero if rest == taxes else rest  # with all the goods Amazon gives back all their tax
    # More than anybody paid is Amazon's to refuse.
    first = lines[0]["orderItemId"]
    principal[first] = principal.get(first, zero) + rest
    postage[first] = postage.get(first, zero) + beyond
    found: dict[str, dict[str, Money]] = {}
    for name, amounts in (("Principal", principal), ("Shipping", postage), ("GiftWrap", wrapping)):
        for line, money in amounts.items():
            if money.amount:
                found.setdefault(line, {})[name] = money
    return found


def _spread(
    given: dict[str, Money], rest: Money, lines: Sequence[Mapping[str, Any]], kind: str
) -> Money:
    """Add `rest` to the lines that have room; answers what finds none."""
    zero = Money.zero(rest.currency)
    for line in lines:
        name = line["orderItemId"]
        room = _cost(line, kind, rest.currency) - given.get(name, zero)
        part = min(rest, room, key=lambda each: each.amount)
        if part.amount > 0:
            given[name] = given.get(name, zero) + part
            rest -= part
    return rest


def _cost(line: Mapping[str, Any], kind: str, currency: str) -> Money:
    found = Money.zero(currency)
    for row in (line.get("proceeds") or {}).get("breakdowns") or ():
        if row["type"] == kind:
            money = row["subtotal"]
            try:
                found += Money.parse(str(money["amount"]), money["currencyCode"])
            except InvalidValue as error:
                raise Rejected(f"not refunded: the order was paid otherwise: {error}") from error
    return found
