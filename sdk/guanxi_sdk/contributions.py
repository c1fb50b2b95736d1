"""Decorators by which a plugin's methods join the schema, the hooks and the events."""

import datetime as dt
import inspect
import typing
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Final, Generic, Literal, TypeVar

import sqlalchemy as sa

from guanxi_sdk._checking import (
    check_columns,
    check_context,
    check_cron,
    check_entity,
    check_shown,
    described,
)
from guanxi_sdk._docs import words
from guanxi_sdk.access import Confidentiality
from guanxi_sdk.errors import PluginError
from guanxi_sdk.events import split
from guanxi_sdk.model import Extension, Model
from guanxi_sdk.values import Event, Permission, Settings

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
M = TypeVar("M", bound=Model)

Semantics = Literal["collect", "first", "chain", "veto"]


@dataclass(frozen=True, slots=True)
class SQLMoney:
    """What an SQL field of type Money returns: minor units and currency as expressions."""

    minor: sa.ColumnElement[int]
    currency: sa.ColumnElement[str]


if typing.TYPE_CHECKING:
    #: Return annotation of an SQL field: ``-> SQL[Money]`` promises an expression of that type.
    SQL = sa.ColumnElement[T] | SQLMoney  # checkers cannot say "SQLMoney if T is Money"
else:
    SQL = typing.Annotated[sa.ColumnElement[T], "sql"]


@dataclass(frozen=True, slots=True)
class Ambient:
    """What SQL fields and policies may refer to; each attribute is a bound value of the request."""

    tenant_id: sa.ColumnElement[Any]
    today: sa.ColumnElement[Any]  # date in UTC by the request's clock
    currency: sa.ColumnElement[str]  # the tenant's own currency
    user_id: sa.ColumnElement[Any]  # of the user who asks; null for a token without a user
    permissions: sa.ColumnElement[Any] = dataclass_field(
        default_factory=lambda: sa.bindparam("permissions", type_=sa.ARRAY(sa.Text))
    )  # names of the caller's, whatever rows they reach
    bind_setting: Callable[[type[Settings], str, Any], sa.ColumnElement[Any]] = (
        lambda _, name, type_: sa.bindparam(f"setting_{name}", type_=type_)
    )
    share: Callable[[Hashable, Any], Any] = lambda _, expression: expression

    def once(self, name: Hashable, expression: sa.ColumnElement[T]) -> sa.ColumnElement[T]:
        """An expression of which several SQL fields of the plugin are made.

        Where a row is asked for more than one of them, it is worked out once. Whatever bears the
        same ``name`` must mean the same: ``ambient.once(("key_score", as_of), …)``.
        """
        shared: sa.ColumnElement[T] = self.share(name, expression)
        return shared

    def may(self, permission: Permission | str) -> sa.ColumnElement[bool]:
        """Whether the caller has a permission, to some rows at least.

        For a field that is made of what several plugins keep: it says in ``needs`` one permission,
        and here the others.
        """
        name = permission if isinstance(permission, str) else permission.name
        return sa.literal(name, sa.Text) == sa.any_(self.permissions)

    def setting(self, settings: type[Settings], name: str) -> sa.ColumnElement[Any]:
        """One of the tenant's settings: ``ambient.setting(NotesSettings, "max_length")``.

        Plans are shared by tenants, so that ``self.settings`` is none of theirs. A tuple of choices
        or texts is an array, for ``sa.any_(…)``.
        """
        return self.bind_setting(settings, name, setting_type(settings, name))


_SETTING_TYPES: Final[dict[Any, Any]] = {
    bool: sa.Boolean, int: sa.Integer, float: sa.Float(53), dt.date: sa.Date,
}  # fmt: skip


