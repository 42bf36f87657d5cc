"""A real hub beside a look-alike channel: its budget and its calls outlive it."""

import json
import time

import pytest

from oms_sync import bootstrap
from oms_sync.runtime.settings import parse_settings
from oms_sync.sdk import Priority
from oms_sync.sdk.seeding import SandboxOptions
from oms_sync.storage.crypto import create_key_file

SECONDS_MAX = 20


@pytest.fixture
def sandbox():
    options = SandboxOptions(account="shop-a", skus=8, limits_published=True)
    with bootstrap.open_sandbox("shopify", options) as (made, _):
        yield made


@pytest.fixture
def config_path(sandbox, database_url, tmp_path):
    create_key_file(tmp_path / "oms-sync.key")
    entry = {**sandbox.account_entry(), "mode": "live", "poll_seconds": 1}
    document = {
        "version": 1,
        "database": {"url": database_url},
        "web": {"port": 0},
        "accounts": [entry],
    }
    path = tmp_path / "oms-sync.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    return path


@pytest.fixture
def build(config_path):
    """Build a hub; all are stopped with the test."""
    made = []

    def make():
        settings = parse_settings(config_path.read_text(), file=config_path)
        made.append(bootstrap.build_hub(settings))
        return made[-1]

    yield make
    for hub in made:
        hub.stop()


def _rows(hub) -> dict:
    seen: dict = {}
    hub.storage.budgets.change("shop-a", None, lambda found, at: seen.update(found) or [])
    return seen


def _wait_for(condition) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.mark.slow
@pytest.mark.proves("I-26", "I-31")
def test_a_hub_leaves_its_budget_and_its_calls_to_the_next_one(build):
    hub = build()
    hub.start()
    # what runs meanwhile is shown by whoever asks, and not only at the end
    _wait_for(lambda: hub.storage.reports.calls("shop-a"))
    hub.stop()
    after = build()  # another process, as far as it can tell
    (record,) = _rows(after).values()
    assert record.spent > 0
    assert record.learnt_at is not None, "the shop says what is left with every answer"
    calls = after.storage.reports.calls("shop-a")
    assert record.operation in {call["operation"] for call in calls}
    assert all(call["status"] == "200" and call["duration_seconds"] > 0 for call in calls)
    shown = after.storage.reports.account("shop-a")
    assert [one["operation"] for one in shown["rate_budget"]] == [record.operation]


@pytest.mark.slow
@pytest.mark.proves("I-26", "I-31")
def test_a_hub_begins_with_what_the_last_one_left(build):
    hub = build()
    gate = hub.wirings["shop-a"].gate
    gate.learn("graphql", available=5, capacity=2_000, refill_per_second=0.001)
    gate.spend("graphql", cost=4, priority=Priority.WRITE)
    hub.stop()
    after = build()
    gate = after.wirings["shop-a"].gate
    gate.spend("graphql", cost=0.5, priority=Priority.WRITE)
    assert gate.budget()[0]["available"] < 1
