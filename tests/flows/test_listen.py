"""Listening at a queue: stored before acknowledged, whatever dies in between, and told once."""

import json
from datetime import timedelta

import pytest

from oms_sync.flows import listen
from oms_sync.sdk import ChannelDown, Notification, OutcomeUnknown
from oms_sync.sdk.fake_session import FakeSession

DAY = 86_400
PATH = ("listen", "ingest", "normalise", "reserve")


def open_shop(hub, **options):
    return hub.open_shop(poll_seconds=DAY, options={"has_queue": True, **options})


@pytest.fixture
def shop(hub):
    """A shop with a queue, whose polls are a day apart."""
    return open_shop(hub)


def run_path(hub):
    for flow in PATH:
        hub.run(flow)


def messages(hub, source):
    found = [one for state in ("new", "done", "dead") for one in hub.inbox(state)]
    return [one for one in found if one["source"] == source]


@pytest.mark.proves("I-12")
def test_the_queue_alone_brings_an_order_and_its_changes(hub, shop):
    order = shop.buy(("TEE", 2))
    run_path(hub)
    assert hub.filled(order) == (2, 0)
    assert shop.queue.depth() == 0
    shop.cancel(order)
    run_path(hub)
    assert hub.order(order).state.value == "cancelled"
    assert hub.stock() == (10, 0)
    assert hub.metrics.counts["notifications"] == 2


def test_what_a_notification_shows_is_reserved_before_the_channel_is_asked(hub, shop):
    order = shop.buy(("TEE", 2))
    assert hub.run("listen").is_more
    assert ("ingest", "shop-a") in hub.wakes
    shop.faults.set("F06", rate=1.0)
    hub.wakes.clear()
    with pytest.raises(ChannelDown):
        hub.run("ingest")
    assert ("normalise", "shop-a") in hub.wakes
    hub.run("normalise")
    hub.run("reserve")
    assert hub.filled(order) == (2, 0)
    assert hub.order(order).known.facts.total is None, "only the channel's own answer has it"
    shop.faults.heal()
    run_path(hub)
    assert hub.order(order).known.facts.total is not None
    assert hub.filled(order) == (2, 0)


@pytest.mark.proves("I-01", "F17")
def test_an_order_no_read_shows_yet_is_reserved_at_once(hub):
    shop = open_shop(hub, late_seconds=20.0)
    shop.faults.force("F17")
    order = shop.buy(("TEE", 3))
    run_path(hub)
    assert hub.filled(order) == (3, 0)
    for _ in range(8):
        hub.round()
    assert hub.order(order).known.facts.total is not None
    assert hub.holds(order) == []


class WatchesAcknowledging(FakeSession):
    """Notes how many messages the inbox held whenever something was acknowledged."""

    def __init__(self, channel, request, hub):
        super().__init__(channel, request)
        self.hub = hub
        self.held = []

    def acknowledge(self, receipts):
        self.held.append((len(receipts), len(messages(self.hub, "webhook"))))
        super().acknowledge(receipts)


@pytest.mark.proves("I-03")
def test_nothing_is_acknowledged_that_is_not_stored(hub, shop):
    hub.sessions["shop-a"] = session = WatchesAcknowledging(shop, shop.request(), hub)
    for _ in range(3):
        shop.buy(("TEE", 1))
    hub.run("listen")
    assert session.held == [(3, 3)]


@pytest.mark.proves("I-01", "I-02", "I-03", "I-31", "F47")
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("commit", range(1, 6))
def test_a_crash_at_any_commit_loses_and_doubles_nothing(hub, shop, commit, is_after):
    orders = [shop.buy(("TEE", 1)), shop.buy(("TEE", 2))]
    hub.crash_at(commit, is_after=is_after)
    with pytest.raises(hub.Crash):
        run_path(hub)
    stored = {json.loads(_body(hub, one))["id"] for one in messages(hub, "webhook")}
    assert shop.queue.depth() or stored == set(orders), "out of the queue, and nowhere else"
    hub.crash_at(10_000)
    hub.sessions["shop-a"] = shop.session()
    shop.queue.redeliver(now=hub.clock.now())
    run_path(hub)
    hub.settle()
    assert [hub.filled(one) for one in orders] == [(1, 0), (2, 0)]
    assert len(hub.storage.reports.orders()) == 2
    assert hub.stock() == (10, 3)
    assert shop.queue.depth() == 0


