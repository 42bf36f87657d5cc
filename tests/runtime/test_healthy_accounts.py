"""Accounts stay healthy beside look-alike channels: subscriptions, absences, silences, restarts."""

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oms_sync import bootstrap
from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.runtime.settings import parse_settings
from oms_sync.runtime.tend import TEND
from oms_sync.sdk import OrderFeed
from oms_sync.sdk.sandbox import Purchase, SandboxOptions
from oms_sync.storage.crypto import create_key_file

#: how each look-alike forgets what it was asked to tell
FORGET = {
    "shopify": lambda sandbox: sandbox.store.subscriptions.clear(),
    "amazon": lambda sandbox: sandbox.account.subscriptions.clear(),
    "ebay": lambda sandbox: sandbox.pushes.wanted.clear(),
}
IDLE_SECONDS = 20


@pytest.fixture
def start(tmp_path, request):
    """Start a hub on one database beside the same look-alike; answers hub and sandbox."""
    create_key_file(tmp_path / "oms-sync.key")
    opened = {}
    running = []

    def stop():
        while running:
            running.pop().stop()

    def make(channel, **changes):
        stop()
        if channel not in opened:
            options = SandboxOptions(account="shop-a", skus=2)
            context = bootstrap.open_sandbox(channel, options)
            opened[channel] = context.__enter__()[0]
            request.addfinalizer(lambda: context.__exit__(None, None, None))
        entry = {**opened[channel].account_entry(), "mode": "live", "poll_seconds": 300, **changes}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        path = tmp_path / "oms-sync.yaml"
        web = {"port": port, "public_url": f"http://127.0.0.1:{port}"}
        path.write_text(json.dumps({"version": 1, "web": web, "accounts": [entry]}))
        hub = bootstrap.build_hub(parse_settings(path.read_text(), file=path))
        running.append(hub)
        hub.start()
        assert hub.dispatcher.wait_idle(IDLE_SECONDS) or channel == "amazon", "the queue stands"
        return hub, opened[channel]

    yield make
    stop()


def _run(hub, flow):
    """One run of the flow, waiting out one that is under way."""
    for _ in range(50):
        result = hub.runner.run(flow, "shop-a")
        if result.outcome != "busy":
            break
        hub.daemon._parts.stopping.wait(0.1)
    assert result.outcome == "ok", result.reason
    return result


def _named(events, *names):
    return [one["event"] for one in events if one["event"] in names]


@pytest.mark.slow
@pytest.mark.proves("F16", "I-12")
@pytest.mark.parametrize("channel", sorted(FORGET))
def test_a_lost_subscription_is_made_anew_with_one_alarm_and_the_gap_is_read(
    start, events, channel
):
    hub, sandbox = start(channel)
    _run(hub, TEND)
    (before,) = hub.storage.reports.account("shop-a")["subscriptions"]
    FORGET[channel](sandbox)
    sku = min(sandbox.truth()["quantities"])
    placed = sandbox.sales.place(Purchase(lines=((sku, 1),)))  # nobody tells of it
    for flow in ("ingest", "normalise"):
        _run(hub, flow)
    assert hub.storage.reports.orders(account="shop-a") == [], "the next poll is not due"
    for _ in range(3):
        _run(hub, TEND)
    for flow in ("ingest", "normalise"):
        _run(hub, flow)
    (read,) = hub.storage.reports.orders(account="shop-a")
    assert read["channel_order_id"] == placed
    (lost,) = [one for one in events if one["event"] == "account.subscription_lost"]
    assert lost["topics"]
    (after,) = hub.storage.reports.account("shop-a")["subscriptions"]
    assert after["seen_at"] > before["seen_at"]
    hub, _ = start(channel)
    _run(hub, TEND)
    assert _named(events, "account.subscription_lost") == ["account.subscription_lost"]


