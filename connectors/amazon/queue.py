"""The SQS queue Amazon writes notifications to: pulled here, taken out only once they are stored.

Knows no credentials but those of the settings: no environment, no file, no machine role.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connectors.amazon.settings import QueueSettings
from connectors.amazon.webhook import field, told_type
from connectors.amazon.wire import hush
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

BATCH_MAX: Final = 10
#: the longest one pull waits: a hub that stops waits as long, and for the answer
WAIT_SECONDS_MAX: Final = 5
CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 10
UNKNOWN: Final = "unknown"
_THROTTLED: Final = frozenset({"RequestThrottled", "ThrottlingException", "OverLimit"})
#: the message is gone already, or was given to somebody else since
_STALE_RECEIPT: Final = "ReceiptHandleIsInvalid"
#: botocore reads these from the environment unless told otherwise
_NOWHERE: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class Queue:
    """One account's queue; safe from several threads, as boto3's clients are."""

    def __init__(self, settings: QueueSettings, seller_id: str, request: sdk.OpenRequest) -> None:
        self._settings, self._url, self._seller_id = settings, settings.queue_url, seller_id
        self._clock, self._calls = request.clock, request.calls

    @cached_property
    def _sqs(self) -> Any:
        """Made when it is first needed: reading boto3's descriptions of SQS takes its time."""
        session = boto3.session.Session(
            aws_access_key_id=self._settings.access_key_id,
            aws_secret_access_key=self._settings.secret_access_key.get_secret_value(),
            region_name=self._settings.aws_region,
            botocore_session=botocore.session.Session(session_vars=_NOWHERE),
        )
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=WAIT_SECONDS_MAX + ANSWER_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            proxies={},
            ignore_configured_endpoint_urls=True,
        )
        made = session.client("sqs", endpoint_url=self._settings.endpoint_url, config=config)
        hush()
        return made

    def close(self) -> None:
        """Give back the connections."""
        if "_sqs" in self.__dict__:
            self._sqs.close()

    def pull(self, wait_seconds: float) -> tuple[sdk.Notification, ...]:
        """Up to ten messages; those of other sellers stay where they are."""
        with _understood():
            wait = min(WAIT_SECONDS_MAX, max(0, round(wait_seconds)))
            answer = self._ask(
                "receive_message", MaxNumberOfMessages=BATCH_MAX, WaitTimeSeconds=wait
            )
            messages = answer.get("Messages") or []
            pulled = [_notification(each) for each in messages]
        return tuple(one for one, seller in pulled if seller in (None, self._seller_id))

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Take messages out; RetryLater when one stayed, which is then delivered again."""
        for start in range(0, len(receipts), BATCH_MAX):
            chunk = dict(enumerate(receipts[start : start + BATCH_MAX]))
            entries = [{"Id": str(n), "ReceiptHandle": one} for n, one in chunk.items()]
            with _understood():
                answer = self._ask("delete_message_batch", Entries=entries)
                done = {each["Id"] for each in answer.get("Successful") or []}
                failed = answer.get("Failed") or []
                done |= {each["Id"] for each in failed if each.get("Code") == _STALE_RECEIPT}
            left = sum(str(n) not in done for n in chunk)
            if left:
                raise sdk.RetryLater(f"{left} notifications could not be taken out of the queue")

    def _ask(self, name: str, **words: Any) -> dict[str, Any]:
        """One call, noted; an empty pull is not: they would drown everything else."""
        at, began, status = self._clock.now(), self._clock.monotonic(), "no answer"
        told: Mapping[str, Any] = {}
        answer: dict[str, Any] = {"Messages": ["unknown"]}
        try:
            answer = getattr(self._sqs, name)(QueueUrl=self._url, **words)
            told = answer.get("ResponseMetadata") or {}
            status = str(told.get("HTTPStatusCode") or "answered")
        except ClientError as error:
            told = error.response.get("ResponseMetadata") or {}
            status = str(told.get("HTTPStatusCode") or "refused")
            raise
        finally:
            if name != "receive_message" or answer.get("Messages"):
                self._calls.note(
                    sdk.Call(
                        operation=f"sqs {name}",
                        at=at,
                        duration_seconds=self._clock.monotonic() - began,
                        status=status,
                        request_id=str(told.get("RequestId") or ""),
                    )
                )
        return answer


def _notification(message: dict[str, Any]) -> tuple[sdk.Notification, str | None]:
    """A message, and whose it is where it says so; what makes no sense is stored as it came."""
    body = message["Body"].encode("utf-8", "surrogatepass")
    topic, seller = UNKNOWN, None
    try:
        fields = read_json(body)
        topic = told_type(fields)
        payload = field(fields, "payload")
        inner = field(payload, "orderChangeNotification") or payload
        seller = field(inner, "sellerId")
    except sdk.BadPayload:
        pass  # kept as a dead letter by whoever reads it
    owner = seller if isinstance(seller, str) else None
    return sdk.Notification(receipt=message["ReceiptHandle"], topic=topic, body=body), owner


@contextmanager
def _understood() -> Iterator[None]:
    """A queue in trouble delays orders and stops nothing: polling goes on without it."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error") or {}
        code = str(told.get("Code") or "")
        if code in _THROTTLED:
            raise sdk.RateLimited(f"the queue answered {code}") from None
        raise sdk.ChannelDown(
            f"the queue refuses us ({code or 'no reason'}): check settings.notifications and the "
            "queue's policy"
        ) from None
    except BotoCoreError as error:
        raise sdk.ChannelDown(f"the queue cannot be reached: {type(error).__name__}") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise sdk.ChannelDown(
            f"the queue's answer makes no sense: {type(error).__name__}"
        ) from None