def _body(hub, message):
    return hub.storage.reports.message(message["id"], reveal=True)["body"]


def test_a_crash_before_the_commit_leaves_everything_in_the_queue(hub, shop):
    shop.buy(("TEE", 1))
    hub.crash_at(1)
    with pytest.raises(hub.Crash):
        hub.run("listen")
    assert shop.queue.depth() == 1
    assert messages(hub, "webhook") == []


@pytest.mark.proves("I-02", "F11")
def test_a_message_that_comes_twice_is_one_hint_and_one_order(hub, shop):
    shop.faults.force("F11")
    order = shop.buy(("TEE", 1))
    assert hub.run("listen").done == 2
    assert len(hub.inbox("new")) == 1, "equal hints not worked off yet are one"
    assert shop.queue.depth() == 0
    run_path(hub)
    assert hub.filled(order) == (1, 0)
    assert len(hub.storage.reports.orders()) == 1


@pytest.mark.proves("I-07", "F13")
def test_a_late_message_revives_nothing(hub):
    shop = open_shop(hub, late_seconds=60.0)
    shop.faults.force("F13")
    order = shop.buy(("TEE", 2))
    shop.cancel(order)
    run_path(hub)
    assert hub.order(order).state.value == "cancelled"
    hub.clock.advance(60)
    shop.faults.set("F06", rate=1.0)  # no read puts it right
    pulled = shop.queue.take(now=hub.clock.now() + timedelta(minutes=1), limit=5)
    for one in pulled:
        hub.hint(one.topic, one.body)
    with pytest.raises(ChannelDown):
        hub.run("ingest")
    hub.run("normalise")
    hub.run("reserve")
    assert hub.order(order).state.value == "cancelled"
    assert hub.stock() == (10, 0)


def test_the_same_news_told_again_is_not_stored_again(hub, shop):
    shop.buy(("TEE", 1))
    (one,) = shop.queue.take(now=hub.clock.now() + timedelta(seconds=1), limit=1)
    shop.faults.set("F06", rate=1.0)
    for _ in range(3):
        hub.hint(one.topic, one.body)
        with pytest.raises(ChannelDown):
            hub.run("ingest")
        hub.run("normalise")
    assert len(messages(hub, "notification")) == 1


def test_what_a_hint_shows_is_as_old_as_the_message_that_brought_it(hub, shop):
    shop.buy(("TEE", 1))
    (one,) = shop.queue.take(now=hub.clock.now() + timedelta(seconds=1), limit=1)
    hub.hint(one.topic, one.body)
    (hint,) = messages(hub, "webhook")
    hub.clock.advance(600)
    hub.run("ingest")
    (shown,) = messages(hub, "notification")
    assert shown["received_at"] == hint["received_at"]


@pytest.mark.proves("I-09")
@pytest.mark.parametrize(
    "shown", [{"is_summary": True}, {}, [], "order", {"is_summary": True, "id": "another"}]
)
def test_what_cannot_be_understood_is_a_dead_letter_and_the_order_is_read(hub, shop, shown):
    order = shop.buy(("TEE", 1))
    shop.queue.acknowledge([one.receipt for one in shop.session().pull(0)])
    for _ in range(2):
        shop.queue.put("orders/shown", {"id": order, "order": shown}, at=shop.books.now())
        run_path(hub)
    (dead,) = hub.storage.reports.dead_letters()
    assert (dead["source"], dead["channel_order_id"]) == ("notification", order)
    assert hub.filled(order) == (1, 0), "the re-read it armed brought the order"


@pytest.mark.proves("I-09")
def test_a_message_nobody_can_read_is_kept_and_stops_no_other(hub, shop):
    shop.queue.put("orders/shown", {"no": "id"}, at=shop.books.now())
    order = shop.buy(("TEE", 1))
    run_path(hub)
    assert hub.filled(order) == (1, 0)
    (dead,) = hub.storage.reports.dead_letters()
    assert json.loads(_body(hub, dead)) == {"no": "id"}
    assert shop.queue.depth() == 0


