"""Whatever sequence the sights of one order come in, however often, the hub ends the same.

What buyers and the seller do is drawn; the channel's own record at the end says what must be true.
"""

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_sync.sdk.fake import FakeRefusal
from oms_sync.sdk.fake_orders import FakeOrder, render_order, summarise_order

NUMBERS = itertools.count(1)
COUNTED = 30
PARTS = ("A", "B", "C")


def _undo(shop, order_id, sku):
    """Take the last dispatch back, unless some of its goods are back already."""
    order = shop.order(order_id)
    sent = [one for one in order.fulfilments if not one.is_cancelled]
    if sent and not any(line.returned for line in order.lines):
        shop.cancel_fulfilment(order_id, sent[-1].channel_shipment_id)


#: what can happen to an order, given a SKU of it
ACTS = {
    "pay": lambda shop, order_id, sku: shop.pay(order_id),
    "more": lambda shop, order_id, sku: shop.edit(order_id, {sku: 5}),
    "less": lambda shop, order_id, sku: shop.edit(order_id, {sku: 1}),
    "out": lambda shop, order_id, sku: shop.edit(order_id, {sku: 0}),
    "hold": lambda shop, order_id, sku: shop.hold(order_id),
    "release": lambda shop, order_id, sku: shop.release(order_id),
    "refund": lambda shop, order_id, sku: shop.refund(order_id, {sku: 1}, restock=True),
    "write off": lambda shop, order_id, sku: shop.refund(order_id, {sku: 1}, restock=False),
    "refund all": lambda shop, order_id, sku: shop.refund(order_id),
    "ship one": lambda shop, order_id, sku: shop.fulfil_at_channel(order_id, {sku: 1}),
    "ship": lambda shop, order_id, sku: shop.fulfil_at_channel(order_id),
    "undo": _undo,
    "cancel": lambda shop, order_id, sku: shop.cancel(order_id),
    "cancel, keep off sale": lambda shop, order_id, sku: shop.cancel(order_id, restock=False),
}


@dataclass
class Story:
    """One order's life: what was shown of it, when, and what is true in the end."""

    order_id: str
    skus: dict[str, str]
    was_cancelled: bool = False
    #: (seen at, body) of every look and every notification, oldest first
    shown: list[tuple[datetime, bytes]] = field(default_factory=list)
    truth: FakeOrder | None = None

    def look(self, hub, shop, *, is_whole=True):
        order = self.truth = shop.order(self.order_id)
        body = render_order(order) if is_whole else json.dumps(summarise_order(order)).encode()
        self.was_cancelled |= order.state == "cancelled"
        hub.clock.advance(0.5)
        self.shown.append((hub.clock.now(), body))


def live(hub, account, acts):
    """Let an order live through `acts`; what the channel refuses does not happen."""
    skus = {part: f"{part} {account}" for part in PARTS}
    shop = hub.connect(account, dict.fromkeys(skus.values(), COUNTED))
    hub.link(account)
    for sku in skus.values():
        hub.count(sku, COUNTED)
    hub.clock.advance(1)
    order_id = shop.buy((skus["A"], 3), (skus["B"], 2), is_paid=False)
    story = Story(order_id=order_id, skus=skus)
    story.look(hub, shop)
    for act, part, is_told in acts:
        hub.clock.advance(1)
        with contextlib.suppress(FakeRefusal):
            ACTS[act](shop, order_id, skus[part])
        if is_told:
            story.look(hub, shop, is_whole=False)
        story.look(hub, shop)
    return story


def expected_state(story):
    order = story.truth
    if story.was_cancelled:  # and a cancellation is never taken back
        return "cancelled"
    return "held" if order.holds and order.state in ("open", "pending") else order.state


def check(hub, account, story):
    """The hub has the channel's own truth: state, units, reservations, books, what was taken."""
    found = hub.order(story.order_id, account)
    assert found.state.value == expected_state(story)
    wanted_holds = [f"channel:{one}" for one in story.truth.holds]
    assert [one.code for one in found.holds] == wanted_holds
    lines = {line.channel_sku: line for line in story.truth.lines}
    assert {one.line.channel_sku for one in found.known.lines} == set(lines)
    for sku, line in lines.items():
        open_units = 0 if story.was_cancelled else line.open
        left = line.shipped - line.returned
        assert hub.stock(sku) == (COUNTED - left, open_units), sku
        assert hub.listing(sku, account).taken == line.ordered - line.restocked, sku
        (stored,) = [one for one in found.lines if one.sku == sku]
        assert (sum(stored.held.values()), stored.quantity_short) == (open_units, 0)
    assert hub.inbox("dead", account) == hub.inbox("new", account) == []


acts = st.lists(
    st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from(PARTS), st.booleans()),
    min_size=1,
    max_size=7,
)


@pytest.mark.proves("I-02", "I-07", "I-10", "I-13", "I-16", "I-17", "F11", "F13", "F32", "F34")
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=acts, chance=st.randoms(use_true_random=False), is_late=st.booleans())
def test_any_permutation_of_any_life_of_an_order_ends_in_its_truth(any_hub, acts, chance, is_late):
    account = f"shop-{next(NUMBERS)}"
    story = live(any_hub, account, acts)
    sights = story.shown + chance.choices(story.shown, k=chance.randint(0, 4))
    chance.shuffle(sights)
    for seen_at, body in sights:
        # A message that waited in the inbox was seen early; one that came late was seen late.
        received_at = any_hub.clock.now() if is_late else seen_at
        any_hub.add(
            body,
            "read",
            account=account,
            channel_order_id=story.order_id,
            received_at=received_at,
        )
        if chance.random() < 0.5:
            any_hub.run("normalise", account)
            if chance.random() < 0.7:
                any_hub.run("reserve", account)
    any_hub.run("normalise", account)
    any_hub.run("reserve", account)
    check(any_hub, account, story)
