"""A whole hub under one seed: real flows, real storage, fake channels, virtual time, crashes.

*Faults on*: chance picks what happens next, and safety is checked as it goes. *Heal*: faults are
off, flows run until nothing is left to do, and the channels' own truth is compared with the hub.
"""

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from oms_sync.domain.errors import DomainError
from oms_sync.domain.order import OrderState
from oms_sync.domain.shipment import Package
from oms_sync.domain.values import Sku
from oms_sync.flows import (
    ingest,
    listen,
    normalise,
    push_stock,
    push_tracking,
    reconcile,
    reserve,
)
from oms_sync.flows.commands.context import CommandContext, CommandRefused
from oms_sync.flows.commands.discovery import discover, read_all
from oms_sync.flows.commands.shipments import Dispatch, ship
from oms_sync.flows.commands.stock import adjust, set_count
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import AccountProfile, MessageSource, NewMessage, StoredOrder
from oms_sync.runtime.metrics import NullMetrics
from oms_sync.sdk import ChannelError
from oms_sync.sdk.fake import FakeChannel, FakeOptions, FakeRefusal
from oms_sync.sdk.fake_ports import FakeClock, SeededIds
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.engine import Storage, open_storage

FLOWS: dict[str, ModuleType] = {
    "listen": listen,
    "ingest": ingest,
    "normalise": normalise,
    "reserve": reserve,
    "push_stock": push_stock,
    "push_tracking": push_tracking,
    "reconcile": reconcile,
}
PIPELINE = ("listen", "ingest", "normalise", "reserve", "push_stock", "push_tracking")
FAULT_RATES = {
    "F01": 0.03, "F02": 0.06, "F05": 0.03, "F06": 0.03, "F08": 0.05, "F09": 0.0, "F11": 0.1,
    "F12": 0.05, "F13": 0.1, "F14": 0.15, "F15": 0.1, "F17": 0.1, "F19": 0.05, "F22": 0.05,
    "F24": 0.0, "F32": 0.1, "F40": 0.2, "F41": 0.0, "page_duplicates": 0.1, "page_reordered": 0.1,
}  # fmt: skip
CRASH_RATE = 0.03
HEAL_ROUNDS_MAX = 60
QUIET_ROUNDS = 3
START_ROUNDS = 4
START = datetime(2026, 11, 27, tzinfo=UTC)


class Crash(BaseException):
    """The process dies here; no product code may catch it."""


class DriftCount(NullMetrics):
    """Counts what should never be: a channel quantity that nothing explains."""

    def __init__(self) -> None:
        self.drifts = 0

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.drifts += name == "drift"


