"""One run of one flow: what it is given, what becomes of what it raises, who is told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.flows.ports import FlowReport, LeaseLost
from oms_sync.flows.records import AccountRecord
from oms_sync.runtime import retry
from oms_sync.runtime.breaker import FAILURES_MAX, OPEN_SECONDS_MAX
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.leases import LeaseKeeper
from oms_sync.runtime.runner import FlowRunner, RunnerParts
from oms_sync.runtime.sessions import Sessions
from oms_sync.runtime.tend import TEND
from oms_sync.sdk import (
    AuthFailed,
    BadPayload,
    ChannelDown,
    PermissionMissing,
    Priority,
    RateLimited,
    Rejected,
)
from oms_sync.sdk.fake_ports import SeededIds


class Bench:
    """A runner over flows the test writes."""

    def __init__(self, clock, metrics, database, leases, wirings) -> None:
        self.clock, self.metrics, self.database, self.leases = clock, metrics, database, leases
        self.wirings, self.flows, self.fences = wirings, {}, []
        profiles = {name: wiring.profile for name, wiring in wirings.items()}
        self.keeper = LeaseKeeper(leases, owner="us")
        self.sessions = Sessions(wirings)
        self.parts = RunnerParts(
            flows=self.flows,
            wirings=wirings,
            profiles=profiles,
            sessions=self.sessions,
            health=AccountHealth(database.open_work, clock=clock, profiles=profiles),
            leases=self.keeper,
            open_work=self._open,
            clock=clock,
            ids=SeededIds(1),
            metrics=metrics,
            is_stopping=lambda: False,
        )
        self.runner = FlowRunner(self.parts)

    def _open(self, fence):
        self.fences.append(fence)
        return self.database.open_work(fence)

    def run(self, flow="ingest", account="shop-a", does=None):
        self.flows[flow] = does or (lambda _: FlowReport())
        return self.runner.run(flow, account)

    def raises(self, error, flow="ingest", account="shop-a"):
        def fail(_):
            raise error

        return self.run(flow, account, fail)

    def health(self, account="shop-a"):
        record = self.database.stored.get(account)
        return record.health if record else "ok"


@pytest.fixture
def bench(clock, metrics, database, leases, make_wiring) -> Bench:
    wirings = {name: make_wiring(name) for name in ("shop-a", "shop-b")}
    return Bench(clock, metrics, database, leases, wirings)


def _names(events, *levels):
    return [line["event"] for line in events if not levels or line["log_level"] in levels]


def test_a_flow_is_given_its_account_session_and_a_fenced_unit_of_work(bench):
    seen = []

    def flow(context):
        with context.open_work():
            seen.append(context)
        return FlowReport(done=3, is_more=True, next_at=context.clock.now())

    result = bench.run("ingest", "shop-b", flow)
    assert (result.outcome, result.done, result.is_more) == ("ok", 3, True)
    assert result.next_at == bench.clock.now()
    assert seen[0].account.name == "shop-b"
    assert set(seen[0].profiles) == {"shop-a", "shop-b"}
    assert bench.fences == [("ingest:shop-b", "us", 1)]


def test_every_run_leaves_one_line_and_one_count(bench, events):
    bench.run("reserve", "shop-a", lambda _: FlowReport(done=2))
    assert bench.metrics.counted["flow_runs", "shop-a", "reserve", "ok"] == 1
    (line,) = [line for line in events if line["event"] == "flow.finished"]
    assert (line["log_level"], line["account"], line["flow"]) == ("debug", "shop-a", "reserve")
    assert (line["outcome"], line["done"]) == ("ok", 2)


def test_the_lease_is_held_during_the_run_and_given_back_after_it(bench, leases):
    holders = []
    bench.run("ingest", "shop-a", lambda _: holders.append(leases.holder("ingest:shop-a")))
    assert (holders, leases.holder("ingest:shop-a")) == (["us"], "")
    bench.raises(ChannelDown("down"))
    assert leases.holder("ingest:shop-a") == ""


@pytest.mark.proves("F49")
def test_a_lease_of_another_owner_leaves_the_flow_to_it_and_asks_again_soon(bench, leases):
    leases.acquire("ingest:shop-a", "them", 60)
    ran = []
    result = bench.run("ingest", "shop-a", ran.append)
    assert (result.outcome, ran) == ("busy", [])
    assert bench.clock.now() < result.next_at <= bench.clock.now() + timedelta(seconds=5)


@pytest.mark.proves("I-32", "F48")
def test_a_lost_lease_is_no_error(bench, events):
    result = bench.raises(LeaseLost("another owner"))
    assert result.outcome == "lease_lost"
    assert result.next_at is not None
    assert bench.health() == "ok"
    assert _names(events, "warning", "error") == []


@pytest.mark.proves("I-32")
def test_leases_are_renewed_while_held_and_a_lost_one_is_forgotten(bench, leases, events):
    with bench.keeper.hold("reserve:shop-a") as fence:
        bench.clock.advance(50)
        bench.keeper.renew()
        bench.clock.advance(50)
        assert leases.acquire("reserve:shop-a", "them", 60) is None
        bench.clock.advance(20)
        assert leases.acquire("reserve:shop-a", "them", 60) is not None
        bench.keeper.renew()
        assert not leases.renew(fence, 60)
    assert leases.holder("reserve:shop-a") == "them", "what is not ours is not released"
    assert _names(events) == ["lease.lost"]


@pytest.mark.proves("I-31", "I-34")
def test_a_lease_that_could_not_be_given_back_does_not_keep_its_own_daemon_waiting(bench, leases):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "release", _away)
        with pytest.raises(OSError, match="away"), bench.keeper.hold("reserve:shop-a"):
            pass
    assert leases.holder("reserve:shop-a") == "us"
    with bench.keeper.hold("reserve:shop-a") as fence, bench.keeper.hold("reserve:shop-a") as two:
        assert fence is not None
        assert two is None, "a second thread of ours waits like anybody else"


def _away(_: object) -> None:
    raise OSError("the database is away")


def test_handing_back_releases_what_a_stuck_run_still_holds(bench, leases):
    with bench.keeper.hold("reserve:shop-a"):
        bench.keeper.release_all()
        assert leases.holder("reserve:shop-a") == ""


def test_a_hiccup_is_retried_inside_the_run_and_nobody_hears_of_it(bench, events):
    errors = [ChannelDown("one 503")]

    def flow(_):
        if errors:
            raise errors.pop()
        return FlowReport(done=1)

    assert bench.run("ingest", "shop-a", flow).outcome == "ok"
    assert _names(events, "info", "warning", "error") == []


@pytest.mark.proves("I-26", "F06")
def test_a_channel_that_fails_degrades_its_account_once_and_recovers_once(bench, events):
    for _ in range(4):
        result = bench.raises(ChannelDown("503"))
        assert result.outcome == "channel_failed"
        assert result.next_at > bench.clock.now()
    assert bench.health() == "degraded"
    assert bench.health("shop-b") == "ok"
    bench.run("ingest")
    bench.run("ingest")
    assert bench.health() == "ok"
    said = _names(events, "info", "warning", "error")
    assert said == ["account.degraded", "account.recovered"]


def test_an_account_recovers_when_the_last_of_its_failing_flows_does(bench):
    bench.raises(ChannelDown("503"), "ingest")
    bench.raises(ChannelDown("503"), "push_stock")
    bench.run("ingest")
    assert bench.health() == "degraded"
    bench.run("push_stock")
    assert bench.health() == "ok"


@pytest.mark.proves("I-26")
def test_the_breaker_opens_skips_and_closes_by_itself(bench, events):
    for _ in range(FAILURES_MAX):
        bench.raises(ChannelDown("503"))
    ran = []
    skipped = bench.run("push_stock", "shop-a", ran.append)
    assert (skipped.outcome, ran) == ("skipped", [])
    assert skipped.next_at > bench.clock.now()
    assert bench.run("push_stock", "shop-b").outcome == "ok", "the other account goes on"
    assert bench.run("reserve").outcome == "ok", "what needs no channel goes on"
    bench.clock.advance(OPEN_SECONDS_MAX)

    def answered(context):
        bench.wirings["shop-a"].gate.spend("orders", priority=Priority.READ)
        return FlowReport()

    assert bench.run("ingest", "shop-a", answered).outcome == "ok"
    assert bench.run("push_stock").outcome == "ok"
    assert _names(events).count("breaker.opened") == 1


def test_a_run_that_never_asked_the_channel_does_not_close_the_breaker(bench):
    for _ in range(FAILURES_MAX):
        bench.raises(ChannelDown("503"))
    bench.clock.advance(OPEN_SECONDS_MAX)
    assert bench.run("push_stock").outcome == "ok"  # nothing to push
    assert bench.runner.breaker("shop-a").open_until is not None
    assert bench.run("push_stock").outcome == "ok", "its probe was given back"


@pytest.mark.proves("I-35", "I-39", "F29", "F30")
@pytest.mark.parametrize("error", [AuthFailed("revoked"), PermissionMissing("write_orders")])
def test_refused_credentials_stop_only_their_account_and_say_so_once(bench, events, error):
    assert bench.raises(error).outcome == "fix_account"
    for _ in range(3):
        assert bench.run("ingest").outcome == "skipped"
        assert bench.run("push_stock").outcome == "skipped"
        assert bench.raises(error, TEND).outcome == "fix_account"
    assert bench.run("ingest", "shop-b").outcome == "ok"
    assert bench.run("normalise").outcome == "ok", "what was read is still worked off"
    record = bench.database.stored["shop-a"]
    assert (record.health, record.reason) == ("needs_reauth", str(error))
    assert _names(events, "error") == ["account.needs_reauth"]


@pytest.mark.proves("I-35", "F29")
def test_an_account_that_was_resumed_runs_again_with_a_new_session(bench):
    sessions = []

    def flow(context):
        sessions.append(context.session)
        return FlowReport()

    bench.run("ingest", "shop-a", flow)
    bench.raises(AuthFailed("revoked"))
    resumed = replace(bench.database.stored["shop-a"], health="ok", reason="")
    bench.database.stored["shop-a"] = resumed
    bench.clock.advance(2)
    assert bench.run("ingest", "shop-a", flow).outcome == "ok"
    assert sessions[0].is_closed
    assert sessions[1] is not sessions[0]


@pytest.mark.proves("I-35", "F29")
def test_an_account_is_looked_at_again_until_its_credentials_are_good(bench):
    refused = bench.raises(AuthFailed("revoked"), "push_stock")
    assert refused.next_flow == TEND, "the flow itself stays away until the account is well"
    assert bench.clock.now() < refused.next_at <= bench.clock.now() + timedelta(seconds=300)
    again = bench.raises(AuthFailed("revoked"), TEND)
    assert again.next_flow == TEND
    bench.parts.health.succeeded("shop-a", TEND, is_proof=True)
    assert bench.run("push_stock").outcome == "ok"
    assert bench.raises(ChannelDown("away"), "push_stock").next_flow is None


def test_revoked_credentials_stop_the_account_also_after_a_restart(bench):
    record = AccountRecord(name="shop-a", connector="fake", health="needs_reauth", reason="revoked")
    bench.database.stored["shop-a"] = record
    assert bench.run("ingest").outcome == "skipped"
    bench.parts.health.succeeded("shop-a", TEND, is_proof=True)
    assert bench.run("ingest").outcome == "ok"
    assert bench.health() == "ok"


@pytest.mark.proves("O-14")
def test_a_paused_account_stops_within_a_second_and_goes_on_when_resumed(bench):
    bench.run("ingest")
    paused = AccountRecord(name="shop-a", connector="fake", is_paused=True)
    bench.database.stored["shop-a"] = paused
    bench.clock.advance(1.1)
    assert bench.run("ingest").outcome == "skipped"
    assert bench.run(TEND).outcome == "skipped"
    bench.database.stored["shop-a"] = replace(paused, is_paused=False)
    bench.parts.health.forget("shop-a")  # what the watch for foreign commits does
    assert bench.run("ingest").outcome == "ok"


def test_a_health_update_keeps_what_else_the_record_says(bench):
    connected = AccountRecord(
        name="shop-a", connector="fake", backfilled_at=bench.clock.now(), is_paused=False
    )
    bench.run("ingest")
    bench.database.stored["shop-a"] = connected
    bench.raises(ChannelDown("503"))
    stored = bench.database.stored["shop-a"]
    assert (stored.health, stored.backfilled_at) == ("degraded", connected.backfilled_at)


@pytest.mark.proves("F05", "I-26")
def test_a_rate_limit_is_no_failure_and_its_retry_after_is_kept(bench, events):
    result = bench.raises(RateLimited("slow down", retry_after_seconds=47))
    assert result.outcome == "rate_limited"
    assert result.next_at >= bench.clock.now() + timedelta(seconds=47)
    assert bench.health() == "ok"
    absurd = bench.raises(RateLimited("slow down", retry_after_seconds=1e9))
    most = timedelta(seconds=retry.RETRY_AFTER_SECONDS_MAX + 2)
    assert absurd.next_at <= bench.clock.now() + most
    assert _names(events, "warning", "error") == []


@pytest.mark.proves("A58", "I-39")
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BadPayload("odd"), "bug"),
        (Rejected("no"), "failed"),
        (ValueError("ours"), "failed"),
        (RecursionError("deep"), "failed"),
        (KeyError("theirs"), "failed"),
    ],
)
def test_whatever_a_flow_raises_is_counted_logged_once_and_tried_again(
    bench, events, error, outcome
):
    for _ in range(3):
        result = bench.raises(error)
        assert result.outcome == outcome
        assert result.next_at > bench.clock.now()
    assert bench.metrics.counted["flow_runs", "shop-a", "ingest", outcome] == 3
    assert bench.health() == "degraded"
    assert _names(events, "warning", "error") == ["flow.failed", "account.degraded"]
    bench.run("ingest")
    assert _names(events, "info") == ["flow.recovered", "account.recovered"]


@pytest.mark.proves("A58")
def test_a_connector_that_cannot_even_open_stops_only_what_needs_it(bench, make_wiring):
    def broken():
        raise OSError("no such library")

    bench.wirings["shop-a"] = make_wiring("shop-a", opener=broken)
    assert bench.run("ingest").outcome == "failed"
    assert bench.run("reserve").outcome == "ok"
    assert bench.run("ingest", "shop-b").outcome == "ok"


@pytest.mark.proves("I-34", "F45")
def test_while_the_database_is_away_runs_fail_and_the_health_is_stored_afterwards(bench, events):
    bench.run("ingest")
    bench.database.is_down = True
    assert bench.raises(ChannelDown("503")).outcome == "channel_failed"
    assert "account.unsaved" in _names(events)
    bench.clock.advance(5)
    assert bench.run("ingest").outcome in ("ok", "failed")
    bench.database.is_down = False
    assert bench.run("ingest").outcome == "ok"
    assert bench.health() == "ok"
