"""An account's health as an operator sees it: silences, what is lost, who tells us, how far."""

import pytest

from oms_sync.cli.account_health import NOTHING, reason_of, show_account_health
from oms_sync.cli.account_view import history_words

AT = "2026-03-01T12:00:00Z"
ALARM = {"kind": "not_read", "since": AT, "raised_at": AT, "reason": "no poll has succeeded since"}
GAP = {"since": AT, "until": "2026-04-02T00:00:00Z", "found_at": "2026-06-01T00:00:00Z"}
TOLD = {"kind": "webhooks", "target": "https://hub.example/w/a", "seen_at": AT, "heard_at": None}


def _reading(**changes):
    return {
        "feed": "changes",
        "since": AT,
        "is_finished": False,
        "orders_read": 1234,
        "begun_at": None,
        "page_at": None,
        "drained_at": None,
        **changes,
    }


def _shown(capsys, **account):
    show_account_health({**NOTHING, **account})
    shown = capsys.readouterr().out
    assert all(len(line) <= 100 for line in shown.splitlines())
    return shown


def test_of_a_well_account_nothing_is_said(capsys):
    assert _shown(capsys) == ""


def test_every_silence_gap_and_subscription_is_a_line(capsys):
    shown = _shown(capsys, alarms=[ALARM], gaps=[GAP], subscriptions=[TOLD])
    for words in ("no poll has succeeded", "lost for good", "2026-04-02 00:00:00", "webhooks"):
        assert words in shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "waits"),
        ({"begun_at": AT}, "under way"),
        ({"page_at": AT}, "under way"),
        ({"page_at": AT, "drained_at": AT}, "up to date"),
        ({"page_at": AT, "is_finished": True}, "finished"),
    ],
)
def test_how_far_a_feed_was_read_is_a_word_and_a_count(capsys, changes, words):
    shown = _shown(capsys, reading=[_reading(**changes)])
    assert words in shown
    assert "1234" in shown


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        ({"reason": ""}, ""),
        ({"reason": "", "alarms": [ALARM]}, "silent: not_read"),
        # what stops the account explains its silences
        ({"reason": "revoked", "alarms": [ALARM]}, "revoked"),
    ],
)
def test_the_list_names_silences_where_nothing_worse_is_known(account, reason):
    assert reason_of({**NOTHING, **account}) == reason


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (5_184_000, "60 d"), (-1, "none: some is lost")]
)
def test_the_time_left_until_something_is_lost_is_said(seconds, words):
    assert history_words(seconds) == words


def test_an_account_whose_connector_is_missing_is_listed_beside_the_others(shell):
    path = shell.folder / "oms-sync.yaml"
    stray = "  - {name: stray, connector: nowhere, settings: {}}\n"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("accounts:\n", "accounts:\n" + stray, 1), encoding="utf-8")
    assert [one["name"] for one in shell.json("accounts", "list")] == ["shop-a", "stray"]
