"""The fault driver: every fault of every sandbox happens, and all of them end."""

import pytest

from oms_sync.cli.demo_faults import FORCE_AFTER_SECONDS, FaultDriver


class Switchboard:
    """The fault routes of one sandbox."""

    def __init__(self, **fired: int) -> None:
        self.fired = fired
        self.rates: dict[str, float] = {}
        self.forced: list[str] = []

    def faults(self) -> dict[str, dict[str, int]]:
        return {kind: {"fired": count} for kind, count in self.fired.items()}

    def switch(self, kind: str, rate: float, *, force: int = 0) -> None:
        self.rates[kind] = rate
        self.forced += [kind] * force


@pytest.fixture
def boards() -> dict[str, Switchboard]:
    return {"market": Switchboard(F01=0, F06=4), "shop": Switchboard(F01=3, F06=0)}


def test_what_did_not_happen_at_one_channel_is_forced_there_though_it_did_at_another(boards):
    driver = FaultDriver(boards, "light", seconds=None)
    driver.start()
    driver.tick(FORCE_AFTER_SECONDS - 1)
    assert [board.forced for board in boards.values()] == [[], []]
    driver.tick(FORCE_AFTER_SECONDS)
    driver.tick(FORCE_AFTER_SECONDS + 1)
    assert boards["market"].forced == ["F01"]
    assert boards["shop"].forced == ["F06"]


def test_counts_are_told_for_each_channel_and_together(boards):
    driver = FaultDriver(boards, "light", seconds=60)
    assert driver.fired_by_account() == {
        "market": {"F01": 0, "F06": 4},
        "shop": {"F01": 3, "F06": 0},
    }
    assert driver.fired() == {"F01": 3, "F06": 4}


def test_all_faults_end(boards):
    driver = FaultDriver(boards, "heavy", seconds=60)
    driver.start()
    assert {rate for board in boards.values() for rate in board.rates.values()} == {0.05}
    driver.heal()
    assert {rate for board in boards.values() for rate in board.rates.values()} == {0.0}


def test_without_faults_nothing_is_switched_on(boards):
    driver = FaultDriver(boards, "none", seconds=60)
    driver.start()
    driver.tick(30)
    assert all(not board.rates and not board.forced for board in boards.values())
