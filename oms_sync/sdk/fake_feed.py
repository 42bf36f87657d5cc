"""Paging of the fake channel: cursors that say where a feed stands, and pages cut at them. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from oms_sync.sdk.fake_orders import FakeOrder
from oms_sync.sdk.messages import OrderFeed

Key = tuple[datetime, str]
Entry = tuple[Key, FakeOrder]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPlace:
    """Where a feed stands, as its cursor says: a start, and the last order of the pages before."""

    start: datetime
    after: Key | None = None
    #: the newest order of all passes so far
    newest: datetime | None = None
    #: grows with each page, so that no two cursors are alike
    page: int = 0

    @classmethod
    def read(cls, cursor: str | None, since: datetime) -> "FeedPlace":
        """The place a cursor names; None is the beginning."""
        if cursor is None:
            return cls(start=since)
        document = json.loads(cursor)
        after, newest = document["after"], document["newest"]
        return cls(
            start=datetime.fromisoformat(document["start"]),
            after=(datetime.fromisoformat(after[0]), after[1]) if after else None,
            newest=datetime.fromisoformat(newest) if newest else None,
            page=document["page"],
        )

    def text(self) -> str:
        """The cursor."""
        return json.dumps(
            {
                "start": self.start.isoformat(),
                "after": [self.after[0].isoformat(), self.after[1]] if self.after else None,
                "newest": self.newest.isoformat() if self.newest else None,
                "page": self.page,
            }
        )


def feed_entries(feed: OrderFeed, orders: Sequence[FakeOrder]) -> list[Entry]:
    """The orders a feed lists, in its order: changes by their time, the others as placed."""
    is_by_change = feed in (OrderFeed.CHANGES, OrderFeed.SWEEP)
    listed = [
        ((order.updated_at if is_by_change else order.placed_at, order.channel_order_id), order)
        for order in orders
        if feed is not OrderFeed.OPEN or order.state in ("open", "pending")
    ]
    return sorted(listed, key=lambda entry: entry[0])


def waiting_entries(entries: Sequence[Entry], place: FeedPlace) -> list[Entry]:
    """Those not yet read in this pass; what has the very time of the start is read again."""
    return [
        (key, order)
        for key, order in entries
        if key[0] >= place.start and (place.after is None or key > place.after)
    ]


def next_place(
    place: FeedPlace, shown: Sequence[Entry], *, is_last: bool, overlap: timedelta
) -> FeedPlace:
    """Where the feed stands after `shown`; a new pass begins `overlap` before the newest order."""
    times = [key[0] for key, _ in shown]
    newest = max([place.newest, *times] if place.newest else times, default=None)
    if not is_last:
        return replace(place, after=shown[-1][0], newest=newest)
    start = place.start if newest is None else max(place.start, newest - overlap)
    return FeedPlace(start=start, newest=newest, page=place.page)
