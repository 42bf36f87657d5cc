"""Which schema a database has, and bringing it to the one this version needs.

A new database gets the tables at once and is stamped; an older one is upgraded by Alembic.
"""

from typing import Any

from sqlalchemy import Column, MetaData, String, Table, inspect, select, text
from sqlalchemy.exc import DBAPIError

from oms_sync.storage.connections import Database
from oms_sync.storage.errors import translated
from oms_sync.storage.tables import METADATA

#: the newest revision in migrations/versions
REVISION = "0001"
_LOCK_NUMBER = 0x6F6D73  # "oms": one upgrade at a time on PostgreSQL
_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def current_revision(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    with database.read() as transaction:
        return _revision(transaction.connection)


def prepare_empty(database: Database) -> None:
    """Give an empty database its tables; any other is left as it is."""
    if current_revision(database) is not None:
        return
    with database.write() as transaction:
        connection = transaction.connection
        if transaction.is_postgres:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})"))
        if _revision(connection) is not None:
            return  # another process was quicker
        try:
            METADATA.create_all(connection)
            _VERSION.create(connection)
            connection.execute(_VERSION.insert().values(version_num=REVISION))
        except DBAPIError as error:
            raise translated(error) from error
        transaction.commit()


def upgrade(database: Database) -> None:
    """Bring any database to REVISION by its migrations."""
    from alembic import command  # noqa: PLC0415 - only `db upgrade` pays for loading Alembic
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "oms_sync.storage:migrations")
    with database.write() as transaction:
        if transaction.is_postgres:
            transaction.run(text(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})"))
        config.attributes["connection"] = transaction.connection
        command.upgrade(config, "head")
        transaction.commit()


def _revision(connection: Any) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    row = connection.execute(select(_VERSION.c.version_num)).first()
    return row.version_num if row else None
