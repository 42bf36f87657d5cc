"""Statements for batches, compiled once: the database library would work out every row anew.

PostgreSQL takes a batch of new rows as one statement over arrays, one array a column.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

STATEMENTS_MAX = 500
_VALUES = " VALUES ("
#: what may follow the values; an update on conflict may not meet one row twice in one statement
_ENDS = (")", ") ON CONFLICT DO NOTHING")


class CompiledBatch:
    """One statement for one dialect, and how a mapping becomes the parameters it takes."""

    __slots__ = ("_fields", "_is_positional", "_is_whole", "sql")

    def __init__(self, compiled: SQLCompiler, dialect: Dialect, given: Sequence[str]) -> None:
        arrays = _over_arrays(compiled, dialect, given)
        self.sql = arrays or str(compiled)
        self._is_whole = arrays is not None
        self._is_positional = bool(compiled.positional)
        names = compiled.positiontup if compiled.positional else list(compiled.bind_names.values())
        # raises where the statement needs a value that rows do not give
        fixed = compiled.construct_params(dict.fromkeys(given))
        self._fields = tuple(
            _Field(
                name=name,
                convert=compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect),
                is_given=name in given,
                fixed=fixed[name],
            )
            for name in names or ()
        )

    def parameters(self, batch: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The driver's parameters, one entry for each time the statement is executed."""
        columns = [field.column(batch) for field in self._fields]
        names = [field.name for field in self._fields]
        if self._is_whole:
            return [dict(zip(names, columns, strict=True))]
        rows = zip(*columns, strict=True)
        if self._is_positional:
            return list(rows)
        return [dict(zip(names, row, strict=True)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    #: turns a value into the driver's
    convert: Callable[[Any], Any] | None
    is_given: bool
    #: the value of every row where rows give none
    fixed: Any

    def column(self, batch: Sequence[Mapping[str, Any]]) -> list[Any]:
        name, convert = self.name, self.convert
        values = [row[name] for row in batch] if self.is_given else [self.fixed] * len(batch)
        return values if convert is None else [convert(value) for value in values]


@lru_cache(maxsize=STATEMENTS_MAX)
def compiled_batch(
    statement: ClauseElement, dialect: Dialect, names: tuple[str, ...]
) -> CompiledBatch:
    """The statement for rows that give these names."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names), for_executemany=True)
    assert isinstance(compiled, SQLCompiler), "batches are written with SQL statements"
    return CompiledBatch(compiled, dialect, names)


def _over_arrays(compiled: SQLCompiler, dialect: Dialect, given: Sequence[str]) -> str | None:
    """The insert as `SELECT * FROM unnest(…)`; None for any other statement or database."""
    statement, sql = compiled.statement, str(compiled)
    if dialect.name != "postgresql" or not isinstance(statement, Insert):
        return None
    head, _, tail = sql.partition(_VALUES)
    # what an update adds up ends with a parenthesis, too
    ends = () if " DO UPDATE " in tail else _ENDS
    end = next((end for end in ends if tail.endswith(end)), None)
    names = list(compiled.bind_names.values())
    if end is None or sorted(names) != sorted(given) or tail.count("%(") != len(names):
        return None
    arrays = ", ".join(
        f"%({name})s::{dialect.type_compiler_instance.process(_column_type(statement, name))}[]"
        for name in names
    )
    return f"{head} SELECT * FROM unnest({arrays}{end}"  # noqa: S608 - compiled parts


def _column_type(statement: Insert, name: str) -> Any:
    return statement.table.c[name].type
