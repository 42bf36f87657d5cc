"""The one seller and marketplace of the sandbox, and the shapes of Amazon's ids and times."""

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from oms_sync.sdk.sandbox_records import Order, Variant
from oms_sync.sdk.sandbox_store import Store

MARKETPLACE_ID: Final = "ATVPDKIKX0DER"
MARKETPLACE_NAME: Final = "Amazon.com"
#: the seller sells in these, with one quantity for all of them: (name, country, currency)
MARKETPLACES: Final = {
    MARKETPLACE_ID: (MARKETPLACE_NAME, "US", "USD"),
    "A2EUQ1WTGCTBG2": ("Amazon.ca", "CA", "CAD"),
    "A1AM78C64UM0Y8": ("Amazon.com.mx", "MX", "MXN"),
}
CURRENCY: Final = "USD"
REGION: Final = "na"
FBA_CHANNEL: Final = "AMAZON_NA"
MERCHANT_CHANNEL: Final = "DEFAULT"
PRODUCT_TYPE: Final = "PRODUCT"

_ORDER_ID: Final = re.compile(r"\d{3}-\d{7}-\d{7}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PREFIX: Final = "113"


def seller_id(store: Store) -> str:
    return f"A{store.secret('seller')[:13].upper()}"


def order_id(order: Order) -> str:
    """The channel order id: three, seven and seven digits."""
    digits = f"{order.id:014d}"
    return f"{_PREFIX}-{digits[:7]}-{digits[7:]}"


def order_number(text: str) -> int | None:
    """The store's number behind an order id, None when it has another shape."""
    if not _ORDER_ID.fullmatch(text):
        return None
    return int(text[4:].replace("-", "")) if text.startswith(_PREFIX) else 0


def asin(sku: str) -> str:
    return f"B0{hashlib.sha256(sku.encode()).hexdigest()[:8].upper()}"


def listing_number(variant: Variant) -> str:
    """What the listings report calls listing-id; the API knows a listing by its SKU alone."""
    return f"{variant.id % 10**10:010d}"


def stamp(moment: datetime) -> str:
    """Whole seconds, as the orders API shows them."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def fine_stamp(moment: datetime) -> str:
    """With milliseconds, as feeds, reports and notifications show them."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def read_time(text: str) -> datetime | None:
    """An instant in ISO 8601 with date, T, time and zone; None for anything else."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def money(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:.2f}", "currencyCode": CURRENCY}


def marketplace(marketplace_id: str) -> dict[str, Any]:
    name, country, currency = MARKETPLACES[marketplace_id]
    return {
        "id": marketplace_id,
        "name": name,
        "countryCode": country,
        "defaultCurrencyCode": currency,
        "defaultLanguageCode": f"en_{country}",
        "domainName": f"www.{name.lower()}",
    }
