"""Quantities at the shop's locations: several of ours, one that stocks nothing yet, below zero."""

import json

import pytest

from connectors.shopify import CONNECTOR
from connectors.shopify.session import open_session
from connectors.shopify.stock import Places, StockDesk
from oms_sync.sdk import FixAccount, PushOutcome, Rejected, StockBatch, StockPush

PLACES = ("main", "shed")


def _batch(*entries, key="b-1"):
    return StockBatch(
        key=key,
        entries=tuple(
            StockPush(channel_listing_id=gid, channel_sku="", quantity=quantity, expected=expected)
            for gid, quantity, expected in entries
        ),
    )


def _push(session, *entry, key="b-1"):
    (result,) = session.push_stock(_batch(entry, key=key))
    return result


def _levels(shop, number=0):
    levels = shop.sandbox.truth()["levels"][shop.sku(number)]
    return {code: level["available"] for code, level in levels.items()}


@pytest.fixture
def two(running_shop):
    """A shop of two locations, both ours; two units lie in the shed."""
    with running_shop(locations=PLACES) as shop:
        store = shop.sandbox.store
        store.move(store.variant_of(shop.sku()), store.places[1], 2)
        yield shop, shop.opened(shop.request(locations=PLACES)), shop.listing_ids()[0]


# --- several locations of ours -------------------------------------------------------------------


@pytest.mark.proves("I-20")
def test_what_every_location_of_ours_shows_is_the_quantity(two):
    shop, session, one = two
    whole = shop.quantity(one)
    assert session.read_stock([one]).quantities == {one: whole}
    listed = {each.channel_listing_id: each for each in session.read_listings(None).listings}
    assert listed[one].quantity == whole


@pytest.mark.proves("I-18")
def test_a_sale_between_the_reads_of_two_locations_never_shows_too_much(two, monkeypatch):
    shop, session, one = two
    whole, store, run = shop.quantity(one), shop.sandbox.store, session._client.run
    sold = []

    def sells(name, variables, **more):
        answer = run(name, variables, **more)
        if not sold:
            sold.append(store.move(store.variant_of(shop.sku()), store.places[1], -1))
        return answer

    monkeypatch.setattr(session._client, "run", sells)
    # It says how it was at the first of the two reads: less than that is looked at again.
    assert session.read_stock([one]).quantities == {one: whole - 1}


@pytest.mark.proves("I-18", "I-21")
def test_the_first_location_takes_the_change_and_the_shop_sells_no_unit_besides(two):
    shop, session, one = two
    before = shop.quantity(one)
    assert _push(session, one, 5, before).outcome is PushOutcome.APPLIED
    assert _levels(shop) == {"main": 3, "shed": 2}
    assert session.read_stock([one]).quantities == {one: 5}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.proves("I-21", "F39")
def test_a_sale_at_either_location_makes_a_push_stale(place, two):
    shop, session, one = two
    before, store = shop.quantity(one), shop.sandbox.store
    at = store.places[PLACES.index(place)]
    store.move(store.variant_of(shop.sku()), at, -1)
    assert _push(session, one, 5, before).outcome is PushOutcome.STALE
    assert shop.quantity(one) == before - 1, "nothing is erased unseen"
    assert _push(session, one, 5, before - 1, key="b-2").outcome is PushOutcome.APPLIED
    assert shop.quantity(one) == 5


@pytest.mark.proves("I-18")
def test_less_than_another_location_shows_is_refused_and_the_first_sells_nothing_more(two):
    shop, session, one = two
    result = _push(session, one, 1, shop.quantity(one))
    assert result.outcome is PushOutcome.REJECTED
    assert "1 may be sold, and the shop shows 2" in result.reason
    assert _levels(shop) == {"main": 0, "shed": 2}


def test_only_the_listing_another_location_oversells_is_refused(two):
    shop, session, one = two
    second = shop.listing_ids()[1]
    batch = _batch((one, 1, shop.quantity(one)), (second, 4, shop.quantity(second)))
    outcomes = [result.outcome for result in session.push_stock(batch)]
    assert outcomes == [PushOutcome.REJECTED, PushOutcome.APPLIED]
    assert shop.quantity(second) == 4


def test_the_same_batch_sent_again_after_a_change_elsewhere_is_another_operation(two):
    shop, session, one = two
    before, store = shop.quantity(one), shop.sandbox.store
    assert _push(session, one, 7, before).outcome is PushOutcome.APPLIED
    store.move(store.variant_of(shop.sku()), store.places[1], -1)
    # It cannot be told from one that was lost: what the shop holds is not what it changes from.
    assert _push(session, one, 7, before).outcome is PushOutcome.STALE
    assert shop.quantity(one) == 6


def test_the_check_says_which_location_takes_the_changes(two):
    shop, session, _ = two
    told = [one for one in session.check().warnings if "quantities are set at" in one]
    assert len(told) == 1
    assert shop.settings.location_ids["shed"] in told[0]
    alone = shop.opened(shop.request(locations=("main",)))
    assert not any("quantities are set at" in one for one in alone.check().warnings)


