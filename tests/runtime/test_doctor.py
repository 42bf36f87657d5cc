"""What the doctor says of what it is shown, and that every trouble has its remedy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oms_sync.runtime import doctor
from oms_sync.runtime.config_faults import Fault
from oms_sync.sdk import Capability

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOOKS = frozenset({Capability.RECEIVE_WEBHOOKS})
QUEUE = frozenset({Capability.PULL_NOTIFICATIONS})


def _account(**changes):
    return {
        "name": "shop-a",
        "mode": "live",
        "state": "ok",
        "reason": "",
        "gaps": [],
        "subscriptions": [],
        **changes,
    }


def _statuses(found):
    assert all(one.remedy for one in found if one.status != "ok"), "every trouble has a remedy"
    assert not any(one.remedy for one in found if one.status == "ok")
    return [one.status for one in found]


def test_every_fault_of_the_configuration_is_a_line():
    path = Path("oms-sync.yaml")
    assert _statuses(doctor.judge_config(path, (), 2)) == ["ok"]
    fault = Fault(file="oms-sync.yaml", line=3, column=1, path="web", message="is no mapping")
    assert _statuses(doctor.judge_config(path, (fault, fault), 0)) == ["fail", "fail"]


@pytest.mark.parametrize(
    ("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o640, "fail"), (0o604, "fail")]
)
def test_a_key_file_others_may_read_fails(tmp_path, mode, status):
    path = tmp_path / "keys"
    path.write_text("secret")
    path.chmod(mode)
    assert _statuses([doctor.judge_key_file(path)]) == [status]


def test_a_key_file_that_is_not_there_fails(tmp_path):
    assert _statuses([doctor.judge_key_file(tmp_path / "keys")]) == ["fail"]


@pytest.mark.proves("O-10")
@pytest.mark.parametrize(("free", "status"), [(30, "ok"), (19, "warn"), (4, "fail")])
def test_a_disk_running_low_is_a_warning_and_a_full_one_fails(free, status):
    found = doctor.judge_disk(Path("/srv"), free=free, total=100, floor=5, low_share=0.2)
    assert _statuses([found]) == [status]


def test_each_problem_of_the_database_fails():
    assert _statuses(doctor.judge_database([], "0001")) == ["ok"]
    assert _statuses(doctor.judge_database(["down", "old"], None)) == ["fail", "fail"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"problems": [], "clock_skew_seconds": 2}, ["ok"]),
        ({"problems": ["refused"]}, ["fail"]),
        ({"problems": ["a", "b"], "warnings": ["c"]}, ["fail", "fail", "warn"]),
        ({"problems": [], "clock_skew_seconds": -40}, ["warn"]),
        # from five minutes on it is a problem already, named once
        ({"problems": ["clock is off"], "clock_skew_seconds": 400}, ["fail"]),
    ],
)
def test_what_a_channel_answers_is_judged(answer, expected):
    assert _statuses(doctor.judge_answer("shop-a", answer)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["ok"]),
        ({"state": "needs_reauth", "reason": "revoked"}, ["fail"]),
        ({"state": "paused"}, ["warn"]),
        ({"state": "degraded", "reason": "ingest: down"}, ["warn"]),
        ({"gaps": [{"since": "2026-01-01", "until": "2026-02-01"}]}, ["warn"]),
    ],
)
def test_an_accounts_own_state_is_judged(changes, expected):
    assert _statuses(doctor.judge_account(_account(**changes))) == expected


def _seen(hours):
    at = None if hours is None else (NOW - timedelta(hours=hours)).isoformat()
    return {"subscriptions": [{"kind": "webhooks", "seen_at": at}]}


@pytest.mark.proves("F16")
@pytest.mark.parametrize(
    ("changes", "capabilities", "url", "expected"),
    [
        (_seen(1), HOOKS, "https://hub.example", "ok"),
        (_seen(4), HOOKS, "https://hub.example", "warn"),
        (_seen(None), HOOKS, "https://hub.example", "warn"),
        ({}, HOOKS, "https://hub.example", "warn"),
        ({}, HOOKS, None, "warn"),
        ({}, QUEUE, None, "warn"),
        ({"mode": "shadow"}, HOOKS, None, "ok"),
        ({}, frozenset(), None, "ok"),
    ],
)
def test_a_subscription_nobody_looks_after_is_a_warning(changes, capabilities, url, expected):
    account = _account(**changes)
    found = doctor.judge_subscriptions(account, capabilities, public_url=url, now=NOW)
    assert _statuses(found) == [expected]
    assert ("web.public_url" in found[0].remedy) is (
        expected == "warn" and url is None and capabilities == HOOKS
    )


def test_each_silence_is_a_line():
    found = doctor.judge_silences("shop-a", {"not_read": "no poll", "not_paid": "1 order"})
    assert _statuses(found) == ["warn", "warn"]
    assert "An account is silent" in found[0].remedy
    assert "Orders are late" in found[1].remedy


@pytest.mark.parametrize(
    ("certified_on", "wanting", "expected", "words"),
    [
        # connected today
        (None, [], [], ""),
        ("2026-02-28", [], ["ok"], "up to 2026-02-28"),
        (None, [("2026-02-28", "not compared yet")], ["warn"], "2026-02-28 has no certificate"),
        # one refused among others that were issued
        ("2026-02-28", [("2026-02-25", "refused: 1001")], ["warn"], "refused: 1001"),
    ],
)
def test_each_day_without_a_certificate_is_a_warning(certified_on, wanting, expected, words):
    days = [{"day": day, "reason": why} for day, why in wanting]
    found = doctor.judge_certificates(_account(certified_on=certified_on, uncertified=days))
    assert _statuses(found) == expected
    assert all(words in one.said for one in found)
