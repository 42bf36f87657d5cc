"""Listings to begin with, for tests of every step they take."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.domain.listing import Listing, claim, want
from oms_sync.domain.looks import accept_look, look
from oms_sync.domain.values import Sku

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Listings:
    """A listing at the stages other steps start from; times are seconds after a fixed start."""

    def at(self, seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    def blank(self) -> Listing:
        return Listing(
            listing_id="l-1",
            account="shop-a",
            channel_listing_id="c-1",
            channel_sku="TEE",
            sku=Sku("TEE"),
        )

    def seen(self, quantity: int = 5, *, desired: int | None = 5, when: float = 0) -> Listing:
        """A listing looked at once, the look accepted."""
        wanted, at = want(self.blank(), desired), self.at(when)
        return accept_look(look(wanted, quantity, read_at=at, at=at), "overwrite")[0]

    def sent(self, listing: Listing, *, is_comparing: bool = False, when: float = 10) -> Listing:
        return claim(listing, push_id="p-1", at=self.at(when), is_comparing=is_comparing)


@pytest.fixture(scope="session")
def listings() -> Listings:
    return Listings()
