"""Engines as product.md §6 sets them, and the transactions taken from them.

SQLite: WAL, full sync, one writer per process at a time, BEGIN IMMEDIATE. PostgreSQL: psycopg 3.
"""

import sqlite3
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Executable, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ClauseElement

from oms_sync.storage.batches import compiled_batch
from oms_sync.storage.errors import DatabaseBusy, StorageError, translated

BUSY_SECONDS_MAX = 10
WRITE_WAIT_SECONDS_MAX = 60
#: PostgreSQL ends the session of whoever keeps a transaction open and does nothing, such as a
#: frozen or unplugged machine, so that its row locks cannot stop everybody else
IDLE_SECONDS_MAX = 60
STATEMENT_CACHE_MAX = 1_000
#: meanwhile nobody writes
SCRUB_WAIT_MILLISECONDS = 250
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_SECONDS_MAX * 1000}",
    "PRAGMA cache_size=-16000",
    "PRAGMA temp_store=MEMORY",
    # what is deleted is overwritten: a destroyed key must not stay readable in a free page
    "PRAGMA secure_delete=ON",
)
_EXPECTED = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": BUSY_SECONDS_MAX * 1000,
    "secure_delete": 1,
}

Parameters = dict[str, Any]


class Transaction:
    """One open transaction; every statement of storage goes through here."""

    __slots__ = ("connection", "is_postgres")

    def __init__(self, connection: Connection, *, is_postgres: bool) -> None:
        self.connection = connection
        self.is_postgres = is_postgres

    def rows(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Any]:
        """All rows of a statement whose result is bounded by its caller."""
        try:
            return self.connection.execute(statement, parameters).all()
        except DBAPIError as error:
            raise translated(error) from error

    def row(self, statement: Executable, parameters: Parameters | None = None) -> Any:
        """The first row, None when there is none."""
        try:
            return self.connection.execute(statement, parameters).first()
        except DBAPIError as error:
            raise translated(error) from error

    def run(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Execute; gives the number of rows touched."""
        try:
            return self.connection.execute(statement, parameters).rowcount
        except DBAPIError as error:
            raise translated(error) from error

    def run_many(self, statement: ClauseElement, batch: list[Parameters]) -> None:
        """Execute once per parameter set in one round; an empty batch does nothing. Every set
        gives the same names.
        """
        if not batch:
            return
        prepared = compiled_batch(statement, self.connection.dialect, tuple(batch[0]))
        try:
            self.connection.exec_driver_sql(prepared.sql, prepared.parameters(batch))
        except DBAPIError as error:
            raise translated(error) from error

    def count_many(self, statement: Executable, batch: list[Parameters]) -> int:
        """Like `run_many` for a statement that returns rows; gives how many came back."""
        if not batch:
            return 0
        try:
            return len(self.connection.execute(statement, batch).all())
        except DBAPIError as error:
            raise translated(error) from error

    def stream(self, statement: Executable) -> Generator[Any, None, None]:
        """Rows one by one, for results of any length; the statement sets `yield_per`."""
        try:
            with self.connection.execute(statement) as result:
                yield from result
        except DBAPIError as error:
            raise translated(error) from error

    def commit(self) -> None:
        """Make it durable; an unknown outcome raises DatabaseDown."""
        try:
            self.connection.commit()
        except DBAPIError as error:
            raise translated(error) from error


class Database:
    """The engine of one database with its two kinds of transactions."""

    def __init__(self, url: str, *, base_dir: Path, pool_size: int) -> None:
        parsed = make_url(url)
        self.is_postgres = parsed.get_backend_name() == "postgresql"
        self.path = None if self.is_postgres else _sqlite_path(parsed, base_dir)
        if self.path is not None:
            parsed = parsed.set(database=str(self.path))
        self.engine = (
            _postgres(parsed, pool_size) if self.is_postgres else _sqlite(parsed, pool_size)
        )
        self._write_lock = threading.Lock()
        self._writer_thread: int | None = None

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that may write. It rolls back unless its connection was committed."""
        if self.is_postgres:
            with self._begin(is_writer=True) as transaction:
                yield transaction
            return
        with self._turn(), self._begin(is_writer=True) as transaction:
            yield transaction

    @contextmanager
    def read(self, *, is_repeatable: bool = False) -> Iterator[Transaction]:
        """A transaction that only reads; `is_repeatable` sees one snapshot throughout."""
        with self._begin(is_writer=False, is_repeatable=is_repeatable) as transaction:
            yield transaction

    def scrub(self) -> None:
        """Have SQLite's log of changes written back and cut off, with all deleted bytes in it.

        Who reads this moment may still need the log: then the next scrub does it.
        """
        if self.is_postgres:
            return
        with self._turn():
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA busy_timeout={SCRUB_WAIT_MILLISECONDS}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS_MAX * 1000}")
                cursor.close()
            except sqlite3.Error as error:
                connection.invalidate()
                raise DatabaseBusy(f"deleted bytes are not overwritten yet: {error}") from error
            finally:
                connection.close()

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """SQLite has one writer: this process's threads queue here instead of in busy waits."""
        me = threading.get_ident()
        if self._writer_thread == me:
            raise StorageError("this thread already has a unit of work open; it must end first")
        if not self._write_lock.acquire(timeout=WRITE_WAIT_SECONDS_MAX):
            raise DatabaseBusy(f"no turn to write within {WRITE_WAIT_SECONDS_MAX} s, try again")
        self._writer_thread = me
        try:
            yield
        finally:
            self._writer_thread = None
            self._write_lock.release()

    @contextmanager
    def _begin(self, *, is_writer: bool, is_repeatable: bool = False) -> Iterator[Transaction]:
        try:
            connection = self.engine.connect()
        except DBAPIError as error:
            raise translated(error) from error
        with connection:
            options: dict[str, Any] = {"is_writer": is_writer}
            if is_repeatable and self.is_postgres:
                options["isolation_level"] = "REPEATABLE READ"
            connection = connection.execution_options(**options)
            try:
                connection.begin()
            except DBAPIError as error:
                raise translated(error) from error
            yield Transaction(connection, is_postgres=self.is_postgres)


def _sqlite_path(url: URL, base_dir: Path) -> Path:
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise StorageError(
            f"{url.render_as_string()}: not a database URL of ours; use sqlite:///FILE or "
            "postgresql+psycopg://USER@HOST/NAME"
        )
    return base_dir / url.database


def _postgres(url: URL, pool_size: int) -> Engine:
    limits = {
        "timezone": "UTC",
        "lock_timeout": f"{WRITE_WAIT_SECONDS_MAX}s",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS_MAX}s",
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=BUSY_SECONDS_MAX,
        hide_parameters=True,  # an error message must not quote a buyer
        query_cache_size=STATEMENT_CACHE_MAX,
        connect_args={"connect_timeout": BUSY_SECONDS_MAX, "options": options},
        isolation_level="READ COMMITTED",
    )


def _sqlite(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=BUSY_SECONDS_MAX,
        hide_parameters=True,  # an error message must not quote a buyer
        query_cache_size=STATEMENT_CACHE_MAX,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS_MAX},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    for name, expected in _EXPECTED.items():
        found = cursor.execute(f"PRAGMA {name}").fetchone()[0]
        if found != expected:
            raise StorageError(f"SQLite refuses {name}={expected} and stays at {found}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    is_writer = connection.get_execution_options().get("is_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")
