"""What the webhook route knows of an account: who verifies its deliveries and answers for it.

Where verifying takes a key the channel hands out, it runs in few threads of the account's own: a
channel that does not answer keeps no other account's deliveries waiting.
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import structlog

from oms_sync.runtime.sessions import AccountWiring
from oms_sync.sdk import AnswerChallenge, Capability, ChallengeAnswer, RetryLater, WebhookPart

log = structlog.get_logger()

REFUSAL_STATUS: Final = 401
#: bodies larger than this are verified outside the event loop
INLINE_BYTES_MAX: Final = 64_000
#: an account's threads that may ask its channel for a key
VERIFY_WORKERS_MAX: Final = 4
#: deliveries of one account waiting to be verified that way
VERIFY_WAITING_MAX: Final = 100
#: the longest a request waits for that; a channel gives up soon after
VERIFY_SECONDS_MAX: Final = 8.0
QUERY_BYTES_MAX: Final = 2_000
QUERY_FIELDS_MAX: Final = 20
CHALLENGE_BYTES_MAX: Final = 10_000
#: what an answer may call itself; nothing a browser would run
CHALLENGE_TYPES: Final = frozenset({"application/json", "text/plain"})


class NotVerified(Exception):
    """Whether a delivery is genuine cannot be said now; the channel sends it again."""


class Verifies(Protocol):
    """What is used of a webhook part to verify."""

    def verify(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        """True when the delivery is genuine."""
        ...


class KeyedVerifier:
    """A part that is opened at the first delivery and asks its channel for keys."""

    def __init__(self, account: str, open_part: Callable[[], Verifies]) -> None:
        self._account, self._open_part = account, open_part
        #: held while the part is opened, which may ask the channel
        self._opening = threading.Lock()
        self._part: Verifies | None = None
        self._lock = threading.Lock()
        self._waiting = 0
        self._is_failing = False
        self._pool = ThreadPoolExecutor(VERIFY_WORKERS_MAX, f"verify-{account}")

    async def is_genuine(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        """Verify in a thread; raises NotVerified when no key could be had in time."""
        with self._lock:
            if self._waiting >= VERIFY_WAITING_MAX:
                raise NotVerified("too many deliveries wait to be verified")
            self._waiting += 1
        asked = self._pool.submit(self._verify, settings, headers, body)
        # It counts until its thread is done with it, also when nobody waits any more.
        asked.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(VERIFY_SECONDS_MAX):
                return await asyncio.wrap_future(asked)
        except TimeoutError as error:
            raise NotVerified("the channel handed out no key in time") from error

    def _leave(self, _: object) -> None:
        with self._lock:
            self._waiting -= 1

    def _verify(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            part = self._opened()
        except Exception as error:
            self._note(error)
            raise NotVerified("the verifier cannot be opened") from error
        try:
            is_genuine = verified(part, settings, headers, body)
        except RetryLater as error:
            self._note(error)
            raise NotVerified("the key cannot be had") from error
        if is_genuine:
            self._note(None)
        return is_genuine

    def _opened(self) -> Verifies:
        with self._opening:
            if self._part is None:
                self._part = self._open_part()
            return self._part

    def _note(self, error: Exception | None) -> None:
        """Say the first failure and the recovery, not the hundred in between."""
        with self._lock:
            was_failing, self._is_failing = self._is_failing, error is not None
        if error is not None and not was_failing:
            log.warning(
                "webhook.postponed", account=self._account, reason=str(error), exc_info=error
            )
        elif error is None and was_failing:
            log.info("webhook.recovered", account=self._account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """All the route knows of an account."""

    webhook: WebhookPart
    #: the connector's settings, with the live secrets
    settings: Any
    #: headers kept beside the body
    headers: tuple[str, ...] = ()
    #: verifies in the place of `webhook`, where that takes a key of the channel's
    keyed: KeyedVerifier | None = None
    #: what a delivery that is not genuine is answered
    refusal_status: int = REFUSAL_STATUS
    #: the address as it was registered, None where none was
    url: str | None = None

    async def is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        """True when the account's channel sent the body; raises NotVerified."""
        if self.keyed is not None:
            return await self.keyed.is_genuine(self.settings, headers, body)
        if len(body) > INLINE_BYTES_MAX:
            return await asyncio.to_thread(
                _verified_or_not, self.webhook, self.settings, headers, body
            )
        return _verified_or_not(self.webhook, self.settings, headers, body)

    def answer_challenge(self, query_string: bytes) -> ChallengeAnswer | None:
        """What the account's connector answers a GET; None refuses."""
        if self.url is None or not isinstance(self.webhook, AnswerChallenge):
            return None
        query = _query(query_string)
        if query is None:
            return None
        try:
            answer = self.webhook.answer_challenge(self.settings, self.url, query)
        except Exception as error:
            # whatever the query did to the connector: not answered
            log.warning("webhook.unanswered", reason=str(error), exc_info=True)
            return None
        if answer is None or not _is_harmless(answer):
            return None
        return answer


def verifiers_of(wirings: Mapping[str, AccountWiring]) -> dict[str, Verifier]:
    """The accounts whose channel may send webhooks; all others are unknown to the route."""
    return {
        name: Verifier(
            webhook=wiring.webhook,
            settings=wiring.settings,
            headers=wiring.manifest.webhook_headers,
            keyed=KeyedVerifier(name, wiring.open_webhook) if wiring.open_webhook else None,
            refusal_status=wiring.manifest.webhook_refusal_status,
            url=wiring.webhook_url,
        )
        for name, wiring in wirings.items()
        if wiring.webhook is not None
        and Capability.RECEIVE_WEBHOOKS in wiring.manifest.capabilities
    }


def verified(part: Verifies, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
    """True when the part says so, and nothing but True; RetryLater passes through."""
    try:
        return part.verify(settings, headers, body) is True
    except RetryLater:
        raise
    except Exception as error:
        # whatever the bytes did to the connector: not proved genuine
        log.warning("webhook.unverified", reason=str(error), exc_info=True)
        return False


async def waste_time_on(body: bytes) -> None:
    """An unknown account costs what a known one does."""
    if len(body) > INLINE_BYTES_MAX:
        await asyncio.to_thread(_hash, body)
    else:
        _hash(body)


def _hash(body: bytes) -> None:
    hashlib.sha256(body).digest()


def _verified_or_not(
    part: Verifies, settings: Any, headers: Mapping[str, str], body: bytes
) -> bool:
    try:
        return verified(part, settings, headers, body)
    except RetryLater as error:
        raise NotVerified(str(error)) from error


def _query(query_string: bytes) -> dict[str, str] | None:
    """The fields of a query; None for one that is odd: too long, doubled, not UTF-8."""
    if len(query_string) > QUERY_BYTES_MAX:
        return None
    try:
        fields = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except ValueError:
        return None
    query = dict(fields)
    return query if len(query) == len(fields) else None


def _is_harmless(answer: ChallengeAnswer) -> bool:
    return answer.media_type in CHALLENGE_TYPES and len(answer.body) <= CHALLENGE_BYTES_MAX
