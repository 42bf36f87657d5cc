"""What the seller offers: accepted quantities, applied after the lag, one truth per SKU.

Amazon says ACCEPTED at once and applies later. Until then reads and buyers see the old quantity,
and a sale in between is overwritten by the absolute number: that is how Amazon sells twice.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon.sandbox.fba import FbaPool, Later
from connectors.amazon.sandbox.marketplace import MARKETPLACE_ID, MERCHANT_CHANNEL
from oms_sync.sdk.sandbox_records import Level, Variant
from oms_sync.sdk.sandbox_store import STALE_SECONDS, Store

ATTRIBUTE: Final = "fulfillment_availability"
PATH: Final = f"/attributes/{ATTRIBUTE}"
QUANTITY_MAX: Final = 1_000_000_000
PENDING_MAX: Final = 200_000
_MEMBERS: Final = frozenset(
    "fulfillment_channel_code quantity lead_time_to_ship_max_days restock_date "
    "is_inventory_available marketplace_id".split()
)
_CODE_UNKNOWN_SKU: Final = "13013"
_CODE_BAD_VALUE: Final = "90000900"
_CODE_BAD_ATTRIBUTE: Final = "90000901"

Issue = dict[str, Any]
Write = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one submission asks for: issues say why it cannot be, None leaves the quantity."""

    issues: tuple[Issue, ...] = ()
    quantity: int | None = None


class Offers:
    """The offered quantities and what was accepted but not yet applied."""

    def __init__(self, store: Store, fba: FbaPool, later: Later) -> None:
        self._store, self.fba, self._later = store, fba, later
        #: SKUs whose stock is kept per location: DEFAULT must stay 0
        self.located: set[str] = set()
        #: what is wrong with listings, by SKU
        self.issues: dict[str, list[Issue]] = {}
        #: quantities by marketplace and SKU, where they are not one number
        self.unshared: dict[str, dict[str, int]] = {}
        self._pending: list[tuple[datetime, int, Write]] = []

    # --- reading ---------------------------------------------------------------------------------

    def find(self, sku: str) -> Variant | None:
        """What is listed under a SKU, wherever its stock lies."""
        return self.fba.listings.get(sku) or self._store.by_sku.get(sku)

    def all(self) -> list[Variant]:
        return [*self._store.variants.values(), *self.fba.listings.values()]

    def is_fba(self, variant: Variant) -> bool:
        sku = variant.sku
        return sku in self.fba.listings and sku not in self.fba.flipped

    def quantity(self, variant: Variant) -> int:
        return self.fba.flipped.get(variant.sku, 0) + variant.available()

    def quantity_read(self, variant: Variant) -> int:
        """What a read answers: with F41 from a copy made before the last write."""
        level = self._level(variant)
        if level is not None and level.written_at is not None:
            age = self._store.now() - level.written_at
            if age < timedelta(seconds=STALE_SECONDS) and self._store.faults.fires("F41"):
                return self.quantity(variant) + level.available_before - level.available
        return self.quantity(variant)

    def _level(self, variant: Variant) -> Level | None:
        return variant.levels.get(self._store.places[0].id)

    # --- writing ---------------------------------------------------------------------------------

    def accept(self, write: Write) -> None:
        """Apply in `lag_seconds`."""
        store = self._store
        if len(self._pending) >= PENDING_MAX:
            raise RuntimeError(f"more than {PENDING_MAX} submissions wait to be applied")
        lag = store.options.lag_seconds
        due = store.now() + timedelta(seconds=lag)
        heapq.heappush(self._pending, (due, store.next_id(), write))
        if lag <= 0:
            self.settle()
        else:
            self._later(lag, self.settle)

    def settle(self) -> None:
        """Apply what is due; called before anybody looks, as clocks may jump."""
        with self._store.act():
            while self._pending and self._pending[0][0] <= self._store.now():
                heapq.heappop(self._pending)[2]()

    def set(self, sku: str, quantity: int) -> None:
        """Apply one quantity now."""
        if sku in self.fba.listings:
            self.fba.flip(sku, quantity)
            return
        if sku in self.located:
            self.fba.forbid("quantity_for_located", channel_sku=sku, quantity=quantity)
        store = self._store
        variant = store.by_sku[sku]
        store.move(variant, store.places[0], quantity - variant.available(), by_api=True)

    # --- understanding submissions ---------------------------------------------------------------

    def read_patches(self, sku: str, patches: list[Any]) -> Wanted:
        """What a list of patches asks for; the shape of each was checked by the caller."""
        if self.find(sku) is None:
            return Wanted(issues=(issue(_CODE_UNKNOWN_SKU, f"The SKU '{sku}' does not exist."),))
        issues: list[Issue] = []
        quantity = None
        for patch in patches:
            if patch["path"] != PATH or patch["op"] == "delete":
                message = f"'{patch['op']}' of '{patch['path']}' is not possible here."
                issues.append(issue(_CODE_BAD_ATTRIBUTE, message))
                continue
            wanted = self.read_availability(patch.get("value"))
            issues += wanted.issues
            quantity = wanted.quantity if wanted.quantity is not None else quantity
        return Wanted(issues=tuple(issues), quantity=quantity)

    def read_availability(self, value: Any) -> Wanted:
        """The quantity in a `fulfillment_availability` attribute."""
        if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
            message = f"'{ATTRIBUTE}' needs a list with the one entry of channel DEFAULT."
            return Wanted(issues=(issue(_CODE_BAD_VALUE, message, ATTRIBUTE),))
        entry, problem = value[0], _problem(value[0])
        if problem:
            return Wanted(issues=(issue(_CODE_BAD_VALUE, problem, ATTRIBUTE),))
        return Wanted(quantity=entry.get("quantity"))


def _problem(entry: Mapping[str, Any]) -> str:
    unknown = sorted(set(entry) - _MEMBERS)
    if unknown:
        return f"'{unknown[0]}' is not a member of '{ATTRIBUTE}'."
    if entry.get("fulfillment_channel_code") != MERCHANT_CHANNEL:
        return "'fulfillment_channel_code' is required and must be 'DEFAULT'."
    if entry.get("marketplace_id", MARKETPLACE_ID) != MARKETPLACE_ID:
        return "'marketplace_id' is not a marketplace of the seller."
    quantity: Any = entry.get("quantity")
    is_whole = isinstance(quantity, int) and not isinstance(quantity, bool)
    if "quantity" in entry and not (is_whole and 0 <= quantity <= QUANTITY_MAX):
        return "'quantity' must be a whole number, 0 or more."
    return ""


def issue(code: str, message: str, attribute: str | None = None) -> Issue:
    """One reason why a submission is not taken in."""
    made: Issue = {"code": code, "message": message, "severity": "ERROR"}
    made["categories"] = ["INVALID_ATTRIBUTE"]
    return made if attribute is None else made | {"attributeNames": [attribute]}
