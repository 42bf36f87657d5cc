"""The rest of an order's nested lists, each of which the shop shows a page at a time."""

from typing import Any, Final

from connectors.shopify.client import Client
from connectors.shopify.documents import LIST_FIRST, LIST_MAX
from oms_sync import sdk

#: pages of one nested list that are fetched before the order counts as not wholly readable
MORE_PAGES_MAX: Final = 20
_NO_RETURN: Final = "NO_RETURN"


class More:
    """Fetches what the first answer left out of nested lists, into the record itself."""

    def __init__(self, client: Client, priority: sdk.Priority) -> None:
        self._client, self._priority = client, priority

    def pages(self, owner: dict[str, Any], field: str, document: str) -> bool:
        """Complete the connection `field`; False when that is not possible."""
        connection = owner[field]
        for _ in range(MORE_PAGES_MAX):
            page = connection["pageInfo"]
            if not page["hasNextPage"]:
                return True
            variables = {"id": owner["id"], "after": page["endCursor"]}
            answer = self._client.run(document, variables, priority=self._priority)
            following = (answer.fields.get("node") or {}).get(field)
            if following is None or following["pageInfo"]["endCursor"] == page["endCursor"]:
                return False
            connection["nodes"] += following["nodes"]
            connection["pageInfo"] = following["pageInfo"]
        return False

    def list(self, owner: dict[str, Any], field: str, document: str) -> bool:
        """Read the list `field` again when it may have been cut off."""
        if len(owner[field]) < LIST_FIRST:
            return True
        answer = self._client.run(document, {"id": owner["id"]}, priority=self._priority)
        whole = (answer.fields.get("order") or {}).get(field)
        if whole is None:
            return False
        owner[field] = whole
        return len(whole) < LIST_MAX

    def returns(self, order: dict[str, Any]) -> bool:
        """Put what became of returned goods into `returns`; None where no permission shows it."""
        if order.get("returnStatus") in (None, _NO_RETURN):
            order["returns"] = []
            return True
        variables = {"id": order["id"], "after": None}
        try:
            answer = self._client.run("Returns", variables, priority=self._priority)
        except sdk.PermissionMissing:
            order["returns"] = None  # the refunds say less, and are all there is
            return True
        found = (answer.fields.get("node") or {}).get("returns")
        if found is None:
            return False
        order["returns"] = found
        whole = self.pages(order, "returns", "Returns")
        reverses: list[dict[str, Any]] = []
        for each in found["nodes"]:
            whole &= self.pages(each, "reverseFulfillmentOrders", "MoreReverses")
            reverses += each["reverseFulfillmentOrders"]["nodes"]
        for each in reverses:
            whole &= self.pages(each, "lineItems", "MoreReturnedLines")
        order["returns"] = [line for each in reverses for line in each["lineItems"]["nodes"]]
        return whole
