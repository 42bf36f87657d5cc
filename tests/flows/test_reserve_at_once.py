"""Reserve under pressure: many orders, many short ones, and two accounts at the same instant."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from oms_sync.domain.merge import first_sight
from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.domain.values import Sku
from oms_sync.flows import reserve
from oms_sync.flows.records import StoredLine, StoredOrder

ACCOUNTS = ("shop-a", "shop-b")
WAIT_SECONDS = 30


def placed(hub, number, *, account="shop-a", units=1, sku="TEE", **line):
    """An order due for reservation, as normalise would have stored it."""
    at = hub.clock.now() + timedelta(milliseconds=number)
    sight = OrderSight(
        channel_order_id=f"{number}",
        version=Version(at, at),
        facts=OrderFacts(state=OrderState.OPEN, placed_at=at, fulfilled_by="seller"),
        lines=(LineSight(channel_line_id=f"{number}-1", quantity_ordered=units),),
    )
    stored = StoredLine(
        line_id=f"{account}-{number}-1", channel_line_id=f"{number}-1", sku=Sku(sku), **line
    )
    return StoredOrder(
        order_id=f"{account}-{number}",
        known=first_sight(account, sight),
        state=OrderState.OPEN,
        lines=(stored,),
        imported_at=at,
    )


def store(hub, orders):
    with hub.storage.open_work() as work:
        work.stock.ensure({line.sku for order in orders for line in order.lines})
        work.orders.add(orders)
        work.commit()


def test_a_shortage_of_more_orders_than_one_batch_is_filled_to_the_last(any_hub):
    any_hub.connect()
    any_hub.count("TEE", 0)
    orders = [placed(any_hub, number) for number in range(450)]
    store(any_hub, orders)
    while any_hub.run("reserve").done:
        pass
    any_hub.receive("TEE", 440)
    any_hub.run("reserve")
    assert any_hub.stock() == (440, 440)
    with any_hub.storage.open_work() as work:
        short = work.orders.short_order_ids([Sku("TEE")], 1000)
    assert short == [order.order_id for order in orders[-10:]], "the newest ones stay short"


def test_a_run_reserves_a_bounded_number_of_orders_and_says_there_is_more(hub, monkeypatch):
    monkeypatch.setattr(reserve, "BATCH_MAX", 2)
    monkeypatch.setattr(reserve, "BATCHES_MAX", 2)
    hub.connect()
    hub.count("TEE", 10)
    store(hub, [placed(hub, number) for number in range(5)])
    report = hub.run("reserve")
    assert (report.done, report.is_more) == (4, True)
    report = hub.run("reserve")
    assert (report.done, report.is_more) == (1, False)
    assert hub.stock() == (10, 5)


@pytest.mark.proves("I-02", "I-14", "I-15", "I-39")
def test_two_accounts_reserving_one_hot_sku_at_once_never_reserve_more_than_there_is(any_hub):
    for name in ACCOUNTS:
        any_hub.connect(name, catalogue={"HOT": 0})
        any_hub.link(name)
    any_hub.count("HOT", 70)
    gate = Barrier(len(ACCOUNTS))

    def work_off(account):
        for portion in range(0, 100, 20):
            numbers = range(portion, portion + 20)
            store(any_hub, [placed(any_hub, one, account=account, sku="HOT") for one in numbers])
            gate.wait(WAIT_SECONDS)
            any_hub.run("reserve", account)

    with ThreadPoolExecutor(len(ACCOUNTS)) as pool:
        runs = [pool.submit(work_off, name) for name in ACCOUNTS]
    for run in runs:
        run.result()
    filled = [any_hub.filled(f"{number}", name) for name in ACCOUNTS for number in range(100)]
    assert {reserved + short for reserved, short in filled} == {1}, "each line once, or short"
    assert sum(reserved for reserved, _ in filled) == 70
    assert any_hub.stock("HOT") == (70, 70)
    assert any_hub.storage.reports.verify_ledger()["ok"]
