"""Stock items per SKU, and the listings that sell them."""

from collections.abc import Iterable

from sqlalchemy import bindparam, func, select

from oms_sync.domain.listing import Listing
from oms_sync.domain.stock import StockLevel, available_to_sell
from oms_sync.domain.values import Sku
from oms_sync.storage.connections import Transaction
from oms_sync.storage.errors import NotFound
from oms_sync.storage.listing_rows import LISTING_COLUMNS, read_listing
from oms_sync.storage.reports.shapes import Json, when
from oms_sync.storage.stock import LEVEL_COLUMNS, read_level
from oms_sync.storage.tables.listings import listings
from oms_sync.storage.tables.stock import skus, stock_levels

_SKUS = select(skus.c.sku).order_by(skus.c.sku)
_LEVELS = select(*LEVEL_COLUMNS).order_by(stock_levels.c.sku, stock_levels.c.location)
_LISTINGS = select(*LISTING_COLUMNS).order_by(listings.c.account, listings.c.channel_listing_id)
_ONE_SKU = _SKUS.where(skus.c.sku == bindparam("sku"))
_ONE_LEVELS = _LEVELS.where(stock_levels.c.sku == bindparam("sku"))
_ONE_LISTINGS = _LISTINGS.where(listings.c.sku == bindparam("sku"))
_POOLED = _LISTINGS.where(listings.c.channel_pool.is_not(None))
#: a listing the channel ships is linked to no SKU of ours: its own text says what it is
_POOLED_SKU = func.coalesce(listings.c.sku, listings.c.channel_sku)
_ONE_POOLED = _POOLED.where(bindparam("sku") == _POOLED_SKU)
_OF_ACCOUNT = _LISTINGS.where(listings.c.account == bindparam("account"))


def stock_items(transaction: Transaction) -> list[Json]:
    """Every SKU known, by SKU."""
    levels: dict[str, list[StockLevel]] = {}
    for row in transaction.rows(_LEVELS):
        levels.setdefault(row.sku, []).append(read_level(row))
    offered: dict[str, list[Listing]] = {}
    for row in transaction.rows(_LISTINGS.where(listings.c.sku.is_not(None))):
        offered.setdefault(row.sku, []).append(read_listing(row))
    pooled: dict[str, list[Listing]] = {}
    for row in transaction.rows(_POOLED):
        pooled.setdefault(row.sku or row.channel_sku, []).append(read_listing(row))
    return [
        _stock_item(row.sku, levels.get(row.sku, ()), offered.get(row.sku, ()))
        | _pools(pooled.get(row.sku, ()))
        for row in transaction.rows(_SKUS)
    ]


def stock_item(transaction: Transaction, sku: Sku) -> Json:
    """One SKU, of ours or one that a channel holds alone; raises NotFound."""
    pooled = [read_listing(row) for row in transaction.rows(_ONE_POOLED, {"sku": sku})]
    if not pooled:
        check_known(transaction, sku)
    levels = [read_level(row) for row in transaction.rows(_ONE_LEVELS, {"sku": sku})]
    offered = [read_listing(row) for row in transaction.rows(_ONE_LISTINGS, {"sku": sku})]
    return _stock_item(sku, levels, offered) | _pools(pooled)


def check_known(transaction: Transaction, sku: Sku) -> None:
    """Raise NotFound for a SKU the hub does not know."""
    if transaction.row(_ONE_SKU, {"sku": sku}) is None:
        raise NotFound(f"nobody knows the SKU {sku!r}; see `oms-sync stock list`")


def listing_rows(transaction: Transaction, account: str | None) -> list[Json]:
    """Every listing, of one account or of all."""
    if account is None:
        rows = transaction.rows(_LISTINGS)
    else:
        rows = transaction.rows(_OF_ACCOUNT, {"account": account})
    return [{"sku": row.sku, **_listing(read_listing(row))} for row in rows]


def _stock_item(sku: str, levels: Iterable[StockLevel], offered: Iterable[Listing]) -> Json:
    listed = list(levels)
    return {
        "sku": sku,
        **_counts(listed),
        "locations": [{"code": level.location, **_counts([level])} for level in listed],
        "listings": [_listing(one) for one in offered],
    }


def _pools(pooled: Iterable[Listing]) -> Json:
    """What channels hold and ship themselves: in no count of ours."""
    return {
        "channel_pools": [
            {
                "account": one.account,
                "channel_sku": one.channel_sku,
                "channel_listing_id": one.channel_listing_id,
                "channel_pool": one.channel_pool,
                "at": when(one.channel_pool_at),
            }
            for one in pooled
        ]
    }


def _counts(levels: list[StockLevel]) -> Json:
    counted = [level for level in levels if level.is_counted]
    return {
        "counted": bool(counted),
        "on_hand": sum(level.on_hand for level in levels),
        "unavailable": sum(level.unavailable for level in levels),
        "reserved": sum(level.reserved for level in levels),
        "safety_stock": sum(level.safety_stock for level in levels),
        "available_to_sell": available_to_sell(counted).value if counted else None,
        "incoming": 0,
    }


def _listing(one: Listing) -> Json:
    return {
        "listing_id": one.listing_id,
        "account": one.account,
        "channel_sku": one.channel_sku,
        "channel_listing_id": one.channel_listing_id,
        "channel_quantity": one.desired,
        "sent": one.sent,
        "confirmed": one.confirmed,
        "expected": one.expected,
        "confirmed_at": when(one.confirmed_at),
        "state": str(one.state),
        "reason": one.reason,
        "waits_for_orders_until": when(one.rises.at),
        "retry_at": when(one.retry_at),
        "buffer": one.buffer,
        "cap": one.cap,
        "channel_pool": one.channel_pool,
        "channel_pool_at": when(one.channel_pool_at),
    }
