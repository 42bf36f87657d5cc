"""Reports: the listings report, asked for, ready after the lag, downloaded as a table."""

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon.sandbox.answers import answer, check_marketplaces, invalid, not_found
from connectors.amazon.sandbox.documents import Document, Documents
from connectors.amazon.sandbox.marketplace import (
    FBA_CHANNEL,
    MARKETPLACE_ID,
    MERCHANT_CHANNEL,
    asin,
    fine_stamp,
    listing_number,
    read_time,
)
from connectors.amazon.sandbox.routes import Request
from connectors.amazon.sandbox.stock import Offers
from oms_sync.sdk.sandbox_records import Variant
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

LISTINGS_REPORT: Final = "GET_MERCHANT_LISTINGS_ALL_DATA"
REPORT_TYPE: Final = "text/plain; charset=UTF-8"
REPORTS_KEPT_MAX: Final = 1_000
COLUMNS: Final = tuple(
    "item-name item-description listing-id seller-sku price quantity open-date image-url "
    "item-is-marketplace product-id-type zshop-shipping-fee item-note item-condition "
    "zshop-category1 zshop-browse-path zshop-storefront-feature asin1 asin2 asin3 "
    "will-ship-internationally expedited-shipping zshop-boldface product-id "
    "bid-for-featured-placement add-delete pending-quantity fulfillment-channel "
    "merchant-shipping-group status".split()
)


@dataclass(slots=True, kw_only=True, eq=False)
class Report:
    """One report on its way."""

    id: str
    created_at: datetime
    due_at: datetime
    document: Document | None = None


class Reports:
    """Resolvers of the report operations."""

    def __init__(self, store: Store, offers: Offers, documents: Documents) -> None:
        self._store, self._offers, self._documents = store, offers, documents
        self._reports: dict[str, Report] = {}

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
        if body["reportType"] != LISTINGS_REPORT or not body["marketplaceIds"]:
            raise invalid(f"Invalid report type or marketplace: {body['reportType']}")
        for name in ("dataStartTime", "dataEndTime"):
            if name in body and read_time(body[name]) is None:
                raise invalid(f"Invalid value for {name}")
        store = self._store
        if len(self._reports) >= REPORTS_KEPT_MAX:
            self._reports.pop(next(iter(self._reports)))
        due = store.now() + timedelta(seconds=store.options.lag_seconds)
        number = str(store.next_id() % 10**12)
        report = Report(id=number, created_at=store.now(), due_at=due)
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
            "reportType": LISTINGS_REPORT,
            "marketplaceIds": [MARKETPLACE_ID],
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
        table = csv.DictWriter(
            text, COLUMNS, restval="", delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None
        )
        table.writeheader()
        table.writerows(self._row(each) for each in self._offers.all())
        content = text.getvalue().encode()
        report.document = self._documents.keep(REPORT_TYPE, content, is_packed=False)

    def _row(self, variant: Variant) -> dict[str, str]:
        is_fba = self._offers.is_fba(variant)
        quantity = self._offers.quantity(variant)
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
