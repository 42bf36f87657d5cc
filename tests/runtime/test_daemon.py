"""A whole hub beside a look-alike channel: start, refusals, wake-ups, webhooks, drain."""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import timedelta

import pytest

from oms_sync import bootstrap
from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.settings import parse_settings
from oms_sync.runtime.tend import ClockSkewed
from oms_sync.sdk.sandbox import SandboxOptions
from oms_sync.storage.crypto import create_key_file
from oms_sync.storage.errors import SecondDaemon
from oms_sync.web.listeners import StartRefused

WAIT = 8


def _wait(is_so, seconds=WAIT) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def write_config(tmp_path):
    """Write a configuration; answers its path."""
    create_key_file(tmp_path / "oms-sync.key")

    def write(*accounts, url="sqlite:///oms-sync.db", **web):
        path = tmp_path / "oms-sync.yaml"
        document = {
            "version": 1,
            "database": {"url": url},
            "web": {"port": 0, **web},
            "accounts": list(accounts),
        }
        path.write_text(json.dumps(document))  # JSON is YAML
        return path

    return write


@pytest.fixture
def make_hub(write_config):
    """Build a hub; all are stopped with the test."""
    made = []

    def make(*accounts, **options):
        path = write_config(*accounts, **options)
        made.append(bootstrap.build_hub(parse_settings(path.read_text(), file=path)))
        return made[-1]

    yield make
    for hub in made:
        hub.stop()


@pytest.fixture
def sandbox():
    options = SandboxOptions(account="shop-a", skus=8)
    with bootstrap.open_sandbox("shopify", options) as (made, _):
        yield made


def _live(sandbox, **changes):
    return {**sandbox.account_entry(), "mode": "live", "poll_seconds": 1, **changes}


def _order(sandbox) -> str:
    entry = sandbox.account_entry()
    sku = next(iter(sandbox.truth()["quantities"]))
    body = json.dumps({"lines": [{"channel_sku": sku, "quantity": 1}]}).encode()
    base = entry["endpoint"].split("/_")[0]
    request = urllib.request.Request(f"{base}/_sandbox/orders", body, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
        return json.load(answer)["channel_order_id"]


def test_a_hub_without_accounts_starts_serves_and_stops(make_hub, events):
    hub = make_hub()
    assert not _serves(hub), "nobody is served before the start"
    hub.start()
    assert _get(f"{hub.url}/livez") == (200, b'{"alive":true}')
    assert _get(f"{hub.url}/readyz")[0] == 200
    shown = _get(f"{hub.url}/metrics")[1]
    assert b"oms_sync_flow_runs_total" in shown
    assert b'oms_sync_gaps_total{account="manual"} 0.0' in shown, "counters begin at zero"
    assert _get(f"{hub.url}/webhooks/nobody")[0] == 405
    assert hub.stop()
    assert not _serves(hub)
    named = [line["event"] for line in events if line["log_level"] != "debug"]
    assert named == ["hub.ready", "hub.draining", "hub.stopped"]
    assert not [each for each in threading.enumerate() if each.name in _OWN_THREADS]


_OWN_THREADS = {"inbox-writer", "lease-keeper", "housekeeping", "wake-watch"}


def _serves(hub) -> bool:
    try:
        return _get(f"{hub.url}/livez")[0] == 200
    except (urllib.error.URLError, OSError):
        return False


def test_orders_come_in_by_polling_alone(make_hub, sandbox):
    hub = make_hub(_live(sandbox))
    hub.start()
    channel_order_id = _order(sandbox)
    assert _wait(
        lambda: any(
            order["channel_order_id"] == channel_order_id
            for order in hub.storage.reports.orders(account="shop-a")
        )
    )
    assert hub.storage.reports.account("shop-a")["state"] == "ok"


def test_a_hub_on_postgresql_takes_orders_in_and_notices_other_processes(
    make_hub, sandbox, postgres_url, write_config
):
    hub = make_hub(_live(sandbox, poll_seconds=600), url=postgres_url)
    hub.start()
    assert _get(f"{hub.url}/readyz")[0] == 200
    assert hub.dispatcher.wait_idle(WAIT)
    runs = hub.runner.run
    seen: list[tuple[str, str]] = []
    hub.dispatcher._run = lambda *key: (seen.append(key), runs(*key))[1]
    with (
        bootstrap.open_desk(write_config(_live(sandbox), url=postgres_url)) as desk,
        desk.open_work() as work,
    ):
        work.wake("push_stock", "shop-a")
        work.commit()
    assert _wait(lambda: ("push_stock", "shop-a") in seen, 3)
    assert hub.stop()


@pytest.mark.proves("F49")
def test_a_second_daemon_on_one_sqlite_file_is_refused(make_hub):
    make_hub()
    with pytest.raises(SecondDaemon, match="already runs"):
        make_hub()


def test_a_port_in_use_is_refused_with_a_sentence(make_hub):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=f"cannot listen on 127.0.0.1:{port}"):
            make_hub(port=port)
    make_hub()  # the database was given back


