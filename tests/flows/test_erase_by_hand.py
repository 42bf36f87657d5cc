"""`orders erase`: one order, several, or none of them; on both databases."""

import pytest

from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.erasing import erase
from oms_sync.flows.commands.write_backs import Cancellation, cancel


def shown(hub, order_id):
    return hub.storage.reports.order(hub.order(order_id).order_id, reveal=True)


def named(hub, *order_ids):
    return {hub.order(one).order_id: f"shop-a:{one}" for one in order_ids}


def shipped(hub, shop, **more):
    order_id = shop.buy(("TEE", 1), **more)
    hub.take_in()
    hub.ship(order_id, f"1Z{order_id}")
    hub.settle()
    return order_id


def test_several_orders_are_erased_at_once_with_their_messages_and_keys(any_hub):
    shop = any_hub.open_shop()
    one, two = (shipped(any_hub, shop, buyer_id="b-1") for _ in range(2))
    other = shipped(any_hub, shop, buyer_id="b-1")
    done = erase(any_hub.command, named(any_hub, one, two), reason="asked by mail")
    assert done.orders == 2
    assert done.messages >= 2
    assert done.before == {}
    assert [shown(any_hub, each)["buyer"] for each in (one, two)] == [None, None]
    assert shown(any_hub, other)["buyer"], "the key stays for who is left"
    told = any_hub.events(one)[-1]
    assert (told["name"], told["actor"]) == ("order.erased", "cli:anna")
    again = erase(any_hub.command, named(any_hub, one, other), reason="all of them")
    assert again.orders == 1
    assert list(again.before) == [f"shop-a:{one}"]
    with any_hub.storage.open_work() as work:
        from oms_sync.storage.tables.hub import subjects

        assert work._transaction.rows(subjects.select()) == []


def test_where_one_is_not_finished_nothing_is_erased_and_each_reason_is_said(any_hub):
    shop = any_hub.open_shop()
    done, waiting = shipped(any_hub, shop), shop.buy(("TEE", 1))
    untold, asked = shop.buy(("TEE", 1)), shop.buy(("TEE", 2))
    any_hub.take_in()
    any_hub.ship(untold, "1Z9")
    any_hub.run("reserve")
    cancel(any_hub.command, any_hub.order(asked).order_id, Cancellation())
    with pytest.raises(CommandRefused) as refused:
        erase(any_hub.command, named(any_hub, done, waiting, untold, asked), reason="asked")
    said = str(refused.value).splitlines()
    assert f"shop-a:{untold}: its channel was not told of 1 shipments yet" in said
    assert any(line.startswith(f"shop-a:{waiting}: it is open") for line in said)
    assert f"shop-a:{asked}: 1 changes of it wait to show at its channel" in said
    assert not any(line.startswith(f"shop-a:{done}") for line in said)
    assert shown(any_hub, done)["buyer"]


def test_an_order_that_became_part_of_another_is_erased_with_that_one(any_hub):
    shop = any_hub.open_shop(options={"has_portable_lines": True})
    one, two = (shop.buy(("TEE", 1), is_paid=False) for _ in range(2))
    any_hub.take_in()
    ids = {each: any_hub.order(each).order_id for each in (one, two)}
    paid = shop.pay(shop.combine(one, two))
    any_hub.take_in()
    any_hub.ship(paid, "1Z1")
    any_hub.settle()
    merged = [key for key in ids.values() if key != any_hub.order(paid).order_id]
    done = erase(any_hub.command, dict.fromkeys(merged, "the old one"), reason="asked")
    assert done.orders == 1
    assert shown(any_hub, paid)["buyer"] is None
    assert shown(any_hub, paid)["erased_at"]
