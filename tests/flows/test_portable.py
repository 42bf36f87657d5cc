"""Orders whose channel changes their ids and moves their lines: one reservation for each line."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.flows.commands.orders import refetch
from oms_sync.sdk.fake_orders import render_order
from oms_sync.sdk.fake_session import FakeSession

PORTABLE = {"has_portable_lines": True}


def open_shop(hub, **options):
    return hub.open_shop(catalogue={"TEE": 10, "MUG": 10}, options={**PORTABLE, **options})


def found(hub, channel_order_id, account="shop-a"):
    """The order any of whose ids this is."""
    with hub.storage.open_work() as work:
        ids = work.orders.ids_by_channel_ids(account, [channel_order_id])
        return work.orders.load(list(ids.values()))[ids[channel_order_id]] if ids else None


def every(hub):
    """Orders that are still orders, by hub id."""
    with hub.storage.open_work() as work:
        ids = [one["id"] for one in hub.storage.reports.orders()]
        return work.orders.load(ids)


def lines(order):
    return {one.channel_line_id: dict(one.held) for one in order.lines}


def events(hub, order_id, name):
    timeline = hub.storage.reports.order(order_id)["timeline"]
    return [one["detail"] for one in timeline if one["name"] == name]


def movements(hub, kind):
    from sqlalchemy import text

    with hub.storage._database.read() as transaction:
        asked = text("SELECT count(*) FROM stock_movements WHERE kind = :kind")
        return transaction.row(asked, {"kind": kind})[0]


# --- another id ----------------------------------------------------------------------------------


@pytest.mark.proves("I-02")
def test_an_order_that_is_paid_under_another_id_stays_the_same_order(any_hub):
    shop = open_shop(any_hub)
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    any_hub.settle()
    before = found(any_hub, unpaid)
    taken = any_hub.listing().taken
    paid = shop.pay(unpaid)
    any_hub.settle()
    after = found(any_hub, paid)
    assert after.order_id == before.order_id
    assert after.known.ref.channel_order_id == paid != unpaid
    assert (after.state.value, lines(after)) == ("open", lines(before))
    assert found(any_hub, unpaid) == after
    assert any_hub.listing().taken == taken == 2
    assert (movements(any_hub, "reserve"), movements(any_hub, "release")) == (1, 0)
    (told,) = events(any_hub, after.order_id, "order.renamed")
    assert told == {"channel_order_id": paid, "before": unpaid}
    assert any_hub.inbox("dead") == []
    assert len(every(any_hub)) == 1


@pytest.mark.proves("I-02", "I-07", "F13")
def test_an_old_sight_of_an_old_id_changes_nothing(any_hub):
    shop = open_shop(any_hub)
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    old = render_order(shop.order(unpaid))
    any_hub.settle()
    paid = shop.pay(unpaid)
    any_hub.settle()
    before = found(any_hub, paid)
    any_hub.add(old, channel_order_id=unpaid)
    any_hub.settle()
    assert found(any_hub, paid) == before
    assert len(every(any_hub)) == 1


def test_a_command_for_an_order_by_its_former_id_reaches_it(any_hub):
    shop = open_shop(any_hub)
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    any_hub.settle()
    paid = shop.pay(unpaid)
    any_hub.settle()
    reports = any_hub.storage.reports
    shown = reports.order(f"shop-a:{unpaid}")
    assert shown["channel_order_id"] == paid
    assert shown["aliases"] == [unpaid]
    assert reports.resolve_order(f"shop-a:{paid}") == shown["id"]
    refetch(any_hub.command, [f"shop-a:{unpaid}"])
    any_hub.settle()
    assert found(any_hub, paid).order_id == shown["id"]
    assert any_hub.inbox("new") == any_hub.inbox("dead") == []
    messages = any_hub.inbox("done")
    assert {one["order_id"] for one in messages if one["source"] == "read"} == {shown["id"]}


def test_a_reread_of_a_former_id_alone_tells_of_the_new_one(any_hub):
    shop = open_shop(any_hub)
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    any_hub.settle()
    paid = shop.pay(unpaid)
    # Only the answer to the old id comes in, before any list shows the new one.
    any_hub.add(render_order(shop.order(paid)), "read", channel_order_id=unpaid)
    any_hub.run("normalise")
    assert found(any_hub, unpaid) == found(any_hub, paid)
    assert found(any_hub, paid).known.ref.channel_order_id == paid


@pytest.mark.parametrize("topic", ["order.gone", "order.deleted"])
def test_a_former_id_that_is_gone_says_nothing_of_the_order(any_hub, topic):
    shop = open_shop(any_hub)
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    any_hub.settle()
    paid = shop.pay(unpaid)
    any_hub.settle()
    before = found(any_hub, paid)
    any_hub.add(b"", "read", topic=topic, channel_order_id=unpaid)
    any_hub.settle()
    assert found(any_hub, paid) == before
    assert (before.state.value, before.holds) == ("open", ())
    any_hub.add(b"", "read", topic="order.gone", channel_order_id="nobody's")
    any_hub.settle()
    assert found(any_hub, "nobody's") is None


def test_an_order_gone_under_its_present_id_is_held_until_it_shows_again(any_hub):
    shop = open_shop(any_hub)
    unpaid = shop.buy(("TEE", 2), is_paid=False)
    any_hub.settle()
    for _ in range(2):
        any_hub.add(b"", "read", topic="order.gone", channel_order_id=unpaid)
        any_hub.run("normalise")
        assert [one.code for one in found(any_hub, unpaid).holds] == ["gone_at_channel"]
    # It was not gone, it went on under another id.
    paid = shop.pay(unpaid)
    any_hub.settle()
    assert found(any_hub, paid).holds == ()
    assert found(any_hub, paid).state.value == "open"


# --- several become one --------------------------------------------------------------------------


def combined(hub, shop):
    one, two = (shop.buy((sku, 2), is_paid=False) for sku in ("TEE", "MUG"))
    hub.settle()
    return one, two


@pytest.mark.proves("I-02", "F36")
def test_unpaid_orders_combined_into_one_are_one_order_with_all_their_lines(any_hub):
    shop = open_shop(any_hub, answers_former_ids=False)
    one, two = combined(any_hub, shop)
    first, second = found(any_hub, one), found(any_hub, two)
    both = shop.combine(one, two)
    any_hub.settle()
    survivor = found(any_hub, both)
    assert survivor.order_id == first.order_id
    assert lines(survivor) == {**lines(first), **lines(second)}
    assert found(any_hub, one) == found(any_hub, two) == survivor
    assert list(every(any_hub)) == [survivor.order_id]
    shown = any_hub.storage.reports.order(second.order_id)
    assert (shown["state"], shown["lines"]) == ("cancelled", [])
    assert shown["merged_into"] == survivor.order_id
    assert events(any_hub, second.order_id, "order.merged") == [
        {"channel_order_id": two, "into": survivor.order_id}
    ]
    assert events(any_hub, survivor.order_id, "order.merged") == [
        {"channel_order_id": two, "of": second.order_id}
    ]
    assert (movements(any_hub, "reserve"), movements(any_hub, "release")) == (2, 0)
    assert (any_hub.listing("TEE").taken, any_hub.listing("MUG").taken) == (2, 2)
    paid = shop.pay(both)
    any_hub.settle()
    assert found(any_hub, paid).state.value == "open"
    shop.cancel(paid)
    any_hub.settle()
    assert any_hub.stock("TEE") == any_hub.stock("MUG") == (10, 0)
    assert (any_hub.listing("TEE").taken, any_hub.listing("MUG").taken) == (0, 0)
    assert any_hub.storage.reports.verify_ledger()["ok"]


@pytest.mark.proves("I-07")
def test_the_parts_of_a_combined_order_may_show_after_it(any_hub):
    shop = open_shop(any_hub)
    any_hub.clock.advance(1)
    one, two = (shop.buy((sku, 2), is_paid=False) for sku in ("TEE", "MUG"))
    old = {name: render_order(shop.order(name)) for name in (one, two)}
    both = shop.combine(one, two)
    any_hub.settle()
    for name, body in old.items():
        any_hub.add(body, channel_order_id=name)
        any_hub.settle()
    survivor = found(any_hub, both)
    assert found(any_hub, one) == found(any_hub, two) == survivor
    assert set(lines(survivor)) == {f"{one}-1", f"{two}-1"}
    assert any_hub.stock("TEE") == any_hub.stock("MUG") == (10, 2)
    assert len(every(any_hub)) == 1


def test_a_part_of_an_order_that_moves_leaves_the_rest_as_it_is(any_hub):
    shop = open_shop(any_hub)
    big = shop.buy(("TEE", 1), ("MUG", 2), is_paid=False)
    small = shop.buy(("TEE", 3), is_paid=False)
    any_hub.settle()
    source = found(any_hub, big)
    both = shop.combine(big, small, channel_line_ids={f"{big}-1", f"{small}-1"})
    any_hub.settle()
    assert lines(found(any_hub, big)) == {f"{big}-2": {"main": 2}}
    assert found(any_hub, big).order_id == source.order_id
    assert lines(found(any_hub, both)) == {f"{big}-1": {"main": 1}, f"{small}-1": {"main": 3}}
    assert any_hub.stock("TEE") == (10, 4)
    assert any_hub.stock("MUG") == (10, 2)
    into = found(any_hub, both).order_id
    assert events(any_hub, source.order_id, "order.lines_moved") == [{"into": into, "lines": 1}]
    assert movements(any_hub, "release") == 0
    # The seller combines what is left, too.
    other = shop.buy(("MUG", 1), is_paid=False)
    any_hub.settle()
    rest = shop.combine(big, other)
    any_hub.settle()
    assert found(any_hub, rest).order_id == source.order_id
    assert movements(any_hub, "release") == 0


def test_lines_of_several_orders_that_stay_become_a_new_order(any_hub):
    shop = open_shop(any_hub)
    orders = [shop.buy(("TEE", 1), ("MUG", 2), is_paid=False) for _ in range(2)]
    any_hub.settle()
    both = shop.combine(*orders, channel_line_ids={f"{one}-1" for one in orders})
    any_hub.settle()
    assert lines(found(any_hub, both)) == {f"{one}-1": {"main": 1} for one in orders}
    for one in orders:
        assert lines(found(any_hub, one)) == {f"{one}-2": {"main": 2}}
    assert any_hub.listing("TEE").taken == 2
    assert movements(any_hub, "reserve") == 4
    # What changes at once with the move is booked against the line, not anew.
    shop.cancel(both)
    any_hub.settle()
    assert any_hub.listing("TEE").taken == 0
    assert any_hub.stock("TEE") == (10, 0)


def test_a_line_that_moved_and_was_put_back_before_anybody_looked_is_booked_once(any_hub):
    shop = open_shop(any_hub)
    orders = [shop.buy(("TEE", 1), ("MUG", 2), is_paid=False) for _ in range(2)]
    any_hub.settle()
    both = shop.combine(*orders, channel_line_ids={f"{one}-1" for one in orders})
    shop.cancel(both)
    any_hub.take_in()
    known = found(any_hub, both).known
    assert [one.line.quantity_cancelled for one in known.lines] == [1, 1]
    assert {line.taken_booked for line in found(any_hub, both).lines} == {0}
    any_hub.settle()
    assert any_hub.listing("TEE").taken == 0
    assert any_hub.stock("TEE") == (10, 0)
    assert any_hub.stock("MUG") == (10, 4)


def test_what_a_line_sold_since_it_moved_is_not_taken_for_an_old_sale(any_hub):
    shop = open_shop(any_hub, has_compare_and_set=False)
    orders = [shop.buy(("TEE", 1), ("MUG", 2), is_paid=False) for _ in range(2)]
    any_hub.settle()
    any_hub.receive("TEE", 5)
    any_hub.settle()
    assert any_hub.listing("TEE").look_due_at is None
    both = shop.combine(*orders, channel_line_ids={f"{one}-1" for one in orders})
    shop.edit(both, {"TEE": 2})
    any_hub.take_in()
    assert any_hub.listing("TEE").taken == 3
    assert any_hub.listing("TEE").look_due_at is not None, "the push may have erased that sale"
    any_hub.settle()
    assert shop.quantities()["TEE"] == 15 - 3


def test_what_a_line_put_back_before_it_moved_is_not_booked_again(any_hub):
    shop = open_shop(any_hub, has_compare_and_set=False)
    two, one = shop.buy(("MUG", 1), is_paid=False), shop.buy(("TEE", 3), is_paid=False)
    any_hub.settle()
    shop.edit(one, {"TEE": 1})
    any_hub.settle()
    any_hub.receive("TEE", 5)
    any_hub.settle()
    before = any_hub.listing("TEE")
    assert before.basis.at > shop.order(one).updated_at, "the channel was told since"
    # The other order was here first and goes on: the line comes to it with its past.
    both = shop.combine(two, one)
    any_hub.take_in()
    assert len(found(any_hub, both).lines) == 2
    assert any_hub.listing("TEE") == before


@pytest.mark.proves("F24")
def test_a_combined_order_first_shown_without_lines_is_completed(any_hub):
    shop = open_shop(any_hub)
    one, two = combined(any_hub, shop)
    shop.faults.set("F24", rate=1.0)
    both = shop.combine(one, two)
    any_hub.take_in()
    shop.faults.heal()
    assert found(any_hub, both).lines == ()
    any_hub.clock.advance(1)
    paid = shop.pay(both)
    any_hub.settle()
    assert set(lines(found(any_hub, paid))) == {f"{one}-1", f"{two}-1"}
    assert found(any_hub, one) == found(any_hub, two) == found(any_hub, paid)
    assert (movements(any_hub, "reserve"), movements(any_hub, "release")) == (2, 0)


# --- the channel's own word ----------------------------------------------------------------------


class Telling(FakeSession):
    """A session whose orders name their former ids."""

    others = ()

    def parse_order(self, payload, seen_at):
        return replace(super().parse_order(payload, seen_at), aliases=self.others)


def test_an_id_the_channel_names_beside_another_is_the_same_order(any_hub):
    shop = open_shop(any_hub)
    one, two = combined(any_hub, shop)
    session = Telling(shop, shop.request())
    session.others = (one, two)
    any_hub.sessions["shop-a"] = session
    # Nothing but the header: no line says what became of them.
    shop.faults.set("F24", rate=1.0)
    both = shop.combine(one, two)
    any_hub.take_in()
    survivor = found(any_hub, both)
    assert found(any_hub, one) == found(any_hub, two) == survivor
    assert len(lines(survivor)) == 2
    shop.faults.heal()
    any_hub.clock.advance(1)
    paid = shop.pay(both)
    any_hub.settle()
    assert found(any_hub, paid).state.value == "open"
    assert (movements(any_hub, "reserve"), movements(any_hub, "release")) == (2, 0)


def test_without_portable_lines_another_id_is_a_mistake(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 1))
    any_hub.settle()
    any_hub.add(render_order(shop.order(order)), channel_order_id="another")
    any_hub.settle()
    assert "was shown" in any_hub.inbox("dead")[0]["reason"]


def test_an_account_without_portable_lines_may_repeat_line_ids(any_hub):
    shop = any_hub.open_shop()
    orders = [shop.buy(("TEE", 1)) for _ in range(2)]
    for order in orders:
        record = shop.books.orders[order]
        line = replace(record.lines[0], channel_line_id="line-1")
        shop.books.orders[order] = replace(record, lines=(line,))
    any_hub.settle()
    assert [len(found(any_hub, order).lines) for order in orders] == [1, 1]
    assert any_hub.stock("TEE") == (10, 2)


def test_a_late_poll_begins_with_what_it_finds(any_hub):
    """Ids that changed before the hub was ever connected are no news."""
    shop = any_hub.connect(catalogue={"TEE": 10}, options=PORTABLE)
    paid = shop.pay(shop.buy(("TEE", 1), is_paid=False))
    any_hub.link()
    any_hub.count("TEE", 9)
    any_hub.clock.advance(timedelta(minutes=1).total_seconds())
    any_hub.settle()
    assert found(any_hub, paid).names == ()
    assert found(any_hub, paid).state.value == "open"
