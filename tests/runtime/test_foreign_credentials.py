"""A whole hub whose account was given another shop's credentials: nothing is read or written."""

import json
import time
import urllib.request
from datetime import UTC, datetime

import pytest

from oms_sync import bootstrap
from oms_sync.cli.desk import command_context
from oms_sync.flows.commands.accounts import adopt
from oms_sync.flows.upkeep import Identity
from oms_sync.runtime.settings import parse_settings
from oms_sync.sdk.sandbox import SandboxOptions
from oms_sync.storage.crypto import create_key_file

WAIT = 20


def _wait(is_so) -> bool:
    deadline = time.monotonic() + WAIT
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _order(sandbox) -> str:
    sku = next(iter(sandbox.truth()["quantities"]))
    body = json.dumps({"lines": [{"channel_sku": sku, "quantity": 1}]}).encode()
    base = sandbox.account_entry()["endpoint"].split("/_")[0]
    request = urllib.request.Request(f"{base}/_sandbox/orders", body, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
        return json.load(answer)["channel_order_id"]


@pytest.fixture
def place(tmp_path):
    """A look-alike shop, and the configuration of a hub that sells there."""
    create_key_file(tmp_path / "oms-sync.key")
    path = tmp_path / "oms-sync.yaml"
    with bootstrap.open_sandbox("shopify", SandboxOptions(account="shop-a", skus=2)) as (made, _):
        entry = {**made.account_entry(), "mode": "live", "poll_seconds": 1}
        path.write_text(json.dumps({"version": 1, "web": {"port": 0}, "accounts": [entry]}))
        yield made, path


@pytest.mark.slow
@pytest.mark.proves("I-39", "F29")
def test_nothing_is_asked_but_whose_they_are_until_an_operator_says_it_is_right(place, events):
    sandbox, path = place
    hub = bootstrap.build_hub(parse_settings(path.read_text(), file=path))
    with hub.storage.open_work() as work:
        other = Identity(
            account="shop-a",
            channel_account_id="another.example",
            channel_account="Another Shop",
            kept_at=datetime(2026, 5, 1, tzinfo=UTC),
        )
        work.upkeep.put_identity(other)
        work.commit()
    placed = _order(sandbox)
    before = dict(sandbox.truth()["calls"])
    try:
        hub.start()
        assert _wait(lambda: any(one["event"] == "account.needs_reauth" for one in events))
        assert hub.dispatcher.wait_idle(WAIT)
        time.sleep(2.5)  # two polls would have come in
        asked = {
            name for name, count in sandbox.truth()["calls"].items() if count > before.get(name, 0)
        }
        assert asked <= {"shop", "locations", "currentAppInstallation"}, "the check alone"
        assert hub.storage.reports.orders(account="shop-a") == []
        with bootstrap.open_desk(path) as desk:
            session = desk.open_session("shop-a")
            adopt(command_context(desk), "shop-a", session.check())
            session.close()
        assert _wait(lambda: len(hub.storage.reports.orders(account="shop-a")) == 1)
        (order,) = hub.storage.reports.orders(account="shop-a")
        assert order["channel_order_id"] == placed
    finally:
        hub.stop()