def setting_type(settings: type[Settings], name: str) -> Any:
    """The SQL type of a setting: that of a number, a truth, a date, a text or an array of texts."""
    annotation = typing.get_type_hints(settings)[name]
    if typing.get_origin(annotation) is tuple:
        return sa.ARRAY(sa.Text)
    return _SETTING_TYPES.get(annotation, sa.Text)


@dataclass(frozen=True, slots=True)
class Where(Generic[M]):
    """A caller's filter on a model, ready for ``select(Customer).where(where.condition)``."""

    model: type[M]
    condition: sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a contributed field."""

    name: str
    annotation: Any
    default: Any  # inspect.Parameter.empty where it must be given
    description: str = ""

    @property
    def required(self) -> bool:
        """Whether the caller must give it."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Contribution:
    """A method of a plugin that the schema, the hooks or the events use."""

    kind: Literal[
        "field",
        "sql_field",
        "policy",
        "query",
        "mutation",
        "subscription",
        "on",
        "schedule",
        "hookimpl",
    ]
    name: str
    description: str
    function: Callable[..., Any]
    model: type[Model] | None = None  # of a field, and of an event that is about rows
    models: tuple[type[Model], ...] = ()  # of a policy; those that an answer is about
    needs: Permission | None = None
    confidentiality: Confidentiality | None = None  # None: that of the columns it is made of
    columns: tuple[str, ...] | None = None  # of the parent, for a batch field
    event: type[Event] | None = None
    cron: str | None = None
    deadline: float | None = None  # seconds, for handlers and schedules
    outside: bool = False  # a handler without a transaction
    arguments: tuple[Argument, ...] = ()
    returns: Any = None
    options: dict[str, Any] = dataclass_field(default_factory=dict)


#: The kinds that are fields of the schema.
SHOWN: typing.Final = ("field", "sql_field", "query", "mutation", "subscription")
_MARK = "__guanxi_contribution__"


def _mark(function: Any, **values: Any) -> Any:
    setattr(function, _MARK, values)
    return function


def field(
    model: type[Model],
    *,
    needs: Permission | None = None,
    columns: tuple[str, ...] | None = None,
    confidentiality: Confidentiality | None = None,
) -> Callable[[F], F]:
    """Add a field to ``model``, computed in Python for a whole batch of parents at once.

    ``async def notes(self, ctx, contacts: Sequence[Contact]) -> list[list[Note]]`` gets the parents
    and answers one result each, in the same order. ``columns`` names the attributes it reads (all
    of the model's when left out). Further parameters become arguments. The result is as
    confidential as the most confidential of these columns, unless ``confidentiality`` says more
    or less.
    """
    return lambda function: _mark(
        function, kind="field", model=model, needs=needs, columns=columns,
        confidentiality=confidentiality,
    )  # fmt: skip


def sql_field(
    model: type[Model],
    *,
    needs: Permission | None = None,
    confidentiality: Confidentiality | None = None,
) -> Callable[[F], F]:
    """Add a field to ``model`` that is an SQL expression, so that it compiles, filters and sorts.

    ``def purchase_total(customer, ambient: Ambient) -> SQL[Money]`` is a plain function in the
    plugin's class body (no ``self``): it is called once per plan with an alias of the model and
    returns an expression. Further parameters become arguments; they arrive as bound values, or as
    None where the caller left them out. Of the models it reads it finds the rows that the caller
    may see. The result is as confidential as the most confidential column in the expression, unless
    ``confidentiality`` says more or less.
    """
    return lambda function: _mark(
        function, kind="sql_field", model=model, needs=needs, confidentiality=confidentiality
    )


def policy(*models: type[Model]) -> Callable[[F], F]:
    """Say what the scopes of a permission mean for the plugin's own ``models``.

    ``def customer_rows(customer, scope: Scope, ambient: Ambient) -> sa.ColumnElement[bool]`` is a
    plain function in the plugin's class body (no ``self``). It is called with an alias of the model
    for each scope narrower than ``all`` that the caller holds, and returns which rows that scope
    takes in. A fourth parameter ``writes``, if taken, tells whether rows are to be changed.

    A model without a policy, and not ``within`` one that has, has no rows for such a caller.
    """
    return lambda function: _mark(function, kind="policy", models=models)


