"""Shopify, spoken through its own SDK."""

from oms_sync.sdk import Capability, Connector, Manifest, RateLimit

_HEADERS = "topic webhook-id event-id triggered-at api-version shop-domain".split()

CONNECTOR = Connector(
    manifest=Manifest(
        id="shopify",
        label="Shopify",
        docs_url="https://shopify.dev/docs/api/admin-graphql",
        capabilities=frozenset(Capability) - {Capability.PULL_NOTIFICATIONS},
        mappings=("mappings", "shopify"),
        rate_limits=(RateLimit(operation="graphql", capacity=2000, refill_per_second=100),),
        poll_seconds=60,
        visibility_lag_seconds=30,
        stock_batch_max=100,
        stock_read_max=100,
        order_read_max=50,
        cancels_lines=True,
        order_horizon_days=60,
        has_compare_and_set=True,
        is_push_idempotent=True,
        webhook_headers=tuple(
            f"{kind}{one}" for kind in ("x-shopify-", "shopify-") for one in _HEADERS
        ),
    ),
    settings="connectors.shopify.settings:ShopifySettings",
    open="connectors.shopify.session:open_session",
    webhook="connectors.shopify.webhook:WEBHOOK",
    sandbox="connectors.shopify.sandbox.app:create_sandbox",
    contract="connectors.shopify.sandbox.driver:start_shop",
)
