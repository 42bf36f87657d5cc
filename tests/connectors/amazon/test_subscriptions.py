"""The destination and the subscription: made where missing, made anew where wrong."""

from dataclasses import replace

import pytest

from connectors.amazon.subscriptions import arn_of
from oms_sync.sdk import AuthFailed, ChannelDown, FixAccount, Rejected

ORDER_CHANGE = "ORDER_CHANGE"


def test_what_is_as_it_should_be_is_left_alone(seller):
    assert seller.open().subscribe_queue() == ()
    calls = seller.sandbox.truth()["calls"]
    assert {"createDestination", "createSubscription"}.isdisjoint(calls)


def test_a_seller_never_subscribed_is(seller):
    account = seller.sandbox.account
    account.destinations.clear()
    account.subscriptions.clear()
    seller.place_order(1)
    session = seller.open()
    assert session.pull(0) == (), "nobody was told to write"
    assert session.subscribe_queue() == (ORDER_CHANGE,)
    assert session.subscribe_queue() == ()
    assert [arn for _, arn in account.destinations.values()] == [seller.sandbox.sqs.arn]
    seller.place_order(1)
    assert [one.topic for one in session.pull(0)] == [ORDER_CHANGE]


def test_a_subscription_that_writes_elsewhere_is_made_anew(seller):
    account = seller.sandbox.account
    account.destinations["other"] = ("other", "arn:aws:sqs:us-east-1:123456789012:other")
    old = account.subscriptions[ORDER_CHANGE]
    account.subscriptions[ORDER_CHANGE] = replace(old, destination_id="other")
    assert seller.open().subscribe_queue() == (ORDER_CHANGE,)
    assert account.subscriptions[ORDER_CHANGE].destination_id != "other"
    assert len(account.destinations) == 2, "the queue was known: no second destination"


def test_a_subscription_of_another_version_is_made_anew(seller):
    account = seller.sandbox.account
    old = account.subscriptions[ORDER_CHANGE]
    account.subscriptions[ORDER_CHANGE] = replace(old, version="0.9")
    assert seller.open().subscribe_queue() == (ORDER_CHANGE,)
    assert account.subscriptions[ORDER_CHANGE].version == "1.0"


def test_a_subscription_that_filters_news_away_is_made_anew(seller):
    account = seller.sandbox.account
    old = account.subscriptions[ORDER_CHANGE]
    only = {"eventFilterType": ORDER_CHANGE, "orderChangeTypes": ["BuyerRequestedChange"]}
    account.subscriptions[ORDER_CHANGE] = replace(old, directive={"eventFilter": only})
    session = seller.open()
    assert session.subscribe_queue() == (ORDER_CHANGE,)
    assert account.subscriptions[ORDER_CHANGE].directive == {}
    assert session.subscribe_queue() == ()


def test_a_turn_that_broke_off_is_ended_and_told_the_next_time(seller, monkeypatch):
    account, session = seller.sandbox.account, seller.open()
    old = account.subscriptions[ORDER_CHANGE]
    account.subscriptions[ORDER_CHANGE] = replace(old, version="0.9")
    ask = session._client.ask

    def break_off(name, *names, **words):
        if name == "createSubscription":
            raise ChannelDown("broken off")
        return ask(name, *names, **words)

    monkeypatch.setattr(session._client, "ask", break_off)
    with pytest.raises(ChannelDown):
        session.subscribe_queue()
    monkeypatch.undo()
    assert session.subscribe_queue() == (ORDER_CHANGE,)
    assert account.subscriptions[ORDER_CHANGE].version == "1.0"


@pytest.mark.proves("F02")
def test_a_lost_answer_leaves_one_subscription(seller):
    account = seller.sandbox.account
    account.destinations.clear()
    account.subscriptions.clear()
    session = seller.open()
    assert session.check().channel_account == "seller-a", "the token is granted before"
    session._client.tokens.grantless.token()
    for _ in range(2):
        seller.sandbox.faults.force("F02")
        with pytest.raises(Exception, match="no answer"):
            session.subscribe_queue()
    session.subscribe_queue()
    assert len(account.destinations) == len(account.subscriptions) == 1


def test_shadow_subscribes_nothing(seller):
    seller.sandbox.account.subscriptions.clear()
    with pytest.raises(Rejected, match="shadow"):
        seller.open(may_write=False).subscribe_queue()
    assert seller.sandbox.account.subscriptions == {}


def test_the_application_alone_asks_where_notifications_go(seller):
    session = seller.open()
    session.subscribe_queue()
    stored = seller.tokens.load()
    assert stored["grantless_token"] != stored["access_token"]
    assert stored["grantless_token"].startswith("Atza|")
    seller.sandbox.tokens._granted.clear()
    assert session.subscribe_queue() == (), "both tokens are renewed once when refused"


def test_without_a_consent_nothing_is_subscribed(seller):
    seller.sandbox.tokens.are_revoked = True
    with pytest.raises(AuthFailed):
        seller.open().subscribe_queue()


@pytest.mark.parametrize(
    ("changes", "arn"),
    [
        ({}, "arn:aws:sqs:us-east-1:123456789012:orders"),
        ({"queue_arn": "arn:aws:sqs:eu-west-1:123456789012:x"}, None),
        ({"queue_url": "https://queue.example.com/orders"}, "enter queue_arn"),
        ({"queue_url": "https://queue.example.com/1/orders"}, "enter queue_arn"),
    ],
)
def test_the_queues_name_is_entered_or_read_from_its_address(changes, arn, settings):
    queue = {
        "queue_url": "https://sqs.us-east-1.amazonaws.com/123456789012/orders",
        "aws_region": "us-east-1",
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": "canary-key",
    }
    given = settings(notifications={**queue, **changes}).notifications
    if arn == "enter queue_arn":
        with pytest.raises(FixAccount, match=arn):
            arn_of(given)
    else:
        assert arn_of(given) == (arn or given.queue_arn)


def test_without_a_queue_there_is_nothing_to_subscribe(open_session):
    assert open_session().subscribe_queue() == ()
