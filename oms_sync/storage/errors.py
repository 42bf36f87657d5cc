"""What storage refuses, in words an operator can act on.

StorageError
├── WrongKey          the key ring is missing, unreadable, or not the one of this database
├── SecondDaemon      another daemon already runs on this SQLite file
├── NotFound          nothing of that name or id is here
├── DatabaseBusy      nothing was stored; the same work can be tried again at once
└── DatabaseDown      the database is out of reach, read-only, or full; it recovers by itself

A row that breaks a constraint raises the domain's RuleBroken.
"""

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError

from oms_sync.domain.errors import RuleBroken


class StorageError(Exception):
    """Storage said no; nothing was stored."""


class WrongKey(StorageError):
    """The key ring does not fit; put the right key file where `keys.file` points."""


class SecondDaemon(StorageError):
    """A daemon already runs on this database; stop it first, or use another database."""


class NotFound(StorageError):
    """Nothing of that name or id is here; list what is."""


class DatabaseBusy(StorageError):
    """Deadlock, serialization failure, or a lock not granted in time; try the work again."""


class DatabaseDown(StorageError):
    """The database cannot be used now; look at its server, its disk, and its permissions."""


#: SQLSTATEs after which the same work may simply be tried again: serialization failure, deadlock,
#: no lock in time, a transaction that was left idle for too long
_AGAIN = frozenset(("40001", "40P01", "55P03", "25P03"))
#: psycopg's names of a server that is gone, going, full, or read-only
_DOWN = frozenset(
    (
        "AdminShutdown",
        "CannotConnectNow",
        "CrashShutdown",
        "DiskFull",
        "OperationalError",
        "ReadOnlySqlTransaction",
        "TooManyConnections",
    )
)


def translated(error: DBAPIError) -> Exception:
    """The error of ours that says what to do about a driver's error."""
    cause = error.orig
    if isinstance(error, IntegrityError):
        return RuleBroken(f"the database refused a row: {cause}")
    state = getattr(cause, "sqlstate", None)
    if state in _AGAIN or (state is None and _is_locked(cause)):
        return DatabaseBusy(f"the database is busy, try again: {cause}")
    is_down = error.connection_invalidated or isinstance(cause, sqlite3.OperationalError)
    if is_down or type(cause).__name__ in _DOWN:
        return DatabaseDown(f"the database cannot be used: {cause}; check its server and disk")
    return error


def _is_locked(cause: BaseException | None) -> bool:
    code = getattr(cause, "sqlite_errorcode", 0)
    return isinstance(cause, sqlite3.OperationalError) and code & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )
