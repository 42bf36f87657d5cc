"""The account itself: who we are at Amazon, where we may sell, and what is withheld from us."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from connectors.amazon.client import Client
from connectors.amazon.faults import Denied, NotFound, Refused
from oms_sync import sdk

#: what a marketplace answered alone is believed for so long, and one that refuses is left out; at
#: every further refusal for twice as long, up to a day
PROBED_SECONDS: Final = 3_600.0
REFUSED_SECONDS: Final = 86_400.0

#: part of an order → the role an application needs to see it
ROLES = {
    "RECIPIENT": "Direct-to-Consumer Shipping (Restricted)",
    "BUYER": "Tax Invoicing or Tax Remittance (Restricted)",
    "PROCEEDS": "Inventory and Order Tracking",
    "REFUNDS": "Finance and Accounting",
    "REPORTS": "Inventory and Order Tracking",
}
OLDER: Final = (
    "orders are read by the older API (orders_api: v0), which Amazon removes on 2027-03-27: no "
    "names and addresses come with it"
)


class Places:
    """The marketplaces orders are asked for: one that refuses must not cost the others theirs."""

    def __init__(self, client: Client, clock: sdk.Clock) -> None:
        self._client, self._clock = client, clock
        #: what each answered alone and when; an empty text is a whole answer
        self._probed: dict[str, tuple[float, str]] = {}
        #: until when each is left out, how long that is, and why
        self._refused: dict[str, tuple[float, float, str]] = {}

    @property
    def refused(self) -> dict[str, str]:
        """Why which are left out now."""
        now, ours = self._clock.monotonic(), self._client.marketplace_ids
        known = ((one, *self._refused[one]) for one in ours if one in self._refused)
        return {one: told for one, until, _, told in known if until > now}

    @property
    def asked(self) -> list[str]:
        """Where the seller sells, without those that refuse us."""
        refused, ours = self.refused, self._client.marketplace_ids
        return [one for one in ours if one not in refused] or ours

    def worked(self) -> None:
        """All that are asked answered together: what they said before counts no more."""
        self._probed = {}
        self._refused = {one: self._refused[one] for one in self.refused}

    def isolate(self, ask: Callable[[str], object]) -> bool:
        """After a refusal of all together ask each alone; True where only some refuse."""
        asked, now = self.asked, self._clock.monotonic()
        if len(asked) == 1:
            self._refused = {}  # nobody answers: those left out may by now
            return False
        for one in asked:
            if now - self._probed.get(one, (float("-inf"), ""))[0] < PROBED_SECONDS:
                continue
            try:
                ask(one)
                told = ""
            except (Denied, Refused) as error:
                told = str(error)
            self._probed[one] = now, told
        refused = [one for one in asked if self._probed[one][1]]
        if not 0 < len(refused) < len(asked):
            return False
        for one in refused:
            last = self._refused.get(one, (now, PROBED_SECONDS / 2, ""))[1]
            span = min(2 * last, REFUSED_SECONDS)
            self._refused[one] = now + span, span, self._probed[one][1]
        return True


def check_seller(client: Client) -> None:
    """Ask for one listing of the seller the settings name; FixAccount where that is another's.

    Amazon tells nobody whose token it is: it refuses the listings of another seller.
    """
    for one in client.marketplace_ids:
        try:
            client.run(
                "searchListingsItems",
                client.seller_id,
                marketplaceIds=one,
                includedData="summaries",
                pageSize=1,
                priority=sdk.Priority.READ,
            )
        except (Denied, Refused, NotFound) as error:
            told = str(error)
        else:
            return
    raise sdk.FixAccount(
        f"Amazon refuses the listings of seller {client.seller_id}: enter as seller_id the "
        "merchant token of the seller who gave the refresh_token, and grant the application "
        f"the role Product Listing ({told})"
    )


def check(
    client: Client, withheld: Sequence[str], token_expires_at: datetime | None
) -> sdk.AccountCheck:
    """Ask Amazon where the seller sells; FixAccount when nothing of it is configured.

    From then on the client asks for those marketplaces alone.
    """
    answer = client.run("getMarketplaceParticipations", priority=sdk.Priority.READ)
    present = {
        each["marketplace"]["id"]: each
        for each in answer.fields["payload"]
        if each["participation"]["isParticipating"] is True
    }
    ours = [each for each in client.configured_ids if each in present]
    if not ours:
        raise sdk.FixAccount(
            f"the seller does not sell in {', '.join(client.configured_ids)} but in "
            f"{', '.join(present) or 'no marketplace'}: check marketplace_ids and seller_id"
        )
    client.marketplace_ids = ours
    check_seller(client)
    warnings = [
        f"the seller does not sell in {each}: it is not asked for, take it out of marketplace_ids"
        for each in client.configured_ids
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
        channel_account_id=client.seller_id,
        detail={"seller": client.seller_id, "marketplaces": ", ".join(ours)},
    )
