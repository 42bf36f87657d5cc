"""Hints: a webhook proves nothing; it only makes the hub look, once, however often it comes."""

import json
from datetime import timedelta

import pytest

from oms_sync.sdk import BadPayload, Hint, HintKind, RateLimited
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.storage.listings import Listings

DAY = 86_400


def order_hint(order, **more):
    return json.dumps({"id": order, **more}).encode()


@pytest.fixture
def shop(hub):
    """A shop whose polls are a day apart: what comes in came by webhook."""
    shop = hub.open_shop(poll_seconds=DAY)
    hub.subscribe()
    return shop


def rereads(hub, *, after_seconds=0.0):
    at = hub.clock.now() + timedelta(seconds=after_seconds)
    with hub.storage.open_work() as work:
        return work.rereads.due("shop-a", at=at, limit=100)


@pytest.mark.proves("I-12")
def test_webhooks_alone_bring_an_order_and_its_changes(hub, shop):
    order = shop.buy(("TEE", 2))
    assert hub.deliver() == 1
    hub.round()
    assert hub.filled(order) == (2, 0)
    shop.cancel(order)
    hub.deliver()
    hub.round()
    assert hub.order(order).state.value == "cancelled"
    assert hub.stock() == (10, 0)


@pytest.mark.proves("I-02", "F11", "F12", "F13")
def test_duplicated_and_late_hints_make_one_order_and_one_read(hub, shop):
    shop.faults.force("F11")
    shop.faults.force("F12")
    order = shop.buy(("TEE", 1))
    assert hub.deliver() == 3
    assert len(hub.inbox("new")) == 1, "equal hints not worked off yet are one"
    hub.hint("orders/update", order_hint(order, at="later"))
    hub.run("ingest")
    (message,) = [one for one in hub.inbox("new") if one["channel_order_id"]]
    assert message["source"] == "read"
    hub.round()
    hub.hint("orders/update", order_hint(order, at="later"))
    assert len(hub.inbox("new")) == 1, "the same bytes can tell a new fact later"
    hub.round()
    assert len(hub.storage.reports.orders()) == 1
    assert hub.filled(order) == (1, 0)


@pytest.mark.proves("I-09")
def test_a_malformed_hint_is_kept_with_its_bytes_and_stops_no_other(hub, shop):
    order = shop.buy(("TEE", 1))
    hub.hint("orders/update", b"{not json")
    hub.hint("orders/update", order_hint(7))
    hub.deliver()
    hub.round()
    assert hub.filled(order) == (1, 0)
    dead = hub.storage.reports.dead_letters()
    bodies = [hub.storage.reports.message(one["id"], reveal=True)["body"] for one in dead]
    assert sorted(bodies) == sorted(["{not json", order_hint(7).decode()])
    assert all(one["reason"] for one in dead)
    assert hub.metrics.counts["messages_dead"] == 2


@pytest.mark.proves("I-09", "F43")
@pytest.mark.parametrize("error", [RecursionError("too deep"), KeyError("id")])
def test_a_hint_the_connector_stumbles_over_costs_only_itself(hub, shop, error):
    class Stumbling(type(shop.webhook_part)):
        def read_hint(self, headers, body):
            if b"deep" in body:
                raise error
            return super().read_hint(headers, body)

    hub.webhooks["shop-a"] = Stumbling()
    order = shop.buy(("TEE", 1))
    hub.hint("orders/update", b"deep")
    hub.deliver()
    hub.round()
    assert hub.filled(order) == (1, 0)
    (dead,) = hub.storage.reports.dead_letters()
    assert type(error).__name__ in dead["reason"]


