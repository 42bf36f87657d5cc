"""The simulated buyers: work off the plan against the sandboxes, in a few threads."""

import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from oms_sync.cli.demo_control import Refused, SandboxControl
from oms_sync.cli.demo_plan import PlannedAct, PlannedPurchase
from oms_sync.sdk import Clock

WORKERS_MAX: Final = 8
IDLE_SECONDS_MAX: Final = 0.5
#: how often at most a channel is asked which of its orders go by another id now
RENAMED_SECONDS: Final = 0.5
#: what a channel says to an act it cannot grant: the order stays as it was
NOT_GRANTED: Final = frozenset({"sold_out", "not_offered"})


@dataclass(slots=True, kw_only=True)
class OrderStory:
    """One placed order: what still happens to it, and what is to be shipped in the end."""

    account: str
    channel_order_id: str
    ordered: dict[str, int]
    #: units to be shipped in the end
    units: dict[str, int]
    #: acts before shipping that have not happened yet
    acts_left: int
    #: units that come back once they were delivered
    returns: tuple[PlannedAct, ...] = ()

    @property
    def is_told(self) -> bool:
        """Nothing more happens to the order before it is shipped."""
        return self.acts_left == 0


class Crowd:
    """Buyers that begin at `start` and end at `stop` or when their plan is over."""

    def __init__(
        self,
        plan: Iterator[PlannedPurchase],
        controls: Mapping[str, SandboxControl],
        clock: Clock,
    ) -> None:
        self._plan, self._controls, self._clock = plan, controls, clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-crowd", daemon=True)
        self._later: list[tuple[float, int, OrderStory, PlannedAct]] = []
        self._sequence = itertools.count()
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []
        self._started_at = 0.0
        #: orders placed, by (account, channel order id)
        self.stories: dict[tuple[str, str], OrderStory] = {}
        self.attempted: list[PlannedPurchase] = []
        self.placed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.acts: Counter[str] = Counter()
        #: ids that lead to a story beside the one it was placed under
        self._renamed: dict[tuple[str, str], OrderStory] = {}
        self._asked_at: dict[str, float] = {}

    def start(self) -> None:
        self._started_at = self._clock.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End selling and wait for what is under way; raises what a buyer could not cope with."""
        self._stopping.set()
        self._thread.join()
        self.check()

    def check(self) -> None:
        if self._failures:
            raise self._failures[0]

    @property
    def is_over(self) -> bool:
        """The plan is worked off."""
        return not self._thread.is_alive()

    def story(self, account: str, channel_order_id: str) -> OrderStory | None:
        """The story of an order, also under an id the channel gave it later."""
        key = (account, channel_order_id)
        known = self.stories.get(key) or self._renamed.get(key)
        if known is None and self._may_ask(account):
            self._learn_names(account)
            known = self._renamed.get(key)
        return known

    def _may_ask(self, account: str) -> bool:
        now = self._clock.monotonic()
        if now - self._asked_at.get(account, float("-inf")) < RENAMED_SECONDS:
            return False
        self._asked_at[account] = now
        return True

    def _learn_names(self, account: str) -> None:
        for name, order in self._controls[account].truth()["orders"].items():
            for alias in order.get("aliases", ()):
                story = self.stories.get((account, alias))
                if story is not None:
                    self._renamed[account, name] = story

    def _run(self) -> None:
        upcoming = next(self._plan, None)
        with ThreadPoolExecutor(WORKERS_MAX, thread_name_prefix="demo-buyer") as pool:
            while not self._stopping.is_set():
                elapsed = self._clock.monotonic() - self._started_at
                while upcoming is not None and upcoming.offset_seconds <= elapsed:
                    self.attempted.append(upcoming)
                    pool.submit(self._buy, upcoming).add_done_callback(self._note)
                    upcoming = next(self._plan, None)
                for story, act in self._due(elapsed):
                    pool.submit(self._act, story, act).add_done_callback(self._note)
                due_at = [entry[0] for entry in self._later[:1]]
                if upcoming is not None:
                    due_at.append(upcoming.offset_seconds)
                elapsed = self._clock.monotonic() - self._started_at
                wait = min((at - elapsed for at in due_at), default=IDLE_SECONDS_MAX)
                self._stopping.wait(min(max(wait, 0.001), IDLE_SECONDS_MAX))

    def _due(self, elapsed: float) -> list[tuple[OrderStory, PlannedAct]]:
        due = []
        with self._lock:
            while self._later and self._later[0][0] <= elapsed:
                _, _, story, act = heapq.heappop(self._later)
                due.append((story, act))
        return due

    def _note(self, done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._failures.append(error)
            self._stopping.set()

    def _buy(self, planned: PlannedPurchase) -> None:
        try:
            channel_order_id = self._controls[planned.account].place(planned.purchase)
        except Refused as refusal:
            if refusal.reason != "sold_out":
                raise
            with self._lock:
                self.refused[planned.account] += 1
            return
        story = OrderStory(
            account=planned.account,
            channel_order_id=channel_order_id,
            ordered=dict(planned.purchase.lines),
            units=planned.units_wanted(),
            acts_left=len(planned.acts_before_shipping),
            returns=planned.returns,
        )
        at = self._clock.monotonic() - self._started_at
        with self._lock:
            self.placed[planned.account] += 1
            self.stories[planned.account, channel_order_id] = story
            self._plan_acts(story, planned.acts_before_shipping, at)

    def _plan_acts(self, story: OrderStory, acts: tuple[PlannedAct, ...], at: float) -> None:
        for act in acts:
            entry = (at + act.after_seconds, next(self._sequence), story, act)
            heapq.heappush(self._later, entry)

    def delivered(self, story: OrderStory) -> None:
        """The order has reached its buyer, and the channel knows: now it may come back."""
        at = self._clock.monotonic() - self._started_at
        with self._lock:
            self._plan_acts(story, story.returns, at)
            story.returns = ()

    def _act(self, story: OrderStory, act: PlannedAct) -> None:
        is_done = True
        try:
            self._controls[story.account].act(story.channel_order_id, act)
        except Refused as refusal:
            if refusal.reason not in NOT_GRANTED:
                raise
            is_done = False  # more than there is, or not known here: the order stays as it was
        with self._lock:
            self.acts[act.kind if is_done else "refused"] += 1
            story.acts_left -= not act.is_return
            if not is_done:
                story.units = story.ordered
