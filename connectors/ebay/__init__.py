"""eBay, spoken through its Trading SDK, and by REST where Trading cannot."""

from oms_sync.sdk import Capability, Connector, Manifest, RateLimit

_DAY = 86_400
#: the quotas of a new application, per day; what is really left is asked of eBay
_QUOTAS = {"*": 5_000, "analytics": 5_000, "notification": 10_000, "post_order": 5_000}
_QUOTAS |= {"inventory": 100_000, "fulfillment": 100_000}

CONNECTOR = Connector(
    manifest=Manifest(
        id="ebay",
        label="eBay",
        docs_url="https://developer.ebay.com/develop/guides-v2/using-ebay-apis",
        # There is no queue of eBay's, and no way to stop its own fulfilment: it has none.
        capabilities=frozenset(Capability)
        - {Capability.PULL_NOTIFICATIONS, Capability.HOLD_ORDERS},
        mappings=("mappings", "ebay"),
        rate_limits=tuple(
            RateLimit(operation=name, capacity=calls, refill_per_second=calls / _DAY)
            for name, calls in _QUOTAS.items()
        ),
        poll_seconds=120,
        visibility_lag_seconds=120,
        stock_batch_max=100,
        stock_read_max=1_000,
        order_read_max=20,
        webhook_headers=("x-ebay-signature",),
        webhook_refusal_status=412,
        has_portable_lines=True,
        declines_cancellations=True,
        cancel_reason_table="post_order_reasons",
        order_horizon_days=90,
        # An order changed while its window is paged moves, and shifts the pages behind it.
        exclusive_flows=(("ingest", "push_tracking"), ("ingest", "write_back")),
    ),
    settings="connectors.ebay.settings:EbaySettings",
    open="connectors.ebay.session:open_session",
    webhook="connectors.ebay.webhook:WEBHOOK",
    open_webhook="connectors.ebay.keys:open_webhook",
    consent="connectors.ebay.consent:open_consent",
    sandbox="connectors.ebay.sandbox.app:create_sandbox",
    contract="connectors.ebay.sandbox.driver:start_seller",
)
