"""Contract checks of listings, quantities and tracking: results by key, lost answers, shadow."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final

from oms_sync.domain.shipment import Package, Shipment, ShipmentLine, find_shipment
from oms_sync.sdk.connector import (
    DiscoverListings,
    PushStock,
    PushTracking,
    ReadOrders,
    ReadStock,
)
from oms_sync.sdk.contract import (
    PAGES_MAX,
    Check,
    ContractChannel,
    Trouble,
    error_of,
    open_as,
)
from oms_sync.sdk.errors import ChannelError, FixData, OutcomeUnknown, RetryLater
from oms_sync.sdk.manifest import Capability, Manifest
from oms_sync.sdk.messages import (
    OutgoingPackage,
    OutgoingShipment,
    PushOutcome,
    PushResult,
    StockBatch,
    StockPush,
)

_TAKEN_IN: Final = (PushOutcome.APPLIED, PushOutcome.ACCEPTED)


def listings_end_and_are_unique(channel: ContractChannel, manifest: Manifest) -> None:
    """Discovery comes to its end, shows every listing, and each once."""
    session = open_as(channel, DiscoverListings)
    found: list[str] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = session.read_listings(cursor)
        found += [one.channel_listing_id for one in page.listings]
        cursor = page.cursor
        if cursor is None:
            break
    assert cursor is None, f"no last page among {PAGES_MAX}"
    assert sorted(found) == sorted(set(found)), "a listing was shown twice"
    missing = set(channel.listing_ids()) - set(found)
    assert not missing, f"never shown: {sorted(missing)}"


def quantities_are_the_channels(channel: ContractChannel, manifest: Manifest) -> None:
    """A look shows the channel's truth; what it does not know is absent."""
    session = open_as(channel, ReadStock)
    for listing_id in (*channel.listing_ids()[:3], channel.unknown_listing_id):
        reading = session.read_stock([listing_id])
        is_known = listing_id != channel.unknown_listing_id
        expected = {listing_id: channel.quantity(listing_id)} if is_known else {}
        assert dict(reading.quantities) == expected, f"{listing_id}: {reading.quantities}"
        assert reading.read_at.tzinfo is not None, "read_at has no zone"


_keys = count(1)


def _batch(channel: ContractChannel, wanted: dict[str, int]) -> StockBatch:
    unknown = channel.unknown_listing_id
    return StockBatch(
        key=f"contract-{next(_keys)}",
        entries=tuple(
            StockPush(
                channel_listing_id=listing_id,
                channel_sku=listing_id,
                quantity=quantity,
                expected=0 if listing_id == unknown else channel.quantity(listing_id),
            )
            for listing_id, quantity in wanted.items()
        ),
    )


def _more(channel: ContractChannel, manifest: Manifest) -> dict[str, int]:
    """New quantities for as many listings as fit one batch, three at most; all different."""
    listing_ids = channel.listing_ids()[: min(3, manifest.stock_batch_max)]
    return {
        listing_id: channel.quantity(listing_id) + number
        for number, listing_id in enumerate(listing_ids, start=1)
    }


def _by_id(results: Sequence[PushResult]) -> dict[str, PushOutcome]:
    outcomes = {one.channel_listing_id: one.outcome for one in results}
    assert len(outcomes) == len(results), "a listing was answered twice"
    return outcomes


def _push(session: Any, batch: StockBatch) -> tuple[ChannelError | None, set[PushOutcome]]:
    """What became of a push that may raise."""
    outcomes: set[PushOutcome] = set()
    error = error_of(lambda: outcomes.update(_by_id(session.push_stock(batch)).values()))
    return error, outcomes


def push_any(channel: ContractChannel, manifest: Manifest) -> None:
    """One push, whatever becomes of it, for checks that only watch."""
    _push(open_as(channel, PushStock), _batch(channel, _more(channel, manifest)))


