"""Several processes on one database: leases and their tokens, wake-ups, the one daemon."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from oms_sync.flows.ports import LeaseLost
from oms_sync.runtime.clock import SystemClock, SystemIds
from oms_sync.storage import connections
from oms_sync.storage.engine import StorageOptions, open_storage
from oms_sync.storage.errors import DatabaseBusy, DatabaseDown, SecondDaemon, StorageError
from oms_sync.storage.tokens import REFRESH_SECONDS_MAX

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

LEASE = "reserve:shop-a"


@pytest.mark.proves("I-32", "F48")
def test_a_zombie_cannot_commit_after_its_lease_was_taken(storage, clock, build):
    zombie = storage.leases.acquire(LEASE, "one", 60)
    assert storage.leases.acquire(LEASE, "two", 60) is None
    clock.advance(61)
    with storage.open_work(zombie) as work:  # late, but nobody took it: still the only one
        work.orders.add([build.order("1")])
        work.commit()
    heir = storage.leases.acquire(LEASE, "two", 60)
    assert heir.token == zombie.token + 1
    with storage.open_work(zombie) as work:
        work.orders.add([build.order("2")])
        with pytest.raises(LeaseLost):
            work.commit()
    with storage.open_work(heir) as work:
        assert set(work.orders.lock_by_channel_ids("shop-a", ["1", "2"])) == {"1"}
        work.commit()
    assert not storage.leases.renew(zombie, 60)
    storage.leases.release(zombie)
    assert storage.leases.renew(heir, 60)
    storage.leases.release(heir)
    assert storage.leases.acquire(LEASE, "one", 60).token == heir.token + 1


@pytest.mark.proves("I-32")
def test_the_same_owner_taking_a_lease_again_outdates_its_first_token(storage, clock):
    first = storage.leases.acquire(LEASE, "one", 60)
    clock.advance(61)
    storage.leases.acquire(LEASE, "one", 60)
    with pytest.raises(LeaseLost), storage.open_work(first) as work:
        work.commit()


@pytest.mark.proves("I-31", "I-34")
def test_an_owner_that_could_not_give_its_lease_back_takes_it_again_at_once(storage):
    kept = storage.leases.acquire(LEASE, "one", 60)
    again = storage.leases.acquire(LEASE, "one", 60)
    assert again.token == kept.token + 1
    assert storage.leases.acquire(LEASE, "two", 60) is None
    storage.leases.release(kept)  # late, and no longer ours to give back
    assert storage.leases.acquire(LEASE, "two", 60) is None
    with pytest.raises(LeaseLost), storage.open_work(kept) as work:
        work.commit()


@pytest.mark.proves("I-31")
def test_leases_of_the_dead_are_cleared_and_their_tokens_void(storage):
    dead = storage.leases.acquire(LEASE, "dead", 60)
    storage.leases.clear([LEASE, "never:held"])
    with pytest.raises(LeaseLost), storage.open_work(dead) as work:
        work.commit()
    assert storage.leases.acquire(LEASE, "new", 60).token > dead.token


def test_work_left_without_a_commit_changes_nothing_and_wakes_nobody(storage, build):
    woken = []
    storage.on_wake.append(lambda *which: woken.append(which))
    with storage.open_work() as work:
        work.orders.add([build.order("1")])
        work.wake("reserve", "shop-a")
    assert woken == []
    assert storage.reports.orders() == []
    with storage.open_work() as work:
        work.wake("reserve", "shop-a")
        work.wake("reserve", "shop-a")
        work.commit()
    assert woken == [("reserve", "shop-a")]


def test_whoever_is_woken_may_write_at_once(storage, build):
    def write(flow, account):
        with storage.open_work() as work:
            work.orders.add([build.order(flow)])
            work.commit()

    storage.on_wake.append(write)
    with storage.open_work() as work:
        work.wake("reserve", "shop-a")
        work.commit()
    assert len(storage.reports.orders()) == 1


@only_sqlite
def test_a_second_unit_of_work_in_one_thread_is_refused_on_sqlite(storage):
    with storage.open_work(), pytest.raises(StorageError, match="already"), storage.open_work():
        pass
    with storage.open_work() as work:
        work.commit()


def _wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def test_a_commit_of_another_process_wakes_the_daemon_within_a_second(database_url, keys):
    def opened(*, announces):
        return open_storage(
            database_url,
            keys=keys,
            clock=SystemClock(),
            ids=SystemIds(),
            options=StorageOptions(announces=announces),
        )

    daemon, command = opened(announces=False), opened(announces=True)
    woken, stopping = [], threading.Event()
    with command.open_work() as work:  # before the daemon watches: delivered when it does
        work.wake("ingest", "early")
        work.commit()
    thread = threading.Thread(
        target=daemon.watch, args=(lambda *which: woken.append(which), stopping.is_set)
    )
    thread.start()
    try:
        _wait_for(lambda: ("ingest", "early") in woken)
        for number in range(3):
            began = time.monotonic()
            with command.open_work() as work:
                work.wake("push_stock", f"shop-{number}")
                work.commit()
            _wait_for(lambda one=("push_stock", f"shop-{number}"): one in woken)
            assert time.monotonic() - began < 1
    finally:
        stopping.set()
        thread.join(5)
        daemon.close()
        command.close()
    assert not thread.is_alive()
    assert len(woken) == 4


@pytest.mark.proves("F49")
def test_a_second_daemon_on_one_sqlite_file_is_refused(open_store, database_url):
    first, second = open_store(), open_store()
    first.claim_daemon()
    first.claim_daemon()
    if not database_url.startswith("sqlite"):
        second.claim_daemon()  # PostgreSQL serves several nodes
        return
    with pytest.raises(SecondDaemon, match="stop it first"):
        second.claim_daemon()
    first.close()
    second.claim_daemon()


@pytest.mark.proves("I-35", "F28")
def test_one_refresher_at_a_time_holds_the_lock(open_store, clock):
    one, two = open_store().tokens("shop-a"), open_store().tokens("shop-a")
    began = clock.now()
    with one.locked():
        pass
    with two.locked(), open_store().tokens("shop-b").locked():
        assert clock.now() == began  # free: nobody had to wait
        with one.locked():  # a refresher that died holds it no longer than a refresh may take
            assert (clock.now() - began).total_seconds() >= REFRESH_SECONDS_MAX


@pytest.mark.proves("I-34", "F45")
def test_a_database_out_of_reach_is_said_and_not_hidden(storage, database_url, keys, clock):
    if database_url.startswith("sqlite"):
        with pytest.raises(DatabaseDown):
            open_storage("sqlite:////nowhere/at/all.db", keys=keys, clock=clock, ids=SystemIds())
        return
    unreachable = database_url.rpartition("/")[0] + "/there_is_no_such_database"
    with pytest.raises(DatabaseDown):
        open_storage(unreachable, keys=keys, clock=clock, ids=SystemIds())


@pytest.mark.proves("I-34")
def test_an_url_of_another_kind_is_refused(keys, clock):
    for url in ("sqlite://", "sqlite:///:memory:", "mysql://host/name"):
        with pytest.raises(StorageError, match="sqlite:///FILE"):
            open_storage(url, keys=keys, clock=clock, ids=SystemIds())


def test_a_relative_path_is_relative_to_the_given_folder(keys, clock, tmp_path):
    opened = open_storage(
        "sqlite:///deep.db",
        keys=keys,
        clock=clock,
        ids=SystemIds(),
        options=StorageOptions(base_dir=tmp_path),
    )
    opened.close()
    assert (tmp_path / "deep.db").exists()
    assert not Path("deep.db").exists()


@only_sqlite
@pytest.mark.proves("I-03", "F46")
def test_sqlite_runs_with_the_settings_it_promises(storage):
    driver = storage._database.engine.raw_connection()
    found = {
        name: driver.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    driver.close()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.proves("I-31", "I-34", "F48")
def test_a_frozen_process_loses_its_row_locks_and_its_transaction(database_url, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS_MAX", 1)
    frozen, other = (
        connections.Database(database_url, base_dir=Path(), pool_size=1) for _ in range(2)
    )
    begun = time.monotonic()
    with frozen.write() as asleep:
        asleep.run(text("CREATE TABLE one (a int)"))
        asleep.run(text("INSERT INTO one VALUES (1)"))
        asleep.commit()
        asleep.run(text("SELECT a FROM one FOR UPDATE"))
        with other.write() as awake:  # waits until PostgreSQL has ended the sleeper
            awake.run(text("UPDATE one SET a = 2"))
            awake.commit()
        with pytest.raises(DatabaseBusy, match="idle-in-transaction"):
            asleep.run(text("UPDATE one SET a = 3"))
    assert time.monotonic() - begun < 30
    with other.read() as awake:
        assert awake.row(text("SELECT a FROM one")).a == 2
    frozen.close()
    other.close()
