"""The guards of the test-suite itself hold: no network, both databases, real PostgreSQL."""

import socket
import threading

import pytest
import sqlalchemy


def test_the_network_guard_refuses_everything_but_loopback(network_guard):
    with socket.socket() as outside, pytest.raises(BaseException, match="nothing but loopback"):
        outside.connect(("192.0.2.1", 9))
    with pytest.raises(BaseException, match="look-up"):
        socket.getaddrinfo("example.com", 443)
    assert len(network_guard.refused) == 2
    network_guard.refused.clear()


def test_the_network_guard_remembers_what_a_thread_tried(network_guard):
    def reach_out() -> None:
        try:
            socket.getaddrinfo("example.com", 443)
        except BaseException:  # noqa: BLE001 - the worst a thread can do is to swallow it
            return

    thread = threading.Thread(target=reach_out)
    thread.start()
    thread.join()
    assert network_guard.refused == ["look-up of 'example.com'"]
    network_guard.refused.clear()


def test_the_network_guard_lets_loopback_through():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(("localhost", server.getsockname()[1]))
        assert client.getpeername()[0] == "127.0.0.1"


def test_each_database_is_fresh_and_of_the_kind_it_says(database_url, request):
    engine = sqlalchemy.create_engine(database_url)
    assert engine.dialect.name in request.node.name.replace("postgres]", "postgresql]")
    assert sqlalchemy.inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE left_over (number integer)"))
    engine.dispose()
