"""Whose shop an account is: kept when its credentials are first accepted, compared ever after."""

import pytest

from oms_sync.flows.identity import OtherAccount, recognise
from oms_sync.sdk import AccountCheck


def check(hub, shop="1", name="First"):
    return AccountCheck(channel_account=name, channel_account_id=shop, channel_time=hub.clock.now())


def known(hub):
    return hub.storage.reports.upkeep("shop-a")["channel_account_id"]


@pytest.mark.proves("I-39")
def test_the_first_check_says_whose_the_account_is_and_no_later_one_changes_it(any_hub):
    any_hub.connect()
    assert known(any_hub) is None
    for one in (check(any_hub), check(any_hub, name="Renamed")):
        recognise(any_hub.open_work, "shop-a", one, clock=any_hub.clock)
        assert known(any_hub) == "1"
    with pytest.raises(OtherAccount, match="accounts adopt shop-a"):
        recognise(any_hub.open_work, "shop-a", check(any_hub, "2"), clock=any_hub.clock)
    shown = any_hub.storage.reports.upkeep("shop-a")
    assert (shown["channel_account"], shown["channel_account_id"]) == ("Renamed", "1")


def test_accounts_of_one_seller_are_each_their_own(any_hub):
    for account, shop in (("shop-a", "1"), ("shop-b", "2")):
        recognise(any_hub.open_work, account, check(any_hub, shop), clock=any_hub.clock)
    recognise(any_hub.open_work, "shop-b", check(any_hub, "2"), clock=any_hub.clock)
    assert known(any_hub) == "1"
