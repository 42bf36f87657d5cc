"""Answers in the shapes of the product's contract, and numbers that explain themselves."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.domain.events import Event
from oms_sync.domain.shipment import Package, PushState, Shipment, ShipmentLine
from oms_sync.domain.values import Sku
from oms_sync.flows.records import (
    AccountProfile,
    AccountRecord,
    FeedPosition,
    MessageSource,
    NewMessage,
)
from oms_sync.sdk import OrderFeed
from oms_sync.storage.errors import NotFound

MUG = Sku("MUG")


def profile(name="shop-a", **more):
    return AccountProfile(name=name, connector="shopify", **more)


def adds_up(found):
    assert sum(term["amount"] for term in found["terms"]) == found["value"]
    return found["value"]


def term(found, name):
    (only,) = [one for one in found["terms"] if one["name"] == name]
    return only


@pytest.fixture
def shipped(storage, build, clock):
    """An order of three units, two reserved, one shipment on its way to the channel."""
    build.counted("MUG", 2)
    order = build.order("1001", units=3, facts={"ship_by": clock.now()})
    build.stored(order)
    build.reserved(order.order_id)
    with storage.open_work() as work:
        work.shipments.add(
            Shipment(
                shipment_id="s1",
                order_id=order.order_id,
                account="shop-a",
                channel_order_id="1001",
                lines=(
                    ShipmentLine(
                        line_id=order.lines[0].line_id, channel_line_id="line-1", quantity=1
                    ),
                ),
                packages=(Package(carrier="ups", tracking_number="1Z"),),
                shipped_at=clock.now(),
            ),
            at=clock.now(),
        )
        work.timeline.add(
            [
                Event(name=name, at=clock.now(), actor="hub", order_id=order.order_id)
                for name in ("order.imported", "order.reserved")
            ]
        )
        work.commit()
    return order


def test_an_order_is_shown_in_the_contracts_shape(storage, shipped):
    found = storage.reports.order("shop-a:1001")
    assert found == storage.reports.order(shipped.order_id)
    expected = (
        "id account channel_order_id channel_order_number state holds placed_at updated_at "
        "ship_by currency total fulfilled_by test lines shipments timeline"
    )
    assert set(expected.split()) <= set(found)
    assert (found["total"], found["currency"], found["test"]) == ("10.00", "USD", False)
    assert found["placed_at"].endswith("Z")
    (line,) = found["lines"]
    expected = (
        "line_id channel_line_id channel_sku sku title quantity_ordered quantity_cancelled "
        "quantity_reserved quantity_short quantity_shipped quantity_returned unit_price"
    )
    assert set(expected.split()) <= set(line)
    quantities = [line[f"quantity_{name}"] for name in ("ordered", "reserved", "short")]
    assert quantities == [3, 2, 1]
    (shipment,) = found["shipments"]
    assert shipment["packages"][0]["tracking_number"] == "1Z"
    assert shipment["lines"] == [{"line_id": shipped.lines[0].line_id, "quantity": 1}]
    push = {"state": "waiting", "confirmed_at": None, "error": ""}
    assert push.items() <= shipment["push"].items()
    assert [one["name"] for one in found["timeline"]] == ["order.imported", "order.reserved"]


@pytest.mark.proves("C-21")
def test_personal_data_appears_only_when_revealed(storage, shipped):
    assert "Canary" not in repr(storage.reports.order(shipped.order_id))
    assert "Canary" not in repr(storage.reports.orders())
    found = storage.reports.order(shipped.order_id, reveal=True)
    assert found["recipient"]["address"]["lines"] == ["Canary Lane 7"]
    assert found["buyer"]["name"] == "Vilja Canaryberg"
    assert found["buyer_note"] == "Canary: behind the shed"


def test_orders_are_listed_by_state_account_time_and_urgency(storage, build, clock):
    now = clock.now()
    soon = build.order("1", facts={"ship_by": now + timedelta(hours=1)})
    sooner = build.order("2", facts={"ship_by": now})
    clock.advance(60)
    never = build.order("3", account="shop-b")
    build.stored(soon, sooner, never)
    reports = storage.reports

    def numbers(**filters):
        return [one["channel_order_id"] for one in reports.orders(**filters)]

    assert numbers() == ["3", "1", "2"]
    assert numbers(sort="ship-by") == ["2", "1", "3"]
    assert numbers(account="shop-b") == ["3"]
    assert numbers(state="held") == []
    assert numbers(since=clock.now()) == ["3"]
    assert numbers(limit=1) == ["3"]


def test_what_is_not_there_is_named(storage):
    reports = storage.reports
    for ask in (
        lambda: reports.order("nope"),
        lambda: reports.resolve_order("shop-a:nope"),
        lambda: reports.stock_item(MUG),
        lambda: reports.explain(MUG),
        lambda: reports.message("nope"),
        lambda: reports.account("nope"),
    ):
        with pytest.raises(NotFound, match=r"nope|MUG"):
            ask()


def test_a_sku_is_shown_with_its_places_and_listings(storage, build, clock):
    build.counted("MUG", 10)
    build.counted("MUG", 1, location="annexe")
    build.listed("l1", desired=3)
    build.listed("l2", sku="NEW", desired=None, basis=None)
    found = storage.reports.stock_item(MUG)
    assert (found["counted"], found["on_hand"], found["available_to_sell"]) == (True, 11, 11)
    assert [(one["code"], one["on_hand"]) for one in found["locations"]] == [
        ("annexe", 1),
        ("main", 10),
    ]
    (listing,) = found["listings"]
    shown = [listing[name] for name in ("account", "channel_sku", "channel_quantity", "expected")]
    assert (shown, listing["state"]) == (["shop-a", "MUG", 3, 5], "behind")
    new = storage.reports.stock()[1]
    assert (new["sku"], new["counted"], new["available_to_sell"]) == ("NEW", False, None)
    assert new["listings"][0]["state"] == "uncounted"
    assert [one["sku"] for one in storage.reports.listings("shop-a")] == ["MUG", "NEW"]
    assert storage.reports.listings("shop-b") == []


@pytest.mark.proves("I-40")
def test_available_to_sell_names_the_orders_that_hold_it(storage, build, clock):
    build.counted("MUG", 20)
    orders = [build.order(str(1000 + number), units=1 + number % 2) for number in range(6)]
    build.stored(*orders)
    build.reserved(*(one.order_id for one in orders))
    found = storage.reports.explain(MUG)
    assert adds_up(found) == 20 - 9
    assert term(found, "reserved")["cause"] == (
        "at main: 6 orders: shop-a:1000 ×1, shop-a:1001 ×2, shop-a:1002 ×1, shop-a:1003 ×2, "
        "shop-a:1004 ×1, …"
    )
    assert "last adjustment +20 (count) by cli:anna" in term(found, "on_hand")["cause"]


@pytest.mark.proves("I-40")
def test_the_past_is_explained_by_the_facts_of_its_time(storage, build, clock):
    storage.record_profiles([profile(buffer=1, cap=50)])
    build.counted("MUG", 20)
    build.listed("l1", cap=4)
    build.stored(build.order("1", units=5))
    build.reserved("order-0001")
    then = clock.now()
    clock.advance(60)
    build.counted("MUG", -8)
    with storage.open_work() as work:
        work.stock.set_safety_stock(MUG, "main", 3, at=clock.now(), actor="cli:anna")
        (listing,) = work.listings.by_channel_ids("shop-a", ["channel-l1"]).values()
        work.listings.save([replace(listing, buffer=2, cap=None)])
        work.commit()
    storage.record_profiles([profile(buffer=9, cap=1)])

    past = storage.reports.explain(MUG, "shop-a", at=then)
    assert adds_up(past) == 4
    assert term(past, "on_hand")["amount"] == 20
    assert term(past, "reserved")["cause"] == "at main: 1 order: shop-a:1 ×5"
    assert term(past, "safety_stock")["amount"] == 0
    assert term(past, "channel_buffer") == {
        "name": "channel_buffer",
        "amount": -1,
        "cause": "of account shop-a",
    }
    assert term(past, "channel_cap")["cause"] == "min with cap 4, of listing MUG"

    now = storage.reports.explain(MUG, "shop-a")
    assert adds_up(now) == 1
    assert term(now, "channel_buffer")["amount"] == -2
    assert term(now, "channel_cap")["cause"] == "min with cap 1, of account shop-a"
    assert "set by cli:anna" in term(now, "safety_stock")["cause"]
    assert storage.reports.explain(MUG, "shop-a", at=clock.now())["terms"] == now["terms"]

    before = storage.reports.explain(MUG, at=then - timedelta(days=1))
    assert adds_up(before) == 0
    assert before["terms"][0]["name"] == "uncounted"


@pytest.mark.proves("I-40")
def test_units_shipped_since_are_still_named_in_the_past(storage, build, clock, shipped):
    from oms_sync.domain.reservation import Draft, consume

    then = clock.now()
    clock.advance(60)
    with storage.open_work() as work:
        orders = work.orders.lock([shipped.order_id])
        draft = Draft(work.stock.lock([MUG]), at=clock.now())
        consume(draft, (MUG, "main"), 2, source="shipment:s1", reserved=2)
        work.stock.append(draft.movements, draft.levels)
        line = replace(orders[shipped.order_id].lines[0], held={})
        work.orders.save_reservations([replace(orders[shipped.order_id], lines=(line,))])
        work.commit()
    past = storage.reports.explain(MUG, at=then)
    assert "shop-a:1001 ×2" in term(past, "reserved")["cause"]
    later = storage.reports.explain(MUG, at=clock.now())
    assert adds_up(later) == 0
    assert term(later, "reserved")["cause"] == "at main"
    assert storage.reports.verify_ledger()["ok"]


def test_an_account_sells_only_from_its_own_locations(storage, build):
    storage.record_profiles([profile(), profile("shop-b", locations=("annexe",))])
    build.counted("MUG", 5)
    assert adds_up(storage.reports.explain(MUG, "shop-a")) == 5
    assert adds_up(storage.reports.explain(MUG, "shop-b")) == 0
    with pytest.raises(NotFound, match="known are: shop-a, shop-b"):
        storage.reports.explain(MUG, "shop-c")


def test_an_account_is_shown_with_its_lag(storage, build, clock, shipped):
    storage.record_profiles([profile(mode="shadow"), profile("gone")])
    storage.record_profiles([profile(mode="shadow")])
    build.listed("l1", desired=3)
    build.listed("l2")
    with storage.open_work() as work:
        work.feeds.put(
            FeedPosition(
                account="shop-a",
                feed=OrderFeed.CHANGES,
                since=clock.now(),
                drained_at=clock.now() - timedelta(seconds=90),
            )
        )
        work.accounts.put(AccountRecord(name="shop-a", connector="shopify", is_paused=True))
        work.inbox.add(
            [
                NewMessage(
                    account="shop-a",
                    topic="t",
                    source=MessageSource.WEBHOOK,
                    body=b"<canary>",
                    headers={"x": "y"},
                    received_at=clock.now(),
                )
            ]
        )
        (message,) = work.inbox.lock_new("shop-a", [MessageSource.WEBHOOK], 1)
        work.inbox.bury(message.message_id, "no", at=clock.now())
        work.commit()
    (found,) = storage.reports.accounts()
    assert found == storage.reports.account("shop-a")
    expected = {
        "name": "shop-a",
        "connector": "shopify",
        "mode": "shadow",
        "state": "paused",
        "reason": "",
        "cursor_age_seconds": 90.0,
        "listings": 2,
        "listings_behind": 1,
        "shipments_behind": 1,
        "write_backs_open": 0,
        "dead_letters": 1,
        "token_expires_at": None,
        "rate_budget": [],
        "budget_shared_with": [],
        "drain_seconds": None,
    }
    assert expected.items() <= found.items()
    assert found["last_order_poll_at"].endswith("Z")
    counts = storage.reports.counts()
    assert counts["orders"] == {"open": 1}
    assert counts["oldest_dead_letter_seconds"] == {"shop-a": 0.0}

    shown = storage.reports.message(message.message_id)
    assert "canary" not in repr(shown)
    revealed = storage.reports.message(message.message_id, reveal=True)
    assert (revealed["body"], revealed["headers"]) == ("<canary>", {"x": "y"})
    assert storage.reports.inbox("dead", "shop-a") == storage.reports.dead_letters("shop-a")


def test_a_pushed_shipment_shows_when_it_was_confirmed(storage, shipped, clock):
    with storage.open_work() as work:
        (push,) = work.shipments.lock_due("shop-a", at=clock.now(), limit=1)
        done = replace(push, state=PushState.CONFIRMED, confirmed_at=clock.now())
        work.shipments.save([done])
        work.commit()
    push = storage.reports.order("shop-a:1001")["shipments"][0]["push"]
    assert (push["state"], push["confirmed_at"][-1]) == ("confirmed", "Z")
