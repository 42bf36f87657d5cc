"""What may stand in a log line: named keys, and values without secrets or personal data.

Three sieves: keys outside the list are withheld; known secrets are replaced wherever they appear;
tokens, e-mail addresses and telephone numbers are recognised by their form. Text is put on one
line, whatever it holds.
"""

import re
import threading
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote, quote_plus

VALUE_LENGTH_MAX: Final = 1_000
DEPTH_MAX: Final = 4
ENTRIES_MAX: Final = 50
SECRETS_MAX: Final = 10_000
SECRET_LENGTH_MIN: Final = 6
WITHHELD: Final = "[withheld]"
SECRET: Final = "[secret]"  # noqa: S105 - what is shown in its place

#: every key a log call may use; the value of any other is withheld
ALLOWED_KEYS: Final = frozenset(
    "account accounts actor age_seconds at attempts batch batch_key bytes capability cause"
    " channel channel_account_id channel_listing_id channel_order_id channel_quantity"
    " channel_shipment_id channel_sku code column confirmed connector count cursor_age_seconds"
    " day dead_letters delay_seconds desired different differences done drift duplicates"
    " duration_seconds entries exception expected expires_at extra failures fault field file"
    " first_bad flow flows folder found free_bytes generation into is_clean is_finished is_more"
    " kind lag_seconds lease level limit line lines listing listing_id listings location logger"
    " lost message message_id messages missing mode next_at operation order order_id orders"
    " outcome owner pages path pending pid place policy port problems quantity quantity_reserved"
    " quantity_short reason received rejected remedy rereads residual retries retry_after_seconds"
    " revision rows running scope scopes seconds seed sent shipment shipment_id shipments since"
    " size sku skus source state status subjects table text thread topic topics total units until"
    " url version waiting webhooks".split()
)

_TOKEN_FORMS: Final = (
    re.compile(r"\b(?:shp[a-z]{2}|shpss)_[A-Za-z0-9_-]{6,}"),  # a shop's tokens and app secrets
    re.compile(r"\bAt[zn][ar]\|[A-Za-z0-9_\-|]{6,}"),  # login-with tokens
    re.compile(r"\bv\^1\.1#[^\s\"',}\]]{6,}"),  # user tokens
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}"),  # JSON web tokens
    re.compile(r"\bAKIA[A-Z0-9]{12,}"),
    re.compile(r"-----BEGIN [A-Z ]*KEY-----.*?(?:-----END [A-Z ]*KEY-----|$)", re.DOTALL),
)
_NAMED_SECRET: Final = re.compile(
    r"(?i)([\w.-]{0,40}(?:authorization|access[-_]?token|refresh[-_]?token|api[-_]?key|secret"
    r"|password|passwd|cookie|signature|hmac(?:-sha256)?|\btoken)[\w-]{0,20})"
    r"([\"']?\s{0,3}[,:=]\s{0,3}b?)"
    r"(\"[^\"]*\"?|'[^']*'?|(?:bearer|basic|token)\s+[^\s,;&]+|[^\s,;&)\]}]+)"
)
_CREDENTIALS: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}")
_URL_PASSWORD: Final = re.compile(r"(:/{1,2}[^/\s:@]{0,100}):[^/\s@]{1,200}@")
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9._%+'-]{1,64}(?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]+)+"
)
_PHONES: Final = (
    re.compile(r"(?<![\w/-])\+\d[\d ().-]{6,18}\d\b"),
    re.compile(r"(?<![\w/.-])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}\b"),
)
#: texts no form above can match, as ids, words and event names are: they pass unsieved. No sign
#: that begins or joins a secret, and too few digits beside dots and dashes for a telephone number.
_HARMLESS: Final = re.compile(r"[a-z0-9]{0,200}|[a-z.-]{0,200}|[a-z0-9.-]{0,9}")


class Redactor:
    """Makes values fit to be logged; knows the secrets registered with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def register_secret(self, value: str) -> None:
        """Replace `value`, its URL-encoded and its escaped forms from now on, wherever they show.

        Very short values are not registered: they would black out ordinary words.
        """
        if len(value) < SECRET_LENGTH_MIN:
            return
        with self._lock:
            for form in (value, quote(value, safe=""), quote_plus(value), repr(value)[1:-1]):
                self._secrets.pop(form, None)
                self._secrets[form] = None
            while len(self._secrets) > SECRETS_MAX:  # rotated tokens: forget the oldest
                del self._secrets[next(iter(self._secrets))]
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """`text` on one line, bounded, without what it must not show."""
        pattern = self._pattern
        shown = text[: VALUE_LENGTH_MAX * 4]
        if pattern is not None:
            shown = pattern.sub(SECRET, shown)
        if _HARMLESS.fullmatch(shown):
            return shown
        return escape(_sieved(shown))

    def value(self, value: Any, depth: int = 0) -> Any:
        """A value of an allowed key: numbers as they are, texts sieved, strange objects by type."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Enum):
            return self.value(value.value, depth)
        if isinstance(value, str | PurePath | Decimal):
            return self.text(str(value))
        if isinstance(value, datetime | date):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, BaseException):
            return self.error(value)
        return self._many(value, depth)

    def record(self, fields: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        """Allowed keys with their values; of other keys only that they were there."""
        return {
            escape(str(key))[:60]: self.value(value, depth) if key in ALLOWED_KEYS else WITHHELD
            for key, value in list(fields.items())[:ENTRIES_MAX]
        }

    def error(self, error: BaseException) -> str:
        """An exception's type, and its message where that is known to hold nothing personal."""
        return self.text(reason_of(error))

    def _many(self, value: Any, depth: int) -> Any:
        if depth >= DEPTH_MAX:
            return WITHHELD
        if isinstance(value, Mapping):
            return self.record(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each, depth + 1) for each in list(value)[:ENTRIES_MAX]]
        return f"<{type(value).__name__}>"


def _sieved(shown: str) -> str:
    """`shown` without what has the form of a secret, an e-mail address or a telephone number."""
    for form in _TOKEN_FORMS:
        shown = form.sub(SECRET, shown)
    shown = _CREDENTIALS.sub(rf"\1 {SECRET}", shown)
    shown = _NAMED_SECRET.sub(rf"\1\2{SECRET}", shown)
    if "@" in shown:
        shown = _URL_PASSWORD.sub(rf"\1:{SECRET}@", shown)
    if "@" in shown or "%40" in shown:
        shown = _EMAIL.sub("[e-mail]", shown)
    for form in _PHONES:
        shown = form.sub("[phone]", shown)
    return shown


def reason_of(error: BaseException) -> str:
    """An exception in words fit for logs and reports: a stranger's is its type alone."""
    name = type(error).__name__
    return f"{name}: {error}" if _is_ours(error) else name


def _is_ours(error: BaseException) -> bool:
    """Our own messages name places and remedies; a stranger's may quote a payload."""
    if isinstance(error, OSError):
        return type(error).__module__ == "builtins"
    return type(error).__module__.partition(".")[0] in ("oms_sync", "connectors")


def escape(text: str) -> str:
    """`text` with control, direction and line-breaking characters escaped, and bounded."""
    if not text.isprintable():
        text = "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
            for each in text
        )
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}…"
