"""Custom fields in imports: by their names, beside the rows, counted as changes of them."""

import secrets
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from custom_fields import give
from guanxi_core.importing import (
    Document,
    ImportFailed,
    ImportResult,
    import_file,
    plan_import,
)
from guanxi_core.importing.loading import ImportRun
from guanxi_customers import Customers
from guanxi_graphql.exporting.running import Wanted, export
from guanxi_sdk import Model, Plugin
from guanxi_sdk.testing import App, Boot

FIELDS = {
    "card": "TEXT", "seats": "INT", "share": "FLOAT", "vip": "BOOL", "since": "DATE",
    "seenAt": "DATETIME", "metal": "CHOICE",
}  # fmt: skip
HEAD = f"code,name,{','.join(FIELDS)}\n"


async def load(
    app: App, folder: Path, content: str, mapping: str = "", *, name: str = "customers"
) -> ImportResult:
    """Import a file as the command does."""
    file = folder / f"{secrets.token_hex(4)}.csv"
    file.write_text(content, "utf-8")
    access = await app.platform.system_access(app.tenant)
    edition = access.installation.edition
    document = Document.parse("map.toml", mapping) if mapping else None
    plan = plan_import(name, edition.models.values(), document, custom=edition.custom)
    return await import_file(app.platform, access, plan, file, report=folder / "rejected.csv")


def counts(result: ImportResult) -> tuple[int, ...]:
    return tuple(result.total(what) for what in ("created", "updated", "unchanged", "rejected"))


async def rows(app: App) -> list[dict[str, Any]]:
    node = f"code version {' '.join(FIELDS)}"
    answer = await app.graphql(
        f"{{ customers(orderBy: CODE_ASC) {{ edges {{ node {{ {node} }} }} }} }}"
    )
    return [edge["node"] for edge in answer["customers"]["edges"]]


@pytest.fixture
async def app(guanxi: Boot) -> App:
    made = await guanxi(Customers())
    await give(made, **FIELDS)
    return made


async def test_values_are_created_changed_left_alone_and_taken_away(
    app: App, tmp_path: Path
) -> None:
    first = "a,A,K-1,7,0.5,yes,2024-02-29,2024-02-29T10:00:00Z,gold\nb,B,,,,,,,\n"
    assert counts(await load(app, tmp_path, HEAD + first)) == (2, 0, 0, 0)
    one, two = await rows(app)
    assert one == {
        "code": "a", "version": 1, "card": "K-1", "seats": 7, "share": 0.5, "vip": True,
        "since": "2024-02-29", "seenAt": "2024-02-29T10:00:00+00:00", "metal": "GOLD",
    }  # fmt: skip
    assert two == {"code": "b", "version": 1, **dict.fromkeys(FIELDS)}
    assert counts(await load(app, tmp_path, HEAD + first)) == (0, 0, 2, 0)
    again = "a,A,K-2,,0.5,no,2024-02-29,2024-02-29T10:00:00Z,银\nb,New,,,,,,,\nc,C,,3,,,,,\n"
    assert counts(await load(app, tmp_path, HEAD + again)) == (1, 2, 0, 0)
    one, two, three = await rows(app)
    assert (one["version"], one["card"], one["seats"], one["vip"], one["metal"]) == (
        2, "K-2", None, False, "SILVER",
    )  # fmt: skip
    assert (two["version"], three["version"], three["seats"]) == (2, 1, 3)
    assert counts(await load(app, tmp_path, "code,name,seats\nc,C,4\n")) == (0, 1, 0, 0)
    assert (await rows(app))[2]["seats"] == 4
    assert counts(await load(app, tmp_path, "code,name\na,A\n")) == (0, 0, 1, 0)
    assert (await rows(app))[0]["card"] == "K-2"
    async with app.platform.pool.connection(app.tenant.id) as connection:
        told = await connection.fetch(
            "SELECT changes -> 'count' ->> 1 AS count FROM guanxi_audit "
            "WHERE action = 'customers.customer.import' ORDER BY created_at, id"
        )
    assert [row["count"] for row in told] == ["2", "3", "1"]


async def test_values_that_do_not_fit_reject_their_row(app: App, tmp_path: Path) -> None:
    done = await load(app, tmp_path, "code,name,seats,metal\na,A,many,gold\nb,B,2,tin\nc,C,3,\n")
    assert counts(done) == (1, 0, 0, 2)
    report = (tmp_path / "rejected.csv").read_text("utf-8-sig")
    assert "seats 'many' is not a number" in report
    assert "metal 'tin' is none of BRASS" in report


