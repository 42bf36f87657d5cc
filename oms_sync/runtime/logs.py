"""Logs: structlog and the standard library's loggers, through one sieve, to one stream.

One record is one line. Other libraries' loggers pass too, at every level, but say only what cannot
hold a secret or a buyer: where they logged, and the literal part of the message.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog

from oms_sync.runtime.redaction import Redactor, reason_of
from oms_sync.sdk import Clock

FRAMES_MAX: Final = 12
CAUSES_MAX: Final = 5

#: libraries whose messages are about this machine alone and are shown, sieved; all others'
#: messages may quote what a channel sent
TRUSTED_LOGGERS: Final = frozenset({"alembic", "apscheduler", "uvicorn"})
#: these tell of every timer that fires, of every call: below a warning at level debug only
CHATTY_LOGGERS: Final = ("apscheduler", "httpx")

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_FIRST: Final = ("timestamp", "level", "event")
_PLAIN_EXTRA: Final = "\"'=\\ "


class LogOutput:
    """Where lines go. A stream that is gone costs lines, never the hub; how many is counted."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()
        #: lines the stream did not take
        self.lost = 0

    def write(self, line: str) -> None:
        """Write one line."""
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                self.lost += 1


Render = Callable[[Mapping[str, Any]], str]


class LogPipe:
    """From a record to a line: the one way out for structlog and for the standard library."""

    def __init__(
        self, *, redactor: Redactor, clock: Clock, render: Render, output: LogOutput
    ) -> None:
        self._redactor, self._clock = redactor, clock
        self._render, self._output = render, output

    def process_event(
        self, _: Any, method: str, fields: MutableMapping[str, Any]
    ) -> tuple[tuple[str], dict[str, Any]]:
        """The last structlog processor: the finished line."""
        event = self._redactor.text(str(fields.pop("event", "")))
        level = "error" if method == "exception" else method
        error = _error_of(fields.pop("exc_info", None))
        fields.pop("stack_info", None)
        shown = self._redactor.record(_without_words_of(error, fields))
        trace = _trace(error, self._redactor)
        return (self._line(level, event, shown | trace),), {}

    def write_record(self, record: logging.LogRecord) -> None:
        """A record of some library's logger."""
        shown: dict[str, Any] = {"logger": self._redactor.text(record.name)}
        shown["place"] = self._redactor.text(f"{PurePath(record.pathname).name}:{record.lineno}")
        shown["text"] = self._message(record)
        shown |= _trace(_error_of(record.exc_info), self._redactor)
        self._output.write(self._line(record.levelname.lower(), "library.logged", shown))

    def _message(self, record: logging.LogRecord) -> str:
        if record.name.partition(".")[0] in TRUSTED_LOGGERS:
            try:
                return self._redactor.text(record.getMessage())
            except (TypeError, ValueError, KeyError):
                return "[message that does not fit its arguments]"
        # With arguments the message is a literal of the library's code; without, it may have been
        # put together from anything.
        return self._redactor.text(str(record.msg)) if record.args else "[withheld]"

    def _line(self, level: str, event: str, shown: Mapping[str, Any]) -> str:
        stamp = self._clock.now().astimezone(UTC)
        return self._render(
            {"timestamp": _show_time(stamp), "level": level, "event": event, **shown}
        )


class _Writer:
    """What structlog calls at the end of a log call, whatever the level's method is named."""

    def __init__(self, output: LogOutput) -> None:
        self._output = output

    def __getattr__(self, _: str) -> Callable[[str], None]:
        return self._output.write


class _LibraryHandler(logging.Handler):
    def __init__(self, pipe: LogPipe) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        self._pipe.write_record(record)


def set_up_logs(
    *,
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["console", "json"],
    clock: Clock,
    redactor: Redactor,
    stream: TextIO | None = None,
) -> LogOutput:
    """Send every log record of this process through the sieve to `stream` (standard error).

    Calling it again replaces what was set up before.
    """
    target = sys.stderr if stream is None else stream
    render = render_json if form == "json" else _console(is_coloured=target.isatty())
    output = LogOutput(target)
    pipe = LogPipe(redactor=redactor, clock=clock, render=render, output=output)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, pipe.process_event],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Writer(output),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _LibraryHandler | logging.StreamHandler):
            root.removeHandler(handler)
    root.addHandler(_LibraryHandler(pipe))
    root.setLevel(_LEVELS[level])
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(
            _LEVELS[level] if level == "debug" else max(_LEVELS[level], logging.WARNING)
        )
    for name in list(logging.root.manager.loggerDict):
        _route(logging.getLogger(name))
    logging.captureWarnings(capture=True)
    return output


def _route(logger: logging.Logger) -> None:
    """Take away handlers that would write past the sieve."""
    for handler in list(logger.handlers):
        if not isinstance(handler, logging.NullHandler):
            logger.removeHandler(handler)
    logger.propagate = True


def _error_of(exc_info: Any) -> BaseException | None:
    if exc_info is True or exc_info == ():
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    return error if isinstance(error, BaseException) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(CAUSES_MAX):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _without_words_of(error: BaseException | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """`reason=str(error)` is easily written; of a stranger's exception the type alone is shown."""
    shown = dict(fields)
    for each in _chain(error):
        words, reason = str(each), reason_of(each)
        for key, value in shown.items():
            if words and words not in reason and isinstance(value, str) and words in value:
                shown[key] = reason
    return shown


def _trace(error: BaseException | None, redactor: Redactor) -> dict[str, str]:
    parts = [f"{redactor.error(each)} ({_frames(each.__traceback__)})" for each in _chain(error)]
    return {"exception": " <- ".join(parts)} if parts else {}


def _frames(trace: TracebackType | None) -> str:
    places: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{'/'.join(PurePath(code.co_filename).parts[-2:])}:{trace.tb_lineno}")
        trace = trace.tb_next
    left_out = ["…"] if len(places) > FRAMES_MAX else []
    return " > ".join(left_out + places[-FRAMES_MAX:])


def _show_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def render_json(record: Mapping[str, Any]) -> str:
    """One JSON object, ASCII only."""
    return json.dumps(record, ensure_ascii=True, default=str)


def _console(*, is_coloured: bool) -> Render:
    def render(record: Mapping[str, Any]) -> str:
        level, event = str(record["level"]), str(record["event"])
        rest = [f"{key}={_quoted(value)}" for key, value in record.items() if key not in _FIRST]
        head = f"{level:<8}"
        if is_coloured:
            head = f"\x1b[{_COLOURS.get(level, '0')}m{head}\x1b[0m"
            event = f"\x1b[1m{event}\x1b[0m"
        return " ".join([str(record["timestamp"]), head + event, *rest])

    return render


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if text and not any(each in _PLAIN_EXTRA for each in text):
        return text
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) else text
