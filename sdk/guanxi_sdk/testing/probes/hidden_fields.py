"""What somebody may not read makes no difference to them: by permission, clearance or scope.

Two tenants are equal but for what is hidden. Whoever may not read it gets equal answers from both,
whatever they ask: it can be neither filtered, sorted nor grouped by, nor be told from what is
derived of it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from guanxi_core.editions import Contributed
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.access import Confidentiality, Scope
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.comparing import HIDDEN, Comparing
from guanxi_sdk.testing.probes.document import Document
from guanxi_sdk.testing.probes.filling import Filled
from guanxi_sdk.testing.probes.findings import Changed, Distinguished, difference
from guanxi_sdk.testing.probes.happening import about, disguise_events
from guanxi_sdk.testing.probes.ordering import in_order, owners_behind
from guanxi_sdk.testing.probes.owning import Owning, knows, own
from guanxi_sdk.testing.probes.rehearsing import rehearse
from guanxi_sdk.testing.probes.world import AUDIT, Caller, Settled, World, changed, with_id

OURS: Final = Filled("OURS", 0xA)
NOBODY: Final = Filled("NOBODY", 0xC)
#: With rows that are below nobody, and so in no team but their own.
MORE: Final = Filled("OURS", 0xA, 3)
#: Documents that are refused as a whole where a field they name is hidden.
_REFUSED: Final = ("filter", "order", "group")
_CLEARANCES: Final = {
    "the clearance INTERNAL": (Confidentiality.INTERNAL, "probing"),
    "the clearance CONFIDENTIAL": (Confidentiality.CONFIDENTIAL, "probing"),
    "no reason for what is SECRET": (Confidentiality.SECRET, None),
}


class HiddenFieldsProbe(Comparing):
    """Asks two tenants the same, as somebody who must not see where they differ."""

    def __init__(self, world: World, owning: Owning | None, *, thorough: bool) -> None:
        super().__init__(world, thorough=thorough)
        self.owning = owning

    async def run(self) -> None:
        """Everything; raises what was found first."""
        world = self.world
        self.documents = world.wanted(world.documents.all())
        self.changes = await rehearse(world, self._settle, lambda *_: None)
        self.done = [document for document in self.changes if document.done]
        for permission in self._permissions():
            await self._permission(permission)
        await self._needed()
        await self._nothing()
        for name, (clearance, reason) in _CLEARANCES.items():
            await self._clearance(name, clearance, reason)
        for scope in (Scope.OWN, Scope.TEAM, Scope.OFFICE) if self.thorough else (Scope.OWN,):
            if knows(world.shared.edition, scope):
                await self._scope(scope.value)

    # --- permissions ---------------------------------------------------------------------------

    def _permissions(self) -> Iterator[str]:
        """Those that hide rows or fields; roles decide what the readers themselves may do."""
        edition = self.world.shared.edition
        names = self.world.report.known
        for permission in sorted(edition.permissions.keys() - {"guanxi.rights"}):
            behind = owners_behind(edition, permission)
            types = {(owner.info.of or owner).info.name for owner in behind}
            added = (owner for owner in behind if owner.info.of)
            if any(f"{name}.id" in names for name in types) or any(
                f"{one.info.of.info.name}.{camel(name)}" in names  # type: ignore[union-attr]
                for one in added
                for name in one.info.fields
            ):
                yield permission

    def _owned(self, *, but: Iterable[str] = ()) -> list[str]:
        """Every permission of the plugins; what the core keeps differs in any two tenants."""
        known = self.world.shared.edition.permissions
        return sorted(p for p in known if not p.startswith("guanxi.") and p not in set(but))

    async def _permission(self, permission: str) -> None:
        """Without one permission, rows and side tables that are behind it make no difference."""
        pair = full, other = await self._pair()
        edition, plugin = self.world.shared.edition, permission.partition(".")[0]
        async with self._connection(other) as connection:
            for owner in reversed(owners_behind(edition, permission)):
                await HIDDEN.disguise(connection, other.tenant.id, owner, self.world.shared)
            await disguise_events(
                connection, other.tenant.id, HIDDEN, edition, lambda of, *_: of == plugin
            )
        who = f"somebody without {permission}"
        readers = [
            await s.caller(who, self._owned(but=[permission]) or ["none.read"]) for s in pair
        ]
        all_ = [
            await s.caller("somebody with it", [*self._owned(), permission]) for s in (full, other)
        ]
        right = {
            f"Query.{camel(name)}"
            for name, entry in edition.queries.items() if _needs_own(entry, plugin)
        }  # fmt: skip
        await self._compare(readers, all_, "permission", permission, "probing", own=right)
        changes = self._part(self.done, "change")
        own = [document for document in changes if self._reaches(document, permission)]
        for document in changes:
            if document not in own:
                await self._same(readers, document, document.variables, "probing")
        for document in own:  # last, because from here on the two differ in more
            await self._unshown(readers, document, "probing")

    def _reaches(self, document: Document, permission: str) -> bool:
        """Whether a mutation may reach by what it needs itself what this permission shows."""
        entry = self.world.shared.edition.mutations.get(snake(document.name))
        if entry is not None:
            return entry.plugin == permission.partition(".")[0]
        model = self._about(document)
        return model is not None and model.info.read == permission

    async def _needed(self) -> None:
        """A field that needs a permission of its own is refused without it, in every place."""
        edition = self.world.shared.edition
        withheld: dict[str, set[str]] = {}
        for model, fields in edition.fields.items():
            for name, entry in fields.items():
                needs, of = entry.contribution.needs, model.info.name
                if needs is not None:
                    orders = (f"{of}OrderBy.{name.upper()}_{way}" for way in ("ASC", "DESC"))
                    places = (of, f"{of}AggregateValues", f"{of}AggregateKey")
                    names = {f"{place}.{camel(name)}" for place in places}
                    names |= {f"{of}Where.{camel(name)}.eq", f"{of}GroupBy.{name.upper()}", *orders}
                    withheld.setdefault(needs.name, set()).update(names)
        settled = await self.world.settle(OURS) if withheld else None
        for permission, names in withheld.items():
            assert settled is not None
            who = f"somebody without {permission}"
            reader = await settled.caller(who, self._owned(but=[permission]) or ["none.read"])
            tried = False
            for document in self.documents:
                used = names & document.names(self.world.schema.graphql)
                if not used:
                    continue
                tried = True
                answer = await reader.ask(document)
                keys = {name.partition(".")[2] for name in used}
                if document.kind in _REFUSED:
                    told = "FORBIDDEN" not in answer.codes
                else:
                    told = any(re.search(f'"{one}":(?!null)', answer.text) for one in keys)
                if told:
                    raise Distinguished(
                        f"{who} is not refused a field that needs it: {answer.text[:500]}\n"
                        f"asked: {document.text}"
                    )
            if tried:
                self.world.report.hidden.add(permission)

    async def _nothing(self) -> None:
        """Without any permission nothing is told, and nothing is done."""
        settled = await self.world.settle(OURS)
        nobody = await settled.caller("somebody without any permission", ["none.read"])
        self.world.report.callers.add(nobody.name)
        free = {camel(n) for n, e in self.world.shared.edition.mutations.items()
                if e.contribution.needs is None}  # fmt: skip
        for document in self._part(self.documents, "permission"):
            answer = await nobody.ask(document)
            if OURS.text(1) in answer.text and "vocabulary" not in document.text:
                raise Distinguished(
                    f"somebody without any permission is told what a tenant holds: "
                    f"{answer.text[:500]}\nasked: {document.text}"
                )
            if document.kind in _REFUSED and answer.codes != {"FORBIDDEN"}:
                raise Distinguished(
                    f"somebody without any permission may filter, sort or group: "
                    f"{answer.text[:500]}\nasked: {document.text}"
                )
        before = await settled.state()
        for document in self.changes:
            if document.name in free:
                continue
            answer = await nobody.ask(document)
            differs = changed(before, await settled.state())
            if "FORBIDDEN" not in answer.codes or differs:
                raise Changed(
                    f"somebody without any permission may call {document.name}: "
                    f"{answer.text[:300]}" + (f", which changed {differs}" if differs else "")
                )

    # --- clearances ----------------------------------------------------------------------------

    async def _clearance(self, name: str, clearance: Confidentiality, reason: str | None) -> None:
        """Values above somebody's clearance make no difference."""
        pair = full, other = await self._pair()
        cleared = clearance if reason else Confidentiality.CONFIDENTIAL
        edition, hidden, shown = self.world.shared.edition, set[str](), set[str]()
        owners = [o for o in in_order(edition) if o.info.of or o.info.plugin != "guanxi"]
        async with self._connection(other) as connection:
            for owner in owners:
                above = {f.name for f in owner.info.fields.values() if f.confidentiality > cleared}
                for number in (1, 2) if above else ():
                    hidden |= await HIDDEN.disguise(
                        connection, other.tenant.id, owner, self.world.shared,
                        number=number, columns=above,
                    )  # fmt: skip
                shown |= {f"{(owner.info.of or owner).info.name}.{camel(name)}" for name in above}
        if not hidden:
            return
        readers = [await s.caller(f"somebody with {name}", self._owned(), clearance) for s in pair]
        all_ = [await s.caller("somebody cleared", self._owned()) for s in (full, other)]
        shows = bool(shown & self.world.report.known)
        fields = (field.split(".") for field in shown)
        named = {f"{of}GroupBy.{snake(field).upper()}" for of, field in fields}
        await self._compare(readers, all_, "clearance", name, reason, shows=shows, named=named)
        await self._compare_changes(readers, reason, shown)

    # --- scopes --------------------------------------------------------------------------------

    async def _scope(self, scope: str) -> None:
        """Rows out of somebody's scope are as good as none."""
        report, edition = self.world.report, self.world.shared.edition
        filled = MORE if scope == "team" else OURS
        pair = full, other = await self._pair(filled)
        for settled in pair:
            await own(settled, self.owning)
        grants = [f"{name}:{scope}" for name in self._owned()]
        who = f"somebody with the scope {scope}"
        readers = [await s.caller(who, grants, Confidentiality.CONFIDENTIAL) for s in pair]
        models = [m for m in edition.models.values() if m.info.plugin != "guanxi"]
        rows = {(model, number) for model in models for number in range(1, filled.rows + 1)}
        hidden = [row for row in sorted(rows, key=_place) if not await self._sees(readers[0], *row)]
        owned = {model for model, number in rows if number == 1 and (model, 1) not in hidden}
        if not any(model in owned for model, _ in hidden):
            report.unscoped = (
                f"with the scope {scope} no policy lets the probe's user have some rows and not "
                "others; say how with owning=, an async function of a context and a user's id"
            )
            return
        async with self._connection(other) as connection:
            for model, number in reversed(self._ordered(hidden)):
                for owner in reversed(edition.owners(model)):
                    await HIDDEN.disguise(
                        connection, other.tenant.id, owner, self.world.shared, number=number
                    )
            await disguise_events(
                connection, other.tenant.id, HIDDEN, edition,
                lambda _, event, number: any(
                    (model, number) in hidden for model in about(event, edition)
                ),
            )  # fmt: skip
        all_ = [await s.caller("somebody with all rows", self._owned()) for s in (full, other)]
        shows = any(f"{model.info.name}.id" in report.known for model, _ in hidden)
        counted = {f"Query.{camel(model.info.plural)}Aggregate" for model, _ in hidden}
        await self._compare(
            readers, all_, "scope", f"the scope {scope}", "probing", shows=shows, named=counted
        )
        await self._compare_changes(readers, "probing")
        await self._ids_out_of_scope(full, who, grants, hidden)

    def _ordered(self, rows: Iterable[tuple[type[Model], int]]) -> list[tuple[type[Model], int]]:
        order = list(in_order(self.world.shared.edition))
        return sorted(rows, key=lambda row: (order.index(row[0]), row[1]))

    async def _sees(self, reader: Caller, model: type[Model], number: int) -> bool:
        rows = camel(model.info.plural)
        answer = await reader.ask(f"{{ {rows} {{ edges {{ node {{ id }} }} }} }}")
        return OURS.global_id(model, number) in answer.text

    async def _ids_out_of_scope(
        self, settled: Settled, who: str, grants: Sequence[str], hidden: list[Any]
    ) -> None:
        """An id out of somebody's scope answers as one that nobody has, and changes nothing."""
        reader = await settled.caller(who, grants)
        asked = [d for d in self._part(self.documents, "scope") if d.ids]
        before = await settled.state()
        for document in (*asked, *self._part(self.changes, "permission")):
            for place in document.ids:
                for model, number in hidden:
                    mutation = document.kind == "mutation"
                    last = number == settled.filled.rows
                    if model not in place.models or (mutation and not last):
                        continue
                    answers = []
                    for identity in (OURS.global_id(model, number), NOBODY.global_id(model)):
                        given = with_id(document.variables, place.path, identity)
                        text = await reader.plain(document, given)
                        answers.append(text.replace(identity, "…"))
                    if answers[0] != answers[1]:
                        raise Distinguished(
                            f"{'.'.join(place.path)}: the id of a {model.info.name} out of the "
                            f"scope answers other than one that nobody has, "
                            f"{difference(*answers)}.\nasked by {who}: {document.text}"
                        )
                    if mutation:
                        after = await settled.state()
                        if place.path[-1] != "eq" and '"NOT_FOUND"' in answers[0] and (
                            differs := set(changed(before, after)) - AUDIT
                        ):  # fmt: skip
                            raise Changed(
                                f"{document.name} answers NOT_FOUND for {'.'.join(place.path)} "
                                f"and still changed {', '.join(sorted(differs))}."
                            )
                        before = after

    # --- tenants -------------------------------------------------------------------------------

    async def _settle(self, mutation: str = "") -> Settled:
        settled = await self.world.settle(OURS, mutation)
        await own(settled, self.owning)
        return settled

    async def _pair(self, filled: Filled = OURS) -> tuple[Settled, Settled]:
        return await self.world.settle(filled), await self.world.settle(filled)

    def _connection(self, settled: Settled) -> Any:
        return self.world.platform.pool.connection(settled.tenant.id)


def _needs_own(entry: Contributed, plugin: str) -> bool:
    """Whether it takes a permission of a plugin, and so may show what that one's others hide."""
    needs = entry.contribution.needs
    return needs is not None and needs.name.partition(".")[0] == plugin


def _place(row: tuple[type[Model], int]) -> tuple[str, int]:
    return row[0].info.name, row[1]
