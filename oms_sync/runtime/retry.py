"""When to try again, chosen by the class of the SDK error and nothing else.

Short hiccups are retried inside the run; everything else leaves the run with a time to come back.
What needs an operator, or is a bug, is never retried inside a run.
"""

from datetime import datetime, timedelta
from typing import Final

import tenacity

from oms_sync.sdk import (
    ChannelDown,
    Clock,
    FixAccount,
    Ids,
    OutcomeUnknown,
    RateLimited,
    RetryLater,
)

#: tries inside one run, the first included
SHORT_TRIES_MAX: Final = 3
SHORT_SECONDS_MIN: Final = 0.1
#: a longer wait is no short one: the run ends and its thread serves others
SHORT_SECONDS_MAX: Final = 2.0
BACKOFF_SECONDS_MIN: Final = 1.0
BACKOFF_SECONDS_MAX: Final = 60.0
#: after this a channel is asked again, however long it told us to wait: absurd values would stop
#: an account for days, and who still means it says so once a minute
RETRY_AFTER_SECONDS_MAX: Final = 60.0
#: how often an account that needs an operator is tried again
FIX_SECONDS: Final = 300.0
_DOUBLINGS_MAX: Final = 16


def is_short(error: BaseException) -> bool:
    """True when trying again within the same run is worth it.

    A flow is safe to run again at any point: it looks before it acts, also after an
    OutcomeUnknown.
    """
    if isinstance(error, RateLimited):
        asked = error.retry_after_seconds
        return asked is not None and asked <= SHORT_SECONDS_MAX
    return isinstance(error, ChannelDown | OutcomeUnknown)


def short_policy(clock: Clock, ids: Ids) -> tenacity.Retrying:
    """The policy of one run; call it with the function to run. Raises the last error itself."""

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        jitter = 0.5 + ids.random() / 2
        if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
            return max(0.0, error.retry_after_seconds) + SHORT_SECONDS_MIN * jitter
        doubled = SHORT_SECONDS_MIN * 2.0 ** (state.attempt_number - 1)
        return float(min(SHORT_SECONDS_MAX, doubled) * jitter)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_short),
        stop=tenacity.stop_after_attempt(SHORT_TRIES_MAX),
        wait=wait,
        sleep=clock.sleep,
        reraise=True,
    )


def delay_seconds(error: BaseException, *, failures: int, chance: float) -> float:
    """How long the flow stays away after a run that ended with `error`.

    `failures` counts the failed runs in a row, this one included; `chance` from [0, 1).
    """
    doubled = BACKOFF_SECONDS_MIN * 2.0 ** min(max(failures - 1, 0), _DOUBLINGS_MAX)
    backoff = min(BACKOFF_SECONDS_MAX, doubled) * (0.5 + chance / 2)
    if isinstance(error, FixAccount):
        return FIX_SECONDS * (0.5 + chance / 2)
    if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
        # never before the channel's time; a little after it, so that not all come at once
        asked = min(max(0.0, error.retry_after_seconds), RETRY_AFTER_SECONDS_MAX)
        return asked + BACKOFF_SECONDS_MIN * chance
    return backoff


def next_at(now: datetime, error: BaseException, *, failures: int, chance: float) -> datetime:
    """When the flow comes back."""
    return now + timedelta(seconds=delay_seconds(error, failures=failures, chance=chance))


def tells_of_the_channel(error: BaseException) -> bool:
    """True when the error is a failure of the channel itself, which the breaker counts."""
    return isinstance(error, RetryLater) and not isinstance(error, RateLimited)
