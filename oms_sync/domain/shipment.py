"""Shipments: what left for one order, in which packages, and whether the channel knows.

`find_shipment` is the look before every send: it recognises our shipment at the channel, so that
none is made twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from oms_sync.domain.errors import ShipmentRefused
from oms_sync.domain.order import OrderState


class PushState(StrEnum):
    """Where telling the channel about a shipment stands."""

    WAITING = "waiting"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One box, at most one tracking number. `carrier` is our code, such as `ups`."""

    carrier: str
    tracking_number: str | None = None
    tracking_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentLine:
    """Units of one order line in a shipment."""

    line_id: str
    channel_line_id: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """One dispatch for one order, as we made it."""

    shipment_id: str
    order_id: str
    account: str
    channel_order_id: str
    lines: tuple[ShipmentLine, ...]
    packages: tuple[Package, ...]
    service: str | None = None
    shipped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShipment:
    """One dispatch as the channel knows it; `lines` maps channel line id to units."""

    channel_shipment_id: str
    lines: Mapping[str, int]
    tracking_numbers: tuple[str, ...] = ()
    is_cancelled: bool = False


def check_shippable(
    state: OrderState, wanted: Mapping[str, int], open_units: Mapping[str, int]
) -> None:
    """Raise ShipmentRefused unless the order is open and no line ships more than is open."""
    if state is not OrderState.OPEN:
        raise ShipmentRefused(f"the order is {state}, only an open order can be shipped")
    if not wanted or any(quantity <= 0 for quantity in wanted.values()):
        raise ShipmentRefused("a shipment needs at least one unit of each of its lines")
    for line_id, quantity in wanted.items():
        if quantity > open_units.get(line_id, 0):
            raise ShipmentRefused(
                f"line {line_id} has {open_units.get(line_id, 0)} open units, not {quantity}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What of a shipment the channel already has, and what it still lacks."""

    parts: tuple[ChannelShipment, ...]
    #: channel line id to units; empty when the channel has it all
    missing: Mapping[str, int]


def find_shipment(
    shipment: Shipment, known: Sequence[ChannelShipment], claimed: Collection[str]
) -> Found:
    """Recognise our shipment among the channel's dispatches of the order.

    A match carries exactly our tracking numbers; a shipment may stand there as several dispatches
    (one per location), of which some may still be missing. Dispatches another shipment of ours
    already claimed do not count. Without tracking numbers only the same lines are a match.
    """
    numbers = {one.tracking_number for one in shipment.packages if one.tracking_number}
    wanted: dict[str, int] = {}
    for line in shipment.lines:
        wanted[line.channel_line_id] = wanted.get(line.channel_line_id, 0) + line.quantity
    carrying = [
        one
        for one in known
        if not one.is_cancelled
        and one.channel_shipment_id not in claimed
        and set(one.tracking_numbers) == numbers
    ]
    for one in carrying:
        if dict(one.lines) == wanted:
            return Found(parts=(one,), missing={})
    parts: list[ChannelShipment] = []
    left = dict(wanted)
    for one in carrying:
        if numbers and all(units <= left.get(line, 0) for line, units in one.lines.items()):
            parts.append(one)
            left = {line: units - one.lines.get(line, 0) for line, units in left.items()}
    return Found(parts=tuple(parts), missing={line: units for line, units in left.items() if units})


def find_again(
    shipment: Shipment,
    known: Sequence[ChannelShipment],
    *,
    ids: Collection[str],
    earlier: Sequence[Package],
) -> tuple[ChannelShipment, ...]:
    """The dispatches that are our shipment, confirmed before, of those not taken back.

    Known by the ids it was confirmed under. Not every channel keeps ids: then they are those that
    carry exactly its packages, as they are or as they were (`earlier`), on all of its lines.
    """
    standing = [one for one in known if not one.is_cancelled]
    named = tuple(one for one in standing if one.channel_shipment_id in ids)
    if named:
        return named
    lines = {line.channel_line_id for line in shipment.lines}
    sets = [
        plain_numbers(one.tracking_number for one in each) for each in (shipment.packages, earlier)
    ]
    alike = tuple(
        one
        for one in standing
        if set(one.lines) <= lines
        and (numbers := plain_numbers(one.tracking_numbers))
        and numbers in sets
    )
    return alike if {line for one in alike for line in one.lines} == lines else ()


def plain_numbers(numbers: Iterable[str | None]) -> frozenset[str]:
    """Tracking numbers however they are written: some channels keep letters and digits only."""
    plain = ("".join(filter(str.isalnum, one or "")).upper() for one in numbers)
    return frozenset(filter(None, plain))
