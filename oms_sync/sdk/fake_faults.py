"""The misbehaviour knobs of the fake channel: named by fault number, all off, with counters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from oms_sync.sdk.seeding import Chance

#: every knob of a FakeChannel and what it does when it fires
FAKE_FAULTS: Final = {
    "F01": "a call times out before the channel does anything",
    "F02": "a write times out after the channel did it",
    "F05": "429, with or without the time to wait",
    "F06": "the channel answers that it is broken",
    "F08": "part of a stock batch is not applied, and the results come reordered",
    "F09": "a quantity is reported as applied and is not",
    "F11": "a webhook comes twice with one id",
    "F12": "a webhook comes again with another id",
    "F13": "a webhook comes late, after newer ones",
    "F14": "a webhook is never sent",
    "F15": "a webhook comes before the API shows the order",
    "F17": "an order becomes visible late, dated back",
    "F19": "an empty page with a cursor",
    "F20": "a page whose cursor is the one it was asked with",
    "F22": "orders shift between two pages",
    "F24": "an order is shown without its lines",
    "F32": "an order changes in the very instant another one did",
    "F40": "a webhook repeats our own write to us",
    "F41": "a read shows what was before the last write",
    "F42": "a status nobody has heard of",
    "page_duplicates": "an order stands twice on one page",
    "page_reordered": "the orders of a page come in another order",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCounter:
    """How often a knob could have fired, and did."""

    fired: int = 0
    chances: int = 0


@dataclass(slots=True, kw_only=True)
class _Knob:
    rate: float = 0.0
    count: int | None = None
    forced: int = 0
    fired: int = 0
    chances: int = 0


class FakeFaults:
    """Knobs that let a fake channel misbehave.

    Example: `channel.faults.set("F05", rate=0.05)`, `channel.faults.force("F02")`, `heal()`.
    """

    def __init__(self, chance: Chance, kinds: Iterable[str] = FAKE_FAULTS) -> None:
        self._chance = chance
        self._knobs = {kind: _Knob() for kind in kinds}

    def set(self, kind: str, *, rate: float, count: int | None = None) -> None:
        """Let `kind` happen at this rate of its chances, `count` times at most."""
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"the rate of {kind} is a number from 0 to 1, not {rate}")
        self._knobs[kind].rate, self._knobs[kind].count = rate, count

    def force(self, kind: str, times: int = 1) -> None:
        """Make the next `times` chances of `kind` happen, whatever its rate."""
        self._knobs[kind].forced += times

    def heal(self) -> None:
        """Switch everything off; the counters stay."""
        for knob in self._knobs.values():
            knob.rate, knob.count, knob.forced = 0.0, None, 0

    def fires(self, kind: str) -> bool:
        """Count one chance of `kind` and say whether it happens now."""
        knob = self._knobs[kind]
        knob.chances += 1
        if knob.forced > 0:
            knob.forced -= 1
        # A knob that is off draws nothing, so that it does not move the luck of the others.
        elif knob.rate <= 0.0 or knob.count == 0 or self._chance.random() >= knob.rate:
            return False
        elif knob.count is not None:
            knob.count -= 1
        knob.fired += 1
        return True

    def coin(self) -> bool:
        """A side choice inside a fault that fired, such as "with or without Retry-After"."""
        return self._chance.random() < 0.5  # noqa: PLR2004 - a fair coin

    def counters(self) -> dict[str, FaultCounter]:
        """How often each knob fired, by kind."""
        return {
            kind: FaultCounter(fired=knob.fired, chances=knob.chances)
            for kind, knob in self._knobs.items()
        }

    def fired(self, kind: str) -> int:
        """How often `kind` fired."""
        return self._knobs[kind].fired
