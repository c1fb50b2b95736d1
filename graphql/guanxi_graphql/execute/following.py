"""Subscriptions: what events amount to for one caller, worked out when they are told."""

import datetime as dt
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

import msgspec
from graphql import FieldNode
from msgspec import Raw

from guanxi_core.events import events_of
from guanxi_core.feed import Happened, Position
from guanxi_core.telemetry import traces
from guanxi_graphql.compile.binds import Request, Variables
from guanxi_graphql.compile.changes import ChangePlan, compile_changes
from guanxi_graphql.compile.reads import IDS
from guanxi_graphql.compile.selections import Selections, Step
from guanxi_graphql.execute.documents import Document, Refused
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.errors import withheld
from guanxi_graphql.execute.splicing import Errors, Splicer
from guanxi_graphql.schema.bindings import Changed, Schema, Told
from guanxi_graphql.schema.roots import payload_key
from guanxi_graphql.schema.subscriptions import actions_of
from guanxi_sdk import Forbidden, Invalid
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.events import name_of

if TYPE_CHECKING:
    from guanxi_core.platform import Platform

#: A message, and the position behind it.
Message: TypeAlias = tuple[Position, bytes]

_objects = msgspec.json.Decoder(dict[str, dict[str, Raw]]).decode
_identity = msgspec.json.Decoder(dict[str, Any]).decode
_DAY: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class Following:
    """One subscription of one caller, with the rights that the caller has now.

    ``key`` is equal for those that are told the same, whoever they belong to.
    """

    names: tuple[str, ...]
    key: Hashable

    def __init__(
        self,
        platform: "Platform",
        schema: Schema,
        document: Document,
        variables: Variables,
        request: Request,
        fetch: Callable[[str, Sequence[Any], Request], Any],
    ) -> None:
        self.request = request
        self._platform = platform
        self._schema = schema
        self._document = document
        self._variables = variables
        self._fetch = fetch
        selections = self._selections()
        self._root, nodes = _root(selections, document)
        self._type = selections.field_of("Subscription", nodes[0]).type.of_type.name
        self._parts = selections.collect(self._type, [node.selection_set for node in nodes])
        self._arguments = selections.arguments("Subscription", nodes[0])
        after: Any = self._arguments.get("after")
        given = None if after is None else after.get(variables)
        self.after = None if given is None else Position.of(given, "after")

    async def messages(self, events: Sequence[Happened]) -> list[Message]:
        """What is told of ``events``; those that the caller may not see are left out."""
        now = self._platform.now()
        self.request = self._request(now)
        wanted = [event for event in events if event.name in self.names]
        return await self._messages(wanted) if wanted else []

    def quiet(self, position: Position) -> Message:
        """A message that there was nothing to tell up to ``position``."""
        return position, self._message(position, {}, [])

    async def _messages(self, events: Sequence[Happened]) -> list[Message]:
        raise NotImplementedError

    def _request(self, now: dt.datetime) -> Request:
        given = self.request
        return Request(given.access, now, None, given.origin, given.locale, self._variables)

    def _selections(self) -> Selections:
        """Secret values need a reason; a subscription has none."""
        return Selections(
            self._schema, self.request.access.caller.rights, self._document.operation.fragments,
            self._variables, reasoned=False,
        )  # fmt: skip

    def _splicer(self, context: Any) -> Splicer:
        async def fetch(sql: str, arguments: Sequence[Any]) -> Any:
            return await self._fetch(sql, arguments, self.request)

        return Splicer(self._schema, self._document, self._variables, self.request, context, fetch)

    def _context(self) -> Any:
        request = self.request
        return self._platform.context(
            request.access, locale=request.locale, origin=request.origin, read_only=True
        )

    def _alone(self) -> Hashable:
        """A key for what only the same caller is told by the same request."""
        access, given = self.request.access, encode(self._variables)
        caller = access.caller
        return (
            id(self._document), given, caller.rights, caller.token_id, caller.user_id,
            self.request.locale,
        )  # fmt: skip

    def _message(
        self,
        position: Position,
        parts: Mapping[str, Any],
        errors: Errors,
        action: str | None = None,
    ) -> bytes:
        """One response; ``parts`` are by response key."""
        told: dict[str, Any] = {}
        for part, nodes in self._parts.items():
            name = nodes[0].name.value
            if name == "position":
                told[part] = position.text()
            elif name == "__typename":
                told[part] = self._type
            else:
                told[part] = action if name == "action" else parts.get(part)
        data = b'"data":' + encode({self._root: told}) + b"}"
        return b'{"errors":' + encode(errors) + b"," + data if errors else b"{" + data


