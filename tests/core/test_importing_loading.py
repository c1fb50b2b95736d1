"""Imports against a database: what is created, updated, left alone, rejected, undone."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from guanxi_core.database.connections import connect
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.hooks import HookFailed
from guanxi_core.importing import (
    Document,
    ImportFailed,
    ImportResult,
    import_file,
    plan_import,
)
from guanxi_sdk import (
    Choice,
    Forbidden,
    Invalid,
    Model,
    Money,
    Plugin,
    Rights,
    column,
    hookimpl,
    reference,
)
from guanxi_sdk.testing import App, Boot


class Load(Choice):
    """How full something is."""

    FULL = "FULL", "满", "Full"
    EMPTY = "EMPTY", "空", "Empty"


class Yard(Model, plugin="yards", key="code"):
    """A yard; yards lie in yards."""

    __table_args__ = (sa.CheckConstraint("remark <> 'broken'", name="not_broken"),)

    code: Mapped[str]
    name: Mapped[str]
    load: Mapped[Load] = column(default=Load.EMPTY, indexed=True)
    rent: Mapped[Money | None]
    tags: Mapped[list[str]] = column(default=())
    remark: Mapped[str | None]
    parent_id: Mapped[UUID | None] = reference("self", reverse="children")


class Crate(Model, plugin="yards"):
    """A crate in a yard."""

    __table_args__ = (
        sa.CheckConstraint("weight <> 13", name="no_thirteen"),
        sa.UniqueConstraint("tenant_id", "seal"),
    )

    yard_id: Mapped[UUID] = reference(Yard, reverse="crates")
    label: Mapped[str]
    weight: Mapped[int]
    seal: Mapped[str | None]


class Thing(Model, plugin="yards", key="code"):
    """A thing in a crate."""

    code: Mapped[str]
    yard_id: Mapped[UUID] = reference(Yard, reverse="things")
    crate_id: Mapped[UUID | None] = reference(Crate, reverse="things")


class Yards(Plugin, name="yards", models=[Yard, Crate, Thing]):
    """Yards, crates and things."""


class Guards(Plugin, name="guards", requires=["yards"]):
    """Refuses rows."""

    @hookimpl
    def write_errors(
        self, model: type[Model], verb: str, values: Mapping[str, Any]
    ) -> list[Invalid]:
        """Refuse everything that is called 'bad', and break down at 'broken'."""
        name = values.get("name") or values.get("label")
        if name == "broken":
            raise RuntimeError("out of order")
        if verb != "import" or name != "bad":
            return []
        seen = values.get("yard_id") or values.get("load")
        return [Invalid("name", f"is bad, seen with {type(seen).__name__}")]


@pytest.fixture
async def app(guanxi: Boot) -> App:
    return await guanxi(Yards())


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``await run(app, "yards", "code,name\\n…", mapping)``; reports go to ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    async def do(
        app: App,
        model: str,
        content: str | bytes,
        toml: str = "",
        *,
        can: Any = None,
        **options: Any,
    ) -> ImportResult:
        access = await app.access(can)
        path = tmp_path / "in" / f"{model}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        mapping = Document.parse("map.toml", toml) if toml else None
        plan = plan_import(model, access.installation.edition.models.values(), mapping)
        return await import_file(app.platform, access, plan, path, **options)

    return do


def counts(result: ImportResult) -> tuple[int, int, int, int]:
    created, updated, unchanged, rejected = (
        result.total(what) for what in ("created", "updated", "unchanged", "rejected")
    )
    return created, updated, unchanged, rejected


def reasons(result: ImportResult) -> list[str]:
    """The reasons in the report, each after its line."""
    [report] = result.reports
    return [
        ":".join(line.split(",")[:2]).replace('"', "")
        for line in report.read_text("utf-8-sig").splitlines()[1:]
    ]


async def by_code(app: App, model: type[Any] = Yard) -> dict[str, Any]:
    return {row.code: row for row in await app.all(model)}


CRATES = 'key = ["yard_id", "label"]\n'


async def test_a_second_run_touches_what_changed_and_nothing_else(app: App, run: Run) -> None:
    header = "code,name,load,rent,tags\n"
    first = header + "a,Alpha,满,12.5,x;y\nb,Beta,,,\nc,Gamma,,1,\n"
    assert counts(await run(app, "yards", first)) == (3, 0, 0, 0)
    before = await by_code(app)
    alpha = before["a"]
    assert (alpha.name, alpha.load, alpha.rent) == ("Alpha", Load.FULL, Money(1250, "CNY"))
    assert (alpha.tags, alpha.version, before["b"].load) == (["x", "y"], 1, Load.EMPTY)

    assert counts(await run(app, "yards", first)) == (0, 0, 3, 0)
    second = header + "b,Beta,,,\nc,Gamma,,2,\nd,Delta,,,\n"
    assert counts(await run(app, "yards", second)) == (1, 1, 1, 0)
    after = await by_code(app)
    assert sorted(after) == ["a", "b", "c", "d"]
    assert (after["c"].rent, after["c"].version, after["c"].id) == (
        Money(200, "CNY"), 2, before["c"].id,
    )  # fmt: skip
    assert after["c"].updated_at > before["c"].updated_at
    assert after["b"].updated_at == before["b"].updated_at


async def test_columns_that_a_file_does_not_have_are_left_alone(app: App, run: Run) -> None:
    await run(app, "yards", "code,name,load\na,Alpha,FULL\n")
    assert counts(await run(app, "yards", "code,name\na,Aleph\n")) == (0, 1, 0, 0)
    row = (await by_code(app))["a"]
    assert (row.name, row.load, row.version) == ("Aleph", Load.FULL, 2)
    assert counts(await run(app, "yards", "code,name,load\na,Aleph,\n")) == (0, 1, 0, 0)
    assert (await by_code(app))["a"].load is Load.EMPTY  # an empty cell is the default


async def test_references_to_rows_further_down(app: App, run: Run) -> None:
    content = "code,name,parent\na,A,c\nb,B,a\nc,C,\n"
    assert counts(await run(app, "yards", content)) == (3, 0, 0, 0)
    rows = await by_code(app)
    assert rows["a"].parent_id == rows["c"].id
    assert rows["b"].parent_id == rows["a"].id
    assert rows["c"].parent_id is None
    assert {row.version for row in rows.values()} == {1}
    assert counts(await run(app, "yards", content)) == (0, 0, 3, 0)
    assert counts(await run(app, "yards", "code,name,parent\nd,D,a\nc,C,d\n")) == (1, 1, 0, 0)
    assert (await by_code(app))["c"].parent_id == (await by_code(app))["d"].id


async def test_whoever_refers_to_a_rejected_row_is_rejected_too(app: App, run: Run) -> None:
    content = "code,name,parent\na,A,b\nb,B,x\nc,C,a\nd,D,\ne,,\nf,F,e\n"
    result = await run(app, "yards", content)
    assert counts(result) == (1, 0, 0, 5)
    assert reasons(result) == [
        "2:yards: parent_id: no yard has the code 'b'",
        "3:yards: parent_id: no yard has the code 'x'",
        "4:yards: parent_id: no yard has the code 'a'",
        "6:yards: name is missing",
        "7:yards: parent_id: no yard has the code 'e'",
    ]
    assert list(await by_code(app)) == ["d"]


async def test_looking_up_by_the_key_another_attribute_or_the_id(app: App, run: Run) -> None:
    await run(app, "yards", "code,name\na,Alpha\nb,Beta\nc,Beta\n")
    rows = await by_code(app)
    toml = (
        CRATES + '[fields]\nyard_id = { column = "Y", lookup = "%s" }\nlabel = "L"\nweight = "W"\n'
    )
    content = f"Y,L,W\nAlpha,one,1\nBeta,two,1\nGamma,three,1\n{rows['a'].id},four,1\n"
    result = await run(app, "crates", content, toml % "name")
    assert counts(result) == (1, 0, 0, 3)
    assert reasons(result)[:2] == [
        "3:crates: yard_id: 2 yards have the name 'Beta'",
        "4:crates: yard_id: no yard has the name 'Gamma'",
    ]
    ids = f"Y,L,W\nyard_{rows['a'].id},four,1\n{UUID(int=7)},five,1\n"
    assert counts(await run(app, "crates", ids, toml % "id")) == (1, 0, 0, 1)
    assert {crate.label: crate.yard_id for crate in await app.all(Crate)} == {
        "one": rows["a"].id, "four": rows["a"].id,
    }  # fmt: skip


async def test_looking_up_within_a_shared_reference(app: App, run: Run) -> None:
    await run(app, "yards", "code,name\na,A\nb,B\n")
    await run(app, "crates", "yard,label,weight\na,top,1\nb,top,2\n", CRATES)
    toml = '[fields.crate_id]\ncolumn = "crate"\nlookup = "label"\n'
    content = "code,yard,crate\n1,a,top\n2,b,top\n3,b,low\n4,a,\n"
    vague = await run(app, "things", content, "match = true\n" + toml)
    assert counts(vague) == (1, 0, 0, 3)
    result = await run(app, "things", content, "match = true\n" + toml + 'within = "yard"\n')
    assert counts(result) == (2, 0, 1, 1)
    assert reasons(result) == ["4:things: crate_id: no crate has the label 'low'"]
    weights = {crate.id: crate.weight for crate in await app.all(Crate)}
    things = await by_code(app, Thing)
    assert [weights.get(things[code].crate_id) for code in "124"] == [1, 2, None]


async def test_a_model_without_a_key_is_matched_by_the_mapping_s(app: App, run: Run) -> None:
    await run(app, "yards", "code,name\na,A\n")
    content = "yard,label,weight\na,one,1\na,two,2\n"
    with pytest.raises(ImportFailed, match=r"crates have no natural key.*say key = \["):
        await run(app, "crates", content)
    assert counts(await run(app, "crates", content, CRATES)) == (2, 0, 0, 0)
    changed = content.replace("two,2", "two,3")
    assert counts(await run(app, "crates", changed, CRATES)) == (0, 1, 1, 0)
    assert counts(await run(app, "crates", changed, 'key = ["yard", "weight"]')) == (0, 0, 2, 0)

    yard = (await by_code(app))["a"]
    await app.add(Crate(yard_id=yard.id, label="two", weight=9))
    result = await run(app, "crates", changed, CRATES)
    assert counts(result) == (0, 0, 1, 1)
    assert reasons(result) == ["3:crates: several crates have the same yard_id and label already"]


async def test_a_key_with_an_empty_part_matches_empty(app: App, run: Run) -> None:
    await run(app, "yards", "code,name\na,A\n")
    toml = 'key = ["label", "seal"]\n'
    content = "yard,label,seal,weight\na,one,,1\na,one,s,2\n"
    assert counts(await run(app, "crates", content, toml)) == (2, 0, 0, 0)
    assert counts(await run(app, "crates", content, toml)) == (0, 0, 2, 0)


async def test_what_only_the_database_refuses_is_found_row_by_row(app: App, run: Run) -> None:
    await run(app, "yards", "code,name\na,A\n")
    lines = [
        f"a,{n},{13 if n in (17, 40) else n},{'twin' if n in (3, 55) else n}" for n in range(60)
    ]
    content = "yard,label,weight,seal\n" + "\n".join(lines) + "\n"
    result = await run(app, "crates", content, CRATES)
    assert counts(result) == (56, 0, 0, 4)
    assert reasons(result) == [
        "15:crates: weight is not allowed",
        "19:crates: weight is not allowed",
        "42:crates: weight is not allowed",
        "57:crates: seal is already taken",
    ]


async def test_rows_that_refer_to_each_other_survive_a_bad_one(app: App, run: Run) -> None:
    taken = await run(app, "yards", "code,name,parent\na,A,\n")
    assert counts(taken) == (1, 0, 0, 0)
    content = "code,name,remark,parent\nb,B,1,d\nc,C,broken,\nd,D,2,a\ne,E,3,c\n"
    result = await run(app, "yards", content)
    assert counts(result) == (2, 0, 0, 2)
    assert reasons(result) == [
        "3:yards: remark is not allowed",
        "5:yards: parent_id: no yard has the code 'c'",
    ]
    rows = await by_code(app)
    assert rows["b"].parent_id == rows["d"].id


async def test_plugins_may_refuse_rows(guanxi: Boot, run: Run) -> None:
    app = await guanxi(Yards(), Guards())
    result = await run(app, "yards", "code,name,load\na,good,满\nb,bad,满\n")
    assert counts(result) == (1, 0, 0, 1)
    assert result.first_rejection == "yards.csv, line 3: yards: name is bad, seen with Load"
    result = await run(app, "crates", "yard,label,weight\na,fine,1\na,bad,1\n", CRATES)
    assert counts(result) == (1, 0, 0, 1)
    assert "seen with UUID" in (result.first_rejection or "")


async def test_a_plugin_that_fails_stops_the_import(guanxi: Boot, run: Run) -> None:
    app = await guanxi(Yards(), Guards())
    with pytest.raises(HookFailed, match="'guards' failed to answer 'write_errors'"):
        await run(app, "yards", "code,name\na,good\nb,broken\n")
    assert await app.all(Yard) == []


async def test_a_dry_run_counts_and_writes_nothing(app: App, run: Run) -> None:
    await run(app, "yards", "code,name\na,A\n")
    result = await run(app, "yards", "code,name\na,B\nb,B\nc,\n", dry_run=True)
    assert (counts(result), result.dry_run) == ((1, 1, 0, 1), True)
    assert [row.name for row in await app.all(Yard)] == ["A"]
    assert result.reports[0].exists()


async def test_a_fatal_error_late_in_the_file_undoes_everything(app: App, run: Run) -> None:
    good = "code,name\n" + "".join(f"{n},N\n" for n in range(25_000))
    with pytest.raises(ImportFailed, match="line 25002, byte"):
        await run(app, "yards", good.encode() + b"x,\xff\n")
    assert await app.all(Yard) == []

    def interrupt(model: str, done: int, size: int, rows: int) -> None:
        if done > 100_000:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await run(app, "yards", good, progress=interrupt)
    assert await app.all(Yard) == []
    assert counts(await run(app, "yards", good)) == (25_000, 0, 0, 0)  # the pool is in order


async def test_a_lost_connection_leaves_nothing_behind(app: App, run: Run) -> None:
    ended: list[bool] = []

    async def end(pid: int) -> None:
        connection = await connect(app.platform.pool.url)
        ended.append(await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid))
        await connection.close()

    def cut(*_: Any) -> None:
        """The import goes on when its connection is gone, and not before."""
        if not ended:
            [own] = [c for c in app.platform.pool._all if c.is_in_transaction()]
            thread = Thread(target=lambda: asyncio.run(end(own.get_server_pid())))
            thread.start()
            thread.join()

    content = "code,name\n" + "".join(f"{n},N\n" for n in range(20_000))
    with pytest.raises(DatabaseUnavailable):
        await run(app, "yards", content, progress=cut)
    assert ended == [True]
    assert await app.all(Yard) == []


async def test_each_chunk_leaves_one_audit_record_and_one_event(app: App, run: Run) -> None:
    content = "code,name\n" + "".join(f"{n:05},N\n" for n in range(15_000))
    await run(app, "yards", content, reason="the yearly list")
    await run(app, "yards", content)  # changes nothing, so it is not worth a record
    async with app.platform.pool.connection(app.tenant.id) as connection:
        audit = await connection.fetch(
            "SELECT action, model, actor, reason, origin, changes FROM guanxi_audit "
            "WHERE action LIKE 'yards.%' ORDER BY id"
        )
        outbox = await connection.fetch(
            "SELECT name, payload FROM guanxi_outbox WHERE name NOT LIKE 'Job%' ORDER BY id"
        )
        ids = await connection.fetch("SELECT id FROM yards_yard ORDER BY code")
    ends = [(10_000, ids[0]["id"], ids[9_999]["id"]), (5_000, ids[10_000]["id"], ids[-1]["id"])]
    assert [(r["action"], r["model"], r["reason"], r["origin"]) for r in audit] == [
        ("yards.yard.import", "Yard", "the yearly list", "import yards.csv")
    ] * 2
    assert [msgspec.json.decode(r["changes"]) for r in audit] == [
        {"count": [None, n], "first": [None, str(a)], "last": [None, str(b)]} for n, a, b in ends
    ]
    assert [(r["name"], msgspec.json.decode(r["payload"])) for r in outbox] == [
        ("YardsImported", {"count": n, "first": str(a), "last": str(b)}) for n, a, b in ends
    ]


async def test_importing_needs_the_permission_to_write(app: App, run: Run) -> None:
    with pytest.raises(Forbidden, match=r"yards\.write"):
        await run(app, "yards", "code,name\na,A\n", can=["yards.read"])


async def test_rows_of_other_tenants_are_neither_found_nor_changed(
    guanxi: Boot, app: App, run: Run
) -> None:
    await run(app, "yards", "code,name\na,mine\n")
    other = await guanxi(Yards())
    assert counts(await run(other, "yards", "code,name\na,theirs\n")) == (1, 0, 0, 0)
    await run(app, "yards", "code,name\nb,mine\n")
    assert counts(await run(other, "crates", "yard,label,weight\nb,x,1\n", CRATES)) == (0, 0, 0, 1)
    assert [row.name for row in await app.all(Yard)] == ["mine", "mine"]


async def test_two_imports_at_the_same_time_double_nothing(app: App, run: Run) -> None:
    content = "code,name\n" + "".join(f"{n},N\n" for n in range(2_000))
    results = await asyncio.gather(*(run(app, "yards", content) for _ in range(3)))
    assert sorted(counts(result) for result in results) == [
        (0, 0, 2000, 0), (0, 0, 2000, 0), (2000, 0, 0, 0),
    ]  # fmt: skip


async def test_several_models_from_one_file_share_its_report(
    app: App, run: Run, tmp_path: Path
) -> None:
    toml = """
    [fields]
    code = "Yard"
    name = "Name"
    [[then]]
    model = "crates"
    key = ["yard_id", "label"]
    skip_unless = "Crate"
    [then.fields]
    yard_id = "Yard"
    label = "Crate"
    weight = "Weight"
    [[then]]
    model = "things"
    file = { path = "things.csv", optional = true }
    """
    content = "Yard,Name,Crate,Weight\na,A,one,1\nb,B,,\nc,,two,x\n"
    result = await run(app, "yards", content, toml, report=tmp_path / "wrong.csv")
    assert [(s.model, s.created, s.rejected, s.skipped) for s in result.steps] == [
        ("yards", 2, 1, 0), ("crates", 1, 1, 1),
    ]  # fmt: skip
    assert (tmp_path / "wrong.csv").read_text("utf-8-sig").splitlines() == [
        "line,reason,Yard,Name,Crate,Weight",
        "4,yards: name is missing; crates: weight 'x' is not a number such as 1234.50,c,,two,x",
    ]
    (tmp_path / "in" / "things.csv").write_text("code,yard\n1,a\n2,z\n")
    result = await run(app, "yards", content, toml, report=tmp_path / "wrong.csv")
    assert [step.model for step in result.steps] == ["yards", "crates", "things"]
    assert [path.name for path in result.reports] == ["wrong.csv", "things.csv.rejected.csv"]


async def test_a_mended_report_can_be_imported(app: App, run: Run) -> None:
    result = await run(app, "yards", "code,name\na,\nb,B\n")
    mended = result.reports[0].read_text("utf-8-sig").replace("a,", "a,A")
    assert counts(await run(app, "yards", mended)) == (1, 0, 0, 0)


async def test_missing_tables_are_told_with_the_remedy(app: App, tmp_path: Path) -> None:
    class Ghost(Model, plugin="ghosts", key="code"):
        """A model without a table."""

        code: Mapped[str]

    access = await app.access()
    plan = plan_import("ghosts", [Ghost])
    path = tmp_path / "ghosts.csv"
    path.write_text("code\na\n")
    object.__setattr__(access.caller, "rights", Rights.to_all(["ghosts.write"]))
    with pytest.raises(ImportFailed, match="run `guanxi migrate`"):
        await import_file(app.platform, access, plan, path)
