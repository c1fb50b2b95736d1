"""Bound values of a plan: where each comes from at run time."""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from uuid_utils import uuid7

from guanxi_core.binding import unmark
from guanxi_sdk import Model, Settings
from guanxi_sdk.contributions import Ambient

if TYPE_CHECKING:
    from guanxi_core.platform import Access

Variables = Mapping[str, Any]
Getter = Callable[[Variables], Any]
#: What `Ambient.once` calls.
Share = Callable[[Hashable, Any], Any]


@dataclass(slots=True)
class Request:
    """What a plan's context values are read from."""

    access: "Access"
    now: Any
    reason: str | None = None
    origin: str | None = None
    locale: str = "en"
    variables: Mapping[str, Any] = field(default_factory=dict)


#: Context values by name: how to read them, and their SQL type.
_CONTEXT: dict[str, tuple[Callable[[Request], Any], Any]] = {
    "tenant": (lambda r: r.access.installation.tenant.id, sa.Uuid),
    "tenant_name": (lambda r: r.access.installation.tenant.name, sa.Text),
    "currency": (lambda r: r.access.installation.tenant.currency, sa.Text),
    "token": (lambda r: r.access.caller.token_id, sa.Uuid),
    "epoch": (lambda r: r.access.epoch, sa.BigInteger),
    "today": (lambda r: r.now.date(), sa.Date),
    "now": (lambda r: r.now, sa.TIMESTAMP(timezone=True)),
    "caller": (lambda r: r.access.caller.name, sa.Text),
    "caller_id": (lambda r: r.access.caller.user_id, sa.Uuid),
    "permissions": (lambda r: sorted(r.access.caller.permissions), sa.ARRAY(sa.Text)),
    "plugins": (lambda r: sorted(r.access.installation.edition.names), sa.ARRAY(sa.Text)),
    "reason": (lambda r: r.reason, sa.Text),
    "origin": (lambda r: r.origin, sa.Text),
}


class Binds(Protocol):
    """How filters turn values into SQL."""

    def context(self, name: str) -> sa.BindParameter[Any]:
        """A value of the request, for instance ``tenant``."""
        ...

    def value(self, getter: Getter, type_: Any) -> sa.BindParameter[Any]:
        """A value of the document or of its variables."""
        ...

    def setting(self, settings: type[Settings], name: str, type_: Any) -> sa.BindParameter[Any]:
        """One of the tenant's settings of a plugin."""
        ...


class PlanBinds:
    """Collects the binds of one plan."""

    def __init__(self) -> None:
        self._context: dict[str, sa.BindParameter[Any]] = {}
        self._getters: dict[str, Callable[[Variables, Request], Any]] = {}
        self._checks: list[Callable[[Variables, Request], Any]] = []

    def context(self, name: str) -> sa.BindParameter[Any]:
        """A value of the request; the same object every time, hence one placeholder."""
        found = self._context.get(name)
        if found is None:
            getter, type_ = _CONTEXT[name]
            found = self._context[name] = sa.bindparam(f"ctx_{name}", type_=type_)
            self._getters[f"ctx_{name}"] = lambda _, request: getter(request)
        return found

    def value(self, getter: Getter, type_: Any) -> sa.BindParameter[Any]:
        """A value of the document or of its variables."""
        name = f"v{len(self._getters)}"
        self._getters[name] = lambda variables, _: getter(variables)
        return sa.bindparam(name, type_=type_)

    def setting(self, settings: type[Settings], name: str, type_: Any) -> sa.BindParameter[Any]:
        """One of the tenant's settings; the same object every time, like a value of the request."""
        key = f"set_{settings.__module__}_{settings.__qualname__}_{name}".replace(".", "_")
        found = self._context.get(key)
        if found is None:
            found = self._context[key] = sa.bindparam(key, type_=type_)
            self._getters[key] = lambda _, request: request.access.installation.setting(
                settings, name
            )
        return found

    def late(
        self, getter: Callable[[Variables, Request], Any], type_: Any
    ) -> sa.BindParameter[Any]:
        """A value that needs both the variables and the request."""
        name = f"v{len(self._getters)}"
        self._getters[name] = getter
        return sa.bindparam(name, type_=type_)

    def new_id(self) -> sa.BindParameter[Any]:
        """A new UUID for each request, spelled, which spares making an object of it."""
        return self.late(lambda _variables, _request: str(uuid7()), sa.Uuid)

    def check(self, *expressions: Any) -> None:
        """Have wrong values refused although the statement does not hold these expressions."""
        for element in each_of(*expressions):
            if isinstance(element, sa.BindParameter) and element.key in self._getters:
                self._checks.append(self._getters[element.key])

    def statement(self, statement: Any) -> "Statement":
        """Compile to what the driver takes."""
        for element in each_of(statement):
            if isinstance(element, sa.Select):
                unmark(element)
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        constants = compiled.params
        getters = tuple(
            self._getters.get(name) or _constant(constants[name])
            for name in compiled.positiontup or ()
        )
        return Statement(str(compiled), getters, tuple(self._checks))


