"""Tracking: what the shop knows of an order's dispatches, and telling it of one of ours.

The call has no idempotency key, so nothing here repeats one: the caller looks, then calls again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.shopify import render
from connectors.shopify.client import Client
from connectors.shopify.ids import gid
from connectors.shopify.nested import More
from connectors.shopify.writes import result, words
from oms_sync import sdk

#: how long the shop may take to route a new order to a location
ROUTING_SECONDS_MAX: Final = 3600.0
#: a dispatch that never was one
DEAD: Final = frozenset({"CANCELLED", "ERROR", "FAILURE"})


class ShipmentDesk:
    """Everything about dispatches for one account."""

    def __init__(
        self,
        client: Client,
        carriers: sdk.MappingTable,
        *,
        locations: Callable[[], frozenset[str]],
        notify_buyer: bool,
    ) -> None:
        self._client, self._carriers = client, carriers
        self._locations, self._notify_buyer = locations, notify_buyer

    def read(self, channel_order_id: str) -> tuple[sdk.ChannelShipment, ...]:
        """Every dispatch of the order."""
        variables = {"id": f"gid://shopify/Order/{channel_order_id}"}
        answer = self._client.run("AllDispatches", variables, priority=sdk.Priority.WRITE)
        order = _order(answer.fields, channel_order_id)
        more = More(self._client, sdk.Priority.WRITE)
        dispatches = order["fulfillments"]
        for one in dispatches:
            if not more.pages(one, "fulfillmentLineItems", "MoreDispatchLines"):
                raise sdk.BadPayload(f"the lines of dispatch {one['id']} cannot be read whole")
        return tuple(_shipment(one) for one in dispatches)

    def push(self, shipment: sdk.OutgoingShipment) -> None:
        """Fulfil the shipment's units wherever the shop wants them fulfilled from."""
        _check_packages(shipment.packages)
        plan = self._plan(shipment)
        for turn, group in enumerate(plan.groups.values()):
            variables = render.dispatch(
                group, shipment, self._carriers, notify_buyer=self._notify_buyer
            )
            answer = self._client.run("Fulfil", variables, priority=sdk.Priority.WRITE)
            payload = result(answer.fields, "fulfillmentCreate")
            if payload["userErrors"]:
                if turn:  # a part is dispatched: only a look tells what is still missing
                    raise sdk.OutcomeUnknown("the shop took only a part of the shipment")
                self._refused(shipment, group, words(payload))

    def correct(self, correction: sdk.TrackingCorrection) -> None:
        """Replace what a dispatch of the order shows of its packages."""
        _check_packages(correction.packages)
        known = {one.channel_shipment_id for one in self.read(correction.channel_order_id)}
        if correction.channel_shipment_id not in known:
            raise sdk.Rejected(
                f"order {correction.channel_order_id} has no dispatch "
                f"{correction.channel_shipment_id} at the shop"
            )
        variables = {
            "id": gid("Fulfillment", correction.channel_shipment_id),
            "tracking": render.tracking_info(correction.packages, self._carriers),
            "notify": self._notify_buyer,
        }
        answer = self._client.run("CorrectTracking", variables, priority=sdk.Priority.WRITE)
        payload = result(answer.fields, "fulfillmentTrackingInfoUpdate")
        if payload["userErrors"]:
            raise sdk.Rejected(f"the shop refuses the new tracking: {words(payload)}")

    def _plan(self, shipment: sdk.OutgoingShipment) -> render.DispatchPlan:
        order, asked_at = self._work(shipment.channel_order_id)
        works = order["fulfillmentOrders"]["nodes"]
        plan = render.plan_dispatches(shipment.lines, works, self._locations())
        if not plan.unplaced:
            _check_size(plan)
            return plan
        age = asked_at - datetime.fromisoformat(order["createdAt"])
        if not works and age < timedelta(seconds=ROUTING_SECONDS_MAX):
            raise sdk.RetryLater("the shop has not routed the order to a location yet")
        if plan.is_waiting:
            raise sdk.RetryLater("the shop holds the order back or has scheduled it for later")
        if not works:
            raise sdk.Rejected(
                "the shop shows no fulfilment orders: grant the app "
                "write_merchant_managed_fulfillment_orders"
            )
        missing = ", ".join(f"{units} of line {line}" for line, units in plan.unplaced.items())
        raise sdk.Rejected(f"the shop has nothing left to fulfil for {missing}")

    def work(self, channel_order_id: str) -> list[dict[str, Any]]:
        """The order's fulfilment orders, whole, those at our locations first."""
        works: list[dict[str, Any]] = self._work(channel_order_id)[0]["fulfillmentOrders"]["nodes"]
        ours = self._locations()
        return sorted(works, key=lambda one: not render.is_ours(one["assignedLocation"], ours))

    def _work(self, channel_order_id: str) -> tuple[dict[str, Any], datetime]:
        variables = {"id": f"gid://shopify/Order/{channel_order_id}"}
        answer = self._client.run("ShippableWork", variables, priority=sdk.Priority.WRITE)
        order = _order(answer.fields, channel_order_id)
        more = More(self._client, sdk.Priority.WRITE)
        works = order["fulfillmentOrders"]
        if works["pageInfo"]["hasNextPage"]:
            raise sdk.BadPayload(
                f"order {channel_order_id} has more fulfilment orders than foreseen"
            )
        for work in works["nodes"]:
            if not more.pages(work, "lineItems", "MoreWorkLines"):
                raise sdk.BadPayload(f"the lines of {work['id']} cannot be read whole")
        return order, answer.at

    def _refused(
        self, shipment: sdk.OutgoingShipment, group: Mapping[str, Any], message: str
    ) -> None:
        """The message may be in any language: what the shop shows now decides."""
        order, _ = self._work(shipment.channel_order_id)
        works = order["fulfillmentOrders"]["nodes"]
        again = render.plan_dispatches(shipment.lines, works, self._locations())
        if group in again.groups.values():
            raise sdk.Rejected(f"the shop refuses the dispatch: {message}")
        raise sdk.RetryLater(f"the order changed at the shop meanwhile: {message}")


def _check_packages(packages: Sequence[sdk.OutgoingPackage]) -> None:
    """Refuse what could not be recognised afterwards, and would be told a second time."""
    if sum(1 for package in packages if package.tracking_number) > render.NUMBERS_MAX:
        raise sdk.Rejected(
            f"more than {render.NUMBERS_MAX} tracking numbers in one dispatch: ship its packages "
            "as several shipments"
        )


def _check_size(plan: render.DispatchPlan) -> None:
    for group in plan.groups.values():
        if sum(len(lines) for lines in group.values()) > render.LINES_MAX:
            raise sdk.Rejected(f"the shop takes at most {render.LINES_MAX} lines in one dispatch")


def _order(fields: Mapping[str, Any], channel_order_id: str) -> dict[str, Any]:
    order = fields.get("order")
    if not isinstance(order, dict):
        raise sdk.Rejected(f"the shop has no order {channel_order_id}")
    return order


def _shipment(one: Mapping[str, Any]) -> sdk.ChannelShipment:
    lines: dict[str, int] = {}
    for line in one["fulfillmentLineItems"]["nodes"]:
        line_id = line["lineItem"]["id"].rpartition("/")[2]
        lines[line_id] = lines.get(line_id, 0) + (line["quantity"] or 0)
    numbers = (each["number"] for each in one["trackingInfo"])
    return sdk.ChannelShipment(
        channel_shipment_id=one["id"].rpartition("/")[2],
        lines=lines,
        tracking_numbers=tuple(each for each in numbers if each),
        is_cancelled=one["status"] in DEAD,
    )