def query(*, needs: Permission | None = None) -> Callable[[F], F]:
    """Add a root query field: ``async def method(self, ctx, …) -> Result``."""
    return lambda function: _mark(function, kind="query", needs=needs)


def mutation(*, needs: Permission | None = None) -> Callable[[F], F]:
    """Add a mutation: ``async def add_note(self, ctx, contact_id: UUID, body: str) -> Note``.

    It runs in one transaction; raising a :class:`Refusal` undoes all of it.
    """
    return lambda function: _mark(function, kind="mutation", needs=needs)


def subscription(event: type[Event], *, needs: Permission | None = None) -> Callable[[F], F]:
    """Add a subscription: what ``event`` amounts to for whoever follows it.

    ``async def tier_changes(self, ctx, events: Sequence[TierChanged]) -> list[Tier | None]`` is
    called after commit with the rights of the subscriber, for a batch of events, and answers one
    result each, in the same order; None is not told. Further parameters become arguments:
    ``where: Where[Customer] | None = None`` lets the subscriber choose. ``ctx`` only reads.

    It takes the permission ``needs``; without one that to read what the event is about.
    """
    kind, model = split(event)
    return lambda function: _mark(
        function, kind="subscription", event=kind, model=model, needs=needs
    )


def on(event: type[Event], *, deadline: float = 30, outside: bool = False) -> Callable[[F], F]:
    """Handle an event after the transaction that emitted it was committed.

    ``async def follow_merge(self, ctx, event: ContactMerged) -> None`` runs in one transaction of
    its own, with all rights in the tenant, for ``deadline`` seconds at most. If it fails it is run
    again later, and again; what it wrote is undone each time.

    ``@on(AnyEvent)`` handles all events. One that waits for other systems says ``outside=True`` and
    takes an :class:`Outside` for ``ctx``, so that it holds up nobody.
    """
    kind, model = split(event)
    return lambda function: _mark(
        function, kind="on", event=kind, model=model, deadline=float(deadline), outside=outside
    )


def schedule(cron: str, *, deadline: float = 600) -> Callable[[F], F]:
    """Run ``async def nightly(self, ctx) -> None`` at the times of a cron expression, in UTC.

    It runs once for each time, in one of all processes, like a handler. What was missed while
    nobody worked is made up for by one run.
    """
    return lambda function: _mark(function, kind="schedule", cron=cron, deadline=float(deadline))


@typing.overload
def hookimpl(function: F) -> F: ...
@typing.overload
def hookimpl(*, about: tuple[type[Model], ...]) -> Callable[[F], F]: ...
def hookimpl(
    function: Callable[..., Any] | None = None, *, about: tuple[type[Model], ...] = ()
) -> Any:
    """Answer the hook of the same name.

    ``@hookimpl(about=(Note,))`` is asked about these models alone, where the hook has an argument
    ``model``: the others cost nothing.
    """

    def decorate(answer: Callable[..., Any]) -> Any:
        return _mark(answer, kind="hookimpl", models=about)

    return decorate if function is None else decorate(function)


def hookspec(semantics: Semantics, *, closed: bool = False) -> Callable[[F], F]:
    """Declare a hook and how its answers combine.

    * ``collect``: answers are lists, joined in dependency order; None adds nothing.
    * ``first``: the first answer that is not None.
    * ``chain``: each implementation gets the former's answer as ``former`` and returns the next;
      None leaves it as it was.
    * ``veto``: answers are lists of reasons; any reason stops what was asked.

    ``closed`` (fail-closed) makes a failing implementation fail the caller; otherwise it is left
    out, logged and counted.
    """

    def decorate(function: F) -> F:
        function.__guanxi_hook__ = (semantics, closed)  # type: ignore[attr-defined]
        return function

    return decorate


