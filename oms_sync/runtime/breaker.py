"""A breaker per account, as a pure state machine: values in, values out, no clock of its own.

Closed, it lets every run through. After several failures of the channel in a row it opens; after
a delay it lets one run probe, all by itself: no human closes a breaker.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

#: failures of the channel in a row that open the breaker
FAILURES_MAX: Final = 5
OPEN_SECONDS_MIN: Final = 2.0
#: the longest an account waits between two probes of a dead channel
OPEN_SECONDS_MAX: Final = 30.0
#: a probe that never reported back no longer keeps others from probing
PROBE_SECONDS_MAX: Final = 120.0


class BreakerState(StrEnum):
    """What the breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One account's breaker; times are seconds of the monotonic clock."""

    failures: int = 0
    #: times it opened without closing in between; each doubles the delay
    opened: int = 0
    #: no run before this, None while closed
    open_until: float | None = None
    #: when the probe under way began, None when there is none
    probing_since: float | None = None

    def state(self, now: float) -> BreakerState:
        """What it lets through at `now`."""
        if self.open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN

    def admit(self, now: float) -> "tuple[Breaker, bool]":
        """Ask to run: the breaker afterwards, and whether the run may go on."""
        state = self.state(now)
        if state is not BreakerState.HALF_OPEN:
            return self, state is BreakerState.CLOSED
        is_probed = self.probing_since is not None
        if is_probed and now - (self.probing_since or 0.0) < PROBE_SECONDS_MAX:
            return self, False
        return replace(self, probing_since=now), True

    def wait_seconds(self, now: float) -> float:
        """How long until it is worth asking again."""
        if self.open_until is None:
            return 0.0
        return self.open_until - now if now < self.open_until else OPEN_SECONDS_MIN

    def abandoned(self) -> "Breaker":
        """A run ended without telling anything about the channel: its probe is free again."""
        return replace(self, probing_since=None)

    def succeeded(self) -> "Breaker":
        """The channel answered."""
        return Breaker()

    def failed(self, now: float, chance: float) -> "Breaker":
        """The channel failed; `chance` from [0, 1) spreads the probes of many accounts."""
        if self.state(now) is BreakerState.OPEN:
            return self  # a run begun before it opened tells nothing new
        failures = self.failures + 1
        if self.open_until is None and failures < FAILURES_MAX:
            return replace(self, failures=failures)
        delay = min(OPEN_SECONDS_MAX, OPEN_SECONDS_MIN * 2.0 ** min(self.opened, 16))
        return Breaker(
            failures=failures,
            opened=self.opened + 1,
            open_until=now + delay * (0.5 + chance / 2),
        )
