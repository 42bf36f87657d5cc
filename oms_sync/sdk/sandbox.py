"""Parts shared by the channels' sandboxes: buyers, fault switches, control routes.

A sandbox plays a channel's HTTP API on loopback and keeps its own truth. It asks nobody for time
or chance: the caller hands it `now`, and everything random follows from the seed.
"""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oms_sync.sdk.seeding import (
    Attempt,
    Chance,
    Purchase,
    SandboxOptions,
    SeededChance,
    SeedSku,
    buyer_attempts,
    plan_hash,
    seed_catalogue,
)

__all__ = [
    "Attempt",
    "Chance",
    "ChannelTruth",
    "FaultSwitches",
    "Now",
    "Purchase",
    "Refusal",
    "Sandbox",
    "SandboxOptions",
    "SeedSku",
    "SeededChance",
    "buyer_attempts",
    "buyers",
    "control_routes",
    "plan_hash",
    "refusal_response",
    "seed_catalogue",
]

Now = Callable[[], datetime]
AsgiApp = Callable[..., Any]

BODY_BYTES_MAX: Final = 1_000_000
LINES_MAX: Final = 100
QUANTITY_MAX: Final = 1_000_000_000
AFTER_DIGITS_MAX: Final = 15


class Sandbox(Protocol):
    """One look-alike of a channel, made by a connector's `sandbox` factory.

    The factory is called `factory(options, now=clock.now)`; serve `.app` with any ASGI server.
    """

    @property
    def app(self) -> AsgiApp:
        """The ASGI application; buyers, webhooks and jobs run inside its lifespan."""
        ...

    @property
    def faults(self) -> "FaultSwitches":
        """The fault switches, the same ones the control routes turn."""
        ...

    def account_entry(self) -> dict[str, Any]:
        """A ready-to-paste entry of the configuration's `accounts:` list."""
        ...

    def truth(self) -> dict[str, Any]:
        """What the channel knows, as `GET /_sandbox/truth` answers; safe from any thread."""
        ...


class Refusal(Exception):
    """The channel refuses a purchase or a hand's act; the control routes answer `status_code`.

    Example: `raise Refusal(409, "sold_out", channel_sku=sku, wanted=2, available=1)`.
    """

    def __init__(self, status_code: int, reason: str, **detail: Any) -> None:
        super().__init__(reason)
        self.status_code = status_code
        self.reason = reason
        self.detail = detail


class ChannelTruth(Protocol):
    """What the control routes and buyers need of a channel; every method refuses by `Refusal`."""

    def place(self, purchase: Purchase) -> str:
        """Sell atomically and give the channel order id; 409 `sold_out` when a line is short."""
        ...

    def pay(self, channel_order_id: str) -> None:
        """The buyer pays an unpaid order."""
        ...

    def cancel(self, channel_order_id: str, *, restock: bool) -> None:
        """Cancel what is not shipped; `restock` puts the units back on sale."""
        ...

    def edit(self, channel_order_id: str, quantities: Mapping[str, int]) -> None:
        """Give lines new quantities; 0 removes a line, a SKU not on the order is added."""
        ...

    def refund(
        self, channel_order_id: str, quantities: Mapping[str, int] | None, *, restock: bool
    ) -> None:
        """Refund units per SKU, or all that is left; `restock` puts them back on sale."""
        ...

    def hold(self, channel_order_id: str, *, release: bool) -> None:
        """Hold the order's open work, or release it."""
        ...

    def set_quantity(self, channel_sku: str, quantity: int) -> None:
        """A hand edit of what the channel offers."""
        ...

    def listings(self) -> Iterable[tuple[str, str]]:
        """(channel listing id, channel SKU) of every listing."""
        ...

    def truth(self) -> dict[str, Any]:
        """See `Sandbox.truth`."""
        ...

    def changes(self, after: int) -> list[dict[str, Any]]:
        """Changes of offered quantities numbered above `after`; see `ChangeLog.after`."""
        ...


@asynccontextmanager
async def buyers(truth: ChannelTruth, options: SandboxOptions) -> AsyncIterator[None]:
    """Run the plan of `buyer_attempts` for as long as the context is open."""
    task = asyncio.create_task(_buy(truth, options))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _buy(truth: ChannelTruth, options: SandboxOptions) -> None:
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    for attempt in buyer_attempts(options):
        await asyncio.sleep(max(0.0, started_at + attempt.offset_seconds - loop.time()))
        try:
            channel_order_id = truth.place(attempt.purchase)
        except Refusal:
            continue  # the truth itself keeps what it refused
        if attempt.pay_after_seconds:
            loop.call_later(attempt.pay_after_seconds, _pay, truth, channel_order_id)


