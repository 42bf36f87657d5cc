"""Tracking: what eBay knows of an order's packages, and telling it of one of ours.

eBay keeps one set of packages per line and counts no units in it; a new set replaces the old. So
every call sends the complete set, and a shipment is found again by its numbers. How many units of a
line each of our shipments held is remembered while the session lives; what a restart forgets is
sent once more, which changes nothing at eBay.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from connectors.ebay import parse, render
from connectors.ebay.client import Client
from connectors.ebay.markup import Node
from connectors.ebay.orders import OrderReader
from connectors.ebay.trading import TradingCall
from oms_sync import sdk

CALL: Final = "CompleteSale"
REMEMBERED_MAX: Final = 5_000
_ID_DIGITS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A shipment as we sent it: units by line, and each of our numbers as eBay writes it."""

    key: str
    #: what it is known by to the caller; it outlives a correction
    shown_as: str
    lines: Mapping[str, int]
    numbers: Mapping[str, str]


class ShipmentDesk:
    """Everything about dispatches for one account."""

    def __init__(self, client: Client, orders: OrderReader, carriers: sdk.MappingTable) -> None:
        self._client, self._orders, self._carriers = client, orders, carriers
        self._lock = threading.Lock()
        self._sent: OrderedDict[str, _Sent] = OrderedDict()

    def read(self, channel_order_id: str) -> tuple[sdk.ChannelShipment, ...]:
        """Every dispatch of the order: those we remember, then what else eBay shows."""
        lines = self._lines(self._orders.one(channel_order_id))
        found: list[sdk.ChannelShipment] = []
        explained: dict[str, set[str]] = {}
        for sent in self._remembered(lines):
            found.append(_ours(sent))
            for line_id in sent.lines:
                explained.setdefault(line_id, set()).update(sent.numbers.values())
        return (*found, *_others(lines, explained))

    def push(self, shipment: sdk.OutgoingShipment) -> None:
        """Mark each line as sent, with every package eBay knows of and ours."""
        order = self._orders.one(shipment.channel_order_id)
        lines = self._lines(order)
        self._refuse_unknown(shipment.lines, lines)
        if parse.is_cancelled(order) or any(
            parse.is_line_cancelled(lines[one]) for one in shipment.lines
        ):
            raise sdk.Rejected("it is cancelled at eBay: its goods are not to be sent")
        ours = render.tracking_of(shipment.packages, self._carriers)
        numbers = {own: number for own, (_, number) in ours.items()}
        self._remember(
            _Sent(
                key=shipment.key,
                # Two shipments may share a line and a parcel: only the key tells them apart.
                shown_as=_id(shipment.lines, (shipment.key,)),
                lines=dict(shipment.lines),
                numbers=numbers,
            )
        )
        shipped_at = min(shipment.shipped_at, self._client.now())
        sets = {}
        for line_id in shipment.lines:
            line = lines[line_id]
            whole = render.complete_set(parse.tracking(line), ours.values())
            if not parse.is_shipped(line) or len(whole) != len(parse.tracking(line)):
                sets[line_id] = whole  # else sent before; a restart had forgotten it
        try:
            self._tell(sets, shipped_at)
        except sdk.OutcomeUnknown:
            raise
        except sdk.ChannelError:
            self._forget(shipment.key)
            raise

    def correct(self, correction: sdk.TrackingCorrection) -> None:
        """Put other packages in place of a dispatch's; those of other dispatches stay."""
        lines = self._lines(self._orders.one(correction.channel_order_id))
        self._refuse_unknown(correction.lines, lines)
        old = self._wrong_numbers(correction)
        ours = render.tracking_of(correction.packages, self._carriers)
        numbers = {own: number for own, (_, number) in ours.items()}
        shipped_at = min(correction.shipped_at, self._client.now())
        sets = {
            line_id: render.complete_set(parse.tracking(lines[line_id]), ours.values(), without=old)
            for line_id in correction.lines
        }
        self._tell(sets, shipped_at)
        known = correction.channel_shipment_id  # it stays, though its numbers are others
        with self._lock:
            keys = [one.key for one in self._sent.values() if one.shown_as == known]
        key, lines_of = keys[0] if keys else correction.key, dict(correction.lines)
        self._remember(_Sent(key=key, shown_as=known, lines=lines_of, numbers=numbers))

    def _tell(self, sets: Mapping[str, Sequence[tuple[str, str]]], shipped_at: datetime) -> None:
        """Send each line's complete set; after the first, an error leaves the rest to a look."""
        is_begun = False
        for line_id, whole in sets.items():
            body = render.shipped(line_id, shipped_at, whole)
            call = TradingCall(name=CALL, body=body, is_write=True)
            try:
                self._client.run(call, priority=sdk.Priority.WRITE)
            except sdk.ChannelError as error:
                if is_begun and not isinstance(error, sdk.OutcomeUnknown):
                    raise sdk.OutcomeUnknown(f"a part of the shipment is told: {error}") from error
                raise
            is_begun = True

    def _wrong_numbers(self, correction: sdk.TrackingCorrection) -> frozenset[str]:
        """The numbers that are to go, as eBay writes them.

        An id may be older than a restart of ours; then it is the only dispatch of these lines.
        """
        shown = self.read(correction.channel_order_id)
        named = [
            one for one in shown if one.channel_shipment_id == correction.channel_shipment_id
        ] or [one for one in shown if set(one.lines) == set(correction.lines)]
        if len(named) != 1:
            raise sdk.Rejected(
                "eBay no longer shows which packages are this shipment's: correct them at eBay"
            )
        return frozenset(render.plain_number(one) for one in named[0].tracking_numbers)

    def _refuse_unknown(self, wanted: Mapping[str, int], lines: Mapping[str, Node]) -> None:
        unknown = sorted(set(wanted) - set(lines))
        if unknown:
            raise sdk.Rejected(f"eBay's order has no line {', '.join(unknown)}")

    def _lines(self, order: Node) -> dict[str, Node]:
        return {parse.line_id(line): line for line in order.all(parse.LINES)}

    def _remember(self, sent: _Sent) -> None:
        with self._lock:
            self._sent[sent.key] = sent
            self._sent.move_to_end(sent.key)
            while len(self._sent) > REMEMBERED_MAX:
                self._sent.popitem(last=False)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._sent.pop(key, None)

    def _remembered(self, lines: Mapping[str, Node]) -> list[_Sent]:
        """What we sent and eBay shows, on every line of it."""
        with self._lock:
            sent = list(self._sent.values())
        return [one for one in sent if set(one.lines) <= set(lines) and _is_shown(one, lines)]


