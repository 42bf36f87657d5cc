"""Regrouping: in whatever sequence sights come, every line ends up in the same order, once."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_sync.domain.order import LineSight, OrderFacts, OrderSight, OrderState, Version
from oms_sync.flows.records import Batch, StoredLine
from oms_sync.flows.regroup import Regrouping

START = datetime(2026, 3, 1, tzinfo=UTC)


def sight(name, minute, *line_ids, state=OrderState.PENDING, aliases=(), **facts):
    at = START + timedelta(minutes=minute)
    return OrderSight(
        channel_order_id=name,
        version=Version(at, at),
        facts=OrderFacts(state=state, line_ids=line_ids, **facts),
        lines=tuple(LineSight(channel_line_id=one, quantity_ordered=1) for one in line_ids),
        aliases=aliases,
    )


class Desk:
    """Sights fall on orders, batch by batch; what is stored between them is what a flow stores."""

    def __init__(self):
        self.orders, self.names, self.merged, self.parted = {}, {}, {}, []
        self.batches = 0
        self.ids = map("hub-{:03}".format, itertools.count(1))

    def take(self, *reads):
        """One batch of (id asked for, sight), the id alone for one that was not there."""
        self.batches += 1
        grouping = Regrouping(
            self.orders.values(),
            account="shop-a",
            now=START + timedelta(days=self.batches),
            new_id=lambda: next(self.ids),
        )
        for read in reads:
            if isinstance(read, str):
                grouping.miss(read)
            else:
                asked, shown = read if isinstance(read, tuple) else (read.channel_order_id, read)
                grouping.show(asked, shown, f"key of {asked}")
        return self.store(grouping.result())

    def store(self, batch: Batch):
        self.parted += batch.parted
        self.merged |= batch.merged
        for order_id in batch.merged:
            assert self.orders.pop(order_id), "who is merged was stored"
        kept = {one.line_id: one for order in self.orders.values() for one in order.lines}
        for order in batch.orders:
            mine = {one.channel_line_id: one for one in order.lines}
            lines = tuple(
                mine.get(known.line.channel_line_id)
                or StoredLine(line_id=next(self.ids), channel_line_id=known.line.channel_line_id)
                for known in order.known.lines
            )
            for line in lines:
                was = kept.pop(line.line_id, None)
                assert was is None or was.channel_line_id == line.channel_line_id
            self.orders[order.order_id] = replace(order, lines=lines)
        assert not kept, "no line is lost"
        self.names |= batch.fresh_names
        assert not batch.fresh_names.keys() & batch.moved_names.keys()
        self.names |= batch.moved_names
        for order in batch.orders:
            assert all(self.names[name] == order.order_id for name in order.names)
        return batch

    def shown(self):
        """Ids and lines of every order that has lines, and whether it is cancelled."""
        every = [one.channel_line_id for order in self.orders.values() for one in order.lines]
        assert len(every) == len(set(every)), "a line is in one order"
        return {
            (
                order.known.ref.channel_order_id,
                order.names,
                tuple(one.channel_line_id for one in order.lines),
                order.known.is_cancelled,
                order.known.facts,
            )
            for order in self.orders.values()
        }

    def of(self, name):
        return self.orders[self.names[name]]

    def line_ids(self, name):
        return [one.channel_line_id for one in self.of(name).lines]


UNPAID_A, UNPAID_B = sight("A", 1, "a"), sight("B", 2, "b", total=None)
COMBINED = sight("C", 3, "a", "b")
PAID = sight("P", 4, "a", "b", state=OrderState.OPEN)
CANCELLED = sight("P", 5, "a", "b", state=OrderState.CANCELLED)
STORY = (UNPAID_A, UNPAID_B, COMBINED, PAID, CANCELLED)


def told(sights):
    desk = Desk()
    for one in sights:
        desk.take(one)
    return desk


@st.composite
def told_in_batches(draw, story, asked=()):
    """The story in any sequence, some sights more than once, cut into batches anywhere."""
    again = draw(st.lists(st.sampled_from(story), max_size=4))
    reads = draw(st.permutations([*story, *again]))
    cuts = draw(st.lists(st.booleans(), min_size=len(reads), max_size=len(reads)))
    desk, batch = Desk(), []
    for one, is_cut in zip(reads, cuts, strict=True):
        # By list an order is asked for under its own id, by id under any it had.
        name = draw(st.sampled_from((one.channel_order_id, *asked)))
        batch.append((name, one))
        if is_cut:
            desk.take(*batch)
            batch = []
    desk.take(*batch)
    return desk


@pytest.mark.proves("I-02", "I-07", "F11", "F13", "F36")
@given(told_in_batches(STORY))
def test_any_sequence_of_a_combined_and_paid_order_ends_in_one_order(desk):
    assert desk.shown() == told(STORY).shown()
    (order,) = desk.orders.values()
    assert order.names == ("A", "B", "C", "P")
    assert order.known.is_cancelled


@pytest.mark.proves("I-02", "I-07")
@given(told_in_batches(STORY[:-1]))
def test_no_sequence_loses_or_cancels_what_was_paid(desk):
    (order,) = desk.orders.values()
    assert not order.known.is_cancelled
    assert order.known.facts.state is OrderState.OPEN
    assert not any(order.known.has_left(line) for line in order.known.lines)
    assert desk.shown() == told(STORY[:-1]).shown()


PARTLY = (
    sight("A", 1, "a1", "a2"),
    sight("B", 2, "b1"),
    sight("C", 3, "a1", "b1"),
    sight("A", 4, "a2"),
)


@pytest.mark.proves("I-02", "I-07", "F36")
@given(told_in_batches(PARTLY))
def test_any_sequence_of_a_partly_combined_order_ends_alike(desk):
    assert desk.shown() == told(PARTLY).shown()
    assert desk.line_ids("A") == ["a2"]
    assert desk.line_ids("C") == desk.line_ids("B") == ["a1", "b1"]
    for order in desk.orders.values():
        assert not any(order.known.has_left(line) for line in order.known.lines)


RENAMED = (
    sight("A", 1, "a", placed_at=START),
    sight("P", 3, "a", state=OrderState.OPEN),
    sight("P", 5, "a", state=OrderState.CLOSED),
)


@pytest.mark.proves("I-02", "I-07")
@given(told_in_batches(RENAMED))
def test_any_sequence_of_a_renamed_order_ends_alike(desk):
    (order,) = desk.orders.values()
    assert desk.shown() == told(RENAMED).shown()
    assert (order.known.ref.channel_order_id, order.names) == ("P", ("A", "P"))
    assert order.known.facts.placed_at == START, "what the new id does not say is kept"


@given(told_in_batches((RENAMED[1], RENAMED[2]), asked=("A",)))
def test_asking_for_a_former_id_makes_no_second_order(desk):
    assert len(desk.orders) == 1
    assert "P" in desk.names


# --- one by one ----------------------------------------------------------------------------------


def test_the_record_that_was_here_first_goes_on():
    desk = told((UNPAID_B, UNPAID_A, COMBINED))
    assert list(desk.orders) == ["hub-001"]
    assert desk.merged == {"hub-003": "hub-001"}


def test_orders_of_one_batch_leave_no_record_of_their_own():
    desk = Desk()
    batch = desk.take(UNPAID_A, UNPAID_B, COMBINED, PAID)
    assert len(batch.orders) == 1
    assert not any((batch.merged, batch.moved, batch.renamed, batch.moved_names))


def test_a_merged_order_that_is_merged_again_names_the_last():
    desk = told((UNPAID_A, UNPAID_B, sight("D", 1, "d"), COMBINED))
    batch = desk.take(sight("E", 6, "a", "b", "d"))
    assert set(batch.merged.values()) == {desk.names["E"]}
    both = Desk()
    both.take(sight("D", 1, "d"))
    both.take(UNPAID_A)
    both.take(UNPAID_B)
    batch = both.take(COMBINED, sight("E", 6, "a", "b", "d"))
    assert set(batch.merged.values()) == {both.names["D"]}
    assert len(both.merged) == 2


def test_an_order_that_gives_some_lines_is_asked_for_again():
    desk = told(PARTLY[:2])
    assert desk.take(PARTLY[2]).parted == ["A"]
    assert desk.take(PARTLY[2]).parted == []


def test_an_order_that_gives_its_lines_one_by_one_is_not_asked_for():
    desk = told((sight("A", 1, "a1", "a2"), sight("B", 1, "b")))
    batch = desk.take(sight("C", 2, "a1", "b"), sight("D", 3, "a2"))
    assert batch.parted == ["D"], "it is that order by now"
    assert desk.line_ids("D") == desk.line_ids("A") == ["a2"]
    desk = told((sight("B", 0, "b"), sight("A", 1, "a1", "a2")))
    batch = desk.take(sight("C", 2, "a1", "b"), sight("D", 3, "a2", "b", "a1"))
    assert batch.parted == []


def test_a_former_id_may_become_an_order_of_its_own_again():
    desk = told((UNPAID_A, UNPAID_B, COMBINED))
    batch = desk.take(sight("A", 9, "a"))
    assert (desk.line_ids("A"), desk.line_ids("C")) == (["a"], ["b"])
    assert batch.moved_names == {"A": desk.names["A"]}
    assert not any(order.known.is_cancelled for order in desk.orders.values())
    assert not desk.of("C").known.has_left(desk.of("C").known.lines[0])


def test_lines_a_former_id_once_listed_and_never_gave_are_an_order_of_its_own():
    desk = told((UNPAID_A, UNPAID_B, COMBINED))
    desk.take(sight("A", 2, "a", "late"))
    assert (desk.line_ids("A"), desk.line_ids("C")) == (["late"], ["a", "b"])
    desk.take(sight("B", 2, "b"))
    assert desk.line_ids("B") == ["a", "b"]


def test_a_former_id_that_lists_everything_is_the_orders_id_again():
    desk = told((RENAMED[0], RENAMED[1]))
    desk.take(sight("A", 9, "a"))
    assert desk.of("P").known.ref.channel_order_id == "A"


def test_a_former_id_without_lines_says_nothing():
    desk = told((RENAMED[0], RENAMED[1]))
    before = desk.shown()
    desk.take(sight("A", 2, state=OrderState.CANCELLED))
    desk.take(sight("A", 9, state=OrderState.CANCELLED))
    assert desk.shown() == before


def test_of_one_version_the_sight_of_more_lines_is_the_newer():
    part, whole = sight("Z", 3, "a"), COMBINED
    for story in ((UNPAID_A, UNPAID_B, part, whole), (UNPAID_A, UNPAID_B, whole, part)):
        assert told(story).line_ids("C") == ["a", "b"]


def test_the_channels_word_joins_orders_without_a_common_line():
    grown = sight("A", 1, "a1", "a2")
    desk = told((grown, sight("P", 4, "a1", state=OrderState.OPEN, aliases=("A",))))
    (order,) = desk.orders.values()
    left = {one.line.channel_line_id: order.known.has_left(one) for one in order.known.lines}
    assert left == {"a1": False, "a2": True}
    # An answer to the former id is such a word, too.
    desk = told((grown, sight("P", 4, "a1", state=OrderState.OPEN)))
    assert len(desk.orders) == 2
    desk.take(("A", sight("P", 4, "a1", state=OrderState.OPEN)))
    assert len(desk.orders) == 1
    assert desk.line_ids("P") == ["a1", "a2"]
    assert desk.of("A").known.ref.channel_order_id == "P"


def test_an_id_first_seen_empty_is_the_order_its_lines_went_on_in():
    header = sight("A", 0)
    header = replace(header, facts=replace(header.facts, line_ids=None, is_complete=False))
    desk = told((header, RENAMED[1]))
    assert len(desk.orders) == 2
    desk.take(RENAMED[0])
    assert len(desk.orders) == 1
    assert desk.of("A").order_id == "hub-001"
    assert desk.of("A").known.ref.channel_order_id == "P"


def test_an_old_sight_of_lines_that_went_several_ways_makes_no_order():
    desk = told((sight("C", 3, "a1", "c"), sight("D", 4, "a2", "d")))
    before = {key: [one.channel_line_id for one in o.lines] for key, o in desk.orders.items()}
    desk.take(sight("A", 1, "a1", "a2"))
    after = {key: [one.channel_line_id for one in o.lines] for key, o in desk.orders.items()}
    assert after == before
    assert desk.of("A") == desk.of("D")


def test_an_order_is_gone_only_under_its_present_id():
    desk = told((RENAMED[0], RENAMED[1]))
    desk.take("A", "nobody")
    assert desk.of("P").holds == ()
    desk.take("P")
    (hold,) = desk.of("P").holds
    desk.take("P")
    assert desk.of("P").holds == (hold,)
    assert desk.of("P").payload_key == ""
    desk.take(RENAMED[0])
    assert desk.of("P").holds == (hold,), "an old sight is no sign of life"
    desk.take(RENAMED[2])
    assert desk.of("P").holds == ()
    assert desk.of("P").payload_key == "key of P"
