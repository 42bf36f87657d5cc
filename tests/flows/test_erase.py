"""Personal data dies with its time or at its owner's word; what the books need stays."""

import json
from datetime import timedelta

import pytest

from oms_sync.flows import erase
from oms_sync.flows.commands import inbox
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.manual import MANUAL
from oms_sync.sdk import Rejected
from oms_sync.sdk.fake_session import FakeSession

DAY = timedelta(days=1).total_seconds()


def closed_order(hub, *, buyer_id="", units=1, account="shop-a"):
    """A shipped order, its channel told and heard again; answers its channel order id."""
    order_id = hub.channels[account].buy(("TEE", units), buyer_id=buyer_id)
    hub.take_in(account)
    hub.ship(order_id, "1Z1", account=account)
    hub.settle()
    assert hub.order(order_id, account).state == "closed"
    return order_id


def shown(hub, order_id, account="shop-a"):
    return hub.storage.reports.order(hub.order(order_id, account).order_id, reveal=True)


def people(hub, order_id, account="shop-a"):
    found = shown(hub, order_id, account)
    return [found[name] for name in ("buyer", "recipient", "buyer_note") if found[name]]


def messages(hub, order_id=None, account="shop-a"):
    """What is in the inbox about an order, or about none."""
    return [
        one
        for one in hub.storage.reports.inbox(account=account, limit=1000)
        if one["channel_order_id"] == order_id
    ]


def keys_left(hub):
    with hub.storage.open_work() as work:
        from oms_sync.storage.tables.hub import subjects

        return len(work._transaction.rows(subjects.select()))


def forget(hub, buyer_id, account="shop-a"):
    hub.hint("buyers/forget", json.dumps({"id": buyer_id}).encode(), account)
    hub.run("ingest", account)


class Refusing(FakeSession):
    """A channel that takes no shipment."""

    def push_shipment(self, shipment):
        raise Rejected("the tracking number is in use elsewhere")


@pytest.mark.proves("B-29", "C-01", "C-55")
def test_a_finished_order_loses_people_messages_and_key_when_its_days_are_over(any_hub):
    any_hub.open_shop()
    any_hub.subscribe()
    order_id = closed_order(any_hub)
    any_hub.deliver()
    any_hub.run("ingest")
    before = shown(any_hub, order_id)
    assert before["buyer"]["name"] == f"Buyer of {order_id}"
    assert {one["source"] for one in messages(any_hub, order_id)} >= {"webhook", "poll"}
    any_hub.clock.advance(29 * DAY)
    assert any_hub.run("erase").done == 0
    assert people(any_hub, order_id)
    any_hub.clock.advance(1.1 * DAY)
    assert any_hub.run("erase").done > 0
    after = shown(any_hub, order_id)
    assert people(any_hub, order_id) == []
    assert after["erased_at"] is not None
    assert (after["lines"], after["total"], after["shipments"]) == (
        before["lines"],
        before["total"],
        before["shipments"],
    )
    assert {one["bytes"] for one in messages(any_hub, order_id)} == {0}
    assert keys_left(any_hub) == 0
    told = any_hub.events(order_id)[-1]
    assert (told["name"], told["actor"]) == ("order.erased", "hub")
    assert told["detail"] == {"reason": "retention"}
    assert any_hub.metrics.counts["orders_erased"] == 1
    assert any_hub.metrics.counts["messages_erased"] >= 2
    assert any_hub.run("erase").done == 0


def test_an_order_somebody_may_still_need_keeps_its_people_however_old(any_hub):
    shop = any_hub.open_shop()
    waiting, unpaid, held = (
        shop.buy(("TEE", 1)),
        shop.buy(("TEE", 1), is_paid=False),
        shop.buy(("TEE", 1)),
    )
    untold = shop.buy(("TEE", 1))
    shop.hold(held)
    any_hub.take_in()
    any_hub.ship(untold, "1Z1")
    any_hub.run("reserve")
    assert any_hub.order(untold).state == "closed", "here it is closed; its channel knows nothing"
    any_hub.clock.advance(400 * DAY)
    any_hub.run("erase")
    for order_id in (waiting, unpaid, held, untold):
        assert people(any_hub, order_id), order_id
    any_hub.run("push_tracking")
    any_hub.run("erase")
    assert people(any_hub, untold), "its last date is the day the channel was told"


