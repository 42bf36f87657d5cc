"""Reports: asked for, waited for and read as tables; and what the report of orders says of lists.

Amazon leaves orders out of its lists now and then. Once a day the report of all orders, which is
made elsewhere, is laid beside what a sweep was shown: what it names besides is read by id.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from connectors.amazon.client import Client
from connectors.amazon.cursors import Cursor, stamp
from connectors.amazon.faults import Denied
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment, read_json

ORDERS: Final = "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_LAST_UPDATE_GENERAL"
WAIT_SECONDS_MAX: Final = 600.0
PAUSE_SECONDS: Final = 2.0
PAUSE_SECONDS_MAX: Final = 30.0
MARKETPLACES_MAX: Final = 25
#: what a report is written in when it does not say and is no UTF-8
_LEGACY: Final = {"A1VC38T7YXB528": "cp932"}
_LEGACY_ELSEWHERE: Final = "cp1252"

#: what is stored beside the tokens: the report of orders asked for, and when
ASKED: Final = "orders_report"
PERIOD: Final = timedelta(days=1)
SHOWN_MAX: Final = 200_000
UNLISTED_MAX: Final = 500
ORDER_ID: Final = re.compile(r"[A-Z0-9]{3}-\d{7}-\d{7}", re.ASCII)
#: orders of other shops that Amazon only ships
ELSEWHERE: Final = "non-amazon"
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "order_id": ("amazon-order-id", "order-id"),
    "changed_at": ("last-updated-date",),
    "sold_at": ("sales-channel",),
}


class Failed(sdk.ChannelDown):
    """Amazon gave the report up."""


def report_of(client: Client, kind: str, marketplace_id: str, what: str) -> bytes:
    """Have a report made and wait for it; empty where there is nothing to report."""
    report_id = ask(client, kind, [marketplace_id])
    waited, pause = 0.0, PAUSE_SECONDS
    while waited < WAIT_SECONDS_MAX:
        body = ready(client, report_id, what)
        if body is not None:
            return body
        client.wait(pause)
        waited, pause = waited + pause, min(pause * 2, PAUSE_SECONDS_MAX)
    raise sdk.RetryLater(
        f"Amazon has not made the report of {what} within {WAIT_SECONDS_MAX:.0f} s: run it again"
    )


def ask(client: Client, kind: str, marketplace_ids: Collection[str], **window: str) -> str:
    """Have a report made; answers its id."""
    asked = client.run(
        "createReport",
        reportType=kind,
        marketplaceIds=list(marketplace_ids)[:MARKETPLACES_MAX],
        priority=sdk.Priority.BULK,
        **window,
    )
    return str(asked.fields["reportId"])


def ready(client: Client, report_id: str, what: str) -> bytes | None:
    """The report, None while Amazon still makes it."""
    report = client.run("getReport", report_id, priority=sdk.Priority.BULK).fields
    status = report["processingStatus"]
    if status == "CANCELLED":  # so Amazon says that there is nothing to report
        return b""
    if status == "FATAL":
        raise Failed(f"Amazon cannot make the report of {what} ({report_id})")
    if status != "DONE":
        return None
    document_id = report.get("reportDocumentId")
    if not document_id:
        raise Failed(f"report {report_id} is done and names no document")
    return client.document_of("getReportDocument", str(document_id), priority=sdk.Priority.BULK)


def decode(body: bytes, marketplace_id: str) -> str:
    """The report's text; the SDK would read UTF-8 as Latin-1."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = _LEGACY.get(marketplace_id, _LEGACY_ELSEWHERE)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise sdk.BadPayload(f"the report is neither UTF-8 nor {encoding}") from error