@pytest.mark.proves("I-34", "F45")
def test_a_part_that_cannot_end_does_not_keep_the_others_from_it(make_hub, monkeypatch, events):
    hub = make_hub()
    hub.start()

    def away() -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(hub.daemon._parts.leases, "release_all", away)
    assert hub.stop()
    said = [line["event"] for line in events if line["log_level"] != "debug"]
    assert said[-2:] == ["hub.stumbled", "hub.stopped"]
    make_hub().start()  # the database was given back all the same


@pytest.mark.proves("I-39")
def test_an_account_with_wrong_settings_is_disabled_and_the_others_run(make_hub, sandbox, events):
    wrong = {**_live(sandbox), "name": "wrong", "settings": {"shop": "not a shop!"}}
    unknown = {**_live(sandbox), "name": "unknown", "connector": "nowhere"}
    off = {**_live(sandbox), "name": "off", "enabled": False}
    hub = make_hub(wrong, _live(sandbox), unknown, off)
    assert set(hub.wirings) == {"manual", "shop-a"}  # orders from files need no channel
    disabled = [line for line in events if line["event"] == "account.disabled"]
    assert {line["account"] for line in disabled} == {"wrong", "unknown"}
    assert all(line["reason"] for line in disabled)
    hub.start()
    assert _get(f"{hub.url}/readyz")[0] == 200


@pytest.mark.proves("O-09", "F31")
def test_a_hub_whose_clock_is_off_the_channels_does_not_start(make_hub, sandbox, monkeypatch):
    hub = make_hub(_live(sandbox))
    real = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda self: real(self) + timedelta(minutes=10))
    with pytest.raises(ClockSkewed, match="set this machine's clock"):
        hub.start()
    assert not _serves(hub)


@pytest.mark.proves("I-41")
def test_a_commit_of_another_process_wakes_the_daemon_at_once(make_hub, sandbox, write_config):
    hub = make_hub(_live(sandbox, poll_seconds=600))
    hub.start()
    assert hub.dispatcher.wait_idle(WAIT)
    woken: list[tuple[str, str]] = []
    original = hub.dispatcher.wake
    hub.daemon._parts.dispatcher.wake = lambda *key: (woken.append(key), original(*key))
    path = write_config(_live(sandbox, poll_seconds=600))
    with bootstrap.open_desk(path) as desk, desk.open_work() as work:
        work.wake("push_stock", "shop-a")
        work.commit()
    begun = time.monotonic()
    assert _wait(lambda: ("push_stock", "shop-a") in woken)
    assert time.monotonic() - begun < 1


def test_a_desk_opens_sessions_of_its_own(write_config, sandbox):
    path = write_config(_live(sandbox))
    with bootstrap.open_desk(path) as desk:
        session = desk.open_session("shop-a")
        try:
            assert session.check().channel_account
        finally:
            session.close()
        assert desk.manifest("shop-a").id == "shopify"
        assert desk.reports.orders() == []


@pytest.mark.proves("I-31", "F47")
def test_leases_of_a_killed_daemon_do_not_hold_up_the_next_one(make_hub, sandbox):
    hub = make_hub(_live(sandbox))
    assert hub.storage.leases.acquire("ingest:shop-a", "the killed one", 60) is not None
    hub.stop()
    following = make_hub(_live(sandbox))
    following.start()
    channel_order_id = _order(sandbox)
    assert _wait(
        lambda: any(
            order["channel_order_id"] == channel_order_id
            for order in following.storage.reports.orders(account="shop-a")
        )
    )


