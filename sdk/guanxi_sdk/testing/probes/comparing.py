"""Asking two tenants the same, as somebody who must not see where they differ."""

import json
from collections.abc import Iterator, Sequence, Set
from typing import Any, Final

from guanxi_sdk._docs import camel
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.document import Document
from guanxi_sdk.testing.probes.filling import Filled
from guanxi_sdk.testing.probes.findings import Distinguished, NotCovered, difference
from guanxi_sdk.testing.probes.world import Caller, World

#: Other values under the same ids, where they are hidden.
HIDDEN: Final = Filled("HIDDEN", 0xA)
#: Of how many documents the fast form asks one, for what is hidden by each permission and else.
_EVERY: Final = {"permission": 9, "clearance": 13, "scope": 13, "change": 12}
#: And how many selections at most, where plugins have many models.
_MOST: Final = 40


class Comparing:
    """What must be answered equally, and how much of it is asked."""

    def __init__(self, world: World, *, thorough: bool) -> None:
        self.world = world
        self.thorough = thorough
        self.documents: list[Document] = []
        self.done: list[Document] = []  # mutations, with values with which they are done
        self._turn = 0
        edition = world.shared.edition
        told = {"Query": edition.queries, "Subscription": edition.subscriptions}
        #: Queries and subscriptions that plugins answer with code of their own.
        self.answered = {f"{of}.{camel(name)}" for of, names in told.items() for name in names}

    def _part(
        self, documents: Sequence[Document], kind: str, named: Set[str] = frozenset()
    ) -> list[Document]:
        """What of the documents is asked: all of them in the long form, else some.

        Those that use one of the names ``named`` are among them.
        """
        if self.thorough:
            return list(documents)
        self._turn += 1
        every = _EVERY[kind]
        return [
            document
            for number, document in enumerate(documents)
            if (number + self._turn) % every == 0
            or named & document.names(self.world.schema.graphql)
        ]

    async def _compare(
        self, readers: Sequence[Caller], all_: Sequence[Caller], kind: str, what: str,
        reason: str | None, *, own: Set[str] = frozenset(), shows: bool = True,
        named: Set[str] = frozenset(),
    ) -> None:  # fmt: skip
        """Equal answers to those who may not see; and the others see that there is something.

        Nothing ``shows`` where what is hidden belongs to plugins that are only required. ``own``
        are queries that may reach by what they need themselves what is hidden.
        """
        self.world.report.callers.add(readers[0].name)
        shown = ("selection", "subscription")
        selections = [d for d in self.documents if d.kind in shown]
        others = [d for d in self.documents if d.kind not in shown]
        every = max(2 if kind == "scope" else 3, -(-len(selections) // _MOST))
        chosen = [
            document
            for number, document in enumerate(selections)
            if self.thorough
            or (number - self._turn) % every == 0
            or self.answered & document.names(self.world.schema.graphql)
        ]
        told = False
        for document in (*chosen, *self._part(others, kind, named)):
            if own and own & document.names(self.world.schema.graphql):
                await self._unshown(readers, document, reason)
                continue
            await self._same(readers, document, document.variables, reason)
            if not told:
                answers = [await caller.plain(document, None, "probing") for caller in all_]
                told = answers[0] != answers[1]
        if shows and not told:
            raise NotCovered(
                f"what is hidden by {what} could not be made different in two tenants, so that "
                "nothing shows whether it is hidden."
            )
        self.world.report.hidden.add(what)

    async def _same(
        self, readers: Sequence[Caller], document: Document, variables: Any, reason: str | None
    ) -> None:
        answers = [await reader.plain(document, variables, reason) for reader in readers]
        if answers[0] != answers[1]:
            raise Distinguished(
                f"{readers[0].name} can tell what is hidden: two tenants that differ in nothing "
                f"else answer differently, {difference(*answers)}.\nasked: {document.text}"
            )
        if HIDDEN.word in answers[1]:
            raise Distinguished(
                f"{readers[0].name} is shown what is hidden: {answers[1][:500]}\n"
                f"asked: {document.text}"
            )

    def _about(self, document: Document) -> type[Model] | None:
        mutations = self.world.schema.graphql.mutation_type
        assert mutations is not None
        return self.world.documents.about(document.name, mutations.fields[document.name])

    async def _compare_changes(
        self, readers: Sequence[Caller], reason: str | None, above: Set[str] = frozenset()
    ) -> None:
        """Mutations answer equally, too, with and without the fields ``above`` a clearance.

        The plugins' own verbs always: what these answer is written by hand.
        """
        verbs = self.world.shared.edition.mutations.items()
        own = {f"Mutation.{camel(n)}" for n, e in verbs if e.plugin in self.world.report.plugins}
        for document in self._part(self.done, "change", own):
            await self._same(readers, document, document.variables, reason)
            model, given = self._about(document), document.variables.get("input")
            if model is not None and isinstance(given, dict):
                of = model.info.name
                kept = {n: value for n, value in given.items() if f"{of}.{n}" not in above}
                if kept != given:
                    lower = {**document.variables, "input": kept}
                    await self._same(readers, document, lower, reason)

    async def _unshown(
        self, readers: Sequence[Caller], document: Document, reason: str | None
    ) -> None:
        """What a verb or a query of the plugin itself does and counts is up to what it needs.

        The objects that it answers with still show nothing of what is hidden.
        """
        _, text = [await reader.plain(document, None, reason) for reader in readers]
        for one in _objects(json.loads(text)):
            if one.get("__typename") in self.world.shared.edition.models and (
                HIDDEN.word in json.dumps(one)
            ):
                raise Distinguished(
                    f"{readers[1].name} is shown what is hidden: {text[:500]}\n"
                    f"asked: {document.text}"
                )


def _objects(answer: Any) -> Iterator[dict[str, Any]]:
    """Each object in an answer."""
    if isinstance(answer, dict):
        yield answer
    inner = answer.values() if isinstance(answer, dict) else answer
    for one in inner if isinstance(answer, dict | list) else ():
        yield from _objects(one)