def a_push_is_applied(channel: ContractChannel, manifest: Manifest) -> None:
    """Absolute quantities arrive; one result per entry, named by its listing."""
    wanted = _more(channel, manifest)
    results = open_as(channel, PushStock).push_stock(_batch(channel, wanted))
    assert set(_by_id(results)) == set(wanted), "not one result per entry"
    assert all(one.outcome in _TAKEN_IN for one in results), f"refused: {results}"
    assert all(one.applied_at.tzinfo is not None for one in results), "applied_at has no zone"
    shown = {listing_id: channel.quantity(listing_id) for listing_id in wanted}
    assert shown == wanted, f"the channel shows {shown}, not {wanted}"


def a_push_sent_again_has_no_second_effect(channel: ContractChannel, manifest: Manifest) -> None:
    """The same key with the same entries is answered as before, and does nothing."""
    session, wanted = open_as(channel, PushStock), _more(channel, manifest)
    batch = _batch(channel, wanted)
    first = _by_id(session.push_stock(batch))
    for listing_id in wanted:
        channel.set_quantity(listing_id, 77)
    second = _by_id(open_as(channel, PushStock).push_stock(batch))
    assert first == second, f"answered {second} where {first} was the answer before"
    shown = {channel.quantity(listing_id) for listing_id in wanted}
    assert shown == {77}, "the push was applied a second time: send its key along"


def a_stale_push_applies_nothing(channel: ContractChannel, manifest: Manifest) -> None:
    """Where the compare value does not match, the answer is STALE and nothing is written."""
    wanted = _more(channel, manifest)
    batch, stale = _batch(channel, wanted), next(iter(wanted))
    before = {listing_id: channel.quantity(listing_id) for listing_id in wanted}
    channel.set_quantity(stale, 99)
    outcomes = _by_id(open_as(channel, PushStock).push_stock(batch))
    assert outcomes[stale] is PushOutcome.STALE, f"{outcomes[stale]} for a stale compare value"
    assert channel.quantity(stale) == 99, "a stale push was applied"  # noqa: PLR2004 - see above
    for listing_id in [one for one in wanted if one != stale]:
        is_taken = outcomes[listing_id] in _TAKEN_IN
        expected = wanted[listing_id] if is_taken else before[listing_id]
        assert channel.quantity(listing_id) == expected, f"{outcomes[listing_id]} is not true"


def a_refused_entry_is_not_applied(channel: ContractChannel, manifest: Manifest) -> None:
    """An error inside a successful answer is an error."""
    batch = _batch(channel, {channel.unknown_listing_id: 5})
    error, told = _push(open_as(channel, PushStock), batch)
    assert error is None or isinstance(error, FixData), f"{error!r} for an unknown listing"
    assert error or told == {PushOutcome.REJECTED}, f"an unknown listing was answered {told}"


def results_come_by_key(channel: ContractChannel, manifest: Manifest) -> None:
    """Of a batch applied in part and answered in another order, each outcome is true."""
    wanted = _more(channel, manifest)
    before = {listing_id: channel.quantity(listing_id) for listing_id in wanted}
    session, batch = open_as(channel, PushStock), _batch(channel, wanted)
    channel.trouble(Trouble.PARTIAL)
    outcomes = _by_id(session.push_stock(batch))
    assert set(outcomes) == set(wanted), f"answered for {sorted(outcomes)}"
    for listing_id, outcome in outcomes.items():
        is_applied = channel.quantity(listing_id) != before[listing_id]
        is_true = outcome is PushOutcome.UNKNOWN or is_applied == (outcome in _TAKEN_IN)
        assert is_true, f"{listing_id} was answered {outcome}: match results by key"


