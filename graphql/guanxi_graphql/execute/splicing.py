"""Python fields: called once for all their parents, their results put into the answer.

The answer comes with a hole for each result, and stays the bytes that it is around them.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from guanxi_core.breakers import PluginFailed
from guanxi_core.telemetry import traces
from guanxi_graphql.compile.binds import Request, Variables
from guanxi_graphql.compile.reads import IDS, ReadPlan, compile_rows
from guanxi_graphql.compile.selections import Path, Selections, Step
from guanxi_graphql.compile.shapes import Arguments, parents_of, shape_of
from guanxi_graphql.execute.documents import Document
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.errors import failed, located, refusal, withheld
from guanxi_graphql.schema.bindings import Ask, Batch, Schema
from guanxi_sdk import Forbidden, Model, Refusal

Fetch = Callable[[str, Sequence[Any]], Awaitable[Any]]
Errors = list[dict[str, Any]]

_HOLE = re.compile(rb'\{"#([0-9]+)":(.*?),"#":0\}', re.DOTALL)
_objects = msgspec.json.Decoder(dict[str, Raw]).decode


class Splicer:
    """Answers the Python fields of one operation."""

    def __init__(
        self,
        schema: Schema,
        document: Document,
        variables: Variables,
        request: Request,
        context: Any,
        fetch: Fetch,
    ) -> None:
        self._schema = schema
        self._document = document
        self._fragments = document.operation.fragments
        self._variables = variables
        self._request = request
        self._context = context
        self._fetch = fetch
        self.errors: Errors = []
        self.secrets: dict[str, None] = {}

    def selections(self) -> Selections:
        """A compiler for a selection of the same document."""
        return Selections(
            self._schema, self._request.access.caller.rights, self._fragments, self._variables,
            reasoned=self._request.reason is not None,
        )  # fmt: skip

    async def fill(self, body: bytes, steps: Sequence[Step], path: Path = ()) -> bytes:
        """The answer with the results of ``steps`` in their holes."""
        pieces: list[bytes] = _HOLE.split(body)  # text, number, parent, text, number, parent, …
        holes: dict[int, list[int]] = {}
        for at in range(1, len(pieces), 3):
            holes.setdefault(int(pieces[at]), []).append(at)
        filled = pieces[::3]
        between: list[bytes] = [b""] * (len(filled) - 1)
        for number, places in holes.items():
            step = steps[number]
            rows = msgspec.json.decode(b"[" + b",".join(pieces[at + 1] for at in places) + b"]")
            results = await self._answer(step, rows, (*path, *step.path, step.key))
            for at, result in zip(places, results, strict=True):
                between[at // 3] = encode(result)
        parts = [part for pair in zip(filled, between, strict=False) for part in pair]
        return b"".join([*parts, filled[-1]])

    async def _answer(
        self, step: Step, rows: Sequence[Mapping[str, Any]], path: Path
    ) -> Sequence[Any]:
        """One Python field for all its parents."""
        results = await self.results(step, rows, path)
        return [None] * len(rows) if results is None else await self.fitted(step, results, path)

    async def results(self, step: Step, rows: Sequence[Any], path: Path) -> Sequence[Any] | None:
        """What a plugin's function answers for all its parents, or events; None if it fails."""
        entry = step.binding.contributed
        plugin, name = entry.plugin, entry.contribution.name
        breakers = self._context.breakers
        try:
            selections = self.selections()
            given = Arguments(step.binding, step.arguments).values(
                selections, self._variables, self._request
            )
            self.secrets |= selections.policies.secrets
            async with self._context.contained():
                with (
                    breakers.guard(plugin, name, self._context.deadline, settled=False),
                    self._context.within(entry.contribution.needs),
                ):
                    results = await self._call(step, rows, given)
            self.secrets |= self._context.secrets
        except Refusal as error:
            breakers.success(plugin, name)
            self.errors.append(refusal(error, path))
        except PluginFailed as error:
            if self._context.lost:
                raise
            self.errors.append(located(error.message, error.code, path))
        else:
            return results
        return None

    async def fitted(self, step: Step, results: Sequence[Any], path: Path) -> Sequence[Any]:
        """:meth:`shaped`; nulls and an error where ``results`` are not what was promised."""
        entry = step.binding.contributed
        plugin, name = entry.plugin, entry.contribution.name
        breakers = self._context.breakers
        try:
            shaped = await self.shaped(step, results, path)
        except (TypeError, ValueError, AttributeError) as error:
            breakers.failure(plugin, name, error)
            self.errors.append(failed(plugin, name, error, path))
            return [None] * len(results)
        breakers.success(plugin, name)
        return shaped

    async def _call(self, step: Step, rows: Sequence[Any], given: dict[str, Any]) -> Sequence[Any]:
        entry = step.binding.contributed
        function = entry.contribution.function
        plugin = self._request.access.installation.plugins[entry.plugin]
        if isinstance(step.binding, Ask):
            return [await function(plugin, self._context, **given)]
        parents: Sequence[Any] = rows
        if isinstance(step.binding, Batch):
            model = entry.contribution.model
            assert model is not None  # noqa: S101  the decorator demands it
            parents = parents_of(model, step.columns, rows, entry)
        results: Sequence[Any] = await function(plugin, self._context, tuple(parents), **given)
        if len(results) != len(parents):
            raise ValueError(f"{len(results)} results for {len(parents)} parents")
        return results

    async def shaped(self, step: Step, results: Sequence[Any], path: Path) -> Sequence[Any]:
        """``results`` as JSON, under the selection of ``step``."""
        result = step.binding.returns
        rows: Mapping[str, Any] = {}
        if result.kind == "model":
            if not self._may_read(result.python, path):
                return [None] * len(results)
            wanted = [
                item.id
                for value in results
                if value is not None
                for item in (value if result.many else [value])
            ]
            rows = await self.rows(result.python, step.nodes, wanted, path)
        shape = shape_of(self.selections(), result, step.nodes)
        return [shape(value, rows) for value in results]

    async def rows(
        self, model: type[Model], nodes: Sequence[Any], ids: Sequence[UUID], path: Path
    ) -> dict[str, Any]:
        """The selection below a field on rows of ``model``, by UUID, in one statement."""
        if not ids or not self._may_read(model, path):
            return {}
        rights = self._request.access.caller.rights
        reasoned = self._request.reason is not None
        key = (*map(id, nodes), self._document.key(self._variables), rights, reasoned)
        plan: ReadPlan | None = self._document.plan(key)
        if plan is None:
            with traces.span("compile"):
                plan = compile_rows(
                    self._schema, self._fragments, self._variables, rights, model, nodes,
                    reasoned=reasoned,
                )  # fmt: skip
            self._document.keep(key, plan)
        arguments = plan.statement.arguments(
            {**self._variables, IDS: list(dict.fromkeys(ids))}, self._request
        )
        body = await self._fetch(plan.statement.sql, arguments)
        self.errors += [withheld(w.message, (*path, *w.path)) for w in plan.withheld]
        self.secrets |= dict.fromkeys(plan.secrets)
        if plan.steps:
            body = await self.fill(body, plan.steps, path)
        return _objects(body)

    def _may_read(self, model: type[Model], path: Path) -> bool:
        permission = model.info.read
        if permission in self._request.access.caller.permissions:
            return True
        self.errors.append(withheld(Forbidden(permission).message, path))
        return False
