"""Growths of a wanted quantity that wait until the orders placed before them are in the books.

Where a channel compares nothing, a number too high re-offers what it sold unseen. A growth that
waits leaves the old number standing meanwhile, so no more than that can be sold unseen.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """A growth: what is wanted with it, and when that was computed."""

    quantity: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rises:
    """What waits of a listing's desired quantity.

    The first growth waits for a moment that stays; those after it are `last` together. So each
    comes to its turn, however many follow.
    """

    first: Rise | None = None
    #: the newest growth after the first; its quantity is all that is desired
    last: Rise | None = None
    #: what may be sent although growths wait: with the one that was `first` before
    ready: int = 0

    @property
    def at(self) -> datetime | None:
        """The orders placed before this are waited for; None while nothing waits."""
        return None if self.first is None else self.first.at

    def grown(self, quantity: int, *, at: datetime) -> "Rises":
        """With one growth more, to `quantity`."""
        rise = Rise(quantity=quantity, at=at)
        return replace(self, last=rise) if self.first else replace(self, first=rise)

    def shrunk(self, units: int) -> "Rises":
        """The same growths, from `units` fewer."""
        return Rises(
            first=_less(self.first, units),
            last=_less(self.last, units),
            ready=max(0, self.ready - units),
        )

    def explained(self, until: datetime) -> "Rises":
        """What still waits now that the orders placed before `until` are in the books."""
        if self.first is None or self.first.at > until:
            return self
        if self.last is None or self.last.at <= until:
            return NO_RISES
        return Rises(first=self.last, ready=self.first.quantity)

    def allowed(self, desired: int, shown: int | None) -> int:
        """How much of `desired` may be sent where `shown` is on sale: less of it at any time."""
        if self.first is None or shown is None:
            return desired
        return min(desired, max(self.ready, shown))


def _less(rise: Rise | None, units: int) -> Rise | None:
    return None if rise is None else replace(rise, quantity=max(0, rise.quantity - units))


#: nothing waits
NO_RISES: Final = Rises()
