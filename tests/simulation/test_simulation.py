"""Seeds of the whole hub under faults, then healed: nothing lost, doubled, oversold, or drifted."""

import os

import pytest

SEEDS = int(os.environ.get("OMS_SYNC_SIMULATION_SEEDS", "200"))
FIRST_SEED = int(os.environ.get("OMS_SYNC_SIMULATION_FIRST_SEED", "1"))
PER_TEST = 10
STEPS = 150


@pytest.mark.proves(
    "I-01", "I-02", "I-13", "I-14", "I-15", "I-16", "I-17", "I-20", "I-21", "I-28", "I-31",
    "F01", "F02", "F05", "F06", "F08", "F11", "F12", "F13", "F14", "F15", "F17", "F19", "F22",
    "F32",
    "F34", "F35", "F40", "F47",
)  # fmt: skip
@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + SEEDS, PER_TEST))
def test_after_faults_and_crashes_the_hub_agrees_with_the_channels(first, make_world):
    for seed in range(first, min(first + PER_TEST, FIRST_SEED + SEEDS)):
        world = make_world(seed)
        world.misbehave(STEPS)
        world.heal()
        world.check_truth()


def test_a_seed_repeats_exactly(make_world):
    digests = []
    for _ in range(2):
        world = make_world(7)
        world.misbehave(STEPS)
        world.heal()
        digests.append(world.digest())
    assert digests[0] == digests[1]


def test_every_fault_of_the_simulation_really_fires(make_world):
    fired: set[str] = set()
    for seed in range(1001, 1021):
        world = make_world(seed)
        world.misbehave(STEPS)
        fired |= {
            kind
            for channel in world.channels.values()
            for kind, counter in channel.faults.counters().items()
            if counter.fired
        }
    assert fired >= {kind for kind, rate in world.rates.items() if rate > 0}
