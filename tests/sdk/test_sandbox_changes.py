"""The change log of a sandbox: numbered without gaps, bounded, paged."""

from datetime import UTC, datetime

import pytest

from oms_sync.sdk import sandbox_changes
from oms_sync.sdk.sandbox_changes import ChangeLog

NOON = datetime(2026, 1, 1, 12, 0, 0, 250, tzinfo=UTC)


def _log(count: int) -> ChangeLog:
    log = ChangeLog()
    for quantity in range(count):
        log.add(NOON, "TEE", quantity=quantity, delta=1, is_hub=quantity % 2 == 1)
    return log


def test_a_change_says_when_what_and_by_whom():
    assert _log(2).after(1) == [
        {
            "number": 2,
            "at": "2026-01-01T12:00:00.000250Z",
            "channel_sku": "TEE",
            "quantity": 1,
            "delta": 1,
            "is_hub": True,
        }
    ]


@pytest.mark.parametrize("after", [0, 1, 4, 5, 9])
def test_changes_after_a_number_are_exactly_the_later_ones(after):
    numbers = [change["number"] for change in _log(5).after(after)]
    assert numbers == list(range(after + 1, 6))


def test_the_oldest_are_forgotten_and_a_page_is_bounded(monkeypatch):
    monkeypatch.setattr(sandbox_changes, "CHANGES_KEPT_MAX", 4)
    monkeypatch.setattr(sandbox_changes, "CHANGES_ANSWERED_MAX", 3)
    log = _log(10)
    assert [change["number"] for change in log.after(0)] == [7, 8, 9]
    assert [change["number"] for change in log.after(9)] == [10]
