"""Exports: what leaves, who may take it, and what is written down about it."""

import json
import os
import re
import secrets
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped
from with_scopes import Flock, Herd, Sheep, Shepherd

from commanding import Guanxi, commanding
from databases import Scratch
from guanxi_core.importing import Document, ImportFailed, import_file, plan_import
from guanxi_customers import Customer, Customers, Office
from guanxi_graphql.exporting import Exported, ExportFailed, Wanted, export, running
from guanxi_graphql.exporting.command import _destination
from guanxi_sdk import (
    Choice,
    Confidentiality,
    Context,
    Forbidden,
    Model,
    Money,
    Plugin,
    column,
    field,
    reference,
)
from guanxi_sdk.testing import App, Boot
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import Tiers

CONFIDENTIAL, SECRET = list(Confidentiality)[2:]


class Load(Choice):
    """How full something is."""

    FULL = "full", "满", "Full"
    EMPTY = "empty", "空", "Empty"


class Barn(Model, plugin="barns", key="code"):
    """A barn; barns lie in barns."""

    code: Mapped[str]
    name: Mapped[Annotated[str, Meta(max_length=2_000_000)]]
    load: Mapped[Load] = column(default=Load.EMPTY, indexed=True)
    rent: Mapped[Money | None]
    size: Mapped[float | None]
    open: Mapped[bool] = column(default=True)
    tags: Mapped[list[str]] = column(default=())
    remark: Mapped[str | None]
    parent_id: Mapped[UUID | None] = reference("self", reverse="children")


class Barns(Plugin, name="barns", models=[Barn]):
    """Barns."""

    before: Callable[[], Awaitable[None]] | None = None  # what each call of `label` begins with

    @field(Barn, columns=("code",))
    async def label(self, ctx: Context, barns: Sequence[Barn]) -> list[str]:
        """The code, of how many barns the plugin sees."""
        if self.before is not None:
            await self.before()
        count = await ctx.db.scalar(sa.select(sa.func.count()).select_from(Barn))
        return [f"{barn.code} of {count}" for barn in barns]

    @field(Barn, columns=("parent_id",))
    async def neighbours(self, ctx: Context, barns: Sequence[Barn]) -> list[list[Barn]]:
        """Other barns."""
        return [[] for _ in barns]

    @field(Barn, columns=("code",))
    async def times(self, ctx: Context, barns: Sequence[Barn], often: int) -> list[str]:
        """The code several times."""
        return [barn.code * often for barn in barns]


async def _export(
    app: App, wanted: Wanted, access: Any = None, *, reason: str | None = None
) -> tuple[Exported, str]:
    parts: list[bytes] = []
    if access is None:
        access = await app.platform.system_access(app.tenant)
    done = await export(
        app.platform, access, wanted, parts.append, actor="the tests", reason=reason
    )
    return done, b"".join(parts).decode()


async def _lines(app: App, wanted: Wanted, access: Any = None, **more: Any) -> list[Any]:
    _, text = await _export(app, wanted, access, **more)
    return [json.loads(line) for line in text.split("\n")[:-1]]


async def _audited(app: App, action: str) -> list[Any]:
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT actor, actor_id, reason, changes FROM guanxi_audit"
            " WHERE tenant_id = $1 AND action = $2 ORDER BY id",
            app.tenant.id, action,
        )  # fmt: skip
    return [
        (
            row["actor"],
            row["reason"],
            {name: after for name, (_, after) in json.loads(row["changes"]).items()},
        )
        for row in rows
    ]


async def test_a_line_is_what_graphql_answers(guanxi: Boot) -> None:
    app = await guanxi(Barns())
    north = await app.add(Barn(code="N", name="North", rent=Money(12_345, "CNY"), size=1.5))
    await app.add(Barn(code="S", name="South", load=Load.FULL, tags=["a", "b"], parent_id=north.id))
    answer = await app.graphql(
        "{ barns { edges { node { id code name load rent { amount currency } size open tags remark"
        " createdAt updatedAt version archivedAt parent { id code } } } } }"
    )
    nodes = [edge["node"] for edge in answer["barns"]["edges"]]
    assert await _lines(app, Wanted("barns")) == nodes
    done, text = await _export(app, Wanted("Barn", ["tags", "parent.code", "label", "parent.id"]))
    assert [json.loads(line) for line in text.split("\n")[:-1]] == [
        {"tags": [], "parent": None, "label": "N of 2"},
        {"tags": ["a", "b"], "parent": {"code": "N", "id": f"barn_{north.id}"}, "label": "S of 2"},
    ]
    assert done.fields == ("tags", "parent.code", "label", "parent.id")
    assert (done.model, done.rows, done.left_out) == ("barns", 2, {})


