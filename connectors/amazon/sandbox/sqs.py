"""The SQS wire protocol (JSON 1.0) as boto3 speaks it, with the queue's own signature check."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from oms_sync.sdk.sandbox_queue import VISIBILITY_SECONDS, BadHandle, Queue
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

TARGET: Final = "AmazonSQS."
AWS_REGION: Final = "us-east-1"
BATCH_MAX: Final = 10
WAIT_SECONDS_MAX: Final = 20
HIDE_SECONDS_MAX: Final = 43_200
LOOK_SECONDS: Final = 0.02
_CREDENTIAL: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/sqs/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_HANDLE_INVALID: Final = "The input receipt handle is invalid."

Asked = dict[str, Any]


class SqsRefused(Exception):
    """The queue refuses; `query_code` is what older clients know the error by."""

    def __init__(self, code: str, message: str, query_code: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status
        self.query_code = query_code or code


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsRequest:
    """One request to the queue."""

    method: str
    raw_path: str
    headers: Mapping[str, str]
    body: bytes


class Sqs:
    """Answers requests to the one queue of the account entry."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store, self._queue = store, queue
        self.account_id = f"{int(store.secret('aws_account')[:10], 16) % 10**12:012d}"
        self.name = "oms-sync-orders"
        self.path = f"/{self.account_id}/{self.name}"
        self.arn = f"arn:aws:sqs:{AWS_REGION}:{self.account_id}:{self.name}"
        self.access_key_id = f"AKIA{store.secret('access_key')[:16].upper()}"
        self.secret_access_key = store.secret("secret_key") + store.secret("secret_key_2")[:8]
        self._acts: dict[str, Callable[[Asked], Any]] = {
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "ChangeMessageVisibility": self._hide,
            "GetQueueAttributes": self._attributes,
        }

    async def answer(self, request: SqsRequest) -> Reply:
        """Answer one request; a long poll waits without holding anybody up."""
        operation = request.headers.get("x-amz-target", "").removeprefix(TARGET)
        try:
            self._check_signature(request)
            asked = _read(request.body)
            self._store.calls[operation] += 1
            if operation == "ReceiveMessage":
                return _reply(200, await self._receive(asked))
            if operation == "GetQueueUrl":
                return _reply(200, self._url(asked, request.headers))
            act = self._acts.get(operation)
            if act is None:
                raise SqsRefused("UnknownOperationException", f"Unknown operation {operation}.")
            self._check_queue(asked)
            return _reply(200, act(asked))
        except SqsRefused as refused:
            body = {"__type": f"com.amazonaws.sqs#{refused.code}", "message": refused.message}
            return _reply(refused.status, body, refused.query_code)
        except BadHandle:
            body = {
                "__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid",
                "message": _HANDLE_INVALID,
            }
            return _reply(400, body, "ReceiptHandleIsInvalid")

    # --- receiving -------------------------------------------------------------------------------

    async def _receive(self, asked: Asked) -> Asked:
        self._check_queue(asked)
        most = _whole(asked, "MaxNumberOfMessages", 1, BATCH_MAX, default=1)
        wait = _whole(asked, "WaitTimeSeconds", 0, WAIT_SECONDS_MAX, default=0)
        hidden = _whole(asked, "VisibilityTimeout", 0, HIDE_SECONDS_MAX, default=VISIBILITY_SECONDS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        found = self._queue.receive(most, hidden)
        while not found and loop.time() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            found = self._queue.receive(most, hidden)
        wanted = {*_texts(asked, "AttributeNames"), *_texts(asked, "MessageSystemAttributeNames")}
        for message in found:
            attributes = message.pop("attributes")
            shown = {k: v for k, v in attributes.items() if k in wanted or "All" in wanted}
            if shown:
                message["Attributes"] = shown
        return {"Messages": found} if found else {}

    # --- everything else -------------------------------------------------------------------------

    def _url(self, asked: Asked, headers: Mapping[str, str]) -> Asked:
        if asked.get("QueueName") != self.name:
            raise _no_queue()
        return {"QueueUrl": f"http://{headers.get('host', '127.0.0.1')}{self.path}"}

    def _check_queue(self, asked: Asked) -> None:
        url = asked.get("QueueUrl")
        if not isinstance(url, str):
            raise SqsRefused("MissingParameter", "The request must contain QueueUrl.")
        if urlsplit(url).path != self.path:
            raise _no_queue()

    def _delete(self, asked: Asked) -> Asked:
        self._queue.delete(_text(asked, "ReceiptHandle"))
        return {}

    def _hide(self, asked: Asked) -> Asked:
        seconds = _whole(asked, "VisibilityTimeout", 0, HIDE_SECONDS_MAX, default=None)
        if not self._queue.hide(_text(asked, "ReceiptHandle"), seconds):
            message = "The message referred to isn't in flight."
            raise SqsRefused("MessageNotInflight", message)
        return {}

    def _delete_batch(self, asked: Asked) -> Asked:
        return _batch(asked, self._delete)

    def _attributes(self, asked: Asked) -> Asked:
        visible, in_flight = self._queue.counts()
        known = {
            "QueueArn": self.arn,
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(in_flight),
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
        }
        wanted = _texts(asked, "AttributeNames")
        for name in wanted:
            if name not in known and name != "All":
                raise SqsRefused("InvalidAttributeName", f"Unknown Attribute {name}.")
        return {"Attributes": {k: v for k, v in known.items() if k in wanted or "All" in wanted}}

    # --- signature -------------------------------------------------------------------------------

    def _check_signature(self, request: SqsRequest) -> None:
        """Signature version 4 with the one key pair of the account entry."""
        given = _CREDENTIAL.fullmatch(request.headers.get("authorization", ""))
        if given is None:
            message = "Missing Authentication Token"
            raise SqsRefused("MissingAuthenticationToken", message, status=403)
        key, day, region, names, signature = given.groups()
        if key != self.access_key_id:
            message = "The security token included in the request is invalid."
            raise SqsRefused("InvalidClientTokenId", message, status=403)
        scope = f"{day}/{region}/sqs/aws4_request"
        canonical = _canonical(request, names)
        moment = request.headers.get("x-amz-date", "")
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
        secret = f"AWS4{self.secret_access_key}".encode()
        for part in (*scope.split("/"), text):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(secret.hex(), signature):
            message = "The request signature we calculated does not match the one you provided."
            raise SqsRefused("SignatureDoesNotMatch", message, status=403)


def _canonical(request: SqsRequest, names: str) -> str:
    headers = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names.split(";")
    )
    digest = hashlib.sha256(request.body).hexdigest()
    path = quote(unquote(request.raw_path), safe="/-_.~")
    return f"{request.method}\n{path}\n\n{headers}\n{names}\n{digest}"


