"""Silences are told once, kept across restarts, and end by themselves."""

from contextlib import suppress
from datetime import timedelta

import pytest

from oms_sync.sdk import ChannelDown, OutcomeUnknown, PushOutcome, PushResult

HOUR = 3600.0


def _watch(hub, account="shop-a"):
    hub.run("watch", account)
    return {row["kind"] for row in hub.storage.reports.account(account)["alarms"]}


def _open(hub, **profile):
    """A shop with everything in step, swept, and announced by webhooks."""
    shop = hub.open_shop(options={"late_seconds": 0.0}, **profile)
    hub.storage.record_profiles(hub.profiles.values())
    hub.run("reconcile")
    hub.settle()
    return shop


@pytest.mark.proves("O-07", "I-41")
def test_an_account_whose_polls_fail_is_silent_until_one_succeeds(any_hub, caplog):
    _open(any_hub)
    assert _watch(any_hub) == set()
    any_hub.clock.advance(11 * 60)
    assert _watch(any_hub) == {"not_read"}
    assert any_hub.metrics.gauges["alarms shop-a not_read"] == 1
    assert _watch(any_hub) == {"not_read"}
    any_hub.take_in()
    assert _watch(any_hub) == set()
    assert any_hub.metrics.gauges["alarms shop-a not_read"] == 0
    assert _told(any_hub) == ["account.fell_silent", "account.heard_again"]


def _told(hub):
    """Silences in the timeline of the account, oldest first."""
    from sqlalchemy import text

    with hub.storage._database.read() as transaction:
        query = "SELECT name FROM timeline WHERE account = 'shop-a' ORDER BY event"
        names = [row.name for row in transaction.rows(text(query))]
    return [name for name in names if name in ("account.fell_silent", "account.heard_again")]


@pytest.mark.proves("O-07")
def test_a_shop_without_orders_is_silent_after_the_hours_set(any_hub):
    shop = _open(any_hub, silence_hours=2.0)
    any_hub.clock.advance(3 * HOUR)
    any_hub.take_in()
    any_hub.run("reconcile")
    assert _watch(any_hub) == {"no_orders"}
    shop.buy(("TEE", 1))
    any_hub.settle()
    assert _watch(any_hub) == set()


@pytest.mark.proves("O-07", "F14")
def test_orders_only_polls_find_although_webhooks_are_subscribed_are_a_silence(any_hub):
    shop = _open(any_hub)
    any_hub.subscribe()
    _subscribed(any_hub)
    shop.mail.topics.clear()  # the channel forgot, and still shows the subscriptions
    for _ in range(3):
        any_hub.clock.advance(60)
        shop.buy(("TEE", 1))
        any_hub.take_in()
    assert _watch(any_hub) == set()
    any_hub.clock.advance(14 * 60)
    any_hub.take_in()
    assert _watch(any_hub) == {"unannounced"}
    shop.mail.topics.update(("orders/update",))
    shop.buy(("TEE", 1))
    assert any_hub.deliver() == 1
    any_hub.take_in()
    assert _watch(any_hub) == set()


def _subscribed(hub):
    from oms_sync.flows import subscriptions
    from oms_sync.flows.subscriptions import Subscribing

    subscribing = Subscribing(account="shop-a", kind="webhooks", target="http://hub", ask=tuple)
    subscriptions.ensure(subscribing, open_work=hub.open_work, clock=hub.clock, metrics=hub.metrics)


class _Deaf:
    """A session whose channel takes no quantity, by this error."""

    def __init__(self, session, error):
        self._session, self._error = session, error

    def push_stock(self, batch):
        raise self._error

    def __getattr__(self, name):
        return getattr(self._session, name)


@pytest.mark.proves("O-07")
@pytest.mark.parametrize("error", [ChannelDown("down"), OutcomeUnknown("no answer")])
def test_a_quantity_no_channel_takes_is_a_silence_until_one_is_taken(any_hub, error):
    _open(any_hub)
    session = any_hub.sessions["shop-a"]
    any_hub.sessions["shop-a"] = _Deaf(session, error)
    any_hub.count("TEE", 5)
    for minute in range(0, 40, 5):
        any_hub.clock.advance(300)
        any_hub.take_in()
        with suppress(ChannelDown):
            any_hub.run("push_stock")
        assert ("not_pushed" in _watch(any_hub)) is (minute >= 30)
    any_hub.sessions["shop-a"] = session
    any_hub.clock.advance(300)
    any_hub.settle()
    assert "not_pushed" not in _watch(any_hub)


class _Busy(_Deaf):
    """A channel that puts every quantity off."""

    def push_stock(self, batch):
        return tuple(
            PushResult(
                channel_listing_id=one.channel_listing_id,
                outcome=PushOutcome.POSTPONED,
                applied_at=self._error,
                reason="its turn comes later",
            )
            for one in batch.entries
        )


@pytest.mark.proves("O-07")
def test_a_quantity_the_channel_puts_off_for_long_is_a_silence_too(any_hub):
    _open(any_hub)
    any_hub.sessions["shop-a"] = _Busy(any_hub.sessions["shop-a"], any_hub.clock.now())
    any_hub.count("TEE", 5)
    any_hub.run("push_stock")
    assert any_hub.listing().retry_at is not None
    for minutes in (20, 15):
        any_hub.clock.advance(minutes * 60)
        any_hub.take_in()
        any_hub.run("push_stock")
        assert ("not_pushed" in _watch(any_hub)) is (minutes == 15)


@pytest.mark.proves("O-07")
def test_orders_never_compared_are_a_silence(any_hub):
    _open(any_hub)
    any_hub.clock.advance(4 * HOUR)
    any_hub.take_in()
    assert _watch(any_hub) == {"not_reconciled"}
    any_hub.run("reconcile")
    assert _watch(any_hub) == set()


def test_a_paused_account_is_as_silent_as_it_was_told_to_be(any_hub):
    from oms_sync.flows.commands.accounts import pause, resume

    _open(any_hub)
    any_hub.clock.advance(HOUR)
    assert _watch(any_hub) == {"not_read"}
    pause(any_hub.command, "shop-a", reason="holidays")
    assert _watch(any_hub) == set()
    resume(any_hub.command, "shop-a")
    assert _watch(any_hub) == {"not_read"}


def test_an_account_never_connected_says_nothing(any_hub):
    any_hub.connect()
    any_hub.storage.record_profiles(any_hub.profiles.values())
    assert _watch(any_hub) == set()


def test_the_time_left_is_a_metric(any_hub):
    _open(any_hub)
    any_hub.clock.advance(timedelta(days=1).total_seconds())
    any_hub.run("watch")
    left = any_hub.metrics.gauges["history_left_seconds shop-a"]
    assert timedelta(days=58.9) < timedelta(seconds=left) <= timedelta(days=59)