def a_lost_push_answer_is_outcome_unknown(channel: ContractChannel, manifest: Manifest) -> None:
    """A time-out is neither success nor failure, applied or not."""
    for trouble in (Trouble.TIMEOUT_AFTER, Trouble.TIMEOUT_BEFORE):
        session, batch = open_as(channel, PushStock), _batch(channel, _more(channel, manifest))
        channel.trouble(trouble)
        error, outcomes = _push(session, batch)
        channel.heal()
        # Before anything was done, an error that says "nothing was applied" is true as well.
        allowed = OutcomeUnknown if trouble is Trouble.TIMEOUT_AFTER else RetryLater
        is_honest = isinstance(error, allowed) or outcomes == {PushOutcome.UNKNOWN}
        assert is_honest, f"{trouble}: {error!r}, {sorted(outcomes)}; raise OutcomeUnknown"


def shadow_pushes_no_quantity(channel: ContractChannel, manifest: Manifest) -> None:
    """A session that may not write refuses, and the channel stays as it was."""
    wanted = _more(channel, manifest)
    before = {listing_id: channel.quantity(listing_id) for listing_id in wanted}
    session = open_as(channel, PushStock, may_write=False)
    error = error_of(lambda: session.push_stock(_batch(channel, wanted)))
    shown = {listing_id: channel.quantity(listing_id) for listing_id in wanted}
    assert shown == before, "a session opened with may_write=False wrote quantities"
    assert error is not None, "a refused push must raise, not answer"


# --- tracking ------------------------------------------------------------------------------------


def _shipment(channel: ContractChannel, *, units: int, numbers: Sequence[str]) -> OutgoingShipment:
    """A new order of a unit more than `units`, and a shipment of all but that one."""
    order_id = channel.place_order(units + 1)
    session = open_as(channel, ReadOrders)
    (raw,) = session.read_orders_by_id([order_id])
    (line,) = session.parse_order(raw.payload, channel.now()).lines
    return OutgoingShipment(
        key=f"contract-{next(_keys)}",
        channel_order_id=order_id,
        lines={line.channel_line_id: units},
        packages=tuple(
            OutgoingPackage(carrier="ups", tracking_number=number, tracking_url=None)
            for number in numbers
        ),
        service=None,
        shipped_at=channel.now(),
    )


def _as_ours(sent: OutgoingShipment) -> Shipment:
    return Shipment(
        shipment_id=sent.key,
        order_id=sent.channel_order_id,
        account="contract",
        channel_order_id=sent.channel_order_id,
        lines=tuple(
            ShipmentLine(line_id=line_id, channel_line_id=line_id, quantity=units)
            for line_id, units in sent.lines.items()
        ),
        packages=tuple(
            Package(carrier=one.carrier, tracking_number=one.tracking_number)
            for one in sent.packages
        ),
        shipped_at=sent.shipped_at,
    )


def _look(session: Any, sent: OutgoingShipment) -> dict[str, int]:
    """What of the shipment the channel lacks, by the hub's own look."""
    known = session.read_shipments(sent.channel_order_id)
    return dict(find_shipment(_as_ours(sent), known, ()).missing)


def a_shipment_is_found_again(channel: ContractChannel, manifest: Manifest) -> None:
    """Look, send, read back: exactly one dispatch, with its lines and every tracking number."""
    for numbers in (("1Z999AA10123456784",), ("1Z999AA10123456785", "1Z999AA10123456786")):
        # As many units as packages: some channels tie every package to units of its own.
        sent = _shipment(channel, units=len(numbers), numbers=numbers)
        session = open_as(channel, PushTracking)
        assert _look(session, sent) == dict(sent.lines), "a shipment not sent was found"
        session.push_shipment(sent)
        assert channel.fulfilments(sent.channel_order_id) == 1, "not exactly one dispatch was made"
        missing = _look(session, sent)
        assert not missing, f"sent, and not found again: {missing}, numbers {numbers}"
        rest = replace(sent, key=f"contract-{next(_keys)}", lines=dict.fromkeys(sent.lines, 1))
        # A number of its own: some channels refuse one that another order has used.
        other = replace(rest.packages[0], tracking_number=f"{numbers[0]}0")
        rest = replace(rest, packages=(other,))
        session.push_shipment(rest)
        assert not _look(session, rest), "the second part of an order is not found"