def _read(body: bytes) -> Asked:
    try:
        asked = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise SqsRefused("SerializationException", "The request is not JSON.") from error
    if not isinstance(asked, dict):
        raise SqsRefused("SerializationException", "The request is not an object.")
    return asked


def _batch(asked: Asked, act: Callable[[Asked], Asked]) -> Asked:
    entries = asked.get("Entries")
    if not isinstance(entries, list) or not 0 < len(entries) <= BATCH_MAX:
        code = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
        raise SqsRefused("TooManyEntriesInBatchRequest", f"1 to {BATCH_MAX} entries.", code)
    done: list[Asked] = []
    failed: list[Asked] = []
    for entry in entries:
        made = {"Id": entry.get("Id")}
        try:
            act(entry)
        except BadHandle:
            failed.append(_failure(made, "ReceiptHandleIsInvalid", _HANDLE_INVALID))
        except SqsRefused as refused:
            failed.append(_failure(made, refused.query_code, refused.message))
        else:
            done.append(made)
    return {"Successful": done, "Failed": failed}


def _failure(made: Asked, code: str, message: str) -> Asked:
    return made | {"SenderFault": True, "Code": code, "Message": message}


def _text(asked: Asked, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise SqsRefused("MissingParameter", f"The request must contain {name}.")
    return value


def _texts(asked: Asked, name: str) -> list[str]:
    return [each for each in asked.get(name) or () if isinstance(each, str)]


def _whole(asked: Asked, name: str, low: int, high: int, *, default: int | None) -> int:
    value: Any = asked.get(name, default)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not low <= value <= high:
        message = f"Value {value} for parameter {name} is invalid. Must be {low} to {high}."
        raise SqsRefused("InvalidParameterValue", message)
    return int(value)


def _no_queue() -> SqsRefused:
    code = "AWS.SimpleQueueService.NonExistentQueue"
    return SqsRefused("QueueDoesNotExist", "The specified queue does not exist.", code)


def _reply(status: int, body: Asked, query_code: str = "") -> Reply:
    headers = [("content-type", "application/x-amz-json-1.0")]
    if query_code:
        headers.append(("x-amzn-query-error", f"{query_code};Sender"))
    return Reply(status=status, body=json.dumps(body).encode(), headers=tuple(headers))
