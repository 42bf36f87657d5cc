"""GetUser, the out-of-stock preference and the list of carriers."""

from typing import Final

from connectors.ebay.sandbox.books import Books
from connectors.ebay.sandbox.markup import Markup, fill, tag
from connectors.ebay.sandbox.shapes import Asked

#: our own short selection of carrier codes
CARRIERS: Final = ("DHL", "FedEx", "Other", "RoyalMail", "UPS", "USPS")


class AccountCalls:
    """Answers the calls about the seller."""

    def __init__(self, books: Books) -> None:
        self._books, self._store = books, books.store

    def user(self, asked: Asked) -> Markup:
        store = self._store
        name = asked.text("UserID") or store.options.account
        return fill("User", id=store.shop_id, created_at=store.created_at, name=name)

    def preferences(self, asked: Asked) -> Markup:
        is_asked = asked.flag("ShowOutOfStockControlPreference")
        keeps = self._books.keeps_sold_out if is_asked else None
        return tag("OutOfStockControlPreference", keeps)

    def set_preferences(self, asked: Asked) -> Markup:
        keeps = asked.flag("OutOfStockControlPreference")
        if keeps is not None:
            self._books.keeps_sold_out = keeps
        return Markup("")

    def details(self, asked: Asked) -> Markup:
        wanted = {each.value for each in asked.all("DetailName")}
        if wanted and "ShippingCarrierDetails" not in wanted:
            return Markup("")
        at = self._store.created_at
        shown = (
            fill("Carrier", number=number, name=code, code=code, at=at)
            for number, code in enumerate(CARRIERS, start=1)
        )
        return Markup("".join(shown) + tag("UpdateTime", at))
