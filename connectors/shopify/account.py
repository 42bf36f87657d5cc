"""The account itself: who we are at the shop, and what we may do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import shopify

from connectors.shopify.client import Client
from connectors.shopify.ids import number
from oms_sync.sdk import AccountCheck, FixAccount, Priority

SCOPES: Final = (
    "read_orders",
    "read_products",
    "read_locations",
    "write_inventory",
    "write_merchant_managed_fulfillment_orders",
)
#: scopes an account works without, and what it then does without
OPTIONAL_SCOPES: Final = {
    "read_all_orders": "the shop shows the orders of 60 days only",
    "write_orders": "nothing can be cancelled or refunded from here",
    "read_returns": "returned units are known by their refunds only",
    "read_fulfillments": "what others ship is known by the next poll only",
    "read_customers": "a buyer's wish to be forgotten finds none of the buyer's orders",
}
#: asked for only where a fulfilment service has a location
SERVICE_SCOPE: Final = "read_third_party_fulfillment_orders"
SERVICE_LOSS: Final = "an order that is wholly a fulfilment service's stays held as not_routed"


def check(
    client: Client,
    shop: str,
    *,
    known: Sequence[str],
    has_services: bool,
    token_expires_at: datetime | None,
) -> AccountCheck:
    """Ask the shop who we are; raises FixAccount when it is another shop than configured.

    `known` are warnings of our own, told besides.
    """
    answer = client.run("Account", {}, priority=Priority.READ)
    found = answer.fields["shop"]
    if found["myshopifyDomain"] != shop:
        raise FixAccount(
            f"the token opens {found['myshopifyDomain']}, not {shop}: enter the right one"
        )
    scopes = answer.fields["currentAppInstallation"]["accessScopes"]
    granted = shopify.ApiAccess([each["handle"] for each in scopes])
    missing = [each for each in SCOPES if not granted.covers(shopify.ApiAccess(each))]
    optional = OPTIONAL_SCOPES | ({SERVICE_SCOPE: SERVICE_LOSS} if has_services else {})
    warnings = [
        f"without {scope} {loss}"
        for scope, loss in optional.items()
        if not granted.covers(shopify.ApiAccess(scope))
    ]
    return AccountCheck(
        channel_account=found["name"],
        channel_account_id=number(found["id"]),
        channel_time=answer.at,
        missing_permissions=tuple(missing),
        warnings=(*warnings, *known),
        token_expires_at=token_expires_at,
        detail={"shop": found["myshopifyDomain"], "currency": found["currencyCode"]},
    )
