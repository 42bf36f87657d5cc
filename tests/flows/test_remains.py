"""An order row deleted without what hangs on it: nothing stays reserved, and it comes in anew."""

import pytest
from sqlalchemy import text

from oms_sync.domain.completeness import window_until
from oms_sync.flows.commands import reconcile


def delete_row_alone(hub, channel_order_id):
    """As a database tool does that knows of no foreign keys."""
    with hub.storage._database.engine.connect() as connection:
        off = "PRAGMA foreign_keys=OFF"
        if hub.storage._database.is_postgres:
            off = "SET session_replication_role = replica"
        raw = connection.connection.cursor()
        raw.execute(off)
        name = "%(id)s" if hub.storage._database.is_postgres else ":id"
        raw.execute(
            f"DELETE FROM orders WHERE channel_order_id = {name}",  # noqa: S608 - a name of ours
            {"id": channel_order_id},
        )
        connection.connection.commit()
        connection.invalidate()


@pytest.mark.proves("I-13", "I-16")
@pytest.mark.parametrize("is_portable", [False, True])
def test_what_is_left_of_a_deleted_row_is_released_before_the_order_comes_in_anew(
    any_hub, is_portable
):
    shop = any_hub.open_shop(options={"has_portable_lines": is_portable})
    order = shop.buy(("TEE", 2))
    any_hub.settle()
    assert any_hub.filled(order) == (2, 0)
    delete_row_alone(any_hub, order)
    now = any_hub.clock.now()
    window = window_until(now.date(), now)
    found = reconcile.compare_orders(
        any_hub.context("shop-a"), window, owner="cli:anna", told=lambda count: None
    )
    assert (found["outcome"], found["missing"]) == ("refused", 1)
    any_hub.settle()
    assert any_hub.filled(order) == (2, 0)
    assert any_hub.stock() == (10, 2)
    assert any_hub.storage.reports.verify_ledger()["ok"]
    with any_hub.storage._database.read() as transaction:
        counted = transaction.row(text("SELECT count(*) AS lines FROM order_lines"))
    assert counted.lines == 1
