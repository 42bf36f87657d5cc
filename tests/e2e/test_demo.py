"""The demo as a person starts it: real processes, real HTTP, a clean closing statement."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from oms_sync.cli.demo_stage import demo_accounts
from oms_sync.runtime.registry import load_registry

pytestmark = pytest.mark.slow

ACCOUNTS = tuple(demo_accounts(load_registry()))
SECONDS_MAX = 240
FAULTS = {"F01", "F02", "F03", "F04", "F05", "F06", "F07", "F08", "F09"}


def _demo(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "oms_sync", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def _statement(demo: subprocess.Popen[str]) -> dict:
    said, complaints = demo.communicate(timeout=SECONDS_MAX)
    assert demo.returncode == 0, f"exit {demo.returncode}\n{said[-2000:]}\n{complaints[-4000:]}"
    return json.loads(said.splitlines()[-1])


def _assert_clean(statement: dict) -> None:
    assert statement["orders_placed"] > 0
    assert statement["orders_lost"] == statement["orders_doubled"] == 0
    assert statement["orders_in_hub"] == statement["orders_placed"]
    assert statement["listings_drifted"] == 0
    assert statement["listings_total"] == 40 * len(ACCOUNTS)
    assert statement["shipments_made"] == statement["shipments_confirmed"] > 0
    assert statement["units_oversold"] == statement["units_short"]
    assert statement["skus_sold_out"] >= 4
    assert statement["settled_seconds"] <= 120
    assert statement["propagation_ms"]["p50"] > 0
    assert set(statement["channels"]) == set(ACCOUNTS)
    for channel in statement["channels"].values():
        assert channel["orders_placed"] > 0
        assert channel["published"]["push_seconds"] >= 0


@pytest.mark.proves("I-01", "I-02", "I-20", "I-28")
def test_a_short_demo_ends_clean_by_itself():
    arguments = ("--seconds", "8", "--seed", "1", "--orders-per-second", "5", "--json")
    statement = _statement(_demo(*arguments))
    _assert_clean(statement)
    assert statement["seed"] == 1
    assert not any(statement["faults_fired"].values())


def test_a_short_demo_ends_clean_on_postgres(postgres_url):
    arguments = ("--seconds", "8", "--seed", "1", "--orders-per-second", "5", "--json")
    statement = _statement(_demo(*arguments, OMS_SYNC_DEMO_DATABASE=postgres_url))
    _assert_clean(statement)


def test_a_demo_under_faults_ends_clean_and_had_faults():
    arguments = ("--seconds", "20", "--seed", "2", "--orders-per-second", "4")
    statement = _statement(_demo(*arguments, "--faults", "light", "--json"))
    _assert_clean(statement)
    assert set(statement["faults_fired"]) >= FAULTS
    # In a third of a minute not every channel has a chance of every kind, but each kind happened.
    silent = [kind for kind, count in statement["faults_fired"].items() if not count]
    assert silent == []


def test_ctrl_c_ends_the_demo_with_a_statement_and_leaves_no_process_behind():
    demo = _demo("--seed", "1", "--orders-per-second", "5")
    said: list[str] = []
    deadline = time.monotonic() + SECONDS_MAX
    for line in demo.stdout:
        said.append(line)
        if line.startswith("selling") and " 3." in line[:18]:
            break
        assert time.monotonic() < deadline, "".join(said)
    children = _children(demo.pid)
    assert len(children) == len(ACCOUNTS) + 1  # the hub
    demo.send_signal(signal.SIGINT)
    rest, complaints = demo.communicate(timeout=SECONDS_MAX)
    assert demo.returncode == 0, rest + complaints
    assert "closing statement" in rest
    assert "Clean:" in rest
    assert not [pid for pid in children if _is_running(pid)]


def test_the_shops_and_the_hub_end_when_the_demo_is_killed(tmp_path):
    demo = _demo("--seed", "1", TMPDIR=str(tmp_path))
    for line in demo.stdout:
        if line.startswith("hub ready"):
            break
    children = _children(demo.pid)
    assert len(children) == len(ACCOUNTS) + 1
    demo.kill()
    demo.communicate(timeout=SECONDS_MAX)
    deadline = time.monotonic() + 60
    while any(_is_running(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in children if _is_running(pid)]


def _children(parent: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, ppid in pairs if int(ppid) == parent]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
