"""Order feeds: one at a time per key, noted before it is made, never made again unread.

Amazon knows no idempotency key for a refund: what was sent under a key is remembered here, beside
the tokens, and a feed that may exist is looked for before another is made.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon import documents
from connectors.amazon.client import Client
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

#: what is stored beside the tokens
NOTES: Final = "order_feeds"
NOTES_MAX: Final = 300
NOTE_DAYS: Final = 60
#: a feed just made may not be listed at once
UNLISTED_SECONDS: Final = 60.0
CLOCK_SECONDS: Final = 5.0
#: a feed of ours is made this soon after its note, or not at all
MADE_SECONDS: Final = 900.0
PAGE: Final = 100
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
#: it may have been done; nothing is ever sent again under its key unseen
DOUBTFUL: Final = "doubtful"
_ENDED: Final = frozenset({"DONE", "CANCELLED", "FATAL"})
_SEE: Final = "look at the order in Seller Central before ordering it anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One feed of ours; `feed_id` is empty while only Amazon knows whether it exists."""

    key: str
    feed_type: str
    order_id: str
    at: str
    feed_id: str = ""
    #: ACCEPTED or REFUSED once its report was read, DOUBTFUL where that will never be known
    verdict: str = ""
    #: for a refund: what goes back, and for which units
    amount: str = ""
    currency: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def noted_at(self) -> datetime:
        """When the feed was asked for, by our clock."""
        return datetime.fromisoformat(self.at)


