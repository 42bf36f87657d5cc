"""Messages: encrypted, hints coalesced by constraint, payloads already merged skipped."""

from datetime import timedelta

import pytest

from oms_sync.domain.errors import RuleBroken
from oms_sync.flows.records import MessageSource, NewMessage

HINT, POLL, READ = MessageSource.WEBHOOK, MessageSource.POLL, MessageSource.READ
SHOWN = MessageSource.NOTIFICATION


@pytest.fixture
def message(clock):
    def make(body=b"{}", *, source=HINT, topic="orders/updated", account="shop-a", **more):
        return NewMessage(
            account=account,
            topic=topic,
            source=source,
            body=body,
            received_at=clock.now(),
            **more,
        )

    return make


def add(storage, *messages):
    with storage.open_work() as work:
        count = work.inbox.add(messages)
        work.commit()
    return count


def new(storage, *sources, account="shop-a", limit=100):
    with storage.open_work() as work:
        return work.inbox.lock_new(account, sources or (HINT, POLL, READ), limit)


def settle(storage, *messages, **order_ids):
    with storage.open_work() as work:
        work.inbox.settle([one.message_id for one in messages], order_ids=order_ids)
        work.commit()


@pytest.mark.proves("I-03")
def test_a_message_comes_back_byte_for_byte(storage, message, clock):
    body = bytes(range(256))
    sent = message(body, headers={"x-topic": "é"}, channel_order_id="1")
    assert add(storage, sent) == 1
    (found,) = new(storage)
    assert (found.body, found.headers, found.topic) == (body, {"x-topic": "é"}, sent.topic)
    assert (found.received_at, found.channel_order_id, found.attempts) == (clock.now(), "1", 0)


@pytest.mark.proves("F11", "F12", "I-27")
def test_equal_hints_collapse_only_into_one_not_yet_worked_off(storage, message):
    assert add(storage, message(), message()) == 1
    assert add(storage, message()) == 0
    assert add(storage, message(b"other"), message(account="shop-b"), message(topic="t")) == 3
    settle(storage, *new(storage))
    assert add(storage, message()) == 1


@pytest.mark.proves("I-02")
def test_the_database_itself_refuses_a_doubled_waiting_hint(storage, message, tamper):
    add(storage, message())
    with pytest.raises(RuleBroken):
        tamper(
            "INSERT INTO inbox_messages (message_id, account, topic, source, received_at, "
            "dedupe_key, state, reason, attempts, sealed) SELECT 'copy', account, topic, source, "
            "received_at, dedupe_key, state, reason, attempts, sealed FROM inbox_messages"
        )


@pytest.mark.proves("I-11")
def test_a_payload_merged_last_is_skipped_unless_news_wait(storage, message, build):
    payload = message(b"A", source=POLL, topic="order", channel_order_id="1")
    add(storage, payload)
    (first,) = new(storage)
    build.stored(build.order("1", payload_key=first.dedupe_key))
    settle(storage, first)
    assert add(storage, payload) == 0
    news = message(b"B", source=POLL, topic="order", channel_order_id="1")
    assert add(storage, news) == 1
    assert add(storage, payload) == 1  # the newest look may be the old payload again
    assert add(storage, message(b"A", source=POLL, topic="order", channel_order_id="2")) == 1


@pytest.mark.proves("I-11")
def test_what_a_hint_showed_counts_as_merged_until_the_channel_shows_another(
    storage, message, build
):
    shown = message(b"S", source=SHOWN, topic="order", channel_order_id="1")
    polled = message(b"P", source=POLL, topic="order", channel_order_id="1")
    add(storage, shown)
    (first,) = new(storage, SHOWN)
    assert first.source is SHOWN
    build.stored(build.order("1", payload_key=first.dedupe_key))
    settle(storage, first)
    assert add(storage, shown) == 0
    # a channel may show again what it showed before the hint: that is news
    assert add(storage, polled) == 1


def test_two_orders_that_are_gone_are_two_messages(storage, message):
    gone = [
        message(b"", source=READ, topic="order.gone", channel_order_id=one) for one in ("1", "2")
    ]
    assert add(storage, *gone) == 2
    assert len({one.dedupe_key for one in new(storage)}) == 2


def test_the_oldest_messages_come_first_and_by_source(storage, message, clock):
    add(storage, message(b"late"))
    clock.advance(-10)
    add(storage, message(b"early"), message(b"poll", source=POLL))
    assert [one.body for one in new(storage, HINT)] == [b"early", b"late"]
    assert [one.body for one in new(storage, POLL, READ)] == [b"poll"]
    assert len(new(storage, limit=1)) == 1
    assert new(storage, account="shop-b") == []


