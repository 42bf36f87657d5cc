"""A channel that stopped to tell us is made to again, and what it kept to itself is read."""

import pytest

from oms_sync.flows import subscriptions
from oms_sync.flows.subscriptions import Subscribing
from oms_sync.sdk import ChannelDown

URL = "http://127.0.0.1/hub"
DAY = 86_400.0
LIKE_A_QUEUE = {"has_queue": True, "late_seconds": 0.0}


def _ensure(hub, kind="webhooks", target=URL):
    session = hub.sessions["shop-a"]
    asks = {
        "webhooks": lambda: session.ensure_subscriptions(target),
        "queue": session.subscribe_queue,
    }
    subscribing = Subscribing(account="shop-a", kind=kind, target=target, ask=asks[kind])
    return subscriptions.ensure(
        subscribing, open_work=hub.open_work, clock=hub.clock, metrics=hub.metrics
    )


def _lose(shop, kind):
    (shop.mail if kind == "webhooks" else shop.queue).topics.clear()


@pytest.mark.proves("F16")
@pytest.mark.parametrize("kind", ["webhooks", "queue"])
def test_orders_of_the_silent_time_come_in_at_once(any_hub, kind):
    shop = any_hub.open_shop(poll_seconds=DAY, options=LIKE_A_QUEUE)
    assert _ensure(any_hub, kind).lost_since is None
    any_hub.run("reconcile")
    seen_at = any_hub.clock.now()
    _lose(shop, kind)
    any_hub.clock.advance(60)
    order = shop.buy(("TEE", 1))
    any_hub.run("ingest")
    assert any_hub.find_order(order) is None, "nobody told, and no poll is due"
    any_hub.wakes.clear()
    seen = _ensure(any_hub, kind)
    assert seen.topics
    assert seen.lost_since <= seen_at
    assert {("ingest", "shop-a"), ("reconcile", "shop-a")} <= set(any_hub.wakes)
    assert any_hub.feed("sweep").next_at <= any_hub.clock.now()
    any_hub.run("ingest")
    any_hub.run("normalise")
    assert any_hub.find_order(order) is not None
    assert _ensure(any_hub, kind).lost_since is None
    assert any_hub.metrics.counts["subscriptions_lost"] == 1


@pytest.mark.proves("F47")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("commit", [1, 2])
def test_wherever_the_process_dies_the_silent_time_is_read(any_hub, commit, is_after):
    shop = any_hub.open_shop(poll_seconds=DAY)
    _ensure(any_hub)
    _lose(shop, "webhooks")
    any_hub.clock.advance(60)
    order = shop.buy(("TEE", 1))
    any_hub.crash_at(commit, is_after=is_after)
    with pytest.raises(any_hub.Crash):
        _ensure(any_hub)
    _ensure(any_hub)
    any_hub.run("ingest")
    any_hub.run("normalise")
    assert any_hub.find_order(order) is not None


@pytest.mark.proves("F01")
def test_a_channel_that_does_not_answer_is_asked_again_and_the_time_is_read(any_hub):
    shop = any_hub.open_shop(poll_seconds=DAY)
    _ensure(any_hub)
    asked = Subscribing(account="shop-a", kind="webhooks", target=URL, ask=_down)
    with pytest.raises(ChannelDown):
        subscriptions.ensure(
            asked, open_work=any_hub.open_work, clock=any_hub.clock, metrics=any_hub.metrics
        )
    order = shop.buy(("TEE", 1))
    any_hub.clock.advance(60)
    seen = _ensure(any_hub)
    assert (seen.topics, seen.lost_since) == ((), None), "no alarm: nothing was made anew"
    any_hub.run("ingest")
    any_hub.run("normalise")
    assert any_hub.find_order(order) is not None


def _down():
    raise ChannelDown("no answer")


def test_the_first_subscription_and_a_new_address_are_no_alarm(any_hub):
    any_hub.open_shop(poll_seconds=DAY)
    due_at = any_hub.feed().next_at
    assert _ensure(any_hub).topics
    seen = _ensure(any_hub, target="http://127.0.0.1/elsewhere")
    assert seen.topics
    assert seen.lost_since is None
    assert any_hub.feed().next_at == due_at, "nothing was missed, nothing is read again"


def test_the_newest_announcement_counts_whatever_order_they_come_in(any_hub):
    any_hub.open_shop()
    _ensure(any_hub)
    earlier, later = any_hub.clock.now(), any_hub.clock.now().replace(year=2027)
    for at in (later, earlier):
        with any_hub.storage.open_work() as work:
            work.upkeep.hear("shop-a", at=at)
            work.commit()
    _ensure(any_hub)
    with any_hub.storage.open_work() as work:
        found = work.upkeep.subscription("shop-a", "webhooks")
    assert (found.heard_at, found.is_unsure) == (later, False)