class ImmediateBinds:
    """Puts values into the expression at once: for conditions handed to plugin code."""

    def __init__(self, variables: Variables, request: Request) -> None:
        self._variables = variables
        self._request = request

    def context(self, name: str) -> sa.BindParameter[Any]:
        """A value of the request."""
        getter, type_ = _CONTEXT[name]
        return sa.bindparam(None, getter(self._request), type_=type_, unique=True)

    def value(self, getter: Getter, type_: Any) -> sa.BindParameter[Any]:
        """A value of the document or of its variables."""
        return sa.bindparam(None, getter(self._variables), type_=type_, unique=True)

    def setting(self, settings: type[Settings], name: str, type_: Any) -> sa.BindParameter[Any]:
        """One of the tenant's settings."""
        value = self._request.access.installation.setting(settings, name)
        return sa.bindparam(None, value, type_=type_, unique=True)


def ambient(binds: Binds, share: Share = lambda _, expression: expression) -> Ambient:
    """What SQL fields and policies may refer to."""
    return Ambient(
        tenant_id=binds.context("tenant"),
        today=binds.context("today"),
        currency=binds.context("currency"),
        user_id=binds.context("caller_id"),
        permissions=binds.context("permissions"),
        bind_setting=binds.setting,
        share=share,
    )


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with positional placeholders and how to fill them."""

    sql: str
    getters: tuple[Callable[[Variables, Request], Any], ...]
    checks: tuple[Callable[[Variables, Request], Any], ...] = ()

    def arguments(self, variables: Variables, request: Request) -> list[Any]:
        """The placeholders' values for one request; raises a refusal where one is wrong."""
        for check in self.checks:
            check(variables, request)
        return [getter(variables, request) for getter in self.getters]


def each_of(*expressions: Any) -> Iterator[Any]:
    """The expressions and all that is in them, each once."""
    seen: set[int] = set()
    waiting = list(expressions)
    while waiting:
        element = waiting.pop()
        if id(element) not in seen:
            seen.add(id(element))
            yield element
            waiting.extend(element.get_children())


def _constant(value: Any) -> Callable[[Variables, Request], Any]:
    return lambda _variables, _request: value


_DIALECT: Any = asyncpg_dialect()  # type: ignore[no-untyped-call]


_SPELLED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def spelled_id(prefix: str, text: Any) -> str | None:
    """The UUID in ``<prefix>_<uuid>`` as it is written, or None for anything else.

    The driver takes it like this, which spares making an object of it.
    """
    if isinstance(text, str) and text.startswith(prefix + "_"):
        uuid = text[len(prefix) + 1 :]
        if _SPELLED.fullmatch(uuid):
            return uuid
    return None


def decode_id(prefix: str, text: Any) -> UUID | None:
    """The UUID in ``<prefix>_<uuid>``, or None for anything else, other spellings included."""
    found = spelled_id(prefix, text)
    return None if found is None else UUID(found)


def decode_any(models: Mapping[str, type[Model]], text: Any) -> UUID | None:
    """The UUID in a global id of one of ``models``, or None for anything else."""
    prefix = text.rpartition("_")[0] if isinstance(text, str) else ""
    known = any(model.info.prefix == prefix for model in models.values())
    return decode_id(prefix, text) if known else None