@pytest.mark.slow
@pytest.mark.proves("F47")
@pytest.mark.parametrize("channel", sorted(FORGET))
def test_an_absence_beyond_the_channels_horizon_is_a_gap_told_once_across_restarts(
    start, events, channel
):
    hub, _ = start(channel)
    _run(hub, "ingest")
    days = hub.wirings["shop-a"].manifest.order_horizon_days
    with hub.storage.open_work() as work:
        position = work.feeds.get("shop-a", OrderFeed.CHANGES)
        read_at = position.drained_at - timedelta(days=days + 3)
        work.feeds.put(replace(position, drained_at=read_at, page_at=read_at, next_at=None))
        work.commit()
    for _ in range(2):
        hub, _ = start(channel)
        _run(hub, "ingest")
        (gap,) = hub.storage.reports.account("shop-a")["gaps"]
        assert gap["since"] == read_at.isoformat().replace("+00:00", "Z")
    assert _named(events, "account.gap_found") == ["account.gap_found"]
    account = hub.storage.reports.account("shop-a")
    assert account["cursor_age_seconds"] < 60, "what the channel still shows was read"


@pytest.mark.slow
@pytest.mark.proves("O-07")
def test_a_silence_outlasts_a_restart_untold_and_ends_with_a_poll(start, events):
    hub, _ = start("shopify")
    _run(hub, "ingest")
    _run(hub, "watch")
    assert hub.storage.reports.account("shop-a")["alarms"] == []
    with hub.storage.open_work() as work:
        position = work.feeds.get("shop-a", OrderFeed.CHANGES)
        hour_ago = position.drained_at - timedelta(hours=1)
        later = position.drained_at + timedelta(hours=1)
        work.feeds.put(replace(position, drained_at=hour_ago, page_at=hour_ago, next_at=later))
        work.commit()
    for _ in range(2):
        _run(hub, "watch")
        (alarm,) = hub.storage.reports.account("shop-a")["alarms"]
        assert alarm["kind"] == "not_read"
        hub, _ = start("shopify")
    with hub.storage.open_work() as work:
        work.feeds.hasten("shop-a", OrderFeed.CHANGES, at=hub.storage._parts.clock.now())
        work.commit()
    _run(hub, "ingest")
    _run(hub, "watch")
    assert hub.storage.reports.account("shop-a")["alarms"] == []
    told = _named(events, "account.fell_silent", "account.heard_again")
    assert told == ["account.fell_silent", "account.heard_again"]


@pytest.mark.slow
def test_the_clocks_difference_is_measured_from_the_channels_answer(start):
    hub, _ = start("shopify")
    _run(hub, TEND)
    assert abs(hub.storage.reports.account("shop-a")["clock_skew_seconds"]) <= 2


REVOKED = {"metadata": {"topic": "AUTHORIZATION_REVOCATION"}, "notification": {"data": {}}}


@pytest.mark.slow
@pytest.mark.proves("F29", "I-35")
def test_a_consent_taken_back_parks_the_account_at_once_although_its_token_lives(start, events):
    hub, sandbox = start("ebay")
    _run(hub, TEND)
    store = hub.storage.tokens("shop-a")
    kept = store.load()
    earlier = datetime.now(UTC) - timedelta(minutes=2)
    store.save({**kept, "user_granted_at": earlier.isoformat()})
    sandbox.tokens.refresh_token = "taken back"
    told = NewMessage(
        account="shop-a",
        topic="AUTHORIZATION_REVOCATION",
        source=MessageSource.WEBHOOK,
        body=json.dumps(REVOKED).encode(),
        received_at=datetime.now(UTC),
    )
    _run(hub, "ingest")
    assert hub.storage.reports.account("shop-a")["state"] == "ok", "the token of before still opens"
    with hub.storage.open_work() as work:
        work.inbox.add([told])
        work.commit()
    hub.runner.run("ingest", "shop-a")
    hub.dispatcher.wait_idle(IDLE_SECONDS)
    assert hub.storage.reports.account("shop-a")["state"] == "needs_reauth"
    assert _named(events, "account.needs_reauth") == ["account.needs_reauth"]
