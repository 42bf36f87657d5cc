"""Wake-ups coalesce, exclude one another where they must, and no account starves another."""

import threading
import time

import pytest

from oms_sync.runtime import dispatch
from oms_sync.runtime.dispatch import WORKERS_MAX, WORKERS_PER_ACCOUNT_MIN, LocalDispatcher
from oms_sync.runtime.runner import RunResult
from oms_sync.sdk import Capability, Manifest

WAIT = 5


class Flows:
    """Runs that note their coming and going, and wait where the test says so."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.begun, self.under_way, self.together = [], set(), set()
        self.gates: dict[tuple[str, str], threading.Event] = {}
        self.results: dict[tuple[str, str], list[RunResult]] = {}

    def __call__(self, flow: str, account: str) -> RunResult:
        key = (flow, account)
        with self.changed:
            assert key not in self.under_way, "one run at a time"
            self.under_way.add(key)
            self.together.add(frozenset(self.under_way))
            self.begun.append(key)
            self.changed.notify_all()
        if key in self.gates:
            assert self.gates[key].wait(WAIT)
        with self.changed:
            self.under_way.discard(key)
        waiting = self.results.get(key)
        return waiting.pop(0) if waiting else RunResult(outcome="ok")

    def hold(self, flow: str, account: str) -> threading.Event:
        return self.gates.setdefault((flow, account), threading.Event())

    def wait(self, predicate) -> bool:
        with self.changed:
            return self.changed.wait_for(predicate, WAIT)


@pytest.fixture
def flows() -> Flows:
    return Flows()


@pytest.fixture
def make_dispatcher(flows):
    made = []

    def make(
        *accounts: str, exclusive=(), on_next=lambda *_: None, capabilities=()
    ) -> LocalDispatcher:
        manifest = Manifest(
            id="fake",
            label="Fake",
            exclusive_flows=exclusive,
            capabilities=frozenset(capabilities),
        )
        manifests = dict.fromkeys(accounts or ("a",), manifest)
        made.append(LocalDispatcher(flows, manifests=manifests, on_next=on_next))
        made[-1].start()
        return made[-1]

    yield make
    for gate in flows.gates.values():
        gate.set()
    for dispatcher in made:
        assert dispatcher.stop(WAIT)


def test_a_wake_up_runs_the_flow(make_dispatcher, flows):
    dispatcher = make_dispatcher()
    dispatcher.wake("ingest", "a")
    assert dispatcher.wait_idle(WAIT)
    assert flows.begun == [("ingest", "a")]


def test_wake_ups_before_the_start_are_kept(flows):
    manifests = {"a": Manifest(id="fake", label="Fake")}
    dispatcher = LocalDispatcher(flows, manifests=manifests, on_next=lambda *_: None)
    dispatcher.wake("ingest", "a")
    assert flows.begun == []
    dispatcher.start()
    assert dispatcher.wait_idle(WAIT)
    assert flows.begun == [("ingest", "a")]
    assert dispatcher.stop(WAIT)


@pytest.mark.proves("I-27")
def test_any_number_of_wake_ups_during_a_run_are_one_more_run(make_dispatcher, flows):
    dispatcher, gate = make_dispatcher(), flows.hold("ingest", "a")
    dispatcher.wake("ingest", "a")
    assert flows.wait(lambda: len(flows.begun) == 1)
    for _ in range(100):
        dispatcher.wake("ingest", "a")
    gate.set()
    assert dispatcher.wait_idle(WAIT)
    assert flows.begun == [("ingest", "a")] * 2


def test_a_flow_with_more_to_do_runs_again_after_those_that_wait(make_dispatcher, flows):
    dispatcher = make_dispatcher()
    flows.results["ingest", "a"] = [RunResult(outcome="ok", is_more=True)] * 3
    dispatcher.wake("ingest", "a")
    assert dispatcher.wait_idle(WAIT)
    assert flows.begun == [("ingest", "a")] * 4


def test_when_a_flow_wants_to_come_back_the_timers_are_told(make_dispatcher, flows, clock):
    told = []
    dispatcher = make_dispatcher(on_next=lambda *asked: told.append(asked))
    flows.results["ingest", "a"] = [RunResult(outcome="ok", next_at=clock.now())]
    dispatcher.wake("ingest", "a")
    assert dispatcher.wait_idle(WAIT)
    assert dispatcher.stop(WAIT)
    assert told == [("ingest", "a", clock.now())]


def test_another_flow_may_be_the_one_that_looks_next(make_dispatcher, flows, clock):
    told = []
    dispatcher = make_dispatcher(on_next=lambda *asked: told.append(asked))
    later = RunResult(outcome="fix_account", next_at=clock.now(), next_flow="tend")
    flows.results["ingest", "a"] = [later]
    dispatcher.wake("ingest", "a")
    assert dispatcher.wait_idle(WAIT)
    assert dispatcher.stop(WAIT)
    assert told == [("tend", "a", clock.now())]


def test_flows_that_exclude_one_another_never_run_together(make_dispatcher, flows):
    dispatcher = make_dispatcher(exclusive=(("ingest", "push_tracking"),))
    gate = flows.hold("ingest", "a")
    dispatcher.wake("ingest", "a")
    assert flows.wait(lambda: flows.begun)
    dispatcher.wake("push_tracking", "a")
    dispatcher.wake("push_stock", "a")
    assert flows.wait(lambda: ("push_stock", "a") in flows.begun)
    assert ("push_tracking", "a") not in flows.begun
    gate.set()
    assert dispatcher.wait_idle(WAIT)
    assert ("push_tracking", "a") in flows.begun
    pair = {("ingest", "a"), ("push_tracking", "a")}
    assert not any(pair <= each for each in flows.together)


@pytest.mark.proves("I-25", "I-39", "A58")
def test_an_account_whose_every_flow_hangs_does_not_slow_another(make_dispatcher, flows):
    accounts = [f"account-{number}" for number in range(40)]
    dispatcher = make_dispatcher(*accounts)
    for flow in ("ingest", "reconcile", "push_stock", "push_tracking", "normalise", "reserve"):
        flows.hold(flow, accounts[0])
        dispatcher.wake(flow, accounts[0])
    assert flows.wait(lambda: len(flows.begun) >= WORKERS_PER_ACCOUNT_MIN)
    for account in accounts[1:]:
        dispatcher.wake("push_stock", account)
    assert flows.wait(lambda: sum(1 for flow, _ in flows.begun if flow == "push_stock") >= 39)
    assert len([key for key in flows.under_way if key[1] == accounts[0]]) <= (
        WORKERS_PER_ACCOUNT_MIN
    )


@pytest.mark.proves("I-25")
def test_a_back_fill_and_a_sweep_leave_a_thread_for_the_push(make_dispatcher, flows):
    accounts = [f"account-{number}" for number in range(40)]  # each has as few threads as can be
    dispatcher = make_dispatcher(*accounts)
    for flow in ("ingest", "reconcile"):
        flows.hold(flow, accounts[0])
        dispatcher.wake(flow, accounts[0])
    assert flows.wait(lambda: flows.begun)
    dispatcher.wake("push_tracking", accounts[0])
    assert flows.wait(lambda: ("push_tracking", accounts[0]) in flows.begun)


@pytest.mark.proves("I-25", "I-26")
def test_a_long_list_of_listings_leaves_a_thread_for_the_orders_and_one_for_the_push(
    make_dispatcher, flows
):
    accounts = [f"account-{number}" for number in range(40)]  # each has as few threads as can be
    dispatcher = make_dispatcher(*accounts)
    for flow in ("discover", "ingest", "push_stock"):
        flows.hold(flow, accounts[0])
        dispatcher.wake(flow, accounts[0])
        assert flows.wait(lambda flow=flow: (flow, accounts[0]) in flows.under_way), flow


@pytest.mark.proves("I-25")
def test_a_list_of_listings_begins_once_there_is_room_for_the_orders_beside_it(
    make_dispatcher, flows
):
    accounts = [f"account-{number}" for number in range(40)]
    dispatcher = make_dispatcher(*accounts)
    sweep = flows.hold("reconcile", accounts[0])
    dispatcher.wake("reconcile", accounts[0])
    assert flows.wait(lambda: flows.under_way)
    dispatcher.wake("discover", accounts[0])
    dispatcher.wake("ingest", accounts[0])
    assert flows.wait(lambda: ("ingest", accounts[0]) in flows.begun)
    assert ("discover", accounts[0]) not in flows.begun
    sweep.set()
    assert flows.wait(lambda: ("discover", accounts[0]) in flows.begun)


PULLS = (Capability.PULL_NOTIFICATIONS,)


@pytest.mark.proves("I-25", "I-39")
def test_who_stands_at_a_queue_takes_no_thread_of_any_other_flow(make_dispatcher, flows):
    accounts = [f"account-{number}" for number in range(WORKERS_MAX // WORKERS_PER_ACCOUNT_MIN)]
    dispatcher = make_dispatcher(*accounts, capabilities=PULLS)
    for account in accounts:
        flows.hold("listen", account)
        dispatcher.wake("listen", account)
    assert flows.wait(lambda: len(flows.begun) == len(accounts))
    others = [(flow, each) for each in accounts for flow in ("push_stock", "reserve")]
    for flow, account in others:
        flows.hold(flow, account)
        dispatcher.wake(flow, account)
    assert flows.wait(lambda: set(others) <= flows.under_way), "each has its whole share"


def test_more_queues_than_threads_are_listened_to_in_turns(make_dispatcher, flows, monkeypatch):
    monkeypatch.setattr(dispatch, "STANDING_WORKERS_MAX", 2)
    dispatcher = make_dispatcher("a", "b", "c", capabilities=PULLS)
    again = RunResult(outcome="ok", is_more=True)
    gates = [flows.hold("listen", account) for account in ("a", "b")]
    for account in ("a", "b", "c"):
        flows.results["listen", account] = [again] * 5
        dispatcher.wake("listen", account)
    assert flows.wait(lambda: len(flows.begun) == 2)
    for gate in gates:
        gate.set()
    assert flows.wait(lambda: len(flows.begun) == 18)
    assert ("listen", "c") in flows.begun[2:4], "who waited comes before who was served"
    assert max(len(each) for each in flows.together) <= 2


def test_nobody_waits_for_who_stands_at_a_queue(make_dispatcher, flows):
    dispatcher = make_dispatcher("a", capabilities=PULLS)
    gate = flows.hold("listen", "a")
    dispatcher.wake("listen", "a")
    assert flows.wait(lambda: flows.begun)
    dispatcher.wake("ingest", "a")
    assert dispatcher.wait_idle(WAIT)
    assert flows.begun == [("listen", "a"), ("ingest", "a")]
    assert not dispatcher.stop(0.05), "stopping waits for all"
    gate.set()


def test_stopping_starts_nothing_more_and_waits_for_what_runs(make_dispatcher, flows):
    dispatcher, gate = make_dispatcher(), flows.hold("ingest", "a")
    dispatcher.wake("ingest", "a")
    assert flows.wait(lambda: flows.begun)
    dispatcher.wake("ingest", "a")
    assert not dispatcher.stop(0.05), "it says what did not end in time"
    assert dispatcher.running() == [("ingest", "a")]
    gate.set()
    assert dispatcher.stop(WAIT)
    dispatcher.wake("reserve", "a")
    assert flows.begun == [("ingest", "a")]


def test_an_account_not_wired_here_is_ignored(make_dispatcher, flows):
    dispatcher = make_dispatcher("a")
    dispatcher.wake("ingest", "elsewhere")
    assert dispatcher.wait_idle(WAIT)
    assert flows.begun == []


def test_a_wake_up_is_acted_on_at_once(make_dispatcher, flows):
    dispatcher = make_dispatcher()
    slowest = 0.0
    for _ in range(50):
        begun, count = time.monotonic(), len(flows.begun)
        dispatcher.wake("reserve", "a")
        assert flows.wait(lambda count=count: len(flows.begun) > count)
        slowest = max(slowest, time.monotonic() - begun)
        assert dispatcher.wait_idle(WAIT)
    assert slowest < 1.0
