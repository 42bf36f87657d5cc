"""Setting an account up at its channel, and the doctor, against look-alikes on loopback."""

import http.client
import json
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from oms_sync import bootstrap
from oms_sync.flows.upkeep import Identity
from oms_sync.sdk.seeding import SandboxOptions

HUB = "https://hub.example"
NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def connect(shell):
    """Connect the shell to a channel's look-alike; answers the account's name."""

    def make(channel, **changes):
        sandbox, _ = opened.enter_context(bootstrap.open_sandbox(channel, SandboxOptions(skus=2)))
        if channel == "amazon":
            sandbox.account.subscriptions.clear()
        entry = {**sandbox.account_entry(), "mode": "live", **changes}
        web = {"public_url": HUB}
        text = json.dumps({"version": 1, "web": web, "accounts": [entry]}, ensure_ascii=False)
        shell.write("oms-sync.yaml", text)
        return entry["name"]

    with ExitStack() as opened:
        yield make


def _follow(url):
    """What the owner's browser does: the page sends it back with a code."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 302
    return answer.getheader("location")


@pytest.mark.slow
@pytest.mark.parametrize("channel", ["amazon"])
def test_an_owner_authorizes_an_account_in_two_steps(shell, connect, channel):
    name = connect(channel)
    asked = shell.json("accounts", "authorize", name)
    back = _follow(asked["open"])
    forged = back.replace("state=", "state=x")
    refused = shell("accounts", "authorize", name, "--answer", forged, status=1)
    assert "another consent" in refused.stderr
    done = shell.json("accounts", "authorize", name, "--answer", back)
    assert done == {"account": name, "authorised": True}
    again = shell("accounts", "authorize", name, "--answer", back, status=1)
    assert "awaits no answer" in again.stderr
    assert shell.json("accounts", "test", name)["problems"] == []


@pytest.mark.slow
def test_an_account_that_asks_for_no_consent_says_where_its_credentials_stand(shell, connect):
    name = connect("shopify")
    refused = shell("accounts", "authorize", name, status=1)
    assert "stand in the configuration" in refused.stderr


@pytest.mark.slow
@pytest.mark.proves("F16")
@pytest.mark.parametrize(("channel", "kind"), [("shopify", "webhooks"), ("amazon", "queue")])
def test_subscribing_makes_what_is_missing_and_says_what_was_made(shell, connect, channel, kind):
    name = connect(channel)
    made = shell.json("accounts", "subscribe", name)
    assert made["account"] == name
    assert made[kind], "nothing was subscribed at first"
    assert shell.json("accounts", "subscribe", name)[kind] == []
    assert f"{kind}: all topics were there" in shell("accounts", "subscribe", name).stdout
    (shown,) = shell.json("accounts", "show", name)["subscriptions"]
    assert (shown["kind"], shown["seen_at"] is not None) == (kind, True)
    found = shell.json("doctor", "--offline")["findings"]
    assert [one["status"] for one in found if kind in one["said"]] == ["ok"]


@pytest.mark.slow
@pytest.mark.proves("I-33")
def test_an_account_in_shadow_mode_is_not_subscribed(shell, connect):
    name = connect("shopify", mode="shadow")
    assert "mode shadow" in shell("accounts", "subscribe", name, status=1).stderr
    assert shell.json("accounts", "show", name)["subscriptions"] == []


@pytest.mark.slow
def test_the_doctor_finds_a_connected_account_well_and_asks_its_channel(shell, connect):
    name = connect("shopify")
    found = shell.json("doctor")
    said = {one["place"]: one["status"] for one in found["findings"]}
    assert said["config"] == said["key file"] == said["database"] == said[f"{name} channel"] == "ok"
    assert found["fail"] == 0
    text = shell("doctor").stdout
    assert "accounts subscribe" in text, "an account that only polls is worth a warning"


def test_the_doctor_fails_with_a_remedy_for_each_thing_that_is_broken(shell):
    (shell.folder / "oms-sync.key").chmod(0o644)
    found = shell.json("doctor", status=1)
    failed = {one["place"]: one["remedy"] for one in found["findings"] if one["status"] == "fail"}
    assert failed["key file"].startswith("chmod 600 ")
    assert "shop-a channel" in failed, "nobody answers at its endpoint"
    assert found["fail"] == len(failed)


def test_offline_the_doctor_asks_no_channel(shell):
    places = {one["place"] for one in shell.json("doctor", "--offline")["findings"]}
    assert {"config", "key file", "database", "disk", "shop-a"} == places


def test_a_broken_configuration_is_the_doctors_only_finding(shell):
    shell.write("oms-sync.yaml", "version: 1\nwebb: {}\n")
    (found,) = shell.json("doctor", status=1)["findings"]
    assert (found["status"], found["place"]) == ("fail", "config")
    assert "2:1" in found["said"]


def test_another_installations_keys_are_the_databases_fault(shell):
    shell.json("doctor", "--offline")
    (shell.folder / "oms-sync.key").unlink()
    missing = shell.json("doctor", "--offline", status=1)["findings"]
    assert [one["place"] for one in missing if one["status"] == "fail"] == ["key file"]
    (shell.folder / "oms-sync.yaml").rename(shell.folder / "kept.yaml")
    shell("init")
    found = shell.json("doctor", "--offline", status=1)["findings"]
    assert [one["place"] for one in found if one["status"] == "fail"] == ["database"]
    assert "not the key file of the database" in found[-1]["said"]


def _desk(shell):
    return bootstrap.open_desk(shell.folder / "oms-sync.yaml")


def _be_another(shell, name):
    """Make the account some other shop than its credentials open."""
    other = Identity(
        account=name, channel_account_id="another", channel_account="Another Shop", kept_at=NOW
    )
    with _desk(shell) as desk, desk.open_work() as work:
        work.upkeep.put_identity(other)
        work.commit()


def _tokens(shell, name):
    with _desk(shell) as desk:
        return dict(desk.storage.tokens(name).load())


@pytest.mark.slow
@pytest.mark.proves("I-39", "I-35")
@pytest.mark.parametrize("channel", ["amazon", "ebay"])
def test_consent_of_another_seller_is_refused_and_the_old_tokens_stay(shell, connect, channel):
    name = connect(channel)
    shell.json("accounts", "authorize", name, "--answer", _asked(shell, name))
    before = _tokens(shell, name)["refresh_token"]
    (shown,) = shell.json("accounts", "list")
    own = shown["channel_account_id"]
    assert own
    _be_another(shell, name)
    back = _asked(shell, name)
    refused = shell("accounts", "authorize", name, "--answer", back, status=1)
    assert "Another Shop" in refused.stderr
    assert "Nothing was changed" in refused.stderr
    assert _tokens(shell, name)["refresh_token"] == before
    back = _asked(shell, name)
    shell("accounts", "authorize", name, "--answer", back, "--adopt")
    assert shell.json("accounts", "show", name)["channel_account_id"] == own
    assert _tokens(shell, name)["refresh_token"] != before
    assert shell.json("accounts", "test", name)["problems"] == []


def _asked(shell, name):
    return _follow(shell.json("accounts", "authorize", name)["open"])


@pytest.mark.slow
@pytest.mark.proves("I-39")
def test_credentials_of_another_shop_are_told_and_nothing_is_done_with_them(shell, connect):
    name = connect("shopify")
    _be_another(shell, name)
    (problem,) = shell.json("accounts", "test", name, status=1)["problems"]
    assert "Another Shop (another)" in problem
    for command in (["accounts", "subscribe", name], ["listings", "discover", name]):
        assert "these credentials open" in shell(*command, status=1).stderr
    assert shell.json("listings", "list") == []
    own = shell.json("accounts", "adopt", name)["channel_account_id"]
    assert shell.json("accounts", "show", name)["channel_account_id"] == own
    assert shell.json("accounts", "test", name)["problems"] == []
    again = shell("accounts", "adopt", name, status=1)
    assert "already" in again.stderr
    shell("listings", "discover", name)
    assert shell.json("accounts", "show", name)["discovered_at"] is not None
