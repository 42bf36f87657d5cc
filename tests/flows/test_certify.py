"""Certificates: a day of the channel's own list against ours, refused, healed, issued."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text

from oms_sync.domain.completeness import Window
from oms_sync.domain.values import Sku
from oms_sync.flows import reconcile_orders
from oms_sync.flows.commands import inbox as inbox_commands
from oms_sync.flows.commands import stock
from oms_sync.sdk import BadPayload, OrderPage
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.storage.completeness import ledger_heads
from oms_sync.storage.tables.certificates import certificates, listed_orders, order_lists

#: beyond two polls, the overlap and the lag
SETTLED = timedelta(seconds=700)


def midnight(hub):
    """The end of the day the hub's clock shows."""
    day = hub.clock.now().astimezone(UTC).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def next_day(hub):
    """Let the day end and its orders come in."""
    hub.clock.advance((midnight(hub) + SETTLED - hub.clock.now()).total_seconds())
    hub.settle()


def documents(hub, account="shop-a"):
    query = select(certificates).order_by(certificates.c.number)
    with hub.storage._database.read() as transaction:
        rows = transaction.rows(query.where(certificates.c.account == account))
    return [json.loads(row.document) for row in rows]


def execute(hub, *statements, **parameters):
    """What somebody types into the database by hand."""
    with hub.storage._database.write() as transaction:
        for statement in statements:
            transaction.run(text(statement), parameters)
        transaction.commit()


def delete_by_hand(hub, order_id):
    lines = "(SELECT line_id FROM order_lines WHERE order_id = :id)"
    execute(
        hub,
        f"DELETE FROM reservations WHERE line_id IN {lines}",  # noqa: S608 - no input
        "DELETE FROM order_lines WHERE order_id = :id",
        "DELETE FROM order_names WHERE order_id = :id",
        "DELETE FROM orders WHERE order_id = :id",
        id=order_id,
    )


@pytest.mark.proves("I-01")
def test_a_day_whose_orders_are_all_here_is_certified_once(any_hub):
    shop = any_hub.open_shop(options={"page_size": 2})
    orders = [shop.buy(("TEE", 1)) for _ in range(5)]
    shop.cancel(orders[0])
    any_hub.settle()
    next_day(any_hub)
    any_hub.run("certify")
    (found,) = documents(any_hub)
    assert (found["outcome"], found["attempt"], found["account"]) == ("issued", 1, "shop-a")
    assert (found["received"], found["in_hub"], found["extra"]) == (5, 5, 0)
    assert len(found["ids"]["in_hub"]) == 5
    assert not any(one in json.dumps(found) for one in orders), "ids are hashed"
    assert found["ledger"]["levels"] == found["ledger"]["moved_levels"] == 1
    report = any_hub.run("certify")
    assert report.done == 0
    assert report.next_at == midnight(any_hub) + timedelta(seconds=610)
    assert len(documents(any_hub)) == 1


@pytest.mark.proves("I-01")
def test_an_order_row_deleted_by_hand_is_named_healed_and_certified_again(any_hub):
    shop = any_hub.open_shop()
    lost, kept = shop.buy(("TEE", 2)), shop.buy(("TEE", 1))
    any_hub.settle()
    next_day(any_hub)
    delete_by_hand(any_hub, any_hub.order(lost).order_id)
    any_hub.run("certify")
    (refused,) = documents(any_hub)
    assert (refused["outcome"], refused["received"], refused["in_hub"]) == ("refused", 2, 1)
    assert [one["channel_order_id"] for one in refused["differences"]] == [lost]
    assert refused["differences"][0]["standing"] == "missing"
    assert any_hub.metrics.counts["certificates_refused"] == 1
    any_hub.settle()
    assert any_hub.order(lost).known.lines[0].line.quantity_ordered == 2
    any_hub.clock.advance(60)
    any_hub.run("certify")
    second = documents(any_hub)[-1]
    assert (second["outcome"], second["attempt"]) == ("issued", 2)
    assert (second["received"], second["in_hub"]) == (2, 2)
    assert second["previous"] != ""
    assert any_hub.filled(kept) == (1, 0)