def rows_of(
    text: str, columns: Mapping[str, tuple[str, ...]], needed: Iterable[str], what: str
) -> list[dict[str, str]]:
    """The rows under our names of the columns; a title nobody knows is said, never guessed."""
    if not text.strip():
        return []
    # Quotes are letters here, and a cell ends at the next tab or line whatever it holds.
    first, *lines = text.replace("\r\n", "\n").split("\n")
    titles = [title.strip().lower() for title in first.split("\t")]
    places = {
        name: titles.index(alias)
        for name, aliases in columns.items()
        for alias in aliases
        if alias in titles
    }
    missing = [name for name in needed if name not in places]
    if missing:
        raise sdk.BadPayload(
            f"the report of {what} has no column for {', '.join(missing)}, only {titles[:40]}"
        )
    rows = (dict(enumerate(line.split("\t"))) for line in lines)
    return [{name: row.get(place, "").strip() for name, place in places.items()} for row in rows]


class OrdersReport:
    """Finds orders that no list shows."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        self._client, self._clock, self._store = client, request.clock, request.tokens
        #: the application lacks the role for it
        self.is_refused = False
        #: what the sweep under way was shown; None where it began before this session did
        self._shown: set[str] | None = None
        #: what was taken from the present report already
        self._taken: set[str] = set()

    def note(self, order_ids: Iterable[str], *, is_first: bool) -> None:
        """Remember what a page of the sweep showed."""
        if is_first:
            self._shown = set()
        if self._shown is not None:
            self._shown.update(order_ids)
            if len(self._shown) > SHOWN_MAX:
                self._shown = None

    def unlisted(self, place: Cursor, marketplace_ids: Collection[str]) -> tuple[str, ...]:
        """At the end of a list: what the day's report names of its window and it did not show."""
        if self._shown is None:
            return ()
        try:
            return self._unlisted(place, self._shown, marketplace_ids)
        except (sdk.FixAccount, sdk.FixData, sdk.Bug, Failed) as error:
            self._save("", self._clock.now())  # tomorrow anew: the lists must not wait for it
            self.is_refused = isinstance(error, Denied)
            if not self.is_refused:
                raise
        except sdk.RetryLater:
            pass  # at the end of the next sweep again
        return ()

    def _unlisted(
        self, place: Cursor, shown: Collection[str], marketplace_ids: Collection[str]
    ) -> tuple[str, ...]:
        state = read_json(self._store.load().get(ASKED, "{}").encode())
        end = place.echoed or place.before or stamp(self._client.now())
        window = {"dataStartTime": str(place.after), "dataEndTime": end}
        now = self._clock.now()
        at = datetime.fromisoformat(state["at"]) if state else now - PERIOD
        if now - at >= PERIOD:
            self._save(ask(self._client, ORDERS, marketplace_ids, **window), now)
            self._taken = set()
            return ()
        body = ready(self._client, state["id"], "orders") if state["id"] else None
        if body is None:
            return ()
        self.is_refused = False
        # Ids, times and shops are plain letters, whatever a marketplace writes the rest in.
        text = body.removeprefix(BOM_UTF8).decode("latin-1")
        named = {
            row["order_id"]
            for row in rows_of(text, _COLUMNS, ["order_id"], "orders")
            if ORDER_ID.fullmatch(row["order_id"])
            and not row.get("sold_at", "").lower().startswith(ELSEWHERE)
            and _is_within(row.get("changed_at", ""), window)
        }
        left = sorted(named.difference(shown, self._taken))
        self._taken.update(left[:UNLISTED_MAX])
        if len(left) <= UNLISTED_MAX:  # else the next sweep goes on with it
            self._save("", at)
        return tuple(left[:UNLISTED_MAX])

    def _save(self, report_id: str, at: datetime) -> None:
        state = json.dumps({"id": report_id, "at": at.isoformat()})
        with self._store.locked():
            self._store.save({**self._store.load(), ASKED: state})


def _is_within(changed_at: str, window: Mapping[str, str]) -> bool:
    """True unless the list looked at another time than this."""
    try:
        at = moment(changed_at)
    except (ValueError, sdk.BadPayload):
        return True
    return moment(window["dataStartTime"]) <= at <= moment(window["dataEndTime"])
