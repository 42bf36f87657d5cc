"""Events carry facts, never more than they were given."""

from datetime import UTC, datetime

from oms_sync.domain.events import Event


def test_an_event_needs_only_its_name_time_and_actor():
    event = Event(name="order.imported", at=datetime(2026, 3, 1, tzinfo=UTC), actor="hub")
    assert (event.order_id, event.sku, event.account, dict(event.detail)) == (None, None, None, {})
