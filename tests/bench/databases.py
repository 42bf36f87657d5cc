"""A private PostgreSQL for the benchmark: as the tests find it, but durable as in production."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from orders import OpenDatabase

START_SECONDS_MAX = 60.0
SERVERS = Path(__file__).parents[1] / "plugins" / "database_plugin.py"


def _tests_own() -> Any:
    """The module that knows where programs lie and how to run them unprivileged."""
    spec = importlib.util.spec_from_file_location("oms_sync_bench_server", SERVERS)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{SERVERS} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def private_postgres() -> Iterator[tuple[OpenDatabase, str]]:
    """What opens fresh databases on a server of our own, and the server's version."""
    tests = _tests_own()
    own = tests._machine_programs()
    folder = Path(tempfile.mkdtemp(prefix="oms-sync-pg-"))
    server = tests.PostgresServer(folder=folder, programs=own or tests._wheel_programs())
    try:
        if own is None and server.identity:
            server.adopt_wheel()
        server.initialise()
        _start_durable(server, tests._free_port())

        @contextmanager
        def open_database() -> Iterator[str]:
            name = server.create_database()
            try:
                yield server.url(name)
            finally:
                server.drop_database(name)

        with psycopg.connect(server.conninfo("postgres")) as connection:
            version = connection.info.parameter_status("server_version") or "unknown"
        yield open_database, version
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _start_durable(server: Any, port: int) -> None:
    """With fsync and synchronous commits, which the tests' servers leave out."""
    server.port = port
    command = [server.programs / "postgres", "-D", server.data, "-h", "127.0.0.1"]
    command += ["-p", str(port), "-k", "", "-c", "shared_buffers=128MB"]
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            command,
            cwd=server.folder,
            env=server.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **server.identity,
        )
    deadline = time.monotonic() + START_SECONDS_MAX
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(server.conninfo("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL does not start:\n{server.log.read_text()[-4000:]}")
