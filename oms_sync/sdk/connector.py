"""What a connector is: one record of its parts, and one small Protocol per capability.

A session is an opened connector for one account. It implements the Protocols its manifest declares
and nothing more; every method may raise only errors of `sdk.errors`. Sessions are called from
several threads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from oms_sync.domain.order import OrderSight
from oms_sync.domain.shipment import ChannelShipment
from oms_sync.sdk.manifest import Manifest
from oms_sync.sdk.mapping import MappingTable
from oms_sync.sdk.messages import (
    AccountCheck,
    ChallengeAnswer,
    Hint,
    ListingPage,
    Notification,
    OrderFeed,
    OrderPage,
    OutgoingShipment,
    PushResult,
    RawOrder,
    StockBatch,
    StockReading,
)
from oms_sync.sdk.ports import CallLog, Clock, Ids, NoCallLog, RateGate, TokenStore
from oms_sync.sdk.writes import (
    ChannelRefund,
    OutgoingCancellation,
    OutgoingHold,
    OutgoingRefund,
    TrackingCorrection,
)

if TYPE_CHECKING:
    from oms_sync.sdk.contract import StartContract
    from oms_sync.sdk.sandbox import Sandbox, SandboxOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """Everything a session is opened with."""

    account: str
    #: the connector's own settings model, validated
    settings: Any
    #: base URL that replaces all of the channel's hosts; None in normal use
    endpoint: str | None
    #: the account's stock locations, in order
    locations: tuple[str, ...]
    overlap_seconds: float
    #: False in shadow mode: the transport must refuse every write
    may_write: bool
    tables: Mapping[str, MappingTable]
    clock: Clock
    ids: Ids
    gate: RateGate
    tokens: TokenStore
    #: told of every call to the channel
    calls: CallLog = field(default_factory=NoCallLog)


@runtime_checkable
class Session(Protocol):
    """An opened connector for one account."""

    def close(self) -> None:
        """Give back connections; the session is not used afterwards."""


@runtime_checkable
class CheckAccount(Protocol):
    """Capability `check_account`."""

    def check(self) -> AccountCheck:
        """Ask the channel who we are and what we may do; raises AuthFailed when refused."""


@runtime_checkable
class ReadOrders(Protocol):
    """Capability `read_orders`."""

    def read_orders(self, feed: OrderFeed, cursor: str | None, since: datetime) -> OrderPage:
        """The next page of `feed`; `cursor` None begins at `since` (channel's clock).

        A pass over CHANGES starts `overlap_seconds` before the newest order of the last pass.
        """

    def read_orders_by_id(self, channel_order_ids: Sequence[str]) -> tuple[RawOrder, ...]:
        """The orders as they are now, one answer per id, `is_gone` where there is none."""

    def parse_order(self, payload: bytes, seen_at: datetime) -> OrderSight:
        """Translate a payload this session answered; pure; raises BadPayload."""


@runtime_checkable
class ReceiveWebhooks(Protocol):
    """Capability `receive_webhooks`."""

    def ensure_subscriptions(self, url: str) -> tuple[str, ...]:
        """Make the channel send every wanted topic to `url`.

        Answers the topics made anew or turned back to us: what they told meanwhile was missed.
        """


@runtime_checkable
class PullNotifications(Protocol):
    """Capability `pull_notifications`: the channel writes to a queue, the hub empties it."""

    def has_queue(self) -> bool:
        """True when the account's settings name a queue."""

    def pull(self, wait_seconds: float) -> tuple[Notification, ...]:
        """What lies in the queue; waits up to `wait_seconds` for a first message.

        A message never acknowledged is delivered again, to whoever asks.
        """

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Take messages out for good; called only once they are stored."""

    def subscribe_queue(self) -> tuple[str, ...]:
        """Make the channel write every wanted topic to the queue.

        Answers the topics made anew or turned back to it: what they told meanwhile was missed.
        """


@runtime_checkable
class DiscoverListings(Protocol):
    """Capability `discover_listings`."""

    def read_listings(self, cursor: str | None) -> ListingPage:
        """The next page of everything the account offers."""


@runtime_checkable
class ReadStock(Protocol):
    """Capability `read_stock`."""

    def read_stock(self, channel_listing_ids: Sequence[str]) -> StockReading:
        """The quantities the channel shows; at most `manifest.stock_read_max` listings."""


@runtime_checkable
class PushStock(Protocol):
    """Capability `push_stock`."""

    def push_stock(self, batch: StockBatch) -> tuple[PushResult, ...]:
        """Send absolute quantities; answers one result per entry, by key.

        Raises OutcomeUnknown when the answer was lost; any other error means nothing was applied.
        """


@runtime_checkable
class PushTracking(Protocol):
    """Capability `push_tracking`."""

    def read_shipments(self, channel_order_id: str) -> tuple[ChannelShipment, ...]:
        """Every dispatch the channel knows of the order."""

    def push_shipment(self, shipment: OutgoingShipment) -> None:
        """Tell the channel; the caller has looked before and reads back afterwards.

        Raises OutcomeUnknown when the answer was lost, Rejected when the channel refuses for good.
        """


@runtime_checkable
class CorrectTracking(Protocol):
    """Capability `correct_tracking`."""

    def correct_shipment(self, correction: TrackingCorrection) -> None:
        """Replace the packages of a dispatch; the caller reads back. Errors as `push_shipment`."""


@runtime_checkable
class ListOrders(Protocol):
    """Capability `list_orders`: the channel's own list, for comparing with ours."""

    def list_orders(self, since: datetime, until: datetime, cursor: str | None) -> OrderPage:
        """The next page of every order placed in [since, until), whatever became of it.

        `cursor` None begins; a page that `is_last` ends the list, and its cursor means nothing.
        """


@runtime_checkable
class CancelOrders(Protocol):
    """Capability `cancel_orders`."""

    def cancel_order(self, cancellation: OutgoingCancellation) -> str | None:
        """Cancel at the channel, or agree where the buyer asked for it.

        The caller has looked before and reads the order until it shows. Answers a receipt for
        `follow_write` where the channel decides later, None where it has. Raises OutcomeUnknown
        when the answer was lost, Rejected when the channel refuses for good.
        """


@runtime_checkable
class RefundOrders(Protocol):
    """Capability `refund_orders`."""

    def read_refunds(self, channel_order_id: str) -> tuple[ChannelRefund, ...]:
        """Every refund the channel knows of the order."""

    def refund_order(self, refund: OutgoingRefund) -> str | None:
        """Send money back; receipt and errors as `cancel_order`."""


@runtime_checkable
class HoldOrders(Protocol):
    """Capability `hold_orders`."""

    def hold_order(self, hold: OutgoingHold) -> None:
        """Stop the channel's own fulfilment of everything open; no effect where it is stopped."""

    def release_order(self, hold: OutgoingHold) -> None:
        """Let go what `hold_order` stopped; holds of others stay."""


@runtime_checkable
class DeclineCancellations(Protocol):
    """What a session also has where a buyer's wish to cancel is answered with no at the channel.

    The manifest says so with `declines_cancellations`.
    """

    def decline_cancellation(self, channel_order_id: str) -> None:
        """Say no to what the buyer asks; no effect where nothing is asked (any more).

        Raises OutcomeUnknown when the answer was lost, Rejected when the channel refuses for good.
        """


@runtime_checkable
class FollowWrites(Protocol):
    """What a session also has where its writes answer receipts."""

    def follow_write(self, receipt: str) -> bool:
        """True once the channel has decided; raises Rejected when it decided against us."""


@runtime_checkable
class ReadPools(Protocol):
    """What a session also has where the channel holds and ships stock of its own."""

    def read_pools(self) -> Mapping[str, int] | None:
        """Units the channel holds, by channel listing id; None where the account may not know."""


class Consent(Protocol):
    """How an account's owner lets the hub in: a page of the channel, and an answer from it."""

    def consent_url(self, state: str) -> str:
        """The page to open in a browser; `state` comes back with the answer."""

    def redeem(self, answer: str, state: str) -> None:
        """Turn the answer (a code, or the whole address the browser ended at) into tokens, stored.

        Raises AuthFailed where the answer is refused or carries another `state`.
        """


class WebhookPart(Protocol):
    """The pure half of receiving webhooks: is it genuine, and what is it about."""

    def verify(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        """True when one of the account's live secrets signed the raw `body`; header names are
        lower case.
        """

    def topic(self, headers: Mapping[str, str]) -> str:
        """The topic the headers name, for grouping; it is not signed and proves nothing."""

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> Hint:
        """What to look at; raises BadPayload when the body says nothing understandable."""


@runtime_checkable
class AnswerChallenge(Protocol):
    """A WebhookPart of a channel that asks by GET whether the webhook address is ours."""

    def answer_challenge(
        self, settings: Any, url: str, query: Mapping[str, str]
    ) -> ChallengeAnswer | None:
        """The answer to a request at `url`, the address as it was registered; None refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """A connector's parts, each named as "module:attribute" and loaded when first needed.

    Example::

        CONNECTOR = Connector(
            manifest=Manifest(id="etsy", label="Etsy"),
            settings="oms_sync_etsy.settings:EtsySettings",
            open="oms_sync_etsy.session:open_session",
        )
    """

    manifest: Manifest
    #: a pydantic model of the account's `settings:`
    settings: str
    #: `(OpenRequest) -> Session`
    open: str
    #: a WebhookPart
    webhook: str | None = None
    #: `(OpenRequest) -> WebhookPart`, where a signature is verified with a key the channel hands
    #: out: it is opened once per account and runs outside the event loop; its `verify` may ask the
    #: channel, and raises RetryLater when that fails
    open_webhook: str | None = None
    #: `(OpenRequest) -> Consent`, where an owner's consent is asked for on a page of the channel
    consent: str | None = None
    #: `(SandboxOptions, …) -> Sandbox`
    sandbox: str | None = None
    #: `(Workbench) -> ContractChannel` as a context manager: the sandbox's hands for the contract
    #: suite, so that `oms-sync connectors check` can run it
    contract: str | None = None

    @property
    def package(self) -> str:
        """The package the parts lie in; its `checklist.yaml` is the connector's."""
        return self.open.partition(":")[0].rpartition(".")[0]

    def load_settings(self) -> type[Any]:
        """The settings model."""
        model: type[Any] = _load(self.settings)
        return model

    def load_open(self) -> Callable[[OpenRequest], Session]:
        """The function that opens a session."""
        opener: Callable[[OpenRequest], Session] = _load(self.open)
        return opener

    def load_webhook(self) -> WebhookPart | None:
        """The webhook part, None where the channel sends none."""
        return _load(self.webhook) if self.webhook else None

    def load_open_webhook(self) -> "Callable[[OpenRequest], WebhookPart] | None":
        """The function that opens a webhook part, None where verifying is pure."""
        return _load(self.open_webhook) if self.open_webhook else None

    def manifest_for(self, settings: Any) -> Manifest:
        """The manifest of one account: its settings may know a better `visibility_lag_seconds`."""
        lag = getattr(settings, "visibility_lag_seconds", None)
        return self.manifest if lag is None else replace(self.manifest, visibility_lag_seconds=lag)

    def budget_owner(self, settings: Any) -> str | None:
        """What the call budget belongs to where that is more than one account, such as an
        application: accounts whose settings name the same `budget_owner` share one budget.
        """
        owner: str | None = getattr(settings, "budget_owner", None)
        return owner

    def load_consent(self) -> Callable[[OpenRequest], Consent] | None:
        """The function that opens a consent, None where the channel asks for none."""
        return _load(self.consent) if self.consent else None

    def load_sandbox(self) -> "Callable[[SandboxOptions], Sandbox] | None":
        """The function that makes the channel's look-alike, None where there is none."""
        return _load(self.sandbox) if self.sandbox else None

    def load_contract(self) -> "StartContract | None":
        """The driver for the contract suite, None where the connector names none."""
        return _load(self.contract) if self.contract else None


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
