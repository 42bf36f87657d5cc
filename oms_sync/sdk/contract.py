"""The contract every connector keeps, as plain checks against its sandbox or fake.

A check raises AssertionError with what is wrong and what to do. `testing.py` turns checks into
tests; `run_contract` runs them for a command. Declaring a capability switches its checks on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from oms_sync.domain.order import OrderSight
from oms_sync.sdk.connector import Session, WebhookPart
from oms_sync.sdk.errors import ChannelError
from oms_sync.sdk.manifest import Capability, Manifest
from oms_sync.sdk.mapping import MappingTable
from oms_sync.sdk.messages import Hint, OrderFeed, OrderPage, RawOrder

PAGES_MAX: Final = 60


class Trouble(StrEnum):
    """What a driver can make its channel do, from `trouble` until `heal`."""

    #: calls are refused for being too many
    RATE_LIMITED = "rate_limited"
    #: the channel answers that it is broken
    DOWN = "down"
    #: the credentials are refused
    REVOKED = "revoked"
    #: calls get no answer and do nothing
    TIMEOUT_BEFORE = "timeout_before"
    #: writes are done, their answers are lost
    TIMEOUT_AFTER = "timeout_after"
    #: of the next stock batch a part is not applied, results in another order
    PARTIAL = "partial"


class NotApplicable(Exception):
    """The channel cannot play this; the check is reported as skipped with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedWebhook:
    """A genuine webhook about one order, as it would arrive; header names are lower case."""

    #: what verifies: the connector's `webhook`, or what its `open_webhook` opened
    part: WebhookPart
    settings: Any
    headers: Mapping[str, str]
    body: bytes
    #: the header that holds the signature
    signature_header: str
    channel_order_id: str
    #: the connector's `webhook`, where `part` is another one; it reads hints, answers challenges
    pure: WebhookPart | None = None
    #: where the channel asks by GET whether the address is ours: the query of such a request
    challenge: Mapping[str, str] = field(default_factory=dict)

    @property
    def reader(self) -> WebhookPart:
        """The connector's `webhook`."""
        return self.pure or self.part


class ContractChannel(Protocol):
    """What a connector supplies: hands on its sandbox, at the channel's side.

    Pages should be small (2 to 10 orders), so that a few orders fill several.
    """

    #: texts that must never be logged: tokens and webhook secrets as configured
    secrets: tuple[str, ...]
    #: an id the channel never gave, in its own shape
    unknown_order_id: str
    unknown_listing_id: str
    #: recorded payloads that `parse_order` must understand
    recordings: tuple[bytes, ...]

    def open(self, *, may_write: bool = True) -> Session:
        """A new session, as after a restart."""
        ...

    def now(self) -> datetime:
        """The channel's time."""
        ...

    def advance(self, seconds: float) -> None:
        """Let so much time pass at the channel."""
        ...

    def place_order(self, *quantities: int) -> str:
        """A paid order with one line per quantity, all of one SKU; answers its id."""
        ...

    def place_together(self, count: int) -> list[str]:
        """Orders that all carry the same time; raises NotApplicable where that cannot be."""
        ...

    def place_late(self, seconds: float) -> str:
        """An order that lists and reads show only `seconds` later, though it is from now."""
        ...

    def cancel_order(self, channel_order_id: str) -> None:
        """The seller cancels it, everything unshipped."""
        ...

    def fulfilments(self, channel_order_id: str) -> int:
        """How many dispatches the channel's truth has of the order."""
        ...

    def listing_ids(self) -> list[str]:
        """At least three listings with counted stock, by channel listing id."""
        ...

    def quantity(self, channel_listing_id: str) -> int:
        """What the channel's truth shows."""
        ...

    def set_quantity(self, channel_listing_id: str, quantity: int) -> None:
        """A hand edit at the channel."""
        ...

    def trouble(self, kind: Trouble) -> None:
        """Begin to misbehave; raises NotApplicable where the channel never does."""
        ...

    def heal(self) -> None:
        """Behave again."""
        ...

    def webhook(self) -> SignedWebhook:
        """Sign a webhook about an order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """What the hub lends a driver: `Connector.contract` is called with it, fresh for every check.

    Example::

        @contextmanager
        def start(bench: Workbench) -> Iterator[ContractChannel]:
            sandbox, clock = …
            with bench.serve(sandbox.app) as base_url:
                yield Driver(sandbox, clock, base_url, bench.tables)
    """

    #: the connector's mapping tables, as a session is given them
    tables: Mapping[str, MappingTable]
    #: serves an ASGI application on loopback for the length of the block; gives its base URL
    serve: Callable[[Any], AbstractContextManager[str]]
    #: recorded payloads to be parsed besides; a test has them, an installed connector need not
    recordings: tuple[bytes, ...] = ()


class QueueChannel(ContractChannel, Protocol):
    """What the driver of a connector that declares `pull_notifications` supplies besides.

    The account's settings name a queue, empty at the start.
    """

    #: the connector's `webhook`, which reads what was pulled
    part: WebhookPart

    def announce(self) -> str:
        """The channel writes one notification of a new order into the queue; answers its id."""
        ...

    def redeliver(self) -> None:
        """Give what was pulled and not acknowledged again, as the channel does after a while."""
        ...


class WriteChannel(ContractChannel, Protocol):
    """What the driver of a connector that cancels orders supplies besides.

    A driver without one of these skips the checks that need it.
    """

    def request_cancellation(self, channel_order_id: str) -> None:
        """The buyer asks for it; raises NotApplicable where the channel knows no such thing."""
        ...


CheckRun = Callable[[ContractChannel, Manifest], None]
StartContract = Callable[[Workbench], AbstractContextManager[ContractChannel]]
StartChannel = Callable[[], AbstractContextManager[ContractChannel]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise of the contract. It runs when the manifest declares all of `needs`."""

    name: str
    run: CheckRun
    needs: frozenset[Capability] = frozenset()
    #: a manifest flag that must be set too
    flag: str = ""

    def applies(self, manifest: Manifest) -> bool:
        """True when the manifest switched this check on."""
        has_flag = not self.flag or bool(getattr(manifest, self.flag))
        return has_flag and self.needs <= manifest.capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """How one check ended: `problem` is empty when the promise is kept."""

    name: str
    problem: str = ""
    #: why it could not be run
    skipped: str = ""


