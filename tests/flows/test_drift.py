"""Drift: a hand edit is found, named with its cause, and handled by each policy within a cycle."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from oms_sync.sdk import BadPayload
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.storage.tables.hub import timeline

PERIOD = 3600


def drifts(hub):
    """What the timeline says of drift, oldest first."""
    query = select(timeline).where(timeline.c.name == "listing.drifted")
    with hub.storage._database.read() as transaction:
        rows = transaction.rows(query.order_by(timeline.c.event))
    return [json.loads(row.detail) for row in rows]


def cycle(hub):
    """One period of reconciling, and what follows from it."""
    hub.clock.advance(PERIOD)
    hub.run("reconcile")
    hub.settle()


@pytest.mark.proves("I-20", "F39")
@pytest.mark.parametrize(
    ("policy", "shown", "on_hand", "state"),
    [
        ("overwrite", 10, 10, "in_step"),
        ("adopt", 7, 7, "in_step"),
        ("hold", 7, 10, "held"),
    ],
)
def test_one_edited_quantity_is_found_named_and_handled_within_one_cycle(
    any_hub, policy, shown, on_hand, state
):
    shop = any_hub.open_shop(drift=policy)
    right_at = any_hub.clock.now()
    shop.hand_edit("TEE", 7)
    cycle(any_hub)
    (found,) = drifts(any_hub)
    assert (found["expected"], found["found"], found["policy"]) == (10, 7, policy)
    assert found["cause"] == "hand edit"
    assert found["since"] <= right_at.isoformat()
    assert shop.quantities() == {"TEE": shown}
    assert any_hub.stock()[0] == on_hand
    assert any_hub.listing().state == state
    assert any_hub.metrics.counts["drift"] == 1


def test_fewer_units_while_an_order_is_not_understood_are_probably_sold(any_hub):
    shop = any_hub.open_shop()

    class Speechless(FakeSession):
        def parse_order(self, payload, seen_at):
            raise BadPayload("a shape nobody knows")

    any_hub.sessions["shop-a"] = Speechless(shop, shop.request())
    shop.buy(("TEE", 3))
    any_hub.settle()
    cycle(any_hub)
    (found,) = drifts(any_hub)
    assert (found["expected"], found["found"]) == (10, 7)
    assert found["cause"] == "sale not seen yet"


def test_a_quantity_that_is_changed_again_and_again_is_changed_by_other_software(hub):
    shop = hub.open_shop()
    for number in range(5):
        shop.hand_edit("TEE", number)
        cycle(hub)
    assert [one["cause"] for one in drifts(hub)] == ["hand edit"] * 3 + ["other software"] * 2
    hub.clock.advance(timedelta(days=8).total_seconds())
    shop.hand_edit("TEE", 1)
    cycle(hub)
    assert drifts(hub)[-1]["cause"] == "hand edit", "last week is forgotten"
