"""Comparing at the command line: what is named, what is certified, what no longer verifies."""

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from types import SimpleNamespace

import pytest

from oms_sync import bootstrap
from oms_sync.flows.ports import FlowContext
from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.pipeline import FLOWS
from oms_sync.sdk import OrderFeed, RateLimited
from oms_sync.sdk.fake import FakeChannel, FakeOptions

#: two days, in the microseconds instants are stored in
CONNECTED_EARLIER = "UPDATE accounts SET first_connected_at = first_connected_at - 172800000000"


class Town:
    """The shell's one account speaks to a fake channel; nothing runs but what the test runs."""

    def __init__(self, shell, channel):
        self.shell, self.channel = shell, channel

    def run(self, *flows):
        """What the daemon does, flow by flow."""
        with bootstrap.open_desk(self.shell.folder / "oms-sync.yaml") as desk:
            with desk.open_work() as work:
                work.feeds.hasten("shop-a", OrderFeed.CHANGES, at=desk.clock.now())
                work.commit()
            for flow in flows or ("ingest", "normalise", "reserve"):
                wiring = desk.wire("shop-a")
                FLOWS[flow](
                    FlowContext(
                        account=wiring.profile,
                        profiles=desk.profiles,
                        manifest=wiring.manifest,
                        session=wiring.open(),
                        webhook=None,
                        open_work=desk.open_work,
                        clock=desk.clock,
                        ids=desk.ids,
                        metrics=NullMetrics(),
                        is_stopping=lambda: False,
                    )
                )

    def execute(self, statement):
        """What somebody types into the database by hand."""
        with sqlite3.connect(self.shell.folder / "oms-sync.db") as connection:
            connection.execute(statement)
        connection.close()


@pytest.fixture
def town(noon, shell, monkeypatch):
    """One account, polled every second, with a fake in the connector's place."""
    config = shell.folder / "oms-sync.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace("    connector: shopify\n", "    connector: shopify\n    poll_seconds: 1\n"),
        encoding="utf-8",
    )
    channel = FakeChannel(
        "shop-a",
        clock=SystemClock(),
        chance=Random(1),
        options=FakeOptions(late_seconds=0.0),
        catalogue={"TEE": 10, "MUG": 4},
    )

    opened = bootstrap.open_desk

    @contextmanager
    def open_desk(path):
        with opened(path) as desk:
            yield replace(desk, wire=lambda account: wired(desk, account))

    def wired(desk, account):
        profile = replace(desk.profiles[account], poll_seconds=0.0)
        return SimpleNamespace(profile=profile, manifest=channel.manifest, open=channel.session)

    monkeypatch.setattr(bootstrap, "open_desk", open_desk)
    monkeypatch.setattr(bootstrap.Desk, "manifest", lambda desk, account: channel.manifest)
    with opened(shell.folder / "oms-sync.yaml") as desk:
        desk.storage.record_profiles([desk.profiles["shop-a"]])
    made = Town(shell, channel)
    made.run()
    return made


def today(shell):
    with bootstrap.open_desk(shell.folder / "oms-sync.yaml") as desk:
        return desk.clock.now().date().isoformat()


def sell(town, count):
    """Orders, some seconds ago: what is younger than two polls is not compared."""
    placed = [town.channel.buy(("TEE", 1)) for _ in range(count)]
    for one in placed:
        order = town.channel.books.orders[one]
        earlier = order.placed_at - timedelta(seconds=10)
        town.channel.books.orders[one] = replace(order, placed_at=earlier)
    town.run()
    return placed


def test_a_deleted_order_row_makes_the_days_certificate_fail_and_name_it(town):
    shell = town.shell
    lost, _ = sell(town, 2)
    day = today(shell)
    assert shell.json("reconcile", "orders", "--day", day)[0]["outcome"] == "issued"
    town.execute(f"DELETE FROM orders WHERE channel_order_id = '{lost}'")  # noqa: S608 - ours
    refused = shell("reconcile", "orders", "--day", day, status=1)
    assert f"shop-a:{lost}: missing" in refused.stderr
    assert "read again" in refused.stderr
    shown = shell.json("certificate", "--day", day, "--account", "shop-a")
    assert [one["certificate"]["outcome"] for one in shown] == ["refused", "issued"]
    town.run()
    (healed,) = shell.json("reconcile", "orders", "--day", day)
    assert (healed["outcome"], healed["received"], healed["missing"]) == ("issued", 2, 0)


def test_certificates_are_printed_and_verified_and_a_changed_one_is_not(town):
    shell = town.shell
    sell(town, 1)
    shell("stock", "set", "TEE", "9", "--reason", "count")
    town.execute("UPDATE stock_movements SET at = at - 20000000")  # before the last polls
    day = today(shell)
    shell("reconcile", "orders", "--day", day)
    assert "issued" in shell("certificate").stdout
    assert "is day over" in shell("certificate", "--day", day).stdout
    printed = shell("certificate", "--json").stdout
    good = shell.write("good.json", printed)
    assert "genuine" in shell("certificate", "--verify", good).stdout
    assert shell.json("certificate", "--verify", good)["ok"]
    signed = json.loads(printed)
    signed[0]["certificate"]["received"] += 1
    bad = shell.write("bad.json", json.dumps(signed))
    assert "was changed" in shell("certificate", "--verify", bad, status=1).stderr
    for text, said in (("[]", "no certificate"), ("{", "not a certificate"), ("[1]", "is no cert")):
        path = shell.write("odd.json", text)
        assert said in shell("certificate", "--verify", path, status=1).stderr
    town.execute("UPDATE stock_movements SET hash = 'f' || hash")
    assert "ledger" in shell("certificate", "--verify", good, status=1).stderr


