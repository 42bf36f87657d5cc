"""How far a feed of orders is read, as the hub stores it between two pages. Pure."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

SHIPPABLE: Final = ("UNSHIPPED", "PARTIALLY_SHIPPED")
MARK_BYTES: Final = 6
_LISTS: Final = ("seen", "waiting", "done", "fresh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a feed is read; times are texts in the channel's clock."""

    #: everything changed up to here was read by a complete pass
    watermark: str | None = None
    #: the running pass: its window, its page token and when that was issued (our clock)
    after: str | None = None
    before: str | None = None
    token: str | None = None
    issued_at: str | None = None
    #: the upper bound the channel says it used
    echoed: str | None = None
    #: checksums of tokens and pages of the pass, so that a circle is noticed
    seen: tuple[int, ...] = ()
    restarts: int = 0
    #: orders whose details are still to be read
    waiting: tuple[str, ...] = ()
    #: marks of orders read in full: those the last pass showed, and this one so far
    done: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    #: the list is read to its end; only details are missing
    is_listed: bool = False
    #: marketplaces that are not asked, and up to when they were read
    left_out: Mapping[str, str] = field(default_factory=dict)


def read_cursor(cursor: str | None) -> Cursor:
    """What `write_cursor` wrote; raises BadPayload."""
    if cursor is None:
        return Cursor()
    try:
        fields = read_json(cursor.encode())
        lists = {name: tuple(fields[name]) for name in _LISTS if name in fields}
        return Cursor(**{**fields, **lists})
    except TypeError as error:
        raise sdk.BadPayload(f"this is no cursor of ours: {cursor[:200]!r}") from error


def write_cursor(place: Cursor) -> str:
    """The cursor as a text."""
    return json.dumps({name: value for name, value in asdict(place).items() if value})


def finish(feed: sdk.OrderFeed, place: Cursor) -> tuple[Cursor, bool]:
    """End the pass where the list is read; other feeds than CHANGES end with their details."""
    is_endless = feed is sdk.OrderFeed.CHANGES
    if not place.is_listed or (place.waiting and not is_endless):
        return place, False
    # The channel's own bound is where the next pass begins; unsaid, it begins where this one did.
    return Cursor(
        watermark=place.echoed or place.watermark,
        waiting=place.waiting,
        done=place.fresh,
        left_out=place.left_out,
    ), True


def stamp(instant: datetime) -> str:
    """Amazon's way to write a time."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # cut off, never rounded up


def wants_details(order: Mapping[str, Any]) -> bool:
    """True where the seller ships the order, and may."""
    fulfilment = order.get("fulfillment")
    return (
        isinstance(fulfilment, dict)  # one order of another shape must not cost the page
        and fulfilment.get("fulfilledBy") == "MERCHANT"
        and fulfilment.get("fulfillmentStatus") in SHIPPABLE
    )


def mark_of(order: Mapping[str, Any], withheld: Sequence[str]) -> str:
    """Short for an order as it was at one time of change, and for how much of it was read."""
    is_whole = wants_details(order)
    words = f"{order['orderId']} {order.get('lastUpdatedTime')} {is_whole} {withheld}".encode()
    digest = hashlib.blake2b(words, digest_size=MARK_BYTES).digest()
    return base64.b64encode(digest).decode()
