"""Standing at a queue: the lease is kept, a stop is not held up, trouble stays the queue's own."""

import threading
import time
from random import Random

import pytest

from oms_sync.flows.ports import FlowReport
from oms_sync.flows.records import AccountRecord
from oms_sync.runtime.breaker import FAILURES_MAX
from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.dispatch import LocalDispatcher
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.leases import LEASE_SECONDS, LeaseKeeper
from oms_sync.runtime.pipeline import FLOWS, flows_of
from oms_sync.runtime.runner import FlowRunner, RunnerParts
from oms_sync.runtime.sessions import Sessions
from oms_sync.sdk import AuthFailed, Capability, ChannelDown, Manifest
from oms_sync.sdk.fake import FakeChannel, FakeOptions
from oms_sync.sdk.fake_ports import SeededIds

WAIT = 5


@pytest.fixture
def make_parts(make_wiring, database, metrics, leases):
    """What a runner of one account works with."""

    def make(clock, *, flows, is_stopping=lambda: False, **wiring) -> RunnerParts:
        wirings = {"shop-a": make_wiring("shop-a", **wiring)}
        profiles = {name: one.profile for name, one in wirings.items()}
        return RunnerParts(
            flows=flows,
            wirings=wirings,
            profiles=profiles,
            sessions=Sessions(wirings),
            health=AccountHealth(database.open_work, clock=clock, profiles=profiles),
            leases=LeaseKeeper(leases, owner="us"),
            open_work=database.open_work,
            clock=clock,
            ids=SeededIds(1),
            metrics=metrics,
            is_stopping=is_stopping,
        )

    return make


# --- in a dispatcher -----------------------------------------------------------------------------


@pytest.fixture
def listening(make_parts):
    """One account whose empty queue is listened to; (dispatcher, keeper, stopping)."""
    stopping = threading.Event()
    clock = SystemClock(stopping)
    channel = FakeChannel(clock=clock, chance=Random(1), options=FakeOptions(has_queue=True))
    parts = make_parts(clock, flows=FLOWS, is_stopping=stopping.is_set, opener=channel.session)
    manifests = {name: wiring.manifest for name, wiring in parts.wirings.items()}
    dispatcher = LocalDispatcher(
        FlowRunner(parts).run, manifests=manifests, on_next=lambda *_: None
    )
    dispatcher.start()
    dispatcher.wake("listen", "shop-a")
    yield dispatcher, parts.leases, stopping
    stopping.set()
    dispatcher.stop(WAIT)


def _is_listening(leases) -> bool:
    deadline = time.monotonic() + WAIT
    while leases.holder("listen:shop-a") != "us":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_the_lease_of_who_listens_is_kept(listening, leases, clock):
    _, keeper, _ = listening
    assert _is_listening(leases)
    for _ in range(3):
        clock.advance(LEASE_SECONDS * 0.8)
        keeper.renew()
    assert leases.acquire("listen:shop-a", "them", 60) is None


def test_a_hub_that_stops_is_not_kept_waiting_by_an_empty_queue(listening, leases):
    dispatcher, _, stopping = listening
    assert _is_listening(leases)
    begun = time.monotonic()
    stopping.set()
    assert dispatcher.stop(WAIT)
    assert time.monotonic() - begun < 2.0
    assert leases.holder("listen:shop-a") == ""


# --- in trouble ----------------------------------------------------------------------------------


class Bench:
    """A runner over flows the test writes."""

    def __init__(self, make_parts, clock) -> None:
        self.flows: dict = {}
        self.parts = make_parts(clock, flows=self.flows)
        self.runner = FlowRunner(self.parts)

    def run(self, flow, error=None):
        def does(_):
            if error:
                raise error
            return FlowReport()

        self.flows[flow] = does
        return self.runner.run(flow, "shop-a")


@pytest.fixture
def bench(make_parts, clock) -> Bench:
    return Bench(make_parts, clock)


@pytest.mark.proves("I-12", "I-39")
@pytest.mark.parametrize("error", [ChannelDown("no queue"), AuthFailed("its key is refused")])
def test_a_queue_in_trouble_stops_nothing_else_of_its_account(
    bench, database, clock, events, error
):
    with bench.parts.sessions.use("shop-a") as before:
        pass
    for _ in range(FAILURES_MAX + 1):
        result = bench.run("listen", error)
        assert result.next_at > clock.now()
        assert result.next_flow is None, "it comes back by itself"
    assert database.stored["shop-a"].health == "degraded"
    assert bench.run("ingest").outcome == "ok"
    assert bench.run("push_stock").outcome == "ok"
    with bench.parts.sessions.use("shop-a") as after:
        assert after is before, "the others' session was not taken from them"
    assert bench.run("listen").outcome == "ok"
    assert database.stored["shop-a"].health == "ok"
    said = [one["event"] for one in events if one["log_level"] != "debug"]
    assert said == ["account.degraded", "account.recovered"]


def test_a_queue_is_listened_to_while_the_breaker_of_the_channel_is_open(bench):
    for _ in range(FAILURES_MAX):
        bench.run("ingest", ChannelDown("503"))
    assert bench.run("ingest").outcome == "skipped"
    assert bench.run("listen").outcome == "ok"
    assert bench.run("ingest").outcome == "skipped", "that is no proof that the channel is well"


def test_a_paused_account_does_not_listen(bench, database):
    database.stored["shop-a"] = AccountRecord(name="shop-a", connector="fake", is_paused=True)
    assert bench.run("listen").outcome == "skipped"


def test_an_account_has_the_flows_its_connector_is_capable_of():
    reader = Manifest(id="fake", label="Fake", capabilities=frozenset({Capability.READ_ORDERS}))
    assert flows_of(reader) == ("ingest", "normalise", "reserve", "reconcile", "watch", "erase")
    assert flows_of(Manifest(id="none", label="None")) == ("normalise", "reserve", "erase")
    puller = Manifest(id="q", label="Q", capabilities=frozenset({Capability.PULL_NOTIFICATIONS}))
    assert flows_of(puller) == ("listen", "normalise", "reserve", "erase")