def test_a_certificate_of_another_installation_does_not_verify(town):
    shell = town.shell
    shell("reconcile", "orders", "--day", today(shell))
    saved = shell.write("saved.json", shell("certificate", "--json").stdout)
    for name in ("oms-sync.db", "oms-sync.db-wal", "oms-sync.db-shm", "oms-sync.key"):
        (shell.folder / name).unlink(missing_ok=True)
    text = (shell.folder / "oms-sync.yaml").read_text(encoding="utf-8")
    (shell.folder / "oms-sync.yaml").unlink()
    shell("init")
    (shell.folder / "oms-sync.yaml").write_text(text, encoding="utf-8")
    found = shell.json("certificate", "--verify", saved, status=1)
    assert "another installation" in found["problems"][0]


def test_what_cannot_be_compared_is_said(town):
    shell = town.shell
    assert "nothing was certified" in shell("certificate").stderr
    assert (
        "not both"
        in shell(
            "reconcile",
            "orders",
            "--day",
            "2026-01-01",
            "--since",
            "2026-01-01T00:00:00Z",
            status=2,
        ).stderr
    )
    assert "has not begun" in shell("reconcile", "orders", "--day", "2999-01-01", status=2).stderr
    assert (
        "there is no account"
        in shell("reconcile", "orders", "--account", "nobody", status=1).stderr
    )


def test_a_day_without_its_certificate_shows_with_its_account_and_at_the_doctor(town):
    shell = town.shell
    yesterday = (SystemClock().now() - timedelta(hours=2, days=1)).date().isoformat()
    assert shell.json("accounts", "show", "shop-a")["uncertified"] == []
    town.execute(CONNECTED_EARLIER)
    shown = shell.json("accounts", "show", "shop-a")
    assert {"day": yesterday, "reason": "not compared yet"} in shown["uncertified"]
    assert f"not certified: {shown['uncertified'][0]['day']}" in shell("accounts", "list").stdout
    assert "days without a certificate" in shell("accounts", "show", "shop-a").stdout
    for one in shown["uncertified"]:
        said = str(shell.json("doctor", "--offline")["findings"])
        assert f"{one['day']} has no certificate: not compared yet" in said
        shell("reconcile", "orders", "--day", one["day"])
    shown = shell.json("accounts", "show", "shop-a")
    assert (shown["uncertified"], shown["certified_on"]) == ([], yesterday)


def test_a_refused_day_names_its_order_with_the_account(town):
    shell = town.shell
    order = town.channel.buy(("TEE", 1))
    placed = town.channel.books.orders[order]
    earlier = placed.placed_at - timedelta(days=1)
    town.channel.books.orders[order] = replace(placed, placed_at=earlier)
    day = earlier.date().isoformat()
    town.execute(CONNECTED_EARLIER)
    shell("reconcile", "orders", "--day", day, status=1)
    (refused,) = [
        one for one in shell.json("accounts", "show", "shop-a")["uncertified"] if one["day"] == day
    ]
    assert refused["reason"] == f"refused: {order}"


def test_what_is_too_young_to_be_seen_follows_the_accounts_own_lag(town, monkeypatch):
    (sold,) = sell(town, 1)
    day = today(town.shell)
    (found,) = town.shell.json("reconcile", "orders", "--day", day)
    assert found["received"] == 1
    late = replace(town.channel.manifest, visibility_lag_seconds=60.0)
    monkeypatch.setattr(type(town.channel), "manifest", late)
    (found,) = town.shell.json("reconcile", "orders", "--day", day)
    assert found["received"] == 0, f"{sold} may not be listed yet"


def test_a_channel_that_asks_to_wait_is_said_to(town, monkeypatch):
    from oms_sync.sdk.fake_session import FakeSession

    listed, waited = FakeSession.list_orders, []

    def busy(self, *args, **more):
        if not waited:
            raise RateLimited("the budget of orders is used up", retry_after_seconds=900)
        return listed(self, *args, **more)

    monkeypatch.setattr(FakeSession, "list_orders", busy)
    monkeypatch.setattr(SystemClock, "sleep", lambda clock, seconds: waited.append(seconds))
    said = town.shell("reconcile", "orders", "--day", today(town.shell)).stderr
    assert "shop-a: the budget of orders is used up; asking again in 5 min" in said
    assert waited == [300]


def test_every_day_since_a_time_is_compared(town):
    shell = town.shell
    sell(town, 1)
    since = (SystemClock().now() - timedelta(days=2)).isoformat(timespec="seconds")
    found = shell.json("reconcile", "orders", "--since", since)
    assert [one["is_day_over"] for one in found] == [False, True, False]
    assert sum(one["received"] for one in found) == 1
    assert {one["outcome"] for one in found} == {"same", "issued"}


def test_quantities_are_read_back_and_differences_printed(town):
    shell = town.shell
    rows = "account,channel_listing_id,channel_sku,sku\n" + "".join(
        f"shop-a,{one.channel_listing_id},{one.channel_sku},{one.channel_sku}\n"
        for one in town.channel.books.listings.values()
    )
    shell("listings", "import", shell.write("listings.csv", rows))
    shell("stock", "set", "TEE", "10", "--reason", "count")
    shell("stock", "set", "MUG", "4", "--reason", "count")
    for _ in range(3):
        town.run("ingest", "normalise", "reserve", "push_stock")
    assert "every listing shows" in shell("reconcile", "stock").stderr
    town.channel.hand_edit("MUG", 1)
    (found,) = shell.json("reconcile", "stock", "--account", "shop-a")
    assert (found["channel_sku"], found["expected"], found["found"]) == ("MUG", 4, 1)
    assert "hand edit" in shell("reconcile", "stock").stdout
    preview = shell("accounts", "preview", "shop-a")
    assert "2 of 2 listings (100.0 %)" in preview.stderr
