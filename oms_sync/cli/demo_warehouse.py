"""The simulated warehouse: ships open orders through the functions behind `oms-sync ship`.

Like a person it sees only what the hub shows, in batches, a little late; some orders leave in
parts, some in two packages. An order whose buyer is still going to change it waits.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from oms_sync.cli.demo_crowd import Crowd, OrderStory
from oms_sync.domain.errors import ShipmentRefused
from oms_sync.domain.shipment import Package
from oms_sync.flows.commands.context import CommandContext
from oms_sync.flows.commands.shipments import Dispatch, ship
from oms_sync.sdk.seeding import SeededChance

ROUND_SECONDS: Final = 0.25
ORDERS_MAX: Final = 5_000
PACKING_SECONDS_MAX: Final = 3.0
PARTIAL_CHANCE: Final = 0.2
TWO_PACKAGES_CHANCE: Final = 0.2
CARRIERS: Final = ("ups", "usps", "fedex", "dhl_express")


class OrderReports(Protocol):
    """What the warehouse reads of the hub."""

    def orders(self, *, state: str, limit: int) -> list[dict[str, Any]]:
        """Orders in a state."""
        ...

    def order(self, order_id: str) -> dict[str, Any]:
        """One order with its shipments."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packing:
    """How one order will be packed; follows from the seed and the order's name."""

    ready_at: float
    is_partial: bool
    packages: int
    carrier: str


class Warehouse:
    """Works in a thread of its own between `start` and `stop`."""

    def __init__(
        self, context: CommandContext, reports: OrderReports, crowd: Crowd, *, seed: int
    ) -> None:
        self._context, self._reports, self._crowd, self._seed = context, reports, crowd, seed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-warehouse", daemon=True)
        self._packing: dict[str, _Packing] = {}
        self._on_their_way: dict[str, OrderStory] = {}
        self._failure: BaseException | None = None
        #: shipments made, and attempts the hub refused
        self.shipments = 0
        self.refused = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Put down the tape; raises what the warehouse could not cope with."""
        self._stopping.set()
        self._thread.join()
        self.check()

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopping.wait(ROUND_SECONDS):
                self._round()
        except Exception as error:  # noqa: BLE001 - raised again in the demo's own thread by check
            self._failure = error

    def _round(self) -> None:
        for order in self._reports.orders(state="open", limit=ORDERS_MAX):
            if self._stopping.is_set():
                return
            story = self._crowd.story(order["account"], order["channel_order_id"])
            if story is not None and story.is_told and _units_to_ship(order) == story.units:
                self._pack(order, story)
        for order_id, story in list(self._on_their_way.items()):
            order = self._reports.order(order_id)
            pushes = [shipment["push"]["state"] for shipment in order["shipments"]]
            if order["state"] == "closed" and all(state == "confirmed" for state in pushes):
                del self._on_their_way[order_id]
                self._crowd.delivered(story)

    def _pack(self, order: Mapping[str, Any], story: OrderStory) -> None:
        now = self._context.clock.monotonic()
        packing = self._packing.get(order["id"])
        if packing is None:
            packing = self._packing[order["id"]] = self._plan(order, now)
        reserved = {
            line["line_id"]: line["quantity_reserved"]
            for line in order["lines"]
            if line["quantity_reserved"]
        }
        if not reserved or now < packing.ready_at:
            return
        is_first = not order["shipments"]
        lines = _part(reserved) if packing.is_partial and is_first else reserved
        try:
            ship(self._context, order["id"], self._dispatch(packing, lines))
        except ShipmentRefused:
            self.refused += 1  # the order changed since the list was read: look again
            return
        self.shipments += 1
        if story.returns:
            self._on_their_way[order["id"]] = story

    def _plan(self, order: Mapping[str, Any], now: float) -> _Packing:
        name = f"{order['account']}/{order['channel_order_number']}"
        chance = SeededChance(self._seed, f"demo/packing/{name}")
        return _Packing(
            ready_at=now + PACKING_SECONDS_MAX * chance.random(),
            is_partial=chance.random() < PARTIAL_CHANCE,
            packages=2 if chance.random() < TWO_PACKAGES_CHANCE else 1,
            carrier=CARRIERS[int(chance.random() * len(CARRIERS))],
        )

    def _dispatch(self, packing: _Packing, lines: Mapping[str, int]) -> Dispatch:
        return Dispatch(
            lines=lines,
            packages=tuple(
                Package(
                    carrier=packing.carrier,
                    tracking_number=f"DEMO{self.shipments:08d}{number}",
                )
                # no box is sent empty
                for number in range(1, min(packing.packages, sum(lines.values())) + 1)
            ),
        )


def _units_to_ship(order: Mapping[str, Any]) -> dict[str, int]:
    """Units per channel SKU the hub knows to be wanted."""
    units: dict[str, int] = {}
    for line in order["lines"]:
        left = line["quantity_ordered"] - line["quantity_cancelled"]
        if left:
            units[line["channel_sku"]] = units.get(line["channel_sku"], 0) + left
    return units


def _part(lines: Mapping[str, int]) -> dict[str, int]:
    """About half of it: the first line, or half of an only line."""
    line_id, units = next(iter(lines.items()))
    return {line_id: units if len(lines) > 1 else max(1, units // 2)}
