"""Many quantities at once: one JSON_LISTINGS_FEED, waited for, its report taken apart by message.

While a feed of ours may be under way nothing else is written: of a feed and a patch for one SKU
nobody could say which comes last.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.amazon import render
from connectors.amazon.client import Client
from connectors.amazon.faults import NotFound
from oms_sync import sdk
from oms_sync.sdk.strict_json import read_json

WAIT_SECONDS_MAX: Final = 300.0
#: the pause between two looks at a feed, growing up to the second number
PAUSE_SECONDS: Final = 1.0
PAUSE_SECONDS_MAX: Final = 20.0
#: how far back an unfinished feed is looked for after a start
UNFINISHED_HOURS: Final = 24
UNFINISHED_PAGE: Final = 100
#: what is stored beside the tokens: the feed under way, empty for none
FEEDS: Final = "feed_under_way"
#: the start of a note that a feed may have been made; the time it was asked for follows
UNKNOWN: Final = "?"
#: a feed just made may not be listed at once
UNLISTED_SECONDS: Final = 60.0
_UNFINISHED: Final = ("IN_QUEUE", "IN_PROGRESS")
_ENDED: Final = frozenset({"DONE", "CANCELLED", "FATAL"})
_TEXT_MAX: Final = 300


class FeedDesk:
    """Sends feeds for one account, one at a time."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        self._client, self._clock, self._store = client, request.clock, request.tokens
        self._lock = threading.Lock()

    @property
    def is_noted(self) -> bool:
        """True while a feed of ours may be under way."""
        return bool(self._store.load().get(FEEDS))

    def settle(self) -> None:
        """Return when no feed is under way; RateLimited, which blames nobody, until then."""
        with self._lock:
            known = self._store.load().get(FEEDS, UNKNOWN)
            is_unknown, left = known.startswith(UNKNOWN), ""
            feeds = self._unfinished(known) if is_unknown else list(filter(None, [known]))
            try:
                left = ",".join(one for one in feeds if not self._has_ended(one))
            except NotFound:
                left = UNKNOWN  # the list of feeds decides
            if left != known:
                self._note(left if "," not in left else UNKNOWN)
            if left:
                message = f"Amazon still works off feed {left}: quantities wait until it ends"
                raise sdk.RateLimited(message, retry_after_seconds=PAUSE_SECONDS_MAX)

    def push(self, entries: Sequence[sdk.StockPush], marketplace_id: str) -> list[sdk.PushResult]:
        """Send the entries as one feed and say what became of each.

        Raises OutcomeUnknown when its end was not seen; other errors mean that nothing was applied.
        """
        with self._lock:
            body = render.feed(self._client.seller_id, entries)
            feed_id = self._submit(body, marketplace_id)
            feed = self._wait(feed_id)
            self._note("")
            return self._results(feed, entries)

    def _submit(self, body: bytes, marketplace_id: str) -> str:
        document = self._client.run(
            "createFeedDocument", None, render.FEED_MEDIA, priority=sdk.Priority.WRITE
        ).fields
        self._client.upload(str(document["url"]), body, render.FEED_MEDIA)
        self._note(UNKNOWN + self._clock.now().isoformat())  # from here on only Amazon knows
        try:
            answer = self._client.run(
                "createFeed",
                render.FEED_TYPE,
                document["feedDocumentId"],
                marketplaceIds=[marketplace_id],  # a feed of listings is for one
                priority=sdk.Priority.WRITE,
            )
        except sdk.OutcomeUnknown:
            raise
        except sdk.ChannelError:
            self._note("")
            raise
        feed_id = str(answer.fields["feedId"])
        self._note(feed_id)
        return feed_id

    def _note(self, feeds: str) -> None:
        """Remember beyond this session, and beyond this process, what may be under way."""
        with self._store.locked():
            self._store.save({**self._store.load(), FEEDS: feeds})

    def _wait(self, feed_id: str) -> Mapping[str, Any]:
        until = self._clock.monotonic() + WAIT_SECONDS_MAX
        pause = PAUSE_SECONDS
        while True:
            try:
                feed = self._feed(feed_id)
                if feed["processingStatus"] in _ENDED:
                    return feed
                if self._clock.monotonic() + pause > until:
                    raise sdk.RetryLater(f"not ended within {WAIT_SECONDS_MAX:.0f} s")
                self._client.wait(pause)
            except sdk.ChannelError as error:
                message = f"feed {feed_id} was sent and its end not seen: {error}"
                raise sdk.OutcomeUnknown(message) from error
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def _results(
        self, feed: Mapping[str, Any], entries: Sequence[sdk.StockPush]
    ) -> list[sdk.PushResult]:
        feed_id, status = feed.get("feedId"), feed["processingStatus"]
        if status == "CANCELLED":
            raise sdk.ChannelDown(f"feed {feed_id} was cancelled before it began")
        document_id = feed.get("resultFeedDocumentId")
        if status == "FATAL" or not document_id:
            # Amazon says itself: some, none or all of it may have been done.
            raise sdk.OutcomeUnknown(f"feed {feed_id} ended {status} without a report")
        try:
            body = self._client.document_of(
                "getFeedDocument", str(document_id), priority=sdk.Priority.WRITE
            )
            report = read_json(body)
            return _apart(report, entries, self._client.now())
        except sdk.OutcomeUnknown:
            raise
        except (sdk.ChannelError, LookupError, TypeError, ValueError, AttributeError) as error:
            message = f"the report of feed {feed_id} cannot be had: {error}"
            raise sdk.OutcomeUnknown(message[:_TEXT_MAX]) from error

    def _feed(self, feed_id: str) -> Mapping[str, Any]:
        return self._client.run("getFeed", feed_id, priority=sdk.Priority.WRITE).fields

    def _has_ended(self, feed_id: str) -> bool:
        return self._feed(feed_id)["processingStatus"] in _ENDED

    def _unfinished(self, note: str) -> list[str]:
        asked_at = note.removeprefix(UNKNOWN)
        if asked_at:
            age = (self._clock.now() - datetime.fromisoformat(asked_at)).total_seconds()
            if age < UNLISTED_SECONDS:
                raise sdk.RateLimited(
                    "whether Amazon made a feed is not known yet: quantities wait",
                    retry_after_seconds=UNLISTED_SECONDS - max(0.0, age),
                )
        since = self._client.now() - timedelta(hours=UNFINISHED_HOURS)
        answer = self._client.run(
            "getFeeds",
            feedTypes=render.FEED_TYPE,
            processingStatuses=",".join(_UNFINISHED),
            createdSince=since.strftime("%Y-%m-%dT%H:%M:%SZ"),
            pageSize=UNFINISHED_PAGE,
            marketplaceIds=",".join(self._client.marketplace_ids),
            priority=sdk.Priority.WRITE,
        )
        return [str(each["feedId"]) for each in answer.fields["feeds"]]


def _apart(
    report: Mapping[str, Any], entries: Sequence[sdk.StockPush], at: datetime
) -> list[sdk.PushResult]:
    """One result per entry, by message id, never by order; of what does not add up nobody knows."""
    refused: dict[int, list[str]] = {}
    is_whole = True
    for issue in report["issues"]:
        if issue["severity"] != "ERROR":
            continue
        if issue.get("messageId") is None:
            is_whole = False
        else:
            text = f"{issue.get('code', '')}: {issue['message']}"
            refused.setdefault(issue["messageId"], []).append(text)
    summary = report["summary"]
    is_whole &= summary["messagesProcessed"] == len(entries)
    is_whole &= summary["messagesAccepted"] == len(entries) - len(refused)
    rest = sdk.PushOutcome.ACCEPTED if is_whole else sdk.PushOutcome.UNKNOWN
    reason = "" if is_whole else "the feed's report does not account for every message"
    return [
        sdk.PushResult(
            channel_listing_id=entry.channel_listing_id,
            outcome=sdk.PushOutcome.REJECTED if number in refused else rest,
            applied_at=at,
            reason="; ".join(refused.get(number, [reason]))[:_TEXT_MAX],
        )
        for number, entry in enumerate(entries, start=1)
    ]
