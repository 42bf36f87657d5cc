"""confirmShipment (v0): 204 says nothing; the same package reference again edits that package."""

from collections import Counter
from datetime import timedelta
from typing import Any, Final

from connectors.amazon.sandbox.answers import (
    BODY_EXTRAS,
    answer,
    check_marketplaces,
    fields,
    invalid,
)
from connectors.amazon.sandbox.marketplace import read_time, stamp
from connectors.amazon.sandbox.order_views import status_of
from connectors.amazon.sandbox.orders import find_order
from connectors.amazon.sandbox.routes import Request
from oms_sync.sdk.sandbox_records import Dispatch, Line, Order, Sent, WorkLine
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

PACKAGES_MAX: Final = 200
_AHEAD_MAX: Final = timedelta(minutes=10)
_REQUIRED: Final = {
    "packageReferenceId": str,
    "carrierCode": str,
    "trackingNumber": str,
    "shipDate": str,
    "orderItems": list,
}
_OPTIONAL: Final = {"carrierName": str, "shippingMethod": str, "shipFromSupplySourceId": str}
_NO_PACKAGE: Final = "Unable to find package to update"

Units = dict[Line, int]


class Shipments:
    """The resolver of confirmShipment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def confirm(self, request: Request) -> Reply:
        request.params()
        asked = self._read(request)
        order = self._order(request.path[0])
        package = asked["packageDetail"]
        units = _units(order, package["orderItems"])
        known = {each.name: each for each in order.dispatches}
        earlier = known.get(package["packageReferenceId"])
        self._check_left(order, units, earlier)
        if not self._store.faults.fires("F09"):
            with self._store.act():
                self._apply(order, package, units, earlier)
        return answer(204)

    def _read(self, request: Request) -> dict[str, Any]:
        optional = {"codCollectionMethod": str, **dict.fromkeys(BODY_EXTRAS, object)}
        asked = request.fields({"marketplaceId": str, "packageDetail": dict}, optional)
        check_marketplaces([asked["marketplaceId"]])
        if "codCollectionMethod" in asked:
            raise invalid("codCollectionMethod is only valid in the JP marketplace.")
        package = fields(asked["packageDetail"], _REQUIRED, _OPTIONAL, at="packageDetail")
        reference = package["packageReferenceId"]
        if not (reference.isascii() and reference.isdecimal() and reference.strip("0")):
            raise invalid("Invalid packageReferenceId", "Must be a positive numeric string.")
        if not package["carrierCode"].strip() or not package["trackingNumber"].strip():
            raise invalid("carrierCode and trackingNumber must not be empty.")
        if package["carrierCode"] == "Other" and not package.get("carrierName"):
            raise invalid("carrierName is required when carrierCode is Other.")
        shipped_at = read_time(package["shipDate"])
        if shipped_at is None or shipped_at > self._store.now() + _AHEAD_MAX:
            raise invalid("Invalid shipDate", "Must be in ISO 8601 format and not in the future.")
        return asked

    def _order(self, text: str) -> Order:
        order = find_order(self._store, text)
        if order.fulfilled_by == "channel":
            raise invalid("Orders fulfilled by Amazon cannot be confirmed.")
        status = status_of(order)
        if status in ("PENDING", "CANCELLED"):
            raise invalid(f"An order in status {status} cannot be confirmed.")
        return order

    def _check_left(self, order: Order, units: Units, earlier: Dispatch | None) -> None:
        if earlier is None and not any(line.unfulfilled for line in order.lines):
            raise invalid(_NO_PACKAGE, "Everything in the order was already fulfilled.")
        if len(order.dispatches) >= PACKAGES_MAX and earlier is None:
            raise invalid("Too many packages.")
        back = _sent(earlier)
        for line, count in units.items():
            if count > line.unfulfilled + back[line]:
                raise invalid(f"Invalid quantity for orderItemId {line.id}", "More than is left.")

    def _apply(
        self, order: Order, package: dict[str, Any], units: Units, earlier: Dispatch | None
    ) -> None:
        store, at = self._store, self._store.second()
        if earlier is not None:
            for sent in earlier.lines:
                self._ship(order, sent.work_line, -sent.quantity)
        lines = [
            Sent(id=store.next_id(), work_line=work_line, quantity=count)
            for line, wanted in units.items()
            for work_line, count in _spread(order, line, wanted)
        ]
        for sent in lines:
            self._ship(order, sent.work_line, sent.quantity)
        carrier = package["carrierCode"]
        shipped_at = read_time(package["shipDate"]) or at
        label = {
            "company": package["carrierName"] if carrier == "Other" else carrier,
            "number": package["trackingNumber"],
            "service": package.get("shippingMethod"),
            "shipped_at": stamp(shipped_at),
        }
        if earlier is not None:
            earlier.lines, earlier.packages, earlier.updated_at = lines, [label], at
        else:
            self._add(order, package["packageReferenceId"], lines, label)
        order.closed_at = None if any(line.unfulfilled for line in order.lines) else at
        store.tell("order.shipped", order)
        store.changed(order)

    def _add(
        self, order: Order, reference: str, lines: list[Sent], label: dict[str, str | None]
    ) -> None:
        store, at = self._store, self._store.second()
        dispatch = Dispatch(
            id=store.next_id(),
            name=reference,
            work=[],
            lines=lines,
            packages=[label],
            created_at=at,
            updated_at=at,
        )
        order.dispatches.append(dispatch)
        store.dispatches[dispatch.id] = order

    def _ship(self, order: Order, work_line: WorkLine, count: int) -> None:
        """Units leave the house, or with a negative count were never gone."""
        line = work_line.line
        work = next(each for each in order.work if work_line in each.lines)
        work_line.remaining -= count
        line.fulfilled += count
        self._store.move(line.variant, work.place, 0, -count)


def _units(order: Order, asked: list[Any]) -> Units:
    known = {str(line.id): line for line in order.lines}
    units: Units = {}
    if not asked:
        raise invalid("Missing required field: packageDetail.orderItems")
    for each in asked:
        fields(
            each,
            {"orderItemId": str, "quantity": int},
            {"transparencyCodes": list},
            at="orderItems",
        )
        line = known.get(each["orderItemId"])
        if line is None:
            raise invalid("OrderItemId is invalid")
        if each["quantity"] < 1:
            raise invalid(f"Invalid quantity for orderItemId {line.id}", "Must be 1 or more.")
        units[line] = units.get(line, 0) + each["quantity"]
    return units


def _sent(dispatch: Dispatch | None) -> Counter[Line]:
    units: Counter[Line] = Counter()
    for sent in dispatch.lines if dispatch else ():
        units[sent.work_line.line] += sent.quantity
    return units


def _spread(order: Order, line: Line, wanted: int) -> list[tuple[WorkLine, int]]:
    """The open work that the units are taken from."""
    taken = []
    for work in order.work:
        for work_line in work.lines:
            count = min(wanted, work_line.remaining) if work_line.line is line else 0
            if count:
                taken.append((work_line, count))
                wanted -= count
    return taken
