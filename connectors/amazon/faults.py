"""What each refusal of Amazon means, by layer: transport, HTTP status, errors in the body. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

STATUS_OK: Final = range(200, 300)
STATUS_REDIRECT: Final = range(300, 400)
STATUS_BROKEN: Final = range(500, 600)
STATUS_DENIED: Final = (401, 403)
STATUS_THROTTLED: Final = 429
TEXT_MAX: Final = 300
_SECONDS: Final = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)
_BROKEN_CODES: Final = frozenset({"InternalFailure", "InternalError", "ServiceUnavailable"})
_CONSENT: Final = frozenset({"invalid_grant", "unauthorized_client", "access_denied"})
_APPLICATION: Final = frozenset({"invalid_client"})


class Refused(sdk.Bug):
    """Amazon calls a read malformed, or its page token no longer good."""


class Denied(sdk.PermissionMissing):
    """Amazon answered 403: an expired token, or a role the application lacks."""


class NotFound(sdk.Rejected):
    """Amazon has no such object."""


def lost(message: str, *, is_write: bool) -> sdk.RetryLater:
    """The error for an answer that never came whole."""
    return sdk.OutcomeUnknown(message) if is_write else sdk.ChannelDown(message)


def read_answer(
    operation: str, status: int, headers: Mapping[str, str], body: bytes, *, is_write: bool
) -> dict[str, Any]:
    """The answer's fields; everything but a whole success raises.

    The SDK looks at no status: an empty 500 and an HTML page would pass as an empty success.
    """
    if status in STATUS_OK and not body:
        return {}
    place = f"{operation} (request {headers.get('x-amzn-requestid', 'without id')})"
    try:
        fields = read_json(body) if body else {}
    except sdk.BadPayload as error:
        if status in STATUS_OK:
            is_json = "json" in headers.get("content-type", "")
            message = f"{place}: the answer is not Amazon's: {error}"
            if is_json and not is_write:
                raise sdk.BadPayload(message) from error
            raise lost(message, is_write=is_write) from error
        fields = {}
    errors = fields.get("errors") if isinstance(fields, dict) else None
    if status not in STATUS_OK or errors:
        raise _error(place, status, headers, _said(errors), is_write=is_write)
    if not isinstance(fields, dict):
        raise lost(f"{place}: the answer is no object", is_write=is_write)
    return fields


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """How long Amazon asks to wait, where it says so."""
    text = headers.get("retry-after", "").strip()
    return float(text) if _SECONDS.fullmatch(text) else None


def read_rate(headers: Mapping[str, str]) -> float | None:
    """The calls per second Amazon grants, where it says so."""
    text = headers.get("x-amzn-ratelimit-limit", "").strip()
    return float(text) if _SECONDS.fullmatch(text) and float(text) > 0 else None


def no_token(code: str, message: str) -> sdk.ChannelError:
    """What Login with Amazon means when it grants no token."""
    told = f"{code}: {message}"[:TEXT_MAX]
    if code in _CONSENT:
        return sdk.AuthFailed(
            f"the seller's authorisation is revoked or over ({told}): authorise the application "
            "again, enter the new refresh_token, then resume the account"
        )
    if code in _APPLICATION:
        return sdk.AuthFailed(
            f"Amazon refuses the application ({told}): check lwa_client_id and lwa_client_secret, "
            "then resume the account"
        )
    return sdk.ChannelDown(f"Login with Amazon grants no token ({told})")


def _said(errors: Any) -> tuple[str, str]:
    """Code and text of the first error; of an odd list whatever it holds."""
    first = errors[0] if isinstance(errors, list) and errors else errors
    if not isinstance(first, dict):
        return "", str(first or "no reason given")[:TEXT_MAX]
    words = [str(first[name]) for name in ("code", "message", "details") if first.get(name)]
    return str(first.get("code") or ""), ": ".join(words)[:TEXT_MAX]


def _error(
    place: str, status: int, headers: Mapping[str, str], said: tuple[str, str], *, is_write: bool
) -> sdk.ChannelError:
    code, text = said
    message = f"{place}: Amazon answered {status}: {text}"
    if status == STATUS_THROTTLED or code == "QuotaExceeded":
        return sdk.RateLimited(message, retry_after_seconds=read_retry_after(headers))
    if status in STATUS_BROKEN or code in _BROKEN_CODES:
        return lost(message, is_write=is_write)
    if status in STATUS_DENIED:
        return Denied(f"{message} (grant the application the role it needs, then resume)")
    if status in STATUS_REDIRECT:
        return sdk.ChannelDown(f"{message} (redirects are not followed)")
    if status == 404:  # noqa: PLR2004 - Not Found
        return NotFound(message)
    return sdk.Rejected(message) if is_write else Refused(message)
