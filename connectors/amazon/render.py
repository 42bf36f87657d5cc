"""Canonical quantities and shipments, written as Amazon's bodies. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from oms_sync.sdk import MappingTable, OutgoingShipment, Rejected, StockPush

Tables = Mapping[str, MappingTable]
FEED_TYPE: Final = "JSON_LISTINGS_FEED"
FEED_MEDIA: Final = "application/json; charset=UTF-8"
FEED_MESSAGES_MAX: Final = 25_000
FEED_BYTES_MAX: Final = 10 * 1024 * 1024
PACKAGES_MAX: Final = 99
#: digits of a package reference that are the shipment's; two more number its packages
SHIPMENT_DIGITS: Final = 13
#: an edit of the offer alone is taken under this type, whatever the product is
_PRODUCT_TYPE: Final = "PRODUCT"
CONFIRMABLE: Final = frozenset({"UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED"})
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
    shipped_at = min(shipment.shipped_at, now).astimezone(UTC)  # never in the future
    contents = _contents(shipment)
    bodies = []
    for number, (package, lines) in enumerate(
        zip(shipment.packages, contents, strict=True), start=1
    ):
        detail: dict[str, Any] = {
            "packageReferenceId": package_reference(shipment.key, number),
            **_carrier(package.carrier, tables["carriers"]),
            "trackingNumber": package.tracking_number,
            "shipDate": shipped_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "orderItems": [
                {"orderItemId": line, "quantity": units} for line, units in lines.items()
            ],
        }
        if shipment.service:
            detail["shippingMethod"] = tables["services"].reverse().look_up(shipment.service).value
        bodies.append({"marketplaceId": _marketplace(order), "packageDetail": detail})
    return bodies


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
        "Amazon confirms it with the label": "FBM_SHIP_PLUS" in (order.get("programs") or ()),
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


def _contents(shipment: OutgoingShipment) -> list[dict[str, int]]:
    """Which units go with which package: one unit with each but the first, which takes the rest."""
    units = [line for line in sorted(shipment.lines) for _ in range(shipment.lines[line])]
    extra = len(shipment.packages) - 1
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