def test_a_fulfilment_service_is_no_location_to_choose_from(running_shop):
    with running_shop(locations=PLACES) as shop:
        settings = shop.settings.model_copy(update={"location_ids": {}})
        session, one = open_session(shop.request(settings=settings)), shop.listing_ids()[0]
        with pytest.raises(FixAccount, match="2 active locations"):
            session.read_stock([one])
        shop.sandbox.merchant.services.add(shop.sandbox.store.places[1].id)
        session.check()  # asks the shop for its locations anew
        assert session.read_stock([one]).quantities == {one: shop.quantity(one)}


# --- an article our location does not stock yet --------------------------------------------------


@pytest.mark.parametrize("code", ["CHANGE_FROM_QUANTITY_STALE", "INVALID_LOCATION", ""])
def test_an_article_not_stocked_at_the_location_is_stocked_there_then_set(code, shop):
    session, one = shop.open(), shop.listing_ids()[0]
    shop.sandbox.stock_changes.not_stocked_code = code
    shop.sandbox.merchant.unstock(shop.sku(), "main")
    assert session.read_stock([one]).quantities == {one: 0}
    first = _push(session, one, 4, 0)
    assert first.outcome is PushOutcome.NOT_APPLIED, "it is sent again"
    assert "stocked at the location now" in first.reason
    assert _push(session, one, 4, 0, key="b-2").outcome is PushOutcome.APPLIED
    assert shop.quantity(one) == 4


def test_the_code_older_versions_name_it_by_is_understood(scripted, make_client):
    one, place = "gid://shopify/InventoryItem/1", "gid://shopify/Location/1"
    code, field = "ITEM_NOT_STOCKED_AT_LOCATION", ["input", "quantities", "0", "inventoryItemId"]
    refused = [{"field": field, "code": code, "message": "not stocked"}]
    answers = (
        {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": refused}},
        {"nodes": [{"id": one, "tracked": True, "inventoryLevel": None}]},
        {"inventoryActivate": {"inventoryLevel": {"id": "x"}, "userErrors": []}},
    )
    scripted.answers = [(200, {}, {"data": each}) for each in answers]
    client = make_client()
    (result,) = StockDesk(client, Places(client, [place])).push(_batch((one, 4, 0)))
    assert result.outcome is PushOutcome.NOT_APPLIED
    sent = json.loads(scripted.asked[-1][2])
    assert (sent["operationName"], sent["variables"]["item"]) == ("Activate", one)


def test_others_in_its_batch_are_sent_again_and_applied(shop):
    session, (one, two) = shop.open(), shop.listing_ids()[:2]
    shop.sandbox.merchant.unstock(shop.sku(), "main")
    entries = (one, 4, 0), (two, 3, shop.quantity(two))
    first = session.push_stock(_batch(*entries))
    assert {each.outcome for each in first} == {PushOutcome.NOT_APPLIED}
    again = session.push_stock(_batch(*entries, key="b-2"))
    assert {each.outcome for each in again} == {PushOutcome.APPLIED}
    assert (shop.quantity(one), shop.quantity(two)) == (4, 3)


def test_an_article_that_will_not_be_stocked_is_refused_and_not_tried_for_ever(shop):
    session, one = shop.open(), shop.listing_ids()[0]
    calls = shop.sandbox.store.calls
    for turn in range(4):
        shop.sandbox.merchant.unstock(shop.sku(), "main")
        result = _push(session, one, 4, 0, key=f"b-{turn}")
        wanted = PushOutcome.REJECTED if turn else PushOutcome.NOT_APPLIED
        assert result.outcome is wanted
    assert calls["inventoryActivate"] == 1
    assert "NOT_ACTIVATED" in result.reason


def test_a_stale_push_of_a_stocked_article_activates_nothing(shop):
    session, one = shop.open(), shop.listing_ids()[0]
    assert _push(session, one, 4, shop.quantity(one) + 1).outcome is PushOutcome.STALE
    assert shop.sandbox.store.calls["inventoryActivate"] == 0


# --- odd numbers ---------------------------------------------------------------------------------


@pytest.mark.proves("I-18")
def test_a_quantity_below_zero_is_read_expected_and_set_right(shop):
    session, one = shop.open(), shop.listing_ids()[0]
    shop.set_quantity(one, -3)
    assert session.read_stock([one]).quantities == {one: -3}
    assert _push(session, one, 0, -2).outcome is PushOutcome.STALE
    assert _push(session, one, 0, -3, key="b-2").outcome is PushOutcome.APPLIED
    assert shop.quantity(one) == 0


@pytest.mark.parametrize(("given", "lag"), [({}, 30), ({"visibility_lag_seconds": 5}, 5)])
def test_how_late_orders_show_is_the_accounts_own(given, lag, shop):
    fields = shop.settings.model_dump(exclude={"visibility_lag_seconds"}) | given
    settings = type(shop.settings).model_validate(fields)
    assert CONNECTOR.manifest_for(settings).visibility_lag_seconds == lag
    assert CONNECTOR.manifest.visibility_lag_seconds == 30


def test_an_account_in_shadow_stocks_nothing(shop):
    shop.sandbox.merchant.unstock(shop.sku(), "main")
    session = shop.open(may_write=False)
    with pytest.raises(Rejected, match="shadow"):
        _push(session, shop.listing_ids()[0], 4, 0)
    assert _levels(shop) == {}