def _pay(truth: ChannelTruth, channel_order_id: str) -> None:
    try:
        truth.pay(channel_order_id)
    except Refusal:
        return  # cancelled or paid in the meantime: the buyer has nothing left to do


@dataclass(slots=True, kw_only=True)
class _Switch:
    rate: float = 0.0
    count: int | None = None
    forced: int = 0
    fired: int = 0
    chances: int = 0


class FaultSwitches:
    """Named, seeded faults with counters.

    A sandbox asks `fires(kind)` at every chance the fault has; each kind draws from a stream of
    its own, so that switching one does not move another. Example: `faults.force("F09")`.
    """

    def __init__(self, kinds: Iterable[str], *, seed: int, stream: str) -> None:
        self._switches = {kind: _Switch() for kind in kinds}
        self._chances: dict[str, Chance] = {
            kind: SeededChance(seed, f"faults/{stream}/{kind}") for kind in self._switches
        }

    def fires(self, kind: str) -> bool:
        """Count one chance of this fault and say whether it happens now."""
        switch = self._switches[kind]
        switch.chances += 1
        drawn = self._chances[kind].random()
        if switch.forced > 0:
            switch.forced -= 1
        elif switch.count == 0 or drawn >= switch.rate:
            return False
        elif switch.count is not None:
            switch.count -= 1
        switch.fired += 1
        return True

    def set(self, kind: str, rate: float, *, count: int | None = None) -> None:
        """Let the fault happen at this rate of its chances, `count` times at most.

        Replaces what was set before; chances still forced are given up.
        """
        if not 0.0 <= rate <= 1.0 or (count is not None and count < 0):
            raise Refusal(400, "bad_rate", allowed="rate 0 to 1, count 0 or more")
        switch = self._known(kind)
        switch.rate, switch.count, switch.forced = rate, count, 0

    def force(self, kind: str, times: int = 1) -> None:
        """Make the next `times` chances happen, whatever the rate."""
        self._known(kind).forced += times

    def heal(self) -> None:
        """Switch every fault off; the counters stay."""
        for switch in self._switches.values():
            switch.rate, switch.count, switch.forced = 0.0, None, 0

    def counters(self) -> dict[str, dict[str, Any]]:
        """`{kind: {rate, count, forced, fired, chances}}`."""
        return {kind: asdict(switch) for kind, switch in self._switches.items()}

    def _known(self, kind: str) -> _Switch:
        if kind not in self._switches:
            raise Refusal(404, "unknown_fault", known=list(self._switches))
        return self._switches[kind]


def control_routes(
    truth: ChannelTruth, faults: FaultSwitches, options: SandboxOptions
) -> list[Route]:
    """The `/_sandbox/…` routes, the same for every channel.

    Bodies: orders `{lines: [{channel_sku, quantity}], paid?, fulfilled_by?, test?}`; cancel
    `{restock?: true}`; edit `{lines}` with the new quantities; refund `{lines?, restock?: true}`
    with the units refunded; hold `{release?: false}`; faults `{rate?, count?, force?}`, where
    `force` makes the next n chances happen for sure. A refusal is `{reason, …}`.
    """
    controls = _Controls(truth, faults, options)
    return [
        Route("/_sandbox/orders", controls.place, methods=["POST"]),
        Route("/_sandbox/orders/{order:path}/{act}", controls.act, methods=["POST"]),
        Route("/_sandbox/quantities/{channel_sku:path}", controls.quantity, methods=["PUT"]),
        Route("/_sandbox/truth", controls.tell, methods=["GET"]),
        Route("/_sandbox/changes", controls.tell_changes, methods=["GET"]),
        Route("/_sandbox/faults", controls.count_faults, methods=["GET"]),
        Route("/_sandbox/faults/{kind}", controls.turn, methods=["PUT"]),
        Route("/_sandbox/seed/{name}.csv", controls.seed, methods=["GET"]),
    ]


def refusal_response(_: Request, refusal: Exception) -> Response:
    """Exception handler for `Refusal`, to be given to the Starlette application."""
    if not isinstance(refusal, Refusal):
        raise refusal
    return JSONResponse({"reason": refusal.reason, **refusal.detail}, refusal.status_code)


