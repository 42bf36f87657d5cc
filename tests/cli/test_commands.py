"""Every command: what it does, what it refuses, its JSON, and nothing else on standard output."""

import csv
import io
import json
import stat
from pathlib import Path

import pytest

from oms_sync.cli.main import hoist_config

ORDER = "manual:B2B-1"


def test_init_writes_both_files_for_their_owner_alone_and_replaces_none(shell):
    for name in ("oms-sync.yaml", "oms-sync.key"):
        assert stat.S_IMODE((shell.folder / name).stat().st_mode) == 0o600
    before = (shell.folder / "oms-sync.key").read_bytes()
    assert "is there already" in shell("init", status=1).stderr
    (shell.folder / "oms-sync.yaml").unlink()
    assert "is there already" in shell("init", status=1).stderr
    assert (shell.folder / "oms-sync.key").read_bytes() == before


def test_check_says_what_is_wrong_with_line_and_column(shell):
    assert "no faults, 1 of 1 accounts enabled" in shell("check").stdout
    shell.write("oms-sync.yaml", "version: 1\nweb: {prot: 1}\n")
    result = shell("check", status=2)
    assert f"{shell.folder / 'oms-sync.yaml'}:2:7: web.prot: " in result.stderr
    assert result.stdout == ""


def test_every_command_refuses_a_wrong_configuration_with_status_2(shell):
    shell.write("oms-sync.yaml", "version: 2\n")
    for args in (["stock", "list"], ["orders", "list"], ["run"]):
        assert "oms-sync.yaml:1:10: version: " in shell(*args, status=2).stderr


def test_check_online_names_what_cannot_be_reached(shell):
    result = shell("check", "--online", status=1)
    assert "shop-a: " in result.stderr
    assert "public_url is not set" in result.stderr


def test_the_schema_is_one_json_document(shell):
    assert json.loads(shell("config", "schema").stdout)["type"] == "object"


def test_config_may_stand_anywhere_on_the_line():
    assert hoist_config(["stock", "list", "--config", "a"]) == ["--config", "a", "stock", "list"]
    assert hoist_config(["a", "--config=b"]) == ["--config=b", "a"]
    assert hoist_config(["a", "--", "--config", "b"]) == ["a", "--", "--config", "b"]
    assert hoist_config(["a", "--config"]) == ["--config", "a"]


def test_a_sku_is_counted_adjusted_received_and_explained(shell):
    assert "TEE is a new SKU" in shell("stock", "set", "TEE", "10", "--reason", "count").stderr
    assert "10 → 7" in shell("stock", "adjust", "TEE", "-3", "--reason", "broken").stdout
    assert "7 → 9" in shell("stock", "adjust", "TEE", "+2", "--reason", "found").stdout
    assert "9 → 14" in shell("stock", "receive", "TEE", "5", "--location", "main").stdout
    shell("stock", "safety", "TEE", "4", "--reason", "display")
    (found,) = shell.json("stock", "list")
    assert found == shell.json("stock", "show", "TEE")
    assert (found["on_hand"], found["safety_stock"], found["available_to_sell"]) == (14, 4, 10)
    explained = shell.json("stock", "explain", "TEE")
    assert sum(term["amount"] for term in explained["terms"]) == explained["value"] == 10
    assert "TEE" in shell("stock", "list").stdout
    assert "main" in shell("stock", "show", "TEE").stdout
    assert "= 10 at" in shell("stock", "explain", "TEE").stdout
    assert shell.json("ledger", "verify") == {
        "rows": 4, "balances": 1, "ok": True, "first_bad": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "status", "complaint"),
    [
        (["set", "TEE", "1.5", "--reason", "x"], 2, "not a whole number"),
        (["set", "TEE", "１", "--reason", "x"], 2, "not a whole number"),  # noqa: RUF001
        (["set", "TEE", "5"], 2, "--reason"),
        (["set", " ", "5", "--reason", "x"], 2, "a SKU cannot be empty"),
        (["set", "TEE", "5", "--reason", "x", "--location", "moon"], 1, "no location 'moon'"),
        (["set", "TEE", "5", "--reason", "x", "--at", "yesterday"], 2, "with its zone"),
        (["adjust", "CUP", "1", "--reason", "x"], 1, "never counted"),
        (["adjust", "TEE", "-99", "--reason", "x"], 1, "too much"),
        (["adjust", "TEE", "-1", "--raeson", "x"], 2, ""),
        (["show", "CUP"], 1, "nobody knows the SKU"),
        (["explain", "TEE", "--account", "nobody"], 1, "no account"),
    ],
)
def test_a_wrong_change_of_stock_is_refused_with_its_status(
    stocked, unchanged, args, status, complaint
):
    result = stocked("stock", *args, status=status)
    assert complaint in result.stderr
    assert result.stdout == ""
    unchanged()


