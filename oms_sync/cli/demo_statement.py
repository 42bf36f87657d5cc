"""The closing statement: the channels' own truth set against what the hub reports.

Pure arithmetic over JSON documents. What the channels say comes from their truth alone.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a comparison looks at."""

    #: `GET /_sandbox/truth` per account
    truths: Mapping[str, Document]
    #: orders with lines and shipments, stock items with listings, as the hub reports them
    orders: Sequence[Document]
    stock: Sequence[Document]
    #: units that lay in the warehouse at the start, per SKU
    initial: Mapping[str, int]
    #: SKU by (account, channel SKU)
    skus: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelComparison:
    """One account: its own truth and the hub's view of it."""

    orders_placed: int
    orders_in_hub: int
    orders_missing: int
    #: known to the hub with other units than the channel has
    orders_differing: int
    orders_doubled: int
    purchases_refused: int
    units_sold: int
    listings: int
    listings_drifted: int
    shipments_made: int
    shipments_confirmed: int
    calls: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All accounts together."""

    orders_placed: int
    orders_in_hub: int
    orders_lost: int
    orders_doubled: int
    listings_total: int
    listings_drifted: int
    shipments_made: int
    shipments_confirmed: int
    units_oversold: int
    units_short: int
    channels: Mapping[str, ChannelComparison]

    @property
    def is_clean(self) -> bool:
        return (
            not (self.orders_lost or self.orders_doubled or self.listings_drifted)
            and self.shipments_made == self.shipments_confirmed
            and self.units_oversold == self.units_short
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A comparison with the figures of the run it closes."""

    seed: int
    plan_hash: str
    comparison: Comparison
    skus_sold_out: int
    propagation_ms: Mapping[str, float | None]
    faults_fired: Mapping[str, int]
    settled_seconds: float
    #: the same for each account
    faults_by_account: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    #: per account what its channel's published limits and lags would make of it
    published: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return self.comparison.is_clean

    def document(self) -> dict[str, Any]:
        """The JSON object `demo --json` ends with."""
        figures = asdict(self.comparison)
        channels = figures.pop("channels")
        for account, fired in self.faults_by_account.items():
            channels[account]["faults_fired"] = dict(fired)
        for account, outlook in self.published.items():
            channels[account]["published"] = dict(outlook)
        return {
            "seed": self.seed,
            "plan_hash": self.plan_hash,
            **figures,
            "skus_sold_out": self.skus_sold_out,
            "propagation_ms": dict(self.propagation_ms),
            "faults_fired": dict(self.faults_fired),
            "settled_seconds": round(self.settled_seconds, 1),
            "channels": channels,
        }


def compare(evidence: Evidence) -> Comparison:
    """Set the truths against the hub's reports."""
    demand = _demand(evidence)
    by_account = {
        account: _compare_channel(evidence, account, demand) for account in evidence.truths
    }
    each = list(by_account.values())
    unknown = sum(1 for order in evidence.orders if order["account"] not in evidence.truths)
    return Comparison(
        orders_placed=sum(one.orders_placed for one in each),
        orders_in_hub=len(evidence.orders),
        orders_lost=sum(one.orders_missing + one.orders_differing for one in each),
        orders_doubled=unknown + sum(one.orders_doubled for one in each),
        listings_total=sum(one.listings for one in each),
        listings_drifted=sum(one.listings_drifted for one in each),
        shipments_made=sum(one.shipments_made for one in each),
        shipments_confirmed=sum(one.shipments_confirmed for one in each),
        units_oversold=sum(
            max(0, units - evidence.initial.get(sku, 0)) for sku, units in demand.items()
        ),
        units_short=sum(
            line["quantity_short"] for order in evidence.orders for line in order["lines"]
        ),
        channels=by_account,
    )


def _demand(evidence: Evidence) -> Counter[str]:
    """Units sold from our stock and neither cancelled nor come back, from the truths alone."""
    demand: Counter[str] = Counter()
    for account, truth in evidence.truths.items():
        for order in truth["orders"].values():
            if order["test"] or order.get("fulfilled_by") == "channel":
                continue
            for line in order["lines"]:
                sku = evidence.skus[account, line["channel_sku"]]
                demand[sku] += _units_left(line) - line["quantity_returned"]
    return demand


def _units_left(line: Document) -> int:
    left: int = line["quantity_ordered"] - line["quantity_cancelled"]
    return left


