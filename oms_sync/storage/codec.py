"""Canonical orders as JSON text and back: facts and lines without personal data, people apart.

Only known fields are written; money as minor units (as text where finer), times as microseconds.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from oms_sync.domain.cancel_requests import Declined
from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.order import (
    Hold,
    KnownLine,
    KnownOrder,
    LineSight,
    OrderFacts,
    OrderState,
    Version,
)
from oms_sync.domain.values import Address, ChannelRef, Money, Person
from oms_sync.storage.columns import INTEGER_MAX, from_micros, to_json, to_micros

Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def minor_units(money: Money | None) -> int | None:
    """For a search column: integer minor units, None where they are too fine or too many."""
    if money is None:
        return None
    try:
        minor = money.minor()
    except InvalidValue:
        return None
    return minor if abs(minor) < INTEGER_MAX else None


def _write_money(money: Money) -> list[int | str]:
    minor = minor_units(money)
    return [str(money.amount) if minor is None else minor, money.currency]


def _read_money(stored: list[Any]) -> Money:
    amount, currency = stored
    if isinstance(amount, str):
        return Money(Decimal(amount), currency)
    return Money.from_minor(amount, currency)


def _same(value: Any) -> Any:
    return value


_PLAIN: Codec = (_same, _same)
_TIME: Codec = (to_micros, from_micros)
_MONEY: Codec = (_write_money, _read_money)
_TEXTS: Codec = (list, tuple)
_STATE: Codec = (str, OrderState)

#: every field of OrderFacts that is not personal
_FACTS: Mapping[str, Codec] = {
    "channel_order_number": _PLAIN,
    "channel_status": _PLAIN,
    "state": _STATE,
    "placed_at": _TIME,
    "cancelled_at": _TIME,
    "ship_by": _TIME,
    "currency": _PLAIN,
    "total": _MONEY,
    "shipping": _MONEY,
    "tax": _MONEY,
    "discount": _MONEY,
    "tax_remitted": _MONEY,
    "are_taxes_included": _PLAIN,
    "presentment_total": _MONEY,
    "fulfilled_by": _PLAIN,
    "is_test": _PLAIN,
    "shipping_service": _PLAIN,
    "import_tax_number": _PLAIN,
    "channel_programmes": _TEXTS,
    "channel_holds": _TEXTS,
    "unmapped_codes": _TEXTS,
    "line_ids": _TEXTS,
    "is_complete": _PLAIN,
}
#: every field of LineSight
_LINE: Mapping[str, Codec] = {
    "channel_line_id": _PLAIN,
    "channel_listing_id": _PLAIN,
    "channel_sku": _PLAIN,
    "title": _PLAIN,
    "quantity_ordered": _PLAIN,
    "quantity_cancelled": _PLAIN,
    "quantity_shipped": _PLAIN,
    "is_marked_shipped": _PLAIN,
    "quantity_returned": _PLAIN,
    "quantity_elsewhere": _PLAIN,
    "quantity_restocked": _PLAIN,
    "unit_price": _MONEY,
    "is_stocked": _PLAIN,
}
_PEOPLE = ("buyer", "recipient")
_PERSON = ("name", "company", "email", "phone", "channel_buyer_id")
_PLACE = ("city", "region", "postal_code", "country")


def write_facts(known: KnownOrder) -> str:
    """The order's facts and their versions, people left out."""
    return to_json(
        {"facts": _write(known.facts, _FACTS), "versions": _write_versions(known.versions)}
    )


def write_people(facts: OrderFacts) -> bytes | None:
    """Buyer, recipient and what the buyer wrote; None when nothing of it is known."""
    people: dict[str, Any] = {
        name: _write_person(person)
        for name in _PEOPLE
        if (person := getattr(facts, name)) is not None
    }
    if facts.buyer_note is not None:
        people["buyer_note"] = facts.buyer_note
    return to_json(people).encode() if people else None


