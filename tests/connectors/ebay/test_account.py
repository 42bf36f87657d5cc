"""The account: its settings, what eBay pushes to us, and what is left of the day's calls."""

import pytest

from connectors.ebay.render import who_we_are
from connectors.ebay.settings import EbaySettings
from connectors.ebay.trading import TradingCall
from oms_sync.sdk import (
    AuthFailed,
    ChannelDown,
    PermissionMissing,
    Priority,
    RateLimited,
    Rejected,
)
from oms_sync.sdk.testing import FakeClock

URL = "https://hub.example/webhooks/ebay-a"
OTHER = "https://other.example/webhooks/shop-b"
USER = "<User><UserID>seller</UserID><Email>seller@shop.example</Email></User>"
CAN = ("GetUserPreferences", "<OutOfStockControlPreference>true</OutOfStockControlPreference>")
CALL = TradingCall(name="GetUser", body=who_we_are())
MINUTE = 60


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"compatibility_level": 837},  # the SDK's own default: it books other totals
        {"compatibility_level": 1306},
        {"site_id": -1},
        {"marketplace_id": "US"},
        {"visibility_lag_seconds": -1},
        {"verification_token": "short"},
        {"verification_token": "ü" * 40},
        {"app_id": ""},
        {"unknown": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(changes, make_request):
    good = {"app_id": "a", "cert_id": "c", "refresh_token": "r"}
    EbaySettings(**good)
    with pytest.raises(ValueError, match=next(iter(changes))):
        EbaySettings(**good | changes)


def test_secrets_hide_in_a_repr():
    settings = EbaySettings(
        app_id="a",
        cert_id="canary1",
        refresh_token="canary2",
        signing_key="canary3",
        signing_jwe="canary4",
    )
    assert "canary" not in repr(settings)


# --- what eBay pushes ----------------------------------------------------------------------------


class Notifications:
    """A Notification API that remembers; what a test wants refused it names in `refused`."""

    def __init__(self, say):
        self.say, self.mail = say, None
        self.destinations, self.subscriptions, self.writes, self.refused = [], [], [], {}
        self.is_user_listed = True

    def __call__(self, handler):
        import json

        if "X-EBAY-API-CALL-NAME" in handler.headers:
            return (200, {}, self.say.answer("GetUser", USER))
        fields = json.loads(handler.body) if handler.body else {}
        path = handler.path.partition("?")[0].removeprefix("/commerce/notification/v1/")
        kind, _, number = path.partition("/")
        is_user = "user-token" in handler.headers["Authorization"]
        if handler.command == "GET" and is_user and not self.is_user_listed:
            return (403, {}, {"errors": [{"errorId": 195011}]})
        if handler.command == "GET":
            return self._show(kind, is_user)
        self.writes.append((handler.command, path, is_user, fields))
        if fields.get("topicId") in self.refused:
            return (self.refused[fields["topicId"]], {}, {"errors": [{"errorId": 195011}]})
        return self._write(handler.command, kind, number, fields)

    def _show(self, kind, is_user):
        if kind == "config":
            return (200, {}, {"alertEmail": self.mail}) if self.mail else (404, {}, {})
        kept = {"destination": self.destinations, "subscription": self.subscriptions}[kind]
        return (200, {}, {f"{kind}s": kept, "total": len(kept)})

    def _write(self, method, kind, number, fields):
        if kind == "config":
            self.mail = fields["alertEmail"]
            return (204, {}, b"")
        kept = {"destination": self.destinations, "subscription": self.subscriptions}[kind]
        name = f"{kind}Id"
        if method == "PUT":
            next(one for one in kept if one[name] == number).update(fields)
            return (204, {}, b"")
        made = f"{kind[0]}{len(kept) + 1}"
        kept.append({name: made, **fields})
        return (201, {"Location": f"https://api.ebay.com/x/{kind}/{made}"}, b"{}")


@pytest.fixture
def notifications(scripted, say):
    api = Notifications(say)
    scripted.answers = [api]
    return api


def test_the_first_time_everything_is_made_and_the_second_nothing(notifications, make_session):
    session = make_session()
    made = session.ensure_subscriptions(URL)
    assert set(made) == {
        "ORDER_CONFIRMATION",
        "AUTHORIZATION_REVOCATION",
        "MARKETPLACE_ACCOUNT_DELETION",
    }
    assert notifications.mail == "seller@shop.example"
    (destination,) = notifications.destinations
    assert destination["deliveryConfig"] == {"endpoint": URL, "verificationToken": "v" * 40}
    writes = len(notifications.writes)
    assert make_session().ensure_subscriptions(URL) == ()
    assert len(notifications.writes) == writes


def test_user_topics_are_subscribed_to_with_the_sellers_token(notifications, make_session):
    make_session().ensure_subscriptions(URL)
    tokens = {
        fields["topicId"]: is_user
        for _, path, is_user, fields in notifications.writes
        if path == "subscription"
    }
    assert tokens == {
        "ORDER_CONFIRMATION": True,
        "AUTHORIZATION_REVOCATION": False,
        "MARKETPLACE_ACCOUNT_DELETION": False,
    }


@pytest.mark.proves("F16")
def test_what_a_destination_marked_down_missed_is_news(notifications, make_session):
    made = make_session().ensure_subscriptions(URL)
    notifications.destinations[0]["status"] = "MARKED_DOWN"
    assert make_session().ensure_subscriptions(URL) == made
    assert make_session().ensure_subscriptions(URL) == ()
    assert notifications.destinations[0]["status"] == "ENABLED"


@pytest.mark.proves("F16")
def test_a_subscription_that_points_elsewhere_is_turned_back_and_is_news(
    notifications, make_session
):
    make_session().ensure_subscriptions(URL)
    first = notifications.subscriptions[0]
    for change in ({"destinationId": "gone"}, {"status": "DISABLED"}):
        first.update(change)
        assert make_session().ensure_subscriptions(URL) == (first["topicId"],)
        assert make_session().ensure_subscriptions(URL) == ()
        assert (first["destinationId"], first["status"]) == ("d1", "ENABLED")


def test_the_applications_topics_stay_with_whoever_receives_them(notifications, make_session):
    make_session().ensure_subscriptions(OTHER)
    make_session().ensure_subscriptions(URL)
    by_topic = {one["topicId"]: one["destinationId"] for one in notifications.subscriptions}
    assert by_topic["MARKETPLACE_ACCOUNT_DELETION"] == "d1"
    assert by_topic["ORDER_CONFIRMATION"] == "d2"


def test_a_topic_we_have_no_scope_for_is_told_and_stops_nothing(
    notifications, make_session, scripted, answers
):
    notifications.refused = {"ORDER_CONFIRMATION": 403}
    session = make_session()
    assert "ORDER_CONFIRMATION" not in session.ensure_subscriptions(URL)
    answers(CAN, ("GetUser", USER))
    assert any("ORDER_CONFIRMATION" in one for one in session.check().warnings)


def test_without_the_scope_to_list_subscriptions_the_other_topics_still_come(
    notifications, make_session, answers
):
    notifications.is_user_listed = False
    session = make_session()
    assert set(session.ensure_subscriptions(URL)) == {
        "AUTHORIZATION_REVOCATION",
        "MARKETPLACE_ACCOUNT_DELETION",
    }
    answers(CAN, ("GetUser", USER))
    assert any("ORDER_CONFIRMATION" in one for one in session.check().warnings)


def test_without_a_verification_token_nothing_is_pushed(scripted, make_session):
    session = make_session(settings={"verification_token": None})
    assert session.ensure_subscriptions(URL) == ()
    assert scripted.asked == []


def test_shadow_mode_subscribes_to_nothing(notifications, make_session):
    with pytest.raises(Rejected, match="shadow"):
        make_session(may_write=False).ensure_subscriptions(URL)
    assert notifications.writes == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((401, {}, b"{}"), AuthFailed),
        ((403, {}, b"{}"), PermissionMissing),
        ((429, {"Retry-After": "3"}, b""), RateLimited),
        ((500, {}, b""), ChannelDown),
        ((307, {"Location": "http://127.0.0.1:9"}, b""), ChannelDown),
        ((200, {}, b"<html>"), ChannelDown),
        ((200, {}, b"[]"), ChannelDown),
    ],
)
def test_each_status_of_rest_has_its_meaning(answer, kind, scripted, make_session):
    scripted.answers = [answer]
    with pytest.raises(kind):
        make_session().ensure_subscriptions(URL)


