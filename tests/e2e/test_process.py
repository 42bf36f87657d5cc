"""The process: it drains, refuses what cannot be right, and a frozen one does no harm."""

import signal
import threading
import time
from contextlib import closing

import psycopg
import pytest

from oms_sync.flows.commands.stock import adjust
from oms_sync.storage.crypto import create_key_file

pytestmark = pytest.mark.slow

QUIET_SECONDS = 2.0


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


@pytest.mark.proves("I-21", "F48")
def test_a_frozen_hub_that_wakes_after_its_lease_undoes_nothing(
    make_town, postgres_url, wait_until
):
    town = make_town(database_url=postgres_url)
    # no polls: the next request a shop sees is the push of the adjustment
    slow = {"has_webhooks": False, "poll_seconds": 3_600, "reconcile_seconds": 3_600}
    town.configure(**slow)
    town.seed()
    town.start_hub()
    town.wait_level()
    here, there = town.shops.values()
    wait_until(lambda: _is_quiet(there.control), 60, "what the hub reads at its start is read")
    sku = town.a_sku(10)
    ours = town.initial[sku]
    there.control.switch("F01", 0.0, force=3)
    adjust(town.context, sku, location="main", delta=-1, reason="broken")
    wait_until(lambda: there.control.faults()["F01"]["fired"], what="the push hangs")
    wait_until(lambda: _freeze(town.hub, postgres_url), what="frozen, and a minute goes by")

    zombie, port, town.port = town.hub, town.port, town.free_port()
    town.configure(**slow)
    try:
        town.start_hub()  # a second one beside it
        adjust(town.context, sku, location="main", delta=-2, reason="lost")
        wait_until(lambda: there.shows(sku) == ours - 3, 150)
        zombie.send_signal(signal.SIGCONT)
        wait_until(lambda: town.events("stock.outcome_unknown", account="shop-b"), 150)
        wait_until(lambda: town.ask("/readyz", port=port)[0] == 200, what="it is itself again")
        adjust(town.context, sku, location="main", delta=-3, reason="found out later")
        wait_until(lambda: here.shows(sku) == there.shows(sku) == ours - 6, 150)
        town.run("ledger", "verify")
    finally:
        zombie.send_signal(signal.SIGCONT)
        zombie.terminate()
        assert zombie.wait(40) == 0
    assert here.shows(sku) == there.shows(sku) == ours - 6
    assert town.desk.reports.stock_item(sku)["on_hand"] == ours - 6
    for shop in (here, there):
        pushed = [change.quantity for _, change in shop.control.changes(0) if change.sku == sku]
        assert pushed == sorted(pushed, reverse=True), "an old quantity came over a newer one"


def _is_quiet(control) -> bool:
    """Nobody has asked the shop anything for a while."""
    before = control.truth()["calls"]
    time.sleep(QUIET_SECONDS)
    return control.truth()["calls"] == before


def _freeze(hub, url: str) -> bool:
    """Stop it and let its leases run out; not in the middle of a transaction, whose locks
    PostgreSQL takes away after a minute only.
    """
    hub.send_signal(signal.SIGSTOP)
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as connection:
        connection.execute("SET lock_timeout = '300ms'")
        try:
            held = connection.execute(
                "UPDATE leases SET expires_at = 0 WHERE owner <> '' RETURNING name"
            ).fetchall()
        except psycopg.errors.LockNotAvailable:
            held = []
    if ("push_stock:shop-b",) not in held:
        hub.send_signal(signal.SIGCONT)
        return False
    return True
