"""Revisions of listings: what became of each, and how many a listing had today.

eBay allows a listing so many revisions a day, whatever the API. Up to a share of them quantities go
at once; then they are spread over what is left of the day. What waits is not kept here: the hub
comes again, with what is right by then. A decrease that could oversell does not wait for its turn,
and the last revisions of a day are kept for such, the very last for a quantity of 0.
"""

import json
import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from connectors.ebay import faults
from connectors.ebay.client import Answer
from connectors.ebay.ids import ListingName
from connectors.ebay.rest import errors_text
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

PUSH: Final = "ReviseInventoryStatus"
PUSH_MANY: Final = "ReviseFixedPriceItem"
#: days that begin an hour apart, and other programs, may have some of what eBay allows
EBAYS_MAX: Final = 250
REVISIONS_MAX: Final = 240
#: so many of a day go as they come
FREE_MAX: Final = 150
#: the last so many are for decreases that could oversell, and of these so many for a 0
KEPT_FOR_LESS: Final = 40
KEPT_FOR_ZERO: Final = 15
#: a decrease to no more than this, or to no more than half, could oversell before its turn comes
FEW: Final = 10
#: what is written down survives a restart: counts from so many on, every so many
KEPT_FROM: Final = 100
KEPT_EVERY: Final = 25
KEPT_MAX: Final = 500
LISTINGS_MAX: Final = 100_000
#: a day begins at midnight in the US Pacific zone, by standard time
_PACIFIC: Final = timedelta(hours=8)
_FIELD: Final = "revisions"
NAMED_MAX: Final = 5
_SOLD_OUT: Final = (
    "listings had all their revisions of the day and show more than there is, end them at eBay"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One entry of a batch, as eBay names it."""

    entry: sdk.StockPush
    name: ListingName

    @property
    def key(self) -> str:
        return self.entry.channel_listing_id

    @property
    def sku(self) -> str:
        return self.name.sku or self.entry.channel_sku


#: what became of a node, and why
Verdict: TypeAlias = tuple[sdk.PushOutcome, str]
APPLIED: Final = (sdk.PushOutcome.APPLIED, "")
#: not sent: the hub comes again, with what is right by then
WAITING: Final = (
    sdk.PushOutcome.POSTPONED,
    "the listing was revised often today: its newest quantity waits for its turn",
)


@dataclass(slots=True, kw_only=True)
class _Count:
    """How often a listing was revised today, and when last."""

    revisions: int
    last_at: datetime
    #: eBay refused one more
    is_refused: bool = False


class Revisions:
    """Counts revisions by listing, and says whose turn it is; safe from several threads."""

    def __init__(self, clock: sdk.Clock, store: sdk.TokenStore) -> None:
        self._clock, self._store = clock, store
        self._lock = threading.Lock()
        self._day = ""
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        #: what each listing showed when it was last set or looked at
        self._shown: OrderedDict[str, int | None] = OrderedDict()
        #: what had to wait when it was last asked for
        self._waiting: OrderedDict[str, Node] = OrderedDict()

    def sort(
        self, nodes: Sequence[Node], together: Collection[str] = ()
    ) -> tuple[list[Node], list[Node]]:
        """Nodes whose turn it is, and those that wait.

        Each costs its listing a revision; those of a listing that go `together` cost one.
        """
        with self._lock:
            self._turn_day()
            now, later, costs = list[Node](), list[Node](), Counter[str]()
            for node in sorted(nodes, key=lambda one: one.entry.quantity):
                item_id = node.name.item_id
                is_free = item_id in together and costs[item_id] > 0
                if is_free or self._may_go(node, costs[item_id]):
                    costs[item_id] += 1
                    now.append(node)
                else:
                    later.append(node)
            self._note_waiting(now, later)
        return now, later

    def is_urgent(self, node: Node) -> bool:
        """True where eBay could sell what is not there before an ordinary turn comes."""
        shown, wanted = self._shown.get(node.key), node.entry.quantity
        if wanted == 0:
            return True
        if shown is None:
            return wanted <= FEW
        return wanted < shown and (wanted <= FEW or wanted <= shown // 2)

    def shows(self, quantities: Mapping[str, int | None]) -> None:
        """So much is on sale now, by listing id; None where nobody knows."""
        with self._lock:
            self._shown.update(quantities)
            _bound(self._shown)

    def count(self, item_ids: Iterable[str]) -> None:
        """So many revisions were sent, one for each mention of a listing."""
        with self._lock:
            self._turn_day()
            now, is_worth_keeping = self._clock.now(), False
            for item_id in item_ids:
                known = self._counts.setdefault(item_id, _Count(revisions=0, last_at=now))
                known.revisions, known.last_at = known.revisions + 1, now
                is_worth_keeping |= (
                    known.revisions >= KEPT_FROM and known.revisions % KEPT_EVERY == 0
                )
            _bound(self._counts)
            if is_worth_keeping:
                self._keep()

    def exhaust(self, nodes: Sequence[Node]) -> None:
        """Believe eBay that these listings had all their revisions; the quantities wait."""
        if not nodes:
            return
        with self._lock:
            self._turn_day()
            worn = _Count(revisions=REVISIONS_MAX, last_at=self._clock.now(), is_refused=True)
            self._counts.update((node.name.item_id, replace(worn)) for node in nodes)
            self._note_waiting((), nodes)
            self._keep()

    def told(self) -> str:
        """What an operator is shown; empty while no listing comes near its limit."""
        with self._lock:
            self._turn_day()
            near = [one.revisions for one in self._counts.values() if one.revisions >= FREE_MAX]
            said = f"{len(near)} listings beyond {FREE_MAX} of {REVISIONS_MAX} revisions today"
            said += f" (most: {max(near, default=0)}), {len(self._waiting)} quantities wait"
            return f"{said} for their turn" if near or self._waiting else ""

    def warning(self) -> str:
        """What an operator should know: eBay goes on selling what is no longer there."""
        with self._lock:
            self._turn_day()
            urgent = [one.name.item_id for one in self._waiting.values() if self.is_urgent(one)]
        return f"{_SOLD_OUT}: {', '.join(urgent[:NAMED_MAX])}" if urgent else ""

    def _may_go(self, node: Node, more: int) -> bool:
        """`more` revisions of the same listing go with it."""
        known = self._counts.get(node.name.item_id)
        used = more + (known.revisions if known else 0)
        if known is None or used < FREE_MAX:
            return used < FREE_MAX
        left = REVISIONS_MAX - used
        if node.entry.quantity == 0:  # beyond our own margin it is eBay that refuses
            return not known.is_refused and used < EBAYS_MAX
        if self.is_urgent(node) and left > KEPT_FOR_ZERO:
            return True
        left -= KEPT_FOR_LESS
        if left <= 0 or more:
            return False
        now = self._clock.now()
        return now - known.last_at >= (_day_ends_at(now) - now) / left

    def _note_waiting(self, now: Iterable[Node], later: Iterable[Node]) -> None:
        for node in now:
            self._waiting.pop(node.key, None)
        self._waiting.update((node.key, node) for node in later)
        _bound(self._waiting)

    def _turn_day(self) -> None:
        day = _pacific_day(self._clock.now())
        if day == self._day:
            return
        self._counts.clear()
        self._waiting.clear()
        if not self._day:  # as after a restart
            self._remember(day)
        self._day = day

    def _remember(self, day: str) -> None:
        text = self._store.load().get(_FIELD)
        kept = read_json(text.encode()) if text else {}
        if kept.get("day") != day:
            return
        now = self._clock.now()
        for item_id, revisions in kept["counts"].items():
            # Up to one less than a step was never written down.
            count = min(int(revisions) + KEPT_EVERY - 1, REVISIONS_MAX)
            self._counts[item_id] = _Count(revisions=count, last_at=now)

    def _keep(self) -> None:
        most = sorted(self._counts.items(), key=lambda one: -one[1].revisions)[:KEPT_MAX]
        counts = {name: one.revisions for name, one in most if one.revisions >= KEPT_FROM}
        text = json.dumps({"day": self._day, "counts": counts})
        with self._store.locked():
            self._store.save({**self._store.load(), _FIELD: text})


def _bound(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > LISTINGS_MAX:
        kept.popitem(last=False)


def _pacific_day(now: datetime) -> str:
    return (now.astimezone(UTC) - _PACIFIC).date().isoformat()


def _day_ends_at(now: datetime) -> datetime:
    here = now.astimezone(UTC) - _PACIFIC
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1) + _PACIFIC


# --- verdicts ------------------------------------------------------------------------------------


def is_worn_out(answer: Answer, item_id: str) -> bool:
    """True where eBay refuses any more revisions of the listing today."""
    return any(
        fault.code in faults.WORN_OUT_CODES and (not fault.values or item_id in fault.values)
        for fault in answer.errors
    )


def not_sent(nodes: Sequence[Node], reason: str) -> dict[str, Verdict]:
    return dict.fromkeys((node.key for node in nodes), (sdk.PushOutcome.NOT_APPLIED, reason))


def judge_many(answer: Answer, nodes: Sequence[Node]) -> dict[str, Verdict]:
    """What became of one listing's variations, sent together: all were set, or none.

    Empty where Trading may not revise the listing; raises Rejected on any other faults.refusal.
    """
    if answer.is_clean:
        return dict.fromkeys((node.key for node in nodes), APPLIED)
    if any(fault.code == faults.BY_REST_CODE for fault in answer.errors):
        return {}
    raise faults.refusal(PUSH_MANY, answer.errors, is_write=True)


def judge(answer: Answer, nodes: Sequence[Node]) -> dict[str, Verdict]:
    """What became of each node; those Trading may not revise are left out.

    Matched by what eBay names, never by position. Raises Rejected where it refuses several without
    saying which.
    """
    verdicts: dict[str, Verdict] = {}
    elsewhere: set[str] = set()
    undecided: list[Node] = []
    unnamed = [f for f in answer.errors if not any(_names(f, node, nodes) for node in nodes)]
    for node in nodes:
        mine = [fault for fault in answer.errors if _names(fault, node, nodes)]
        if len(nodes) == 1:
            mine = list(answer.errors)
        if any(fault.code == faults.BY_REST_CODE for fault in mine):
            elsewhere.add(node.key)
        elif mine:
            verdicts[node.key] = _failed(mine)
        elif answer.ack != "Failure" and _is_done(answer, node, nodes):
            verdicts[node.key] = APPLIED
        else:
            undecided.append(node)
    if answer.ack == "Failure" and len(undecided) == len(nodes):
        raise faults.refusal(PUSH, unnamed, is_write=True)
    if unnamed and not undecided:  # somebody failed, although all are echoed
        undecided = [node for node in nodes if verdicts.get(node.key) == APPLIED]
    rest = _rest(answer, unnamed, len(undecided))
    return verdicts | {node.key: rest for node in undecided if node.key not in elsewhere}


def _rest(answer: Answer, unnamed: Sequence[faults.Fault], count: int) -> Verdict:
    """The verdict on nodes the answer says nothing of."""
    said = "; ".join(fault.reason for fault in unnamed)
    if answer.ack == "Failure":
        return sdk.PushOutcome.NOT_APPLIED, said or "refused in company"
    if unnamed and count == 1:
        return _failed(unnamed)
    if count == 1 and any(fault.code in faults.NO_CHANGE_CODES for fault in answer.faults):
        return APPLIED
    return sdk.PushOutcome.UNKNOWN, said or "eBay does not mention it"


def _is_done(answer: Answer, node: Node, nodes: Sequence[Node]) -> bool:
    """True when the answer echoes the node, or warns that nothing had to change."""
    if any(f.code in faults.NO_CHANGE_CODES and _names(f, node, nodes) for f in answer.faults):
        return True
    is_only = [each.name.item_id for each in nodes].count(node.name.item_id) == 1
    for echo in answer.root.all("InventoryStatus"):
        # A listing without variations is echoed with an empty SKU, or with the seller's.
        is_same = echo.text("SKU") == node.name.sku or (
            is_only and (node.name.sku is None or echo.text("SKU") is None)
        )
        if is_same and echo.text("ItemID") == node.name.item_id:
            return True
    return False


def _names(fault: faults.Fault, node: Node, nodes: Sequence[Node]) -> bool:
    """True when the fault's parameters name this node and no other."""
    has_item, has_sku = node.name.item_id in fault.values, node.sku in fault.values
    if has_item and [each.name.item_id for each in nodes].count(node.name.item_id) == 1:
        return True
    if not (node.sku and has_sku):
        return False
    return has_item or [each.sku for each in nodes].count(node.sku) == 1


def judge_rows(rows: Sequence[Mapping[str, Any]], sku: str) -> Verdict:
    """What the Inventory API answered for one SKU: a row each for its stock and its offers."""
    mine = [row for row in rows if row.get("sku") in (sku, None)]
    statuses = [row.get("statusCode") for row in mine]
    if not mine or any(type(status) is not int for status in statuses):
        return sdk.PushOutcome.UNKNOWN, "the answer does not mention it"
    bad = [row for row in mine if row["statusCode"] not in faults.STATUS_OK]
    if not bad:
        return APPLIED
    reason = "; ".join(errors_text(row) for row in bad)
    if len(bad) < len(mine) or any(row["statusCode"] in faults.STATUS_BROKEN for row in bad):
        return sdk.PushOutcome.UNKNOWN, reason
    return refused(reason)


def _failed(faults: Sequence[faults.Fault]) -> Verdict:
    """The verdict on a node these faults are about; where eBay itself failed, only a look tells."""
    is_broken = any(fault.is_broken for fault in faults)
    outcome = sdk.PushOutcome.UNKNOWN if is_broken else sdk.PushOutcome.REJECTED
    return outcome, "; ".join(fault.reason for fault in faults)


def refused(reason: str) -> Verdict:
    return sdk.PushOutcome.REJECTED, reason