async def test_csv_has_a_column_for_each_part(guanxi: Boot) -> None:
    app = await guanxi(Barns())
    await app.add(Barn(code="N", name="N", rent=Money(-5, "CNY"), size=1e-7, tags=["a,b", '"']))
    await app.add(Barn(code="S", name="S", open=False))
    wanted = Wanted("barns", ["code", "load", "rent", "size", "open", "tags"], format="csv")
    _, text = await _export(app, wanted)
    assert text == (
        "code,load,rent,rentCurrency,size,open,tags\r\n"
        'N,EMPTY,-0.05,CNY,0.0000001,true,"[""a,b"",""\\""""]"\r\n'
        "S,EMPTY,,,,false,[]\r\n"
    )
    marked = Wanted("barns", ["code"], format="csv", marked=True)
    assert (await _export(app, marked))[1] == "\ufeffcode\r\nN\r\nS\r\n"


_TEXTS = [
    "=HYPERLINK(1)", "+1", "-1", "@a", "'=1", "''@", "'plain", 'say "hi", twice', "two\r\nlines",
    "line\u2028separator", "华为 😀", "\u202eright", "＝1", "a" * 100_000 + '"',
]  # fmt: skip


async def test_csv_comes_back_through_an_import(guanxi: Boot, tmp_path: Path) -> None:
    app, other = await guanxi(Barns()), await guanxi(Barns())
    made = [
        Barn(
            code=f"{number:02}", name=name, load=list(Load)[number % 2], size=number / 3,
            rent=Money(-number * 10**12 - 1, "JPY") if number % 3 else None,
            open=bool(number % 2), tags=["=1;2", "[x"] if number % 2 else [],
            remark="@x" if number % 4 else None,
        )
        for number, name in enumerate(_TEXTS)
    ]  # fmt: skip
    async with app.context() as ctx:
        for barn in made:
            await ctx.add(barn)
        for barn in made[1:]:
            barn.parent_id = made[0].id
    names = ["code", "name", "load", "size", "rent", "open", "tags", "remark", "parent.code"]
    everything = Wanted("barns", names, format="csv")
    file = tmp_path / "barns.csv"
    file.write_bytes((await _export(app, everything))[1].encode())
    access = await other.platform.system_access(other.tenant)
    models = access.installation.edition.models.values()
    for _ in range(2):  # parents come first, so the second time all is there
        done = await import_file(other.platform, access, plan_import("barns", models), file)
        assert done.total("rejected") == 0, done.first_rejection
    assert done.total("unchanged") == len(made)
    assert await _lines(other, Wanted("barns", names)) == await _lines(app, Wanted("barns", names))

    whole = tmp_path / "whole.csv"  # with a mapping also what guanxi sets itself is left aside
    whole.write_bytes((await _export(app, Wanted("barns", format="csv", marked=True)))[1].encode())
    mapping = Document.parse(
        "barns.toml",
        'match = true\n[file]\nignore = ["id", "createdAt", "updatedAt", "version", "archivedAt",'
        ' "parent.id"]\n',
    )
    plan = plan_import("barns", models, mapping)
    done = await import_file(other.platform, access, plan, whole)
    assert (done.total("unchanged"), done.total("rejected")) == (len(made), 0)


async def test_a_text_may_be_huge(guanxi: Boot) -> None:
    app = await guanxi(Barns())
    name = '"' + "华\n" * 500_000
    await app.add(Barn(code="A", name=name))
    assert await _lines(app, Wanted("barns", ["name"])) == [{"name": name}]
    _, text = await _export(app, Wanted("barns", ["name"], format="csv"))
    assert text == f'name\r\n""{name}"\r\n'


