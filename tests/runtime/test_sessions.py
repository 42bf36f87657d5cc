"""One session per account: opened late, replaced after a failure, closed when nobody uses it."""

import threading

import pytest

from oms_sync.runtime.sessions import Sessions


class _Doors:
    """Opens sessions and keeps them to look at."""

    def __init__(self, session_type) -> None:
        self.opened, self._type = [], session_type

    def open(self):
        self.opened.append(self._type())
        return self.opened[-1]


class _Session:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class _Stubborn(_Session):
    def close(self) -> None:
        raise RuntimeError("cannot close")


@pytest.fixture
def doors() -> _Doors:
    return _Doors(_Session)


@pytest.fixture
def sessions(make_wiring, doors) -> Sessions:
    return Sessions({"shop-a": make_wiring("shop-a", opener=doors.open)})


def test_a_session_is_opened_when_first_used_and_then_shared(sessions, doors):
    assert doors.opened == []
    with sessions.use("shop-a") as one, sessions.use("shop-a") as other:
        assert one is other
    with sessions.use("shop-a") as later:
        assert later is one
    assert len(doors.opened) == 1


def test_a_discarded_session_is_closed_once_its_last_user_is_done(sessions, doors):
    with sessions.use("shop-a") as first:
        sessions.discard("shop-a")
        assert first.closed == 0
        with sessions.use("shop-a") as second:
            assert second is not first
    assert [each.closed for each in doors.opened] == [1, 0]


def test_an_idle_session_is_closed_at_once_when_discarded_and_only_once(sessions, doors):
    with sessions.use("shop-a"):
        pass
    sessions.discard("shop-a")
    sessions.discard("shop-a")
    sessions.close()
    assert doors.opened[0].closed == 1


def test_closing_gives_every_session_back(make_wiring, doors):
    wirings = {name: make_wiring(name, opener=doors.open) for name in ("shop-a", "shop-b")}
    sessions = Sessions(wirings)
    for name in wirings:
        with sessions.use(name):
            pass
    sessions.close()
    assert [each.closed for each in doors.opened] == [1, 1]


def test_a_session_that_cannot_be_opened_is_asked_for_again(make_wiring):
    answers = [RuntimeError("not yet"), _Session()]

    def open_once():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sessions = Sessions({"shop-a": make_wiring("shop-a", opener=open_once)})
    with pytest.raises(RuntimeError), sessions.use("shop-a"):
        pass
    with sessions.use("shop-a") as session:
        assert session.closed == 0


@pytest.mark.proves("A58")
def test_a_session_that_cannot_be_closed_harms_nobody(make_wiring, events):
    sessions = Sessions({"shop-a": make_wiring("shop-a", opener=_Stubborn)})
    with sessions.use("shop-a"):
        pass
    sessions.close()
    assert [line["event"] for line in events] == ["session.leaked"]


def test_threads_that_ask_at_once_get_the_same_session(sessions, doors):
    seen, together = [], threading.Barrier(8)

    def use() -> None:
        together.wait(5)
        with sessions.use("shop-a") as session:
            seen.append(session)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(seen) == 8
    assert len(doors.opened) == 1
