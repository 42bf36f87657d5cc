"""Column types: instants as integer microseconds, lists as one parameter, JSON as compact text."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
INTEGER_MAX = 2**62

#: a growing row number on both databases
RowNumber = BigInteger().with_variant(Integer, "sqlite")


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970; a naive instant is a bug and raises."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no zone; instants are aware UTC")
    return (instant - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC instant of `to_micros`."""
    return EPOCH + timedelta(microseconds=micros)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant as integer microseconds: exact, sortable, quick on both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=value)


class TextList(TypeDecorator[list[str]]):
    """A list of texts as one parameter: a JSON array on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        is_postgres = dialect.name == "postgresql"
        return dialect.type_descriptor(ARRAY(Text()) if is_postgres else Text())

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return json.dumps(value)


class Among(FunctionElement[bool]):
    """`column IN (list)` with the whole list as one parameter: no variable limit, one statement."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> "Among":
        # SQLAlchemy would write `(… IN …) = 1` for SQLite, and no index would be used.
        return self


def among(column: ColumnElement[str], name: str) -> Among:
    """True where `column` is one of the texts bound to `name`."""
    return Among(column, bindparam(name, type_=TextList()))


@compiles(Among, "sqlite")
def _among_sqlite(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - compiled parts


@compiles(Among, "postgresql")
def _among_postgres(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY ({texts})"


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def to_json(value: object) -> str:
    """Compact JSON text in plain ASCII, so that any character a channel sends can be stored."""
    return _ENCODER.encode(value)


def plain(text: str | None) -> str | None:
    """`text` for a search column: characters no database holds are replaced (facts keep them)."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
