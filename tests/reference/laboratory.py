"""The laboratory: the plugin `lab` on a real platform, worlds as tenants, and the comparison."""

import json
import random
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import pytest_asyncio
from graphql import parse, validate
from with_every_kind import Lab

from guanxi_core.access import Access
from guanxi_core.discovery import Registry
from guanxi_core.editions import compose
from guanxi_core.limits import HIGHEST, set_limits
from guanxi_core.platform import Platform
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_graphql.compile import filters
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.schema import schema_of, sdl
from guanxi_sdk import Model, Rights
from guanxi_sdk.testing.databases import ThrowAwayDatabase
from guanxi_sdk.testing.tokens import make_token
from reference.documents import Focus, Generator
from reference.lab_in_python import LAB
from reference.oracle import Answer, Oracle, reference_schema
from reference.worlds import NOW, VOCABULARY, World, make_world, store

#: Equal rights are one object, as an edition has them, so that plans are found again.
_rights = cache(Rights.to_all)

#: How many different worlds documents are tried on.
WORLDS = 24

#: Documents are made by chance, and a few have more conditions than a request may.
_CONDITIONS = 100 * filters.DEAREST


@dataclass(frozen=True)
class Case:
    """A document for one caller in one world."""

    world: int
    permissions: frozenset[str]
    with_token: bool
    text: str
    variables: Sequence[Mapping[str, Any]]  # the document is executed with each in turn

    @property
    def locale(self) -> str:
        """One of the two, for half of the cases each."""
        return "zh" if len(self.text) % 2 else "en"

    def __repr__(self) -> str:
        values = "\n".join(json.dumps(one, ensure_ascii=False) for one in self.variables)
        may = ", ".join(sorted(self.permissions))
        return f"world {self.world}, token {self.with_token}, may {may}\n{self.text}\n{values}"