async def test_memory_does_not_grow_with_the_rows(guanxi: Boot) -> None:
    app = await guanxi(Barns())
    async with app.context() as ctx:
        for number in range(30):
            await ctx.add(Barn(code=f"{number:02}", name="x" * 400_000))
    parts: list[int] = []
    access = await app.platform.system_access(app.tenant)
    await export(
        app.platform, access, Wanted("barns", ["name"]),
        lambda part: parts.append(len(part)), actor="the tests",
    )  # fmt: skip
    assert sum(parts) > 30 * 400_000
    assert len(parts) > 3
    assert max(parts[2:]) < running.BYTES, "once it is known how large rows are"


async def test_nothing_but_the_header_leaves_an_empty_table(guanxi: Boot) -> None:
    app, other = await guanxi(Barns()), await guanxi(Barns())
    await other.add(Barn(code="N", name="of somebody else"))
    assert (await _export(app, Wanted("barns", ["code"], format="csv")))[1] == "code\r\n"
    done, text = await _export(app, Wanted("barns"))
    assert (done.rows, text) == (0, "")


async def test_filters_and_archived_rows(guanxi: Boot) -> None:
    app = await guanxi(Barns())
    old = await app.add(Barn(code="A", name="archived"))
    await app.add(Barn(code="B", name="b", load=Load.FULL))
    await app.graphql(
        "mutation ($id: ID!) { archiveBarn(id: $id, version: 1) { errors { code } } }", id=old
    )
    assert await _lines(app, Wanted("barns", ["code"])) == [{"code": "B"}]
    assert len(await _lines(app, Wanted("barns", ["code"], archived=True))) == 2
    where = {"OR": [{"load": {"in": ["FULL"]}}, {"parent": {"code": {"eq": "A"}}}]}
    assert await _lines(app, Wanted("barns", ["code"], where)) == [{"code": "B"}]
    assert await _lines(app, Wanted("barns", ["code"], {"load": {"eq": "EMPTY"}})) == []


async def test_all_pages_are_of_one_moment(guanxi: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PAGE", 2)
    app = await guanxi(Barns())
    for number in range(5):
        await app.add(Barn(code=str(number), name="before"))
    access = await app.platform.system_access(app.tenant)
    plugin: Any = access.installation.plugins["barns"]
    calls = 0

    async def write() -> None:
        nonlocal calls
        calls += 1
        await app.add(Barn(code=f"new {calls}", name="after"))
        async with app.context() as ctx:
            await ctx.update_where(Barn, Barn.code >= "0", name="after")

    monkeypatch.setattr(plugin, "before", write, raising=False)
    told: list[tuple[int, int]] = []
    parts: list[bytes] = []
    await export(
        app.platform, access, Wanted("barns", ["code", "name", "label"]), parts.append,
        actor="the tests", progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    lines = [json.loads(line) for line in b"".join(parts).splitlines()]
    assert lines == [
        {"code": str(n), "name": "before", "label": f"{n} of 5"} for n in range(5)
    ]  # also what the plugin reads
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert calls == 3
    assert {barn.name for barn in await app.all(Barn)} == {"after"}
    for snapshot, level in ((False, "read committed"), (True, "repeatable read")) * 2:
        async with app.platform.context(access, read_only=True, snapshot=snapshot) as ctx:
            connection = await ctx.raw()
            assert await connection.fetchval("SHOW transaction_isolation") == level
            assert await connection.fetchval("SHOW transaction_read_only") == "on"


async def test_what_fails_midway_leaves_nothing(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(running, "PAGE", 2)
    app = await guanxi(Barns())
    for number in range(5):
        await app.add(Barn(code=str(number), name="x"))
    access = await app.platform.system_access(app.tenant)
    calls = 0

    async def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(access.installation.plugins["barns"], "before", fail, raising=False)
    written = 0
    file = tmp_path / "barns.jsonl"
    file.write_text("the former one")
    wanted = Wanted("barns", ["code", "label"])

    async def attempt() -> None:
        with _destination(file) as write:

            def count(chunk: bytes) -> None:
                nonlocal written
                written += len(chunk)
                write(chunk)

            await export(app.platform, access, wanted, count, actor="the tests")

    with pytest.raises(ExportFailed, match=r"^label: The plugin 'barns' failed\.$"):
        await attempt()
    assert written > 0
    assert os.listdir(tmp_path) == ["barns.jsonl"]
    assert file.read_text() == "the former one"
    with _destination(file) as write:
        write(b"whole")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"whole", 0o600)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("brns"), "'brns' is nothing that can be exported: did you mean 'barns'?"),
        (Wanted("barns", ["nmae"]), "barns have no field 'nmae': did you mean 'name'?"),
        (Wanted("barns", ["parent.cod"]), "a barn has no field 'parent.cod': did you mean "
         "'parent.code'?"),
        (Wanted("barns", ["name.x"]), "'name.x' does not exist: 'name' has no parts."),
        (Wanted("barns", ["children.code"]), "'children.code' is a list: export barns by "
         "themselves."),
        (Wanted("barns", ["neighbours"]), "'neighbours' is a list: export barns by themselves."),
        (Wanted("barns", ["times"]), "'times' cannot be exported: it needs arguments."),
        (Wanted("barns", where={"cod": {"eq": "1"}}), "the filter got invalid value {'cod': {'eq': "
         "'1'}}; Field 'cod' is not defined by type 'BarnWhere'. Did you mean 'code'"),
    ],
)  # fmt: skip
async def test_wrong_names_come_with_a_hint(guanxi: Boot, wanted: Wanted, message: str) -> None:
    app = await guanxi(Barns())
    with pytest.raises(ExportFailed) as caught:
        await _export(app, wanted)
    assert str(caught.value).startswith(message)


