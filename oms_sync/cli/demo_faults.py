"""Which faults the sandboxes play during the demo, and when: all of them end with the selling."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from oms_sync.cli.demo_control import SandboxControl

FaultLevel = Literal["none", "light", "heavy"]

RATES: Final[Mapping[FaultLevel, float]] = {"none": 0.0, "light": 0.01, "heavy": 0.05}
#: what has not happened by then is made to happen
FORCE_AFTER_SECONDS: Final = 20.0
FORCE_AFTER_SHARE: Final = 0.35
#: outages: an hour, scaled down; the accounts take turns
OUTAGE: Final = "F06"
OUTAGE_EVERY_SECONDS: Final = 15.0
OUTAGE_FROM_SECONDS: Final = 8.0
OUTAGE_SECONDS: Final = 4.0


class FaultDriver:
    """Turns the switches of all sandboxes; `tick` is called about twice a second."""

    def __init__(
        self,
        controls: Mapping[str, SandboxControl],
        level: FaultLevel,
        *,
        seconds: float | None,
    ) -> None:
        self._controls, self._rate = controls, RATES[level]
        self._has_outages = level == "heavy"
        share = FORCE_AFTER_SECONDS if seconds is None else seconds * FORCE_AFTER_SHARE
        self._force_at = min(FORCE_AFTER_SECONDS, share)
        self._is_forced = False
        self._out: str | None = None
        self._kinds = {name: tuple(control.faults()) for name, control in controls.items()}

    def start(self) -> None:
        """Switch everything on."""
        if self._rate:
            for account in self._controls:
                self._switch(account, self._kinds[account])

    def tick(self, elapsed_seconds: float) -> None:
        """Force what never happened, begin and end outages."""
        if self._rate and not self._is_forced and elapsed_seconds >= self._force_at:
            self._is_forced = True
            for account, fired in self.fired_by_account().items():
                self._switch(account, (kind for kind in fired if not fired[kind]), force=1)
        if self._has_outages:
            self._rotate_outage(elapsed_seconds)

    def heal(self) -> None:
        """Switch everything off."""
        for account, kinds in self._kinds.items():
            for kind in kinds:
                self._controls[account].switch(kind, 0.0)
        self._out = None

    def fired(self) -> dict[str, int]:
        """How often each fault has happened, all sandboxes together."""
        together: Counter[str] = Counter()
        for fired in self.fired_by_account().values():
            together.update(fired)
        return {kind: together[kind] for kind in sorted(together)}

    def fired_by_account(self) -> dict[str, dict[str, int]]:
        """The same, each sandbox for itself."""
        return {
            account: {kind: counters["fired"] for kind, counters in control.faults().items()}
            for account, control in self._controls.items()
        }

    @property
    def account_out(self) -> str | None:
        """The account that is out right now."""
        return self._out

    def _switch(self, account: str, kinds: Iterable[str], *, force: int = 0) -> None:
        for kind in kinds:
            self._controls[account].switch(kind, self._rate, force=force)

    def _rotate_outage(self, elapsed_seconds: float) -> None:
        turn, into = divmod(elapsed_seconds, OUTAGE_EVERY_SECONDS)
        is_out = OUTAGE_FROM_SECONDS <= into < OUTAGE_FROM_SECONDS + OUTAGE_SECONDS
        names = [name for name, kinds in self._kinds.items() if OUTAGE in kinds]
        out = names[int(turn) % len(names)] if is_out and names else None
        if out == self._out:
            return
        if self._out is not None:
            self._controls[self._out].switch(OUTAGE, self._rate)
        if out is not None:
            self._controls[out].switch(OUTAGE, 1.0)
        self._out = out
