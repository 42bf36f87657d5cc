"""Contract checks of listing orders by when they were placed: nothing left out, nothing besides."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from oms_sync.sdk.connector import ListOrders
from oms_sync.sdk.contract import Check, ContractChannel, open_as, walk
from oms_sync.sdk.manifest import Capability, Manifest
from oms_sync.sdk.messages import OrderPage

ORDERS: Final = 7
#: channels refuse windows that end now; orders are a minute old before they are listed
_SETTLE_SECONDS: Final = 600.0


def _pages(session: Any, since: datetime, until: datetime) -> Callable[[str | None], OrderPage]:
    def next_page(cursor: str | None) -> OrderPage:
        page: OrderPage = session.list_orders(since, until, cursor)
        return page

    return next_page


def _place(channel: ContractChannel, count: int = ORDERS) -> tuple[datetime, datetime, list[str]]:
    """Orders some seconds apart, and a window that holds just these."""
    channel.advance(5)
    since = channel.now().replace(microsecond=0)
    placed = []
    for _ in range(count):
        channel.advance(2)
        placed.append(channel.place_order(1))
    channel.advance(5)
    until = channel.now().replace(microsecond=0)
    return since, until, placed


def the_list_shows_every_order(channel: ContractChannel, manifest: Manifest) -> None:
    """Every order placed in the window, page after page, cancelled ones too."""
    since, until, placed = _place(channel)
    channel.cancel_order(placed[0])
    channel.advance(_SETTLE_SECONDS)
    found = walk(_pages(open_as(channel, ListOrders), since, until))
    assert not found.fault, f"{found.fault}: say is_last when the window was listed"
    assert set(placed) <= found.ids, f"never listed: {sorted(set(placed) - found.ids)}"


def the_list_keeps_to_its_window(channel: ContractChannel, manifest: Manifest) -> None:
    """What was placed before or after is not listed, and every order says when it was placed."""
    _, _, before = _place(channel, 2)
    since, until, placed = _place(channel, 3)
    _, _, after = _place(channel, 2)
    channel.advance(_SETTLE_SECONDS)
    session = open_as(channel, ListOrders)
    found = walk(_pages(session, since, until))
    assert found.ids & {*before, *after} == set(), "the list shows orders of another time"
    assert set(placed) <= found.ids, f"never listed: {sorted(set(placed) - found.ids)}"
    for raw in found.orders:
        sight = session.parse_order(raw.payload, channel.now())
        placed_at = sight.facts.placed_at
        assert placed_at is not None, f"{raw.channel_order_id} is listed without its time"
        assert since <= placed_at < until, (
            f"{raw.channel_order_id} is of {placed_at}, listed for {since} to {until}: list by the "
            "time that parse_order gives as placed_at"
        )


def what_is_listed_is_what_is_read(channel: ContractChannel, manifest: Manifest) -> None:
    """A listed payload says the same of an order as reading it by id, as far as it says it."""
    since, until, placed = _place(channel, 2)
    channel.advance(_SETTLE_SECONDS)
    session = open_as(channel, ListOrders)
    listed = {
        raw.channel_order_id: session.parse_order(raw.payload, channel.now())
        for raw in walk(_pages(session, since, until)).orders
    }
    for raw in session.read_orders_by_id(placed[: manifest.order_read_max]):
        read = session.parse_order(raw.payload, channel.now())
        shown = listed[raw.channel_order_id]
        assert shown.version.at == read.version.at, "a listed order is of another version"
        for name in ("state", "placed_at", "total", "fulfilled_by"):
            said = getattr(shown.facts, name)
            assert said is None or said == getattr(read.facts, name), f"listed with another {name}"
        units = {line.channel_line_id: line.quantity_ordered for line in read.lines}
        for line in shown.lines:
            said = line.quantity_ordered
            assert said is None or said == units.get(line.channel_line_id), "other units are listed"


def an_empty_window_has_an_end(channel: ContractChannel, manifest: Manifest) -> None:
    """A window without orders is one page or a few, and no error."""
    until = channel.now().replace(microsecond=0) - timedelta(days=1)
    channel.advance(_SETTLE_SECONDS)
    found = walk(_pages(open_as(channel, ListOrders), until - timedelta(hours=1), until))
    assert not found.fault, found.fault
    assert found.ids == set()


def a_crash_within_the_list_loses_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """A cursor alone, in a new session, goes on after its page and not beyond."""
    since, until, placed = _place(channel)
    channel.advance(_SETTLE_SECONDS)

    def restarted(cursor: str | None) -> OrderPage:
        return _pages(open_as(channel, ListOrders), since, until)(cursor)

    found = walk(restarted)
    assert not found.fault, found.fault
    lost = set(placed) - found.ids
    assert not lost, f"the cursor passed unread orders: {sorted(lost)}"


_LIST: Final = frozenset({Capability.LIST_ORDERS})
_LIST_AND_READ: Final = _LIST | {Capability.READ_ORDERS}

LIST_CHECKS: Final[tuple[Check, ...]] = (
    *(
        Check(name=run.__name__, run=run, needs=_LIST)
        for run in (the_list_shows_every_order, an_empty_window_has_an_end)
    ),
    *(
        Check(name=run.__name__, run=run, needs=_LIST_AND_READ)
        for run in (
            the_list_keeps_to_its_window,
            what_is_listed_is_what_is_read,
            a_crash_within_the_list_loses_nothing,
        )
    ),
)
"""Every check of `list_orders`."""