def a_lost_shipment_answer_is_outcome_unknown(channel: ContractChannel, manifest: Manifest) -> None:
    """A shipment whose answer is lost is neither made nor not made: look."""
    sent, session = _shipment(channel, units=1, numbers=["1Z1"]), open_as(channel, PushTracking)
    channel.trouble(Trouble.TIMEOUT_AFTER)
    error = error_of(lambda: session.push_shipment(sent))
    channel.heal()
    assert isinstance(error, OutcomeUnknown), f"{error!r} for a lost answer"


def a_lost_answer_is_not_sent_again(channel: ContractChannel, manifest: Manifest) -> None:
    """Only the hub repeats a shipment, after a look; the session sends once."""
    sent, session = _shipment(channel, units=1, numbers=["1Z2"]), open_as(channel, PushTracking)
    channel.trouble(Trouble.TIMEOUT_AFTER)
    error_of(lambda: session.push_shipment(sent))
    channel.heal()
    made = channel.fulfilments(sent.channel_order_id)
    assert made == 1, f"{made} dispatches for one call: do not retry inside push_shipment"
    assert not _look(session, sent), "the dispatch that was made is not found"


def a_cancelled_order_is_not_shipped(channel: ContractChannel, manifest: Manifest) -> None:
    """A refusal of the channel is an error an operator can act on."""
    sent, session = _shipment(channel, units=2, numbers=["1Z3"]), open_as(channel, PushTracking)
    channel.cancel_order(sent.channel_order_id)
    error = error_of(lambda: session.push_shipment(sent))
    assert isinstance(error, FixData), f"{error!r} for a cancelled order; raise Rejected"
    assert channel.fulfilments(sent.channel_order_id) == 0, "a cancelled order was shipped"


def shadow_pushes_no_shipment(channel: ContractChannel, manifest: Manifest) -> None:
    """A session that may not write makes no dispatch."""
    sent = _shipment(channel, units=2, numbers=["1Z4"])
    session = open_as(channel, PushTracking, may_write=False)
    error = error_of(lambda: session.push_shipment(sent))
    made = channel.fulfilments(sent.channel_order_id)
    assert made == 0, "a session opened with may_write=False made a dispatch"
    assert error is not None, "a refused shipment must raise, not return"


_LIST: Final = frozenset({Capability.DISCOVER_LISTINGS})
_LOOK: Final = frozenset({Capability.READ_STOCK})
_PUSH: Final = frozenset({Capability.PUSH_STOCK})
_TRACK: Final = frozenset({Capability.PUSH_TRACKING, Capability.READ_ORDERS})

PUSH_CHECKS: Final = tuple(
    Check(name=run.__name__, run=run, needs=needs, flag=flag)
    for run, needs, flag in (
        (listings_end_and_are_unique, _LIST, ""),
        (quantities_are_the_channels, _LOOK, ""),
        (a_push_is_applied, _PUSH, ""),
        (a_push_sent_again_has_no_second_effect, _PUSH, "is_push_idempotent"),
        (a_stale_push_applies_nothing, _PUSH, "has_compare_and_set"),
        (a_refused_entry_is_not_applied, _PUSH, ""),
        (results_come_by_key, _PUSH, ""),
        (a_lost_push_answer_is_outcome_unknown, _PUSH, ""),
        (shadow_pushes_no_quantity, _PUSH, ""),
        (a_shipment_is_found_again, _TRACK, ""),
        (a_lost_shipment_answer_is_outcome_unknown, _TRACK, ""),
        (a_lost_answer_is_not_sent_again, _TRACK, ""),
        (a_cancelled_order_is_not_shipped, _TRACK, ""),
        (shadow_pushes_no_shipment, _TRACK, ""),
    )
)
