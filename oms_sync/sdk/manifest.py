"""A connector's declaration of itself: what it can do, how much, how fast."""

from dataclasses import dataclass
from enum import StrEnum

API_VERSION = "1.0"
"""Version of this SDK; a manifest made for another major version is refused."""


class Capability(StrEnum):
    """One thing a connector can do; each is a Protocol in `connector.py`."""

    CHECK_ACCOUNT = "check_account"
    READ_ORDERS = "read_orders"
    RECEIVE_WEBHOOKS = "receive_webhooks"
    PULL_NOTIFICATIONS = "pull_notifications"
    DISCOVER_LISTINGS = "discover_listings"
    READ_STOCK = "read_stock"
    PUSH_STOCK = "push_stock"
    PUSH_TRACKING = "push_tracking"
    CORRECT_TRACKING = "correct_tracking"
    LIST_ORDERS = "list_orders"
    CANCEL_ORDERS = "cancel_orders"
    REFUND_ORDERS = "refund_orders"
    HOLD_ORDERS = "hold_orders"


#: what a hub needs of a channel that calls it: orders in, quantities and tracking out
ESSENTIALS = frozenset(
    {
        Capability.CHECK_ACCOUNT,
        Capability.READ_ORDERS,
        Capability.RECEIVE_WEBHOOKS,
        Capability.DISCOVER_LISTINGS,
        Capability.READ_STOCK,
        Capability.PUSH_STOCK,
        Capability.PUSH_TRACKING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The bucket of one operation, in calls or points; `*` covers every operation unnamed."""

    operation: str
    capacity: float
    refill_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A connector's declaration of itself.

    Example::

        Manifest(id="etsy", label="Etsy", capabilities=frozenset({Capability.READ_ORDERS}))
    """

    #: lower-case word, the connector's name in configuration and logs
    id: str
    label: str
    version: str = "0.1.0"
    api_version: str = API_VERSION
    docs_url: str = ""
    capabilities: frozenset[Capability] = frozenset()
    #: importable package that holds the mapping tables, and the folder inside it
    mappings: tuple[str, str] | None = None
    rate_limits: tuple[RateLimit, ...] = ()
    poll_seconds: float = 60
    #: how late an order may become visible in lists and by id
    visibility_lag_seconds: float = 0
    #: entries in one `push_stock` call
    stock_batch_max: int = 1
    #: listings in one `read_stock` call
    stock_read_max: int = 1
    #: orders in one `read_orders_by_id` call
    order_read_max: int = 1
    #: `StockPush.expected` is compared at the channel, in one step with the write
    has_compare_and_set: bool = False
    #: the same batch key with the same entries may be sent again without a second effect
    is_push_idempotent: bool = False
    #: webhook headers worth keeping beside the body (lower case); none may hold personal data
    webhook_headers: tuple[str, ...] = ()
    #: what a webhook with a bad signature is answered
    webhook_refusal_status: int = 401
    #: a line keeps its id when the channel moves it to another order or gives the order another
    #: id: line ids are unique in the account, and an order may answer to several ids
    has_portable_lines: bool = False
    #: some lines or units of an order can be cancelled while the rest goes on
    cancels_lines: bool = False
    #: a buyer's wish to cancel can be answered with no: the session has `decline_cancellation`
    declines_cancellations: bool = False
    #: the mapping table of reasons for cancelling, where a reason it lacks would be told as another
    #: one that counts against the seller: such a reason is refused
    cancel_reason_table: str = ""
    #: a dispatch keeps as many packages as it was told with: others are refused as a correction
    keeps_package_count: bool = False
    #: how far back the channel shows orders at all; what is older is lost to whoever was away
    order_horizon_days: float = 60
    #: pairs of flows that must not run at the same time for one account
    exclusive_flows: tuple[tuple[str, str], ...] = ()