# --- the call budget -----------------------------------------------------------------------------


DAY = 86_400


def _limits(
    remaining,
    *,
    limit=5000,
    reset="2026-03-02T08:00:00.000Z",
    api="TradingAPI",
    more=(),
    names=("all",),
):
    rates = [
        {"limit": most, "remaining": left, "reset": reset, "timeWindow": seconds}
        for left, most, seconds in ((remaining, limit, DAY), *more)
    ]
    resources = [{"name": name, "rates": rates} for name in names]
    return (200, {}, {"rateLimits": [{"apiName": api, "resources": resources}]})


@pytest.fixture
def asks_budget(scripted, answers, make_client):
    clock = FakeClock()
    answers(("GetUser", USER))
    client = make_client(clock=clock)
    reads = []

    def limits(handler):
        reads.append(clock.monotonic())
        return scripted.told

    scripted.told = _limits(4_000)
    scripted.limits = limits

    def ask(seconds=0):
        clock.advance(seconds)
        client.run(CALL, priority=Priority.READ)
        return list(reads), client._gate.learnt

    return ask


def test_the_bucket_is_corrected_at_first_use_and_every_half_hour(asks_budget, scripted):
    asks_budget()
    asks_budget(29 * MINUTE)
    scripted.told = _limits(3_000)
    reads, learnt = asks_budget(MINUTE)
    assert reads == [0, 30 * MINUTE]
    # Nothing flows in before eBay's midnight, so the bucket promises no call eBay would refuse.
    assert learnt["*"] == (3_000, 5_000, 0.0)


