"""Holding an order's work back at the shop, and letting go again: our own holds and no others."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from connectors.shopify.client import Client
from connectors.shopify.ids import HOLD_HANDLE, gid
from connectors.shopify.refunds import existing
from connectors.shopify.render import is_ours
from connectors.shopify.writes import NOTE_MAX, result, words
from oms_sync import sdk

_DONE: Final = frozenset({"CLOSED", "CANCELLED", "INCOMPLETE"})
_TAKEN: Final = frozenset({"DUPLICATE_FULFILLMENT_HOLD_HANDLE", "TAKEN"})


class HoldDesk:
    """Everything about holds for one account."""

    def __init__(self, client: Client, locations: Callable[[], frozenset[str]]) -> None:
        self._client, self._locations = client, locations

    def hold(self, hold: sdk.OutgoingHold) -> None:
        """Hold every open piece of work at our locations that we do not hold yet."""
        wanted = {
            "reason": "OTHER",
            "reasonNotes": hold.note[:NOTE_MAX],
            "handle": HOLD_HANDLE,
            "notifyMerchant": False,
        }
        for work in self._open_work(hold.channel_order_id, is_needed=True):
            if _ours(work):
                continue
            if "HOLD" not in {each["action"] for each in work["supportedActions"]}:
                raise sdk.Rejected(f"the shop does not let work be held that is {work['status']}")
            self._write("Hold", "fulfillmentOrderHold", {"id": work["id"], "hold": wanted})

    def release(self, hold: sdk.OutgoingHold) -> None:
        """End our holds; those of others stay."""
        for work in self._open_work(hold.channel_order_id):
            ours = _ours(work)
            if ours:
                variables = {"id": work["id"], "holds": ours}
                self._write("Release", "fulfillmentOrderReleaseHold", variables)

    def _open_work(self, channel_order_id: str, *, is_needed: bool = False) -> list[dict[str, Any]]:
        variables = {"id": gid("Order", channel_order_id)}
        answer = self._client.run("HoldableWork", variables, priority=sdk.Priority.WRITE)
        works = existing(answer.fields, channel_order_id)["fulfillmentOrders"]
        if works["pageInfo"]["hasNextPage"]:
            raise sdk.BadPayload(
                f"order {channel_order_id} has more fulfilment orders than foreseen"
            )
        if is_needed and not works["nodes"]:
            # Not "nothing to hold": it is not routed yet, or its work is not shown to us.
            raise sdk.Rejected(
                "the shop shows no fulfilment orders: try again in a while, or grant the app "
                "write_merchant_managed_fulfillment_orders"
            )
        ours = self._locations()
        return [
            work
            for work in works["nodes"]
            if work["status"] not in _DONE and is_ours(work["assignedLocation"], ours)
        ]

    def _write(self, document: str, name: str, variables: Mapping[str, Any]) -> None:
        answer = self._client.run(document, variables, priority=sdk.Priority.WRITE)
        payload = result(answer.fields, name)
        codes = {error.get("code") for error in payload["userErrors"]}
        if codes and not codes <= _TAKEN:
            raise sdk.Rejected(f"the shop refuses: {words(payload)}")


def _ours(work: Mapping[str, Any]) -> list[str]:
    return [
        each["id"]
        for each in work["fulfillmentHolds"]
        if each["heldByRequestingApp"] and each["handle"] == HOLD_HANDLE
    ]
