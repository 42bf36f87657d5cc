"""Statements both databases write alike: insert-or-ignore and insert-or-update."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.expression import ColumnElement, Insert

from oms_sync.storage.connections import Parameters, Transaction


class TwinInsert:
    """The same insert for SQLite and PostgreSQL, built once."""

    __slots__ = ("_counting", "_plain")

    def __init__(self, *, sqlite: Insert, postgres: Insert) -> None:
        self._plain = (sqlite, postgres)
        # Drivers count the rows of a batch differently or not at all: rows that come back count.
        self._counting = tuple(
            statement.returning(next(iter(statement.table.primary_key)))
            for statement in self._plain
        )

    def run(self, transaction: Transaction, batch: list[Parameters]) -> None:
        """Write a batch."""
        transaction.run_many(self._plain[transaction.is_postgres], batch)

    def count_added(self, transaction: Transaction, batch: list[Parameters]) -> int:
        """Write a batch; gives how many rows no constraint passed over."""
        return transaction.count_many(self._counting[transaction.is_postgres], batch)


def insert_or_ignore(table: Table) -> TwinInsert:
    """Insert rows, passing over those a unique constraint already holds."""
    return TwinInsert(
        sqlite=sqlite_insert(table).on_conflict_do_nothing(),
        postgres=postgres_insert(table).on_conflict_do_nothing(),
    )


def insert_or_update(
    table: Table, columns: Iterable[str], **special: ColumnElement[Any]
) -> TwinInsert:
    """Insert rows; of those whose primary key exists, update `columns` and `special`."""
    names = tuple(columns)
    key = list(table.primary_key.columns)
    sqlite, postgres = sqlite_insert(table), postgres_insert(table)
    return TwinInsert(
        sqlite=sqlite.on_conflict_do_update(
            index_elements=key,
            set_={**{name: sqlite.excluded[name] for name in names}, **special},
        ),
        postgres=postgres.on_conflict_do_update(
            index_elements=key,
            set_={**{name: postgres.excluded[name] for name in names}, **special},
        ),
    )