def run_contract(
    checks: Iterable[Check], manifest: Manifest, start: StartChannel
) -> list[CheckResult]:
    """Run every check that applies, each against a channel of its own."""
    return [_run(check, manifest, start) for check in checks if check.applies(manifest)]


def _run(check: Check, manifest: Manifest, start: StartChannel) -> CheckResult:
    try:
        with start() as channel:
            check.run(channel, manifest)
    except NotApplicable as reason:
        return CheckResult(name=check.name, skipped=str(reason))
    except Exception as error:  # noqa: BLE001 - whatever a connector raises is its failed check
        return CheckResult(name=check.name, problem=f"{type(error).__name__}: {error}")
    return CheckResult(name=check.name)


def open_as(channel: ContractChannel, protocol: type[Any], *, may_write: bool = True) -> Any:
    """A new session that implements `protocol`."""
    session = channel.open(may_write=may_write)
    assert isinstance(session, protocol), (
        "the manifest declares a capability whose methods are missing: give the session "
        f"{_missing(session, protocol)}, as sdk.{protocol.__name__} says"
    )
    return session


def _missing(session: Session, protocol: type[Any]) -> str:
    public = (name for name in vars(protocol) if not name.startswith("_"))
    return ", ".join(f"{name}()" for name in public if not hasattr(session, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One pass over a feed, as far as it could be followed."""

    pages: tuple[OrderPage, ...]
    #: why the pass has no end, empty when it has one
    fault: str = ""

    @property
    def orders(self) -> list[RawOrder]:
        """Every order of every page."""
        return [order for page in self.pages for order in page.orders]

    @property
    def ids(self) -> set[str]:
        """The order ids seen."""
        return {order.channel_order_id for order in self.orders}


def walk(next_page: Callable[[str | None], OrderPage], cursor: str | None = None) -> Walk:
    """Follow the pages of one pass; stops, and says so, where they do not end."""
    pages: list[OrderPage] = []
    seen = {cursor}
    for _ in range(PAGES_MAX):
        page = next_page(cursor)
        pages.append(page)
        if page.is_last:
            return Walk(pages=tuple(pages))
        if page.cursor in seen:
            return Walk(pages=tuple(pages), fault=f"cursor {page.cursor!r} came twice")
        cursor = page.cursor
        seen.add(cursor)
    return Walk(pages=tuple(pages), fault=f"no last page among {PAGES_MAX}")


def changes(session: Any, since: datetime) -> Callable[[str | None], OrderPage]:
    """The pages of CHANGES as one session answers them."""

    def next_page(cursor: str | None) -> OrderPage:
        page: OrderPage = session.read_orders(OrderFeed.CHANGES, cursor, since)
        return page

    return next_page


def shown_sight(session: Any, hint: Hint, manifest: Manifest, *, seen_at: datetime) -> OrderSight:
    """The sight a hint shows of its order, checked for what the hub relies on."""
    assert hint.order is not None, "the hint shows no order"
    sight: OrderSight = session.parse_order(hint.order.payload, seen_at)
    is_itself = manifest.has_portable_lines or sight.channel_order_id == hint.object_id
    assert is_itself, f"the hint is about {hint.object_id!r} and shows {sight.channel_order_id!r}"
    assert sight.facts.placed_at is not None, (
        "what a hint shows says when the order was placed; else units shipped before the account "
        "was connected would be booked as leaving now"
    )
    return sight


def error_of(act: Callable[[], object]) -> ChannelError | None:
    """The SDK error `act` raises, None when it raises nothing; any other error passes through."""
    try:
        act()
    except ChannelError as error:
        return error
    return None


class NoDriver:
    """Stands in for a driver nobody wrote: fine while no check asks it for anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(
            f"a capability is declared, so its checks need a ContractChannel that can {name}: "
            "hand a start function to connector_contract, or name one as Connector.contract"
        )


@contextmanager
def no_channel() -> Iterator[Any]:
    """The `StartChannel` of a connector that declares nothing yet."""
    yield NoDriver()
