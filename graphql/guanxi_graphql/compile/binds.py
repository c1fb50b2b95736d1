"""Bound values of a plan: where each comes from at run time."""

import datetime as dt
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from asyncpg.pgproto import pgproto
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from uuid_utils import uuid7

from guanxi_core.binding import unmark
from guanxi_sdk import Model, Settings
from guanxi_sdk.contributions import Ambient

if TYPE_CHECKING:
    from guanxi_core.platform import Access

Variables = Mapping[str, Any]
Getter = Callable[[Variables], Any]
Late = Callable[[Variables, "Request"], Any]
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

    @property
    def today(self) -> dt.date:
        """The date, in UTC."""
        today: dt.date = self.now.date()
        return today

    @property
    def permissions(self) -> list[str]:
        """What the caller may do, by name."""
        return sorted(self.access.caller.permissions)

    @property
    def plugins(self) -> list[str]:
        """The tenant's plugins, by name."""
        return sorted(self.access.installation.edition.names)


#: Context values by name: which attribute of the request each is, and its SQL type.
_CONTEXT: dict[str, tuple[str, Any]] = {
    "tenant": ("access.installation.tenant.id", sa.Uuid),
    "tenant_name": ("access.installation.tenant.name", sa.Text),
    "currency": ("access.installation.tenant.currency", sa.Text),
    "token": ("access.caller.token_id", sa.Uuid),
    "epoch": ("access.epoch", sa.BigInteger),
    "today": ("today", sa.Date),
    "now": ("now", sa.TIMESTAMP(timezone=True)),
    "caller": ("access.caller.name", sa.Text),
    "caller_id": ("access.caller.user_id", sa.Uuid),
    "permissions": ("permissions", sa.ARRAY(sa.Text)),
    "plugins": ("plugins", sa.ARRAY(sa.Text)),
    "reason": ("reason", sa.Text),
    "origin": ("origin", sa.Text),
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
        self._attributes: dict[str, str] = {}  # of the request, by the name of their placeholder
        self._values: dict[str, Getter] = {}
        self._late: dict[str, Late] = {}
        self._checks: list[Getter] = []

    def context(self, name: str) -> sa.BindParameter[Any]:
        """A value of the request; the same object every time, hence one placeholder."""
        found = self._context.get(name)
        if found is None:
            attribute, type_ = _CONTEXT[name]
            found = self._context[name] = sa.bindparam(f"ctx_{name}", type_=type_)
            self._attributes[f"ctx_{name}"] = attribute
        return found

    def value(self, getter: Getter, type_: Any) -> sa.BindParameter[Any]:
        """A value of the document or of its variables."""
        name = f"v{len(self._values)}"
        self._values[name] = getter
        return sa.bindparam(name, type_=type_)

    def setting(self, settings: type[Settings], name: str, type_: Any) -> sa.BindParameter[Any]:
        """One of the tenant's settings; the same object every time, like a value of the request."""
        key = f"set_{settings.__module__}_{settings.__qualname__}_{name}".replace(".", "_")
        found = self._context.get(key)
        if found is None:
            found = self._context[key] = sa.bindparam(key, type_=type_)
            self._late[key] = lambda _, request: request.access.installation.setting(settings, name)
        return found

    def late(self, getter: Late, type_: Any) -> sa.BindParameter[Any]:
        """A value that needs both the variables and the request."""
        name = f"l{len(self._late)}"
        self._late[name] = getter
        return sa.bindparam(name, type_=type_)

    def new_id(self) -> sa.BindParameter[Any]:
        """A new UUID for each request, spelled, which spares making an object of it."""
        return self.value(lambda _: str(uuid7()), sa.Uuid)

    def check(self, *expressions: Any) -> None:
        """Have wrong values refused although the statement does not hold these expressions."""
        for element in each_of(*expressions):
            if isinstance(element, sa.BindParameter) and element.key in self._values:
                self._checks.append(self._values[element.key])

    def statement(self, statement: Any) -> "Statement":
        """Compile to what the driver takes."""
        for element in each_of(statement):
            if isinstance(element, sa.Select):
                unmark(element)
        return self.unmarked(statement)

    def unmarked(self, statement: Any) -> "Statement":
        """Compile what holds no mark of the ORM any more."""
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        names: Sequence[str] = compiled.positiontup or ()
        attributes, values, late = (
            [name for name in found if name in names]
            for found in (self._attributes, self._values, self._late)
        )
        known = {*attributes, *values, *late}
        constants = [name for name in dict.fromkeys(names) if name not in known]
        order = {name: at for at, name in enumerate((*attributes, *values, *late, *constants))}
        return Statement(
            str(compiled),
            _several(attrgetter, [self._attributes[name] for name in attributes]),
            tuple(self._values[name] for name in values),
            tuple(self._late[name] for name in late),
            tuple(compiled.params[name] for name in constants),
            _several(itemgetter, [order[name] for name in names]),
            tuple(self._checks),
        )


class ImmediateBinds:
    """Puts values into the expression at once: for conditions handed to plugin code."""

    def __init__(self, variables: Variables, request: Request) -> None:
        self._variables = variables
        self._request = request

    def context(self, name: str) -> sa.BindParameter[Any]:
        """A value of the request."""
        attribute, type_ = _CONTEXT[name]
        value = attrgetter(attribute)(self._request)
        return sa.bindparam(None, value, type_=type_, unique=True)

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
    """SQL with positional placeholders and how to fill them.

    Those of the request come first, then those of the variables, those that need both, and those
    that are always the same; ``order`` puts them into the placeholders' order.
    """

    sql: str
    context: Callable[[Request], tuple[Any, ...]]
    values: tuple[Getter, ...]
    late: tuple[Late, ...]
    constants: tuple[Any, ...]
    order: Callable[[list[Any]], Sequence[Any]]
    checks: tuple[Getter, ...] = ()

    def arguments(self, variables: Variables, request: Request) -> Sequence[Any]:
        """The placeholders' values for one request; raises a refusal where one is wrong."""
        for check in self.checks:
            check(variables)
        found = [*self.context(request), *[value(variables) for value in self.values]]
        if self.late:
            found += [value(variables, request) for value in self.late]
        return self.order([*found, *self.constants])


#: What most elements are, with nothing in them.
_LEAVES = (sa.ColumnClause, sa.BindParameter)


def each_of(*expressions: Any) -> Iterator[Any]:
    """The expressions and all that is in them, each once."""
    seen: set[int] = set()
    waiting = list(expressions)
    while waiting:
        element = waiting.pop()
        if id(element) not in seen:
            seen.add(id(element))
            yield element
            if not isinstance(element, _LEAVES):
                waiting.extend(element.get_children())


def _several(get: Callable[..., Any], keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """``get`` of any number of keys, as a tuple, which it makes of two and more only."""
    if not keys:
        return lambda _: ()
    found = get(*keys)
    return found if len(keys) > 1 else lambda of: (found(of),)


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
    """The UUID in ``<prefix>_<uuid>``, or None for anything else, other spellings included.

    The driver's own kind of UUID, which is made in a tenth of the time.
    """
    found = spelled_id(prefix, text)
    return None if found is None else pgproto.UUID(found)


def decode_any(models: Mapping[str, type[Model]], text: Any) -> UUID | None:
    """The UUID in a global id of one of ``models``, or None for anything else."""
    prefix = text.rpartition("_")[0] if isinstance(text, str) else ""
    known = any(model.info.prefix == prefix for model in models.values())
    return decode_id(prefix, text) if known else None
