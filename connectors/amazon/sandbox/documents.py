"""Uploads and downloads behind presigned addresses, with S3's own answers."""

import gzip
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from connectors.amazon.sandbox.answers import answer, not_found
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

DOCUMENT_PATH: Final = "/_documents/"
UPLOAD_LIFETIME: Final = timedelta(minutes=5)
DOWNLOAD_LIFETIME: Final = timedelta(minutes=5)
DOCUMENTS_KEPT_MAX: Final = 1_000
UPLOAD_BYTES_MAX: Final = 10 * 1024 * 1024
_XML: Final = (("content-type", "application/xml"),)


@dataclass(slots=True, kw_only=True, eq=False)
class Document:
    """A file that somebody may upload or download for a few minutes."""

    id: str
    content_type: str
    signature: str
    expires_at: datetime
    content: bytes | None = None
    is_upload: bool = False
    is_packed: bool = False


class Documents:
    """All documents of feeds and reports."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._documents: dict[str, Document] = {}

    def find(self, document_id: str) -> Document | None:
        return self._documents.get(document_id)

    def expect(self, content_type: str) -> Document:
        """A document still to be uploaded."""
        return self._add(content_type, UPLOAD_LIFETIME)

    def keep(self, content_type: str, content: bytes, *, is_packed: bool) -> Document:
        """A document ready to be downloaded."""
        document = self._add(content_type, DOWNLOAD_LIFETIME)
        document.content = gzip.compress(content, mtime=0) if is_packed else content
        document.is_packed = is_packed
        return document

    def _add(self, content_type: str, lifetime: timedelta) -> Document:
        store, number = self._store, self._store.next_id()
        if len(self._documents) >= DOCUMENTS_KEPT_MAX:
            self._documents.pop(next(iter(self._documents)))
        document = Document(
            id=f"amzn1.tortuga.4.na.{store.secret(f'document/{number}')}",
            content_type=content_type,
            signature=store.secret(f"signature/{number}"),
            expires_at=store.now() + lifetime,
            is_upload=lifetime is UPLOAD_LIFETIME,
        )
        self._documents[document.id] = document
        return document

    def address(self, document: Document, base_url: str) -> str:
        """The presigned address; asking again signs it anew."""
        if not document.is_upload:
            document.expires_at = self._store.now() + DOWNLOAD_LIFETIME
        return f"{base_url}{DOCUMENT_PATH}{document.id}?X-Amz-Signature={document.signature}"

    def show(self, document_id: str, name: str, base_url: str) -> Reply:
        """Answer where a finished document can be downloaded."""
        document = self._documents.get(document_id)
        if document is None or document.is_upload:
            raise not_found("The document does not exist.")
        shown = {name: document.id, "url": self.address(document, base_url)}
        return answer(200, shown | ({"compressionAlgorithm": "GZIP"} if document.is_packed else {}))

    def upload(self, document_id: str, query: str, content_type: str, content: bytes) -> Reply:
        """Answer a PUT."""
        document = self._open(document_id, query)
        if isinstance(document, Reply):
            return document
        if not document.is_upload or content_type != document.content_type:
            return _refusal(403, "SignatureDoesNotMatch")
        document.content = content
        return Reply(status=200, body=b"", headers=())

    def download(self, document_id: str, query: str) -> Reply:
        """Answer a GET."""
        document = self._open(document_id, query)
        if isinstance(document, Reply):
            return document
        if document.is_upload or document.content is None:
            return _refusal(403, "AccessDenied")
        headers = (("content-type", document.content_type),)
        return Reply(status=200, body=document.content, headers=headers)

    def _open(self, document_id: str, query: str) -> Document | Reply:
        document = self._documents.get(document_id)
        if document is None or query != f"X-Amz-Signature={document.signature}":
            return _refusal(403, "SignatureDoesNotMatch")
        if self._store.now() >= document.expires_at:
            return _refusal(403, "AccessDenied", "Request has expired")
        return document


def _refusal(status: int, code: str, message: str = "") -> Reply:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
    text += f"<Message>{message or code}</Message></Error>"
    return Reply(status=status, body=text.encode(), headers=_XML)