def _is_shown(sent: _Sent, lines: Mapping[str, Node]) -> bool:
    for line_id in sent.lines:
        line = lines[line_id]
        numbers = {render.plain_number(number) for _, number in parse.tracking(line)}
        if not parse.is_shipped(line) or not set(sent.numbers.values()) <= numbers:
            return False
    return True


def _ours(sent: _Sent) -> sdk.ChannelShipment:
    return sdk.ChannelShipment(
        channel_shipment_id=sent.shown_as,
        lines=dict(sent.lines),
        tracking_numbers=tuple(sent.numbers),
    )


def _others(
    lines: Mapping[str, Node], explained: Mapping[str, set[str]]
) -> list[sdk.ChannelShipment]:
    """What eBay shows beyond that: lines with one set of packages are taken for one dispatch."""
    groups: dict[tuple[str, ...], dict[str, int]] = {}
    for line_id, line in lines.items():
        known = explained.get(line_id)
        numbers = tuple(number for _, number in parse.tracking(line))
        left = tuple(one for one in numbers if render.plain_number(one) not in (known or ()))
        if parse.is_shipped(line) and (left or known is None):
            groups.setdefault(left, {})[line_id] = parse.units(line)
    return [
        sdk.ChannelShipment(
            channel_shipment_id=_id(units, numbers), lines=units, tracking_numbers=numbers
        )
        for numbers, units in groups.items()
    ]


def _id(lines: Mapping[str, int], names: tuple[str, ...]) -> str:
    plain = "\n".join((*sorted(lines), "", *sorted(names)))
    return hashlib.sha256(plain.encode()).hexdigest()[:_ID_DIGITS]