def test_the_bucket_is_corrected_at_the_moment_the_quota_begins_anew(asks_budget, scripted):
    scripted.told = _limits(5, reset="2026-03-01T12:05:00.000Z")
    asks_budget()
    scripted.told = _limits(5_000)
    reads, learnt = asks_budget(5 * MINUTE)
    assert (reads, learnt["*"][0]) == ([0, 5 * MINUTE], 5_000)


@pytest.mark.parametrize(
    "told", [(500, {}, b""), (204, {}, b""), (200, {}, b"{}"), (200, {}, {"rateLimits": [{}]})]
)
def test_a_budget_that_cannot_be_read_stops_nothing_and_is_asked_again(told, asks_budget, scripted):
    scripted.told = told
    _, learnt = asks_budget()
    assert learnt == {}
    reads, _ = asks_budget(5 * MINUTE)
    assert len(reads) == 2


def test_a_limit_of_seconds_is_not_the_days(asks_budget, scripted):
    scripted.told = _limits(4_000, more=[(9, 1_000, 15)])
    assert asks_budget()[1]["*"] == (4_000, 5_000, 0.0)


def test_calls_we_never_make_do_not_use_our_budget_up(asks_budget, scripted):
    told = _limits(4_000, names=("GetOrders", "CompleteSale"))
    foreign = _limits(0, limit=100, names=("AddItems",))
    told[2]["rateLimits"] += foreign[2]["rateLimits"]
    scripted.told = told
    assert asks_budget()[1]["*"] == (4_000, 5_000, 0.0)


def test_when_ebay_no_longer_tells_its_budget_the_next_day_begins_all_the_same(
    asks_budget, scripted
):
    scripted.told = _limits(0, reset="2026-03-01T12:05:00.000Z")
    asks_budget()
    scripted.told = (500, {}, b"")
    _, learnt = asks_budget(5 * MINUTE)
    assert learnt["*"] == (5_000, 5_000, 0.0)


def test_a_reset_that_is_over_by_our_clock_is_not_asked_for_every_second(asks_budget, scripted):
    scripted.told = _limits(5, reset="2026-03-01T11:59:00.000Z")
    for _ in range(50):
        reads, _ = asks_budget(1)
    assert len(reads) == 1


def test_other_apis_limits_are_not_tradings(asks_budget, scripted):
    scripted.told = _limits(1, api="browse")
    assert asks_budget()[1] == {}


def test_a_refusal_for_the_quota_asks_anew(asks_budget, answers, say):
    asks_budget()
    answers(("GetUser", say.fault(518), {"ack": "Failure"}), ("GetUser", USER))
    with pytest.raises(RateLimited):
        asks_budget(MINUTE)
    reads, _ = asks_budget(1)
    assert len(reads) == 2
