"""What the platform itself keeps about erased rows: audit, events, deliveries, replies, jobs.

A trace is tied to a row by its id. Where no id stands beside it, it is found by what the person is
or was called or reached by, unless other rows say the same: then nobody knows who is meant.
"""

import datetime as dt
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.erasing.alone import ERASING
from guanxi_core.erasing.blanks import ERASED
from guanxi_core.erasing.words import PLAIN, UUIDS, finder
from guanxi_core.verifying import ERASURE
from guanxi_sdk import Event

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

#: Whether a text holds one of the ids $2 or one of the words $3.
_HOLDS: Final = """(
    CASE WHEN cardinality($2::text[]) <= 50
        THEN EXISTS (SELECT FROM unnest($2::text[]) AS i WHERE strpos({0}, i) > 0)
        ELSE EXISTS (SELECT FROM regexp_matches({0},
            '[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}', 'g') AS m
            WHERE m[1] = ANY ($2::text[]))
    END OR EXISTS (SELECT FROM unnest($3::text[]) AS w WHERE strpos({0}, w) > 0))"""
_ABOUT: Final = """
    SELECT id, created_at, model, row_id, changes::text AS changes FROM guanxi_audit
    WHERE tenant_id = $1 AND row_id = ANY ($2) AND action <> ALL ($3)
    AND (changes <> '{}' OR reason IS NOT NULL)
"""
_NAMING: Final = """
    SELECT id, created_at, model, row_id, changes::text AS changes FROM guanxi_audit
    WHERE tenant_id = $1 AND row_id IS NOT NULL AND action <> ALL ($3)
    AND EXISTS (SELECT FROM unnest($2::text[]) AS i WHERE strpos(changes::text, i) > 0)
"""
_OF_MANY: Final = f"""
    SELECT id, changes::text AS changes, reason FROM guanxi_audit
    WHERE tenant_id = $1 AND row_id IS NULL AND action <> ALL ($4)
    AND {_HOLDS.format("(changes::text || coalesce(reason, ''))")}
"""  # noqa: S608  put together from constants
#: What a user did; erasures of the audit know the name alone.
_BY: Final = """
    SELECT id FROM guanxi_audit WHERE tenant_id = $1 AND (actor_id = ANY ($2)
        OR action = $3 AND actor_id IS NULL AND actor = ANY ($4))
"""
_EVENTS: Final = f"""
    SELECT id, at, name, payload::text AS payload FROM guanxi_outbox
    WHERE tenant_id = $1 AND {_HOLDS.format("payload::text")} ORDER BY position FOR UPDATE
"""  # noqa: S608  put together from constants
_REWRITE: Final = (
    "UPDATE guanxi_outbox SET payload = $3::text::jsonb WHERE tenant_id = $1 AND id = $2"
)
#: Whoever runs such a delivery at the moment has lost it, and finds out before the commit.
_TAKE_BACK: Final = """
    UPDATE guanxi_delivery SET status = 'waiting', claim = NULL, due_at = clock_timestamp()
    WHERE tenant_id = $1 AND status = 'running' AND event_id = ANY ($2)
"""
_TIED_EVENTS: Final = f"""
    SELECT d.event_id FROM guanxi_delivery d
    JOIN guanxi_outbox o ON o.tenant_id = $1 AND o.id = d.event_id
    WHERE d.tenant_id = $1 AND d.status = 'running' AND {_HOLDS.format("o.payload::text")}
"""  # noqa: S608  put together from constants
_DELIVERIES: Final = """
    SELECT id, entity, error, event_id FROM guanxi_delivery
    WHERE tenant_id = $1 AND (error IS NOT NULL OR event_id = ANY ($3)
        OR EXISTS (SELECT FROM unnest($2::text[]) AS w WHERE strpos(entity, w) > 0)) FOR UPDATE
"""
_CLEAR: Final = (
    "UPDATE guanxi_delivery SET entity = $3, error = $4 WHERE tenant_id = $1 AND id = $2"
)
#: Whatever a transaction writes bears the moment at which it began.
_REPLIES: Final = f"""
    SELECT owner_id, key, step, at, body, errors FROM guanxi_idempotency
    WHERE tenant_id = $1 AND (at = ANY ($4)
        OR {_HOLDS.format("(convert_from(body, 'UTF8') || convert_from(errors, 'UTF8'))")})
"""  # noqa: S608  put together from constants
_JOBS: Final = f"""
    SELECT id, title, message, who FROM guanxi_job WHERE tenant_id = $1
    AND (who = ANY ($4) OR {_HOLDS.format("concat_ws(' ', title, message)")}) FOR UPDATE
"""  # noqa: S608  put together from constants
_RENAME: Final = (
    "UPDATE guanxi_job SET title = $3, message = $4, who = $5 WHERE tenant_id = $1 AND id = $2"
)
_TOKENS: Final = "SELECT id FROM guanxi_tokens($1) WHERE user_id = ANY ($2)"
_ERASE_AUDIT: Final = "SELECT guanxi_erase_audit($1, $2, $3, $4, $5, $6, $7)"
#: Entries that say what was erased remain.
_NEVER: Final = (ERASURE, ERASING)


