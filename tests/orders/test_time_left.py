"""The first push of a whole catalogue under published limits, in virtual time: the time left told
while it runs is the time it took.
"""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from oms_sync.cli.demo_virtual import open_virtual
from oms_sync.flows.commands.discovery import discover, read_all
from oms_sync.flows.commands.stock_files import import_stock
from oms_sync.runtime.budgets import BudgetParts, Budgets
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.runtime.redaction import Redactor
from oms_sync.runtime.registry import load_registry
from oms_sync.sdk import RateLimited, RetryLater
from oms_sync.storage.budgets import CallBudgets

ACCOUNT = "seller"
FLOWS = ("ingest", "normalise", "reserve", "push_stock")
ROUNDS_MAX = 600
RETRY_SECONDS = 1.0


def _csv(text):
    return '"' + text.replace('"', '""') + '"'


class Seeding:
    """A connector at its sandbox, a hub, and the one clock all of them live on."""

    def __init__(self, hub, stack, connector, *, skus, settings=None):
        self.hub = hub
        registry = load_registry()

        def make_buckets(manifest, clock):
            hub.clock.__dict__ = clock.__dict__  # one time for both ends
            store = CallBudgets(hub.storage._database, clock, now=clock.now)
            parts = BudgetParts(
                store=store, clock=clock, metrics=NullMetrics(), redactor=Redactor(), node="one"
            )
            self.budgets = Budgets(parts)
            return self.budgets.gate(ACCOUNT, manifest.rate_limits, owner=ACCOUNT)

        self.account = stack.enter_context(
            open_virtual(
                registry, connector, skus=skus, settings=settings, make_buckets=make_buckets
            )
        )
        hub.connect(ACCOUNT, {})
        #: (seconds, listings behind, seconds told to be left)
        self.track = []
        hub.sessions[ACCOUNT] = Watched(self.account.session, self)
        # Batches small enough for a small catalogue to have stages.
        size = min(self.account.manifest.stock_batch_max, skus // 8)
        hub.manifests[ACCOUNT] = replace(self.account.manifest, stock_batch_max=size)
        hub.storage.record_profiles(list(hub.profiles.values()))
        self.round()

    def round(self):
        """Every flow that has to do with it, once; True while the last one has more to do."""
        reports = [self.patiently(flow) for flow in FLOWS]
        return reports[-1] is None or reports[-1].is_more

    def patiently(self, flow):
        """One run of a flow; None where it was told to come back later, which is then."""
        try:
            return self.hub.run(flow, ACCOUNT)
        except RetryLater as error:
            asked = error.retry_after_seconds if isinstance(error, RateLimited) else None
            self.hub.clock.advance(asked or RETRY_SECONDS)
            return None

    def offer(self, units):
        """Find everything, link it, and count it otherwise than the channel shows."""
        rows = [f"{_csv(sku)},main,{units}" for _, sku in self.account.listings]
        body = "\n".join(["sku,location,on_hand", *rows]).encode()
        import_stock(self.hub.command, body, file="stock.csv")
        offered = self.account.patiently(
            lambda: read_all(self.account.session, on_page=lambda _: None)
        )
        discover(self.hub.command, ACCOUNT, offered)

    def note(self):
        self.track.append((self.hub.clock.monotonic(), *self.told()))

    def told(self):
        self.budgets.keep()
        profile = self.hub.profiles[ACCOUNT]
        settles = self.account.manifest.visibility_lag_seconds + profile.poll_seconds
        shown = self.hub.storage.reports.account(ACCOUNT, settle_seconds=settles)
        return shown["listings_behind"], shown["drain_seconds"]

    def push(self):
        """Until nothing is behind; what was told on the way."""
        self.round()
        for _ in range(ROUNDS_MAX):
            self.note()
            if self.track[-1][1] == 0:
                return self.track
            if not self.round():
                self.hub.clock.advance(1.0)
        raise AssertionError(f"{self.track[-1][1]} listings stay behind")


class Watched:
    """The session; before each batch is sent it is noted what an operator would be told."""

    def __init__(self, session, seeding):
        self._session, self._seeding = session, seeding

    def __getattr__(self, name):
        return getattr(self._session, name)

    def push_stock(self, batch):
        self._seeding.note()
        return self._session.push_stock(batch)


CASES = {
    # what is told of work that the budget bounds, listing by listing
    "amazon one by one": ("amazon", 400, {"bulk_threshold": 1_000_000}),
    # of work that the channel itself takes its time for
    "amazon by feeds": ("amazon", 400, {"bulk_threshold": 5}),
    # of work that waits for the orders of its looks
    "ebay": ("ebay", 400, {}),
    "shopify": ("shopify", 800, {}),
}
#: parts of the catalogue still behind at which the time told is held against the true one
SHARES = (0.75, 0.5, 0.25, 0.15)
FACTOR, SECONDS = 2.0, 15.0


@pytest.mark.slow
@pytest.mark.parametrize(("connector", "skus", "settings"), CASES.values(), ids=list(CASES))
def test_the_time_left_that_is_told_is_the_time_it_takes(hub, connector, skus, settings):
    with ExitStack() as stack:
        seeding = Seeding(hub, stack, connector, skus=skus, settings=settings)
        seeding.offer(17)
        track = seeding.push()
    end, seen = track[-1][0], 0
    assert track[0][1] == skus, "everything is behind at first"
    for share in SHARES:
        at, _, left = next(one for one in track if one[1] <= share * skus)
        true = end - at
        assert left is not None, f"at {share:.0%} nobody knows"
        assert true / FACTOR - SECONDS <= left <= true * FACTOR + SECONDS, (share, left, true)
        seen += true > SECONDS
    assert seen or connector == "shopify", "nothing was told that mattered"
