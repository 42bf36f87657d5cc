"""The account itself: who we are at the shop, and what we may do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import shopify

from connectors.shopify.client import Client
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
}


def check(
    client: Client, shop: str, unmapped: Sequence[str], token_expires_at: datetime | None
) -> AccountCheck:
    """Ask the shop who we are; raises FixAccount when it is another shop than configured."""
    answer = client.run("Account", {}, priority=Priority.READ)
    found = answer.fields["shop"]
    if found["myshopifyDomain"] != shop:
        raise FixAccount(
            f"the token opens {found['myshopifyDomain']}, not {shop}: enter the right one"
        )
    scopes = answer.fields["currentAppInstallation"]["accessScopes"]
    granted = shopify.ApiAccess([each["handle"] for each in scopes])
    missing = [each for each in SCOPES if not granted.covers(shopify.ApiAccess(each))]
    warnings = []
    warnings += [
        f"without {scope} {loss}"
        for scope, loss in OPTIONAL_SCOPES.items()
        if not granted.covers(shopify.ApiAccess(scope))
    ]
    if unmapped:
        warnings.append(f"settings.location_ids does not name: {', '.join(unmapped)}")
    return AccountCheck(
        channel_account=found["name"],
        channel_time=answer.at,
        missing_permissions=tuple(missing),
        warnings=tuple(warnings),
        token_expires_at=token_expires_at,
        detail={"shop": found["myshopifyDomain"], "currency": found["currencyCode"]},
    )