@pytest.mark.proves("I-09", "O-08")
def test_a_dead_letter_keeps_its_bytes_and_can_be_reopened(storage, message, clock):
    add(storage, message(b"poison"))
    (one,) = new(storage)
    with storage.open_work() as work:
        work.inbox.bury(one.message_id, "not JSON", at=clock.now())
        work.commit()
    (dead,) = storage.reports.dead_letters()
    assert (dead["id"], dead["reason"], dead["state"]) == (one.message_id, "not JSON", "dead")
    assert new(storage) == []
    with storage.open_work() as work:
        assert not work.inbox.has_new("shop-a")
        assert work.inbox.reopen([one.message_id, "unknown"]) == {one.message_id: "shop-a"}
        assert work.inbox.reopen([one.message_id]) == {}  # it waits already
        work.commit()
    assert [again.body for again in new(storage)] == [b"poison"]


def test_a_hint_reopened_while_an_equal_one_waits_stays_worked_off(storage, message):
    add(storage, message())
    (one,) = new(storage)
    settle(storage, one)
    add(storage, message())
    (two,) = new(storage)
    settle(storage, two)
    add(storage, message())
    with storage.open_work() as work:
        work.inbox.reopen([one.message_id, two.message_id])
        work.commit()
    assert len(new(storage)) == 1


def test_of_two_equal_hints_reopened_at_once_one_waits(storage, message):
    for _ in range(2):
        add(storage, message())
        settle(storage, *new(storage))
    ids = [one["id"] for one in storage.reports.inbox(state="done")]
    with storage.open_work() as work:
        assert set(work.inbox.reopen(ids)) == set(ids)
        work.commit()
    assert len(new(storage)) == 1


def test_waiting_and_dead_messages_are_dropped_with_their_reason(storage, message, clock):
    add(storage, message(b"1"), message(b"2"))
    one, two = new(storage)
    settle(storage, two)
    with storage.open_work() as work:
        dropped = work.inbox.drop([one.message_id, two.message_id], "spam", at=clock.now())
        assert dropped == {one.message_id: "shop-a"}
        work.commit()
    shown = storage.reports.message(one.message_id)
    assert (shown["state"], shown["reason"]) == ("dropped", "spam")


def test_settling_links_a_message_to_whom_it_is_about(storage, message, build, tamper):
    order = build.order("1", buyer_id="b-1")
    build.stored(order)
    add(storage, message(b"1", source=READ, channel_order_id="1"))
    (one,) = new(storage)
    settle(storage, one, **{one.message_id: order.order_id})
    with storage.open_work() as work:
        from sqlalchemy import text

        query = (
            "SELECT m.subject_id, o.subject_id FROM inbox_messages m JOIN orders o USING (order_id)"
        )
        mine, theirs = work._transaction.row(text(query))
    assert mine == theirs != ""


@pytest.mark.proves("I-27")
def test_rereads_coalesce_and_a_hint_that_comes_meanwhile_stays_armed(storage, clock):
    now = clock.now()
    with storage.open_work() as work:
        work.rereads.arm("shop-a", ["1", "2", "1"], at=now)
        work.rereads.arm("shop-a", ["1"], at=now + timedelta(60), is_deletion=True)
        work.rereads.arm("shop-b", ["1"], at=now)
        work.rereads.arm("shop-b", [], at=now)
        due = work.rereads.due("shop-a", at=now, limit=10)
        assert [(one.channel_order_id, one.armed, one.is_deletion) for one in due] == [
            ("1", 2, True),
            ("2", 1, False),
        ]
        work.rereads.arm("shop-a", ["1"], at=now)
        work.rereads.settle("shop-a", due)
        (left,) = work.rereads.due("shop-a", at=now, limit=10)
        assert (left.channel_order_id, left.armed) == ("1", 3)
        later = now + timedelta(seconds=30)
        work.rereads.postpone("shop-a", [left], until=later)
        assert work.rereads.due("shop-a", at=now, limit=10) == []
        assert work.rereads.next_at("shop-a") == later
        (again,) = work.rereads.due("shop-a", at=later, limit=10)
        assert again.attempts == 1
        work.rereads.arm("shop-a", ["1"], at=now)  # news do not wait for a back-off
        assert work.rereads.next_at("shop-a") == now
        assert work.rereads.next_at("shop-c") is None


@pytest.mark.proves("I-09")
def test_a_payload_that_is_a_dead_letter_is_not_stored_again(storage, message, clock):
    polled = message(b"poison", source=POLL, topic="order", channel_order_id="1")
    read = message(b"poison", source=READ, topic="order", channel_order_id="1")
    shown = message(b"poison", source=SHOWN, topic="order", channel_order_id="1")
    add(storage, polled)
    (one,) = new(storage)
    with storage.open_work() as work:
        work.inbox.bury(one.message_id, "no", at=clock.now())
        work.commit()
    assert add(storage, polled, read, shown) == 0
    with storage.open_work() as work:
        work.inbox.drop([one.message_id], "given up", at=clock.now())
        work.commit()
    assert add(storage, polled, shown) == 0
    assert add(storage, read) == 1  # somebody asked for this very order again