@pytest.mark.proves("I-09")
@pytest.mark.parametrize("topic", ["a\0b", "\ud800", "", "t" * 1_000])
def test_a_topic_no_database_holds_does_not_come_back_for_ever(any_hub, topic):
    shop = open_shop(any_hub)

    class Odd(FakeSession):
        def pull(self, wait_seconds):
            return tuple(
                Notification(receipt=one.receipt, topic=topic, body=one.body, headers=one.headers)
                for one in super().pull(wait_seconds)
            )

    any_hub.sessions["shop-a"] = Odd(shop, shop.request())
    order = shop.buy(("TEE", 1))
    run_path(any_hub)
    assert shop.queue.depth() == 0
    assert any_hub.filled(order) == (1, 0)


@pytest.mark.proves("F02")
def test_an_acknowledgement_that_was_lost_is_harmless(hub, shop):
    order = shop.buy(("TEE", 1))

    class Loses(FakeSession):
        def acknowledge(self, receipts):
            raise OutcomeUnknown("no answer")

    hub.sessions["shop-a"] = Loses(shop, shop.request())
    for _ in range(2):
        shop.queue.redeliver(now=hub.clock.now())
        with pytest.raises(OutcomeUnknown):
            hub.run("listen")
    assert len(hub.inbox("new")) == 1
    hub.sessions["shop-a"] = shop.session()
    run_path(hub)
    assert hub.filled(order) == (1, 0)


def test_in_shadow_mode_the_queue_is_left_to_whoever_reads_it(hub):
    shop = hub.connect(mode="shadow", options={"has_queue": True})
    shop.buy(("TEE", 1))
    hub.sessions["shop-a"] = shop.session(may_write=False)
    report = hub.run("listen")
    assert (report.done, report.is_more) == (0, False)
    assert len(shop.session().pull(0)) == 1, "nobody was given it"


def test_an_account_without_a_queue_has_nothing_to_listen_to(hub):
    shop = hub.open_shop()
    shop.buy(("TEE", 1))
    assert not hub.run("listen").is_more
    nothing = type(shop.manifest)(id="fake", label="Fake")
    hub.manifests["shop-a"] = nothing
    hub.sessions["shop-a"] = object()
    assert hub.run("listen").done == 0


def test_a_hub_that_stops_pulls_no_more(hub, shop):
    shop.buy(("TEE", 1))
    begun = hub.clock.monotonic()
    asked = []
    hub.is_stopping = lambda: asked.append(1) or len(asked) > 2
    assert hub.run("listen").done == 1
    assert hub.clock.monotonic() - begun <= 0.2 + listen.PULL_WAIT_SECONDS


def test_a_run_ends_to_show_its_lease_and_goes_on_at_once(hub, shop):
    begun = hub.clock.monotonic()
    report = hub.run("listen")
    assert (report.done, report.is_more) == (0, True)
    waited = hub.clock.monotonic() - begun
    assert waited <= listen.RUN_SECONDS_MAX + listen.PULL_WAIT_SECONDS


@pytest.mark.proves("I-33")
def test_a_queue_that_is_never_empty_is_pulled_a_bounded_number_of_times(hub, shop, monkeypatch):
    monkeypatch.setattr(listen, "PULLS_MAX", 3)
    pulls = []

    class Flooded(FakeSession):
        def pull(self, wait_seconds):
            pulls.append(wait_seconds)
            return (Notification(receipt="r", topic="t", body=b"%d" % len(pulls)),)

    hub.sessions["shop-a"] = Flooded(shop, shop.request())
    report = hub.run("listen")
    assert (report.done, report.is_more) == (3, True)
    assert pulls == [listen.PULL_WAIT_SECONDS] * 3


def test_a_queue_that_does_not_wait_is_not_asked_without_end(hub, shop):
    class Hasty(FakeSession):
        def pull(self, wait_seconds):
            return super().pull(0)

    hub.sessions["shop-a"] = Hasty(shop, shop.request())
    shop.buy(("TEE", 1))
    report = hub.run("listen")
    assert (report.done, report.is_more) == (1, False)
    assert report.next_at == hub.clock.now() + timedelta(seconds=listen.PULL_WAIT_SECONDS)