async def _herd(app: App) -> None:
    for whose in ("ada", "bob"):
        access = await _shepherd(app, whose, "herd.read")
        shepherd = await app.add(Shepherd(name=whose, user=str(access.caller.user_id)))
        flock = await app.add(
            Flock(name=whose, shepherd_id=shepherd.id, worth=Money(100, "CNY"), illness="scab")
        )
        await app.add(Sheep(name=whose, flock_id=flock.id, weight=10.0))


async def _shepherd(
    app: App, user: str, *patterns: str, clearance: Confidentiality = SECRET
) -> Any:
    """A user who holds just these."""
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "DELETE FROM guanxi_user_role WHERE tenant_id = $1 AND user_id IN"
            " (SELECT id FROM guanxi_user WHERE tenant_id = $1 AND name = $2)",
            app.tenant.id, user,
        )  # fmt: skip
    await make_token(app.platform.pool, app.tenant, patterns, clearance=clearance, user=user)
    return await app.platform.access_as(app.tenant, user=user)


async def test_rows_are_those_that_the_caller_may_see(guanxi: Boot) -> None:
    app = await guanxi(Herd())
    await _herd(app)
    names = Wanted("manySheep", ["name", "flock.shepherd.name"])
    ada = {"name": "ada", "flock": {"shepherd": {"name": "ada"}}}
    bob = {"name": "bob", "flock": {"shepherd": {"name": "bob"}}}
    for patterns, rows in (
        (("herd.read:own", "guanxi.export"), [ada]),
        (("herd.read", "guanxi.export"), [ada, bob]),
        (("herd.read", "guanxi.export:own"), [ada]),  # a right of its own, with its own scope
    ):
        access = await _shepherd(app, "ada", *patterns)
        assert await _lines(app, names, access) == rows
        where = Wanted("manySheep", ["name"], {"flock": {"shepherd": {"name": {"eq": "bob"}}}})
        assert len(await _lines(app, where, access)) == len(rows) - 1
    for patterns, lacking in ((("herd.read",), "guanxi.export"), (("guanxi.export",), "herd.read")):
        access = await _shepherd(app, "ada", *patterns)
        with pytest.raises(Forbidden, match=lacking):
            await _export(app, names, access)
    role = await app.platform.access_as(app.tenant, role="admin")
    assert len(await _lines(app, names, role)) == 2
    assert len(await _audited(app, "guanxi.export")) == 7