async def test_a_mapping_names_them_and_rows_are_not_matched_by_them(
    app: App, tmp_path: Path
) -> None:
    mapping = (
        '[fields]\ncode = "No"\nname = "Who"\nseenAt = { column = "Seen", format = "%d.%m.%Y" }\n'
    )
    done = await load(app, tmp_path, "No,Who,Seen\na,A,29.02.2024\n", mapping)
    assert counts(done) == (1, 0, 0, 0)
    assert (await rows(app))[0]["seenAt"] == "2024-02-29T00:00:00+00:00"
    with pytest.raises(ImportFailed, match="'card' tells nothing apart"):
        await load(app, tmp_path, "code,name,card\na,A,x\n", 'key = ["card"]\nmatch = true\n')
    with pytest.raises(ImportFailed, match="did you mean 'seats'"):
        await load(app, tmp_path, "code,name,seat\na,A,x\n")


CHANGE = "UPDATE guanxi_custom_field SET options = '{GOLD}' WHERE tenant_id = $1 AND name = 'metal'"


async def test_fields_that_changed_stop_the_import_and_reject_no_row(
    app: App, tmp_path: Path
) -> None:
    file = tmp_path / "customers.csv"
    file.write_text("code,name,metal\na,A,silver\nb,B,gold\n", "utf-8")
    access = await app.platform.system_access(app.tenant)
    edition = access.installation.edition
    plan = plan_import("customers", edition.models.values(), custom=edition.custom)
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(CHANGE, app.tenant.id)
    with pytest.raises(ImportFailed, match="the custom fields changed: run the import again"):
        await import_file(app.platform, access, plan, file)
    assert await rows(app) == []


async def test_nobody_changes_the_fields_while_an_import_runs(app: App, tmp_path: Path) -> None:
    """Also before it has written a value."""
    file = tmp_path / "customers.csv"
    file.write_text("code,name,metal\na,A,\n", "utf-8")
    access = await app.platform.system_access(app.tenant)
    edition, pool = access.installation.edition, app.platform.pool
    plan = plan_import("customers", edition.models.values(), custom=edition.custom)
    async with pool.connection(app.tenant.id) as one, one.transaction():
        await ImportRun(access, plan, file).run(one)
        async with pool.connection(app.tenant.id) as two, two.transaction():
            await two.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await two.execute(CHANGE, app.tenant.id)


class Kennel(Model, plugin="kennels", key="code"):
    """A kennel."""

    __table_args__ = (sa.CheckConstraint("remark <> 'broken'", name="not_broken"),)

    code: Mapped[str]
    remark: Mapped[str | None]


class Kennels(Plugin, name="kennels", models=[Kennel]):
    """Kennels."""


async def test_a_row_that_the_database_refuses_takes_its_values_along(
    guanxi: Boot, tmp_path: Path
) -> None:
    """Rows are merged in ever smaller parts then, and their values with them."""
    app = await guanxi(Kennels())
    await give(app, "Kennel", dogs="INT")
    lines = [f"r{n:02},{'broken' if n in (3, 9) else ''},{n}\n" for n in range(12)]
    done = await load(app, tmp_path, "code,remark,dogs\n" + "".join(lines), name="kennels")
    assert counts(done) == (10, 0, 0, 2)
    answer = await app.graphql(
        "{ kennels(where: { dogs: { gte: 0 } }) { edges { node { code dogs } } } }"
    )
    found = {edge["node"]["code"]: edge["node"]["dogs"] for edge in answer["kennels"]["edges"]}
    assert found == {f"r{n:02}": n for n in range(12) if n not in (3, 9)}


async def test_what_is_exported_comes_back(app: App, guanxi: Boot, tmp_path: Path) -> None:
    other = await guanxi(Customers())
    await give(other, **FIELDS)
    first = "a,A,K-1,7,0.5,yes,2024-02-29,2024-02-29T10:00:00Z,gold\nb,B,,,,,,,\n"
    await load(app, tmp_path, HEAD + first)
    access = await app.platform.system_access(app.tenant)
    wanted = Wanted("customers", ["code", "name", *FIELDS], format="csv")
    parts: list[bytes] = []
    await export(app.platform, access, wanted, parts.append, actor="the tests")
    text = b"".join(parts).decode()
    assert counts(await load(other, tmp_path, text)) == (2, 0, 0, 0)
    assert await rows(other) == await rows(app)
