"""Commands that ask a channel, against a look-alike on loopback."""

import json

import pytest

from oms_sync import bootstrap
from oms_sync.sdk.seeding import SandboxOptions


@pytest.fixture
def connected(shell):
    """The shell, with its one account connected to a look-alike of eight SKUs."""
    with bootstrap.open_sandbox("shopify", SandboxOptions(skus=8)) as (sandbox, _):
        entry = sandbox.account_entry()
        text = json.dumps({"version": 1, "accounts": [entry]}, ensure_ascii=False)
        shell.write("oms-sync.yaml", text)
        yield shell, entry["name"]


@pytest.mark.slow
def test_an_account_is_tested_checked_and_its_listings_discovered(connected):
    shell, name = connected
    tested = shell.json("accounts", "test", name)
    assert (tested["account"], tested["problems"]) == (name, [])
    assert abs(tested["clock_skew_seconds"]) < 60
    assert f"{name}: connected as" in shell("check", "--online").stdout
    shell("stock", "set", "SKU-UNKNOWN", "1", "--reason", "count")
    first = shell.json("listings", "discover", name)
    assert first["found"] == len(first["unmatched"]) == 8
    assert "8 linked now" in shell("listings", "discover", name, "--create-skus").stdout
    again = shell.json("listings", "discover", name)
    assert (again["kept"], again["unmatched"]) == (8, [])
    assert {one["state"] for one in shell.json("listings", "list")} == {"uncounted"}
