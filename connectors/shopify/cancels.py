"""Cancelling: a whole order by the shop's own job, some of its units by taking them off it.

The job has no key and cannot be undone, so the order is read before it is asked for, and again
where the shop refuses: an order that is cancelled already is as it should be.
"""

from collections.abc import Mapping
from typing import Any, Final

from connectors.shopify.client import Client
from connectors.shopify.ids import number
from connectors.shopify.refunds import RefundDesk, existing
from connectors.shopify.shipments import DEAD
from connectors.shopify.writes import (
    cancel_reason,
    repay,
    result,
    split_units,
    with_key,
    words,
)
from oms_sync import sdk

_ERRORS: Final = "orderCancelUserErrors"
_RECEIPT: Final = " "


class CancelDesk:
    """Everything about cancelling for one account."""

    def __init__(
        self, client: Client, refunds: RefundDesk, reasons: sdk.MappingTable, settings: Any
    ) -> None:
        self._client, self._refunds, self._reasons = client, refunds, reasons
        self._notify_buyer: bool = settings.notify_buyer
        self._gives_back: bool = settings.refund_cancelled

    def cancel(self, cancellation: sdk.OutgoingCancellation) -> str | None:
        """Cancel; answers the receipt of the shop's job, None where it is done."""
        order = self._refunds.order(cancellation.channel_order_id)
        if order["cancelledAt"] is not None:
            return None
        if cancellation.is_whole and _is_all(cancellation, order):
            return self._cancel_whole(cancellation, order["id"])
        self._take_off(cancellation, order)
        return None

    def is_decided(self, receipt: str) -> bool:
        """Whether the job has run; raises Rejected when the order is not cancelled by it."""
        job, _, order_id = receipt.partition(_RECEIPT)
        answer = self._client.run(
            "CancelOutcome", {"job": job, "order": order_id}, priority=sdk.Priority.WRITE
        )
        found = answer.fields.get("job")
        if found is not None and not found["done"]:
            return False
        order = existing(answer.fields, order_id)
        if order["cancelledAt"] is None:
            raise sdk.Rejected("the shop did not cancel the order: it may have shipped meanwhile")
        return True

    def _cancel_whole(self, cancellation: sdk.OutgoingCancellation, order_id: str) -> str | None:
        variables = {
            "id": order_id,
            "reason": cancel_reason(cancellation.reason, self._reasons),
            "restock": cancellation.is_restocked,
            "notify": self._notify_buyer,
            "refund": {"originalPaymentMethodsRefund": self._gives_back},
            "note": with_key(cancellation.note, cancellation.key),
        }
        answer = self._client.run("CancelOrder", variables, priority=sdk.Priority.WRITE)
        payload = result(answer.fields, "orderCancel", _ERRORS)
        if not payload[_ERRORS]:
            job = payload.get("job")
            return f"{job['id']}{_RECEIPT}{order_id}" if job else None
        order = self._refunds.order(cancellation.channel_order_id)
        if order["cancelledAt"] is None:
            raise sdk.Rejected(f"the shop refuses to cancel: {words(payload, _ERRORS)}")
        return None

    def _take_off(self, cancellation: sdk.OutgoingCancellation, order: dict[str, Any]) -> None:
        taken = split_units(cancellation.lines, order["lineItems"]["nodes"], is_return=False)
        shipped = {one.line_id: one.shipped for one in taken if one.shipped}
        if shipped:
            named = ", ".join(f"{units} of line {line}" for line, units in shipped.items())
            raise sdk.Rejected(f"already shipped, so not to be cancelled: {named}")
        wanted = self._refunds.draft(order, taken, is_restocked=cancellation.is_restocked)
        if self._gives_back:
            wanted |= repay(order, self._worth(wanted, order)).fields()
        self._refunds.give(wanted, cancellation.key, cancellation.note)

    def _worth(self, wanted: dict[str, Any], order: dict[str, Any]) -> sdk.Money:
        """What the shop itself would give back for these units."""
        variables = {"id": order["id"], "lines": wanted["refundLineItems"]}
        answer = self._client.run("Suggested", variables, priority=sdk.Priority.WRITE)
        found = existing(answer.fields, order["id"]).get("suggestedRefund")
        if found is None:
            return sdk.Money.zero(order["currencyCode"])
        money = found["amountSet"]["shopMoney"]
        return sdk.Money.parse(str(money["amount"]), money["currencyCode"])


def _is_all(cancellation: sdk.OutgoingCancellation, order: Mapping[str, Any]) -> bool:
    """Whether nothing of the order would go on, and the shop lets it be cancelled whole.

    The shop may have more open than the hub: units at others' locations, or those the hub has
    shipped and not told of yet. An order of which anything ever left it does not cancel.
    """
    if any(each["status"] not in DEAD for each in order["fulfillments"]):
        return False
    goods = [line for line in order["lineItems"]["nodes"] if line["requiresShipping"]]
    wanted = cancellation.lines
    return all(
        line["currentQuantity"] <= line["unfulfilledQuantity"] <= wanted.get(number(line["id"]), 0)
        for line in goods
    )
