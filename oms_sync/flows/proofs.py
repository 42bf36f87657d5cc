"""What comparing whole lists needs of a database: lists under way, and certificates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from oms_sync.domain.certificate import Claim
from oms_sync.domain.completeness import Kept, ListedOrder, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderList:
    """A channel's list of the orders of a window, as far as it was read."""

    list_id: str
    account: str
    window: Window
    #: "hub", or who typed the command: nobody goes on with the list of another
    owner: str
    began_at: datetime
    cursor: str | None = None
    pages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """What became of one try to certify a day."""

    number: int
    account: str
    day: date
    attempt: int
    is_issued: bool
    issued_at: datetime
    #: when the next try is due; None where there is nothing more to try
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is still reserved for an order whose row somebody deleted."""

    order_id: str
    #: units by SKU and location
    held: Mapping[tuple[str, str], int]


class OrderLists(Protocol):
    """Lists under comparison."""

    def under_way(self, account: str, owner: str) -> OrderList | None:
        """The one `owner` began and did not finish."""

    def begin(self, order_list: OrderList) -> None:
        """Store a new one."""

    def add(self, order_list: OrderList, orders: Sequence[ListedOrder]) -> None:
        """Store a page, judged, together with where the list stands; an order seen again counts
        once, as it was judged last.
        """

    def kept(self, account: str, channel_order_ids: Sequence[str]) -> dict[str, Kept]:
        """Messages about these orders that are dead letters or dropped, the newest of each."""

    def told(self, order_ids: Sequence[str], *, until: datetime) -> dict[str, dict[str, int]]:
        """Units by channel line id, by order id, of the dispatches confirmed by `until`."""

    def unlisted(self, order_list: OrderList, limit: int) -> list[str]:
        """Ids of orders of the window the hub had when the list began, and it does not have."""

    def judged(self, list_id: str) -> list[ListedOrder]:
        """Every order of it, by channel order id."""

    def has_waiting(self, account: str, *, until: datetime) -> bool:
        """True while a message that came in by then is not worked off."""

    def has_unread(self, account: str) -> bool:
        """True while any message of the account waits, or is a dead letter."""

    def remains(self, account: str, channel_order_ids: Sequence[str]) -> list[Remains]:
        """What is left of those of these orders that were here once and have no row now."""

    def clear(self, remains: Sequence[Remains]) -> None:
        """Delete it; the caller has released what is reserved."""

    def drop(self, list_id: str) -> None:
        """Forget it, it is worked off."""


class Certificates(Protocol):
    """What was certified; append-only."""

    def add(self, claim: Claim, *, at: datetime, next_at: datetime | None) -> CertificateRecord:
        """Sign and store what is claimed: a certificate where it is complete, else a refusal."""

    def latest(self, account: str, *, since: date) -> Mapping[date, CertificateRecord]:
        """The last try of every day from `since` on; of days that were over when it was made."""