class Traces:
    """The traces of one tenant, within the erasure's transaction."""

    def __init__(self, ctx: "TransactionContext") -> None:
        self._ctx = ctx
        self._tenant = ctx.tenant.id
        #: When the transactions began that, as audit and events tell by ids, had to do with rows.
        self.moments: set[dt.datetime] = set()

    async def _fetch(self, statement: str, *values: Any) -> list[Any]:
        connection = await self._ctx.raw()
        rows: list[Any] = await connection.fetch(statement, self._tenant, *values)
        return rows

    async def _each(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        connection = await self._ctx.raw()
        await connection.executemany(statement, [(self._tenant, *one) for one in values])

    # --- audit ---------------------------------------------------------------------------------

    async def entries_about(self, rows: Collection[str]) -> list[Any]:
        """The audit's entries about rows, by their names."""
        return await self._fetch(_ABOUT, list(rows), _NEVER)

    async def entries_naming(self, subjects: Iterable[UUID]) -> list[Any]:
        """Entries about rows that refer, or referred, to a person."""
        return await self._fetch(_NAMING, [str(one) for one in subjects], _NEVER)

    async def entries_to_erase(
        self, entries: set[UUID], ids: set[UUID], words: set[str]
    ) -> set[UUID]:
        """``entries`` and those about many rows at once that tell of the person."""
        pattern = finder(words)
        for row in await self._fetch(_OF_MANY, *_sought(ids, words), _NEVER):
            told = "\n".join([*_leaves(msgspec.json.decode(row["changes"])), row["reason"] or ""])
            if (pattern and pattern.search(told)) or (row["reason"] and _names(told, ids)):
                entries.add(row["id"])
        return entries

    async def entries_to_blank(
        self, entries: set[UUID], users: list[UUID], names: set[str]
    ) -> tuple[set[UUID], set[UUID]]:
        """Entries of which to blank what they say, and those of which who made them: one of
        ``users``, who are called ``names``.
        """
        what, who = set(entries), set[UUID]()
        if users:
            tokens = await self._fetch(_TOKENS, users)
            about = await self.entries_about([f"token_{row['id']}" for row in tokens])
            what |= {row["id"] for row in about}
            who |= {row["id"] for row in await self._fetch(_BY, users, ERASURE, sorted(names))}
        return what, who

    async def audit(self, what: set[UUID], who: set[UUID]) -> int:
        """Blank entries, so that the chain still holds; returns how many.

        Nothing is sealed from here to the commit, of no tenant.
        """
        origin, connection = self._ctx.origin, await self._ctx.raw()
        for entries, flags in ((who, (True, False)), (what, (False, True))):
            if entries:
                await connection.execute(
                    _ERASE_AUDIT, self._tenant, sorted(entries), *flags, uuid7(),
                    origin.caller.name, origin.reason,
                )  # fmt: skip
        return len(who | what)

    # --- events and their deliveries -----------------------------------------------------------

    async def reclaim(self, ids: set[UUID]) -> None:
        """Take deliveries that tell of rows from those who run them, so that they begin anew."""
        running = await self._fetch(_TIED_EVENTS, *_sought(ids, ()))
        await self._fetch(_TAKE_BACK, [row["event_id"] for row in running])

    async def events(
        self, classes: Mapping[str, type[Event]], ids: set[UUID], words: set[str]
    ) -> tuple[int, set[UUID]]:
        """Blank the texts of events; returns how many, and the events that tell of the rows."""
        pattern = finder(words)
        rewritten: list[tuple[UUID, str]] = []
        tied: set[UUID] = set()
        for row in await self._fetch(_EVENTS, *_sought(ids, words)):
            payload = msgspec.json.decode(row["payload"])
            about = _names(row["payload"], ids)
            blank = blanked(payload, classes.get(row["name"]), about, pattern)
            if about:
                self.moments.add(row["at"])
            if about or blank != payload:
                tied.add(row["id"])
            if blank != payload:
                rewritten.append((row["id"], msgspec.json.encode(blank).decode()))
        await self._each(_REWRITE, rewritten)
        await self._fetch(_TAKE_BACK, [event for event, _ in rewritten])
        return len(rewritten), tied

    async def deliveries(self, events: set[UUID], ids: set[UUID], words: set[str]) -> int:
        """Blank errors of deliveries, and what they call the entity; returns how many."""
        pattern = finder(words)
        cleared = []
        for row in await self._fetch(_DELIVERIES, sorted(words), events):
            entity, error = row["entity"], row["error"]
            tied = row["event_id"] in events and not PLAIN.fullmatch(entity or "")
            if entity and (tied or (pattern and pattern.search(entity))):
                entity = ERASED
            about = row["event_id"] in events or _names(f"{row['entity']} {error}", ids)
            if error and (about or (pattern and pattern.search(error))):
                error = ERASED
            if (entity, error) != (row["entity"], row["error"]):
                cleared.append((row["id"], entity, error))
        await self._each(_CLEAR, cleared)
        return len(cleared)

    # --- replies, jobs, tokens -----------------------------------------------------------------

    async def replies(self, ids: set[UUID], words: set[str]) -> int:
        """Let stored replies that tell of the rows say that they were erased.

        These are the replies of whatever wrote the rows, and those that hold an id or a word.
        """
        pattern = finder(words)
        found = []
        for row in await self._fetch(_REPLIES, *_sought(ids, words), self.moments):
            errors = msgspec.json.decode(row["errors"])
            said = [msgspec.json.decode(row["body"]), [error["message"] for error in errors]]
            told = "\n".join(_leaves(said))
            if row["at"] in self.moments or _names(told, ids) or (pattern and pattern.search(told)):
                found.append(row)
        columns = [[row[name] for row in found] for name in ("owner_id", "key", "step")]
        connection = await self._ctx.raw()
        done: int = await connection.fetchval(
            "SELECT guanxi_erase_replies($1, $2, $3, $4)", self._tenant, *columns
        )
        return done

    async def jobs(self, ids: set[UUID], words: set[str], users: set[str]) -> int:
        """Blank what jobs say of the rows, and that one of ``users`` asked for them."""
        pattern = finder(words)
        renamed = []
        for row in await self._fetch(_JOBS, *_sought(ids, words), sorted(users)):
            texts = [row["title"], row["message"]]
            blank = [
                ERASED
                if text and (_names(text, ids) or (pattern and pattern.search(text)))
                else text
                for text in texts
            ]
            who = ERASED if row["who"] in users else row["who"]
            if [*blank, who] != [*texts, row["who"]]:
                renamed.append((row["id"], *blank, who))
        await self._each(_RENAME, renamed)
        return len(renamed)

    async def tokens(self, users: list[UUID]) -> int:
        """End the tokens of erased users for good."""
        connection = await self._ctx.raw()
        return sum(
            [
                await connection.fetchval("SELECT guanxi_erase_tokens($1, $2)", self._tenant, user)
                for user in users
            ]
        )


def _sought(ids: Iterable[UUID], words: Iterable[str]) -> tuple[list[str], list[str]]:
    """What statements look for: ids and words, these also as JSON spells them."""
    return [str(one) for one in ids], sorted({*words, *_escaped(words)})


def _escaped(words: Iterable[str]) -> set[str]:
    return {msgspec.json.encode(word).decode()[1:-1] for word in words}


def _names(text: str, ids: set[UUID]) -> bool:
    return any(UUID(found) in ids for found in UUIDS.findall(text))


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value] if isinstance(value, str) else []


def blanked(
    payload: Any, kind: type[Event] | None, about: bool, pattern: re.Pattern[str] | None
) -> Any:
    """An event's payload without words: all of them where it is ``about`` the rows.

    What its class does not declare as text, a choice for instance, stays: handlers must be able to
    read the event.
    """
    typed: Any = payload
    if kind is not None:
        try:
            typed = msgspec.convert(payload, kind)
        except msgspec.ValidationError:
            typed = payload

    def walk(value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            return {name: walk(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, dict):
            return {name: walk(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [walk(item) for item in value]
        if type(value) is not str:
            return msgspec.to_builtins(value)
        words = (about and not PLAIN.fullmatch(value)) or (pattern and pattern.search(value))
        return ERASED if value and words else value

    return walk(typed)
