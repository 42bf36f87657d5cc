"""Why a channel shows another quantity than expected: the probable cause, and since when. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from oms_sync.domain.listing import Listing

#: so often within a week nobody types a quantity by hand
OTHER_SOFTWARE_AT: Final = 3


class Cause(StrEnum):
    """What probably made the channel show another quantity."""

    SALE_UNSEEN = "sale not seen yet"
    HAND_EDIT = "hand edit"
    PUSH_REFUSED = "refused push"
    OTHER_SOFTWARE = "other software"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSigns:
    """What is known at the moment a quantity is found to differ."""

    expected: int
    found: int
    #: the channel refused the listing's last push
    is_refused: bool
    #: orders of the account wait to be read or understood
    is_news_waiting: bool
    #: how often the listing's SKU drifted at this account within the last days
    times_before: int


def probable_cause(signs: DriftSigns) -> Cause:
    """The likeliest story: what the hub knows of comes before what it can only suppose."""
    if signs.is_refused:
        return Cause.PUSH_REFUSED
    if signs.found < signs.expected and signs.is_news_waiting:
        return Cause.SALE_UNSEEN
    if signs.times_before >= OTHER_SOFTWARE_AT:
        return Cause.OTHER_SOFTWARE
    return Cause.HAND_EDIT


def last_right_at(listing: Listing) -> datetime | None:
    """When the channel was last known to show what was expected: it drifted after that."""
    basis_at = listing.basis.at if listing.basis is not None else None
    known = [at for at in (listing.confirmed_at, basis_at) if at is not None]
    return max(known, default=None)