def test_an_order_whose_shipment_was_refused_waits_as_long_as_its_channel_does(any_hub):
    shop = any_hub.open_shop()
    order_id = shop.buy(("TEE", 1), buyer_id="b-1")
    any_hub.take_in()
    any_hub.sessions["shop-a"] = Refusing(shop, shop.request())
    shipment = any_hub.ship(order_id, "1Z1")
    any_hub.settle()
    assert any_hub.order(order_id).state == "closed"
    assert any_hub.push_of(shipment)["state"] == "refused"
    any_hub.clock.advance(60)
    forget(any_hub, "b-1")
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    assert people(any_hub, order_id), "somebody has to enter the shipment at the channel"
    shop.fulfil_at_channel(order_id)
    any_hub.take_in()
    any_hub.run("erase")
    assert people(any_hub, order_id) == []


def test_the_latest_date_of_an_order_counts(any_hub):
    shop = any_hub.open_shop()
    later = any_hub.clock.now() + timedelta(days=20)
    due = shop.buy(("TEE", 1), ship_by=later)
    changed, plain = closed_order(any_hub), closed_order(any_hub)
    any_hub.take_in()
    any_hub.ship(due, "1Z2")
    any_hub.settle()
    any_hub.clock.advance(20 * DAY)
    shop.refund_money(changed, 1)
    any_hub.take_in()
    any_hub.clock.advance(11 * DAY)
    any_hub.run("erase")
    assert [bool(people(any_hub, one)) for one in (due, changed, plain)] == [True, True, False]
    any_hub.clock.advance(20 * DAY)
    any_hub.run("erase")
    assert [bool(people(any_hub, one)) for one in (due, changed)] == [False, False]


def test_a_cancelled_order_is_erased_too_and_days_are_as_configured(any_hub):
    shop = any_hub.open_shop()
    order_id = shop.buy(("TEE", 1))
    any_hub.take_in()
    shop.cancel(order_id)
    any_hub.take_in()
    any_hub.profile("shop-a", personal_data_days=3)
    any_hub.clock.advance(3.1 * DAY)
    any_hub.run("erase")
    assert people(any_hub, order_id) == []


@pytest.mark.proves("B-29")
def test_what_is_seen_of_an_erased_order_later_brings_nobody_back(any_hub):
    shop = any_hub.open_shop()
    order_id = closed_order(any_hub, buyer_id="b-1")
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    erased_at = any_hub.order(order_id).erased_at
    shop.refund_money(order_id, 1)
    any_hub.take_in()
    any_hub.hint("orders/update", json.dumps({"id": order_id}).encode())
    any_hub.run("ingest")
    any_hub.run("normalise")
    assert any_hub.order(order_id).erased_at == erased_at
    assert people(any_hub, order_id) == []
    assert {one["bytes"] for one in messages(any_hub, order_id)} == {0}
    assert {one["state"] for one in messages(any_hub, order_id)} == {"done"}
    assert keys_left(any_hub) == 0
    changes = [one for one in any_hub.events(order_id) if one["name"] == "order.changed"]
    any_hub.take_in()
    assert [one for one in any_hub.events(order_id) if one["name"] == "order.changed"] == changes


@pytest.mark.proves("B-29", "C-31", "C-33")
def test_a_buyer_who_asks_is_forgotten_order_by_order_as_they_finish(any_hub):
    shop = any_hub.open_shop()
    done = closed_order(any_hub, buyer_id="b-1")
    other = closed_order(any_hub, buyer_id="b-2")
    under_way = shop.buy(("TEE", 1), buyer_id="b-1")
    any_hub.take_in()
    any_hub.clock.advance(60)
    forget(any_hub, "b-1")
    assert ("erase", "shop-a") in any_hub.wakes
    (asked,) = messages(any_hub)
    assert (asked["topic"], asked["state"], asked["bytes"]) == ("buyers/forget", "done", 0)
    any_hub.run("erase")
    assert [bool(people(any_hub, one)) for one in (done, other, under_way)] == [False, True, True]
    names = [one["name"] for one in any_hub.events(done)]
    assert names[-2:] == ["order.erasure_wanted", "order.erased"]
    assert any_hub.events(done)[-1]["detail"] == {"reason": "buyer"}
    again = shop.buy(("TEE", 1), buyer_id="b-1")
    any_hub.take_in()
    for one in (under_way, again):
        any_hub.ship(one, f"1Z{one}")
    any_hub.settle()
    any_hub.run("erase")
    assert not people(any_hub, under_way), "finished now"
    assert people(any_hub, again), "bought after asking: a purchase like any other"
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    assert (people(any_hub, again), keys_left(any_hub)) == ([], 0)