def contributions_of(plugin: str, cls: type) -> tuple[Contribution, ...]:
    """All marked methods of a plugin class and of the classes it is made of, checked."""
    found = []
    members: dict[str, Any] = {}
    for part in reversed(cls.__mro__):
        members |= vars(part)
    for name, member in members.items():
        function = member.__func__ if isinstance(member, staticmethod) else member
        values = getattr(function, _MARK, None)
        if values is None:
            continue
        kind = values["kind"]
        description, told = (
            described(plugin, name, function)
            if kind in SHOWN
            else (inspect.cleandoc(function.__doc__ or ""), {})
        )
        if not description and kind != "hookimpl":
            raise PluginError(plugin, f"{name}() needs a docstring: it becomes the description.")
        works = ("field", "query", "mutation", "subscription", "on", "schedule")
        if kind in works and not inspect.iscoroutinefunction(function):
            raise PluginError(plugin, f"{name}() does I/O: declare it with `async def`.")
        if kind in ("sql_field", "policy", "hookimpl") and inspect.iscoroutinefunction(function):
            raise PluginError(plugin, f"{name}() answers at once: declare it with plain `def`.")
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())
        skip = {
            "field": 3, "sql_field": 2, "policy": 3, "query": 2, "mutation": 2, "subscription": 3,
            "on": 3, "schedule": 2, "hookimpl": 1,
        }[kind]  # fmt: skip
        expected = {
            "field": "(self, ctx, parents, …)", "sql_field": "(row, ambient, …) without self",
            "policy": "(row, scope, ambient) without self, and maybe writes",
            "query": "(self, ctx, …)", "mutation": "(self, ctx, …)",
            "subscription": "(self, ctx, events, …)", "on": "(self, ctx, event)",
            "schedule": "(self, ctx)", "hookimpl": "(self, …)",
        }[kind]  # fmt: skip
        plain = kind in ("sql_field", "policy")
        if len(parameters) < skip or plain == (parameters[0].name == "self"):
            raise PluginError(plugin, f"{name}() must take {expected}.")
        if kind in SHOWN and "return" not in hints:
            raise PluginError(
                plugin, f"{name}() needs a return annotation: it is the GraphQL type."
            )
        if kind in SHOWN:
            check_shown(plugin, name, hints["return"], values["needs"])
        arguments = []
        if kind in ("on", "schedule") and len(parameters) > skip:
            raise PluginError(plugin, f"{name}() must take {expected} and nothing else.")
        if kind == "schedule":
            check_cron(plugin, name, values["cron"])
        if kind == "on":
            check_entity(plugin, values["event"])
            check_context(plugin, name, hints.get(parameters[1].name), outside=values["outside"])
        if kind == "field":
            check_columns(plugin, name, values["model"], values["columns"])
        for parameter in parameters[skip:] if kind not in ("policy", "hookimpl") else ():
            if parameter.name not in hints:
                raise PluginError(plugin, f"{name}(): annotate the argument '{parameter.name}'.")
            known = told.pop(parameter.name, "") or f"{words(parameter.name).capitalize()}."
            arguments.append(
                Argument(parameter.name, hints[parameter.name], parameter.default, known)
            )
        if unknown := [one for one in told if one not in {p.name for p in parameters}]:
            raise PluginError(
                plugin, f"{name}() tells of '{unknown[0]}' under Args:, which is none of its "
                "arguments.",
            )  # fmt: skip
        found.append(
            Contribution(
                name=name, description=description, function=function, arguments=tuple(arguments),
                returns=hints.get("return"), **values,
            )
        )  # fmt: skip
    return tuple(found)


def model_extended(model: type[Model] | type[Extension]) -> type[Model]:
    """The model itself, or the one that an extension extends."""
    return model.info.of or typing.cast(type[Model], model)