@pytest.mark.proves("I-09")
@pytest.mark.parametrize("object_id", ["", "a\0b", "a\ud800b", "x" * 300])
def test_a_hint_about_an_id_no_channel_has_is_a_dead_letter(any_hub, object_id):
    shop = any_hub.open_shop(poll_seconds=DAY)
    any_hub.subscribe()
    order = shop.buy(("TEE", 1))
    any_hub.hint("orders/update", order_hint(object_id))
    any_hub.hint("listings/update", order_hint(object_id, quantity=3))
    any_hub.deliver()
    any_hub.round()
    assert any_hub.filled(order) == (1, 0)
    assert len(any_hub.storage.reports.dead_letters()) == 2


def test_a_hint_for_a_connector_without_webhooks_is_a_dead_letter(hub, shop):
    hub.webhooks["shop-a"] = None
    hub.hint("orders/update", order_hint("x"))
    hub.run("ingest")
    (dead,) = hub.storage.reports.dead_letters()
    assert "declares no webhooks" in dead["reason"]


@pytest.mark.proves("I-01", "F15")
def test_a_webhook_before_the_api_shows_the_order_is_asked_for_again_until_it_is_there(hub):
    shop = hub.open_shop(poll_seconds=DAY, options={"late_seconds": 8.0})
    hub.subscribe()
    shop.faults.force("F15")
    order = shop.buy(("TEE", 1))
    hub.deliver()
    report = hub.run("ingest")
    assert report.next_at == hub.clock.now() + timedelta(seconds=1)
    assert hub.find_order(order) is None
    waits = []
    while hub.find_order(order) is None:
        (waiting,) = rereads(hub, after_seconds=DAY)
        waits.append(waiting.attempts)
        hub.round()
    assert waits[0] == 1
    assert hub.filled(order) == (1, 0)
    assert rereads(hub, after_seconds=DAY) == []


def test_an_id_that_stays_absent_is_given_up_and_was_never_an_order(hub, shop):
    hub.hint("orders/update", order_hint("nobody"))
    asked = 0
    while asked < 20:
        hub.run("ingest")
        asked += 1
        with hub.storage.open_work() as work:
            due_at = work.rereads.next_at("shop-a")
        if due_at is None:
            break
        hub.clock.advance((due_at - hub.clock.now()).total_seconds())
    assert asked == 8
    hub.settle()
    assert hub.find_order("nobody") is None
    assert hub.inbox("new") == []


@pytest.mark.proves("I-17")
def test_a_deleted_order_is_cancelled_once_hint_and_api_agree(hub, shop):
    order = shop.buy(("TEE", 2))
    hub.deliver()
    hub.round()
    hub.hint("orders/delete", order_hint(order))
    hub.round()
    assert hub.order(order).state.value == "open", "the channel still shows it"
    shop.delete(order)
    hub.deliver()
    hub.round()
    assert hub.order(order).state.value == "cancelled"
    assert hub.stock() == (10, 0)


@pytest.mark.proves("I-17", "F34")
def test_a_deletion_of_an_order_never_seen_leaves_a_tombstone(hub, shop):
    order = shop.buy(("TEE", 2))
    late = shop.session().read_orders_by_id([order])[0].payload
    shop.take_webhooks()
    shop.delete(order)
    hub.deliver()
    hub.round()
    assert hub.order(order).state.value == "cancelled"
    hub.add(late, channel_order_id=order)
    hub.settle()
    assert hub.order(order).state.value == "cancelled"
    assert hub.stock() == (10, 0)


def test_an_order_the_channel_no_longer_shows_is_held_until_it_shows_it_again(hub, shop):
    order = shop.buy(("TEE", 2))
    hub.deliver()
    hub.round()
    hidden = shop.order(order)
    shop.books.orders.pop(order)
    for _ in range(8):
        hub.hint("orders/update", order_hint(order))
        hub.clock.advance(400)
        hub.run("ingest")
    hub.round()
    assert hub.order(order).state.value == "held"
    assert hub.holds(order) == ["gone_at_channel"]
    assert hub.filled(order) == (2, 0), "what is sold stays reserved"
    (since,) = [hold.since for hold in hub.order(order).holds]
    hub.add(b"", "read", topic="order.gone", channel_order_id=order)
    hub.round()
    assert [hold.since for hold in hub.order(order).holds] == [since]
    shop.books.orders[order] = hidden
    hub.hint("orders/update", order_hint(order))
    hub.round()
    assert (hub.order(order).state.value, hub.holds(order)) == ("open", [])


