"""Drift: the likeliest cause, and since when."""

from dataclasses import replace

import pytest

from oms_sync.domain.drift import Cause, DriftSigns, last_right_at, probable_cause
from oms_sync.domain.listing import confirm


@pytest.mark.parametrize(
    ("signs", "cause"),
    [
        # somebody typed a number, up or down
        ({"found": 9}, Cause.HAND_EDIT),
        ({"found": 1}, Cause.HAND_EDIT),
        # fewer than expected while orders wait: probably sold
        ({"found": 4, "is_news_waiting": True}, Cause.SALE_UNSEEN),
        # no sale makes it more
        ({"found": 9, "is_news_waiting": True}, Cause.HAND_EDIT),
        # the channel kept its old number, and said so
        ({"found": 4, "is_refused": True, "is_news_waiting": True}, Cause.PUSH_REFUSED),
        ({"found": 9, "times_before": 3}, Cause.OTHER_SOFTWARE),
        ({"found": 9, "times_before": 2}, Cause.HAND_EDIT),
        ({"found": 4, "times_before": 9, "is_news_waiting": True}, Cause.SALE_UNSEEN),
    ],
)
def test_the_likeliest_cause_is_named(signs, cause):
    plain = {"expected": 5, "is_refused": False, "is_news_waiting": False, "times_before": 0}
    assert probable_cause(DriftSigns(**{**plain, **signs})) is cause


def test_it_drifted_after_the_channel_was_last_known_to_be_right(listings):
    assert last_right_at(listings.blank()) is None
    seen = listings.seen(5, when=3)
    assert last_right_at(seen) == listings.at(3)
    sent = listings.sent(replace(seen, desired=7), when=10)
    pushed = confirm(sent, applied_at=listings.at(11), at=listings.at(12))
    assert last_right_at(pushed) >= listings.at(11)
