"""Canonical quantities and shipments, written as the shop's GraphQL input. Pure.

`plan_dispatches` spreads a shipment over the shop's fulfilment orders; what cannot be placed is
said with the reason, never guessed.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from oms_sync.sdk import MappingTable, OutgoingPackage, OutgoingShipment, StockBatch, StockPush

LINES_MAX: Final = 512
#: tracking numbers of one dispatch that the document `AllDispatches` reads back
NUMBERS_MAX: Final = 10
_NAMESPACE: Final = uuid.UUID("6f1d3f0a-4a57-5a0e-9f0c-6d0f5f0e8b11")
_SHIPPABLE: Final = frozenset({"OPEN", "IN_PROGRESS"})
_WAITING: Final = frozenset({"ON_HOLD", "SCHEDULED"})
_LINKS: Final = ("https://", "http://")


def idempotency_key(*parts: str) -> str:
    """The UUID that stands for these parts, the same every time."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def set_stock(
    batch: StockBatch, location: str, besides: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The variables of the document SetStock; `besides` is shown elsewhere, by listing."""
    shown = {one: units for one, units in (besides or {}).items() if units}
    # Other numbers are another operation, and the shop holds a key to the first it saw.
    key = idempotency_key("stock", batch.key, *(f"{one}={shown[one]}" for one in sorted(shown)))
    quantities = [
        _quantity(entry, location, shown.get(entry.channel_listing_id, 0))
        for entry in batch.entries
    ]
    return {
        "key": key,
        "input": {
            "name": "available",
            "reason": "correction",
            "referenceDocumentUri": f"gid://oms-sync/StockBatch/{key}",
            "quantities": quantities,
        },
    }


def _quantity(entry: StockPush, location: str, besides: int) -> dict[str, Any]:
    expected = entry.expected
    return {
        "inventoryItemId": entry.channel_listing_id,
        "locationId": location,
        "quantity": max(0, entry.quantity - besides) if besides else entry.quantity,
        # Always there: left out is an error, null overwrites whatever the shop holds.
        "changeFromQuantity": None if expected is None else expected - besides,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchPlan:
    """Where the units of a shipment can be fulfilled: one group per location."""

    #: location id → fulfilment order id → fulfilment order line id → units
    groups: Mapping[str, Mapping[str, Mapping[str, int]]]
    #: units with no place, by line id of the order
    unplaced: Mapping[str, int] = field(default_factory=dict)
    #: True when units of an unplaced line wait on hold or for their date
    is_waiting: bool = False


def plan_dispatches(
    lines: Mapping[str, int], works: Iterable[Mapping[str, Any]], locations: frozenset[str]
) -> DispatchPlan:
    """Spread `lines` (line id of the order → units) over the open fulfilment orders."""
    left = dict(lines)
    waiting: set[str] = set()
    groups: dict[str, dict[str, dict[str, int]]] = {}
    for work in works:
        if not is_ours(work["assignedLocation"], locations):
            continue
        location = (work["assignedLocation"]["location"] or {}).get("id", "")
        for line in work["lineItems"]["nodes"]:
            line_id = line["lineItem"]["id"].rpartition("/")[2]
            units = min(left.get(line_id, 0), line["remainingQuantity"])
            if units <= 0:
                continue
            if not _is_shippable(work):
                waiting |= {line_id} if work["status"] in _WAITING else set()
                continue
            left[line_id] -= units
            groups.setdefault(location, {}).setdefault(work["id"], {})[line["id"]] = units
    unplaced = {line_id: units for line_id, units in left.items() if units}
    return DispatchPlan(
        groups=groups, unplaced=unplaced, is_waiting=bool(waiting.intersection(unplaced))
    )


def is_ours(assigned: Mapping[str, Any], locations: frozenset[str]) -> bool:
    """Whether work is in our care; without `locations` every place is."""
    location = (assigned["location"] or {}).get("id")
    return not locations or location is None or location in locations


def _is_shippable(work: Mapping[str, Any]) -> bool:
    actions = {each["action"] for each in work["supportedActions"]}
    return work["status"] in _SHIPPABLE and "CREATE_FULFILLMENT" in actions


def dispatch(
    group: Mapping[str, Mapping[str, int]],
    shipment: OutgoingShipment,
    carriers: MappingTable,
    *,
    notify_buyer: bool,
) -> dict[str, Any]:
    """The variables of the document Fulfil for one location; lines are always listed."""
    works = [
        {
            "fulfillmentOrderId": work_id,
            "fulfillmentOrderLineItems": [
                {"id": line_id, "quantity": units} for line_id, units in lines.items()
            ],
        }
        for work_id, lines in group.items()
    ]
    fulfilment: dict[str, Any] = {
        "lineItemsByFulfillmentOrder": works,
        "notifyCustomer": notify_buyer,
    }
    tracking = tracking_info(shipment.packages, carriers)
    if tracking:
        fulfilment["trackingInfo"] = tracking
    return {"fulfillment": fulfilment}


def tracking_info(packages: Sequence[OutgoingPackage], carriers: MappingTable) -> dict[str, Any]:
    """The shop's tracking input: one company at most, one number or several, never both."""
    tracked = [package for package in packages if package.tracking_number]
    if not tracked:
        return {}
    tracking: dict[str, Any] = {}
    companies = {package.carrier for package in tracked if package.carrier}
    if len(companies) == 1:
        tracking["company"] = carriers.reverse().look_up(companies.pop()).value
    numbers = [package.tracking_number for package in tracked]
    links = [package.tracking_url or "" for package in tracked]
    has_links = all(link.lower().startswith(_LINKS) for link in links)
    if len(tracked) == 1:
        tracking["number"] = numbers[0]
        if has_links:
            tracking["url"] = links[0]
    else:
        tracking["numbers"] = numbers
        if has_links:
            tracking["urls"] = links
    return tracking
