"""The account itself: who we are at Amazon, where we may sell, and what is withheld from us."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from connectors.amazon.client import Client
from oms_sync import sdk

#: part of an order → the role an application needs to see it
ROLES = {
    "RECIPIENT": "Direct-to-Consumer Shipping (Restricted)",
    "BUYER": "Tax Invoicing or Tax Remittance (Restricted)",
    "PROCEEDS": "Inventory and Order Tracking",
    "REFUNDS": "Finance and Accounting",
}
OLDER: Final = (
    "orders are read by the older API (orders_api: v0), which Amazon removes on 2027-03-27: no "
    "names and addresses come with it"
)


def check(
    client: Client, withheld: Sequence[str], token_expires_at: datetime | None
) -> sdk.AccountCheck:
    """Ask Amazon where the seller sells; FixAccount when nothing of it is configured."""
    answer = client.run("getMarketplaceParticipations", priority=sdk.Priority.READ)
    present = {
        each["marketplace"]["id"]: each
        for each in answer.fields["payload"]
        if each["participation"]["isParticipating"] is True
    }
    ours = [each for each in client.marketplace_ids if each in present]
    if not ours:
        raise sdk.FixAccount(
            f"the seller does not sell in {', '.join(client.marketplace_ids)} but in "
            f"{', '.join(present) or 'no marketplace'}: check marketplace_ids and seller_id"
        )
    warnings = [
        f"the seller does not sell in {each}: take it out of marketplace_ids"
        for each in client.marketplace_ids
        if each not in present
    ]
    warnings += [
        f"listings in {present[each]['marketplace']['name']} are suspended"
        for each in ours
        if present[each]["participation"].get("hasSuspendedListings")
    ]
    return sdk.AccountCheck(
        channel_account=present[ours[0]].get("storeName") or client.seller_id,
        channel_time=answer.at,
        missing_permissions=tuple(f"{part}: role {ROLES[part]}" for part in withheld),
        warnings=tuple(warnings),
        token_expires_at=token_expires_at,
        detail={"seller": client.seller_id, "marketplaces": ", ".join(ours)},
    )
