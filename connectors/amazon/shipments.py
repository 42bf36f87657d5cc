"""Tracking: which packages Amazon knows of an order, and confirming one of our shipments.

An answer of 204 proves nothing: the caller looks afterwards. A reference sent again edits its
package, so a repeated confirmation makes no second one.
"""

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connectors.amazon import render
from connectors.amazon.client import Client
from connectors.amazon.orders import OrderReader
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

INCLUDED: Final = ("FULFILLMENT", "PACKAGES")
#: an order looked at so shortly before it is confirmed need not be read again
LOOK_SECONDS_MAX: Final = 30.0
LOOKS_MAX: Final = 100
#: what is stored beside the tokens: packages told while the older API is read
TOLD: Final = "told_packages"
TOLD_MAX: Final = 300
#: units that left and were not told by us, where no packages show
BY_OTHERS: Final = "units"
_GONE: Final = "unable to find package"

Package = Mapping[str, Any]


class ToldPackages:
    """Stands in for the packages of an order, of which the older API shows none.

    It shows how many units of a line have left: a package we told counts as shown once as many
    more have left as it holds, or nothing of its lines is left to ship.
    """

    def __init__(self, store: sdk.TokenStore) -> None:
        self._store = store

    def note(self, order: Mapping[str, Any], bodies: Sequence[Mapping[str, Any]]) -> None:
        """Remember what is about to be told, and how many units had left by then."""
        left, order_id = Counter(_progress(order)[0]), order["orderId"]
        with self._store.locked():
            stored = self._store.load()
            told = _told(stored)
            known = {each["packageReferenceId"]: each for each in told.pop(order_id, [])}
            for detail in (body["packageDetail"] for body in bodies):
                reference, lines = detail["packageReferenceId"], detail["orderItems"]
                before = known.get(reference, {}).get("before") or dict(left)
                known[reference] = {
                    "packageReferenceId": reference,
                    "trackingNumber": detail["trackingNumber"],
                    "packageItems": lines,
                    "before": before,
                }
                left.update(_units(lines))
            told[order_id] = list(known.values())
            newest = dict(list(told.items())[-TOLD_MAX:])
            self._store.save({**stored, TOLD: json.dumps(newest)})

    def shown(self, order: Mapping[str, Any]) -> list[Package]:
        """The packages of ours that have left, and whatever else did."""
        left, open_units = _progress(order)
        found: list[Package] = []
        used: Counter[str] = Counter()
        for package in _told(self._store.load()).get(order["orderId"], []):
            units, before = _units(package["packageItems"]), package["before"]
            if all(
                left[line] >= max(before.get(line, 0), used[line]) + count
                or (left[line] >= count and not open_units[line])
                for line, count in units.items()
            ):
                found.append(package)
                used.update(units)
        rest = [
            {"orderItemId": line, "quantity": count - used[line]}
            for line, count in left.items()
            if count > used[line]
        ]
        if rest:
            found.append({"packageReferenceId": BY_OTHERS, "packageItems": rest})
        return found


def _progress(order: Mapping[str, Any]) -> tuple[Counter[str], Counter[str]]:
    """Units that left and units still to ship, by line."""
    lines = {line["orderItemId"]: line["fulfillment"] for line in order["orderItems"]}
    left = Counter({line: progress["quantityFulfilled"] for line, progress in lines.items()})
    rest = {line: progress["quantityUnfulfilled"] for line, progress in lines.items()}
    return left, Counter(rest)


def _units(lines: Sequence[Mapping[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in lines:
        found[line["orderItemId"]] += line["quantity"]
    return found


def _told(stored: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    text = stored.get(TOLD)
    return dict(read_json(text.encode())) if text else {}


class ShipmentDesk:
    """Everything about dispatches for one account."""

    def __init__(self, client: Client, orders: OrderReader, request: sdk.OpenRequest) -> None:
        self._client, self._orders, self._clock = client, orders, request.clock
        self._tables = request.tables
        is_older = request.settings.orders_api == "v0"
        self._told = ToldPackages(request.tokens) if is_older else None
        self._lock = threading.Lock()
        self._looks: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def read(self, channel_order_id: str) -> tuple[sdk.ChannelShipment, ...]:
        """Every dispatch of the order; packages of one shipment of ours are one."""
        order = self._read(channel_order_id)
        with self._lock:
            self._looks[channel_order_id] = (self._clock.monotonic(), order)
            for old in list(self._looks)[:-LOOKS_MAX]:
                del self._looks[old]
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for package in order.get("packages") or ():
            name = render.dispatch_of(package["packageReferenceId"])
            groups.setdefault(name, []).append(package)
        return tuple(_shipment(name, packages) for name, packages in groups.items())

    def push(self, shipment: sdk.OutgoingShipment) -> None:
        """Confirm package by package."""
        order = self._looked_at(shipment.channel_order_id)
        bodies = render.confirmations(shipment, order, self._tables, self._client.now())
        if self._told is not None:
            self._client.check_may_write("confirmShipment")
            self._told.note(order, bodies)
        self._confirm(shipment.channel_order_id, bodies)

    def correct(self, correction: sdk.TrackingCorrection) -> None:
        """Edit the packages of a dispatch under the references they have."""
        order = self._looked_at(correction.channel_order_id)
        bodies = render.corrections(correction, order, self._tables, self._client.now())
        self._confirm(correction.channel_order_id, bodies)
        if self._told is not None:
            self._told.note(order, bodies)

    def _confirm(self, order_id: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        for number, body in enumerate(bodies):
            try:
                self._client.run("confirmShipment", order_id, priority=sdk.Priority.WRITE, **body)
            except sdk.ChannelError as error:
                is_fulfilled = _GONE in str(error).lower()
                if (number or is_fulfilled) and not isinstance(error, sdk.FixAccount):
                    # A part is confirmed, or all of it long since: only a look can tell.
                    raise sdk.OutcomeUnknown(f"package {number + 1}: {error}") from error
                raise

    def _looked_at(self, channel_order_id: str) -> Mapping[str, Any]:
        with self._lock:
            at, order = self._looks.pop(channel_order_id, (float("-inf"), {}))
        if self._clock.monotonic() - at <= LOOK_SECONDS_MAX:
            return order
        return self._read(channel_order_id)

    def _read(self, channel_order_id: str) -> Mapping[str, Any]:
        order = self._orders.shown(channel_order_id, INCLUDED, priority=sdk.Priority.WRITE)
        if self._told is not None:
            order["packages"] = self._told.shown(order)
        return order


def _shipment(name: str, packages: Sequence[Mapping[str, Any]]) -> sdk.ChannelShipment:
    lines: dict[str, int] = {}
    for package in packages:
        for line in package.get("packageItems") or ():
            lines[line["orderItemId"]] = lines.get(line["orderItemId"], 0) + line["quantity"]
    statuses = {(package.get("packageStatus") or {}).get("status") for package in packages}
    numbers = (package.get("trackingNumber") for package in packages)
    return sdk.ChannelShipment(
        channel_shipment_id=name,
        lines=lines,
        tracking_numbers=tuple(each for each in numbers if each),
        is_cancelled=statuses == {"CANCELLED"},
    )
