"""OpenTelemetry traces, switched on by the standard ``OTEL_*`` variables.

Whether there are any is decided once, when a process starts: without, a span costs a comparison.
Spans name kinds, methods and ids; never variables, values, SQL or messages of exceptions.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from guanxi_sdk import Refusal

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_PARENT: Final = ("traceparent", "tracestate")

_tracer: "Tracer | None" = None
_provider: Any = None


class TracesUnavailable(Exception):
    """Traces are asked for and cannot be made; the message says what to do."""


def wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment asks for traces."""
    environ = os.environ if environ is None else environ
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get(_EXPORTER, "").strip().lower()
    return exporter != "none" and bool(exporter or any(environ.get(name) for name in _ENDPOINTS))


def fault(environ: Mapping[str, str] | None = None) -> str | None:
    """Why the traces that the environment asks for cannot be made; None if they can."""
    environ = os.environ if environ is None else environ
    exporter = environ.get(_EXPORTER, "").strip().lower() or "otlp"
    if exporter not in ("otlp", "console"):
        return f"{_EXPORTER}={exporter} is not known here: use otlp or console."
    if not _installed("opentelemetry.sdk.trace"):
        return "OTEL_* variables ask for traces: pip install 'guanxi[traces]', or unset them."
    if exporter == "otlp":
        protocol = (
            environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or "http/protobuf"
        )
        if protocol != "http/protobuf":
            return f"the protocol {protocol} is not supported: use http/protobuf."
        if not _installed("opentelemetry.exporter.otlp.proto.http"):
            return "OTEL_* variables ask for traces: pip install 'guanxi[traces]', or unset them."
    return None


def start() -> bool:
    """Make traces if the environment asks for them; returns whether it does.

    Raises :class:`TracesUnavailable` where they cannot be made. To be called in the process that
    serves, because what sends spans is a thread.
    """
    global _provider
    if not wanted() or _provider is not None:
        return _provider is not None
    if reason := fault():
        raise TracesUnavailable(reason)
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    if os.environ.get(_EXPORTER, "").strip().lower() == "console":
        exporter: Any = ConsoleSpanExporter()
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "guanxi"}
    _provider = TracerProvider(resource=Resource.create(named))
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(_provider)
    use(_provider)
    return True


@asynccontextmanager
async def making() -> AsyncIterator[None]:
    """Make traces while the block runs, where the environment asks for them and they can be had."""
    try:
        start()
    except TracesUnavailable as error:
        structlog.get_logger("guanxi.traces").error("there are no traces", reason=str(error))
    try:
        yield
    finally:
        await asyncio.to_thread(stop)


def stop() -> None:
    """Send what is left."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None
        use(None)


def use(provider: "TracerProvider | None") -> None:
    """Make spans with ``provider`` from now on, or none."""
    global _tracer
    _tracer = None if provider is None else provider.get_tracer("guanxi")


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


class _NoSpan:
    """What stands for a span when there are none."""

    __slots__ = ()

    def __enter__(self) -> "_NoSpan":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    async def __aenter__(self) -> "_NoSpan":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def rename(self, name: str) -> None:
        """Do nothing."""

    def set(self, **attributes: Any) -> None:
        """Do nothing."""

    def fail(self, kind: str) -> None:
        """Do nothing."""


class _Span:
    """A span that is the current one while its block runs; an error is told by its class."""

    __slots__ = ("_answers", "_attributes", "_context", "_kind", "_name", "_span", "_token")

    def __init__(
        self,
        name: str,
        kind: str,
        attributes: Mapping[str, Any],
        context: Any = None,
        answers: type[BaseException] = Refusal,
    ) -> None:
        self._answers = answers
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._context = context

    def __enter__(self) -> Self:
        from opentelemetry import context, trace

        assert _tracer is not None  # noqa: S101
        self._span: Span = _tracer.start_span(
            self._name, self._context, trace.SpanKind[self._kind],
            {key: value for key, value in self._attributes.items() if value is not None},
        )  # fmt: skip
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def rename(self, name: str) -> None:
        """Call it so, now that more is known."""
        self._span.update_name(name)

    def set(self, **attributes: Any) -> None:
        """Add what is known by now."""
        for key, value in _dotted(attributes).items():
            if value is not None:
                self._span.set_attribute(key, value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace_back: TracebackType | None,
    ) -> None:
        from opentelemetry import context

        context.detach(self._token)
        if error is not None and not isinstance(error, self._answers):
            self.fail(type(error).__qualname__)
        self._span.end()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace_back: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace_back)

    def fail(self, kind: str) -> None:
        """It ended with an error of this kind."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR))
        self._span.set_attribute("error.type", kind)


OFF: Final = _NoSpan()
AnySpan = _Span | _NoSpan


def span(name: str, answers: type[BaseException] = Refusal, **attributes: Any) -> AnySpan:
    """A span of what the block does; ``__`` in an attribute's name stands for a dot.

    What is raised marks it as failed, unless it is one of ``answers``.
    """
    if _tracer is None:
        return OFF
    return _Span(name, "INTERNAL", _dotted(attributes), answers=answers)


def answering(plugin: str, hook: str) -> AnySpan:
    """The span of a plugin's answer to a hook."""
    if _tracer is None:
        return OFF
    return span(f"{plugin}.{hook}", guanxi__plugin=plugin, guanxi__hook=hook)


def delivery(name: str, **attributes: Any) -> AnySpan:
    """The span of an event or schedule that reaches its handler."""
    return OFF if _tracer is None else _Span(name, "CONSUMER", _dotted(attributes))


def statement(sql: str) -> AnySpan:
    """The span of one SQL statement, called by its first word."""
    if _tracer is None:
        return OFF
    verb = sql.split(None, 1)[0].rstrip(";").upper()[:16] if sql.strip() else "SQL"
    attributes = {"db.system.name": "postgresql", "db.operation.name": verb}
    return _Span(verb, "CLIENT", attributes)


def request(headers: Mapping[bytes, bytes], method: str, scheme: str) -> AnySpan:
    """The span of one request, below that of its client if there is one."""
    if _tracer is None:
        return OFF
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {
        name: headers[name.encode()].decode("latin-1")
        for name in _PARENT
        if name.encode() in headers
    }
    attributes = {
        "http.request.method": method, "http.route": "/graphql", "url.path": "/graphql",
        "url.scheme": scheme,
    }  # fmt: skip
    context = TraceContextTextMapPropagator().extract(carrier)
    return _Span(f"{method} /graphql", "SERVER", attributes, context)


def current_trace() -> str | None:
    """The id of the trace that this task belongs to."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def _dotted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("__", "."): value for key, value in attributes.items()}


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