@pytest.mark.proves("I-01")
def test_a_hint_that_comes_while_the_order_is_read_stays_armed(hub, shop):
    order = shop.buy(("TEE", 1))

    class Meanwhile(FakeSession):
        def read_orders_by_id(self, ids):
            answers = super().read_orders_by_id(ids)
            with hub.storage.open_work() as work:
                work.rereads.arm("shop-a", ids, at=hub.clock.now())
                work.commit()
            return answers

    hub.sessions["shop-a"] = Meanwhile(shop, shop.request())
    hub.deliver()
    hub.run("ingest")
    assert [one.channel_order_id for one in rereads(hub)] == [order]
    hub.sessions["shop-a"] = shop.session()
    hub.run("ingest")
    assert rereads(hub) == []


def test_a_draining_hub_leaves_re_reads_for_later(hub, shop):
    order = shop.buy(("TEE", 1))
    hub.deliver()
    hub.is_stopping = lambda: True
    hub.run("ingest")
    assert [one.channel_order_id for one in rereads(hub)] == [order]


@pytest.mark.proves("I-09")
def test_one_order_that_cannot_be_read_keeps_no_other_order_waiting(hub, shop):
    class Choking(FakeSession):
        def read_orders_by_id(self, ids):
            if "odd" in ids:
                raise BadPayload("odd is no id of mine")
            return super().read_orders_by_id(ids)

    hub.sessions["shop-a"] = Choking(shop, shop.request())
    hub.hint("orders/update", order_hint("odd"))
    order = shop.buy(("TEE", 1))
    hub.deliver()
    hub.round()
    assert hub.filled(order) == (1, 0)
    (left,) = rereads(hub, after_seconds=DAY)
    assert (left.channel_order_id, left.attempts) == ("odd", 1), "it is asked for again, later"


def test_a_channel_in_trouble_ends_the_run_and_forgets_no_hint(hub, shop):
    order = shop.buy(("TEE", 1))
    hub.deliver()
    shop.faults.force("F05")
    with pytest.raises(RateLimited):
        hub.run("ingest")
    assert [one.channel_order_id for one in rereads(hub)] == [order]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_re_reads_are_asked_for_in_portions_the_channel_takes(hub, size):
    shop = hub.open_shop(poll_seconds=DAY, options={"order_read_max": size or 1})
    hub.subscribe()
    if not size:
        hub.manifests["shop-a"] = type(shop.manifest)(
            id="fake", label="Fake", capabilities=shop.manifest.capabilities, order_read_max=0
        )
    orders = [shop.buy(("TEE", 1)) for _ in range(3)]
    hub.deliver()
    hub.round()
    assert [hub.filled(one) for one in orders] == [(1, 0)] * 3


class Says:
    """A webhook part that always says the same."""

    def __init__(self, hint):
        self.hint = hint

    def read_hint(self, headers, body):
        return self.hint


@pytest.mark.parametrize("kind", [HintKind.ACCOUNT, HintKind.ORDERS])
def test_a_hint_that_names_no_order_makes_the_next_poll_due_at_once(hub, shop, kind):
    order = shop.buy(("TEE", 1))
    hub.webhooks["shop-a"] = Says(Hint(kind=kind))
    hub.hint("app/changed", b"{}")
    hub.round()
    assert hub.filled(order) == (1, 0)


