"""What is left of the call budgets reaches other processes, and seldom enough."""

from types import SimpleNamespace

from oms_sync.runtime.budgets import NOTE_SECONDS, BudgetNotes


def test_a_budget_is_noted_after_a_run_and_again_only_after_a_while(clock):
    noted = []
    gate = SimpleNamespace(budget=lambda: [{"operation": "points", "available": 3.0}])
    notes = BudgetNotes(
        {"shop-a": SimpleNamespace(gate=gate)},
        record=lambda account, budget: noted.append((account, budget)),
        clock=clock,
    )
    notes("shop-a")
    notes("shop-a")
    assert noted == [("shop-a", [{"operation": "points", "available": 3.0}])]
    clock.advance(NOTE_SECONDS)
    notes("shop-a")
    assert len(noted) == 2
