"""A buyer closes the account at eBay: the hub forgets who it was, and keeps what was sold."""

import json

import pytest

from connectors.ebay.webhook import WEBHOOK

SKU = "TEE RED M"
NOTICE = "MARKETPLACE_ACCOUNT_DELETION"


def _told(market, order_id):
    """The notice eBay sends when the buyer of this order closes the account."""
    fact = market.driver.sandbox.pushes.close_account(order_id)
    envelope = {"metadata": {"topic": NOTICE}, "notification": {"data": fact}}
    market.hub.add(json.dumps(envelope).encode(), "webhook", account="own", topic="notification")
    market.hub.run("ingest", "own")
    market.advance(2)
    market.hub.run("erase", "own")


def _people(market, order_id):
    facts = market.hub.order(order_id, "own").known.facts
    return facts.buyer, facts.recipient


@pytest.mark.parametrize("market", ["ebay"], indirect=True)
def test_a_buyer_who_left_ebay_is_forgotten_as_soon_as_the_order_is_finished(market):
    hub = market.hub
    own = market.account("own", SKU)
    hub.webhooks["own"] = WEBHOOK
    theirs, others = market.place((SKU, 2)), market.place((SKU, 1))
    market.ship(others)
    for order_id in (theirs, others):
        market.take_in("own", market.read(order_id))
    _told(market, theirs)
    assert None not in _people(market, theirs), "it has to be sent yet"
    market.ship(theirs)
    market.advance(200)
    market.take_in("own", market.read(theirs))
    assert hub.order(theirs, "own").state.value == "closed"
    hub.run("erase", "own")
    assert _people(market, theirs) == (None, None)
    assert None not in _people(market, others), "of another buyer nothing is erased"
    order = hub.order(theirs, "own")
    assert order.known.facts.total.amount > 0
    assert [line.sku for line in order.lines] == [own[SKU]]
    market.advance(200)
    market.take_in("own", market.read(theirs))
    assert _people(market, theirs) == (None, None), "what eBay shows later is not stored again"
