"""Personal data that dies: what erasing needs of a database, and what every erasure tells."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from oms_sync.domain.events import Event
from oms_sync.domain.personal import Unfinished


class Cause(StrEnum):
    """Why an order is due to be erased."""

    #: it has been finished for as long as the configuration lets personal data live
    RETENTION = "retention"
    #: the buyer asked for it, by the channel
    BUYER = "buyer"


class Erasures(Protocol):
    """Destroys keys and bytes. What the books need stays: orders, lines, amounts, movements."""

    def accounts(self) -> list[str]:
        """Every account ever connected, configured now or not."""

    def lock_due(self, account: str, *, before: datetime, limit: int) -> dict[str, Cause]:
        """Finished orders to erase, locked: those whose latest date is before `before`, and those
        whose buyer asked after placing them. One waits while its channel refused a shipment and
        still waits for the goods.
        """

    def lock(self, order_ids: Iterable[str]) -> dict[str, Unfinished]:
        """What of these orders is not finished, by order id, locked."""

    def erase(self, order_ids: Sequence[str], *, at: datetime) -> int:
        """Destroy the personal data of locked orders and the bytes of all messages about them that
        were worked off; answers how many messages. Their dead letters are dropped.
        """

    def name_orders(self, account: str, named: Mapping[str, str]) -> None:
        """Note of hints worked off (message id to channel order id) which order each named, so
        that they go with it; about an order erased by now their bytes are destroyed at once.
        """

    def destroy_messages(self, message_ids: Sequence[str]) -> None:
        """Destroy the bytes of these messages, unless they wait to be worked off."""

    def expire_messages(self, account: str, *, before: datetime, limit: int) -> int:
        """Destroy bytes of messages that came before `before` and were worked off or dropped;
        answers of how many.
        """

    def drop_late(self, account: str, *, before: datetime, limit: int) -> int:
        """Drop dead letters about erased orders that came before `before`, with their bytes."""

    def drop_keys(self, account: str, limit: int) -> int:
        """Delete data keys of people none of whose orders is left unerased; answers how many. In
        a unit of work that does nothing else, else it may wait for one that waits for it.
        """

    def want(self, account: str, channel_buyer_id: str, *, at: datetime) -> list[str]:
        """Note that this buyer asks to be forgotten; answers the orders not erased yet."""

    def scrub(self) -> None:
        """After this unit of work, have the database overwrite what it deleted, where it can."""


def erased_events(
    order_ids: Mapping[str, str], *, account: str | None, at: datetime, actor: str
) -> list[Event]:
    """What the timelines of erased orders say; `order_ids` gives each one's reason."""
    return [
        Event(
            name="order.erased",
            at=at,
            actor=actor,
            order_id=order_id,
            account=account,
            detail={"reason": reason},
        )
        for order_id, reason in sorted(order_ids.items())
    ]