@pytest.mark.parametrize(
    ("table", "said", "edited", "kind"),
    [
        ("order_lines", '"quantity_ordered":2', '"quantity_ordered":3', "quantity"),
        ("orders", '"state":"open"', '"state":"pending"', "state"),
        ("orders", '"total":[2500,', '"total":[2600,', "amount"),
    ],
)
def test_an_order_edited_by_hand_is_named_and_healed(any_hub, table, said, edited, kind):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 2))
    any_hub.settle()
    next_day(any_hub)
    before = any_hub.order(order)
    change = f"UPDATE {table} SET facts = replace(facts, :said, :edited)"  # noqa: S608 - ours
    change += " WHERE order_id = :id"
    execute(any_hub, change, id=before.order_id, said=said, edited=edited)
    assert any_hub.order(order).known != before.known, "the stored form does not hold this text"
    any_hub.run("certify")
    (refused,) = documents(any_hub)
    (named,) = refused["differences"]
    assert (named["channel_order_id"], named["standing"]) == (order, "different")
    assert kind in {one["kind"] for one in named["differences"]}
    any_hub.settle()
    any_hub.clock.advance(60)
    any_hub.run("certify")
    assert documents(any_hub)[-1]["outcome"] == "issued"
    assert any_hub.order(order).known.lines[0].line.quantity_ordered == 2


class Unreadable(FakeSession):
    """Nobody can read what it shows of one order."""

    poison = b"no such id"

    def parse_order(self, payload, seen_at):
        if self.poison in payload:
            raise BadPayload("a shape nobody knows")
        return super().parse_order(payload, seen_at)


def test_quarantined_and_ignored_orders_count_as_received_with_their_reasons(any_hub):
    shop = any_hub.open_shop()
    shop.buy(("TEE", 1))
    bad, dropped = shop.buy(("TEE", 1)), shop.buy(("TEE", 1))
    session = Unreadable(shop, shop.request())
    any_hub.sessions["shop-a"] = session
    session.poison = f'"id": "{bad}"'.encode()
    any_hub.take_in(flows=("ingest",))
    messages = any_hub.inbox("new")
    (message,) = [one["id"] for one in messages if one["channel_order_id"] == dropped]
    inbox_commands.drop(any_hub.command, [message], reason="a test of our own")
    any_hub.settle()
    assert any_hub.find_order(bad) is None
    assert any_hub.find_order(dropped) is None
    next_day(any_hub)
    any_hub.run("certify")
    (found,) = documents(any_hub)
    assert found["outcome"] == "issued"
    assert (found["received"], found["in_hub"]) == (3, 1)
    assert (found["quarantined"], found["ignored"]) == (1, 1)
    assert found["reasons"] == {
        "ignored: a test of our own": 1,
        "quarantined: BadPayload: a shape nobody knows": 1,
    }


def test_an_order_belongs_to_the_utc_day_it_was_placed_on(any_hub):
    shop = any_hub.open_shop()
    end = midnight(any_hub)
    any_hub.clock.advance((end - any_hub.clock.now()).total_seconds() - 0.5)
    last = shop.buy(("TEE", 1))
    any_hub.clock.advance(0.5)
    first = shop.buy(("TEE", 1))
    assert shop.order(last).placed_at < end <= shop.order(first).placed_at
    any_hub.settle()
    any_hub.clock.advance(SETTLED.total_seconds())
    any_hub.settle()
    any_hub.run("certify")
    next_day(any_hub)
    any_hub.run("certify")
    one, two = documents(any_hub)
    assert (one["received"], two["received"]) == (1, 1)
    assert one["until"] == two["since"] == end.isoformat().replace("+00:00", "Z")
    assert one["ids"]["in_hub"] != two["ids"]["in_hub"]


