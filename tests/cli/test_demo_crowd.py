"""Buyers and their orders: ids a channel changes, acts it cannot grant."""

from collections.abc import Callable
from typing import Any

import pytest

from oms_sync.cli.demo_control import Refused
from oms_sync.cli.demo_crowd import Crowd
from oms_sync.cli.demo_plan import PlannedAct, PlannedPurchase
from oms_sync.runtime.clock import SystemClock
from oms_sync.sdk.seeding import Purchase


class Channel:
    """A sandbox's control routes, answered from memory."""

    def __init__(self, *, act_refusal: str | None = None) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.act_refusal = act_refusal
        self.acts: list[str] = []
        self.asked = 0

    def place(self, purchase: Purchase) -> str:
        self.orders["unpaid-1"] = {"aliases": []}
        return "unpaid-1"

    def act(self, channel_order_id: str, act: PlannedAct) -> None:
        self.acts.append(act.kind)
        if self.act_refusal is not None:
            raise Refused(self.act_refusal, 409)

    def truth(self) -> dict[str, Any]:
        self.asked += 1
        return {"orders": self.orders}


@pytest.fixture
def sell(wait_until: Callable[[Callable[[], Any]], None]) -> Callable[..., Crowd]:
    """Let a crowd of one buyer work off one planned purchase."""

    def run(channel: Channel, *acts: PlannedAct) -> Crowd:
        planned = PlannedPurchase(
            account="market",
            offset_seconds=0.0,
            purchase=Purchase(lines=(("TEE", 2),)),
            acts=acts,
        )
        crowd = Crowd(iter([planned]), {"market": channel}, SystemClock())
        crowd.start()
        wait_until(lambda: crowd.stories and len(channel.acts) == len(acts))
        crowd.stop()
        return crowd

    return run


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any]], None]:
    """Until it is so, a few seconds at most."""
    clock = SystemClock()

    def wait(is_so: Callable[[], Any]) -> None:
        deadline = clock.monotonic() + 5
        while not is_so():
            assert clock.monotonic() < deadline
            clock.sleep(0.01)

    return wait


def test_an_order_under_a_new_id_is_still_the_buyers(sell):
    channel = Channel()
    crowd = sell(channel)
    story = crowd.story("market", "unpaid-1")
    assert story is not None
    assert channel.asked == 0
    channel.orders = {"paid-1": {"aliases": ["unpaid-1"]}}
    assert crowd.story("market", "paid-1") is story


def test_a_channel_is_not_asked_at_every_unknown_id(sell):
    channel = Channel()
    crowd = sell(channel)
    assert [crowd.story("market", f"strange-{number}") for number in range(50)] == [None] * 50
    assert channel.asked == 1


@pytest.mark.parametrize("reason", ["sold_out", "not_offered"])
def test_an_act_a_channel_cannot_grant_leaves_the_order_as_it_was(sell, reason):
    edit = PlannedAct(kind="edit", after_seconds=0.0, quantities=(("TEE", 3),))
    crowd = sell(Channel(act_refusal=reason), edit)
    story = crowd.story("market", "unpaid-1")
    assert story.units == {"TEE": 2}
    assert story.is_told
    assert crowd.acts == {"refused": 1}


def test_any_other_refusal_is_a_mistake_of_the_demo_and_ends_it(sell):
    edit = PlannedAct(kind="edit", after_seconds=0.0, quantities=(("TEE", 1),))
    with pytest.raises(Refused, match="already_shipped"):
        sell(Channel(act_refusal="already_shipped"), edit)