async def test_confidential_columns_are_left_out(guanxi: Boot) -> None:
    app = await guanxi(Herd())
    await _herd(app)
    wanted = Wanted("flocks", ["name", "worth", "illness", "tax", "shepherd.name"], format="csv")
    internal = await _shepherd(
        app, "ada", "herd.read", "guanxi.export", clearance=Confidentiality.INTERNAL
    )
    done, text = await _export(app, wanted, internal)
    assert text == "name,shepherd.name\r\nada,ada\r\nbob,bob\r\n"
    assert done.left_out == {
        "worth": "This needs the clearance CONFIDENTIAL.",
        "illness": "Secret values are shown to those who say why: send the header Guanxi-Reason.",
        "tax": "This needs the clearance CONFIDENTIAL.",
    }
    with pytest.raises(ExportFailed, match=r"nothing of what is asked for may be read\. worth:"):
        await _export(app, Wanted("flocks", ["worth"]), internal)
    with pytest.raises(Forbidden, match="CONFIDENTIAL"):
        await _export(app, Wanted("flocks", ["name"], {"worth": {"isNull": False}}), internal)
    everything = Wanted("flocks", where={"name": {"eq": "ada"}})
    assert {"worth", "illness", "tax"} <= set(
        (await _export(app, everything, internal))[0].left_out
    )


async def test_values_that_are_shown_on_some_rows_are_empty_on_the_others(guanxi: Boot) -> None:
    app = await guanxi(Herd())
    await _herd(app)
    await _shepherd(app, "ada", "herd.read:own", clearance=CONFIDENTIAL)
    await make_token(
        app.platform.pool, app.tenant, ["herd.read", "guanxi.export"], user="ada",
        clearance=Confidentiality.INTERNAL,
    )  # fmt: skip
    access = await app.platform.access_as(app.tenant, user="ada")
    wanted = Wanted("flocks", ["name", "worth"], format="csv")
    done, text = await _export(app, wanted, access)
    assert text == "name,worth,worthCurrency\r\nada,1.00,CNY\r\nbob,,\r\n"
    assert (done.left_out, done.empty_in_part) == ({}, ("worth",))


async def test_the_audit_tells_of_every_export_before_a_row_leaves(guanxi: Boot) -> None:
    app = await guanxi(Herd())
    await _herd(app)
    access = await app.platform.system_access(app.tenant)
    where = {
        "AND": [{"name": {"eq": "ada"}}, {"worth": {"isNull": False}}],
        "sheep": {"some": {"flock": {"illness": {"eq": "scab"}}}},
    }
    wanted = Wanted("flocks", ["name", "illness"], where, format="csv")

    def refuse(_: bytes) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await export(app.platform, access, wanted, refuse, actor="somebody", reason="a plague")
    entry = {
        "model": "Flock",
        "fields": ["name", "illness"],
        "rows": 1,
        "filter": {
            "AND": [{"name": {"eq": "ada"}}, {"worth": {"isNull": None}}],
            "sheep": {"some": {"flock": {"illness": {"eq": None}}}},
        },
    }
    assert await _audited(app, "guanxi.export") == [("somebody", "a plague", entry)]
    assert await _audited(app, "guanxi.secret.read") == [
        ("somebody", "a plague", {"fields": ["Flock.illness"], "ids": []})
    ]
    done, _ = await _export(app, Wanted("flocks"))
    assert "illness" in done.left_out
    assert len(await _audited(app, "guanxi.secret.read")) == 1
    assert (await _audited(app, "guanxi.export"))[1][2]["filter"] is None


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    database: Scratch,
) -> Guanxi:
    """``command("export", …)`` in an empty folder, on the module's migrated database."""
    return commanding(tmp_path, monkeypatch, capfdbinary, database.app_url)