def test_stock_travels_as_csv(stocked, unchanged):
    text = stocked("stock", "export").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["sku"], row["on_hand"]) for row in rows] == [("MUG", "1"), ("TEE", "10")]
    bad = stocked.write("bad.csv", text + '"CUP","moon","1",""\n')
    assert f"{bad}:4: there is no location" in stocked("stock", "import", bad, status=1).stderr
    unchanged()
    result = stocked("stock", "import", bad, "--skip-bad")
    assert "skipped:" in result.stderr
    assert result.stdout == "2 counts recorded\n"
    stocked("stock", "export", "--output", str(stocked.folder / "out.csv"))
    assert (stocked.folder / "out.csv").read_text(encoding="utf-8") == text


def test_an_order_from_a_file_is_listed_and_shown_without_its_person(stocked):
    (listed,) = stocked.json("orders", "list")
    shown = stocked.json("orders", "show", ORDER)
    assert shown == stocked.json("orders", "show", listed["id"])
    assert (shown["state"], shown["total"], shown["currency"]) == ("open", "23.00", "EUR")
    assert [line["quantity_reserved"] for line in shown["lines"]] == [1, 2]
    assert {event["name"] for event in shown["timeline"]} >= {"order.imported", "order.reserved"}
    for result in (stocked("orders", "show", ORDER), stocked("orders", "list")):
        assert "Žižková" not in result.stdout
        assert max(len(line) for line in result.stdout.splitlines()) <= 100
    assert stocked.json("orders", "list", "--state", "held") == []
    assert stocked.json("orders", "list", "--account", "shop-a") == []
    assert len(stocked.json("orders", "list", "--since", "2026-04-30T00:00:00Z")) == 1
    assert stocked.json("orders", "list", "--since", "2026-05-01T00:00:00Z") == []
    assert len(stocked.json("orders", "list", "--sort", "ship-by")) == 1
    assert "no such orders" in stocked("orders", "list", "--state", "held").stderr


@pytest.mark.proves("O-15")
def test_revealing_a_person_is_logged_with_who_did_it(stocked):
    assert "revealed" not in str(stocked.json("orders", "show", ORDER)["timeline"])
    shown = stocked.json("orders", "show", ORDER, "--reveal")
    assert shown["recipient"]["name"] == "Zoë Žižková 李"
    (event,) = [one for one in shown["timeline"] if one["name"] == "order.revealed"]
    assert event["actor"].startswith("cli")
    assert event["detail"]["purpose"] == "orders show"
    assert "Žižková" in stocked("orders", "show", ORDER, "--reveal").stdout


def test_an_order_is_held_and_released(stocked):
    stocked("orders", "hold", ORDER, "--reason", "call first")
    assert stocked.json("orders", "show", ORDER)["state"] == "held"
    assert "manual" in stocked("orders", "list").stdout
    assert "held already" in stocked("orders", "hold", ORDER, "--reason", "x", status=1).stderr
    refused = stocked("ship", ORDER, "--carrier", "ups", "--tracking", "1", status=1)
    assert "held: manual" in refused.stderr
    assert "is open" in stocked("orders", "release", ORDER).stdout
    assert "not held" in stocked("orders", "release", ORDER, status=1).stderr
    assert "no order" in stocked("orders", "hold", "x:1", "--reason", "x", status=1).stderr


