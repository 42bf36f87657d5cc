"""Quantities: discovering listings, looking, and setting absolute numbers.

Looking is paid from a few thousand calls a day, so it takes whichever is cheaper: one call per
listing, or pages of everything on sale. Of one listing there is never more than one revision under
way.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from connectors.ebay import render
from connectors.ebay.client import Answer, Client
from connectors.ebay.faults import (
    BY_REST_CODE,
    NO_CHANGE_CODES,
    NOT_FOUND_CODES,
    STATUS_BROKEN,
    STATUS_OK,
    Fault,
    are_all,
    refusal,
)
from connectors.ebay.ids import ListingName, read_listing_id
from connectors.ebay.listings import Shown, offered, read_page, shown
from connectors.ebay.rest import STATUS_NOT_FOUND, RestCall, errors_text
from connectors.ebay.trading import TradingCall
from oms_sync import sdk

#: quantities in one call of Trading, and in one batch of the hub's
NODES_MAX: Final = 4
BATCH_MAX: Final = 100
#: listings that were to be on a page and were not are asked for singly, up to so many
STRAGGLERS_MAX: Final = 20
#: so few listings are cheaper asked for singly than by a first page
SINGLY_MAX: Final = 2
#: how long an answer to "may a listing stand at 0" is believed
YES_SECONDS: Final = 3600.0
NO_SECONDS: Final = 300.0
BY_REST_MAX: Final = 100_000
OFFERS_MAX: Final = 25
_LOOK: Final = "GetItem"
_PUSH: Final = "ReviseInventoryStatus"
_BY_REST: Final = "/sell/inventory/v1"
_READ: Final = sdk.Priority.READ
_WRITE: Final = sdk.Priority.WRITE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """One entry of a batch, as eBay names it."""

    entry: sdk.StockPush
    name: ListingName

    @property
    def key(self) -> str:
        return self.entry.channel_listing_id

    @property
    def sku(self) -> str:
        return self.name.sku or self.entry.channel_sku


#: when eBay was looked at, and what it showed
_Look: TypeAlias = tuple[datetime, Sequence[Shown]]
#: what became of a node, and why
_Verdict: TypeAlias = tuple[sdk.PushOutcome, str]
_APPLIED: Final = (sdk.PushOutcome.APPLIED, "")


class StockDesk:
    """Everything about quantities for one account."""

    def __init__(self, client: Client, clock: sdk.Clock, marketplace_id: str) -> None:
        self._client, self._clock, self._marketplace = client, clock, marketplace_id
        self.per_page = render.LISTINGS_PER_PAGE
        self._revising, self._lock = threading.Lock(), threading.Lock()
        #: listings Trading may not revise; what a restart forgets is learnt again by one refusal
        self._by_rest: OrderedDict[str, None] = OrderedDict()
        self._zero: tuple[bool, float] | None = None

    # --- looking ---------------------------------------------------------------------------------

    def listings(self, cursor: str | None) -> sdk.ListingPage:
        """The next page of everything on sale."""
        page = int(cursor) if cursor else 1
        found = read_page(self._client, page, self.per_page, sdk.Priority.BULK)
        is_zero_allowed = not found.listings or self.is_zero_allowed()
        return sdk.ListingPage(
            listings=tuple(offered(one, is_zero_allowed=is_zero_allowed) for one in found.listings),
            cursor=str(page + 1) if page < found.pages else None,
        )

    def read(self, channel_listing_ids: Sequence[str]) -> sdk.StockReading:
        """What eBay shows; ended and unknown listings are absent."""
        asked = set(channel_listing_ids)
        names = (read_listing_id(one) for one in channel_listing_ids)
        missing = dict.fromkeys(name.item_id for name in names if name)
        looks = self._read_pages(missing) if len(missing) > SINGLY_MAX else []
        looks += [self._read_one(item_id) for item_id in missing]
        quantities = {
            one.channel_listing_id: one.quantity
            for _, found in looks
            for one in found
            if one.channel_listing_id in asked and one.is_active and one.quantity is not None
        }
        read_at = min((at for at, _ in looks), default=self._client.now())
        return sdk.StockReading(quantities=quantities, read_at=read_at)

    def _read_pages(self, missing: dict[str, None]) -> list[_Look]:
        """Take listings off `missing` page by page, as long as that is the cheaper way."""
        page, pages, looks = 1, 1, list[_Look]()
        while page <= pages and pages - page < len(missing):
            found = read_page(self._client, page, self.per_page, _READ)
            looks.append((found.answer.at, found.listings))
            for one in found.listings:
                missing.pop(one.item_id, None)
            page, pages = page + 1, found.pages
        if page > pages:
            # Not on any page: ended, or slipped to a page already read while another one ended.
            for item_id in list(missing)[STRAGGLERS_MAX:]:
                del missing[item_id]
        return looks

    def _read_one(self, item_id: str) -> _Look:
        call = TradingCall(name=_LOOK, body=render.one_listing(item_id))
        answer = self._client.attempt(call, priority=_READ)
        if answer.is_clean:
            found = answer.root.find("Item")
            if found is None:
                raise sdk.BadPayload(f"{_LOOK}: the answer shows no listing")
            return answer.at, shown(found)
        if any(fault.is_broken for fault in answer.errors):
            raise refusal(_LOOK, answer.errors, is_write=False)
        if not are_all(answer.errors, NOT_FOUND_CODES):
            # What is not about this one listing is refused to this call, too.
            call = TradingCall(name="GetUser", body=render.who_we_are())
            self._client.run(call, priority=_READ)
        return answer.at, []

    def is_zero_allowed(self) -> bool:
        """Whether a listing may stand at 0 without ending; asked before the first zero is sent."""
        with self._lock:
            now = self._clock.monotonic()
            if self._zero is None or now >= self._zero[1]:
                call = TradingCall(name="GetUserPreferences", body=render.preferences())
                answer = self._client.run(call, priority=_READ)
                is_allowed = answer.root.text("OutOfStockControlPreference") == "true"
                self._zero = (is_allowed, now + (YES_SECONDS if is_allowed else NO_SECONDS))
            return self._zero[0]

    # --- setting ---------------------------------------------------------------------------------

    def push(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        """Set all quantities of `batch`; each entry has its own outcome.

        Sorted by the API that takes them, so that every call but the last carries all it can.
        """
        if len(batch.entries) > BATCH_MAX:
            raise sdk.Bug(f"a batch holds {BATCH_MAX} quantities, not {len(batch.entries)}")
        with self._revising:
            verdicts, nodes = self._sort(batch.entries)
            at = dict.fromkeys(verdicts, self._client.now())
            by_trading = [node for node in nodes if node.name.item_id not in self._by_rest]
            sent: dict[str, _Verdict] = {}
            for start in range(0, len(by_trading), NODES_MAX):
                chunk = by_trading[start : start + NODES_MAX]
                sent |= self._revise_chunk(chunk, by_trading[start:], is_first=not sent)
                at |= {node.key: self._client.now() for node in chunk}
                if any(node.key in sent for node in by_trading[start + NODES_MAX :]):
                    break  # eBay cannot serve this now: the rest has its verdict
            for node in nodes:
                if node.key not in sent:
                    sent[node.key] = self._set_by_rest(node, is_first=not sent)
                    at[node.key] = self._client.now()
        now = self._client.now()
        return tuple(
            sdk.PushResult(
                channel_listing_id=key,
                outcome=outcome,
                applied_at=at.get(key, now),
                reason=reason,
            )
            for key, (outcome, reason) in {**verdicts, **sent}.items()
        )

    def _revise_chunk(
        self, chunk: Sequence[_Node], rest: Sequence[_Node], *, is_first: bool
    ) -> dict[str, _Verdict]:
        """Verdicts on one call's nodes; on all of `rest` where eBay cannot serve this now.

        Once a call of the batch was sent, its outcomes must not be lost to the error of another.
        """
        is_all = is_first and len(rest) == len(chunk)
        try:
            return self._revise(chunk)
        except sdk.OutcomeUnknown as error:
            if is_all:
                raise
            lost = dict.fromkeys((one.key for one in chunk), (sdk.PushOutcome.UNKNOWN, str(error)))
            return _not_sent(rest, str(error)) | lost
        except sdk.FixData as error:
            if is_all:  # the hub halves it
                raise
            if len(chunk) > 1:  # refused without a name: each for itself
                return {k: v for one in chunk for k, v in self._revise_alone(one).items()}
            return {chunk[0].key: _refused(str(error))}
        except sdk.ChannelError as error:
            if is_first:
                raise
            return _not_sent(rest, str(error))

    def _revise_alone(self, node: _Node) -> dict[str, _Verdict]:
        return self._revise_chunk([node], [node], is_first=False)

    def _sort(self, entries: Sequence[sdk.StockPush]) -> tuple[dict[str, _Verdict], list[_Node]]:
        """Entries that cannot be sent at all, with the reason; and those that can."""
        refused: dict[str, _Verdict] = {}
        nodes: list[_Node] = []
        for entry in entries:
            name = read_listing_id(entry.channel_listing_id)
            if name is None:
                reason = "eBay has no such listing: discover listings again"
            elif name.is_variation and not name.sku:
                reason = "the variation has no SKU: give it one at eBay, then discover listings"
            elif entry.quantity == 0 and not self.is_zero_allowed():
                reason = (
                    "out-of-stock control is off at eBay: a quantity of 0 would end the listing, "
                    "or remove the variation; switch it on in eBay's selling preferences"
                )
            else:
                nodes.append(_Node(entry=entry, name=name))
                continue
            refused[entry.channel_listing_id] = _refused(reason)
        return refused, nodes

    def _revise(self, nodes: Sequence[_Node]) -> dict[str, _Verdict]:
        body = render.quantities(
            (node.name.item_id, node.name.sku, node.entry.quantity) for node in nodes
        )
        call = TradingCall(name=_PUSH, body=body, is_write=True)
        answer = self._client.attempt(call, priority=_WRITE)
        verdicts = _judge(answer, nodes)
        for node in nodes:
            if node.key not in verdicts:
                self._by_rest[node.name.item_id] = None
        while len(self._by_rest) > BY_REST_MAX:
            self._by_rest.popitem(last=False)
        return verdicts

    def _set_by_rest(self, node: _Node, *, is_first: bool) -> _Verdict:
        """One SKU of a listing that the Inventory API owns."""
        if not node.sku:
            return _refused("a listing of the Inventory API is written by its SKU, and has none")
        try:
            answer = self._client.rest.call(
                RestCall(
                    method="POST",
                    path=f"{_BY_REST}/bulk_update_price_quantity",
                    operation="inventory",
                    payload=render.price_quantity(
                        node.sku, node.entry.quantity, self._offers(node)
                    ),
                    is_write=True,
                ),
                priority=_WRITE,
            )
        except sdk.OutcomeUnknown as error:
            return sdk.PushOutcome.UNKNOWN, str(error)
        except (sdk.Rejected, sdk.Bug, sdk.PermissionMissing) as error:
            # One listing may wait for a person, or for a scope; the account goes on.
            return _refused(str(error))
        except sdk.ChannelError as error:
            if is_first:
                raise
            # Others of the batch have their outcomes by now, and these must not be lost.
            return sdk.PushOutcome.NOT_APPLIED, str(error)
        rows = answer.fields.get("responses")
        return _judge_rows(rows if isinstance(rows, list) else (), node.sku)

    def _offers(self, node: _Node) -> list[str]:
        """The offers behind the listing: their quantity limits what is listed, too."""
        query = {"sku": node.sku, "marketplace_id": self._marketplace, "limit": str(OFFERS_MAX)}
        answer = self._client.rest.call(
            RestCall(
                method="GET",
                path=f"{_BY_REST}/offer",
                operation="inventory",
                query=query,
                allowed=frozenset({STATUS_NOT_FOUND}),
            ),
            priority=_WRITE,
        )
        offers = [each for each in answer.fields.get("offers") or () if each.get("offerId")]
        item_id = node.name.item_id
        ours = [each for each in offers if (each.get("listing") or {}).get("listingId") == item_id]
        return [str(each["offerId"]) for each in ours or offers]


def _not_sent(nodes: Sequence[_Node], reason: str) -> dict[str, _Verdict]:
    return dict.fromkeys((node.key for node in nodes), (sdk.PushOutcome.NOT_APPLIED, reason))


def _judge(answer: Answer, nodes: Sequence[_Node]) -> dict[str, _Verdict]:
    """What became of each node; those Trading may not revise are left out.

    Matched by what eBay names, never by position. Raises Rejected where it refuses several without
    saying which.
    """
    verdicts: dict[str, _Verdict] = {}
    elsewhere: set[str] = set()
    undecided: list[_Node] = []
    unnamed = [f for f in answer.errors if not any(_names(f, node, nodes) for node in nodes)]
    for node in nodes:
        mine = [fault for fault in answer.errors if _names(fault, node, nodes)]
        if len(nodes) == 1:
            mine = list(answer.errors)
        if any(fault.code == BY_REST_CODE for fault in mine):
            elsewhere.add(node.key)
        elif mine:
            verdicts[node.key] = _failed(mine)
        elif answer.ack != "Failure" and _is_done(answer, node, nodes):
            verdicts[node.key] = _APPLIED
        else:
            undecided.append(node)
    if answer.ack == "Failure" and len(undecided) == len(nodes):
        raise refusal(_PUSH, unnamed, is_write=True)
    if unnamed and not undecided:  # somebody failed, although all are echoed
        undecided = [node for node in nodes if verdicts.get(node.key) == _APPLIED]
    rest = _rest(answer, unnamed, len(undecided))
    return verdicts | {node.key: rest for node in undecided if node.key not in elsewhere}


def _rest(answer: Answer, unnamed: Sequence[Fault], count: int) -> _Verdict:
    """The verdict on nodes the answer says nothing of."""
    said = "; ".join(fault.reason for fault in unnamed)
    if answer.ack == "Failure":
        return sdk.PushOutcome.NOT_APPLIED, said or "refused in company"
    if unnamed and count == 1:
        return _failed(unnamed)
    if count == 1 and any(fault.code in NO_CHANGE_CODES for fault in answer.faults):
        return _APPLIED
    return sdk.PushOutcome.UNKNOWN, said or "eBay does not mention it"


def _is_done(answer: Answer, node: _Node, nodes: Sequence[_Node]) -> bool:
    """True when the answer echoes the node, or warns that nothing had to change."""
    if any(f.code in NO_CHANGE_CODES and _names(f, node, nodes) for f in answer.faults):
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


def _names(fault: Fault, node: _Node, nodes: Sequence[_Node]) -> bool:
    """True when the fault's parameters name this node and no other."""
    has_item, has_sku = node.name.item_id in fault.values, node.sku in fault.values
    if has_item and [each.name.item_id for each in nodes].count(node.name.item_id) == 1:
        return True
    if not (node.sku and has_sku):
        return False
    return has_item or [each.sku for each in nodes].count(node.sku) == 1