def write_line(known: KnownLine) -> str:
    """One line with its versions."""
    return to_json(
        {
            "line": _write(known.line, _LINE),
            "at": to_micros(known.version.at),
            "seen_at": to_micros(known.version.seen_at),
            "versions": _write_versions(known.versions),
        }
    )


def write_holds(holds: tuple[Hold, ...]) -> str:
    """The holds of an order."""
    return to_json([[hold.code, to_micros(hold.since), hold.actor, hold.detail] for hold in holds])


def read_holds(text: str) -> tuple[Hold, ...]:
    """What `write_holds` wrote."""
    if text == "[]":
        return ()
    return tuple(
        Hold(code=code, since=from_micros(since), actor=actor, detail=detail)
        for code, since, actor, detail in json.loads(text)
    )


def write_declined(declined: Declined | None) -> str | None:
    """The request to cancel that was answered with no."""
    if declined is None:
        return None
    version = declined.version
    return to_json(
        [
            declined.channel_order_id,
            to_micros(version.at),
            to_micros(version.seen_at),
            sorted(declined.lines),
        ]
    )


def read_declined(text: str | None) -> Declined | None:
    """What `write_declined` wrote."""
    if text is None:
        return None
    channel_order_id, at, seen_at, lines = json.loads(text)
    return Declined(
        channel_order_id=channel_order_id,
        version=Version(from_micros(at), from_micros(seen_at)),
        lines=frozenset(lines),
    )


def read_order(
    ref: ChannelRef, version: Version, facts: str, people: bytes | None
) -> Callable[[tuple[KnownLine, ...]], KnownOrder]:
    """What `write_facts` and `write_people` wrote; the result takes the lines."""
    stored = json.loads(facts)
    fields = _read(stored["facts"], _FACTS)
    if people is not None:
        fields |= {
            name: _read_person(one) if name in _PEOPLE else one
            for name, one in json.loads(people).items()
        }
    known_facts = OrderFacts(**fields)
    versions = _read_versions(stored["versions"])

    def with_lines(lines: tuple[KnownLine, ...]) -> KnownOrder:
        return KnownOrder(
            ref=ref, version=version, facts=known_facts, lines=lines, versions=versions
        )

    return with_lines


def read_line(text: str) -> KnownLine:
    """What `write_line` wrote."""
    stored = json.loads(text)
    return KnownLine(
        line=LineSight(**_read(stored["line"], _LINE)),
        version=Version(from_micros(stored["at"]), from_micros(stored["seen_at"])),
        versions=_read_versions(stored["versions"]),
    )


def _write(record: object, codecs: Mapping[str, Codec]) -> dict[str, Any]:
    written = {}
    for name, (write, _) in codecs.items():
        value = getattr(record, name)
        if value is not None:
            written[name] = value if write is _same else write(value)
    return written


def _read(stored: Mapping[str, Any], codecs: Mapping[str, Codec]) -> dict[str, Any]:
    return {name: codecs[name][1](value) for name, value in stored.items()}


def _write_versions(versions: tuple[tuple[str, Version], ...]) -> list[list[Any]]:
    return [[name, to_micros(one.at), to_micros(one.seen_at)] for name, one in versions]


def _read_versions(stored: list[list[Any]]) -> tuple[tuple[str, Version], ...]:
    return tuple(
        (name, Version(from_micros(at), from_micros(seen_at))) for name, at, seen_at in stored
    )


def _write_person(person: Person) -> dict[str, Any]:
    written: dict[str, Any] = {
        name: value for name in _PERSON if (value := getattr(person, name)) is not None
    }
    if person.address is not None:
        written["address"] = {
            name: value for name in _PLACE if (value := getattr(person.address, name)) is not None
        } | {"lines": list(person.address.lines)}
    return written


def _read_person(stored: dict[str, Any]) -> Person:
    address = stored.pop("address", None)
    if address is not None:
        address = Address(**{**address, "lines": tuple(address["lines"])})
    return Person(**stored, address=address)
