"""Forgetting somebody by hand: refused while an order needs the people, then shown as done."""

import csv
import io
from datetime import UTC, datetime

import pytest

from oms_sync.cli.packing_slip import _no_address

ORDER = "manual:B2B-1"
CANCELLED = """order,placed_at,currency,sku,quantity,unit_price,title,name,address1,city,country,\
cancelled
B2B-1,2026-04-30T09:00:00Z,EUR,TEE,2,9.50,=Tee,Zoë Žižková 李,Hauptstr. 1,Köln,DE,yes
B2B-1,2026-04-30T09:00:00Z,EUR,MUG,1,4.00,Mug,,,,,yes
"""


@pytest.fixture
def cancelled(stocked):
    """The order was cancelled; nothing needs its recipient any more."""
    stocked("orders", "import", stocked.write("cancelled.csv", CANCELLED))
    stocked.drain()
    assert stocked.json("orders", "show", ORDER)["state"] == "cancelled"
    return stocked


def test_an_order_under_way_is_not_erased_and_the_reason_is_said(stocked):
    refused = stocked("orders", "erase", ORDER, "--reason", "asked by mail", status=1)
    assert "manual:B2B-1: it is open; it can be erased once it is closed" in refused.stderr
    assert stocked.json("orders", "show", ORDER, "--reveal")["recipient"]["name"]


@pytest.mark.proves("C-51", "B-29")
def test_an_erased_order_says_when_instead_of_who(cancelled):
    done = cancelled("orders", "erase", ORDER, "--reason", "asked by mail")
    assert "1 orders erased, with 2 messages about them" in done.stdout
    found = cancelled.json("orders", "show", ORDER, "--reveal")
    assert (found["buyer"], found["recipient"], found["buyer_note"]) == (None, None, None)
    today = datetime.now(UTC).date().isoformat()
    assert found["erased_at"][:4] == today[:4]
    told = [one for one in found["timeline"] if one["name"] == "order.erased"]
    assert [one["detail"] for one in told] == [{"reason": "asked by mail"}]
    assert told[0]["actor"].startswith("cli")
    printed = cancelled("orders", "show", ORDER)
    assert f"personal data was erased on {found['erased_at'][:10]}" in printed.stderr
    everything = "".join(
        cancelled(*words).stdout
        for words in (
            ("orders", "show", ORDER, "--reveal"),
            ("orders", "export", "--reveal"),
            ("inbox", "list"),
            *(("inbox", "show", one["id"], "--reveal") for one in cancelled.json("inbox", "list")),
        )
    )
    assert "its bytes were destroyed" in everything
    assert "Köln" not in everything
    assert "Zoë" not in everything


def test_an_export_and_a_slip_of_an_erased_order_name_the_day(cancelled):
    cancelled("orders", "erase", ORDER, "--reason", "asked")
    exported = cancelled("orders", "export", "--reveal").stdout
    row = next(csv.DictReader(io.StringIO(exported)))
    assert (row["recipient_name"], row["city"]) == ("", "")
    assert row["erased_at"]
    slip = cancelled.folder / "slip.pdf"
    cancelled("orders", "slip", ORDER, "-o", str(slip))
    assert slip.read_bytes().startswith(b"%PDF-")
    assert _no_address({"erased_at": "2026-05-01T10:00:00Z"}) == (
        "Personal data was erased on 2026-05-01; look at the channel."
    )
    assert _no_address({}) == "No address is known; look at the channel."


def test_erasing_again_says_so_and_a_reason_is_wanted(cancelled):
    cancelled("orders", "erase", ORDER, "--reason", "asked")
    again = cancelled("orders", "erase", ORDER, "--reason", "asked")
    assert "was erased on" in again.stderr
    assert "0 orders erased" in again.stdout
    assert "reason" in cancelled("orders", "erase", ORDER, "--reason", " ", status=1).stderr
    cancelled("orders", "erase", ORDER, status=2)
    assert (
        "there is no order"
        in cancelled("orders", "erase", "manual:none", "--reason", "asked", status=1).stderr
    )