def test_an_order_the_channel_no_longer_lists_is_extra_until_it_is_known_to_be_gone(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 1))
    any_hub.settle()
    shop.delete(order)
    next_day(any_hub)
    any_hub.run("certify")
    (refused,) = documents(any_hub)
    assert (refused["outcome"], refused["extra"]) == ("refused", 1)
    assert refused["differences"][0]["differences"][0]["kind"] == "extra"
    for wait in (60, 300, 1_800):
        any_hub.settle()  # an absence is believed only once it was seen several times
        any_hub.clock.advance(wait)
    any_hub.settle()
    any_hub.run("certify")
    last = documents(any_hub)[-1]
    assert (last["outcome"], last["extra"], last["gone"]) == ("issued", 0, 1)


def test_a_change_of_this_minute_is_behind_and_no_alarm(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 1))
    next_day(any_hub)
    shop.cancel(order)
    any_hub.run("certify")
    (found,) = documents(any_hub)
    assert (found["outcome"], found["behind"], found["in_hub"]) == ("issued", 1, 1)
    any_hub.settle()
    assert str(any_hub.order(order).state) == "cancelled", "what is behind is read again, too"


def test_a_day_waits_until_its_orders_were_read_and_not_for_ever(hub):
    shop = hub.open_shop()
    shop.buy(("TEE", 1))
    end = midnight(hub)
    hub.clock.advance((end - hub.clock.now()).total_seconds() + 60)
    assert hub.run("certify").next_at == end + timedelta(seconds=610)
    hub.clock.advance(600)
    report = hub.run("certify")  # nobody polled since yesterday
    assert report.next_at == hub.clock.now() + timedelta(seconds=60)
    assert documents(hub) == []
    hub.clock.advance(43_200)
    hub.run("certify")
    assert documents(hub)[0]["missing"] == 1


def test_days_missed_while_the_hub_was_off_are_certified_oldest_first(hub):
    shop = hub.open_shop()
    for _ in range(3):
        shop.buy(("TEE", 1))
        next_day(hub)
    for _ in range(4):
        hub.run("certify")
    days = [one["day"] for one in documents(hub)]
    assert len(days) == 3
    assert days == sorted(days)
    assert [one["received"] for one in documents(hub)] == [1, 1, 1]


def test_a_day_before_the_account_was_connected_is_not_promised(hub):
    shop = hub.connect()
    shop.buy(("TEE", 1))
    hub.run("certify")
    assert documents(hub) == [], "never connected"
    next_day(hub)
    hub.run("certify")
    assert documents(hub) == []
    next_day(hub)
    hub.run("certify")
    assert [one["received"] for one in documents(hub)] == [0]


@pytest.mark.proves("I-31", "F47")
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
@pytest.mark.parametrize("is_after", [False, True])
def test_a_list_that_dies_goes_on_where_it_stood(hub, commit, is_after):
    shop = hub.open_shop(options={"page_size": 1})
    for _ in range(3):
        shop.buy(("TEE", 1))
    next_day(hub)
    hub.crash_at(commit, is_after=is_after)
    with pytest.raises(hub.Crash):
        hub.run("certify")
    hub.run("certify")
    assert [(one["outcome"], one["received"]) for one in documents(hub)] == [("issued", 3)]
    with hub.storage._database.read() as transaction:
        assert list(transaction.rows(select(order_lists))) == []
        assert list(transaction.rows(select(listed_orders))) == []


def test_a_draining_hub_ends_the_list_after_a_page_and_goes_on_later(hub):
    shop = hub.open_shop(options={"page_size": 1})
    for _ in range(3):
        shop.buy(("TEE", 1))
    next_day(hub)
    hub.is_stopping = lambda: True
    report = hub.run("certify")
    assert (report.is_more, documents(hub)) == (True, [])
    hub.is_stopping = lambda: False
    hub.run("certify")
    assert documents(hub)[0]["received"] == 3
    # a list from long ago would not speak of one moment
    for _ in range(3):
        shop.buy(("TEE", 1))
    next_day(hub)
    hub.is_stopping = lambda: True
    hub.run("certify")
    hub.clock.advance(reconcile_orders.LIST_SECONDS_MAX + 1)
    hub.is_stopping = lambda: False
    hub.run("certify")
    began = datetime.fromisoformat(documents(hub)[1]["list_began_at"])
    assert hub.clock.now() - began < timedelta(seconds=10)


