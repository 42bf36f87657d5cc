"""Amazon, spoken through python-amazon-sp-api."""

from oms_sync.sdk import Capability, Connector, Manifest, RateLimit

#: operation, burst, calls per second: the published default plan
_PUBLISHED = """
searchOrders 20 0.0056, getOrder 30 0.5, confirmShipment 10 2, patchListingsItem 5 5,
searchListingsItems 5 5, getListingsItem 10 5, createFeedDocument 15 0.5, createFeed 15 0.0083,
getFeed 15 2, getFeeds 10 0.0222, getFeedDocument 10 0.0222, createReport 15 0.0167,
getReport 15 2, getReportDocument 15 0.0167, getMarketplaceParticipations 15 0.016
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
        capabilities=frozenset(Capability) - {Capability.RECEIVE_WEBHOOKS},
        mappings=("mappings", "amazon"),
        rate_limits=_LIMITS,
        poll_seconds=300,
        visibility_lag_seconds=120,
        stock_batch_max=5000,
        stock_read_max=20,
    ),
    settings="connectors.amazon.settings:AmazonSettings",
    open="connectors.amazon.session:open_session",
    webhook="connectors.amazon.webhook:WEBHOOK",
    sandbox="connectors.amazon.sandbox.app:create_sandbox",
    contract="connectors.amazon.sandbox.driver:start_seller",
)