class OrderFeeds:
    """Sends and follows the order feeds of one account."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        self._client, self._clock, self._store = client, request.clock, request.tokens
        self._lock = threading.Lock()

    def new_note(self, key: str, feed_type: str, order_id: str, **more: Any) -> Note:
        """A note of now."""
        at = self._clock.now().isoformat()
        return Note(key=key, feed_type=feed_type, order_id=order_id, at=at, **more)

    def note_of(self, key: str) -> Note | None:
        """What was sent under a key."""
        return self._notes().get(key)

    def notes_of(self, order_id: str) -> tuple[Note, ...]:
        """Everything sent for an order."""
        return tuple(note for note in self._notes().values() if note.order_id == order_id)

    def forget(self, key: str) -> None:
        """Drop a note whose feed did nothing, or nothing that lasted."""
        with self._store.locked():
            stored = self._store.load()
            notes = _read(stored)
            notes.pop(key, None)
            self._store.save({**stored, NOTES: _write(notes)})

    def send(self, note: Note, marketplace_id: str, body: bytes) -> str:
        """Make a feed of `body`, unless one was made under the note's key; answers its id."""
        self._client.check_may_write(note.feed_type)
        with self._lock:
            known = self.note_of(note.key)
            if known is not None and known.verdict == DOUBTFUL:
                raise sdk.Rejected(f"whether it was done is not known: {_SEE}")
            if known is not None and known.verdict != REFUSED:
                made = known.feed_id or self._made_for(known)
                if made:
                    return made
            return self._make(note, marketplace_id, body)

    def settled(self, note: Note) -> Note:
        """The note with what is known of its feed by now; as it was where nothing new is."""
        if note.verdict:
            return note
        try:
            with self._lock:
                feed_id = note.feed_id or self._made_for(note)
            if feed_id:
                self.follow(feed_id)
        except (sdk.RetryLater, sdk.Rejected):
            pass  # what is known of it by now is noted
        return self.note_of(note.key) or note

    def follow(self, feed_id: str) -> bool:
        """See `FollowWrites.follow_write`."""
        note = next((one for one in self._notes().values() if one.feed_id == feed_id), None)
        if note is not None and note.verdict == ACCEPTED:
            return True
        feed = self._client.run("getFeed", feed_id, priority=sdk.Priority.WRITE).fields
        if feed["processingStatus"] not in _ENDED:
            return False
        verdict, reason = self._outcome(feed_id, feed)
        if note is not None:
            self._keep(replace(note, verdict=verdict))
        if verdict != ACCEPTED:
            raise sdk.Rejected(reason)
        return True

    def _outcome(self, feed_id: str, feed: Mapping[str, Any]) -> tuple[str, str]:
        """What an ended feed did, and why it did not do what it should."""
        status, document_id = feed["processingStatus"], feed.get("resultFeedDocumentId")
        if status == "CANCELLED":
            return REFUSED, f"feed {feed_id} was cancelled before it began"
        if status == "FATAL" or not document_id:
            # Of a feed that broke off, Amazon says, some may have been done.
            return DOUBTFUL, f"feed {feed_id} ended {status}: {_SEE}"
        body = self._client.document_of(
            "getFeedDocument", str(document_id), priority=sdk.Priority.WRITE
        )
        report = documents.read_report(body)
        if report.errors:
            return REFUSED, f"Amazon refuses it (feed {feed_id}): {'; '.join(report.errors)}"
        if report.accepted != 1:
            return DOUBTFUL, f"feed {feed_id} does not account for it: {_SEE}"
        return ACCEPTED, ""

    def _make(self, note: Note, marketplace_id: str, body: bytes) -> str:
        document = self._client.run(
            "createFeedDocument", None, documents.MEDIA, priority=sdk.Priority.WRITE
        ).fields
        self._client.upload(str(document["url"]), body, documents.MEDIA)
        note = replace(note, at=self._clock.now().isoformat())
        self._keep(note)  # from here on only Amazon knows
        try:
            answer = self._client.run(
                "createFeed",
                note.feed_type,
                document["feedDocumentId"],
                marketplaceIds=[marketplace_id],
                priority=sdk.Priority.WRITE,
            )
        except (sdk.OutcomeUnknown, sdk.Bug):
            raise  # it was sent, or may have been
        except sdk.ChannelError:
            self.forget(note.key)
            raise
        feed_id = str(answer.fields["feedId"])
        self._keep(replace(note, feed_id=feed_id))
        return feed_id

    def _made_for(self, note: Note) -> str | None:
        """The feed whose making was never answered, None where there is none."""
        age = (self._clock.now() - note.noted_at).total_seconds()
        if age < UNLISTED_SECONDS:
            raise sdk.RateLimited(
                "whether Amazon made the feed is not known yet",
                retry_after_seconds=UNLISTED_SECONDS - max(0.0, age),
            )
        # Our clock noted it, Amazon's clock dates it.
        noted_at = note.noted_at + (self._client.now() - self._clock.now())
        until = min(noted_at + timedelta(seconds=MADE_SECONDS), self._client.now())
        answer = self._client.run(
            "getFeeds",
            feedTypes=note.feed_type,
            createdSince=_stamp(noted_at - timedelta(seconds=CLOCK_SECONDS)),
            createdUntil=_stamp(until + timedelta(seconds=1)),
            pageSize=PAGE,
            marketplaceIds=",".join(self._client.marketplace_ids),
            priority=sdk.Priority.WRITE,
        )
        notes = self._notes().values()
        taken = {one.feed_id for one in notes}
        found = [str(each["feedId"]) for each in answer.fields["feeds"]]
        ours = [one for one in found if one not in taken]
        is_sure = len(ours) == 1 and not any(_is_rival(note, one) for one in notes)
        if answer.fields.get("nextToken") or (ours and not is_sure):
            self._keep(replace(note, verdict=DOUBTFUL))
            raise sdk.Rejected(
                f"whether it was done is not known: feeds {', '.join(ours[:5])} may be it: {_SEE}"
            )
        if not ours:
            return None
        self._keep(replace(note, feed_id=ours[0]))
        return ours[0]

    def _notes(self) -> dict[str, Note]:
        return _read(self._store.load())

    def _keep(self, note: Note) -> None:
        """Remember beyond this session and this process; the oldest that are settled give way."""
        oldest = self._clock.now() - timedelta(days=NOTE_DAYS)
        with self._store.locked():
            stored = self._store.load()
            notes = {key: one for key, one in _read(stored).items() if one.noted_at >= oldest}
            notes[note.key] = note
            settled = [key for key, one in notes.items() if one.verdict]
            for key in settled[: max(0, len(notes) - NOTES_MAX)]:
                del notes[key]
            if len(notes) > NOTES_MAX:
                raise sdk.RetryLater(f"{NOTES_MAX} order feeds are not decided: waiting for them")
            self._store.save({**stored, NOTES: _write(notes)})


def _is_rival(note: Note, other: Note) -> bool:
    """True where a feed that may be one's may be the other's as well."""
    is_open = not other.feed_id and other.verdict in ("", DOUBTFUL)
    between = abs((other.noted_at - note.noted_at).total_seconds())
    is_alike = other.key != note.key and other.feed_type == note.feed_type
    return is_alike and is_open and between <= MADE_SECONDS


def _stamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(stored: Mapping[str, str]) -> dict[str, Note]:
    text = stored.get(NOTES)
    return {each["key"]: Note(**each) for each in read_json(text.encode())} if text else {}


def _write(notes: Mapping[str, Note]) -> str:
    return json.dumps([asdict(one) for one in notes.values()])
