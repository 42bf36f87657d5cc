"""No flow speaks to a channel before its credentials were seen to open the account's own shop."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.flows.identity import OtherAccount
from oms_sync.flows.ports import FlowReport
from oms_sync.runtime.health import AccountHealth
from oms_sync.runtime.identity_proofs import PROOF_SECONDS_MAX, IdentityProofs
from oms_sync.runtime.leases import LeaseKeeper
from oms_sync.runtime.runner import FlowRunner, RunnerParts
from oms_sync.runtime.sessions import Sessions
from oms_sync.runtime.tend import TEND
from oms_sync.sdk import AuthFailed, ChannelDown
from oms_sync.sdk.fake_ports import SeededIds


class Bench:
    """A runner over flows that note that they ran, and the proofs it asks for."""

    def __init__(self, clock, metrics, database, leases, wiring) -> None:
        self.clock, self.database = clock, database
        self.proofs, self.ran = IdentityProofs(), []
        self.errors: dict[str, Exception] = {}
        flows = ("ingest", "push_stock", "listen", "normalise", "reserve", TEND)
        profiles = {"shop-a": wiring.profile}
        health = AccountHealth(database.open_work, clock=clock, profiles=profiles)
        self.runner = FlowRunner(
            RunnerParts(
                flows={flow: self._flow(flow) for flow in flows},
                wirings={"shop-a": wiring},
                profiles=profiles,
                sessions=Sessions({"shop-a": wiring}),
                health=health,
                leases=LeaseKeeper(leases, owner="us"),
                open_work=database.open_work,
                clock=clock,
                ids=SeededIds(1),
                metrics=metrics,
                is_stopping=lambda: False,
                proofs=self.proofs,
            )
        )

    def _flow(self, name):
        def run(context):
            if name in self.errors:
                raise self.errors[name]
            if name == TEND:
                self.proofs.prove("shop-a")
            self.ran.append(name)
            return FlowReport()

        return run

    def run(self, *flows):
        """Run them; answers which got as far as their channel."""
        self.ran.clear()
        self.results = [self.runner.run(flow, "shop-a") for flow in flows]
        return self.ran[:]

    def resume(self):
        record = self.database.stored["shop-a"]
        self.database.stored["shop-a"] = replace(record, health="ok", reason="")
        self.clock.advance(2)


@pytest.fixture
def bench(clock, metrics, database, leases, make_wiring):
    return Bench(clock, metrics, database, leases, make_wiring())


SPEAKING = ("ingest", "push_stock", "listen")


def test_flows_wait_for_the_first_proof_and_ask_again_in_a_second(bench):
    assert bench.run(*SPEAKING, "normalise", "reserve") == ["normalise", "reserve"]
    skipped = bench.results[0]
    assert (skipped.outcome, skipped.reason) == ("skipped", "not checked yet")
    assert skipped.next_at == bench.clock.now() + timedelta(seconds=1)
    assert bench.run(TEND, *SPEAKING) == [TEND, *SPEAKING]


@pytest.mark.proves("I-39", "F29")
def test_credentials_of_another_shop_move_nothing_until_they_are_the_right_ones_again(bench):
    bench.run(TEND)
    bench.errors[TEND] = OtherAccount("these are of another")
    assert bench.run(TEND, *SPEAKING) == []
    assert bench.database.stored["shop-a"].health == "needs_reauth"
    bench.resume()
    bench.clock.advance(10 * PROOF_SECONDS_MAX)
    assert bench.run(*SPEAKING) == [], "resumed, but still nobody knows whose they are"
    del bench.errors[TEND]
    assert bench.run(TEND, *SPEAKING) == [TEND, *SPEAKING]


@pytest.mark.proves("F29")
def test_after_a_refusal_resumed_credentials_are_looked_at_before_they_are_used(bench):
    bench.run(TEND)
    bench.errors["ingest"] = AuthFailed("revoked")
    bench.run("ingest")
    del bench.errors["ingest"]
    bench.resume()
    assert bench.run("ingest", "push_stock") == []
    assert bench.run(TEND, "ingest") == [TEND, "ingest"]


def test_a_check_that_cannot_be_had_keeps_orders_waiting_two_minutes_and_no_longer(bench):
    bench.errors[TEND] = ChannelDown("the check is broken")
    assert bench.run(TEND, "ingest") == []
    bench.clock.advance(PROOF_SECONDS_MAX)
    assert bench.run("ingest") == ["ingest"]


def test_what_the_queue_says_of_its_own_credentials_refuses_nobody(bench):
    bench.run(TEND)
    bench.errors["listen"] = AuthFailed("the queue's keys are wrong")
    bench.run("listen")
    assert bench.run("ingest") == ["ingest"]