class Laboratory:
    """Answers cases by the compiled path and by the reference executor."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.engine = Engine(platform)
        self._worlds: dict[int, tuple[World, Access]] = {}
        self._reference = reference_schema(sdl(compose([Lab])))

    async def world(self, number: int) -> tuple[World, Access]:
        """A world, stored as a tenant, and the access of a token that may do everything there."""
        if number not in self._worlds:
            world = make_world(number)
            self._worlds[number] = world, await self.settle(world)
        return self._worlds[number]

    async def settle(self, world: World) -> Access:
        """Store a world as a tenant of its own; the access may do everything there."""
        pool = self.platform.pool
        currency = ("CNY", "JPY", "KWD")[world.number % 3]
        name = f"world-{world.number}-{secrets.token_hex(6)}"
        tenant = await create_tenant(pool, name, currency)
        await set_limits(pool, tenant, {"cost": HIGHEST["cost"]}, HIGHEST)
        await set_plugin(pool, tenant, "lab", True)
        async with pool.connection(tenant.id) as connection:
            await store(world, connection, tenant.id)
        return await self.platform.authenticate(
            await make_token(pool, tenant, [p.name for p in Lab.manifest.permissions])
        )

    async def ask(self, access: Access, document: str, /, **variables: Any) -> dict[str, Any]:
        """The whole answer to a document, errors included."""
        answer: dict[str, Any] = json.loads(
            (await self.engine.execute(access, document, variables)).body
        )
        return answer

    async def case(self, choose: random.Random, *, focus: Focus | None = None) -> Case:
        """A random case; one with a focus is small and about that."""
        number = choose.randrange(WORLDS)
        _, access = await self.world(number)
        everything = sorted(p for p in access.caller.permissions if not p.startswith("guanxi."))
        permissions = everything
        if choose.random() < (0.4 if focus else 0.3):
            permissions = [one for one in everything if choose.random() < 0.75]
        document = (await self.generator(number, choose, focus=focus)).document()
        return Case(
            number, frozenset(permissions), choose.random() < 0.5, document.text,
            document.variables,
        )  # fmt: skip

    async def generator(
        self, number: int, choose: random.Random, *, focus: Focus | None = None
    ) -> Generator:
        """A generator of documents; their cursors are those of a world's rows."""
        world, access = await self.world(number)
        oracle = self.oracle(world, access)

        def cursor_of(model: type[Model], order: list[str], choose: random.Random) -> str | None:
            ids = sorted(world.rows[model])
            if not ids:
                return None
            return oracle.cursor(model, order, world.rows[model][choose.choice(ids)])

        edition = access.installation.edition
        schema = schema_of(edition).graphql
        models = {n: m for n, m in edition.models.items() if m.info.plugin != "guanxi"}
        return Generator(schema, models, choose, cursor_of, focus)

    def oracle(
        self, world: World, access: Access, permissions: frozenset[str] | None = None
    ) -> Oracle:
        """The reference executor for one caller."""
        edition = access.installation.edition
        return Oracle(
            edition,
            self._reference,
            world,
            LAB,
            permissions=access.caller.permissions if permissions is None else permissions,
            tenant=access.installation.tenant,
            caller=access.caller.name,
            today=NOW.date(),
            vocabulary=VOCABULARY,
        )

    async def compiled(self, case: Case, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the compiled path."""
        _, access = await self.world(case.world)
        caller = replace(
            access.caller,
            rights=_rights(case.permissions),
            token_id=access.caller.token_id if case.with_token else None,
        )
        access = Access(caller, access.installation, access.epoch)
        # What fails in each document on purpose must not switch the plugin off for the next ones.
        self.platform.breakers.of(access.installation.tenant).success("lab", "broken")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(filters, "DEAREST", _CONDITIONS)
            reply = await self.engine.execute(
                access, case.text, dict(variables), locale=case.locale
            )
        return json.loads(reply.body)

    async def reference(self, case: Case) -> list[Answer]:
        """The answers of the reference executor, one for each set of variables."""
        world, access = await self.world(case.world)
        oracle = self.oracle(world, access, case.permissions)
        oracle.locale = case.locale
        return [await oracle.answer(case.text, variables) for variables in case.variables]

    async def difference(self, case: Case, wanted: Sequence[Answer] | None = None) -> str | None:
        """How the two answers differ, if they do."""
        if wanted is None:
            wanted = await self.reference(case)
        for variables, answer in zip(case.variables, wanted, strict=True):
            compiled = await self.compiled(case, variables)
            if found := differ(compiled, answer):
                return f"{found}, with {variables}"
            if "data" not in compiled and (wrong := await self._invalid(case)):
                return f"a document that is not valid: {wrong}"
        return None

    async def forget_plans(self) -> None:
        """Compile anew whatever comes next."""
        for _, access in self._worlds.values():
            access.installation.edition.attachments.pop("documents", None)

    async def _invalid(self, case: Case) -> list[str]:
        """What validation says about a case's document; one that was answered passed it."""
        _, access = await self.world(case.world)
        schema = schema_of(access.installation.edition).graphql
        return [error.message for error in validate(schema, parse(case.text))]


def differ(found: Mapping[str, Any], wanted: Answer) -> str | None:
    """How an answer differs from what it must be, in one line; None if it does not."""
    errors = [
        (tuple(error.get("path", ())), error.get("extensions", {}).get("code"))
        for error in found.get("errors", ())
    ]
    if "data" not in found:
        codes = {code for _, code in errors}
        if codes and codes <= wanted.refusals:
            return None
        return f"refused with {found['errors']}, but may be only with {wanted.refusals}"
    if wanted.refused:
        return f"answered, but must be refused with one of {wanted.refusals}"
    if len({path for path, _ in errors}) < len(errors):
        return f"several errors for one path: {errors}"
    if not wanted.errors <= set(errors):
        return f"errors are missing: {wanted.errors - set(errors)}, got {errors}"
    if not set(errors) <= wanted.possible:
        return f"errors are too many: {set(errors) - wanted.possible}"
    return _differ(found["data"], wanted.data, "data")


def _differ(found: Any, wanted: Any, path: str) -> str | None:
    """The first difference between two JSON values; the order of keys counts."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        if list(found) != list(wanted):
            return f"{path} has the keys {list(found)}, not {list(wanted)}"
        pairs = [(found[key], wanted[key], f"{path}.{key}") for key in wanted]
    elif isinstance(found, list) and isinstance(wanted, list):
        if len(found) != len(wanted):
            return f"{path} has {len(found)} entries, not {len(wanted)}"
        pairs = [
            (one, two, f"{path}[{i}]")
            for i, (one, two) in enumerate(zip(found, wanted, strict=True))
        ]
    else:
        same = found == wanted and isinstance(found, bool) is isinstance(wanted, bool)
        return None if same else f"{path} is {found!r}, not {wanted!r}"
    return next((text for pair in pairs if (text := _differ(*pair))), None)


@asynccontextmanager
async def open_laboratory(database: ThrowAwayDatabase) -> AsyncIterator[Laboratory]:
    """A laboratory in a database; its clock stands still."""
    await database.prepare([Lab])
    registry = Registry({"lab": Lab})
    async with await Platform.open(
        database.app_url, registry=registry, pool_size=8, clock=lambda: NOW, ceiling=HIGHEST
    ) as platform:
        yield Laboratory(platform)


@pytest_asyncio.fixture(scope="session")
async def laboratory(guanxi_database: ThrowAwayDatabase) -> AsyncIterator[Laboratory]:
    """The plugin `lab` on a platform, for the whole run."""
    async with open_laboratory(guanxi_database) as opened:
        yield opened
