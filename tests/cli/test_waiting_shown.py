"""What an operator is told of quantities that wait, and of the time an account needs."""

import pytest

from oms_sync import bootstrap
from oms_sync.domain.listing import want
from oms_sync.domain.looks import accept_look, look
from oms_sync.storage.reports.reader import Reports


def test_stock_explain_says_what_waits_and_what_the_channel_finds_wrong(stocked):
    stocked("listings", "link", "shop-a", "c-1", "TEE")
    with bootstrap.open_desk(stocked.folder / "oms-sync.yaml") as desk:
        desk.storage.record_profiles(desk.profiles.values())
        now = desk.clock.now()
        with desk.open_work() as work:
            (listing,) = work.listings.by_channel_ids("shop-a", ["c-1"]).values()
            looked = look(want(listing, 5), 5, read_at=now, at=now, problem="no main image")
            seen, _ = accept_look(looked, "overwrite")
            work.listings.save([want(seen, 8, at=now)])
            work.commit()
    said = stocked("stock", "explain", "TEE", "--account", "shop-a").stdout
    assert "listing c-1 shows 5 (behind): 3 more wait for the orders placed until 20" in said
    assert said.rstrip().endswith("; no main image")
    (row,) = stocked.json("listings", "list", "--account", "shop-a")
    assert (row["reason"], row["waits_for_orders_until"] is None) == ("no main image", False)
    assert "no main image" in stocked("listings", "list").stdout
    assert stocked.json("stock", "explain", "TEE")["listings"] == []


@pytest.mark.parametrize(("setting", "lag"), [(77, 77), (-1, 30)])
def test_the_time_to_drain_goes_by_the_accounts_own_lag(shell, monkeypatch, setting, lag):
    """Where its settings are wrong the account does not run: the connector's word will do."""
    asked = {}
    monkeypatch.setattr(
        Reports, "accounts", lambda self, *, settle_seconds: asked.update(settle_seconds) or []
    )
    text = (shell.folder / "oms-sync.yaml").read_text(encoding="utf-8")
    shell.json("accounts", "list")
    before = asked["shop-a"]
    own = f"settings: {{visibility_lag_seconds: {setting}, shop"
    shell.write("oms-sync.yaml", text.replace("settings: {shop", own))
    shell.json("accounts", "list")
    assert asked["shop-a"] - before == lag - 30
