"""Mutations with an idempotency key: each field is done once, and its reply given again.

A field's reply is stored in the transaction that did the work, under the key and the field's place
in the document. So a request that was cut off between two fields goes on where it stopped when it
is repeated, and fields remain transactions of their own, with a key as without.

What somebody may not be shown again as it was, because it was secret or because they do not see all
rows, is not stored: only which rows were answered is, and a repetition reads them anew.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guanxi_core.idempotency import Once, StoredReply
from guanxi_core.turns import Turns
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.payloads import Ids
from guanxi_graphql.execute.splicing import Errors
from guanxi_sdk import Invalid

if TYPE_CHECKING:
    from guanxi_core.platform import Access

_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{1,255}")


class Rows(msgspec.Struct):
    """What is stored of an answer that is to be read anew; no name in an answer begins with #."""

    ids: Ids = msgspec.field(name="#")


class Keyed:
    """The fields of one request with a key, one after the other."""

    def __init__(self, once: Once, turns: Turns) -> None:
        self._once = once
        self._turns = turns
        self._rows: Rows | None = None
        #: That of the field that is running.
        self.context: Any = None
        #: Set where a field came to nothing that would be worth repeating.
        self.failed = False
        self.ran = 0

    @asynccontextmanager
    async def field(
        self, step: int, context: AbstractAsyncContextManager[Any]
    ) -> AsyncIterator[StoredReply | None]:
        """The transaction of a field; yields its stored reply, if there is one.

        Whoever comes second waits here until the first is done: in this process without a
        connection, and with one for other processes.
        """
        async with self._turns.turn(self._once.whole), context as opened:
            found = await self._once.find(await opened.raw(), step, opened.origin.action)
            self.ran += found is None
            self.context, self.failed, self._rows = opened, False, None
            try:
                yield found
            finally:
                self.context = None

    def shows(self, ids: Ids) -> None:
        """Say that the field that is running answers these rows, or a result that is none."""
        self._rows = Rows(ids)

    async def keep(self, step: int, body: bytes, errors: Errors, *, anew: bool) -> None:
        """Store the reply of the field that is running, unless repeating it makes sense.

        Of a result that a repetition is to read ``anew``, only the ids are stored. Secrets that are
        told once are left out: whoever repeats the request gets null for them.
        """
        if self.failed:
            return
        if anew and self._rows is not None:
            body, errors = encode(self._rows), []
        for secret in self.context.told_once:
            body = body.replace(encode(secret), b"null")
        reply = StoredReply(body, encode(errors))
        await self._once.keep(await self.context.raw(), step, reply)

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Any]:
        """The running field's context; what fails within is undone, and the refusal stored."""
        try:
            async with self.context.db.begin_nested():
                yield self.context
                await (await self.context.raw()).execute("SET CONSTRAINTS ALL IMMEDIATE")
        except BaseException:
            self._rows = None
            raise


def errors_of(reply: StoredReply) -> Errors:
    """The errors of a stored reply."""
    return msgspec.json.decode(reply.errors, type=Errors)


def rows_of(reply: StoredReply) -> Rows | None:
    """The rows that a stored reply has to be read anew from; None where it is the answer itself."""
    return msgspec.json.decode(reply.body, type=Rows) if reply.body.startswith(b'{"#":') else None


def keyed(
    turns: Turns,
    key: bytes,
    access: "Access",
    document: str,
    operation: str | None,
    variables: Mapping[str, Any] | None,
) -> Keyed | None:
    """The request under its key; None for the platform itself, which has no token to go by.

    A key belongs to a user, or to a token without one. What the caller may do is part of the
    request, so that a stored reply is never shown to somebody whose rights have changed.
    """
    if not _PRINTABLE.fullmatch(key):
        raise Invalid(
            None, "The Idempotency-Key must have 1 to 255 printable ASCII characters.",
            code="BAD_REQUEST",
        )  # fmt: skip
    caller = access.caller
    owner = caller.user_id or caller.token_id
    if owner is None:
        return None
    request = [document, operation, variables or {}, caller.rights.held]
    digest = sha256(msgspec.json.encode(request, order="deterministic")).digest()
    return Keyed(Once(access.installation.tenant.id, owner, key.decode("ascii"), digest), turns)
