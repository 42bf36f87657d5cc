"""Two hands at once on orders that change their ids: none is doubled, nobody waits in a circle."""

import threading

import pytest
from sqlalchemy import event

from oms_sync.flows import normalise, reserve
from oms_sync.sdk.fake_orders import render_order

ORDERS = 12


def run_all(*works):
    """Run each in a thread of its own; raises what one raised."""
    errors, ready = [], threading.Barrier(len(works))

    def run(work):
        try:
            ready.wait(5)
            work()
        except Exception as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def work_off(hub):
    def run():
        for _ in range(200):
            if not normalise.run(hub.context("shop-a")).done:
                return

    return run


@pytest.mark.proves("I-02", "F44")
@pytest.mark.parametrize("is_combined", [False, True])
def test_sights_of_both_ids_worked_off_at_once_are_one_order(any_hub, monkeypatch, is_combined):
    monkeypatch.setattr(normalise, "BATCH_MAX", 1)
    shop = any_hub.open_shop(catalogue={"TEE": 99}, options={"has_portable_lines": True})
    unpaid = [shop.buy(("TEE", 1), is_paid=False) for _ in range(ORDERS)]
    old = {name: render_order(shop.order(name)) for name in unpaid}
    if is_combined:
        pairs = zip(unpaid[::2], unpaid[1::2], strict=True)
        current = [shop.combine(one, two) for one, two in pairs]
    else:
        current = [shop.pay(name) for name in unpaid]
    new = {name: render_order(shop.order(name)) for name in current}
    # Some are known before, by their old id or by their new one.
    known = dict([*list(old.items())[:4], *list(new.items())[-2:]])
    for name, body in known.items():
        any_hub.add(body, channel_order_id=name)
    for flow in ("normalise", "reserve"):
        any_hub.run(flow)
    for name, body in [*old.items(), *new.items()]:
        any_hub.add(body, channel_order_id=name)
        any_hub.add(body, "read", channel_order_id=name)

    def fill():
        for _ in range(30):
            reserve.run(any_hub.context("shop-a"))

    run_all(work_off(any_hub), work_off(any_hub), fill)
    any_hub.run("reserve")
    assert any_hub.inbox("new") == any_hub.inbox("dead") == []
    orders = any_hub.storage.reports.orders()
    assert {one["channel_order_id"] for one in orders} == set(current)
    assert len(orders) == len(current)
    held = [line["quantity_reserved"] for one in orders for line in one["lines"]]
    assert held == [1] * ORDERS
    assert any_hub.stock() == (99, ORDERS)
    assert any_hub.listing().taken == ORDERS
    assert any_hub.storage.reports.verify_ledger()["ok"]
    assert {name for one in orders for name in one["aliases"]} == set(unpaid)


def statements(hub, run):
    """How many statements `run` sends."""
    sent = []

    def note(*about):
        sent.append(about[2])

    engine = hub.storage._database.engine
    event.listen(engine, "before_cursor_execute", note)
    run()
    event.remove(engine, "before_cursor_execute", note)
    return len(sent)


def test_looking_for_every_id_costs_two_statements_a_batch(any_hub):
    counts = {}
    for name, is_portable in (("shop-a", False), ("shop-b", True)):
        options = {"has_portable_lines": is_portable}
        shop = any_hub.open_shop(name, {f"TEE {name}": 50}, options=options)
        for _ in range(5):
            order = shop.buy((f"TEE {name}", 1))
            body = render_order(shop.order(order))
            any_hub.add(body, account=name, channel_order_id=order)
        counts[name] = statements(any_hub, lambda name=name: any_hub.run("normalise", name))
    assert counts["shop-a"] < counts["shop-b"] <= counts["shop-a"] + 2