def test_bad_order_files_change_nothing(stocked, unchanged):
    path = stocked.write("bad.csv", "order,placed_at,currency,sku,quantity\nX,now,EUR,TEE,1\n")
    assert f"{path}:2: placed_at" in stocked("orders", "import", path, status=1).stderr
    stocked.drain()
    unchanged()
    assert (
        "0 new or changed" in stocked("orders", "import", str(stocked.folder / "orders.csv")).stdout
    )


@pytest.mark.proves("A40")
def test_orders_are_exported_one_row_a_line_and_inert(stocked):
    text = stocked("orders", "export").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["title"] for row in rows} == {"'=Tee", "Mug"}
    assert "Hauptstr" not in text
    revealed = stocked("orders", "export", "--reveal")
    assert "Hauptstr. 1" in revealed.stdout
    assert revealed.stdout.startswith('"account"'), "progress goes to standard error"
    path = stocked.folder / "orders-out.csv"
    stocked("orders", "export", "--reveal", "--output", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_refetch_needs_an_account_with_a_channel(stocked):
    assert "1 orders will be read again" in stocked("orders", "refetch", "shop-a:9").stdout
    assert "import the file again" in stocked("orders", "refetch", ORDER, status=1).stderr


def test_ship_sends_parts_in_packages(stocked):
    stocked(
        "ship", ORDER, "--carrier", "ups", "--tracking", "1Z1", "--tracking", "1Z2",
        "--line", "TEE=2", "--service", "ups_ground",
    )  # fmt: skip
    shown = stocked.json("orders", "show", ORDER)
    (shipment,) = shown["shipments"]
    assert [one["tracking_number"] for one in shipment["packages"]] == ["1Z1", "1Z2"]
    assert shipment["push"]["state"] == "confirmed", "nobody waits for news of a manual order"
    assert shown["state"] == "open"
    stocked("ship", ORDER, "--carrier", "dhl")
    assert stocked.json("orders", "show", ORDER)["state"] == "closed"
    assert "1Z1" in stocked("orders", "show", ORDER).stdout
    assert "closed" in stocked("ship", ORDER, "--carrier", "dhl", status=1).stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--line", "TEE"], "SKU=QTY"),
        (["--line", "TEE=0"], "QTY at least 1"),
        (["--carrier", "dhl", "--tracking", "1"], "once for every --tracking"),
        (["--tracking", " "], "may not be empty"),
    ],
)
def test_ship_refuses_wrong_usage_with_status_2(stocked, options, complaint):
    result = stocked("ship", ORDER, "--carrier", "ups", *options, status=2)
    assert complaint in " ".join(result.stderr.split())


def test_short_units_ship_only_when_found(stocked):
    stocked("stock", "adjust", "MUG", "-1", "--reason", "broken")
    args = ("ship", ORDER, "--carrier", "ups", "--tracking", "1", "--line", "MUG=1")
    assert "--found" in stocked(*args, status=1).stderr
    stocked(*args, "--found")
    assert stocked.json("stock", "show", "MUG")["on_hand"] == 0


@pytest.mark.proves("I-42")
def test_a_shipment_file_ships_once(stocked, unchanged):
    header = "order,sku,quantity,carrier,tracking\n"
    bad = stocked.write("bad.csv", header + f"{ORDER},TEE,2,ups,1Z1\n{ORDER},CUP,1,ups,1Z2\n")
    refused = stocked("shipments", "import", bad, status=1)
    assert f"{bad}:3: the order has no line 'CUP'" in refused.stderr
    unchanged()
    good = stocked.write("good.csv", header + f"{ORDER},TEE,2,ups,1Z1\n")
    assert stocked("shipments", "import", good).stdout == "1 shipments made, 0 known already\n"
    assert stocked("shipments", "import", good).stdout == "0 shipments made, 1 known already\n"
    assert stocked.json("stock", "show", "TEE")["on_hand"] == 8


