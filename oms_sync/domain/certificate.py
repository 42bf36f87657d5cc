"""The certificate of one account's UTC day: what is claimed of it, and the document that is signed.

Pure. Who signs, over which ledger, is storage's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from oms_sync.domain.completeness import (
    FAULTS,
    DifferenceKind,
    ListedOrder,
    Standing,
    Window,
)

#: differences a certificate names one by one; all are counted
DIFFERENCES_MAX: Final = 1_000
DOCUMENT_VERSION: Final = 1
#: orders a line for people names
NAMED_MAX: Final = 3
#: how many days back an operator is told of a day without a certificate
PROVED_DAYS: Final = 7
#: so long after its end a day without a certificate is nothing odd: its orders still come in
DUE_AFTER: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHeads:
    """Where the stock ledger stood when a day ended."""

    #: stock levels that had moved by then
    levels: int
    #: one hash over all of their heads
    digest: str
    #: SKU, location, sequence and hash of the levels that moved on that day
    moved: tuple[tuple[str, str, int, str], ...] = ()
    #: how many levels moved on that day; more than `moved` lists where those were too many
    moved_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the hub can say of one account's UTC day, from one fresh list of the channel."""

    account: str
    connector: str
    window: Window
    #: the list was read between these two
    list_began_at: datetime
    list_ended_at: datetime
    #: 1 for the first try of the day, 0 while it is not over
    attempt: int
    orders: Sequence[ListedOrder]

    @property
    def counts(self) -> dict[Standing, int]:
        """How many orders stand where; every standing is named."""
        found = dict.fromkeys(Standing, 0)
        for one in self.orders:
            found[one.standing] += 1
        return found

    @property
    def received(self) -> int:
        """How many orders the channel listed."""
        listed = (Standing.EXTRA, Standing.GONE)
        return sum(count for standing, count in self.counts.items() if standing not in listed)

    @property
    def faults(self) -> list[ListedOrder]:
        """What keeps the certificate from being issued."""
        return [one for one in self.orders if one.standing in FAULTS]

    @property
    def is_complete(self) -> bool:
        """Received = in the hub + quarantined + ignored, and nothing differs."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What storage adds to a claim: who says it, when, over which ledger, after which one."""

    #: keyed hash of each order's id
    hashes: Mapping[str, str]
    heads: LedgerHeads
    issued_at: datetime
    public_key: str
    #: SHA-256 of the account's certificate before this one, empty for the first
    previous: str


def document(claim: Claim, attested: Attested) -> dict[str, Any]:
    """The certificate, or the refusal, as it is signed."""
    day = claim.window.day
    assert day is not None, "only a day is certified"
    counts, faults = claim.counts, claim.faults
    return {
        "version": DOCUMENT_VERSION,
        "outcome": "issued" if claim.is_complete else "refused",
        "account": claim.account,
        "connector": claim.connector,
        "day": day.isoformat(),
        "since": instant_text(claim.window.since),
        "until": instant_text(claim.window.until),
        "list_began_at": instant_text(claim.list_began_at),
        "list_ended_at": instant_text(claim.list_ended_at),
        "issued_at": instant_text(attested.issued_at),
        "attempt": claim.attempt,
        "is_day_over": claim.window.is_over,
        "received": claim.received,
        "in_hub": counts[Standing.IN_HUB] + counts[Standing.BEHIND],
        "behind": counts[Standing.BEHIND],
        "quarantined": counts[Standing.QUARANTINED],
        "ignored": counts[Standing.IGNORED],
        "missing": counts[Standing.MISSING],
        "different": counts[Standing.DIFFERENT],
        "extra": counts[Standing.EXTRA],
        "gone": counts[Standing.GONE],
        "ids": {
            str(standing): sorted(
                attested.hashes[one.channel_order_id]
                for one in claim.orders
                if one.standing is standing
            )
            for standing in Standing
            if counts[standing]
        },
        "reasons": _reasons(claim.orders),
        "differences": [named(one) for one in faults[:DIFFERENCES_MAX]],
        "tracking": [
            named(one)
            for one in claim.orders
            if any(each.kind is DifferenceKind.TRACKING for each in one.differences)
        ][:DIFFERENCES_MAX],
        "ledger": {
            "levels": attested.heads.levels,
            "digest": attested.heads.digest,
            "moved_levels": attested.heads.moved_count,
            "moved": [list(head) for head in attested.heads.moved],
        },
        "previous": attested.previous,
        "public_key": attested.public_key,
    }


def days_due(*, connected_at: datetime, read_since: datetime, now: datetime) -> tuple[date, ...]:
    """The days of the last week that should have a certificate by now, oldest first.

    A day of which orders were read only from its midst on, `read_since`, is none of them.
    """
    newest = (now - DUE_AFTER).astimezone(UTC).date() - timedelta(days=1)
    first = max(
        connected_at.astimezone(UTC).date(),
        (read_since.astimezone(UTC) + timedelta(days=1) - timedelta.resolution).date(),
    )
    days = [newest - timedelta(days=back) for back in reversed(range(PROVED_DAYS))]
    return tuple(day for day in days if day >= first)


def why_refused(statement: Mapping[str, Any]) -> str:
    """In a few words for people, why a day has a refusal in a certificate's place."""
    orders = [str(one["channel_order_id"]) for one in statement["differences"]]
    more = f" and {len(orders) - NAMED_MAX} more" if len(orders) > NAMED_MAX else ""
    return f"refused: {', '.join(orders[:NAMED_MAX]) or 'see its figures'}{more}"


def canonical(statement: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: one document has one form, whoever wrote it down."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def named_differences(orders: Iterable[ListedOrder], limit: int) -> str:
    """The first differences in one line, for a log and an event."""
    words = [
        f"{one.channel_order_id}: {', '.join(sorted({str(each.kind) for each in one.differences}))}"
        for one in orders
    ]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return "; ".join(words[:limit]) + more


def instant_text(instant: datetime) -> str:
    """The instant in RFC 3339 with Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _reasons(orders: Iterable[ListedOrder]) -> dict[str, int]:
    """Why orders are quarantined or ignored, and how many for each reason."""
    found: dict[str, int] = {}
    for one in orders:
        if one.standing in (Standing.QUARANTINED, Standing.IGNORED):
            reason = f"{one.standing}: {one.reason}"
            found[reason] = found.get(reason, 0) + 1
    return dict(sorted(found.items()))


def named(one: ListedOrder) -> dict[str, Any]:
    """An order with what differs, as a certificate names it."""
    return {
        "channel_order_id": one.channel_order_id,
        "order_id": one.order_id,
        "standing": str(one.standing),
        "differences": [
            {
                "kind": str(each.kind),
                "line": each.line,
                "ours": each.ours,
                "theirs": each.theirs,
            }
            for each in one.differences
        ],
    }
