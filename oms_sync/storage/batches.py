"""Statements for batches, compiled once: the database library would work out every row anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

STATEMENTS_MAX = 500


class CompiledBatch:
    """One statement for one dialect, and how a mapping becomes the parameters it takes."""

    __slots__ = ("_fields", "_is_positional", "sql")

    def __init__(self, compiled: SQLCompiler, dialect: Dialect, given: Sequence[str]) -> None:
        self.sql = str(compiled)
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
        """The driver's parameters of every row."""
        rows = zip(*(field.column(batch) for field in self._fields), strict=True)
        if self._is_positional:
            return list(rows)
        names = [field.name for field in self._fields]
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