@pytest.mark.proves("F29")
@pytest.mark.parametrize(
    ("kind", "is_looked_at"), [(HintKind.ACCOUNT, True), (HintKind.ORDERS, False)]
)
def test_a_hint_about_the_account_has_its_credentials_looked_at(hub, shop, kind, is_looked_at):
    hub.webhooks["shop-a"] = Says(Hint(kind=kind))
    hub.wakes.clear()
    hub.hint("app/changed", b"{}")
    hub.run("ingest")
    assert (("tend", "shop-a") in hub.wakes) is is_looked_at


def test_a_hint_about_nothing_we_follow_is_settled(hub, shop):
    hub.hint("theme/changed", b"{}")
    assert hub.run("ingest").done == 1
    assert hub.inbox("new") == []


# --- hints about listings ------------------------------------------------------------------------


@pytest.mark.proves("I-20", "F39")
def test_a_hand_edit_told_by_webhook_is_looked_at_and_put_right(hub, shop):
    shop.hand_edit("TEE", 3)
    hub.deliver()
    hub.wakes.clear()
    hub.run("ingest")
    assert hub.listing().look_due_at == hub.clock.now() + timedelta(seconds=2)
    assert ("push_stock", "shop-a") in hub.wakes
    hub.settle()
    assert shop.quantities() == {"TEE": 10}


@pytest.mark.proves("F44")
def test_listings_several_webhooks_name_are_locked_at_once_and_in_order(hub, monkeypatch):
    # one by one, in the order of arrival, they met another transaction's order: a deadlock
    several = hub.open_shop("shop-z", {"ONE": 5, "TWO": 5, "THREE": 5})
    hub.subscribe("shop-z")
    for sku in ("THREE", "ONE", "TWO"):
        several.hand_edit(sku, 3)
    hub.deliver("shop-z")
    locked, lock = [], Listings.lock
    monkeypatch.setattr(
        Listings, "lock", lambda self, ids: lock(self, locked.append(list(ids)) or locked[-1])
    )
    hub.run("ingest", "shop-z")
    assert locked == [sorted(locked[0])]
    assert len(locked[0]) == 3


@pytest.mark.proves("I-11", "F40")
def test_an_echo_of_our_own_push_is_dropped(hub, shop):
    shop.faults.force("F40")
    hub.count("TEE", 7)
    hub.run("push_stock")
    assert hub.writes() == [("TEE", 7)]
    before = hub.listing()
    assert hub.deliver() == 1
    hub.run("ingest")
    assert hub.listing() == before
    hub.settle()
    assert hub.writes() == [("TEE", 7)]


@pytest.mark.proves("I-11", "F40")
def test_an_echo_that_comes_before_our_own_answer_is_dropped(hub, shop):
    shop.faults.force("F40")
    shop.faults.force("F02")
    hub.count("TEE", 7)
    hub.run("push_stock")
    assert hub.listing().in_flight.quantity == 7
    hub.deliver()
    hub.run("ingest")
    assert hub.listing().look_due_at is None


@pytest.mark.parametrize("quantity", [None, 10])
def test_a_listing_hint_that_says_nothing_new_asks_for_no_look(hub, shop, quantity):
    hub.hint("listings/update", order_hint("shop-a-listing-1", quantity=quantity))
    hub.run("ingest")
    assert hub.listing().look_due_at is None


def test_a_hint_about_a_listing_we_do_not_know_is_nothing(hub, shop):
    hub.hint("listings/update", order_hint("listing-of-a-stranger", quantity=1))
    assert hub.run("ingest").done == 1
    assert hub.listing().look_due_at is None


def test_a_look_that_is_due_is_not_put_off_by_another_hint(hub, shop):
    hub.hint("listings/update", order_hint("shop-a-listing-1", quantity=3))
    hub.run("ingest")
    due_at = hub.listing().look_due_at
    hub.clock.advance(1)
    hub.hint("listings/update", order_hint("shop-a-listing-1", quantity=4))
    hub.run("ingest")
    assert hub.listing().look_due_at == due_at
