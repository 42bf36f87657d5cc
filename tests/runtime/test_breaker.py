"""The breaker: opens after failures in a row, and closes without a human."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.runtime.breaker import (
    FAILURES_MAX,
    OPEN_SECONDS_MAX,
    PROBE_SECONDS_MAX,
    Breaker,
    BreakerState,
)


def _opened(now: float = 0.0, chance: float = 0.5) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker = breaker.failed(now, chance)
    return breaker


def test_one_failure_less_than_the_limit_lets_everything_through():
    breaker = Breaker()
    for _ in range(FAILURES_MAX - 1):
        breaker = breaker.failed(0, 0.5)
    assert breaker.state(0) is BreakerState.CLOSED
    assert breaker.admit(0) == (breaker, True)


def test_failures_in_a_row_open_it():
    breaker = _opened()
    assert breaker.state(0) is BreakerState.OPEN
    assert breaker.admit(0) == (breaker, False)
    assert 0 < breaker.wait_seconds(0) <= OPEN_SECONDS_MAX


def test_an_answer_in_between_starts_the_count_anew():
    breaker = Breaker()
    for _ in range(FAILURES_MAX * 3):
        breaker = breaker.failed(0, 0.5).failed(0, 0.5).succeeded()
    assert breaker == Breaker()


@pytest.mark.proves("I-26")
def test_it_half_opens_by_itself_for_one_probe_and_closes_when_that_succeeds():
    breaker = _opened()
    later = breaker.wait_seconds(0)
    assert breaker.state(later) is BreakerState.HALF_OPEN
    probing, is_admitted = breaker.admit(later)
    assert is_admitted
    assert probing.admit(later)[1] is False, "one probe at a time"
    assert probing.succeeded().admit(later) == (Breaker(), True)


def test_a_failed_probe_opens_it_for_longer():
    breaker = _opened()
    first = breaker.wait_seconds(0)
    again = breaker.admit(first)[0].failed(first, 0.5)
    assert again.state(first) is BreakerState.OPEN
    assert again.wait_seconds(first) > first


def test_a_probe_that_never_reports_back_frees_its_place():
    breaker = _opened()
    later = breaker.wait_seconds(0)
    probing, _ = breaker.admit(later)
    assert probing.admit(later + PROBE_SECONDS_MAX)[1] is True
    assert probing.abandoned().admit(later)[1] is True


def test_late_failures_of_runs_begun_before_do_not_prolong_it():
    breaker = _opened()
    assert breaker.failed(0.1, 0.9) is breaker


@pytest.mark.proves("I-26")
@given(
    acts=st.lists(
        st.tuples(st.sampled_from(["fail", "answer", "ask", "drop"]), st.floats(0, 100)),
        max_size=60,
    ),
    chance=st.floats(0, 0.999),
)
def test_whatever_happened_it_lets_a_probe_through_within_the_named_delay(acts, chance):
    breaker, now = Breaker(), 0.0
    for act, seconds in acts:
        now += seconds
        if act == "fail":
            breaker = breaker.failed(now, chance)
        elif act == "answer":
            breaker = breaker.succeeded()
        elif act == "drop":
            breaker = breaker.abandoned()
        else:
            breaker, _ = breaker.admit(now)
    assert breaker.admit(now + OPEN_SECONDS_MAX + PROBE_SECONDS_MAX)[1]
