"""What arrives at a sandbox and what its connector was heard to send is the same, call by call."""

from collections import Counter
from datetime import timedelta
from importlib import import_module

import pytest

from oms_sync.cli.workbench import start_contract
from oms_sync.sdk import OrderFeed

PAGES_MAX = 5
#: asked for beside the API, without an answer that any contract describes
ASIDE = ("token", "sqs", "document")


def _trade(channel):
    """Most of what a session does in a day."""
    order_id = channel.place_order(1)
    session = channel.open()
    session.check()
    page = session.read_orders(OrderFeed.CHANGES, None, channel.now() - timedelta(hours=1))
    for _ in range(PAGES_MAX):
        if page.is_last:
            break
        page = session.read_orders(OrderFeed.CHANGES, page.cursor, channel.now())
    assert len(session.read_orders_by_id([order_id])) == 1
    ids = [one.channel_listing_id for one in session.read_listings(None).listings[:3]]
    assert session.read_stock(ids).quantities
    return session


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize("name", ["amazon", "ebay", "shopify"])
def test_every_call_that_arrives_was_heard_when_it_was_sent(name, contract_layer):
    connector = import_module(f"connectors.{name}").CONNECTOR
    contracts = contract_layer.contracts[name]
    with start_contract(connector)() as channel:
        contract_layer.tap.drain()  # what the driver did to be there
        session = _trade(channel)
        heard = contract_layer.tap.drain()
        session.close()
    sent = Counter(
        operation
        for each in heard
        if each.status is None
        and not (operation := contracts.check_request(each)[0]).startswith(ASIDE)
    )
    arrived = Counter(
        checked[0]
        for each in heard
        if each.status is not None and (checked := contracts.check_answer(each)) is not None
    )
    assert sent == arrived
    assert sum(sent.values()) >= 5
    for each in heard:  # taken from the run's own books, so they are put back
        contract_layer.tap.hear(each)