@dataclass
class World:
    """Two or three accounts, one stock, one hub; `step` lets chance do one thing."""

    seed: int
    database: Path
    keys: KeyRing
    chance: random.Random = field(init=False)
    clock: FakeClock = field(init=False)
    steps: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    trace: Any = field(default_factory=hashlib.sha256)
    crashes: int = 0
    is_crashing: bool = True
    rates: dict[str, float] = field(default_factory=lambda: dict(FAULT_RATES))

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.clock = FakeClock(START)
        self.ids = SeededIds(self.seed)
        self.metrics = DriftCount()
        self.skus = [f"SKU-{number}" for number in range(1, 5)]
        self.counts = {sku: self.chance.choice([0, 1, 2, 5, 9]) for sku in self.skus}
        self.channels = {
            "with-cas": self._channel(
                "with-cas", has_compare_and_set=True, is_push_idempotent=True
            ),
            "without-cas": self._channel("without-cas", has_compare_and_set=False),
        }
        if self.seed % 2 == 0:  # a third channel costs time; half of the seeds have it
            self.channels["with-queue"] = self._channel(
                "with-queue",
                has_compare_and_set=False,
                answers_accepted=True,
                has_portable_lines=True,
                has_queue=True,
            )
        self.profiles = {
            name: AccountProfile(
                name=name,
                connector="fake",
                # Where there is a queue, it brings the orders in time.
                poll_seconds=60 if channel.options.has_queue else 5,
                reconcile_seconds=60,
            )
            for name, channel in self.channels.items()
        }
        self.storage: Storage = self._open()
        self.sessions = {name: one.session(name) for name, one in self.channels.items()}
        for session in self.sessions.values():
            session.ensure_subscriptions("http://127.0.0.1/webhooks")
        self._seed_stock()

    def _channel(self, name: str, **traits: bool) -> FakeChannel:
        traits = {"is_push_idempotent": False, **traits}
        options = FakeOptions(page_size=3, stock_batch_max=3, late_seconds=3.0, **traits)
        return FakeChannel(
            name,
            clock=self.clock,
            chance=random.Random(f"{self.seed}{name}"),
            options=options,
            catalogue=self.counts,
        )

    def _open(self) -> Storage:
        url = f"sqlite:///{self.database}"
        return open_storage(url, keys=self.keys, clock=self.clock, ids=self.ids)

    def _seed_stock(self) -> None:
        for sku, units in self.counts.items():
            set_count(self.command, Sku(sku), location="main", units=units, reason="opening count")
        for name in self.channels:
            offered = read_all(self.sessions[name], on_page=lambda count: None)
            discover(self.command, name, offered)

    # --- opening work, with crashes ---------------------------------------------------------------

    @contextmanager
    def open_work(self) -> Iterator[UnitOfWork]:
        with self.storage.open_work() as work:
            commit = work.commit

            def crashing_commit() -> None:
                roll = self.chance.random()
                if self.is_crashing and roll < CRASH_RATE:
                    raise Crash("before commit")
                commit()
                if self.is_crashing and roll > 1 - CRASH_RATE:
                    raise Crash("after commit")

            work.commit = crashing_commit  # type: ignore[method-assign]
            yield work

    @property
    def command(self) -> CommandContext:
        return CommandContext(
            open_work=self.storage.open_work,
            clock=self.clock,
            ids=self.ids,
            profiles=self.profiles,
            locations=frozenset({"main"}),
            actor="warehouse",
        )

    def context(self, account: str) -> FlowContext:
        channel = self.channels[account]
        return FlowContext(
            account=self.profiles[account],
            profiles=self.profiles,
            manifest=channel.manifest,
            session=self.sessions[account],
            webhook=channel.webhook_part,
            open_work=self.open_work,
            clock=self.clock,
            ids=self.ids,
            metrics=self.metrics,
            is_stopping=lambda: False,
        )

    # --- one step --------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self.steps.append(text)
        self.trace.update(text.encode())

    def run(self, flow: str, account: str) -> FlowReport | None:
        """Run one flow as the daemon would: channel errors end the run, a crash ends the hub."""
        try:
            report: FlowReport = FLOWS[flow].run(self.context(account))
        except ChannelError as error:
            self.note(f"{flow} {account}: {type(error).__name__}")
            return None
        except Crash as crash:
            self.note(f"{flow} {account}: crash {crash}")
            self._restart()
            return None
        self.note(f"{flow} {account}: {report.done}")
        return report

    def _restart(self) -> None:
        self.crashes += 1
        self.storage.close()
        self.storage = self._open()
        self.sessions = {name: one.session(name) for name, one in self.channels.items()}

    def step(self) -> None:
        """Let chance do one thing: a flow, a buyer, the warehouse, a delivery, or time."""
        roll = self.chance.random()
        account = self.chance.choice(sorted(self.channels))
        if roll < 0.25:
            self.run(self.chance.choice(sorted(FLOWS)), account)
        elif roll < 0.55:
            for flow in PIPELINE:
                self.run(flow, account)
        elif roll < 0.75:
            self._buyer(account)
        elif roll < 0.82:
            self._warehouse()
        elif roll < 0.9:
            self.deliver(account)
        else:
            self.clock.advance(self.chance.choice([0.2, 1.0, 4.0]))

    def _buyer(self, account: str) -> None:
        channel = self.channels[account]
        orders = sorted(channel.orders())
        act = self.chance.choice(["buy"] * 6 + ["cancel", "edit", "refund", "hold", "release"])
        try:
            if act == "buy" or not orders:
                chosen = self.chance.sample(self.skus, k=self.chance.choice([1, 1, 1, 2]))
                lines = [(sku, self.chance.choice([1, 1, 2])) for sku in chosen]
                is_paid = not channel.options.has_portable_lines or self.chance.random() < 0.5
                act = f"buy {channel.buy(*lines, is_paid=is_paid)} {lines}"
            elif channel.options.has_portable_lines and self.chance.random() < 0.5:
                act = self._pay_or_combine(channel)
            else:
                self._change(channel, act, self.chance.choice(orders))
        except FakeRefusal as refusal:
            act = f"{act} refused: {refusal}"
        self.note(f"{account}: {act}")

    def _pay_or_combine(self, channel: FakeChannel) -> str:
        """A buyer pays, which gives the order a new id, or unpaid orders become one."""
        unpaid = sorted(key for key, order in channel.orders().items() if order.state == "pending")
        if len(unpaid) > 1 and self.chance.random() < 0.5:
            return f"combine {channel.combine(*self.chance.sample(unpaid, k=2))}"
        return f"pay {channel.pay(self.chance.choice(unpaid))}" if unpaid else "nothing to pay"

    def _change(self, channel: FakeChannel, act: str, order: str) -> None:
        if act == "cancel":
            channel.cancel(order, restock=self.chance.random() < 0.7)
        elif act == "edit":
            line = self.chance.choice(channel.order(order).lines)
            channel.edit(order, {line.channel_sku: self.chance.choice([0, 1, 2])})
        elif act == "refund":
            channel.refund(order, restock=self.chance.random() < 0.5)
        elif act == "hold":
            channel.hold(order)
        else:
            channel.release(order)

    def _warehouse(self) -> None:
        if self.chance.random() < 0.15:
            sku = Sku(self.chance.choice(self.skus))
            self._act(lambda: adjust(self.command, sku, location="main", delta=3, reason="found"))
            return
        shippable = [
            order
            for order in self.hub_orders()
            if order.state is OrderState.OPEN
            and any(any(line.held.values()) for line in order.lines)
        ]
        order = self.chance.choice(shippable) if shippable else None
        lines = {
            line.line_id: units
            for line in (order.lines if order else ())
            if (units := self.chance.randint(0, sum(line.held.values())))
        }
        if order and lines:
            package = Package(carrier="ups", tracking_number=f"T{self.ids.new()[-6:]}")
            dispatch = Dispatch(packages=(package,), lines=lines)
            self._act(lambda: ship(self.command, order.order_id, dispatch))

    def _act(self, act: Callable[[], object]) -> None:
        try:
            act()
            self.note("warehouse: done")
        except (DomainError, CommandRefused) as refusal:
            self.note(f"warehouse: {refusal}")

    def deliver(self, account: str) -> None:
        """Webhooks that are due arrive and are stored, as the endpoint does."""
        channel = self.channels[account]
        deliveries = channel.take_webhooks()
        with self.storage.open_work() as work:
            for one in deliveries:
                headers = {name.lower(): value for name, value in one.headers.items()}
                message = NewMessage(
                    account=account,
                    topic=channel.webhook_part.topic(headers),
                    source=MessageSource.WEBHOOK,
                    body=one.body,
                    headers=headers,
                    received_at=self.clock.now(),
                )
                work.inbox.add([message])
            work.commit()
        self.note(f"{account}: {len(deliveries)} webhooks")

    # --- the two phases --------------------------------------------------------------------------

    def misbehave(self, steps: int, check: Callable[["World"], None]) -> None:
        """First a quiet start (back-fill, first looks), then faults and crashes."""
        self.is_crashing = False
        for _ in range(START_ROUNDS):
            self._round()
        self.is_crashing = True
        for channel in self.channels.values():
            for kind, rate in self.rates.items():
                channel.faults.set(kind, rate=rate)
        for number in range(steps):
            self.step()
            if number % 25 == 0:
                check(self)

    def heal(self) -> None:
        """Switch every fault off and let the hub work until nothing is left to do."""
        self.is_crashing = False
        for channel in self.channels.values():
            channel.faults.heal()
        # Long waits get their time, too; after a reconciliation it comes to rest once more.
        for wait in (5.0, 600.0, 2000.0):
            self.clock.advance(wait)
            self._rest()
        for account in sorted(self.channels):
            self.run("reconcile", account)
        self._rest()

    def _rest(self) -> None:
        quiet = 0
        for _ in range(HEAL_ROUNDS_MAX):
            quiet = quiet + 1 if self._round() == 0 else 0
            if quiet == QUIET_ROUNDS:
                return
        raise AssertionError(self.story("the hub does not come to rest"))

    def _round(self) -> int:
        """Every flow of every account once, five seconds later; answers how much was done."""
        self.clock.advance(5.0)
        for account in sorted(self.channels):
            self.deliver(account)
        done = 0
        for flow in PIPELINE:
            for account in sorted(self.channels):
                report = self.run(flow, account)
                done += report.done if report else 1
        return done

    # --- looking ---------------------------------------------------------------------------------

    def hub_orders(self) -> list[StoredOrder]:
        ids = [row["id"] for row in self.storage.reports.orders()]
        with self.storage.open_work() as work:
            return sorted(work.orders.load(ids).values(), key=lambda order: order.order_id)

    def levels(self) -> dict[str, Any]:
        with self.storage.open_work() as work:
            return {key[0]: one for key, one in work.stock.levels(map(Sku, self.skus)).items()}

    def story(self, sentence: str) -> str:
        steps = "\n  ".join(self.steps)
        return f"seed {self.seed}: {sentence}; crashes {self.crashes}; last steps:\n  {steps}"

    def expect(self, is_true: object, sentence: str) -> None:
        assert is_true, self.story(sentence)


@pytest.fixture(scope="session")
def world_class() -> type[World]:
    return World
