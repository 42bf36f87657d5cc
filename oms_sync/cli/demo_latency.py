"""How fast a change travels, measured at the channels: an adjustment, and the sale of a last unit.

The benchmark prints these, the end-to-end tests look at them. Each sandbox stamps its changes
itself; all of them and the hub run on one machine and one clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from oms_sync.cli.demo_control import SandboxControl
from oms_sync.cli.demo_propagation import Change
from oms_sync.domain.values import Sku
from oms_sync.flows.commands.context import CommandContext
from oms_sync.flows.commands.stock import adjust, set_count
from oms_sync.sdk.seeding import Purchase

ASK_SECONDS: Final = 0.01
#: a change that has not arrived by then never will
ARRIVAL_SECONDS_MAX: Final = 60.0
LOCATION: Final = "main"


class NeverArrived(Exception):
    """A channel did not show a change in time; the hub's log says why."""


@dataclass(slots=True, kw_only=True)
class Route:
    """One SKU offered by every channel, watched from outside the hub.

    `context` belongs to a process other than the daemon's; `skus` holds the channel SKU of
    `sku` by account.
    """

    context: CommandContext
    controls: Mapping[str, SandboxControl]
    sku: Sku
    skus: Mapping[str, str]
    _seen: dict[str, int] = field(default_factory=dict)

    def measure_adjustments(self, times: int) -> list[float]:
        """Milliseconds from `stock adjust` to the new quantity, one figure a channel and time."""
        lags: list[float] = []
        self.offer(times + 1)
        for number in range(times):
            self._skip_past()
            begun_at = self.context.clock.now()
            adjust(self.context, self.sku, location=LOCATION, delta=-1, reason="measuring")
            for account in self.controls:
                change = self._arrival(account, times - number)
                lags.append((change.at - begun_at).total_seconds() * 1000.0)
        return lags

    def measure_last_units(self, times: int) -> list[float]:
        """Milliseconds from the sale of the last unit to 0 at the others, the shops in turn."""
        lags: list[float] = []
        accounts = tuple(self.controls)
        for number in range(times):
            self.offer(1)
            self._skip_past()
            seller = accounts[number % len(accounts)]
            self.controls[seller].place(Purchase(lines=((self.skus[seller], 1),)))
            sold = next(change for change in self._changes(seller) if not change.is_hub)
            for account in accounts:
                if account != seller:
                    change = self._arrival(account, 0)
                    lags.append((change.at - sold.at).total_seconds() * 1000.0)
        return lags

    def offer(self, units: int) -> None:
        """Count so much that `units` are left to sell, and wait until every channel shows them."""
        on_hand = units + self._sold()
        set_count(self.context, self.sku, location=LOCATION, units=on_hand, reason="measuring")
        deadline = self.context.clock.monotonic() + ARRIVAL_SECONDS_MAX
        while any(
            control.truth()["quantities"][self.skus[account]] != units
            for account, control in self.controls.items()
        ):
            if self.context.clock.monotonic() > deadline:
                raise NeverArrived(f"not every channel offers {units} of {self.sku}")
            self.context.clock.sleep(ASK_SECONDS)

    def _sold(self) -> int:
        """Units sold of orders that still lie on the shelf: nobody ships while we measure."""
        return sum(
            control.truth()["sold"][self.skus[account]]
            for account, control in self.controls.items()
        )

    def _skip_past(self) -> None:
        """Forget what happened so far."""
        for account, control in self.controls.items():
            for number, _ in control.changes(self._seen.get(account, 0)):
                self._seen[account] = number

    def _changes(self, account: str) -> Iterator[Change]:
        """New changes of our SKU at a channel, as they happen."""
        deadline = self.context.clock.monotonic() + ARRIVAL_SECONDS_MAX
        while self.context.clock.monotonic() < deadline:
            fresh: Sequence[tuple[int, Change]] = list(
                self.controls[account].changes(self._seen.get(account, 0))
            )
            for number, change in fresh:
                self._seen[account] = number
                if change.sku == self.skus[account]:
                    yield change
            self.context.clock.sleep(ASK_SECONDS)
        raise NeverArrived(f"{account} shows no change of {self.sku}")

    def _arrival(self, account: str, quantity: int) -> Change:
        """The hub's change to `quantity`."""
        return next(
            change
            for change in self._changes(account)
            if change.is_hub and change.quantity == quantity
        )