def test_listings_are_linked_listed_pushed_and_exported(shell):
    shell("stock", "set", "TEE", "5", "--reason", "count")
    assert "sells TEE" in shell("listings", "link", "shop-a", "L1", "TEE", "--buffer", "1").stdout
    assert "new SKU" in shell("listings", "link", "shop-a", "L2", "CUP").stderr
    found = shell.json("listings", "list", "--account", "shop-a")
    assert [(one["channel_listing_id"], one["sku"]) for one in found] == [
        ("L1", "TEE"),
        ("L2", "CUP"),
    ]
    assert "2 listings" in shell("listings", "push", "--all").stdout
    assert "1 listings" in shell("listings", "push", "shop-a", "L1").stdout
    assert "no listing L9" in shell("listings", "push", "shop-a", "L9", status=1).stderr
    text = shell("listings", "export").stdout
    assert "2 listings imported" in shell("listings", "import", shell.write("l.csv", text)).stdout
    bad = shell.write("bad.csv", text + '"nobody","L1","x","x","",""\n')
    assert f"{bad}:4: " in shell("listings", "import", bad, status=1).stderr
    shell("listings", "unlink", "shop-a", "L2")
    assert "no linked listing" in shell("listings", "unlink", "shop-a", "L2", status=1).stderr
    preview = shell.json("accounts", "preview", "shop-a")
    assert {one["channel_listing_id"] for one in preview} == {"L1", "L2"}
    assert "L1" in shell("listings", "list").stdout
    assert "would change" in shell("accounts", "preview", "shop-a").stderr
    refused = shell("listings", "discover", "manual", status=1)
    assert "it has no listings" in refused.stderr


def test_accounts_are_paused_and_resumed(shell):
    (account,) = shell.json("accounts", "list")
    assert {"name", "connector", "mode", "state", "reason", "last_order_poll_at"} <= set(account)
    shell("accounts", "pause", "shop-a", "--reason", "stocktaking")
    assert "paused already" in shell("accounts", "pause", "shop-a", status=1).stderr
    shell("accounts", "resume", "shop-a")
    assert "nothing to resume" in shell("accounts", "resume", "shop-a", status=1).stderr
    assert shell.json("accounts", "show", "shop-a")["name"] == "shop-a"
    assert "shop-a" in shell("accounts", "list").stdout
    assert "no account 'nobody'" in shell("accounts", "show", "nobody", status=1).stderr
    assert shell("accounts", "test", "shop-a", status=1).stdout == ""


@pytest.mark.proves("O-08")
def test_messages_are_listed_shown_replayed_and_dropped(stocked):
    (message,) = stocked.json("inbox", "list")
    assert stocked.json("inbox", "show", message["id"])["state"] == "done"
    assert "Hauptstr" not in stocked("inbox", "show", message["id"]).stdout
    assert "Hauptstr" in stocked("inbox", "show", message["id"], "--reveal").stdout
    assert "1 messages" in stocked("inbox", "replay", message["id"]).stdout
    assert len(stocked.json("inbox", "list", "--state", "new")) == 1
    assert "1 messages dropped" in stocked("inbox", "drop", message["id"], "--reason", "x").stdout
    assert (
        "cannot be dropped"
        in stocked("inbox", "drop", message["id"], "--reason", "x", status=1).stderr
    )
    assert message["id"][:8] in stocked("inbox", "list").stdout.replace("\n", "")
    assert stocked.json("dead-letters", "list") == []
    assert "no dead letters" in stocked("dead-letters", "list").stderr
    for args in (["replay"], ["drop", "--reason", "x"]):
        stocked("dead-letters", *args, status=2)
        assert (
            "there are no dead letters" in stocked("dead-letters", *args, "--all", status=1).stderr
        )
        refused = stocked("dead-letters", *args, message["id"], status=1)
        assert "no dead letters" in refused.stderr


def test_the_schema_of_the_database_is_upgraded_twice(shell):
    assert "up to date" in shell("db", "upgrade").stdout
    assert "up to date" in shell("db", "upgrade").stdout


def test_connectors_are_listed(shell, tmp_path):
    found = {one["name"]: one for one in shell.json("connectors", "list")}
    assert found["shopify"]["state"] == "ready"
    assert "push_stock" in found["shopify"]["capabilities"]
    (tmp_path / "oms-sync.yaml").unlink()
    assert "shopify" in shell("connectors", "list").stdout


def test_a_missing_key_file_is_a_clear_refusal(shell: Path):
    (shell.folder / "oms-sync.key").unlink()
    assert "oms-sync.key" in shell("stock", "list", status=1).stderr
