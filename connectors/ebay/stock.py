"""Quantities: discovering listings, looking, and setting absolute numbers.

Looking is paid from a few thousand calls a day, so it takes whichever is cheaper: one call per
listing, or pages of everything on sale. Of one listing there is never more than one revision under
way.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

from connectors.ebay import render, revisions
from connectors.ebay.client import Client
from connectors.ebay.faults import NOT_FOUND_CODES, are_all, refusal
from connectors.ebay.ids import read_listing_id
from connectors.ebay.listings import Shown, offered, read_page, shown
from connectors.ebay.ownership import Ownership
from connectors.ebay.rest import STATUS_NOT_FOUND, RestCall
from connectors.ebay.revisions import APPLIED, Node, Revisions, Verdict
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
OFFERS_MAX: Final = 25
#: why a quantity that could wait was not sent
SPARED: Final = "the calls left today are kept for reading orders, and for what could oversell"
_LOOK: Final = "GetItem"
_BY_REST: Final = "/sell/inventory/v1"
_READ: Final = sdk.Priority.READ
_WRITE: Final = sdk.Priority.WRITE


#: when eBay was looked at, and what it showed
_Look: TypeAlias = tuple[datetime, Sequence[Shown]]


class StockDesk:
    """Everything about quantities for one account."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        self._client, self._clock = client, request.clock
        self._marketplace: str = request.settings.marketplace_id
        self.revisions = Revisions(request.clock, request.tokens)
        self.per_page = render.LISTINGS_PER_PAGE
        self._revising, self._lock = threading.Lock(), threading.Lock()
        #: listings Trading may not revise
        self._by_rest = Ownership(request.tokens)
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
        self.revisions.shows(quantities)
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
            # What is not about this one listing is revisions.refused to this call, too.
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
            nodes, later = self.revisions.sort(nodes, self._together(nodes))
            nodes, spared = self._spare(nodes)
            verdicts |= dict.fromkeys((node.key for node in later), revisions.WAITING)
            verdicts |= revisions.not_sent(spared, SPARED)
            at = dict.fromkeys(verdicts, self._client.now())
            try:
                sent = self._send(nodes, at)
            finally:
                self._by_rest.keep()
        self.revisions.shows(
            {one.key: one.entry.quantity if sent[one.key] == APPLIED else None for one in nodes}
        )
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

    def _send(self, nodes: Sequence[Node], at: dict[str, datetime]) -> dict[str, Verdict]:
        """Verdicts on all of `nodes`; notes `at` when each was sent."""
        sent: dict[str, Verdict] = {}
        chunks = _chunks([node for node in nodes if node.name.item_id not in self._by_rest])
        for number, chunk in enumerate(chunks):
            rest = [node for each in chunks[number:] for node in each]
            sent |= self._revise_chunk(chunk, rest, is_first=not sent)
            at |= {node.key: self._client.now() for node in chunk}
            if any(node.key in sent for node in rest[len(chunk) :]):
                break  # eBay cannot serve this now: the rest has its verdict
        for node in nodes:
            if node.key not in sent:
                sent[node.key] = self._set_by_rest(node, is_first=not sent)
                at[node.key] = self._client.now()
        return sent

    def _spare(self, nodes: list[Node]) -> tuple[list[Node], list[Node]]:
        """What may go while calls are short, and what does not.

        A decrease that comes too late is sold again: such go while there is a call left. Where
        there are none, nothing of the batch goes, and the hub comes again.
        """
        urgent = [node for node in nodes if self.revisions.is_urgent(node)]
        try:
            self._client.budget.leave_for_orders()
        except sdk.RateLimited:
            if nodes and not urgent:
                raise
            return urgent, [node for node in nodes if node not in urgent]
        return nodes, []

    def _together(self, nodes: Sequence[Node]) -> set[str]:
        """Listings of which so much changes that it goes with one call."""
        counted = Counter(node.name.item_id for node in nodes)
        return {one for one, n in counted.items() if n > NODES_MAX and one not in self._by_rest}

    def _revise_chunk(
        self, chunk: Sequence[Node], rest: Sequence[Node], *, is_first: bool
    ) -> dict[str, Verdict]:
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
            return revisions.not_sent(rest, str(error)) | lost
        except sdk.FixData as error:
            if is_all and len(chunk) <= NODES_MAX:  # the hub halves it
                raise
            return self._revise_apart(chunk, str(error))
        except sdk.ChannelError as error:
            if is_first:
                raise
            return revisions.not_sent(rest, str(error))

    def _revise_apart(self, nodes: Sequence[Node], reason: str) -> dict[str, Verdict]:
        """What was refused without a name, in smaller calls: four at a time, each for itself."""
        if len(nodes) == 1:
            return {nodes[0].key: revisions.refused(reason)}
        if len(nodes) <= NODES_MAX:
            return {k: v for one in nodes for k, v in self._revise_alone(one).items()}
        found: dict[str, Verdict] = {}
        for start in range(0, len(nodes), NODES_MAX):
            four = nodes[start : start + NODES_MAX]
            found |= self._revise_chunk(four, nodes[start:], is_first=False)
            if any(node.key in found for node in nodes[start + NODES_MAX :]):
                break
        return found

    def _revise_alone(self, node: Node) -> dict[str, Verdict]:
        return self._revise_chunk([node], [node], is_first=False)

    def _sort(self, entries: Sequence[sdk.StockPush]) -> tuple[dict[str, Verdict], list[Node]]:
        """Entries that cannot be sent at all, with the reason; and those that can."""
        unfit: dict[str, Verdict] = {}
        nodes: list[Node] = []
        for entry in entries:
            name = read_listing_id(entry.channel_listing_id)
            if name is None:
                reason = "this is no listing of eBay's: unlink it, and discover listings"
            elif name.is_variation and not name.sku:
                reason = "the variation has no SKU: give it one at eBay, then discover listings"
            elif entry.quantity == 0 and not self.is_zero_allowed():
                reason = (
                    "out-of-stock control is off at eBay: a quantity of 0 would end the listing, "
                    "or remove the variation; switch it on in eBay's selling preferences"
                )
            else:
                nodes.append(Node(entry=entry, name=name))
                continue
            unfit[entry.channel_listing_id] = revisions.refused(reason)
        return unfit, nodes

    def _revise(self, nodes: Sequence[Node]) -> dict[str, Verdict]:
        item_ids = [node.name.item_id for node in nodes]
        if len(nodes) > NODES_MAX:
            item_ids = item_ids[:1]
            skus = [(node.sku, node.entry.quantity) for node in nodes]
            call = TradingCall(
                name=revisions.PUSH_MANY, body=render.variations(item_ids[0], skus), is_write=True
            )
        else:
            body = render.quantities(
                (node.name.item_id, node.name.sku, node.entry.quantity) for node in nodes
            )
            call = TradingCall(name=revisions.PUSH, body=body, is_write=True)
        try:
            answer = self._client.attempt(call, priority=_WRITE)
        except sdk.OutcomeUnknown:
            self.revisions.count(item_ids)
            self.revisions.shows(dict.fromkeys(node.key for node in nodes))
            raise
        if answer.ack != "Failure":
            self.revisions.count(item_ids)
        worn = [node for node in nodes if revisions.is_worn_out(answer, node.name.item_id)]
        self.revisions.exhaust(worn)
        if len(worn) == len(nodes):
            return dict.fromkeys((node.key for node in worn), revisions.WAITING)
        verdicts = (revisions.judge_many if call.name == revisions.PUSH_MANY else revisions.judge)(
            answer, nodes
        )
        verdicts |= dict.fromkeys((node.key for node in worn), revisions.WAITING)
        self._by_rest.learn(node.name.item_id for node in nodes if node.key not in verdicts)
        return verdicts

    def _set_by_rest(self, node: Node, *, is_first: bool) -> Verdict:
        """One SKU of a listing that the Inventory API owns."""
        if not node.sku:
            return revisions.refused(
                "a listing of the Inventory API is written by its SKU, and has none"
            )
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
            return revisions.refused(str(error))
        except sdk.ChannelError as error:
            if is_first:
                raise
            # Others of the batch have their outcomes by now, and these must not be lost.
            return sdk.PushOutcome.NOT_APPLIED, str(error)
        self.revisions.count([node.name.item_id])
        rows = answer.fields.get("responses")
        return revisions.judge_rows(rows if isinstance(rows, list) else (), node.sku)

    def _offers(self, node: Node) -> list[str]:
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


def _chunks(nodes: Sequence[Node]) -> list[list[Node]]:
    """What goes into one call each: many variations of one listing, or any four."""
    by_item: dict[str, list[Node]] = {}
    for node in nodes:
        by_item.setdefault(node.name.item_id, []).append(node)
    many = [each for each in by_item.values() if len(each) > NODES_MAX]
    few = [node for node in nodes if len(by_item[node.name.item_id]) <= NODES_MAX]
    return [*many, *(few[start : start + NODES_MAX] for start in range(0, len(few), NODES_MAX))]
