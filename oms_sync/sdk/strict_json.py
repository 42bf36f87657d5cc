"""JSON, ids and times as they must be, or BadPayload. Pure.

No doubled keys, no NaN, no floats; depth and length of numbers are bounded.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

from oms_sync.sdk.errors import BadPayload

DIGITS_MAX: Final = 30


def read_json(body: bytes) -> Any:
    """The value in `body`, numbers exact; raises BadPayload on anything ambiguous or oversized."""
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_doubles,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
    except RecursionError as error:
        raise BadPayload("the JSON is nested too deeply") from error
    except ValueError as error:
        raise BadPayload(f"this is not JSON: {str(error)[:200]}") from error


def moment(text: str) -> datetime:
    """An instant as a channel wrote it; a time without zone means nothing."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise BadPayload(f"the time {text!r} has no zone")
    return instant.astimezone(UTC)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadPayload("the JSON names one key twice")
    return fields


def _decimal(text: str) -> Decimal:
    if len(text) > DIGITS_MAX or "e" in text.lower():
        raise BadPayload(f"the number {text[:DIGITS_MAX]} is no plain decimal")
    return Decimal(text)


def _integer(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise BadPayload(f"a number of {len(text)} digits means nothing here")
    return int(text)


def _refuse_constant(text: str) -> NoReturn:
    raise BadPayload(f"the JSON holds {text}")
