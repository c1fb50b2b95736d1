"""Structured logs: each line on stderr is one JSON object, or a line for people on a terminal.

Everything that logs comes through here: guanxi, its plugins, the server, the drivers, warnings, and
what nobody caught.
"""

import logging
import logging.config
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter

from guanxi_core.telemetry import traces
from guanxi_core.telemetry.activity import CURRENT
from guanxi_core.telemetry.errors import describe, render
from guanxi_core.telemetry.redaction import redacted

#: Whose lines below WARNING are written. Others would tell of addresses and headers.
_OURS: Final = ("guanxi", "guanxi_core", "guanxi_graphql", "guanxi_sdk")
#: Loggers whose events go on, after the first line, with an exception and its message.
_SPELLING_OUT: Final = ("asyncio", "_granian")

#: For Granian, whose own handlers would write to stdout: what it says comes to ours.
GRANIAN: Final[dict[str, Any]] = {
    "handlers": {},
    "loggers": {
        name: {"handlers": [], "level": "WARNING", "propagate": True}
        for name in ("_granian", "granian.access")
    },
}

Entry = MutableMapping[str, Any]


def _add_activity(_: Any, __: str, entry: Entry) -> Entry:
    """Which request of which tenant it was, and its trace."""
    activity = CURRENT.get()
    if activity is not None:
        if activity.request_id is not None:
            entry.setdefault("request_id", activity.request_id)
        if activity.tenant is not None:
            entry.setdefault("tenant", str(activity.tenant))
    if (trace := traces.current_trace()) is not None:
        entry.setdefault("trace_id", trace)
    return entry


#: What every line says of itself, whoever logs it.
_SHARED: Final = (
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    _add_activity,
)


def configure(level: str = "info", form: str = "auto") -> None:
    """Have everything that this process logs written to stderr, whatever was set up before."""
    handler = _Stderr()
    terminal = form == "text" or (form == "auto" and sys.stderr.isatty())
    whole = level == "debug" or (terminal and sys.stderr.isatty())
    handler.setFormatter(formatter(whole=whole, terminal=terminal))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
    for name in GRANIAN["loggers"]:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def formatter(*, whole: bool = False, terminal: bool = False) -> logging.Formatter:
    """What makes a line of a record: JSON, or text for a ``terminal``.

    Messages of exceptions are told only where it is to be ``whole``.
    """
    return _Formatter(
        foreign_pre_chain=_SHARED,
        processors=[
            ProcessorFormatter.remove_processors_meta,
            _Exceptions(whole),
            _redact,
            structlog.dev.ConsoleRenderer(timestamp_key="time", colors=sys.stderr.isatty())
            if terminal
            else _render,
        ],
    )


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the time; a reader that went away ends nothing."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is logging's
        """Say that a line could not be written, and no more: it may hold anything."""
        if not isinstance(sys.exc_info()[1], OSError):
            sys.stderr.write('{"level": "error", "event": "a line could not be logged"}\n')


class _Formatter(ProcessorFormatter):
    """Exceptions among the arguments of a line are described, not spelled out."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple):
            record = logging.makeLogRecord(record.__dict__)
            record.args = tuple(_argument(value) for value in record.args or ())
        return super().format(record)


def _argument(value: Any) -> Any:
    return describe(value) if isinstance(value, BaseException) else value


class _Exceptions:
    """What is told of an exception, see :mod:`guanxi_core.telemetry.errors`."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole

    def __call__(self, _: Any, __: str, entry: Entry) -> Entry:
        raised = entry.pop("exc_info", None)
        if raised is True:
            raised = sys.exc_info()
        if isinstance(raised, tuple):
            raised = raised[1]
        if isinstance(raised, BaseException):
            entry["exception"] = render(raised, whole=self._whole)
        if str(entry.get("logger")).startswith(_SPELLING_OUT) and not self._whole:
            entry["event"] = entry["event"].partition("\n")[0]
        for key, value in entry.items():
            if isinstance(value, BaseException):
                entry[key] = describe(value)
        return entry


def _redact(_: Any, __: str, entry: Entry) -> Mapping[str, Any]:
    found: Mapping[str, Any] = redacted(entry)
    return found


_FIRST: Final = ("time", "level", "logger", "event")
_json = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


def _render(logger: Any, name: str, entry: Entry) -> str | bytes:
    ordered = {key: entry[key] for key in _FIRST if key in entry}
    return _json(logger, name, ordered | dict(entry))


def _uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    logging.getLogger("guanxi").critical("nobody caught an exception", exc_info=error)


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        logging.getLogger("guanxi").error("a thread failed", exc_info=given.exc_value)