@pytest.mark.proves("I-05", "F20")
def test_a_list_whose_cursor_repeats_is_given_up_and_begun_anew(hub):
    shop = hub.open_shop()
    shop.buy(("TEE", 1))
    next_day(hub)

    class Looping(FakeSession):
        def list_orders(self, since, until, cursor):
            return OrderPage(orders=(), cursor="same", is_last=False)

    hub.sessions["shop-a"] = Looping(shop, shop.request())
    with pytest.raises(BadPayload, match="same cursor again"):
        hub.run("certify")
    hub.sessions["shop-a"] = shop.session()
    hub.run("certify")
    assert documents(hub)[0]["received"] == 1


@pytest.mark.proves("I-33")
def test_a_list_without_an_end_is_refused(hub, monkeypatch):
    shop = hub.open_shop()
    next_day(hub)

    class Endless(FakeSession):
        def list_orders(self, since, until, cursor):
            return OrderPage(orders=(), cursor=f"{int(cursor or 0) + 1}", is_last=False)

    hub.sessions["shop-a"] = Endless(shop, shop.request())
    monkeypatch.setattr(reconcile_orders, "PAGES_PER_LIST_MAX", 250)
    assert hub.run("certify").is_more
    with pytest.raises(BadPayload, match="no end"):
        hub.run("certify")


def test_a_day_that_stays_wrong_is_tried_again_later_and_later_and_then_left(hub):
    shop = hub.open_shop()
    order = shop.buy(("TEE", 1))
    hub.settle()
    next_day(hub)

    class Forgetful(FakeSession):
        def list_orders(self, since, until, cursor):
            return OrderPage(orders=(), cursor="end", is_last=True)

    hub.sessions["shop-a"] = Forgetful(shop, shop.request())
    waits = []
    for _ in range(20):
        hub.run("certify")
        hub.settle()
        with hub.storage.open_work() as work:
            (last,) = [
                one
                for one in work.certificates.latest("shop-a", since=date.min).values()
                if one.day == shop.order(order).placed_at.date()
            ]
        if last.next_at is None:
            break
        waits.append((last.next_at - last.issued_at).total_seconds())
        hub.clock.advance(waits[-1])
    assert waits == list(reconcile_orders.RETRY_SECONDS)
    assert last.attempt == len(waits) + 1


def test_the_heads_of_a_past_day_are_those_of_its_end(any_hub):
    any_hub.open_shop(catalogue={"TEE": 10, "MUG": 5})
    end = midnight(any_hub)
    window = Window(since=end - timedelta(days=1), until=end)
    with any_hub.storage.open_work() as work:
        before = ledger_heads(work._transaction, window)
    next_day(any_hub)
    stock.set_count(any_hub.command, Sku("TEE"), location="annex", units=3, reason="later")
    stock.set_count(any_hub.command, Sku("MUG"), location="main", units=7, reason="later")
    with any_hub.storage.open_work() as work:
        assert ledger_heads(work._transaction, window) == before
        after = Window(since=end, until=any_hub.clock.now() + timedelta(hours=1))
        later = ledger_heads(work._transaction, after)
    assert before.levels == 2
    assert (later.levels, later.moved_count) == (3, 2)
    assert {head[:2] for head in later.moved} == {("MUG", "main"), ("TEE", "annex")}


def test_a_confirmed_dispatch_the_channel_shows_no_more_is_named_in_the_certificate(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 1))
    any_hub.settle()
    any_hub.ship(order, "1Z1")
    any_hub.settle()
    (made,) = shop.fulfilments(order)
    next_day(any_hub)
    shop.cancel_fulfilment(order, made.channel_shipment_id)
    any_hub.run("certify")
    (found,) = documents(any_hub)
    assert found["outcome"] == "issued"
    assert [one["channel_order_id"] for one in found["tracking"]] == [order]
