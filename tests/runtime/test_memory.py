"""Start-up is left out of the collector's later looks."""

import gc
from collections.abc import Iterator

import pytest

from oms_sync.runtime.memory import YOUNG_MAX, collector_held, settle_memory


@pytest.fixture(autouse=True)
def _collector_as_at_first() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_was_made_before_is_not_looked_at_again_and_later_garbage_is():
    kept = [[]]
    settle_memory()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == YOUNG_MAX
    assert not any(one is kept for one in gc.get_objects())
    circle: list[object] = []
    circle.append(circle)
    del circle
    assert gc.collect() >= 1


def test_the_collector_is_held_for_the_length_of_the_block_and_works_again_after_an_error():
    seen = []

    def fail() -> None:
        with collector_held():
            seen.append(gc.isenabled())
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert seen == [False]
    assert gc.isenabled()
