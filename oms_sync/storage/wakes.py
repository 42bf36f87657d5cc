"""Wake-ups between processes: what another process committed reaches the daemon at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import bindparam, delete, select
from sqlalchemy.exc import DBAPIError

from oms_sync.sdk import Clock
from oms_sync.storage.connections import Database
from oms_sync.storage.errors import DatabaseBusy, DatabaseDown
from oms_sync.storage.tables.hub import wakes
from oms_sync.storage.unit_of_work import NOTIFY_CHANNEL, OnWake

if TYPE_CHECKING:
    import psycopg

LOOK_SECONDS = 0.05
NOTIFY_SECONDS_MAX = 1.0
RECONNECT_SECONDS = 1.0
WAKES_MAX = 1_000
_READ = select(wakes).order_by(wakes.c.wake).limit(WAKES_MAX)
_DELETE = delete(wakes).where(wakes.c.wake == bindparam("b_wake"))

IsStopping = Callable[[], bool]


class WakeWatch:
    """Delivers wake rows until told to stop; survives a database that goes away and returns."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def run(self, on_wake: OnWake, is_stopping: IsStopping) -> None:
        watch = self._watch_postgres if self._database.is_postgres else self._watch_sqlite
        while not is_stopping():
            try:
                watch(on_wake, is_stopping)
            except (DatabaseDown, DatabaseBusy, DBAPIError):
                # Rows wait in the table meanwhile; timers look at everything anyway.
                self._clock.sleep(RECONNECT_SECONDS)

    def _watch_sqlite(self, on_wake: OnWake, is_stopping: IsStopping) -> None:
        with self._database.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            seen = None
            while not is_stopping():
                version = driver.execute("PRAGMA data_version").fetchone()[0]
                if version != seen:
                    seen = version
                    self._deliver(on_wake)
                else:
                    self._clock.sleep(LOOK_SECONDS)

    def _watch_postgres(self, on_wake: OnWake, is_stopping: IsStopping) -> None:
        import psycopg  # noqa: PLC0415 - only who uses PostgreSQL pays for its driver

        try:
            self._listen(on_wake, is_stopping)
        except psycopg.Error as error:
            raise DatabaseDown(f"waiting for notifications: {error}") from error

    def _listen(self, on_wake: OnWake, is_stopping: IsStopping) -> None:
        with self._database.engine.connect() as connection:
            driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
            driver.autocommit = True
            try:
                driver.execute(f"LISTEN {NOTIFY_CHANNEL}")
                self._deliver(on_wake)
                while not is_stopping():
                    for _ in driver.notifies(timeout=NOTIFY_SECONDS_MAX, stop_after=1):
                        break
                    self._deliver(on_wake)
            finally:
                connection.detach()
                driver.close()

    def _deliver(self, on_wake: OnWake) -> None:
        with self._database.read() as transaction:
            rows = transaction.rows(_READ)
        if not rows:
            return
        for flow, account in dict.fromkeys((row.flow, row.account) for row in rows):
            on_wake(flow, account)
        with self._database.write() as transaction:
            # Only after delivery: a crash in between delivers again, which costs nothing.
            transaction.run_many(_DELETE, [{"b_wake": row.wake} for row in rows])
            transaction.commit()