def _judge_rows(rows: Sequence[Mapping[str, Any]], sku: str) -> _Verdict:
    """What the Inventory API answered for one SKU: a row each for its stock and its offers."""
    mine = [row for row in rows if row.get("sku") in (sku, None)]
    statuses = [row.get("statusCode") for row in mine]
    if not mine or any(type(status) is not int for status in statuses):
        return sdk.PushOutcome.UNKNOWN, "the answer does not mention it"
    bad = [row for row in mine if row["statusCode"] not in STATUS_OK]
    if not bad:
        return _APPLIED
    reason = "; ".join(errors_text(row) for row in bad)
    if len(bad) < len(mine) or any(row["statusCode"] in STATUS_BROKEN for row in bad):
        return sdk.PushOutcome.UNKNOWN, reason
    return _refused(reason)


def _failed(faults: Sequence[Fault]) -> _Verdict:
    """The verdict on a node these faults are about; where eBay itself failed, only a look tells."""
    is_broken = any(fault.is_broken for fault in faults)
    outcome = sdk.PushOutcome.UNKNOWN if is_broken else sdk.PushOutcome.REJECTED
    return outcome, "; ".join(fault.reason for fault in faults)


def _refused(reason: str) -> _Verdict:
    return sdk.PushOutcome.REJECTED, reason
