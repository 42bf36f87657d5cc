"""A look that shows what was expected is done with at once and leaves the basis alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from oms_sync.domain.listing import Basis, Listing
from oms_sync.domain.looks import agree, is_look_expected
from oms_sync.domain.taken import take
from oms_sync.domain.values import parse_sku

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def _looked(shown: int, *, taken: int = 0, basis: Basis | None = None) -> Listing:
    return Listing(
        listing_id="l1",
        account="shop",
        channel_listing_id="c1",
        channel_sku="TEE",
        sku=parse_sku("TEE"),
        desired=9,
        basis=basis or Basis(quantity=10, taken=0),
        taken=taken,
        look=Basis(quantity=shown, taken=taken, at=NOON),
        stale_count=2,
    )


@pytest.mark.parametrize(
    ("shown", "taken", "is_expected"),
    [
        (10, 0, True),
        (9, 1, True),
        # a sale not imported yet, or drift
        (9, 0, False),
        # a restock not imported yet, or drift
        (10, 1, False),
    ],
)
def test_a_look_is_expected_when_the_books_explain_all_of_it(shown, taken, is_expected):
    assert is_look_expected(_looked(shown, taken=taken)) is is_expected


def test_a_look_becomes_expected_with_the_import_of_the_sale_it_shows():
    listing = _looked(9)
    assert not is_look_expected(listing)
    assert is_look_expected(take(listing, 1, at=NOON))


def test_a_sale_after_the_look_changes_nothing_about_it():
    assert is_look_expected(take(_looked(10), 1, at=LATER))


def test_nothing_is_expected_before_the_first_sight():
    unseen = Listing(
        listing_id="l1",
        account="shop",
        channel_listing_id="c1",
        channel_sku="TEE",
        look=Basis(quantity=0, taken=0, at=NOON),
    )
    assert not is_look_expected(unseen)


def test_agreeing_keeps_the_basis_and_lets_the_push_go_on():
    listing = replace(_looked(10), desired=12)
    assert not listing.wants_push
    after = agree(listing)
    assert (after.basis, after.look) == (listing.basis, None)
    assert after.stale_count == 2, "that nothing changed proves no push"
    assert agree(replace(listing, unproved_since=NOON)).stale_count == 0
    assert after.wants_push
    assert after.confirmed is None


def test_agreeing_on_the_desired_quantity_confirms_it():
    after = agree(_looked(9, taken=1))
    assert (after.confirmed, after.confirmed_at, after.wants_push) == (9, NOON, False)
