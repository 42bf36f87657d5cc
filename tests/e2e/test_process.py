"""The process: it drains, refuses what cannot be right, and a frozen one does no harm."""

import re
import signal
import threading

import pytest
import sqlalchemy

from oms_sync.storage.crypto import create_key_file

pytestmark = pytest.mark.slow


@pytest.mark.proves("O-02", "I-31")
def test_sigterm_under_load_drains_and_nothing_is_left_undone(town, wait_until):
    town.configure(poll_seconds=1, reconcile_seconds=5)
    town.start_hub()
    town.wait_level()
    here, there = town.shops.values()
    sku = town.a_sku(40)
    stopping = threading.Event()

    def buy() -> None:
        for number in range(30):
            (here, there)[number % 2].buy(sku)
            stopping.wait(0.05)

    buyer = threading.Thread(target=buy)
    buyer.start()
    wait_until(town.desk.reports.orders)
    assert town.stop_hub(signal.SIGTERM) == 0
    stopping.set()
    buyer.join()
    assert town.events("hub.draining")
    assert [one["is_clean"] for one in town.events("hub.stopped")] == [True]
    assert town.ask("/livez")[0] == 0
    town.start_hub()
    wait_until(lambda: town.compare().is_clean, 60, "hub and shops agree")
    assert town.compare().orders_in_hub == 30
    assert "Traceback" not in town.log_path.read_text()


@pytest.fixture
def quiet_town(make_town):
    """A hub without a channel: enough for what is refused at its start."""
    town = make_town(shops=())
    town.configure()
    return town


@pytest.mark.proves("F49")
def test_a_second_daemon_on_one_sqlite_file_is_refused_with_a_sentence(quiet_town):
    quiet_town.start_hub()
    text = quiet_town.config_path.read_text()
    quiet_town.config_path.write_text(text.replace(str(quiet_town.port), "0"))
    refused = quiet_town.run("run", status=1)
    assert "a daemon already runs on this database" in refused.stderr
    assert quiet_town.ask("/readyz")[0] == 200, "the first one goes on"
    quiet_town.run("stock", "set", "TEE", "3", "--reason", "count")  # commands do, too


def test_without_its_key_file_or_with_another_one_nothing_is_opened(quiet_town):
    quiet_town.run("stock", "set", "TEE", "3", "--reason", "count")
    key = quiet_town.folder / "oms-sync.key"
    kept = key.rename(quiet_town.folder / "kept.key")
    for arguments in (("run",), ("stock", "list")):
        assert "oms-sync.key" in quiet_town.run(*arguments, status=1).stderr
    create_key_file(key)
    for arguments in (("run",), ("stock", "list")):
        refused = quiet_town.run(*arguments, status=1).stderr
        assert "this is not the key file of the database" in refused
    kept.replace(key)
    assert quiet_town.json("stock", "list")[0]["on_hand"] == 3


@pytest.mark.proves("I-21", "I-32", "F48")
def test_a_frozen_hub_that_wakes_after_its_lease_commits_nothing(
    make_town, postgres_url, wait_until
):
    frozen = make_town(database_url=postgres_url)
    frozen.configure(has_webhooks=False, poll_seconds=1, reconcile_seconds=5)
    frozen.seed()
    frozen.start_hub()
    frozen.wait_level()
    here, there = frozen.shops.values()
    sku = frozen.a_sku()
    # the next write of shop-b hangs, so the hub is frozen in the middle of a push
    there.control.switch("F01", 0.0, force=1)
    fired = there.control.faults()["F01"]["fired"]
    here.buy(sku, 1)
    wait_until(lambda: there.control.faults()["F01"]["fired"] > fired)
    frozen.hub.send_signal(signal.SIGSTOP)
    engine = sqlalchemy.create_engine(postgres_url)
    with engine.begin() as connection:  # a minute goes by
        held = connection.execute(
            sqlalchemy.text(
                "UPDATE leases SET expires_at = expires_at - INTERVAL '1 hour' "
                "WHERE owner <> '' RETURNING name"
            )
        ).scalars()
        assert "push_stock:shop-b" in set(held) or "reconcile:shop-b" in set(held)
    engine.dispose()

    zombie, port = frozen.hub, frozen.port
    frozen.hub, frozen.port = None, 0
    frozen.configure(has_webhooks=False, poll_seconds=1, reconcile_seconds=5)
    try:
        frozen.port = _start_second(frozen, wait_until)
        here.buy(sku, 2)
        wait_until(lambda: there.shows(sku) == frozen.initial[sku] - 3, 90)
        zombie.send_signal(signal.SIGCONT)
        second, frozen.port = frozen.port, port
        wait_until(lambda: _lost(frozen), 40, "the one that slept is refused its commits")
        frozen.port = second
        here.buy(sku, 1)
        wait_until(lambda: frozen.compare().is_clean, 90, "hub and shops agree")
        assert there.shows(sku) == frozen.initial[sku] - 4
        assert frozen.json("ledger", "verify")["ok"]
    finally:
        zombie.send_signal(signal.SIGCONT)
        zombie.terminate()
        assert zombie.wait(40) == 0


def _start_second(town, wait_until) -> int:
    """A second daemon, on a port of its own."""
    town.port = town.free_port()
    town.configure(has_webhooks=False, poll_seconds=1, reconcile_seconds=5)
    town.start_hub()
    return town.port


def _lost(town) -> bool:
    text = town.ask("/metrics")[2].decode()
    return bool(re.search(r'flow_runs_total\{[^}]*outcome="lease_lost"[^}]*\} [1-9]', text))