def _compare_channel(
    evidence: Evidence, account: str, demand: Mapping[str, int]
) -> ChannelComparison:
    truth = evidence.truths[account]
    placed = truth["orders"]
    ours = [order for order in evidence.orders if order["account"] == account]
    copies = Counter(order["channel_order_id"] for order in ours)
    known = {
        order["channel_order_id"]: order for order in ours if copies[order["channel_order_id"]]
    }
    shipments = [(order, one) for order in ours for one in order["shipments"]]
    return ChannelComparison(
        orders_placed=len(placed),
        orders_in_hub=len(ours),
        orders_missing=len(placed.keys() - known.keys()),
        orders_differing=sum(
            not is_same_order(order, known[channel_order_id])
            for channel_order_id, order in placed.items()
            if channel_order_id in known
        ),
        # An order the channel never had is one too many as well.
        orders_doubled=sum(
            count if channel_order_id not in placed else count - 1
            for channel_order_id, count in copies.items()
        ),
        purchases_refused=len(truth["refused"]),
        units_sold=sum(truth["sold"].values()),
        listings=len(truth["quantities"]),
        listings_drifted=len(_drifted(evidence, account, demand)),
        shipments_made=len(shipments),
        shipments_confirmed=sum(
            is_confirmed(order, shipment, placed.get(order["channel_order_id"]))
            for order, shipment in shipments
        ),
        calls=truth["calls"],
    )


def is_same_order(placed: Document, known: Document) -> bool:
    """Whether the hub knows the order's units as the channel does.

    Of a line the channel marks as shipped without counting units (`units_known` false) it is only
    known that some left.
    """
    uncounted = {
        line["channel_line_id"]
        for shipment in placed["shipments"]
        if not shipment.get("units_known", True)
        for line in shipment["lines"]
    }
    return _units_by_line(placed["lines"], uncounted) == _units_by_line(known["lines"], uncounted)


_COUNTS = ("quantity_ordered", "quantity_cancelled", "quantity_shipped", "quantity_returned")


def _units_by_line(
    lines: Iterable[Document], uncounted: Collection[str]
) -> dict[str, tuple[int, ...]]:
    found = {}
    for line in lines:
        units = {count: line[count] for count in _COUNTS}
        if line["channel_line_id"] in uncounted:
            units["quantity_shipped"] = min(1, line["quantity_shipped"])
        found[line["channel_line_id"]] = tuple(units.values())
    return found


def _drifted(evidence: Evidence, account: str, demand: Mapping[str, int]) -> list[str]:
    """Channel SKUs that offer something else than the hub says, or than what is left to sell."""
    wanted = {
        listing["channel_sku"]: listing["channel_quantity"]
        for entry in evidence.stock
        for listing in entry["listings"]
        if listing["account"] == account
    }
    drifted = []
    for channel_sku, quantity in evidence.truths[account]["quantities"].items():
        sku = evidence.skus[account, channel_sku]
        left = max(0, evidence.initial.get(sku, 0) - demand.get(sku, 0))
        if not quantity == wanted.get(channel_sku) == left:
            drifted.append(channel_sku)
    return drifted


def is_confirmed(order: Document, shipment: Document, placed: Document | None) -> bool:
    """Whether the channel shows the shipment exactly once, with its lines and tracking.

    A channel may keep one shipment in parts, each with its own packages; together they must hold
    each unit once and every package, and no part may know a package of another shipment. One that
    is told of whole lines only (`units_known` false) must show each package once for each line.
    """
    if placed is None:
        return False
    numbers = _numbers(shipment)
    parts = [one for one in placed["shipments"] if numbers & _numbers(one)]
    shown_numbers = set().union(*(_numbers(part) for part in parts))
    if not parts or shown_numbers != numbers:
        return False
    line_ids = {line["line_id"]: line["channel_line_id"] for line in order["lines"]}
    made: Counter[str] = Counter()
    for line in shipment["lines"]:
        made[line_ids[line["line_id"]]] += line["quantity"]
    if not all(part.get("units_known", True) for part in parts):
        return _packages_by_line(parts) == Counter(
            (line_id, number) for line_id in made for number in numbers
        )
    shown: Counter[str] = Counter()
    for part in parts:
        for line in part["lines"]:
            shown[line["channel_line_id"]] += line["quantity"]
    return made == shown


def _packages_by_line(parts: Iterable[Document]) -> Counter[tuple[str, str]]:
    """How often each package is shown for each line."""
    return Counter(
        (line["channel_line_id"], package["tracking_number"])
        for part in parts
        for line in part["lines"]
        for package in part["packages"]
    )


def _numbers(shipment: Document) -> set[str]:
    return {package["tracking_number"] for package in shipment["packages"]}