class _Controls:
    """The handlers behind `control_routes`."""

    def __init__(self, truth: ChannelTruth, faults: FaultSwitches, options: SandboxOptions) -> None:
        self._truth, self._faults, self._options = truth, faults, options

    async def place(self, request: Request) -> Response:
        body = await _body(request)
        purchase = Purchase(
            lines=tuple(_lines(body).items()),
            is_paid=_flag(body, "paid", default=True),
            fulfilled_by=str(body.get("fulfilled_by", "seller")),
            is_test=_flag(body, "test", default=False),
        )
        return JSONResponse({"channel_order_id": self._truth.place(purchase)}, 201)

    async def act(self, request: Request) -> Response:
        body = await _body(request)
        order, act = request.path_params["order"], request.path_params["act"]
        if act == "pay":
            self._truth.pay(order)
        elif act == "cancel":
            self._truth.cancel(order, restock=_flag(body, "restock", default=True))
        elif act == "edit":
            self._truth.edit(order, _lines(body))
        elif act == "refund":
            lines = _lines(body) if "lines" in body else None
            self._truth.refund(order, lines, restock=_flag(body, "restock", default=True))
        elif act == "hold":
            self._truth.hold(order, release=_flag(body, "release", default=False))
        else:
            raise Refusal(404, "unknown_act", known=["pay", "cancel", "edit", "refund", "hold"])
        return JSONResponse({"channel_order_id": order})

    async def quantity(self, request: Request) -> Response:
        body = await _body(request)
        channel_sku = request.path_params["channel_sku"]
        self._truth.set_quantity(channel_sku, _whole(body.get("quantity"), "quantity"))
        return JSONResponse({"channel_sku": channel_sku, "quantity": body["quantity"]})

    async def tell(self, _: Request) -> Response:
        return JSONResponse(self._truth.truth())

    async def tell_changes(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdecimal() and len(after) <= AFTER_DIGITS_MAX):
            raise Refusal(400, "bad_after", allowed="the number of a change, 0 or more")
        return JSONResponse(self._truth.changes(int(after)))

    async def count_faults(self, _: Request) -> Response:
        return JSONResponse(self._faults.counters())

    async def turn(self, request: Request) -> Response:
        body, kind = await _body(request), request.path_params["kind"]
        rate, count = body.get("rate", 0.0), body.get("count")
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise Refusal(400, "bad_rate", allowed="a number from 0 to 1")
        self._faults.set(kind, rate, count=None if count is None else _whole(count, "count"))
        self._faults.force(kind, _whole(body.get("force", 0), "force"))
        return JSONResponse(self._faults.counters()[kind])

    async def seed(self, request: Request) -> Response:
        options, name = self._options, request.path_params["name"]
        if name == "stock":
            header = ["sku", "location", "on_hand", "safety_stock"]
            rows = [
                [entry.sku, options.locations[0], str(entry.quantity), "0"]
                for entry in seed_catalogue(options.seed, options.skus)
            ]
        elif name == "listings":
            header = ["account", "channel_listing_id", "channel_sku", "sku"]
            rows = [[options.account, listing, sku, sku] for listing, sku in self._truth.listings()]
        else:
            raise Refusal(404, "unknown_seed", known=["stock", "listings"])
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8")


async def _body(request: Request) -> dict[str, Any]:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_BYTES_MAX:
            raise Refusal(413, "too_large", allowed=f"{BODY_BYTES_MAX} bytes")
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "not_json") from error
    if not isinstance(body, dict):
        raise Refusal(400, "not_an_object")
    return body


def _lines(body: Mapping[str, Any]) -> dict[str, int]:
    lines = body.get("lines")
    if not isinstance(lines, list) or not 0 < len(lines) <= LINES_MAX:
        raise Refusal(400, "bad_lines", allowed=f"1 to {LINES_MAX} of {{channel_sku, quantity}}")
    quantities: dict[str, int] = {}
    for line in lines:
        if not isinstance(line, dict) or not isinstance(line.get("channel_sku"), str):
            raise Refusal(400, "bad_lines", allowed="lines of {channel_sku, quantity}")
        sku = line["channel_sku"]
        quantities[sku] = quantities.get(sku, 0) + _whole(line.get("quantity"), "quantity")
    return quantities


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= QUANTITY_MAX:
        raise Refusal(400, f"bad_{name}", allowed="a whole number, 0 or more")
    return value


def _flag(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise Refusal(400, f"bad_{name}", allowed="true or false")
    return value
