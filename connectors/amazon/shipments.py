"""Tracking: which packages Amazon knows of an order, and confirming one of our shipments.

An answer of 204 proves nothing: the caller looks afterwards. A reference sent again edits its
package, so a repeated confirmation makes no second one.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connectors.amazon import render
from connectors.amazon.client import Client
from connectors.amazon.faults import NotFound
from connectors.amazon.orders import OrderReader
from oms_sync import sdk

INCLUDED: Final = ("FULFILLMENT", "PACKAGES")
#: an order looked at so shortly before it is confirmed need not be read again
LOOK_SECONDS_MAX: Final = 30.0
LOOKS_MAX: Final = 100
_GONE: Final = "unable to find package"


class ShipmentDesk:
    """Everything about dispatches for one account."""

    def __init__(self, client: Client, orders: OrderReader, request: sdk.OpenRequest) -> None:
        self._client, self._orders, self._clock = client, orders, request.clock
        self._tables = request.tables
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
        self._confirm(shipment.channel_order_id, bodies)

    def correct(self, correction: sdk.TrackingCorrection) -> None:
        """Edit the packages of a dispatch under the references they have."""
        order = self._looked_at(correction.channel_order_id)
        bodies = render.corrections(correction, order, self._tables, self._client.now())
        self._confirm(correction.channel_order_id, bodies)

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
        try:
            return self._orders.shown(channel_order_id, INCLUDED, priority=sdk.Priority.WRITE)
        except NotFound as error:
            raise sdk.Rejected(f"Amazon has no order {channel_order_id}") from error


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
