"""An order adds up to the minor unit whatever its currency has of them, read from each sandbox.

What the sandbox answered over HTTP is put into another currency, unit for unit: a cent is a yen, or
a thousandth of a dinar. A shop's amounts in the buyer's money are of yet another one.
"""

import json
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from oms_sync.domain.balance import balance

#: how many decimals each has
CURRENCIES = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3}
SKUS = {"NUTS&BOLTS": 3, "TEE RED M": 1, "00042": 2}
_MARKUP = re.compile(rb'currencyID="USD">(-?[\d.]+)<')


def _amount(text, currency):
    minor = Decimal(text).scaleb(2).to_integral_exact()
    return f"{minor.scaleb(-CURRENCIES[currency]):f}"


def _in(payload, currency):
    """The same order, its amounts of so many minor units of another currency."""
    if payload.lstrip().startswith(b"<"):
        return _MARKUP.sub(
            lambda found: (
                f'currencyID="{currency}">{_amount(found[1].decode(), currency)}<'.encode()
            ),
            payload,
        )
    document = json.loads(payload, parse_float=Decimal)
    _turn(document, currency)
    return json.dumps(document, default=str).encode()


def _turn(value, currency, side=None):
    if isinstance(value, list):
        for one in value:
            _turn(one, currency, side)
        return
    if not isinstance(value, dict):
        return
    if "amount" in value and "currencyCode" in value:
        wanted = "USD" if side == "presentmentMoney" else currency
        value |= {"amount": _amount(str(value["amount"]), wanted), "currencyCode": wanted}
        return
    if value.get("currencyCode") == "USD":
        value["currencyCode"] = currency
    for name, one in value.items():
        _turn(one, currency, name)


@pytest.mark.proves("I-10")
def test_an_order_of_every_currency_adds_up_and_shows_its_amounts(market):
    raw = market.read(market.place(*SKUS.items()))
    for currency in CURRENCIES:
        market.account(currency, *SKUS)
        order = market.take_in(currency, replace(raw, payload=_in(raw.payload, currency)))
        facts = order.known.facts
        assert facts.currency == facts.total.currency == currency
        assert facts.total.minor() > 0
        assert {known.line.unit_price.currency for known in order.known.lines} == {currency}
        found = balance(order.known)
        assert (found.residual.minor(), found.name) == (0, "")
        shown = market.hub.storage.reports.order(order.order_id)
        _check_shown(shown, currency, is_abroad=market.name == "shopify" and currency != "USD")


def _check_shown(shown, currency, *, is_abroad):
    """The amounts of `orders show`, with as many decimals as there are, add up as well."""
    assert len(shown["total"].partition(".")[2]) == CURRENCIES[currency]
    assert Decimal(shown["residual"]) == 0
    sold = sum(Decimal(line["unit_price"]) * line["quantity_ordered"] for line in shown["lines"])
    extra = sum(Decimal(shown[name] or 0) for name in ("shipping", "tax"))
    assert sold + extra - Decimal(shown["discount"] or 0) == Decimal(shown["total"])
    assert shown["presentment_currency"] == ("USD" if is_abroad else None)
    assert (shown["presentment_total"] is not None) == is_abroad


@pytest.mark.proves("I-10", "A27")
def test_a_minor_unit_that_is_missing_is_told_wherever_it_is_from(market):
    market.account("shop", "00042")
    raw = market.read(market.place(("00042", 1)))
    whole = market.session.parse_order(raw.payload, market.driver.now()).facts.total
    less = Decimal(whole.text()) - Decimal("0.01")
    payload = _without_a_cent(raw.payload, whole.text(), f"{less:f}")
    order = market.take_in("shop", replace(raw, payload=payload))
    assert order.known.facts.total.amount == less
    found = balance(order.known)
    assert (found.residual.text(), found.is_flagged) == ("-0.01", True)
    told = [one["name"] for one in market.hub.events(raw.channel_order_id, "shop")]
    assert "order.unbalanced" in told


def _without_a_cent(payload, whole, less):
    """The order's total, and it alone, a cent lower."""
    if payload.lstrip().startswith(b"<"):
        total = rb'(<Total currencyID="USD">)[\d.]+(<)'
        return re.sub(total, rb"\g<1>" + less.encode() + rb"\g<2>", payload, count=1)
    document = json.loads(payload)
    order = document["order"]
    if "proceeds" in order:
        order["proceeds"]["grandTotal"]["amount"] = less
    else:
        for money in order["totalPriceSet"].values():
            money["amount"] = less
    return json.dumps(document).encode()
