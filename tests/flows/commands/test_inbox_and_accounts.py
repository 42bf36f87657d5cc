"""Messages worked off again or dropped; accounts paused, resumed, previewed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from oms_sync.flows.commands import accounts, inbox
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.identity import OtherAccount, recognise
from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.sdk import AccountCheck

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def bury_one(bench, body=b"{}"):
    with bench.storage.open_work() as work:
        work.inbox.add(
            [
                NewMessage(
                    account="shop-a",
                    topic="order",
                    source=MessageSource.POLL,
                    body=body,
                    received_at=bench.clock.now(),
                    channel_order_id="1",
                )
            ]
        )
        (message,) = work.inbox.lock_new("shop-a", list(MessageSource), 10)
        work.inbox.bury(message.message_id, "nonsense", at=bench.clock.now())
        work.commit()
    return message.message_id


def has_new(bench):
    with bench.storage.open_work() as work:
        return work.inbox.has_new("shop-a")


@pytest.mark.proves("O-08")
def test_a_dead_letter_is_worked_off_again(bench):
    message_id = bury_one(bench)
    assert not has_new(bench)
    assert inbox.replay(bench.context, [message_id]) == 1
    assert has_new(bench)
    assert ("normalise", "shop-a") in bench.wakes


@pytest.mark.proves("O-08")
def test_a_dropped_message_needs_a_reason_and_can_be_replayed_later(bench):
    message_id = bury_one(bench)
    with pytest.raises(CommandRefused, match="say why"):
        inbox.drop(bench.context, [message_id], reason=" ")
    assert inbox.drop(bench.context, [message_id], reason="test order") == 1
    with pytest.raises(CommandRefused, match="cannot be dropped"):
        inbox.drop(bench.context, [message_id], reason="test order")
    assert inbox.replay(bench.context, [message_id]) == 1


def test_one_unknown_message_and_nothing_is_replayed(bench):
    message_id = bury_one(bench)
    with pytest.raises(CommandRefused, match="nonsense: cannot be replayed"):
        inbox.replay(bench.context, [message_id, "nonsense"])
    assert not has_new(bench)
    with pytest.raises(CommandRefused, match="no message was named"):
        inbox.replay(bench.context, [])


def record(bench, name="shop-a"):
    with bench.storage.open_work() as work:
        return work.accounts.get(name)


@pytest.mark.proves("O-14")
def test_a_pause_stays_until_it_is_resumed(bench):
    accounts.pause(bench.context, "shop-a", reason="stocktaking")
    assert (record(bench).is_paused, record(bench).reason) == (True, "stocktaking")
    with pytest.raises(CommandRefused, match="paused already"):
        accounts.pause(bench.context, "shop-a", reason="")
    bench.wakes.clear()
    accounts.resume(bench.context, "shop-a")
    assert not record(bench).is_paused
    assert {flow for flow, _ in bench.wakes} == set(accounts.FLOWS)
    with pytest.raises(CommandRefused, match="nothing to resume"):
        accounts.resume(bench.context, "shop-a")
    with pytest.raises(CommandRefused, match="there is no account"):
        accounts.pause(bench.context, "nobody", reason="")


def test_a_preview_puts_the_largest_decrease_first():
    def row(name, expected, quantity, sku="S"):
        return {
            "channel_listing_id": name,
            "channel_sku": name,
            "sku": sku,
            "expected": expected,
            "channel_quantity": quantity,
        }

    found = accounts.preview(
        [
            row("same", 5, 5),
            row("up", 1, 9),
            row("unseen", None, 4),
            row("down", 9, 2),
            row("loose", 3, None, sku=None),
            row("uncounted", 3, None),
        ]
    )
    assert [one["channel_sku"] for one in found[:3]] == ["down", "same", "up"]
    actions = {one["channel_sku"]: one["action"] for one in found}
    assert actions["down"] == "9 → 2"
    assert actions["same"] == "keep"
    assert "unlinked" in actions["loose"]
    assert "uncounted" in actions["uncounted"]
    assert "looked at" in actions["unseen"]


@pytest.mark.parametrize(
    ("changes", "percent", "would_change", "units_off"),
    [
        ([0, 0, 0, -3], 75.0, 1, 3),
        ([2, -2, None], 0.0, 2, 4),
        ([None, None], None, 0, 0),
        ([], None, 0, 0),
    ],
)
def test_a_preview_says_how_far_it_agrees(changes, percent, would_change, units_off):
    stands = accounts.agreement([{"change": change} for change in changes])
    assert (stands["percent"], stands["would_change"]) == (percent, would_change)
    assert stands["units_off"] == units_off
    assert stands["compared"] == stands["agreeing"] + stands["would_change"]


def shop(number):
    return AccountCheck(
        channel_account=f"Shop {number}", channel_account_id=number, channel_time=NOW
    )


@pytest.mark.proves("I-39")
def test_an_account_is_made_another_shop_by_name_and_runs_again(bench):
    accounts.adopt(bench.context, "shop-a", shop("1"))
    with bench.storage.open_work() as work:
        work.accounts.put(replace(work.accounts.get("shop-a"), health="needs_reauth", reason="x"))
        work.commit()
    with pytest.raises(CommandRefused, match="is Shop 1 already"):
        accounts.adopt(bench.context, "shop-a", shop("1"))
    bench.wakes.clear()
    accounts.adopt(bench.context, "shop-a", shop("2"))
    assert (record(bench).health, record(bench).reason) == ("ok", "")
    assert ("tend", "shop-a") in bench.wakes
    with bench.storage.open_work() as work:
        assert work.upkeep.identity("shop-a").channel_account == "Shop 2"
    with pytest.raises(OtherAccount, match="open Shop 1"):
        recognise(bench.storage.open_work, "shop-a", shop("1"), clock=bench.clock)
