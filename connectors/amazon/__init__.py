"""Amazon, spoken through python-amazon-sp-api."""

from oms_sync.sdk import Capability, Connector, Manifest, RateLimit

#: operation, burst, calls per second: the published default plan
_PUBLISHED = """
searchOrders 20 0.0056, getOrder 30 0.5, confirmShipment 10 2, patchListingsItem 5 5,
searchListingsItems 5 5, getListingsItem 10 5, createFeedDocument 15 0.5, createFeed 15 0.0083,
getFeed 15 2, getFeeds 10 0.0222, getFeedDocument 10 0.0222, createReport 15 0.0167,
getReport 15 2, getReportDocument 15 0.0167, getMarketplaceParticipations 15 0.016,
getSubscription 5 1, createSubscription 5 1, deleteSubscriptionById 5 1, getDestinations 5 1,
createDestination 5 1, listFinancialEventsByOrderId 30 0.5, getInventorySummaries 2 2,
getOrders 20 0.0167, getOrderV0 30 0.5, getOrderItems 30 0.5
"""
_LIMITS = tuple(
    RateLimit(operation=name, capacity=float(burst), refill_per_second=float(rate))
    for name, burst, rate in (each.split() for each in _PUBLISHED.split(","))
)

CONNECTOR = Connector(
    manifest=Manifest(
        id="amazon",
        label="Amazon",
        docs_url="https://developer-docs.amazon.com/sp-api",
        # Amazon calls no address, and has no hold of the seller's own.
        capabilities=frozenset(Capability) - {Capability.RECEIVE_WEBHOOKS, Capability.HOLD_ORDERS},
        mappings=("mappings", "amazon"),
        rate_limits=_LIMITS,
        poll_seconds=300,
        visibility_lag_seconds=120,
        stock_batch_max=5000,
        stock_read_max=20,
        cancels_lines=True,
        keeps_package_count=True,
        order_horizon_days=730,
    ),
    settings="connectors.amazon.settings:AmazonSettings",
    open="connectors.amazon.session:open_session",
    webhook="connectors.amazon.webhook:WEBHOOK",
    consent="connectors.amazon.consent:open_consent",
    sandbox="connectors.amazon.sandbox.app:create_sandbox",
    contract="connectors.amazon.sandbox.driver:start_seller",
)
