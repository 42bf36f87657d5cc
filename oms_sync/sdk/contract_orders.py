"""Contract checks of reading orders: pages, cursors, payloads."""

from datetime import datetime, timedelta
from typing import Final

from oms_sync.domain.order import OrderState
from oms_sync.sdk.connector import ReadOrders
from oms_sync.sdk.contract import Check, ContractChannel, NotApplicable, changes, open_as, walk
from oms_sync.sdk.errors import BadPayload
from oms_sync.sdk.manifest import Capability, Manifest
from oms_sync.sdk.messages import OrderPage

ORDERS: Final = 11
_LATE_SECONDS: Final = 5.0
_DEPTH: Final = 100_000


def _place(channel: ContractChannel, count: int = ORDERS) -> tuple[datetime, set[str]]:
    since = channel.now() - timedelta(seconds=1)
    placed = set()
    for _ in range(count):
        channel.advance(1)
        placed.add(channel.place_order(1))
    channel.advance(1)
    return since, placed


def pages_end(channel: ContractChannel, manifest: Manifest) -> None:
    """A pass comes to its last page, and no cursor comes twice."""
    since, _ = _place(channel)
    found = walk(changes(open_as(channel, ReadOrders), since))
    assert not found.fault, f"{found.fault}: say is_last when everything visible was read"


def every_order_is_read(channel: ContractChannel, manifest: Manifest) -> None:
    """One pass shows every order, those at the edges of pages too."""
    since, placed = _place(channel)
    found = walk(changes(open_as(channel, ReadOrders), since))
    assert len(found.pages) > 1, "one page held it all: give the driver smaller pages"
    assert placed <= found.ids, f"never read: {sorted(placed - found.ids)}"


def neighbours_of_one_instant_are_read(channel: ContractChannel, manifest: Manifest) -> None:
    """Orders of one time survive the edge of a page: the comparison is >=, with a tie-breaker."""
    since, apart = _place(channel, 5)
    together = set(channel.place_together(ORDERS))
    channel.advance(1)
    found = walk(changes(open_as(channel, ReadOrders), since)).ids
    if not apart <= found:
        raise NotApplicable("orders are lost at any edge, see every_order_is_read")
    assert together <= found, f"never read: {sorted(together - found)}"


def reading_again_gives_the_same_ids(channel: ContractChannel, manifest: Manifest) -> None:
    """A session keeps no memory of what it gave."""
    since, _ = _place(channel)
    next_page = changes(open_as(channel, ReadOrders), since)
    first, second = walk(next_page), walk(next_page)
    assert first.ids == second.ids, f"only once: {sorted(first.ids ^ second.ids)}"


def a_crash_between_pages_loses_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """A cursor alone, in a new session, goes on after its page and not beyond."""
    since, _ = _place(channel)

    def restarted(cursor: str | None) -> OrderPage:
        page = changes(open_as(channel, ReadOrders), since)(cursor)
        # The crash comes before the page is stored: the same cursor must show it again.
        again = changes(open_as(channel, ReadOrders), since)(cursor)
        shown = {order.channel_order_id for order in page.orders}
        assert shown <= {order.channel_order_id for order in again.orders}, (
            f"cursor {cursor!r} shows other orders the second time"
        )
        return page

    unbroken = walk(changes(open_as(channel, ReadOrders), since)).ids
    lost = unbroken - walk(restarted).ids
    assert not lost, f"the cursor passed unread orders: {sorted(lost)}"


def the_next_pass_finds_what_is_new(channel: ContractChannel, manifest: Manifest) -> None:
    """The cursor of the last page begins a new pass."""
    since, _ = _place(channel, 2)
    next_page = changes(open_as(channel, ReadOrders), since)
    cursor = walk(next_page).pages[-1].cursor
    channel.advance(1)
    placed = channel.place_order(1)
    channel.advance(1)
    assert placed in walk(next_page, cursor).ids, "an order placed after the pass is never read"


