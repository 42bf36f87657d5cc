"""Defects in listing orders by when they were placed, one each: the suite finds them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oms_sync.sdk.contract_lists import LIST_CHECKS
from oms_sync.sdk.fake import FakeChannel
from oms_sync.sdk.fake_session import FakeSession
from oms_sync.sdk.testing import FakeClock, SeededChance, run_contract, start_fake

MANIFEST = FakeChannel(clock=FakeClock(), chance=SeededChance(1, "x")).manifest


class LeavesOutCancelledOnes(FakeSession):
    def list_orders(self, since, until, cursor):
        page = super().list_orders(since, until, cursor)
        kept = (one for one in page.orders if b'"status": "cancelled"' not in one.payload)
        return replace(page, orders=tuple(kept))


class StopsAfterAPage(FakeSession):
    def list_orders(self, since, until, cursor):
        return replace(super().list_orders(since, until, cursor), is_last=True)


class RepeatsItsCursor(FakeSession):
    def list_orders(self, since, until, cursor):
        return replace(super().list_orders(since, until, None), is_last=False)


class ListsNeighbours(FakeSession):
    def list_orders(self, since, until, cursor):
        return super().list_orders(since - timedelta(hours=1), until, cursor)


class IncludesTheEnd(FakeSession):
    def list_orders(self, since, until, cursor):
        return super().list_orders(since, until + timedelta(minutes=1), cursor)


class ForgetsWhenItWasPlaced(FakeSession):
    def parse_order(self, payload, seen_at):
        sight = super().parse_order(payload, seen_at)
        return replace(sight, facts=replace(sight.facts, placed_at=None))


class ListsOtherTotals(FakeSession):
    def list_orders(self, since, until, cursor):
        page = super().list_orders(since, until, cursor)
        orders = (
            replace(one, payload=one.payload.replace(b'"total": "', b'"total": "1'))
            for one in page.orders
        )
        return replace(page, orders=tuple(orders))


class NeverEnds(FakeSession):
    def list_orders(self, since, until, cursor):
        page = super().list_orders(since, until, None)
        return replace(page, cursor=f"{cursor or ''}x", is_last=False)


class KeepsItsPlaceInMemory(FakeSession):
    place = None

    def list_orders(self, since, until, cursor):
        page = super().list_orders(since, until, self.place)
        self.place = page.cursor
        return replace(page, cursor=f"{cursor or ''}x")


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        (LeavesOutCancelledOnes, "the_list_shows_every_order"),
        (StopsAfterAPage, "the_list_shows_every_order"),
        (RepeatsItsCursor, "the_list_shows_every_order"),
        (ListsNeighbours, "the_list_keeps_to_its_window"),
        (IncludesTheEnd, "the_list_keeps_to_its_window"),
        (ForgetsWhenItWasPlaced, "the_list_keeps_to_its_window"),
        (ListsOtherTotals, "what_is_listed_is_what_is_read"),
        (NeverEnds, "an_empty_window_has_an_end"),
        (KeepsItsPlaceInMemory, "a_crash_within_the_list_loses_nothing"),
    ],
)
def test_each_defect_is_found_by_its_check(defect, check):
    results = {
        one.name: one.problem
        for one in run_contract(LIST_CHECKS, MANIFEST, start_fake(open_session=defect))
    }
    assert results[check] != ""


def test_the_fake_lists_well():
    results = run_contract(LIST_CHECKS, MANIFEST, start_fake())
    assert [one.problem for one in results] == [""] * len(LIST_CHECKS)
