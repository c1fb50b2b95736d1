"""Nobody reaches another tenant: two tenants, every caller, a canary in every column."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from guanxi_core.custom.definitions import CustomValues
from guanxi_sdk._docs import camel
from guanxi_sdk.testing.probes.document import Document
from guanxi_sdk.testing.probes.filling import Filled
from guanxi_sdk.testing.probes.findings import (
    Changed,
    Distinguished,
    Leaked,
    NotCovered,
    difference,
    place_of,
)
from guanxi_sdk.testing.probes.owning import own
from guanxi_sdk.testing.probes.rehearsing import rehearse
from guanxi_sdk.testing.probes.world import (
    AUDIT,
    Caller,
    Settled,
    World,
    changed,
    with_id,
    without_made,
)

OURS: Final = Filled("OURS", 0xA)
THEIRS: Final = Filled("CANARY", 0xB)
#: The tenant's own random ids, that nobody has.
NOBODY: Final = Filled("NOBODY", 0xC)
#: How often statements are counted before a difference is believed.
_MEASURED: Final = 4
#: Of how many filters, orders and pages the fast form asks one as somebody else, too.
_EVERY: Final = 10


class TenantProbe:
    """Asks as one tenant what another one holds."""

    def __init__(self, world: World, *, thorough: bool) -> None:
        self.world = world
        self.thorough = thorough

    async def run(self) -> None:
        """Everything; raises what was found first."""
        world = self.world
        self.ours, self.theirs = await self._settle(), await world.settle(THEIRS)
        self.mine, self.other = [await s.everything() for s in (self.ours, self.theirs)]
        self.callers = [self.mine, *await self._others(self.ours)]
        world.report.callers |= {caller.name for caller in self.callers}
        self.secrets = await self.theirs.secrets()
        self.own_secrets = await self.ours.secrets()
        documents = world.wanted(world.documents.all())
        before = await self.theirs.state()
        await self._canaries_show(await self._documents(documents))
        await self._ids(documents)
        self._unchanged(before, await self.theirs.state(), "queries", but=AUDIT)
        before = await self.theirs.state()  # with what it was told of its own secrets
        changes = await rehearse(world, self._settle, self._look)
        await self._ids_in_mutations(changes)
        await self._mutations(changes)
        self._unchanged(before, await self.theirs.state(), "mutations")

    async def _settle(self, mutation: str = "") -> Settled:
        """A tenant of ours, in which the user owns what can be owned."""
        settled = await self.world.settle(OURS, mutation)
        await own(settled, None)
        return settled

    @staticmethod
    def _unchanged(before: Any, after: Any, what: str, but: Collection[str] = ()) -> None:
        if differs := set(changed(before, after)) - set(but):
            raise Changed(f"{what} of one tenant changed {', '.join(sorted(differs))} of another.")

    async def _others(self, settled: Settled) -> list[Caller]:
        """Each role that tenants begin with, and somebody who may see little."""
        return [
            *await settled.roles(),
            await settled.caller("somebody restricted", ["*.read:own"]),
        ]

    def _as(self, turn: int, document: Document) -> Sequence[Caller]:
        """Who asks a document: everybody, or one with all rights and maybe one of the others."""
        if self.thorough:
            return self.callers
        if turn % (3 if document.kind == "selection" else _EVERY):
            return [self.mine]
        return [self.mine, self.callers[1 + turn % (len(self.callers) - 1)]]

    def _check(self, text: str, document: Document, caller: Caller, secrets: list[str]) -> None:
        for secret in secrets:
            if secret in text:
                raise Leaked(
                    f"an answer holds {secret!r} of another tenant, {place_of(secret, text)}.\n"
                    f"asked by {caller.name}: {document.text}\n"
                    f"with {json.dumps(document.variables)}"
                )

    def _look(self, text: str, document: Document, caller: Caller) -> None:
        self._check(text, document, caller, self.secrets)

    async def _canaries_show(self, seen: str) -> None:
        """What a tenant may see of itself shows its canaries, else the rest proves nothing."""
        edition = self.world.shared.edition
        known = self.world.report.known
        owners: list[tuple[str, Any]] = [
            (model.info.name, owner)
            for model in edition.models.values()
            for owner in edition.owners(model)
        ]
        for type_name, owner in owners:
            for name, info in owner.info.fields.items():
                field = camel(name)
                shown = f'"{field}":"{OURS.word}-'
                if info.kind != "text" or f"{type_name}.{field}" not in known or shown in seen:
                    continue
                if await self._text_of(owner, name):
                    raise NotCovered(
                        f"{type_name}.{field} holds a canary and was not seen in any answer to "
                        "its own tenant, so that nothing shows whether others see it."
                    )

    async def _text_of(self, owner: Any, name: str) -> bool:
        """Whether the column really holds the canary: constraints may have asked for another."""
        if isinstance(owner, CustomValues):
            return True
        pool, tenant = self.world.platform.pool, self.ours.tenant.id
        async with pool.connection(tenant) as connection:
            return bool(
                await connection.fetchval(
                    f"SELECT count(*) FROM {owner.info.table.name} "
                    f'WHERE tenant_id = $1 AND "{name}" LIKE $2',
                    tenant, f"{OURS.word}%",
                )
            )  # fmt: skip

    async def _documents(self, documents: Iterable[Document]) -> str:
        """Each document by both tenants in turn: what one is shown never comes to the other.

        Returns what ours was shown.
        """
        seen: list[str] = []
        cursors: dict[Any, str] = {}
        for turn, document in enumerate(documents):
            variables = dict(document.variables)
            if document.cursor_of is not None:
                variables["cursor"] = await self._cursor(document, cursors)
            theirs = await self.other.ask(document, variables)
            self._check(theirs.text, document, self.other, self.own_secrets)
            for caller in self._as(turn, document):
                answer = await caller.ask(document, variables)
                self._check(answer.text, document, caller, self.secrets)
                if caller is self.mine and document.kind == "selection":
                    seen.append(answer.text)
                if caller is self.mine and '"data"' not in answer.text:
                    raise NotCovered(
                        f"a document was refused: {answer.text[:500]}\nasked: {document.text}"
                    )
            if document.kind == "order":
                await self._foreign_cursor(document, theirs.text)
        return "".join(seen)

    async def _cursor(self, document: Document, cursors: dict[Any, str]) -> str:
        """A cursor of the other tenant's."""
        model = document.cursor_of
        assert model is not None
        if model not in cursors:
            rows = camel(model.info.plural)
            answer = await self.other.ask(f"{{ {rows}(orderBy: ID_ASC) {{ edges {{ cursor }} }} }}")
            cursors[model] = json.loads(answer.text)["data"][rows]["edges"][0]["cursor"]
        return cursors[model]

    async def _foreign_cursor(self, document: Document, theirs: str) -> None:
        """A cursor of theirs is only a place in the order."""
        page = next(iter(json.loads(theirs)["data"].values()))
        for edge in page["edges"][:1] if page else ():
            answer = await self.mine.ask(document, {"cursor": edge["cursor"]})
            self._check(answer.text, document, self.mine, self.secrets)

    async def _ids(self, documents: Iterable[Document]) -> None:
        """A foreign id answers exactly as a missing one, and as one that is none."""
        told = 0
        for turn, document in enumerate(d for d in documents if d.ids):
            for place in document.ids:
                for model in place.models:
                    alike = ""
                    for caller in self._as(turn, document):
                        alike = await self._alike(caller, document, place.path, model)
                    given = with_id(document.variables, place.path, OURS.global_id(model))
                    own = await self.mine.ask(document, given)
                    shown = own.text.replace(OURS.global_id(model), "…")
                    told += without_made(shown) != alike
        if not told:
            raise NotCovered("own ids do not show either, so that foreign ones prove nothing.")

    async def _alike(
        self, caller: Caller, document: Document, path: tuple[str, ...], model: Any
    ) -> str:
        """The answer to an id of another tenant's, which is that to one that nobody has."""
        ids = [THEIRS.global_id(model), NOBODY.global_id(model)]
        if document.done:  # else what is wrong besides may be told earlier or later
            ids.append(f"{model.info.prefix}_malformed")
        answers = []
        for identity in ids:
            answer = await caller.ask(document, with_id(document.variables, path, identity))
            echo = identity.rpartition("_")[2]
            text = answer.text.replace(identity, "…").replace(echo, "…")
            self._check(text, document, caller, self.secrets)
            answers.append(without_made(text))
        where = f"{'.'.join(path)}: an id of another tenant's {model.info.name}"
        for what, text in zip(("a missing", "a malformed"), answers[1:], strict=False):
            if text != answers[0]:
                raise Distinguished(
                    f"{where} answers other than {what} one, {difference(answers[0], text)}.\n"
                    f"asked by {caller.name}: {document.text}"
                )
        given = [with_id(document.variables, path, identity) for identity in ids[:2]]
        counts: list[int] = []
        for _ in range(_MEASURED):  # now and then a connection has to look something up first
            counts = [(await caller.ask(document, one)).statements for one in given]
            if counts[0] == counts[1]:
                break
        else:
            raise Distinguished(
                f"{where} takes {counts[0]} statements, a missing one {counts[1]}.\n"
                f"asked by {caller.name}: {document.text}"
            )
        return answers[0]

    async def _ids_in_mutations(self, changes: Iterable[Document]) -> None:
        """Foreign ids in mutations change nothing, and answer as missing ones do."""
        before = await self.theirs.state()
        me = await self.ours.user()
        for document in changes:
            caller = me if document.by_user else self.mine
            for place in document.ids:
                own = await self.ours.state()
                (model,) = place.models
                text = await self._alike(caller, document, place.path, model)
                if differs := changed(before, await self.theirs.state()):
                    raise Changed(
                        f"{document.name}, given an id of another tenant as "
                        f"{'.'.join(place.path)}, changed that tenant's {', '.join(differs)}."
                    )
                after = await self.ours.state()
                if '"NOT_FOUND"' in text and (differs := changed(own, after)):
                    raise Changed(
                        f"{document.name} answers NOT_FOUND for {'.'.join(place.path)} and still "
                        f"changed {', '.join(differs)}."
                    )
                for table, rows in after.items():
                    # of secrets that were asked for the audit keeps the ids as they were given
                    if table != "guanxi_audit" and any(THEIRS.trace in row for row in rows):
                        raise Changed(
                            f"{document.name}, given an id of another tenant as "
                            f"{'.'.join(place.path)}, wrote it into {table}: look it up with "
                            "ctx.get() first."
                        )

    async def _mutations(self, changes: Iterable[Document]) -> None:
        """What mutations write is ours, whatever they answer and whoever calls them."""
        settled = await self._settle()
        callers = [await settled.everything(), *await self._others(settled)]
        me = await settled.user()
        theirs, ours = await self.theirs.state(), await self.ours.state()
        for turn, document in enumerate(changes):
            chosen = callers if self.thorough else [
                callers[0], callers[1 + turn % (len(callers) - 1)]
            ]  # fmt: skip
            for caller in [me, *chosen] if document.by_user else chosen:
                answer = await caller.ask(document)
                self._check(answer.text, document, caller, self.secrets)
            for whose, former, settled in (
                ("the other tenant", theirs, self.theirs),
                ("a tenant with equal ids", ours, self.ours),
            ):
                if differs := changed(former, await settled.state()):
                    raise Changed(f"{document.name} changed {', '.join(differs)} of {whose}.")