def a_late_order_is_read(channel: ContractChannel, manifest: Manifest) -> None:
    """A pass begins an overlap before the newest order: late, back-dated orders are found."""
    since = channel.now() - timedelta(seconds=1)
    late = channel.place_late(_LATE_SECONDS)
    channel.advance(1)
    channel.place_order(1)
    next_page = changes(open_as(channel, ReadOrders), since)
    cursor = walk(next_page).pages[-1].cursor
    channel.advance(_LATE_SECONDS + 1)
    fresh = channel.place_order(1)
    channel.advance(1)
    found = walk(next_page, cursor).ids
    if fresh not in found:
        raise NotApplicable("nothing new is found, see the_next_pass_finds_what_is_new")
    assert late in found, "start a pass overlap_seconds before the newest order"


def an_order_is_read_by_id(channel: ContractChannel, manifest: Manifest) -> None:
    """One answer per id; an id the channel does not know is gone, not an error."""
    session, known = open_as(channel, ReadOrders), channel.place_order(1)
    answers = {}
    for wanted in (known, channel.unknown_order_id):
        for raw in session.read_orders_by_id([wanted]):
            answers[raw.channel_order_id] = raw.is_gone
    assert answers == {known: False, channel.unknown_order_id: True}, f"answered: {answers}"


def every_payload_parses(channel: ContractChannel, manifest: Manifest) -> None:
    """Payloads of both ways of reading, and every recording, parse; twice to the same value."""
    since, placed = _place(channel, 3)
    session = open_as(channel, ReadOrders)
    read = walk(changes(session, since)).orders + [
        raw for one in sorted(placed) for raw in session.read_orders_by_id([one])
    ]
    for raw in read:
        sight = session.parse_order(raw.payload, channel.now())
        is_itself = sight.channel_order_id == raw.channel_order_id
        # An order of portable lines may have got another id, or gone into another order.
        assert is_itself or manifest.has_portable_lines, "the payload names another order"
    for payload in (*channel.recordings, *(raw.payload for raw in read)):
        seen_at = channel.now()
        first, second = (session.parse_order(payload, seen_at) for _ in range(2))
        assert first == second, "parse_order must depend on its arguments alone"


def lines_of_one_sku_stay_apart(channel: ContractChannel, manifest: Manifest) -> None:
    """Two lines of one SKU are two lines with their own quantities."""
    session, placed = open_as(channel, ReadOrders), channel.place_order(1, 2)
    (raw,) = session.read_orders_by_id([placed])
    lines = session.parse_order(raw.payload, channel.now()).lines
    quantities = sorted(line.quantity_ordered for line in lines)
    assert quantities == [1, 2], f"lines of 1 and 2 units were read as {quantities}"
    assert len({line.channel_line_id for line in lines}) == len(lines), "line ids are not unique"


def a_cancelled_order_says_so(channel: ContractChannel, manifest: Manifest) -> None:
    """A cancellation at the channel reaches the sight."""
    session, placed = open_as(channel, ReadOrders), channel.place_order(1)
    channel.advance(1)
    channel.cancel_order(placed)
    channel.advance(1)
    (raw,) = session.read_orders_by_id([placed])
    facts = session.parse_order(raw.payload, channel.now()).facts
    assert facts.cancelled_at or facts.state is OrderState.CANCELLED, "the cancellation is lost"


def a_broken_payload_is_bad_payload(channel: ContractChannel, manifest: Manifest) -> None:
    """Whatever the bytes are, the only error is BadPayload."""
    session, placed = open_as(channel, ReadOrders), channel.place_order(1)
    (raw,) = session.read_orders_by_id([placed])
    half = raw.payload[: len(raw.payload) // 2]
    for payload in (b"", b"\xff\xfe", b"[]", b"null", b"{}", half, b"[" * _DEPTH):
        try:
            session.parse_order(payload, channel.now())
        except BadPayload:
            continue
        raise AssertionError(f"no BadPayload for {payload[:20]!r}")


ORDER_CHECKS: Final = tuple(
    Check(name=run.__name__, run=run, needs=frozenset({Capability.READ_ORDERS}))
    for run in (
        pages_end,
        every_order_is_read,
        neighbours_of_one_instant_are_read,
        reading_again_gives_the_same_ids,
        a_crash_between_pages_loses_nothing,
        the_next_pass_finds_what_is_new,
        a_late_order_is_read,
        an_order_is_read_by_id,
        every_payload_parses,
        lines_of_one_sku_stay_apart,
        a_cancelled_order_says_so,
        a_broken_payload_is_bad_payload,
    )
)
