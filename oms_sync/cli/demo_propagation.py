"""How long a sale at one channel stays unseen at the others, from the channels' own change logs.

Pure. A sale is seen at another channel with the first quantity the hub sets there that no longer
offers the units sold. Changes must come sorted by time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Final

WAITING_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of what one channel offers of one SKU."""

    account: str
    at: datetime
    sku: str
    #: what is offered from then on
    quantity: int
    delta: int
    is_hub: bool


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A sale another channel does not show yet."""

    sold_at: datetime
    #: the most that channel may offer once it knows
    limit: int


@dataclass(slots=True)
class _Offer:
    """One SKU at one channel: what it offers, and the sales elsewhere it still has to learn."""

    quantity: int
    waiting: list[_Waiting] = field(default_factory=list)


class Propagation:
    """Fed with changes as they happen."""

    def __init__(self, initial: Mapping[str, int], accounts: Sequence[str]) -> None:
        self._left = dict(initial)
        self._offers = {
            (account, sku): _Offer(units) for account in accounts for sku, units in initial.items()
        }
        self._accounts = tuple(accounts)
        #: milliseconds, in the order they were measured
        self.measured: list[float] = []
        self.sold_out: set[str] = set()
        #: changes the hub made, per account
        self.pushes = dict.fromkeys(accounts, 0)

    def feed(self, changes: Iterable[Change]) -> None:
        """Take in changes, oldest first."""
        for change in changes:
            self._offers[change.account, change.sku].quantity = change.quantity
            if change.is_hub:
                self.pushes[change.account] += 1
                self._learn(change)
            else:
                self._move(change)

    def offered(self, account: str, sku: str) -> int:
        """What the channel offers now."""
        return self._offers[account, sku].quantity

    def left(self, sku: str) -> int:
        """Units nobody has bought yet, by the channels' truth; below zero when oversold."""
        return self._left[sku]

    def finish(self, at: datetime) -> None:
        """Nothing more comes: what is unseen although it still is to be seen lasted until `at`."""
        for offer in self._offers.values():
            unseen = [one for one in offer.waiting if offer.quantity > max(0, one.limit)]
            self.measured += [(at - one.sold_at).total_seconds() * 1000.0 for one in unseen]
            offer.waiting.clear()

    def _learn(self, change: Change) -> None:
        """The hub set a quantity: every sale it no longer offers is seen."""
        offer = self._offers[change.account, change.sku]
        still: list[_Waiting] = []
        for one in offer.waiting:
            if change.quantity <= max(0, one.limit):
                self.measured.append((change.at - one.sold_at).total_seconds() * 1000.0)
            else:
                still.append(one)
        offer.waiting = still

    def _move(self, change: Change) -> None:
        """A buyer bought, or units came back."""
        self._left[change.sku] += change.delta
        left = self._left[change.sku]
        if left <= 0:
            self.sold_out.add(change.sku)
        # The channel's own sales lower its quantity by themselves: that must not count as learnt.
        for one in self._offers[change.account, change.sku].waiting:
            one.limit += change.delta
        for account in self._accounts:
            if account == change.account:
                continue
            offer = self._offers[account, change.sku]
            if change.delta > 0:
                # With units coming back in between, a quantity no longer tells what it knows.
                offer.waiting.clear()
            elif offer.quantity > max(0, left) and len(offer.waiting) < WAITING_MAX:
                offer.waiting.append(_Waiting(sold_at=change.at, limit=left))


def percentiles(measured: Sequence[float]) -> dict[str, float | None]:
    """The values that 50, 95 and 99 of 100 do not exceed; None where nothing was measured."""
    ordered = sorted(measured)
    return {
        f"p{share}": round(ordered[ceil(len(ordered) * share / 100) - 1], 1) if ordered else None
        for share in (50, 95, 99)
    }
