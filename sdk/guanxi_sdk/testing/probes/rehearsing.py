"""Finding values with which mutations are done, by what they say when they refuse."""

import copy
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from graphql import GraphQLInputObjectType, GraphQLNonNull, get_named_type

from guanxi_sdk.testing.probes.document import Document
from guanxi_sdk.testing.probes.world import Caller, Settled, World

Look = Callable[[str, Document, Caller], None]
Settle = Callable[[str], Awaitable[Settled]]

_TRIES: Final = 40
_VERSIONS: Final = 9


async def rehearse(world: World, settle: Settle, look: Look) -> list[Document]:
    """Every mutation with values that let it be done in a tenant made for it, if any do.

    ``look`` sees each answer. Versions in the calls are those of rows that nobody changed yet.

    An id that had to be left out comes in one more call of its own. What is not done after the
    others is tried in a tenant where nothing happened yet, by a user, and which has the rows that
    the author named for this mutation. The report tells which were
    done, and why the others were not; raises if one of those to be done is among these.
    """
    found = []
    settled = await settle("")
    caller = await settled.everything()
    for document in world.wanted(world.documents.mutations()):
        call = await _Rehearsal(world, document, ()).run(caller, look)
        if not call.done:
            user = await (await settle(document.name)).user()
            again = await _Rehearsal(world, replace(document, by_user=True), ()).run(user, look)
            call = again if again.done else call
        found.append(call)
        there = {place.path for place in call.ids}
        for place in document.ids:
            if place.path not in there:
                with_it = await _Rehearsal(world, document, place.path).run(caller, look)
                ids = tuple(other for other in with_it.ids if other.path == place.path)
                found.append(replace(with_it, ids=ids))
    world.report.check_coverage()
    world.report.check_done(world.to_be_done)
    return found


class _Rehearsal:
    """Calls one mutation until it is done; what is at ``kept`` stays in the call."""

    def __init__(self, world: World, document: Document, kept: tuple[str, ...]) -> None:
        mutation = world.schema.graphql.mutation_type
        assert mutation is not None
        self._report = world.report
        self._documents = world.documents
        self._document = document
        self._kept = kept
        self._field = mutation.fields[document.name]
        self._about = world.documents.about(document.name, self._field)
        self._variables: dict[str, Any] = copy.deepcopy(dict(document.variables))
        self._others: dict[tuple[str, ...], Iterator[Any]] = {}

    async def run(self, caller: Caller, look: Look) -> Document:
        """The call with the values that it was made with last."""
        name, refused = self._document.name, ""
        for _ in range(_TRIES):
            text = (await caller.ask(self._document, self._variables)).text
            look(text, self._document, caller)
            answer = json.loads(text)
            data = (answer.get("data") or {}).get(name)
            if data is not None and not data.get("errors"):
                self._report.done.add(name)
                self._report.refused.pop(name, None)
                refused = ""
                break
            error = ((data or {}).get("errors") or answer.get("errors") or [{}])[0]
            code = error.get("code") or error.get("extensions", {}).get("code")
            at = error.get("path")
            where = f" at {at}" if isinstance(at, str) else ""
            if code != "NOT_FOUND" or not refused:  # which other ids are often answered with
                refused = f"{code}{where}: {error.get('message')}"
            if data is None or not (self._mend(code, error.get("path")) or self._leave_out()):
                break
        if name not in self._report.done:
            self._report.refused[name] = refused
        if "version" in self._variables:
            self._variables["version"] = self._document.variables["version"]
        places = tuple(self._documents.places(self._field, self._variables, self._about))
        return replace(self._document, variables=self._variables, ids=places, done=not refused)

    def _mend(self, code: str | None, path: str | None) -> bool:
        """Change the value that an error is about; whether there was anything to change."""
        version = self._variables.get("version")
        if code == "CONFLICT" and isinstance(version, int) and version < _VERSIONS:
            self._variables["version"] = version + 1
            return True
        for place, holder, type_ in self._places():
            if place[-1] == path:
                if isinstance(type_, GraphQLNonNull) or code == "NOT_FOUND":
                    values, about = self._documents.values, self._about
                    others = self._others.setdefault(place, values.others(type_, place[-1], about))
                    for value in others:
                        holder[place[-1]] = value
                        return True
                if not isinstance(type_, GraphQLNonNull) and place != self._kept:
                    del holder[place[-1]]
                    return True
        return False

    def _leave_out(self) -> bool:
        """Leave the last thing out that may be."""
        for place, holder, type_ in reversed(list(self._places())):
            if not isinstance(type_, GraphQLNonNull) and place not in (self._kept, self._kept[:1]):
                del holder[place[-1]]
                return True
        return False

    def _places(self) -> Iterator[tuple[tuple[str, ...], dict[str, Any], Any]]:
        """Where values stand, each with the mapping that holds it and its type."""
        for name, argument in self._field.args.items():
            inner = get_named_type(argument.type)
            if name in self._variables:
                yield (name,), self._variables, argument.type
                if isinstance(inner, GraphQLInputObjectType) and inner.name.endswith("Input") and (
                    inner.name != "MoneyInput"
                ):  # fmt: skip
                    for path, one in inner.fields.items():
                        if path in self._variables[name]:
                            yield (name, path), self._variables[name], one.type
