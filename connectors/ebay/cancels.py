"""Cancelling whole orders by Post-Order: agreeing to a buyer or saying no, or our own wish.

eBay keeps one cancellation per order, so that what is there already is found before anything is
sent. Its lists are matched by what their entries name: filters are not always kept to.
"""

from collections.abc import Mapping
from typing import Any, Final

from connectors.ebay import parse, render
from connectors.ebay.client import Client
from connectors.ebay.markup import Node
from connectors.ebay.orders import OrderReader
from connectors.ebay.rest import STATUS_CONFLICT, STATUS_NOT_FOUND, RestAnswer, RestCall
from oms_sync import sdk

BASE: Final = "/post-order/v2/cancellation"
KIND: Final = "cancellation"
PAGE_SIZE: Final = 100
PAGES_MAX: Final = 20
_WRITE: Final = sdk.Priority.WRITE
_DONE: Final = "CANCEL_CLOSED"
_REFUSED: Final = frozenset({"CANCEL_REJECTED", "CANCEL_FAILED"})
_ASKED: Final = "CANCEL_REQUESTED"


class CancelDesk:
    """Everything about cancellations for one account."""

    def __init__(self, client: Client, orders: OrderReader, reasons: sdk.MappingTable) -> None:
        self._client, self._orders = client, orders
        self._reasons: Mapping[str, str] = reasons.reverse().entries

    def cancel(self, cancellation: sdk.OutgoingCancellation) -> str | None:
        """Agree where the buyer asked, else cancel; a cancellation already there is followed."""
        if not cancellation.is_whole:
            raise sdk.Rejected("eBay cancels whole orders only: refund the line instead")
        order = self._orders.one(cancellation.channel_order_id)
        if parse.is_cancelled(order):
            return None
        known = self._known(order)
        cancel_id = str(known["cancelId"]) if known else ""
        if known is None:
            self._ask_whether_allowed(order)
            cancel_id = self._create(order, cancellation.reason)
        elif _is_asked_by_buyer(known):
            self._send(f"{cancel_id}/approve")
        return f"{KIND}/{cancel_id}"

    def decline(self, channel_order_id: str) -> None:
        """Say no where the buyer still asks.

        Source: Post-Order API, Reject Cancellation: without a date or number of a parcel that is
        on its way, an empty object has to be sent.
        """
        known = self._known(self._orders.one(channel_order_id))
        if known is not None and _is_asked_by_buyer(known):
            self._send(f"{known['cancelId']}/reject", {})

    def follow(self, cancel_id: str) -> bool:
        """True once eBay has closed the cancellation."""
        answer = self._call("GET", cancel_id)
        if answer.status == STATUS_NOT_FOUND:
            raise sdk.Rejected("eBay no longer knows the cancellation it had taken: cancel again")
        known = answer.fields.get("cancelDetail") or answer.fields
        status = str(known.get("cancelStatus"))
        if status in _REFUSED:
            why = known.get("cancelCloseReason") or status
            raise sdk.Rejected(f"eBay did not cancel the order: {why}")
        return status.startswith(_DONE)

    def _known(self, order: Node) -> Mapping[str, Any] | None:
        """The order's cancellation that is not refused; None where there is none."""
        names, seen = parse.order_ids(order), set[str]()
        for page in range(1, PAGES_MAX + 1):
            query = {
                "creation_date_range_from": order.text("CreatedTime") or "",
                "legacy_order_id": order.text("OrderID") or "",
                "limit": str(PAGE_SIZE),
                "offset": str(page),
            }
            answer = self._call("GET", "search", query=query)
            listed = answer.fields.get("cancellations") or []
            for each in listed:
                is_alive = str(each.get("cancelStatus")) not in _REFUSED
                if each.get("legacyOrderId") in names and is_alive:
                    return dict(each)
            ids = {str(each.get("cancelId")) for each in listed}
            if len(listed) < PAGE_SIZE or ids <= seen:
                return None
            seen |= ids
        raise sdk.ChannelDown("eBay's list of cancellations never ends")

    def _ask_whether_allowed(self, order: Node) -> None:
        """Better words than a refusal has; not every site of eBay answers this."""
        asked = {"legacyOrderId": order.text("OrderID")}
        try:
            answer = self._call("POST", "check_eligibility", payload=asked)
        except (sdk.Bug, sdk.PermissionMissing, sdk.ChannelDown):
            return
        if answer.fields.get("eligible") is False:
            reasons = answer.fields.get("failureReason") or "no reason given"
            said = ", ".join(map(str, reasons)) if isinstance(reasons, list) else str(reasons)
            raise sdk.Rejected(f"eBay does not let the order be cancelled: {said[:200]}")

    def _create(self, order: Node, reason: sdk.WriteReason) -> str:
        paid_at = order.text("PaidTime")
        payload = render.cancellation(
            order.text("OrderID") or "", self._reasons.get(reason), paid_at=paid_at
        )
        answer = self._send("", payload)
        cancel_id = answer.fields.get("cancelId")
        if not cancel_id:
            raise sdk.OutcomeUnknown("eBay does not name the cancellation it made")
        return str(cancel_id)

    def _send(self, path: str, payload: Mapping[str, Any] | None = None) -> RestAnswer:
        answer = self._call("POST", path, payload=payload, is_write=True, is_signed=True)
        if answer.status == STATUS_CONFLICT:  # somebody else was faster: a look tells what is there
            raise sdk.OutcomeUnknown("eBay has a cancellation of this order under way")
        return answer

    def _call(self, method: str, path: str, **more: Any) -> RestAnswer:
        allowed = frozenset({STATUS_NOT_FOUND} if method == "GET" else {STATUS_CONFLICT})
        call = RestCall(
            method=method,
            path=f"{BASE}/{path}".rstrip("/"),
            operation="post_order",
            allowed=allowed,
            scheme="IAF",
            **more,
        )
        return self._client.rest.call(call, priority=_WRITE)


def _is_asked_by_buyer(known: Mapping[str, Any]) -> bool:
    return known.get("cancelStatus") == _ASKED and known.get("requestorType") == "BUYER"
