"""What a channel took and does not show: somebody is told, and nobody waits for ever."""

from dataclasses import replace

import pytest

from oms_sync.domain.values import Money
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.commands.orders import release
from oms_sync.flows.commands.write_backs import Cancellation, Refund, cancel, refund
from oms_sync.sdk import OutcomeUnknown, Rejected
from oms_sync.sdk.fake_session import FakeSession

DAY = 86_400.0


@pytest.fixture
def shop(any_hub):
    return any_hub.open_shop()


def sold(hub, shop, units=2, **order):
    placed = shop.buy(("TEE", units), **order)
    hub.settle()
    return placed


def ask_cancel(hub, order, **wanted):
    return cancel(hub.command, hub.order(order).order_id, Cancellation(**wanted))


def ask_refund(hub, order, **wanted):
    wish = Refund(**{"reason": "buyer", **wanted})
    return refund(hub.command, hub.order(order).order_id, wish)


def state_of(hub, write):
    found = hub.storage.reports.order(write.order_id)["write_backs"]
    (row,) = [one for one in found if one["id"] == write.write_id]
    return row["state"], row["error"]


def silent(hub):
    hub.run("watch")
    hub.storage.record_profiles(hub.profiles.values())
    account = hub.storage.reports.account("shop-a")
    return [one["kind"] for one in account["alarms"] if one["kind"] == "not_written_back"]


class Mute(FakeSession):
    """Takes everything and does nothing."""

    def cancel_order(self, cancellation):
        self.calls = getattr(self, "calls", 0) + 1

    def refund_order(self, refund):
        self.calls = getattr(self, "calls", 0) + 1


def mute(hub, shop):
    hub.sessions["shop-a"] = session = Mute(shop, shop.request())
    return session


def works(hub):
    """Let the flow look as often as it wants for two hours."""
    for _ in range(8):
        hub.run("write_back")
        hub.clock.advance(900)


@pytest.mark.proves("I-41", "O-07")
@pytest.mark.parametrize(("ask", "calls"), [(ask_cancel, 4), (ask_refund, 1)])
def test_what_was_taken_and_does_not_show_is_told_once_and_shown(any_hub, shop, ask, calls):
    order = sold(any_hub, shop)
    session = mute(any_hub, shop)
    write = ask(any_hub, order)
    any_hub.run("write_back")
    assert silent(any_hub) == []
    works(any_hub)
    reason = "the channel took it more than an hour ago and does not show it yet"
    assert state_of(any_hub, write) == ("sent", reason)
    assert any_hub.metrics.counts["write_backs_not_shown"] == 1
    assert silent(any_hub) == ["not_written_back"]
    assert any_hub.storage.reports.account("shop-a")["write_backs_open"] == 1
    assert session.calls == calls, "a cancellation is asked for anew, until somebody is told"


class Forgetful(FakeSession):
    """Takes the first cancellation and does nothing; says of the next what it is told to say."""

    calls = 0

    def cancel_order(self, cancellation):
        self.calls += 1
        if self.calls == 1:
            return None
        if self.refuses:
            raise Rejected("there is a cancellation already")
        return super().cancel_order(cancellation)


def forget(hub, shop, *, refuses=False):
    hub.sessions["shop-a"] = session = Forgetful(shop, shop.request())
    session.refuses = refuses
    return session


@pytest.mark.proves("I-30")
def test_a_cancellation_that_was_taken_and_dropped_is_asked_for_anew(any_hub, shop):
    order = sold(any_hub, shop)
    session = forget(any_hub, shop)
    write = ask_cancel(any_hub, order)
    any_hub.run("write_back")
    any_hub.clock.advance(600)
    any_hub.run("write_back")
    assert session.calls == 1, "it may still show"
    any_hub.clock.advance(600)
    any_hub.run("write_back")
    assert session.calls == 2
    any_hub.settle()
    assert state_of(any_hub, write) == ("confirmed", "")
    assert len([one for one in shop.effects if one.kind == "cancelled"]) == 1
    assert silent(any_hub) == []


def test_a_part_of_an_order_is_not_cancelled_a_second_time_unseen(any_hub, shop):
    order = sold(any_hub, shop, 3)
    session = mute(any_hub, shop)
    write = ask_cancel(any_hub, order, lines={"TEE": 1})
    works(any_hub)
    assert session.calls == 1
    assert state_of(any_hub, write)[0] == "sent"


def test_what_is_refused_the_second_time_may_have_happened_and_stays_held(any_hub, shop):
    order = sold(any_hub, shop)
    session = forget(any_hub, shop, refuses=True)
    write = ask_cancel(any_hub, order)
    works(any_hub)
    assert session.calls > 1
    assert state_of(any_hub, write)[0] == "sent"
    assert any_hub.holds(order) == ["cancelling"]
    assert silent(any_hub) == ["not_written_back"]


class Lagging(FakeSession):
    """Cancels at the first call, whose answer is lost, refuses the next; its reads lag behind."""

    calls, shown = 0, None

    def cancel_order(self, cancellation):
        self.calls += 1
        if self.calls > 1:
            raise Rejected("the order is cancelled already")
        self.shown = super().read_orders_by_id([cancellation.channel_order_id])
        super().cancel_order(cancellation)
        raise OutcomeUnknown("the answer was lost")

    def read_orders_by_id(self, channel_order_ids):
        return self.shown or super().read_orders_by_id(channel_order_ids)


