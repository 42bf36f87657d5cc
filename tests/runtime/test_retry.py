"""When to try again: the class of the error decides, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.runtime import retry
from oms_sync.sdk import (
    AuthFailed,
    BadPayload,
    Bug,
    ChannelDown,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    RetryLater,
    UnmappedCode,
)
from oms_sync.sdk.fake_ports import SeededIds


class _Failing:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    "error",
    [
        ChannelDown("one 503"),
        OutcomeUnknown("the answer was lost; the flow looks first"),
        RateLimited("a second", retry_after_seconds=1.0),
    ],
)
def test_a_hiccup_is_tried_again_within_the_run(clock, error):
    work = _Failing(error)
    assert retry.short_policy(clock, SeededIds(1))(work) == "done"
    assert work.calls == 2
    assert 0 < clock.monotonic() < 2 * retry.SHORT_SECONDS_MAX


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("a minute", retry_after_seconds=60),
        RateLimited("some time"),
        RetryLater("later"),
        AuthFailed("revoked"),
        PermissionMissing("a scope"),
        Rejected("no"),
        UnmappedCode("what"),
        BadPayload("odd"),
        Bug("ours"),
        ValueError("ours too"),
    ],
)
def test_everything_else_leaves_the_run_at_once(clock, error):
    work = _Failing(error)
    with pytest.raises(type(error)):
        retry.short_policy(clock, SeededIds(1))(work)
    assert (work.calls, clock.monotonic()) == (1, 0)


def test_tries_within_a_run_are_bounded_and_the_last_error_comes_out(clock):
    work = _Failing(*(ChannelDown(str(number)) for number in range(10)))
    with pytest.raises(ChannelDown, match="2"):
        retry.short_policy(clock, SeededIds(1))(work)
    assert work.calls == retry.SHORT_TRIES_MAX


def test_a_short_wait_the_channel_asks_for_is_honoured(clock):
    retry.short_policy(clock, SeededIds(1))(_Failing(RateLimited("", retry_after_seconds=1.5)))
    assert clock.monotonic() >= 1.5


@pytest.mark.proves("I-26", "F05")
@given(asked=st.floats(0, 1e9), failures=st.integers(1, 1000), chance=st.floats(0, 0.999))
def test_retry_after_is_honoured_and_capped(asked, failures, chance):
    error = RateLimited("", retry_after_seconds=asked)
    delay = retry.delay_seconds(error, failures=failures, chance=chance)
    assert delay >= min(asked, retry.RETRY_AFTER_SECONDS_MAX)
    assert delay <= retry.RETRY_AFTER_SECONDS_MAX + retry.BACKOFF_SECONDS_MIN


@pytest.mark.proves("I-26", "F06")
@given(failures=st.integers(-5, 10**6), chance=st.floats(0, 0.999))
def test_backoff_grows_has_jitter_and_ends_at_its_cap(failures, chance):
    delay = retry.delay_seconds(ChannelDown(""), failures=failures, chance=chance)
    assert 0.5 * retry.BACKOFF_SECONDS_MIN <= delay <= retry.BACKOFF_SECONDS_MAX
    later = retry.delay_seconds(ChannelDown(""), failures=failures + 1, chance=chance)
    assert later >= delay
    assert retry.delay_seconds(ChannelDown(""), failures=failures, chance=0.0) <= delay


def test_an_account_that_needs_an_operator_is_left_alone_for_minutes():
    assert retry.delay_seconds(AuthFailed(""), failures=1, chance=0) >= retry.FIX_SECONDS / 2


@pytest.mark.parametrize(
    ("error", "tells"),
    [
        (ChannelDown(""), True),
        (OutcomeUnknown(""), True),
        (RateLimited(""), False),  # it lives, it is only busy
        (AuthFailed(""), False),  # it answered
        (BadPayload(""), False),
    ],
)
def test_only_failures_of_the_channel_itself_count_for_the_breaker(error, tells):
    assert retry.tells_of_the_channel(error) is tells
