"""Looking after an account: clock, token, permissions, subscriptions; said once, stored once."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from oms_sync.flows.identity import OtherAccount
from oms_sync.flows.ports import FlowContext
from oms_sync.flows.upkeep import Subscription
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.tend import TEND, Caretaker, ClockSkewed
from oms_sync.sdk import AccountCheck, AuthFailed, BadPayload, Capability, PermissionMissing

START = datetime(2026, 3, 1, tzinfo=UTC)


class _Session:
    def __init__(self, clock) -> None:
        self._clock = clock
        self.skew = timedelta(0)
        self.changes: dict = {}
        self.subscribed: list[str] = []
        self.is_queued = True
        self.queue_asks = 0
        #: topics the channel will say were missing, look by look, by webhooks and in the queue
        self.missing: list[tuple[str, ...]] = [("orders/create",)]
        self.missing_queued: list[tuple[str, ...]] = []
        self.refusal: Exception | None = None

    def has_queue(self) -> bool:
        return self.is_queued

    def check(self) -> AccountCheck:
        return AccountCheck(
            **{
                "channel_account_id": "shop-1",
                "channel_account": "shop",
                "channel_time": self._clock.now() - self.skew,
                **self.changes,
            }
        )

    def ensure_subscriptions(self, url: str) -> tuple[str, ...]:
        self.subscribed.append(url)
        return self._made(self.missing)

    def subscribe_queue(self) -> tuple[str, ...]:
        self.queue_asks += 1
        return self._made(self.missing_queued)

    def _made(self, missing: list[tuple[str, ...]]) -> tuple[str, ...]:
        if self.refusal is not None:
            raise self.refusal
        return missing.pop(0) if missing else ()


@pytest.fixture
def tended(clock, database, metrics, make_wiring):
    """Tend an account with these traits; answers (session, caretaker, tend)."""

    def make(**traits):
        wiring = make_wiring("shop-a", **traits)
        profiles = {"shop-a": wiring.profile}
        health = AccountHealth(database.open_work, clock=clock, profiles=profiles)
        caretaker = Caretaker({"shop-a": wiring}, health=health)
        session = _Session(clock)
        context = FlowContext(
            account=wiring.profile,
            profiles=profiles,
            manifest=wiring.manifest,
            session=session,
            webhook=None,
            open_work=database.open_work,
            clock=clock,
            ids=None,
            metrics=metrics,
            is_stopping=lambda: False,
        )
        return session, caretaker, health, lambda: caretaker.tend(context)

    return make


def _events(events, *levels):
    return [line["event"] for line in events if line["log_level"] in levels]


def test_the_end_of_the_token_is_kept_with_the_account(tended, clock, database):
    session, _, _, tend = tended(capabilities=frozenset({Capability.CHECK_ACCOUNT}))
    session.changes = {"token_expires_at": clock.now() + timedelta(hours=1)}
    tend()
    commits = database.commits
    assert database.stored["shop-a"].token_expires_at == clock.now() + timedelta(hours=1)
    tend()
    assert database.commits == commits, "nothing changed, nothing is written"


@pytest.mark.proves("O-09", "F31")
@pytest.mark.parametrize(
    ("seconds", "is_skewed"),
    [(0, False), (299, False), (-299, False), (301, True), (-301, True), (86_400, True)],
)
def test_a_clock_more_than_five_minutes_off_is_refused(tended, seconds, is_skewed):
    session, caretaker, _, tend = tended()
    session.skew = timedelta(seconds=seconds)
    if is_skewed:
        with pytest.raises(ClockSkewed, match=re.escape(f"{seconds:+d} s")):
            tend()
    else:
        tend()
    assert caretaker.findings()["shop-a"].is_skewed is is_skewed


@pytest.mark.proves("F30")
def test_missing_permissions_and_warnings_are_said_once(tended, events):
    session, _, _, tend = tended()
    session.changes = {"missing_permissions": ("write_orders",), "warnings": ("old version",)}
    for _ in range(3):
        tend()
    said = _events(events, "warning")
    assert sorted(said) == ["account.permission_missed", "account.polled_only", "account.warned"]


def test_subscriptions_are_made_with_the_accounts_own_url(tended, events):
    url = "https://hub.example/webhooks/shop-a"
    session, _, _, tend = tended(webhook_url=url)
    tend()
    tend()
    assert session.subscribed == [url, url]
    assert _events(events, "info") == ["account.identified", "account.subscribed"]


@pytest.mark.parametrize(
    "traits",
    [
        {"webhook_url": None},
        {"webhook_url": "https://hub.example/webhooks/shop-a", "mode": "shadow"},
    ],
)
def test_an_account_that_only_polls_says_so_once_and_writes_nothing(tended, events, traits):
    session, _, _, tend = tended(**traits)
    tend()
    tend()
    assert session.subscribed == []
    assert _events(events, "warning") == ["account.polled_only"]


@pytest.mark.parametrize(
    ("mode", "is_queued", "reason"),
    [
        ("live", False, "no queue of notifications is set"),
        ("shadow", True, "mode is shadow"),
        ("live", True, ""),
    ],
)
def test_an_account_whose_queue_is_not_read_says_so_once(tended, events, mode, is_queued, reason):
    session, _, _, tend = tended(capabilities=frozenset({Capability.PULL_NOTIFICATIONS}), mode=mode)
    session.is_queued = is_queued
    tend()
    tend()
    reasons = [one["reason"] for one in events if one["event"] == "account.polled_only"]
    assert len(reasons) == (1 if reason else 0)
    assert all(one.startswith(reason) for one in reasons)
    assert session.queue_asks == (0 if reason else 2)


_URL = "https://hub.example/webhooks/shop-a"
_QUEUED = {"capabilities": frozenset({Capability.PULL_NOTIFICATIONS})}


@pytest.mark.proves("F16")
@pytest.mark.parametrize(
    ("kind", "traits"), [("webhooks", {"webhook_url": _URL}), ("queue", _QUEUED)]
)
def test_a_lost_subscription_is_made_anew_told_once_and_the_gap_is_read(
    tended, events, database, clock, kind, traits
):
    session, _, _, tend = tended(**traits)
    tend()
    seen_at = clock.now()
    assert database.hastened == [], "the first subscription missed nothing"
    clock.advance(3600)
    missing = session.missing if kind == "webhooks" else session.missing_queued
    missing.append(("orders/create",))
    for _ in range(3):
        tend()
    (lost,) = [one for one in events if one["event"] == "account.subscription_lost"]
    assert (lost["kind"], lost["topics"], lost["since"]) == (kind, ["orders/create"], seen_at)
    assert database.hastened == ["changes", "sweep"]
    assert database.events.count("account.subscription_lost") == 1


@pytest.mark.proves("F47")
def test_who_died_between_the_channels_answer_and_our_note_reads_the_gap_again(tended, database):
    session, _, _, tend = tended(webhook_url=_URL)
    tend()
    session.refusal = RuntimeError("the process died here")
    with pytest.raises(RuntimeError):
        tend()
    session.refusal = None
    tend()
    assert database.hastened == ["changes", "sweep"]
    tend()
    assert database.hastened == ["changes", "sweep"], "once is enough"


def test_another_public_address_is_no_lost_subscription(tended, events, database):
    session, _, _, tend = tended(webhook_url=_URL)
    known = Subscription(
        account="shop-a", kind="webhooks", target="https://old.example", seen_at=START
    )
    database.subscriptions["shop-a", "webhooks"] = known
    tend()
    assert _events(events, "warning", "info") == ["account.identified", "account.subscribed"]
    assert (database.hastened, session.subscribed) == ([], [_URL])


def test_a_queue_that_cannot_be_subscribed_is_told_once_and_stops_nothing(tended, events, database):
    session, _, health, tend = tended(**_QUEUED)
    session.refusal = PermissionMissing("the role Notifications is missing")
    tend()
    tend()
    (told,) = [one for one in events if one["event"] == "account.not_subscribed"]
    assert told["reason"] == "the role Notifications is missing"
    assert health.state("shop-a") == "ok"


def test_the_clocks_difference_is_kept_with_the_account(tended, database, metrics):
    session, _, _, tend = tended()
    session.skew = timedelta(seconds=42)
    tend()
    assert database.stored["shop-a"].clock_skew_seconds == 42
    assert metrics.gauges["clock_skew_seconds", "shop-a"] == 42


@pytest.mark.proves("F29", "I-35")
def test_credentials_that_are_accepted_again_end_needs_reauth(tended, database):
    _, _, health, tend = tended()
    health.failed("shop-a", "ingest", AuthFailed("revoked"))
    assert health.state("shop-a") == "needs_reauth"
    tend()
    assert health.state("shop-a") == "ok"
    assert database.stored["shop-a"].health == "ok"


@pytest.mark.proves("I-39", "F29")
def test_another_shops_credentials_stop_the_account_before_anything_else_is_done(
    tended, database, events
):
    session, caretaker, health, tend = tended(webhook_url=_URL)
    tend()
    assert caretaker.proofs.may_run("shop-a", at=0)
    assert database.identities["shop-a"].channel_account_id == "shop-1"
    asked = len(session.subscribed)
    session.changes = {"channel_account_id": "shop-2", "channel_account": "other shop"}
    with pytest.raises(OtherAccount, match=r"open other shop \(shop-2\).* is shop \(shop-1\)"):
        tend()
    assert len(session.subscribed) == asked, "the other shop is told nothing of this hub"
    assert database.identities["shop-a"].channel_account_id == "shop-1"
    session.changes = {"channel_account": "shop renamed"}
    tend()
    assert database.identities["shop-a"].channel_account == "shop renamed"
    assert _events(events, "info").count("account.identified") == 1
    assert health.state("shop-a") == "ok"


def test_a_refused_account_stays_refused_though_its_time_was_asked(tended, database):
    session, _, health, tend = tended()
    tend()
    health.failed("shop-a", "ingest", AuthFailed("revoked"))
    session.changes = {"channel_account_id": "shop-2"}
    with pytest.raises(OtherAccount):
        tend()
    assert health.state("shop-a") == "needs_reauth", "credentials of another are no proof"


def test_a_connector_that_does_not_say_who_it_is_is_a_bug(tended, database):
    session, caretaker, _, tend = tended()
    session.changes = {"channel_account_id": ""}
    with pytest.raises(BadPayload, match="whose account"):
        tend()
    assert database.identities == {}
    assert not caretaker.proofs.may_run("shop-a", at=0)


def test_a_connector_that_can_neither_check_nor_subscribe_is_simply_found(tended):
    capabilities = frozenset({Capability.READ_ORDERS})
    _, caretaker, _, tend = tended(capabilities=capabilities)
    assert tend().done == 1
    assert caretaker.findings()["shop-a"].skew_seconds is None
    assert caretaker.proofs.may_run("shop-a", at=0), "nobody can tell whose it is"


def test_tending_is_a_flow_of_its_own_name():
    assert TEND == "tend"
