"""One performance of the demo: open the shops, sell, stop, settle, and state how it ended."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from oms_sync.bootstrap import Desk
from oms_sync.cli.demo_crowd import Crowd
from oms_sync.cli.demo_faults import FaultDriver, FaultLevel
from oms_sync.cli.demo_plan import PlannedPurchase, PlanOptions, plan_hash, planned_purchases
from oms_sync.cli.demo_propagation import Change, Propagation, percentiles
from oms_sync.cli.demo_stage import Stage, StageFailed, command_context
from oms_sync.cli.demo_statement import Comparison, Evidence, Statement, compare
from oms_sync.cli.demo_view import ChannelRow, Scene, StockRow, View
from oms_sync.cli.demo_warehouse import Warehouse

TICK_SECONDS: Final = 0.25
LEVEL_SECONDS_MAX: Final = 120.0
SETTLE_SECONDS_MAX: Final = 120.0
SETTLE_ASK_SECONDS: Final = 0.5
#: clean must be seen so often in a row before it is believed
CLEAN_SIGHTS: Final = 2
#: changes younger than this wait for those of other sandboxes, to be told in order
ORDER_SECONDS: Final = 0.3
ORDERS_MAX: Final = 100_000
STOCK_ROWS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayOptions:
    """What a performance is asked for."""

    seed: int
    #: how long is sold; None until told to stop
    seconds: float | None
    orders_per_second: float
    skus: int
    faults: FaultLevel


class Play:
    """One performance on a stage whose hub is ready."""

    def __init__(self, stage: Stage, desk: Desk, options: PlayOptions, view: View) -> None:
        self._stage, self._desk, self._options, self._view = stage, desk, options, view
        self._clock = stage.clock
        accounts = tuple(stage.controls)
        self._plan_options = PlanOptions(
            seed=options.seed,
            skus=options.skus,
            accounts=accounts,
            orders_per_second=options.orders_per_second,
            shipping_accounts=tuple(
                name for name, control in stage.controls.items() if control.ships_itself
            ),
        )
        self._crowd = Crowd(self._plan(), stage.controls, stage.clock)
        self._warehouse = Warehouse(
            command_context(desk), desk.reports, self._crowd, seed=options.seed
        )
        self._faults = FaultDriver(stage.controls, options.faults, seconds=options.seconds)
        self._propagation = Propagation(stage.initial, accounts)
        self._seen = dict.fromkeys(accounts, 0)
        self._young: list[Change] = []
        self._started_at = 0.0

    def _plan(self) -> Iterator[PlannedPurchase]:
        seconds = self._options.seconds
        plan = planned_purchases(self._plan_options)
        if seconds is None:
            return plan
        return itertools.takewhile(lambda planned: planned.offset_seconds < seconds, plan)

    def run(self, is_stopping: Callable[[], bool]) -> Statement:
        """Sell until time is up or `is_stopping`, settle, and answer the statement."""
        self._wait_level(is_stopping)
        self._sell(is_stopping)
        stopped_at = self._clock.monotonic()
        comparison, settled_seconds = self._settle(stopped_at)
        self._pump(is_last=True)
        self._propagation.finish(self._clock.now())
        return Statement(
            seed=self._options.seed,
            plan_hash=self._hash(),
            comparison=comparison,
            skus_sold_out=len(self._propagation.sold_out),
            propagation_ms=percentiles(self._propagation.measured),
            faults_fired=self._faults.fired(),
            faults_by_account=self._faults.fired_by_account(),
            settled_seconds=settled_seconds,
        )

    def _hash(self) -> str:
        is_timed = self._options.seconds is not None
        return plan_hash(self._plan() if is_timed else self._crowd.attempted)

    def _wait_level(self, is_stopping: Callable[[], bool]) -> None:
        """Nobody sells before the hub knows both shops and they show its quantities."""
        self._view.say("the hub looks at every channel before the first sale …")
        deadline = self._clock.monotonic() + LEVEL_SECONDS_MAX
        while not is_stopping():
            self._stage.check()
            comparison = self.compare()
            if not comparison.listings_drifted and self._is_confirmed():
                return
            if self._clock.monotonic() > deadline:
                raise StageFailed(
                    f"the shops are not level after {LEVEL_SECONDS_MAX:.0f} s: "
                    f"{comparison.listings_drifted} listings differ; see {self._stage.folder}"
                )
            self._clock.sleep(TICK_SECONDS)

    def _is_confirmed(self) -> bool:
        """Whether the hub has seen every listing at its channel."""
        listings = [one for entry in self._desk.reports.stock() for one in entry["listings"]]
        return bool(listings) and all(
            one["expected"] is not None and one["expected"] == one["channel_quantity"]
            for one in listings
        )

    def _sell(self, is_stopping: Callable[[], bool]) -> None:
        self._faults.start()
        self._started_at = self._clock.monotonic()
        self._crowd.start()
        self._warehouse.start()
        try:
            while not is_stopping():
                self._clock.sleep(TICK_SECONDS)
                elapsed = self._clock.monotonic() - self._started_at
                if self._options.seconds is not None and elapsed >= self._options.seconds:
                    break
                self._stage.check()
                self._crowd.check()
                self._warehouse.check()
                self._faults.tick(elapsed)
                self._show("selling")
        finally:
            self._faults.heal()
        self._crowd.stop()
        self._warehouse.stop()

    def _settle(self, stopped_at: float) -> tuple[Comparison, float]:
        """Compare until both sides agree twice in a row or time is up."""
        clean_at, sights = 0.0, 0
        while True:
            asked_at = self._clock.monotonic()
            comparison = self.compare()
            self._show("settling")
            if comparison.is_clean:
                clean_at = clean_at if sights else asked_at
                sights += 1
            else:
                sights = 0
            if sights >= CLEAN_SIGHTS:
                return comparison, clean_at - stopped_at
            if asked_at - stopped_at > SETTLE_SECONDS_MAX:
                return comparison, asked_at - stopped_at
            self._stage.check()
            self._clock.sleep(SETTLE_ASK_SECONDS)

    def compare(self) -> Comparison:
        """Both sides as they stand now."""
        reports: Any = self._desk.reports
        return compare(
            Evidence(
                truths={name: control.truth() for name, control in self._stage.controls.items()},
                orders=reports.orders(limit=ORDERS_MAX),
                stock=reports.stock(),
                initial=self._stage.initial,
                skus=self._stage.skus,
            )
        )

    def _pump(self, *, is_last: bool = False) -> None:
        """Bring the channels' changes into one order of time and take them in."""
        now = self._clock.now()
        for account, control in self._stage.controls.items():
            for number, change in control.changes(self._seen[account]):
                self._seen[account] = number
                self._young.append(self._named(change))
        self._young.sort(key=lambda change: change.at)
        end = now if is_last else now - timedelta(seconds=ORDER_SECONDS)
        old = [change for change in self._young if is_last or change.at <= end]
        del self._young[: len(old)]
        self._propagation.feed(old)

    def _named(self, change: Change) -> Change:
        """The change under our SKU instead of the channel's."""
        sku = self._stage.skus[change.account, change.sku]
        return Change(
            account=change.account,
            at=change.at,
            sku=sku,
            quantity=change.quantity,
            delta=change.delta,
            is_hub=change.is_hub,
        )

    def _show(self, phase: str) -> None:
        self._pump()
        self._view.show(self._scene(phase))

    def _scene(self, phase: str) -> Scene:
        crowd, told = self._crowd, self._propagation
        initial = self._stage.initial
        shown = sorted(initial, key=lambda sku: (initial[sku], sku))[:STOCK_ROWS]
        return Scene(
            phase=phase,
            elapsed_seconds=self._clock.monotonic() - self._started_at,
            seconds=self._options.seconds,
            address=self._stage.hub_url,
            database=self._stage.database_kind,
            channels=[
                ChannelRow(
                    account=account,
                    placed=crowd.placed[account],
                    refused=crowd.refused[account],
                    pushes=told.pushes[account],
                    is_out=self._faults.account_out == account,
                )
                for account in self._stage.controls
            ],
            stock=[
                StockRow(
                    sku=sku,
                    initial=initial[sku],
                    left=told.left(sku),
                    offered={name: told.offered(name, sku) for name in self._stage.controls},
                )
                for sku in shown
            ],
            orders_in_hub=sum(self._desk.reports.counts()["orders"].values()),
            skus_sold_out=len(told.sold_out),
            shipments=self._warehouse.shipments,
            lags=told.measured[-200:],
            faults=self._faults.fired() if self._options.faults != "none" else {},
        )