class Changes(Following):
    """Changes of a model's rows, by a compiled plan."""

    def __init__(self, binding: Changed, *given: Any) -> None:
        super().__init__(*given)
        model, rights = binding.model, self.request.access.caller.rights
        self._actions = actions_of(self._schema.edition, model, rights)
        self.names = tuple(self._actions)
        one = camel(snake(model.info.name))
        self._shown: dict[str, list[FieldNode]] = {
            part: nodes for part, nodes in self._parts.items() if nodes[0].name.value == one
        }
        key = (
            "changes", self._document.key(self._variables), rights
        )  # fmt: skip
        plan: ChangePlan | None = self._document.plan(key)
        if plan is None:
            with traces.span("compile"):
                plan = compile_changes(
                    self._selections(), model, self._shown, self._arguments, self._root
                )
            self._document.keep(key, plan)
        self._plan = plan
        arguments = plan.statement.arguments({**self._variables, IDS: []}, self._request(_DAY))
        self.key = self._alone() if plan.steps else (id(plan), repr(arguments))

    async def _messages(self, events: Sequence[Happened]) -> list[Message]:
        ids = [None if self._reloads(e) else UUID(_identity(e.payload)["id"]) for e in events]
        errors: Errors = []
        rows = await self._rows([i for i in dict.fromkeys(ids) if i is not None], errors)
        found: list[Message] = []
        reloads = False  # whether that was the last thing told: once is enough
        for event, identity in zip(events, ids, strict=True):
            shown = {} if identity is None else rows.get(str(identity))
            if shown is None or (identity is None and not self._plan.everything):
                continue
            if identity is None and reloads:
                found.pop()
            reloads = identity is None
            action, noted = self._actions[event.name], errors if shown else []
            body = self._message(event.position, shown, noted, action)
            found.append((event.position, body))
        return found

    def _reloads(self, event: Happened) -> bool:
        return self._actions[event.name] == "RELOAD"

    async def _rows(self, ids: Sequence[UUID], errors: Errors) -> dict[str, dict[str, Raw]]:
        if not ids:
            return {}
        plan = self._plan
        given = {**self._variables, IDS: ids}
        body = await self._fetch(
            plan.statement.sql, plan.statement.arguments(given, self.request), self.request
        )
        errors += [withheld(w.message, w.path) for w in plan.withheld]
        if plan.steps:
            async with self._context() as context:
                splicer = self._splicer(context)
                body = await splicer.fill(body, plan.steps)
            errors += splicer.errors
        return _objects(body)


class Contributed(Following):
    """What a plugin's function makes of its events."""

    def __init__(self, binding: Told, *given: Any) -> None:
        super().__init__(*given)
        self._binding = binding
        contribution = binding.contributed.contribution
        event, about = contribution.event, contribution.model
        assert event is not None  # noqa: S101  the decorator demands one
        name = name_of(event, about)
        self.names, self._event = (name,), event
        needs = contribution.needs.name if contribution.needs else self._read(name)
        if needs is not None and needs not in self.request.access.caller.permissions:
            raise Forbidden(needs)
        self._key = payload_key(binding.returns)
        self.key = self._alone()

    def _read(self, name: str) -> str | None:
        info = events_of(self._schema.edition).get(name)
        return None if info is None else info.read

    async def _messages(self, events: Sequence[Happened]) -> list[Message]:
        happened = [msgspec.json.decode(e.payload, type=self._event) for e in events]
        shown = {
            part: nodes for part, nodes in self._parts.items() if nodes[0].name.value == self._key
        }
        async with self._context() as context:
            splicer = self._splicer(context)
            path = (self._root,)
            step = Step((), self._root, self._binding, self._arguments, (), ())
            results = await splicer.results(step, happened, path)
            if results is None:  # one message for each would tell of events that are none
                raise Refused(splicer.errors)
            shaped: dict[str, Sequence[Any]] = {}
            for part, nodes in shown.items():
                below = Step((), part, self._binding, {}, (), tuple(nodes))
                shaped[part] = await splicer.fitted(below, results, (*path, part))
            if not shown:
                entry = self._binding.contributed
                context.breakers.success(entry.plugin, entry.contribution.name)
        found = []
        for number, event in enumerate(events):
            if results[number] is None:
                continue
            parts = {part: values[number] for part, values in shaped.items()}
            position = event.position
            found.append((position, self._message(position, parts, splicer.errors)))
        return found


def following(platform: "Platform", schema: Schema, document: Document, *given: Any) -> Following:
    """The subscription that a document holds."""
    variables, request, _ = given
    selections = Selections(
        schema, request.access.caller.rights, document.operation.fragments, variables,
        reasoned=False,
    )  # fmt: skip
    _, nodes = _root(selections, document)
    binding = schema.fields["Subscription"][nodes[0].name.value]
    kind: Any = Changes if isinstance(binding, Changed) else Contributed
    made: Following = kind(binding, platform, schema, document, *given)
    return made


def _root(selections: Selections, document: Document) -> tuple[str, list[FieldNode]]:
    root = selections.collect("Subscription", [document.operation.node.selection_set])
    if len(root) != 1:
        raise Invalid(None, "A subscription has one field.", code="BAD_REQUEST")
    return next(iter(root.items()))
