"""How knowledge of an order grows: the one merge every sight goes through.

Idempotent, commutative and associative: every field keeps the version it was last seen at, older
never beats newer, a missing field never resets a known one, a cancellation once seen stays.
"""

from dataclasses import fields, replace
from typing import Any, TypeVar

from oms_sync.domain.errors import InvalidValue
from oms_sync.domain.order import (
    KnownLine,
    KnownOrder,
    LineSight,
    OrderFacts,
    OrderSight,
    OrderState,
    Version,
)
from oms_sync.domain.values import ChannelRef

Record = TypeVar("Record", OrderFacts, LineSight)
Versions = tuple[tuple[str, Version], ...]


def first_sight(account: str, sight: OrderSight) -> KnownOrder:
    """What is known of an order after a single sight; raises InvalidValue on a doubled line id."""
    facts = sight.facts
    if facts.state is OrderState.CANCELLED:
        # A cancellation is remembered by its time, so that no later state can hide it.
        cancelled_at = facts.cancelled_at or sight.version.at
        facts = replace(facts, state=None, cancelled_at=cancelled_at)
    lines = sorted(sight.lines, key=lambda line: line.channel_line_id)
    if len({line.channel_line_id for line in lines}) != len(lines):
        raise InvalidValue(f"order {sight.channel_order_id} shows one line id twice")
    return KnownOrder(
        ref=ChannelRef(account=account, channel_order_id=sight.channel_order_id),
        version=sight.version,
        facts=facts,
        lines=tuple(KnownLine(line=line, version=sight.version) for line in lines),
    )


def merge(known: KnownOrder, seen: KnownOrder) -> KnownOrder:
    """Fold two states of knowledge of one order into one; the order of folding never matters."""
    if known.ref != seen.ref:
        raise InvalidValue(f"cannot merge {seen.ref} into {known.ref}")
    mine = {line.line.channel_line_id: line for line in known.lines}
    theirs = {line.line.channel_line_id: line for line in seen.lines}
    facts, version, versions = _merge_fields(known.facts, seen.facts, known, seen)
    return KnownOrder(
        ref=known.ref,
        version=version,
        facts=facts,
        lines=tuple(
            _merge_lines(mine.get(line_id), theirs.get(line_id))
            for line_id in sorted({*mine, *theirs})
        ),
        versions=versions,
    )


def _merge_lines(one: KnownLine | None, other: KnownLine | None) -> KnownLine:
    if one is None or other is None:
        present = one or other
        assert present is not None, "a line id comes from one of the two sides"
        return present
    line, version, versions = _merge_fields(one.line, other.line, one, other)
    return KnownLine(line=line, version=version, versions=versions)


def _merge_fields(
    one: Record,
    other: Record,
    one_known: KnownOrder | KnownLine,
    other_known: KnownOrder | KnownLine,
) -> tuple[Record, Version, Versions]:
    """Keep, field by field, the value last seen; remember versions that differ from the newest."""
    newest = max(one_known.version, other_known.version)
    one_versions, other_versions = dict(one_known.versions), dict(other_known.versions)
    values: dict[str, Any] = {}
    exceptions: list[tuple[str, Version]] = []
    for name in (field.name for field in fields(one)):
        candidates = [
            (versions.get(name, known.version), getattr(record, name))
            for record, known, versions in (
                (one, one_known, one_versions),
                (other, other_known, other_versions),
            )
            if getattr(record, name) is not None
        ]
        if not candidates:
            values[name] = None
            continue
        # Two different values of one version: either will do, but always the same one.
        version, values[name] = max(candidates, key=lambda seen: (seen[0], repr(seen[1])))
        if version != newest:
            exceptions.append((name, version))
    return type(one)(**values), newest, tuple(exceptions)
