"""The seed decides everything, and only the seed."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.sdk.sandbox import (
    FaultSwitches,
    Refusal,
    SandboxOptions,
    SeededChance,
    buyer_attempts,
    plan_hash,
    seed_catalogue,
)


@given(st.integers(0, 2**32), st.integers(7, 200))
def test_same_seed_and_size_give_the_same_catalogue(seed, skus):
    catalogue = seed_catalogue(seed, skus)
    assert catalogue == seed_catalogue(seed, skus)
    assert len({entry.sku for entry in catalogue}) == skus
    scarce = [entry for entry in catalogue if entry.is_scarce]
    assert 0.1 <= len(scarce) / skus <= 0.2
    assert all(1 <= entry.quantity <= 5 for entry in scarce)
    assert all(entry.quantity >= 30 for entry in catalogue if not entry.is_scarce)


def test_the_plan_follows_from_seed_and_account():
    def plan(**options):
        return plan_hash(islice(buyer_attempts(SandboxOptions(**options)), 200))

    base = plan(buyers_per_second=5.0)
    assert plan(buyers_per_second=5.0) == base
    assert plan(buyers_per_second=5.0, port=9) == base
    assert len({base, plan(buyers_per_second=5.0, seed=2)}) == 2
    assert len({base, plan(buyers_per_second=5.0, account="other")}) == 2


def test_buyers_come_at_the_rate_asked_for():
    attempts = list(islice(buyer_attempts(SandboxOptions(buyers_per_second=10.0)), 2_000))
    assert 180 < attempts[-1].offset_seconds < 220
    assert list(buyer_attempts(SandboxOptions())) == []


@given(st.integers(0, 2**64), st.text(max_size=20))
def test_chance_is_a_number_from_zero_below_one(seed, stream):
    chance = SeededChance(seed, stream)
    drawn = [chance.random() for _ in range(20)]
    assert all(0 <= each < 1 for each in drawn)
    assert len(set(drawn)) == 20
    again = SeededChance(seed, stream)
    assert [again.random() for _ in range(20)] == drawn


@given(st.floats(0, 1), st.integers(0, 30), st.integers(0, 5))
def test_a_fault_fires_at_most_as_often_as_allowed_and_at_least_as_forced(rate, count, forced):
    faults = FaultSwitches(["F01"], seed=1, stream="a")
    faults.set("F01", rate, count=count)
    faults.force("F01", forced)
    fired = sum(faults.fires("F01") for _ in range(100))
    assert forced <= fired <= forced + count
    assert faults.counters()["F01"]["fired"] == fired
    assert faults.counters()["F01"]["chances"] == 100


def test_healing_ends_faults_and_keeps_their_counters():
    faults = FaultSwitches(["F01", "F02"], seed=1, stream="a")
    faults.set("F01", 1.0)
    assert faults.fires("F01")
    faults.heal()
    assert not any(faults.fires("F01") for _ in range(50))
    assert faults.counters()["F01"]["fired"] == 1


def test_an_impossible_rate_is_refused():
    faults = FaultSwitches(["F01"], seed=1, stream="a")
    for rate, count in ((-0.1, None), (1.1, None), (0.5, -1)):
        with pytest.raises(Refusal, match="bad_rate"):
            faults.set("F01", rate, count=count)
