"""The repository of listings, as the flows use it; see `repositories.py` for the order of locks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from oms_sync.domain.listing import Listing
from oms_sync.domain.values import Sku


class Listings(Protocol):
    """Listings with their four numbers."""

    def by_channel_ids(self, account: str, ids: Iterable[str]) -> dict[str, Listing]:
        """By channel listing id, without locks."""

    def by_channel_skus(self, account: str, skus: Iterable[str]) -> dict[str, list[Listing]]:
        """By exact channel SKU, without locks."""

    def pooled(self, account: str) -> dict[str, Listing]:
        """Those of which the channel holds units itself, by channel listing id, without locks."""

    def lock(self, listing_ids: Iterable[str]) -> dict[str, Listing]:
        """By listing id."""

    def mark_stale(self, skus: Iterable[Sku]) -> set[str]:
        """Desired quantities of these SKUs must be computed anew; answers their accounts."""

    def accounts_waiting(self, skus: Iterable[Sku]) -> set[str]:
        """Accounts with listings of these SKUs that are marked stale or want a push."""

    def lock_stale(self, account: str, limit: int) -> list[Listing]:
        """Listings marked stale; the mark is cleared with this unit of work.

        Left out while their SKU has a line in any order that is due for reservation: until then
        the levels do not know of that sale, and a quantity computed from them would be too high.
        """

    def lock_wanting_push(self, account: str, limit: int, *, may_cut: bool) -> list[Listing]:
        """Listings whose `wants_push` is true: decreases first, largest first.

        Left out while marked stale, and while their SKU is in an order due for reservation; and,
        unless `may_cut`, while a look waits to be explained.
        """

    def lock_look_due(self, account: str, *, at: datetime, limit: int) -> list[Listing]:
        """Linked, counted listings with no basis, or with `look_due_at` come.

        Left out: those in flight, with a look waiting, held, or refused in this generation.
        """

    def lock_looked(self, account: str, *, until: datetime, limit: int) -> list[Listing]:
        """Listings whose look waits to be accepted and was noted (`looked_at`) by `until`."""

    def lock_oldest(self, account: str, *, before: datetime, limit: int) -> list[Listing]:
        """Linked listings with a basis, nothing in flight and no look due or waiting, whose
        `looked_at` is before `before` or unknown; longest ago first.
        """

    def lock_rising(self, account: str, *, until: datetime, limit: int) -> list[Listing]:
        """Listings of which a growth waits for the orders placed before `until`, or earlier."""

    def lock_retried(self, account: str, *, until: datetime, limit: int) -> list[Listing]:
        """Listings whose `retry_at` has come by `until`."""

    def next_rise_at(self, account: str) -> datetime | None:
        """The first moment a growth waits for the orders of, None when none waits."""

    def next_retry_at(self, account: str) -> datetime | None:
        """When a quantity may be sent again next, None when none rests."""

    def next_look_at(self, account: str) -> datetime | None:
        """When the next look falls due, None when none is wanted."""

    def save(self, listings: Sequence[Listing]) -> None:
        """Insert or update by listing id; a changed buffer, cap or desired quantity is also
        recorded as an append-only fact.
        """