@pytest.mark.proves("I-30", "F02")
def test_what_is_refused_after_a_lost_answer_may_have_happened_and_stays_held(any_hub, shop):
    order = sold(any_hub, shop)
    any_hub.sessions["shop-a"] = session = Lagging(shop, shop.request())
    write = ask_cancel(any_hub, order)
    for _ in range(6):
        any_hub.run("write_back")
        any_hub.clock.advance(100)
    assert session.calls > 1
    assert shop.order(order).state == "cancelled"
    assert state_of(any_hub, write)[0] != "refused"
    assert any_hub.holds(order) == ["cancelling"], "nothing of it may ship"
    session.shown = None
    any_hub.settle()
    any_hub.clock.advance(600)
    any_hub.settle()
    assert state_of(any_hub, write) == ("confirmed", "")


@pytest.mark.proves("I-30")
def test_a_cancellation_that_never_shows_ends_and_leaves_the_order_to_a_person(any_hub, shop):
    order = sold(any_hub, shop)
    session = mute(any_hub, shop)
    write = ask_cancel(any_hub, order, note="for Anna")
    any_hub.run("write_back")
    any_hub.clock.advance(3 * DAY)
    any_hub.run("write_back")
    state, reason = state_of(any_hub, write)
    assert state == "refused"
    assert reason.startswith("the channel took it and has not shown it since")
    assert any_hub.metrics.counts["write_backs_refused"] == 1
    assert any_hub.holds(order) == ["manual"], "it may be cancelled: nothing of it ships by itself"
    assert session.calls == 1
    release(any_hub.command, write.order_id)
    any_hub.sessions["shop-a"] = shop.session()
    any_hub.settle()
    assert any_hub.order(order).state.value == "open"
    assert silent(any_hub) == []


def test_words_for_the_channel_are_forgotten_once_it_is_over(any_hub, shop):
    order = sold(any_hub, shop)
    write = ask_cancel(any_hub, order, note="Anna moved to Bath")
    any_hub.settle()
    with any_hub.storage.open_work() as work:
        (kept,) = work.write_backs.of_orders([write.order_id])
    assert (kept.state.value, kept.wish.note, kept.wish.lines) == (
        "confirmed",
        "",
        write.wish.lines,
    )


def test_a_decision_that_takes_days_is_no_alarm_before_the_fourth(hub):
    shop = hub.open_shop(options={"decides_after_seconds": 9 * DAY})
    order = sold(hub, shop)
    ask_cancel(hub, order)
    hub.run("write_back")
    hub.clock.advance(3 * DAY)
    assert silent(hub) == []
    hub.clock.advance(2 * DAY)
    assert silent(hub) == ["not_written_back"]


def test_a_refund_waits_for_a_cancellation_that_may_give_money_back_by_itself(any_hub, shop):
    order = sold(any_hub, shop, 2)
    first = ask_cancel(any_hub, order, lines={"TEE": 1})
    second = ask_refund(any_hub, order, lines={"TEE": 1})

    class Generous(FakeSession):
        def cancel_order(self, cancellation):
            super().cancel_order(cancellation)
            shop.refund_money(order, 1250)

    any_hub.sessions["shop-a"] = Generous(shop, shop.request())
    any_hub.run("write_back")
    assert state_of(any_hub, second) == (
        "waiting",
        "a cancellation of the order is under way, and it may give money back",
    )
    for _ in range(3):
        any_hub.settle()
        any_hub.clock.advance(60)
    assert [state_of(any_hub, one)[0] for one in (first, second)] == ["confirmed"] * 2
    assert sum(one.minor for one in shop.refunds(order)) == 2500


def rewritten(hub, order, **known):
    """The order with other knowledge of it."""
    found = hub.order(order)
    with hub.storage.open_work() as work:
        changed = replace(found, known=replace(found.known, **known))
        work.orders.save([changed])
        work.commit()


def test_an_order_without_an_open_unit_is_not_cancelled_for_nothing(hub, monkeypatch):
    shop = hub.open_shop()
    order = sold(hub, shop)
    monkeypatch.setattr("oms_sync.flows.commands.write_backs.open_units", lambda order: {})
    with pytest.raises(CommandRefused, match="no unit of it is known to be open"):
        ask_cancel(hub, order)
    assert hub.holds(order) == []


def test_what_a_discounted_line_was_paid_with_is_asked_not_guessed(hub):
    shop = hub.open_shop()
    order = sold(hub, shop, 2)
    facts = replace(hub.order(order).known.facts, discount=Money.parse("5.00", "EUR"))
    rewritten(hub, order, facts=facts)
    with pytest.raises(CommandRefused, match=r"discount of 5\.00 EUR.*say --amount"):
        ask_refund(hub, order, lines={"TEE": 1})
    assert ask_refund(hub, order, lines={"TEE": 1}, amount="10.00").wish.amount.text() == "10.00"


@pytest.mark.proves("I-30")
def test_a_request_for_an_order_the_channel_ships_is_left_alone(hub):
    shop = hub.open_shop()
    hub.profile("shop-a", cancellation_requests="accept")
    order = sold(hub, shop, 1, fulfilled_by="channel")
    shop.request_cancellation(order)
    hub.settle()
    assert [one.kind for one in shop.effects if one.kind == "cancelled"] == []


def test_requests_nobody_can_grant_keep_no_other_waiting(hub, monkeypatch):
    monkeypatch.setattr("oms_sync.flows.accepting.ACCEPTED_MAX", 2)
    shop = hub.open_shop(catalogue={"TEE": 50})
    stuck = [sold(hub, shop, 1, fulfilled_by="channel") for _ in range(5)]
    asked = sold(hub, shop, 1)
    hub.profile("shop-a", cancellation_requests="accept")
    for order in (*stuck, asked):
        shop.request_cancellation(order)
    hub.settle()
    assert shop.order(asked).state == "cancelled"
    assert [shop.order(one).state for one in stuck] != ["cancelled"] * 5
