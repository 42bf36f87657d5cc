"""Webhook subscriptions compared with those that are there; what was missed meanwhile is told."""

from dataclasses import replace

import pytest

from connectors.shopify.subscriptions import OPTIONAL, TOPICS
from oms_sync.sdk import OutcomeUnknown, Rejected

URL = "https://hub.example/webhooks/shop-a"
OTHER = "https://old.example/webhooks/shop-a"


@pytest.fixture
def books(shop):
    """The shop's subscriptions by topic."""

    def act():
        found: dict[str, list] = {}
        for one in shop.sandbox.store.subscriptions.values():
            found.setdefault(one.topic, []).append(one)
        return found

    return act


def test_what_is_missing_is_made_and_told_and_what_is_there_stays(shop, books):
    session = shop.open()
    assert set(session.ensure_subscriptions(URL)) == set(TOPICS)
    (edited,) = books()["ORDERS_EDITED"]
    del shop.sandbox.store.subscriptions[edited.id]
    before = {topic: one.id for topic, (one,) in books().items()}
    assert session.ensure_subscriptions(URL) == ("ORDERS_EDITED",)
    after = {topic: one.id for topic, (one,) in books().items()}
    assert before.items() <= after.items()
    assert session.ensure_subscriptions(URL) == ()


@pytest.mark.parametrize(
    "wrong",
    [{"uri": OTHER}, {"filter": "id:1"}, {"include_fields": ["name"]}],
    ids=["elsewhere", "filtered", "other fields"],
)
def test_a_topic_turned_back_to_us_is_told_like_one_made_anew(wrong, shop, books):
    session = shop.open()
    session.ensure_subscriptions(URL)
    (turned,) = books()["ORDERS_UPDATED"]
    for name, value in wrong.items():
        setattr(turned, name, value)
    assert session.ensure_subscriptions(URL) == ("ORDERS_UPDATED",)
    (again,) = books()["ORDERS_UPDATED"]
    assert (again.id, again.uri, again.filter) == (turned.id, URL, None)
    assert session.ensure_subscriptions(URL) == ()


def test_all_topics_turned_to_a_new_address_are_told(shop, books):
    session = shop.open()
    session.ensure_subscriptions(OTHER)
    assert set(session.ensure_subscriptions(URL)) == set(TOPICS)
    assert {one.uri for (one,) in books().values()} == {URL}


def test_a_second_subscription_of_a_topic_elsewhere_is_nobodys_business(shop, books):
    session = shop.open()
    session.ensure_subscriptions(URL)
    create = shop.sandbox.hands["webhookSubscriptionCreate"]
    create({"topic": "ORDERS_CREATE", "webhookSubscription": {"uri": OTHER, "format": "JSON"}})
    create({"topic": "PRODUCTS_UPDATE", "webhookSubscription": {"uri": OTHER, "format": "JSON"}})
    assert session.ensure_subscriptions(URL) == ()
    assert {one.uri for one in books()["ORDERS_CREATE"]} == {URL, OTHER}
    assert [one.uri for one in books()["PRODUCTS_UPDATE"]] == [OTHER]


@pytest.mark.parametrize("uri", ["https://erp.example/orders", "pubsub://project:topic"])
def test_what_the_app_tells_another_program_is_not_turned_to_us(uri, shop, books):
    session = shop.open()
    session.ensure_subscriptions(OTHER)
    (foreign,) = books()["ORDERS_CREATE"]
    foreign.uri = uri
    assert set(session.ensure_subscriptions(URL)) == set(TOPICS)
    assert {one.uri for one in books()["ORDERS_CREATE"]} == {uri, URL}
    assert foreign.uri == uri


def test_a_topic_for_which_a_scope_is_missing_costs_no_other(shop, books):
    shop.sandbox.merchant.withheld_scopes |= {"read_returns", "read_fulfillments"}
    assert set(shop.open().ensure_subscriptions(URL)) == set(TOPICS) - OPTIONAL
    assert not OPTIONAL & books().keys()


def test_an_address_the_shop_does_not_take_is_a_refusal(shop):
    with pytest.raises(Rejected, match="http:// is not supported"):
        shop.open().ensure_subscriptions("http://hub.example/webhooks/shop-a")


def test_a_topic_the_shop_refuses_keeps_no_other_from_being_made(shop, books, monkeypatch):
    session, first = shop.open(), next(iter(TOPICS))
    run = session._client.run

    def refusing(name, variables, *, priority):
        if variables.get("topic") != first:
            return run(name, variables, priority=priority)
        answer = run("Account", {}, priority=priority)
        refusal = {"field": ["topic"], "message": "not for this app"}
        return replace(answer, fields={"webhookSubscriptionCreate": {"userErrors": [refusal]}})

    monkeypatch.setattr(session._client, "run", refusing)
    with pytest.raises(Rejected, match="not for this app"):
        session.ensure_subscriptions(URL)
    assert set(books()) == set(TOPICS) - {first}


def test_an_answer_without_a_result_is_no_success(shop, monkeypatch):
    session = shop.open()
    run = session._client.run

    def empty(name, variables, *, priority):
        answer = run(name, variables, priority=priority)
        if name == "Subscribe":
            answer.fields["webhookSubscriptionCreate"] = None
        return answer

    monkeypatch.setattr(session._client, "run", empty)
    with pytest.raises(OutcomeUnknown, match="no result"):
        session.ensure_subscriptions(URL)
