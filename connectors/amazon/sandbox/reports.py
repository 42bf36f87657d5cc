"""Reports of listings and of orders: asked for, ready after the lag, downloaded as a table."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon.sandbox.answers import (
    Refused,
    answer,
    check_marketplaces,
    invalid,
    not_found,
)
from connectors.amazon.sandbox.documents import Document, Documents
from connectors.amazon.sandbox.marketplace import (
    FBA_CHANNEL,
    MARKETPLACE_ID,
    MARKETPLACES,
    MERCHANT_CHANNEL,
    asin,
    fine_stamp,
    listing_number,
    order_id,
    read_time,
    stamp,
)
from connectors.amazon.sandbox.notifications import spelled_v0
from connectors.amazon.sandbox.order_views import sold_in, status_of
from connectors.amazon.sandbox.routes import Request
from connectors.amazon.sandbox.stock import Offers
from oms_sync.sdk.sandbox_records import Variant
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

LISTINGS_REPORT: Final = "GET_MERCHANT_LISTINGS_ALL_DATA"
ORDERS_REPORT: Final = "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_LAST_UPDATE_GENERAL"
REPORTS: Final = (LISTINGS_REPORT, ORDERS_REPORT)
REPORT_TYPE: Final = "text/plain; charset=UTF-8"
REPORTS_KEPT_MAX: Final = 1_000
_TIMES: Final = ("dataStartTime", "dataEndTime")
COLUMNS: Final = tuple(
    "item-name item-description listing-id seller-sku price quantity open-date image-url "
    "item-is-marketplace product-id-type zshop-shipping-fee item-note item-condition "
    "zshop-category1 zshop-browse-path zshop-storefront-feature asin1 asin2 asin3 "
    "will-ship-internationally expedited-shipping zshop-boldface product-id "
    "bid-for-featured-placement add-delete pending-quantity fulfillment-channel "
    "merchant-shipping-group status".split()
)
#: of the report of orders, a row for each line of an order
ORDER_COLUMNS: Final = tuple(
    "amazon-order-id merchant-order-id purchase-date last-updated-date order-status "
    "fulfillment-channel sales-channel order-channel ship-service-level product-name sku asin "
    "item-status quantity currency item-price".split()
)
_FULFILLED_BY: Final = {"seller": "Merchant", "channel": "Amazon"}


@dataclass(slots=True, kw_only=True, eq=False)
class Report:
    """One report on its way."""

    id: str
    created_at: datetime
    due_at: datetime
    kind: str = LISTINGS_REPORT
    places: tuple[str, ...] = (MARKETPLACE_ID,)
    #: of the orders reported, by their last change
    since: datetime | None = None
    until: datetime | None = None
    document: Document | None = None


class Reports:
    """Resolvers of the report operations."""

    def __init__(self, store: Store, offers: Offers, documents: Documents) -> None:
        self._store, self._offers, self._documents = store, offers, documents
        self._reports: dict[str, Report] = {}
        #: marketplaces whose reports are refused
        self.refused: set[str] = set()

    def create(self, request: Request) -> Reply:
        request.params()
        optional: dict[str, type] = {
            "dataStartTime": str,
            "dataEndTime": str,
            "reportOptions": dict,
        }
        optional |= {"path": object, "MarketplaceIds": object}
        body = request.fields({"reportType": str, "marketplaceIds": list}, optional)
        check_marketplaces(body["marketplaceIds"])
        kind, places = body["reportType"], tuple(body["marketplaceIds"])
        if kind not in REPORTS or not places:
            raise invalid(f"Invalid report type or marketplace: {kind}")
        if self.refused.intersection(places):
            raise Refused(403, "Unauthorized", "Access to requested resource is denied.")
        times = {name: read_time(body[name]) for name in _TIMES if name in body}
        if None in times.values():
            raise invalid("Invalid value for dataStartTime or dataEndTime")
        store = self._store
        if len(self._reports) >= REPORTS_KEPT_MAX:
            self._reports.pop(next(iter(self._reports)))
        due = store.now() + timedelta(seconds=store.options.lag_seconds)
        number = str(store.next_id() % 10**12)
        report = Report(
            id=number,
            created_at=store.now(),
            due_at=due,
            kind=kind,
            places=places,
            since=times.get("dataStartTime"),
            until=times.get("dataEndTime"),
        )
        self._reports[report.id] = report
        self._offers.accept(lambda: self._write(report))
        return answer(202, {"reportId": report.id})

    def get(self, request: Request) -> Reply:
        request.params()
        self._offers.settle()
        report = self._reports.get(request.path[0])
        if report is None:
            raise not_found("The report does not exist.")
        shown: dict[str, Any] = {
            "reportId": report.id,
            "reportType": report.kind,
            "marketplaceIds": list(report.places),
            "createdTime": fine_stamp(report.created_at),
            "processingStatus": "IN_PROGRESS",
        }
        if report.document is not None:
            shown["processingStatus"] = "DONE"
            shown["processingStartTime"] = fine_stamp(report.created_at)
            shown["processingEndTime"] = fine_stamp(report.due_at)
            shown["reportDocumentId"] = report.document.id
        return answer(200, shown)

    def document(self, request: Request) -> Reply:
        request.params(("enableContentEncodingUrlHeader",))
        return self._documents.show(request.path[0], "reportDocumentId", request.base_url)

    def _write(self, report: Report) -> None:
        text = io.StringIO(newline="")
        is_orders = report.kind == ORDERS_REPORT
        columns = ORDER_COLUMNS if is_orders else COLUMNS
        table = csv.DictWriter(
            text, columns, restval="", delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None
        )
        table.writeheader()
        if is_orders:
            table.writerows(self._order_rows(report))
        else:
            table.writerows(self._row(each, report) for each in self._offers.all())
        content = text.getvalue().encode()
        report.document = self._documents.keep(REPORT_TYPE, content, is_packed=False)

    def _order_rows(self, report: Report) -> Iterator[dict[str, str]]:
        for order in self._store.orders.values():
            changed_at = order.updated_at
            if not (report.since or changed_at) <= changed_at <= (report.until or changed_at):
                continue
            if sold_in(order) not in report.places or order.visible_at > report.due_at:
                continue
            for line in order.lines:
                yield {
                    "amazon-order-id": order_id(order),
                    "merchant-order-id": order_id(order),
                    "purchase-date": stamp(order.created_at),
                    "last-updated-date": stamp(changed_at),
                    "order-status": spelled_v0(status_of(order)),
                    "fulfillment-channel": _FULFILLED_BY[order.fulfilled_by],
                    "sales-channel": MARKETPLACES[sold_in(order)][0],
                    "sku": line.variant.sku,
                    "asin": asin(line.variant.sku),
                    "quantity": str(line.quantity),
                }

    def _row(self, variant: Variant, report: Report) -> dict[str, str]:
        is_fba = self._offers.is_fba(variant)
        quantity = self._offers.unshared.get(report.places[0], {}).get(
            variant.sku, self._offers.quantity(variant)
        )
        number = asin(variant.sku)
        return {
            "item-name": variant.title,
            "listing-id": listing_number(variant),
            "seller-sku": variant.sku,
            "price": f"{variant.price:.2f}",
            "quantity": "" if is_fba else str(quantity),
            "open-date": f"{variant.created_at:%Y-%m-%d %H:%M:%S} UTC",
            "item-is-marketplace": "y",
            "product-id-type": "1",
            "item-condition": "11",
            "asin1": number,
            "product-id": number,
            "pending-quantity": "" if is_fba else "0",
            "fulfillment-channel": FBA_CHANNEL if is_fba else MERCHANT_CHANNEL,
            "merchant-shipping-group": "" if is_fba else "Default template",
            "status": "Active" if is_fba or quantity else "Inactive",
        }