def test_somebody_unknown_who_asks_changes_nothing_but_leaves_no_trace(any_hub):
    any_hub.open_shop()
    order_id = closed_order(any_hub, buyer_id="b-1")
    forget(any_hub, "stranger")
    any_hub.run("erase")
    assert people(any_hub, order_id)
    (asked,) = messages(any_hub)
    assert (asked["state"], asked["bytes"]) == ("done", 0)
    with pytest.raises(CommandRefused, match="erased"):
        inbox.replay(any_hub.command, [asked["id"]])


def test_one_account_may_not_forget_the_buyer_of_another(any_hub):
    any_hub.open_shop("shop-a")
    any_hub.open_shop("shop-b", {"MUG": 5})
    order_id = closed_order(any_hub, buyer_id="b-1")
    forget(any_hub, "b-1", "shop-b")
    for account in ("shop-a", "shop-b"):
        any_hub.run("erase", account)
    assert people(any_hub, order_id)


def test_raw_messages_lose_their_bytes_by_age_and_stay_as_rows(any_hub):
    shop = any_hub.open_shop(raw_payload_days=5)
    order_id = shop.buy(("TEE", 1))
    any_hub.take_in()
    any_hub.add(b"no order", channel_order_id="odd")
    any_hub.add(b"no order either", channel_order_id="dropped")
    any_hub.run("normalise")
    _, dropped = sorted(messages(any_hub, "odd") + messages(any_hub, "dropped"), key=_about)
    inbox.drop(any_hub.command, [messages(any_hub, "dropped")[0]["id"]], reason="noise")
    any_hub.add(b"waits", channel_order_id="new")
    any_hub.clock.advance(5.1 * DAY)
    any_hub.run("erase")
    (kept,) = messages(any_hub, order_id)
    assert (kept["bytes"], kept["state"]) == (0, "done")
    assert people(any_hub, order_id), "the order is open: who bought is still needed"
    states = {
        name: (messages(any_hub, name)[0]["state"], messages(any_hub, name)[0]["bytes"] > 0)
        for name in ("odd", "dropped", "new")
    }
    assert states == {"odd": ("dead", True), "dropped": ("dropped", False), "new": ("new", True)}
    with pytest.raises(CommandRefused, match="erased"):
        inbox.replay(any_hub.command, [kept["id"], dropped["id"]])
    any_hub.add(b"news", channel_order_id=order_id)
    assert any_hub.run("normalise").done > 0, "what comes next is worked off as ever"


def _about(message):
    return message["channel_order_id"] == "dropped"


@pytest.mark.proves("B-29")
def test_dead_letters_about_an_erased_order_go_with_it(any_hub):
    any_hub.open_shop()
    order_id = closed_order(any_hub)
    any_hub.add(b"Vilja Canaryberg, Canary Lane 7", channel_order_id=order_id)
    any_hub.run("normalise")
    assert [one["state"] for one in messages(any_hub, order_id)].count("dead") == 1
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    assert {one["bytes"] for one in messages(any_hub, order_id)} == {0}
    closed = [one for one in messages(any_hub, order_id) if one["state"] == "dropped"]
    assert [one["reason"] for one in closed] == ["personal data of its order was erased"]
    any_hub.add(b"Vilja again", channel_order_id=order_id)
    any_hub.run("normalise")
    any_hub.run("erase")
    assert [one["state"] for one in messages(any_hub, order_id)].count("dead") == 1, "it is news"
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    assert {one["bytes"] for one in messages(any_hub, order_id)} == {0}