def test_the_command_writes_files_and_streams(command: Guanxi, tmp_path: Path) -> None:
    tenant = f"cli-{secrets.token_hex(4)}"
    assert command("tenant", "create", tenant, "--enable", "customers").status == 0
    source = "code,name\r\na,甲\r\nb,'=乙\r\n"
    tmp_path.joinpath("c.csv").write_text(source, newline="")
    assert command("import", "customers", "c.csv", "--tenant", tenant).status == 0
    asked = ("export", "customers", "--tenant", tenant, "--fields", "code,name")

    written = command(*asked, "--output", "out.csv")
    assert written.status == 0, written.err
    assert written.out.startswith("2 customers in ")
    assert written.out.endswith(" s, written to out.csv.\n")
    assert tmp_path.joinpath("out.csv").read_bytes().decode() == source
    assert command("import", "customers", "out.csv", "--tenant", tenant).status == 0

    streamed = command(*asked, "--output", "-", "--where", '{"code": {"eq": "b"}}')
    assert (streamed.out, streamed.err) == ('{"code":"b","name":"=乙"}\n', "")
    told = command(*asked, "--output", "x", "--format", "csv", "--excel", "--json")
    assert tmp_path.joinpath("x").read_bytes() == b"\xef\xbb\xbf" + source.encode()
    said = json.loads(told.out)
    assert (said["rows"], said["fields"], said["file"]) == (2, ["code", "name"], "x")
    assert json.loads(command(*asked, "--json").err)["file"] is None


def test_the_command_says_who_may_not(command: Guanxi, tmp_path: Path) -> None:
    tenant = f"cli-{secrets.token_hex(4)}"
    assert command("tenant", "create", tenant, "--enable", "customers").status == 0
    command("user", "create", "ada", "--tenant", tenant, "--role", "admin")
    asked = ("export", "persons", "--tenant", tenant, "--fields", "name,phone")
    assert command(*asked, "--user", "ada", "--format", "csv").out == "name,phone\r\n"
    refused = command(*asked, "--role", "readonly", "--output", "p.csv")
    assert refused.status == 1
    assert refused.err == "guanxi: This needs the permission 'guanxi.export'.\n"
    assert not tmp_path.joinpath("p.csv").exists()
    for arguments, message in (
        (("--user", "ada", "--role", "admin"), "Give --user or --role, not both."),
        (("--user", "eve"), f"user 'eve' does not exist in tenant '{tenant}'"),
        (("--excel",), "--excel goes with CSV."),
        (("--reason", " "), "--reason takes up to 500 printable characters."),
        (("--where", "[1]"), "--where is not a JSON object such as"),
        (("--output", "no/folder/x.csv"), "no/folder/x.csv cannot be written: No such file"),
    ):
        wrong = command(*asked, *arguments)
        assert wrong.status != 0
        assert wrong.err.startswith(f"guanxi: {message}"), wrong.err


async def test_the_mapping_in_the_documentation_takes_a_whole_export(
    guanxi: Boot, tmp_path: Path
) -> None:
    app, other = await guanxi(Customers(), Tiers()), await guanxi(Customers(), Tiers())
    for one in (app, other):
        await one.add(Office(code="BJ", name="Beijing", time_zone="Asia/Shanghai"))
    async with app.context() as ctx:
        [office] = await ctx.db.scalars(sa.select(Office))
        await ctx.add(Customer(code="A", name="Ada", office_id=office.id))
    await app.graphql("mutation { classifyCustomers { errors { message } } }")
    file = tmp_path / "customers.csv"
    file.write_bytes((await _export(app, Wanted("customers", format="csv")))[1].encode())
    access = await other.platform.system_access(other.tenant)
    models = access.installation.edition.models.values()

    with pytest.raises(ImportFailed, match=r"\d+ columns are.*, ignore = ") as refused:
        await import_file(other.platform, access, plan_import("customers", models), file)
    page = (Path(__file__).parents[2] / "docs/exporting.md").read_text("utf-8")
    [printed] = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    ignored = set(tomllib.loads(printed)["file"]["ignore"])
    assert ignored == set(json.loads(str(refused.value).partition("ignore = ")[2]))

    plan = plan_import("customers", models, Document.parse("customers.toml", printed))
    done = await import_file(other.platform, access, plan, file)
    assert (done.total("created"), done.total("rejected")) == (1, 0)
    names = ["code", "name", "office.code"]
    assert await _lines(other, Wanted("customers", names)) == [
        {"code": "A", "name": "Ada", "office": {"code": "BJ"}}
    ]
