"""Refunds: what the shop gave back, and giving back ourselves, with a key that never pays twice."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, Literal

from connectors.shopify import render
from connectors.shopify.client import Client
from connectors.shopify.faults import KeyBurnt
from connectors.shopify.ids import gid, number
from connectors.shopify.nested import More
from connectors.shopify.shipments import ShipmentDesk
from connectors.shopify.writes import (
    TakenBack,
    key_of,
    refund_lines,
    repay,
    result,
    split_units,
    with_key,
    words,
)
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment

REFUNDS_MAX: Final = 40
TRANSACTIONS_MAX: Final = 100
#: keys whose first use failed for certain, so that another one may be tried
BURNT_KEYS_MAX: Final = 5
_FAILED: Final = frozenset({"FAILURE", "ERROR"})
#: in what the shop says of a key that was used before: these errors carry no code
_KEY_WORD: Final = "idempoten"
State = Literal["pending", "done", "failed"]


class RefundDesk:
    """Everything about money that goes back, for one account."""

    def __init__(
        self,
        client: Client,
        shipments: ShipmentDesk,
        *,
        return_to: Callable[[], str],
        notify_buyer: bool,
    ) -> None:
        self._client, self._shipments = client, shipments
        self._return_to, self._notify_buyer = return_to, notify_buyer

    def read(self, channel_order_id: str) -> tuple[sdk.ChannelRefund, ...]:
        """Every refund of the order."""
        variables = {"id": gid("Order", channel_order_id)}
        answer = self._client.run("Refunds", variables, priority=sdk.Priority.WRITE)
        refunds = existing(answer.fields, channel_order_id)["refunds"]
        if len(refunds) >= REFUNDS_MAX:
            raise sdk.BadPayload(f"order {channel_order_id} has more refunds than foreseen")
        more = More(self._client, sdk.Priority.WRITE)
        for one in refunds:
            if not more.pages(one, "refundLineItems", "MoreRefundLines"):
                raise sdk.BadPayload(f"the lines of refund {one['id']} cannot be read whole")
        return tuple(shown for one in refunds for shown in _refunds(one))

    def send(self, refund: sdk.OutgoingRefund) -> None:
        """Give back `refund.amount`, and take back the units it is for."""
        order = self.order(refund.channel_order_id)
        is_return = refund.reason == "returned"
        # Of a lower price the buyer keeps the goods, and gets those that are still to ship.
        lines = {} if refund.reason == "price" and not refund.is_restocked else refund.lines
        taken = split_units(lines, order["lineItems"]["nodes"], is_return=is_return)
        repayment = repay(order, refund.amount)
        variables = self.draft(order, taken, is_restocked=refund.is_restocked)
        variables |= repayment.fields()
        if refund.shipping is not None and refund.shipping.amount:
            variables["shipping"] = {"amount": repayment.shown(refund.shipping)}
        self.give(variables, refund.key, refund.note)

    def order(self, channel_order_id: str) -> dict[str, Any]:
        """What can be changed of the order, with all its lines."""
        variables = {"id": gid("Order", channel_order_id)}
        answer = self._client.run("Changeable", variables, priority=sdk.Priority.WRITE)
        order = existing(answer.fields, channel_order_id)
        more = More(self._client, sdk.Priority.WRITE)
        is_whole = len(order["transactions"]) < TRANSACTIONS_MAX
        if not (more.pages(order, "lineItems", "MoreLines") and is_whole):
            raise sdk.BadPayload(f"order {channel_order_id} cannot be read whole")
        return order

    def draft(
        self, order: Mapping[str, Any], taken: list[TakenBack], *, is_restocked: bool
    ) -> dict[str, Any]:
        """The shop's input for taking these units back, without any money."""
        is_placed = is_restocked and any(one.unshipped for one in taken)
        works = self._shipments.work(order["id"].rpartition("/")[2]) if is_placed else []
        goes_back = is_restocked and any(one.shipped for one in taken)
        return {
            "orderId": order["id"],
            "notify": self._notify_buyer,
            "refundLineItems": refund_lines(
                taken,
                works,
                is_restocked=is_restocked,
                return_to=self._return_to() if goes_back else None,
            ),
        }

    def give(self, wanted: Mapping[str, Any], key: str, note: str) -> None:
        """Send a refund; the same key is never paid twice."""
        given = {**wanted, "note": with_key(note, key)}
        for attempt in range(BURNT_KEYS_MAX):
            once = render.idempotency_key("refund", key, str(attempt))
            try:
                answer = self._client.run(
                    "Refund", {"input": given, "key": once}, priority=sdk.Priority.WRITE
                )
            except KeyBurnt:
                continue
            payload = result(answer.fields, "refundCreate")
            if payload["userErrors"]:
                self._refused(wanted["orderId"], key, words(payload))
            return
        raise sdk.RetryLater("the shop failed at this refund several times: looking first")

    def _refused(self, order_gid: str, key: str, message: str) -> None:
        """What the shop shows decides: it may refuse because an earlier call did it already."""
        shown = self.read(number(order_gid))
        if any(one.key == key and one.state != "failed" for one in shown):
            return
        if _KEY_WORD in message.lower():
            raise sdk.OutcomeUnknown(f"an earlier call may still be giving it back: {message}")
        raise sdk.Rejected(f"the shop refuses the refund: {message}")


def existing(fields: Mapping[str, Any], channel_order_id: str) -> dict[str, Any]:
    """The answer's order; raises Rejected where the shop has none."""
    order = fields.get("order")
    if not isinstance(order, dict):
        raise sdk.Rejected(f"the shop has no order {channel_order_id}")
    return order


def _refunds(one: Mapping[str, Any]) -> list[sdk.ChannelRefund]:
    """A refund of the shop's; as two where only a part of its money went back."""
    lines: dict[str, int] = {}
    for line in one["refundLineItems"]["nodes"]:
        line_id = line["lineItem"]["id"].rpartition("/")[2]
        lines[line_id] = lines.get(line_id, 0) + line["quantity"]
    state, gone = _progress(one["transactions"]["nodes"])
    money = one["totalRefundedSet"]["shopMoney"]
    whole = sdk.ChannelRefund(
        channel_refund_id=number(one["id"]),
        amount=sdk.Money.parse(str(money["amount"]), money["currencyCode"]),
        lines=lines,
        state=state,
        at=moment(one["createdAt"] or one["processedAt"]),
        key=key_of(one["note"]),
    )
    if state != "failed" or not gone:
        return [whole]
    done = replace(whole, amount=sdk.Money(gone, whole.amount.currency), state="done", key=None)
    return [done, replace(whole, channel_refund_id=f"{whole.channel_refund_id} failed")]


def _progress(transactions: Iterable[Mapping[str, Any]]) -> tuple[State, Decimal]:
    """How far a refund is, and what went back; a payment tried again counts by what came of it."""
    by_payment: dict[str, set[str]] = {}
    gone = Decimal(0)
    for each in transactions:
        payment = (each["parentTransaction"] or {}).get("id", "")
        by_payment.setdefault(payment, set()).add(each["status"])
        if each["status"] == "SUCCESS":
            gone += Decimal(each["amountSet"]["shopMoney"]["amount"])
    open_payments = [states for states in by_payment.values() if "SUCCESS" not in states]
    if not open_payments:
        return "done", gone
    return ("pending" if any(states - _FAILED for states in open_payments) else "failed"), gone