def test_orders_that_became_one_are_erased_under_all_their_ids(any_hub):
    shop = any_hub.open_shop(options={"has_portable_lines": True})
    one, two = (shop.buy(("TEE", 1), is_paid=False, buyer_id="b-1") for _ in "ab")
    any_hub.take_in()
    first, second = any_hub.order(one).order_id, any_hub.order(two).order_id
    combined = shop.combine(one, two)
    any_hub.take_in()
    absorbed = [
        found["id"]
        for found in (any_hub.storage.reports.order(each, reveal=True) for each in (first, second))
        if found["merged_into"]
    ]
    assert absorbed, "one of them is part of the other now"
    for each in absorbed:
        assert any_hub.storage.reports.order(each, reveal=True)["buyer"] is None
    paid = shop.pay(combined)
    any_hub.take_in()
    any_hub.ship(paid, "1Z1")
    any_hub.settle()
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    assert people(any_hub, paid) == []
    for name in (one, combined):
        any_hub.add(b"Vilja Canaryberg", channel_order_id=name)
    any_hub.run("normalise")
    assert [found["state"] for found in messages(any_hub, one)].count("dead") == 1
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    everything = any_hub.storage.reports.inbox(account="shop-a", limit=1000)
    assert {found["bytes"] for found in everything if found["channel_order_id"]} == {0}
    assert keys_left(any_hub) == 0


def test_an_account_nobody_runs_any_more_is_looked_after_by_that_of_manual_orders(any_hub):
    any_hub.open_shop("left")
    order_id = closed_order(any_hub, account="left")
    any_hub.manual()
    del any_hub.profiles["left"]
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase", MANUAL)
    assert people(any_hub, order_id, "left") == []
    assert keys_left(any_hub) == 0


def test_a_run_takes_so_many_and_says_that_there_is_more(any_hub, monkeypatch):
    monkeypatch.setattr(erase, "ORDERS_MAX", 1)
    monkeypatch.setattr(erase, "BATCHES_MAX", 2)
    any_hub.open_shop()
    orders = [closed_order(any_hub) for _ in range(3)]
    any_hub.clock.advance(31 * DAY)
    report = any_hub.run("erase")
    assert report.is_more
    assert sum(bool(people(any_hub, one)) for one in orders) == 1
    any_hub.run("erase")
    assert not any(people(any_hub, one) for one in orders)


def test_who_drains_stops_between_two_batches(any_hub):
    any_hub.open_shop()
    order_id = closed_order(any_hub)
    any_hub.clock.advance(31 * DAY)
    any_hub.is_stopping = lambda: True
    assert any_hub.run("erase").done == 0
    assert people(any_hub, order_id)


@pytest.mark.proves("F47", "I-31")
@pytest.mark.parametrize("is_after", [False, True])
def test_a_crash_at_any_commit_is_made_good_by_the_next_run(any_hub, is_after):
    any_hub.open_shop()
    orders = [closed_order(any_hub, buyer_id="b-1"), closed_order(any_hub)]
    any_hub.clock.advance(31 * DAY)
    for commit in (1, 1, 1):
        any_hub.crash_at(commit, is_after=is_after)
        try:
            any_hub.run("erase")
        except any_hub.Crash:
            continue
    any_hub.crash_at(10**6)
    any_hub.run("erase")
    assert [people(any_hub, one) for one in orders] == [[], []]
    assert keys_left(any_hub) == 0
    erased = [one["name"] for one in any_hub.events(orders[0])].count("order.erased")
    assert erased == 1


def test_an_erased_order_is_compared_changed_and_shipped_like_any_other(any_hub):
    """Whatever reads who bought must live without: it goes on as if the channel had not said."""
    shop = any_hub.open_shop()
    order_id = closed_order(any_hub)
    any_hub.clock.advance(31 * DAY)
    any_hub.run("erase")
    for flow in ("reconcile", "certify"):
        any_hub.run(flow)
    shop.edit(order_id, {"TEE": 2})
    any_hub.settle()
    assert any_hub.order(order_id).state == "open"
    any_hub.ship(order_id, "1Z9")
    any_hub.settle()
    assert any_hub.order(order_id).state == "closed"
    assert people(any_hub, order_id) == []
    assert shop.order(order_id).state == "closed"
