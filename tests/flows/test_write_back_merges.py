"""Write-backs of orders that are combined meanwhile: none is lost, and no hold is left behind."""

from oms_sync.flows.commands.write_backs import Cancellation, cancel
from oms_sync.sdk.fake_session import FakeSession

PORTABLE = {"has_portable_lines": True}


def found(hub, channel_order_id):
    with hub.storage.open_work() as work:
        ids = work.orders.ids_by_channel_ids("shop-a", [channel_order_id])
        return work.orders.load(list(ids.values()))[ids[channel_order_id]]


def bought(hub, shop, *lines):
    placed = shop.buy(*lines, is_paid=False)
    hub.settle()
    return placed


def ask_cancel(hub, order, **wanted):
    return cancel(hub.command, found(hub, order).order_id, Cancellation(**wanted))


def writes(hub, order_id):
    rows = hub.storage.reports.order(order_id)["write_backs"]
    return {row["id"]: (row["state"], row["error"]) for row in rows}


def codes(order):
    return [hold.code for hold in order.holds]


def take_in(hub):
    for _ in range(2):
        hub.clock.advance(10)
        hub.take_in()


def test_both_cancellations_of_combined_orders_end_and_the_hold_goes_with_the_last(any_hub):
    shop = any_hub.open_shop(options=PORTABLE)
    first, second = (bought(any_hub, shop, ("TEE", 1)) for _ in range(2))
    asked = [ask_cancel(any_hub, one).write_id for one in (first, second)]
    both = shop.combine(first, second)
    take_in(any_hub)
    survivor = found(any_hub, both)
    assert set(writes(any_hub, survivor.order_id)) == set(asked), "they went along"
    assert codes(survivor) == ["cancelling"]

    class OneAtATime(FakeSession):
        def cancel_order(self, cancellation):
            hub_holds.append(codes(found(any_hub, both)))
            return super().cancel_order(cancellation)

    hub_holds: list[list[str]] = []
    any_hub.sessions["shop-a"] = OneAtATime(shop, shop.request())
    any_hub.settle()
    assert len(hub_holds) == 2
    assert all("cancelling" in held for held in hub_holds)
    assert {state for state, _ in writes(any_hub, survivor.order_id).values()} == {"confirmed"}
    assert shop.order(both).state == "cancelled"
    assert codes(found(any_hub, both)) == []
    assert any_hub.stock() == (10, 0)


def test_a_line_that_goes_to_another_order_is_not_taken_for_cancelled(any_hub):
    shop = any_hub.open_shop(catalogue={"TEE": 10, "MUG": 10}, options=PORTABLE)
    first = bought(any_hub, shop, ("TEE", 1), ("MUG", 1))
    second = bought(any_hub, shop, ("TEE", 1))
    moving = shop.order(first).lines[1].channel_line_id
    joined = shop.order(second).lines[0].channel_line_id
    write = ask_cancel(any_hub, first)
    new = shop.combine(first, second, channel_line_ids={moving, joined})
    take_in(any_hub)
    assert codes(found(any_hub, new)) == ["manual"], "a person decides about the line that moved"
    for _ in range(3):
        any_hub.settle()
        any_hub.clock.advance(2000)
    ((state, reason),) = writes(any_hub, write.order_id).values()
    assert state == "refused"
    assert f"in another order by now: 1 of line {moving}" in reason
    assert codes(found(any_hub, first)) == []
    assert [line.cancelled for line in shop.order(new).lines] == [0, 0]
    assert any_hub.stock("MUG") == (10, 1)


def test_a_merge_in_the_middle_of_the_last_step_leaves_no_hold_behind(any_hub, monkeypatch):
    """The order is merged after the flow has looked, and before it stores the end of it."""
    from oms_sync.flows import write_back

    shop = any_hub.open_shop(options=PORTABLE)
    first, second = (bought(any_hub, shop, ("TEE", 1)) for _ in range(2))
    write = ask_cancel(any_hub, second, lines={"TEE": 1})

    class Stubborn(FakeSession):
        def cancel_order(self, cancellation):
            from oms_sync.sdk import Rejected

            shop.combine(first, second)
            any_hub.sessions["shop-a"] = shop.session()
            take_in(any_hub)
            raise Rejected("no")

    monkeypatch.setattr(write_back, "REFUSALS_MAX", 1)
    any_hub.sessions["shop-a"] = Stubborn(shop, shop.request())
    any_hub.run("write_back")
    survivor = found(any_hub, second)
    assert write.write_id in writes(any_hub, survivor.order_id)
    assert writes(any_hub, survivor.order_id)[write.write_id] == ("refused", "no")
    assert codes(survivor) == []