@pytest.mark.proves("I-12")
def test_subscriptions_are_made_and_a_webhook_brings_the_order_in(make_hub, sandbox, events):
    port = _free_port()
    hub = make_hub(
        _live(sandbox, poll_seconds=600), port=port, public_url=f"http://127.0.0.1:{port}"
    )
    hub.start()
    assert _wait(lambda: any(line["event"] == "account.subscribed" for line in events))
    assert hub.dispatcher.wait_idle(WAIT)
    begun = time.monotonic()
    channel_order_id = _order(sandbox)
    assert _wait(
        lambda: any(
            order["channel_order_id"] == channel_order_id
            for order in hub.storage.reports.orders(account="shop-a")
        )
    )
    assert time.monotonic() - begun < 5


def _deliver(connection: socket.socket, body: bytes, secret: str) -> int:
    signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    head = (
        f"POST /webhooks/shop-a HTTP/1.1\r\nhost: hub\r\ncontent-length: {len(body)}\r\n"
        f"x-shopify-hmac-sha256: {signature}\r\nx-shopify-topic: orders/create\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    raw = b""
    while b"\r\n\r\n" not in raw:
        chunk = connection.recv(4096)
        assert chunk, "closed"
        raw += chunk
    return int(raw.split()[1])


@pytest.mark.slow
@pytest.mark.proves("I-03", "I-33")
def test_every_webhook_of_a_burst_is_stored_before_it_is_answered(make_hub, sandbox):
    entry = _live(sandbox, poll_seconds=600)
    secret = entry["settings"]["webhook_secret"]
    hub = make_hub(entry)
    hub.start()
    answers: list[int] = []
    clients, each = 20, 50

    def client(number: int) -> None:
        with socket.create_connection(("127.0.0.1", hub.listeners.listeners[0].port)) as connection:
            for count in range(each):
                body = json.dumps({"id": number * 1000 + count}).encode()
                answers.append(_deliver(connection, body, secret))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * clients * each
    # Distinct bodies never collapse: each is a row of its own, worked off or not.
    assert len(hub.storage.reports.inbox(limit=2 * clients * each)) >= clients * each


# --- as a process --------------------------------------------------------------------------------

_RUN = "import sys; from pathlib import Path; from oms_sync.bootstrap import run_hub; "
_RUN += "sys.exit(run_hub(Path(sys.argv[1])))"


@pytest.fixture
def start_process(tmp_path):
    """Start a hub as a process of its own; answers it once it is ready."""
    made = []

    def start(path) -> subprocess.Popen:
        with (tmp_path / "hub.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", _RUN, str(path)],
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        made.append(process)
        size = (tmp_path / "hub.log").stat().st_size
        log = tmp_path / "hub.log"
        assert _wait(lambda: b"hub.ready" in log.read_bytes()[size:] or process.poll(), 20)
        assert process.poll() is None, log.read_text()
        return process

    yield start
    for process in made:
        if process.poll() is None:
            process.kill()
        process.wait(10)


@pytest.mark.slow
@pytest.mark.proves("O-02")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_ends_with_status_0(
    start_process, write_config, sandbox, tmp_path, number
):
    process = start_process(write_config(_live(sandbox)))
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(30) == 0
    assert time.monotonic() - begun < 10
    log = (tmp_path / "hub.log").read_text()
    assert "hub.draining" in log
    assert "hub.stopped" in log
    assert "Traceback" not in log


@pytest.mark.slow
@pytest.mark.proves("I-31", "F47")
def test_a_killed_hub_comes_back_and_takes_in_what_it_missed(start_process, write_config, sandbox):
    path = write_config(_live(sandbox))
    process = start_process(path)
    placed = {_order(sandbox)}
    process.kill()
    process.wait(10)
    placed.add(_order(sandbox))
    start_process(path)
    placed.add(_order(sandbox))
    with bootstrap.open_desk(path) as desk:
        assert _wait(
            lambda: {order["channel_order_id"] for order in desk.reports.orders()} >= placed, 15
        )
