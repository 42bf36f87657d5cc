"""Published rate limits in virtual time: thousands of orders read, thousands of quantities pushed.

Connector, buckets and sandbox are the real ones and speak HTTP; the clock alone is not: it moves
when somebody sleeps. What passes on it is what the published limits cost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from figures import Figure, at_least, at_most, observed, say, tidy

from oms_sync.cli.demo_virtual import (
    MakeBuckets,
    Spent,
    VirtualAccount,
    measured,
    open_virtual,
    own_buckets,
)
from oms_sync.runtime.registry import load_registry
from oms_sync.sdk.manifest import RateLimit

AIM_THROTTLED_PERCENT: Final = 1.0
AIM_RATE_USED_PERCENT: Final = 85.0
#: units of the seed catalogue are 30 to 250 a SKU, of one in seven 1 to 5
UNITS_PER_SKU: Final = 60
#: thousands of quantities go there as one feed, and wait for the feed to be worked off
BY_FEED: Final = frozenset({"amazon"})
#: settings that make a connector go the other of its two ways
ONE_BY_ONE: Final[Mapping[str, Any]] = {"bulk_threshold": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for one connector."""

    name: str
    connector: str
    skus: int
    work: Callable[[VirtualAccount], Callable[[], object]]
    settings: Mapping[str, Any] | None = None
    #: what bounds the work is a published rate; else the channel's own processing does
    is_bound_by_rate: bool = True
    #: whose gates the calls pass; one account's in one process when not given
    make_buckets: MakeBuckets = own_buckets


def orders_and_quantities(*, count: int) -> list[Figure]:
    """5,000 orders by both ways of reading them, 5,000 quantities at every channel."""
    return [figure for job in _jobs(count) for figure in figures_of(job, count)]


def _jobs(count: int) -> list[Job]:
    registry = load_registry()
    few = max(7, count // UNITS_PER_SKU + 1)
    jobs = [
        Job(
            name=f"push_{count}_{name}",
            connector=name,
            skus=count,
            work=push,
            is_bound_by_rate=name not in BY_FEED,
        )
        for name in registry.names
        if registry.get(name).sandbox is not None
    ]
    if "amazon" in registry.names:
        jobs += [
            Job(
                name=f"push_{count}_amazon_one_by_one",
                connector="amazon",
                skus=count,
                work=push,
                settings=ONE_BY_ONE,
            ),
            Job(
                name=f"import_{count}_amazon_orders_by_pages",
                connector="amazon",
                skus=few,
                work=lambda account: _pages(account, count),
            ),
            Job(
                name=f"import_{count}_amazon_orders_by_id",
                connector="amazon",
                skus=few,
                work=lambda account: _by_id(account, count),
            ),
        ]
    return jobs


def push(account: VirtualAccount) -> Callable[[], object]:
    """A new quantity for every listing."""
    return lambda: account.send(account.listings)


def _pages(account: VirtualAccount, count: int) -> Callable[[], object]:
    placed = set(account.place(count))

    def read() -> None:
        found, _ = account.read_changes(back_seconds=count * 2.0 + 3_600)
        if found != placed:
            raise RuntimeError(f"{len(placed - found)} of {count} orders are in no page")

    return read


def _by_id(account: VirtualAccount, count: int) -> Callable[[], object]:
    placed = account.place(count)

    def read() -> None:
        if (found := account.read_by_id(placed)) != count:
            raise RuntimeError(f"{found} of {count} orders can be read by id")

    return read


def figures_of(job: Job, count: int) -> list[Figure]:
    """Do one piece of work and say what it took."""
    say(f"published limits, virtual time: {job.name}")
    with open_virtual(
        load_registry(),
        job.connector,
        skus=job.skus,
        settings=job.settings,
        make_buckets=job.make_buckets,
    ) as account:
        left: list[object] = []
        work = job.work(account)
        spent = measured(account, lambda: left.append(work()))
        if isinstance(left[0], dict):  # quantities merely accepted: only a look proves them
            account.prove(left[0])
        limits = account.manifest.rate_limits
    throttled = 100.0 * spent.throttled / max(1, spent.calls_total)
    used, told = 100.0 * _rate_used(spent, limits), _told(spent, limits)
    share = "% of the allowed rate"
    return [
        at_most(f"{job.name}_throttled", throttled, "% of calls", AIM_THROTTLED_PERCENT),
        at_least(f"{job.name}_rate_used", used, share, AIM_RATE_USED_PERCENT, **told)
        if job.is_bound_by_rate
        else observed(f"{job.name}_rate_used", used, share, **told),
        observed(f"{job.name}_takes", spent.seconds, "virtual seconds", each=count),
    ]


def _rate_used(spent: Spent, limits: tuple[RateLimit, ...]) -> float:
    """The least time the limits allow over the time taken; what fits the burst takes none."""
    least = spent.least_seconds(limits)
    if spent.seconds <= 0:
        return 1.0
    return min(1.0, least / spent.seconds)


def _told(spent: Spent, limits: tuple[RateLimit, ...]) -> dict[str, Any]:
    return {
        "virtual_seconds": tidy(spent.seconds),
        "least_seconds": tidy(spent.least_seconds(limits)),
        "is_within_burst": spent.least_seconds(limits) == 0,
        "calls": dict(spent.calls),
        "limits": {
            share.limit.operation: {
                "burst": share.limit.capacity,
                "per_second": share.limit.refill_per_second,
                "used": tidy(share.cost),
            }
            for share in spent.shares(limits)
        },
    }
